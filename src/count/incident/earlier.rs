//! Incidents as versions before tickets kept them: all of a caller in one item. They are read for as long as such
//! items live, so that what was reported is not reported again.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Admission, Incident, RememberedAlert, RuleFigures};
use crate::log::time::EventTime;
use crate::rule::definition::Severity;

/// One of them.
#[derive(Debug, Deserialize)]
pub struct EarlierIncident {
    alerts: u64,
    told: u64,
    told_severity: Option<Severity>,
    notices: u64,
    #[serde(default)]
    admission: String,
    first_seen: EventTime,
    last_seen: EventTime,
    #[serde(default)]
    rules: BTreeMap<String, RuleFigures>,
    #[serde(default)]
    top: Vec<RememberedAlert>,
}

impl EarlierIncident {
    /// The incident that began at `begin`, as it is kept now.
    #[must_use]
    pub fn incident(self, begin: EventTime) -> Incident {
        let highest = self.top.first().map(|worst| worst.severity).max(self.told_severity);
        let admission = match &*self.admission {
            "single" => Admission::Ticket,
            _ => Admission::Ask,
        };
        Incident {
            begin,
            alerts: self.alerts,
            highest,
            told: self.told,
            told_severity: self.told_severity,
            notices: self.notices,
            admissions: highest.map(|highest| (highest, admission)).into_iter().collect(),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            rules: self.rules,
            top: self.top,
            lease: None,
            renewed_at: 0,
        }
    }
}
