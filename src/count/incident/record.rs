//! Records alerts in a caller's incidents, and the outcome of their notices.

use std::collections::{BTreeMap, BTreeSet};

use super::{Admission, Found, Incident, IncidentLog};
use crate::count::claims::Claimant;
use crate::count::pending;
use crate::count::recent;
use crate::log::time::EventTime;
use crate::rule::definition::Severity;
use crate::rule::field::Field;

/// Where an alert was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The incident's beginning.
    pub begin: EventTime,
    /// Its number in the incident, from 1.
    pub number: u64,
}

/// Where a delivery's alerts were recorded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// One for each alert, in the order given.
    pub places: Vec<Place>,
    /// The incidents whose next notice the claimant has to send.
    pub held: Vec<EventTime>,
    /// How many incidents began.
    pub begun: u64,
}

/// The outcome of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The sink accepted it.
    Notice(Told),
    /// The account's flood reports it.
    ToFlood(Severity),
    /// It was not sent, or nobody knows whether it was.
    Not,
}

/// What a notice reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its number, from 1.
    pub number: u64,
    /// How many alerts, or callers, it reported.
    pub count: u64,
    /// The highest severity among them.
    pub severity: Severity,
}

/// Records the alerts that a delivery found for one caller, and claims the notices that are due or
/// abandoned; none for a `muted` caller.
pub fn record(log: &mut IncidentLog, found: &[Found<'_>], muted: bool, claimant: &Claimant<'_>) -> Recorded {
    claimant.owner.clone_into(&mut log.writer);
    let mut recorded = Recorded {
        places: vec![Place { begin: EventTime::from_epoch_ms(0), number: 0 }; found.len()],
        ..Recorded::default()
    };
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by(|one, other| {
        (found[*one].at, &found[*one].key).cmp(&(found[*other].at, &found[*other].key))
    });
    let mut models: BTreeMap<(EventTime, &str), BTreeSet<Option<&str>>> = BTreeMap::new();
    for index in order {
        let alert = &found[index];
        let begin = log.nearest(alert.at).unwrap_or(alert.at);
        let incident = log.incidents.entry(begin).or_insert_with(|| {
            recorded.begun += 1;
            Incident::new(alert)
        });
        let known = alert.number.filter(|_| incident.alerts > 0).or_else(|| incident.number_of(alert));
        let number = known.unwrap_or_else(|| {
            if alert.rule.group_by.contains(&Field::Model) {
                let model = alert.key.get(alert.rule, Field::Model);
                models.entry((begin, alert.rule.id)).or_default().insert(model);
            }
            incident.add(alert)
        });
        incident.changed_at = claimant.now;
        recorded.places[index] = Place { begin, number };
    }
    for ((begin, rule), models) in models {
        if let Some(figures) = log.incidents.get_mut(&begin).and_then(|incident| incident.rules.get_mut(rule))
        {
            figures.models = figures.models.max(models.len() as u64);
        }
    }
    if !muted {
        let touched: BTreeSet<EventTime> = recorded.places.iter().map(|place| place.begin).collect();
        let held = log.incidents.iter_mut().filter_map(|(begin, incident)| {
            // Alerts recorded while the caller was muted are not reported unless the incident goes on.
            let mine = (touched.contains(begin) || incident.pending.is_some()) && incident.claim(claimant);
            mine.then_some(*begin)
        });
        recorded.held = held.collect();
    }
    recent::forget(&mut log.incidents, claimant.now);
    recorded
}

/// Records the outcome of the claimant's notice and looks again. Returns whether the claimant now holds
/// the next one.
pub fn mark(log: &mut IncidentLog, begin: EventTime, sent: Sent, claimant: &Claimant<'_>) -> bool {
    claimant.owner.clone_into(&mut log.writer);
    let Some(incident) = log.incidents.get_mut(&begin) else { return false };
    incident.changed_at = claimant.now;
    match sent {
        Sent::Not => {
            pending::release(&mut incident.pending, claimant.owner);
            return false;
        }
        Sent::Notice(told) => {
            incident.admission = Admission::Single;
            incident.notices = incident.notices.max(told.number);
            incident.told = incident.told.max(told.count);
            incident.told_severity = incident.told_severity.max(Some(told.severity));
            pending::sent(&mut incident.pending, told.number);
        }
        Sent::ToFlood(severity) => {
            incident.admission = Admission::Flooded;
            incident.told_severity = incident.told_severity.max(Some(severity));
            incident.pending = None;
        }
    }
    incident.claim(claimant)
}
