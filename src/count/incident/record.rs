//! Records alerts in a caller's incidents, and the outcome of their notices.

use std::collections::{BTreeMap, BTreeSet};

use super::{Admission, Incident, IncidentLog, NewAlert};
use crate::count::lease;
use crate::rule::definition::Severity;
use crate::rule::field::Field;
use crate::source::time::EventTime;

/// Where an alert was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentSlot {
    /// The incident's beginning.
    pub begin: EventTime,
    /// Its number in the incident, from 1.
    pub number: u64,
}

/// Where alerts were recorded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// One for each alert, in the order given.
    pub places: Vec<IncidentSlot>,
    /// The incidents that began.
    pub begun: BTreeSet<EventTime>,
}

/// What a notice reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoticeOutcome {
    /// Its number, from 1.
    pub number: u64,
    /// How many alerts it reported.
    pub count: u64,
    /// The highest severity among them.
    pub severity: Severity,
    /// It reported that the caller was served what it was denied before.
    pub served: bool,
}

/// Records alerts of one caller, in the order given. Unless the caller is `muted`, an incident that rises to a
/// severity asks which notices it gets.
pub fn record(log: &mut IncidentLog, found: &[NewAlert<'_>], muted: bool) -> Recorded {
    let mut recorded = Recorded::default();
    let mut models: BTreeMap<(EventTime, &str), BTreeSet<Option<&str>>> = BTreeMap::new();
    for alert in found {
        let begin = log.nearest(alert.at).unwrap_or(alert.at);
        let incident = log.incidents.entry(begin).or_insert_with(|| {
            recorded.begun.insert(begin);
            Incident::new(alert)
        });
        let number = incident.number_of(alert).unwrap_or_else(|| {
            if alert.rule.group_by.contains(&Field::Model) {
                let model = alert.key.get(alert.rule, Field::Model);
                models.entry((begin, alert.rule.id)).or_default().insert(model);
            }
            incident.add(alert)
        });
        if let Some(highest) = incident.highest.filter(|_| !muted) {
            incident.admissions.entry(highest).or_insert(Admission::Ask);
        }
        recorded.places.push(IncidentSlot { begin, number });
    }
    for ((begin, rule), models) in models {
        if let Some(figures) = log.incidents.get_mut(&begin).and_then(|incident| incident.rules.get_mut(rule))
        {
            figures.models = figures.models.max(models.len() as u64);
        }
    }
    recorded
}

/// Records that a notice was sent, and ends `owner`'s lease. Returns whether that changes anything: marking it
/// again does not.
pub fn mark(incident: &mut Incident, sent: NoticeOutcome, owner: &str) -> bool {
    let is_new = incident.notices < sent.number;
    if is_new {
        incident.notices = sent.number;
        incident.told = sent.count;
        incident.told_served |= sent.served;
        incident.told_severity = incident.told_severity.max(Some(sent.severity));
    }
    lease::release(&mut incident.lease, owner) || is_new
}
