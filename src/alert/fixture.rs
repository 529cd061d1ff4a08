//! One alert of 2025-06-02 09:14:48 UTC, for the tests of this folder.

use std::collections::BTreeSet;

use super::{Alert, IncidentRef};
use crate::count::evidence::{Evidence, Kind};
use crate::count::key::Key;
use crate::count::window::Figures;
use crate::rule::definition::Rule;
use crate::source::time::EventTime;

/// An alert of `rule` about a key with these values, in an incident of `caller`, found in `object`, with evidence.
pub fn with<T>(
    rule: &Rule,
    values: &[Option<&str>],
    caller: Option<&str>,
    object: &str,
    evidence: &[(Kind, &str)],
    see: impl FnOnce(&Alert<'_>) -> T,
) -> T {
    let key = Key { rule: rule.id, values: values.iter().map(|value| value.map(Into::into)).collect() };
    let at = EventTime::parse("2025-06-02T09:14:48Z").expect("a time");
    let evidence = evidence.iter().map(|(kind, value)| Evidence { kind: *kind, value: (*value).into() });
    let figures = Figures {
        first_seen: at,
        last_seen: at,
        total: 4,
        is_lower_bound: false,
        gaps: None,
        newest: Vec::new(),
        sources: BTreeSet::new(),
        evidence: evidence.collect(),
    };
    let incident = IncidentRef { id: "i", caller, number: 1, notice: None };
    see(&Alert { rule, key: &key, at, severity: rule.severity, figures, served: None, object, incident })
}
