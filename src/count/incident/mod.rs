//! Which alerts of a caller belong together, and when a notice about them is due.
//!
//! Pure functions over the incidents of one caller; the wall clock (`now`) matters to leases and
//! expiry, never to the rule. Numbers are too high only after a crash between recording and marking,
//! when a retry records the same alerts again.

mod record;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::count::caller::{Caller, digest};
use crate::count::claims::Claimant;
use crate::count::key::Key;
use crate::count::pending::{self, Pending};
use crate::count::recent::{self, Entry};
use crate::log::time::EventTime;
use crate::rule::definition::{Rule, Severity};
use crate::rule::field::Field;

pub use self::record::{Place, Recorded, Sent, Told, mark, record};

/// How far an incident reaches from its beginning, in either direction.
pub const SPAN: Duration = Duration::from_secs(3600);
/// How many alerts an incident remembers one by one: the one that a notice shows in full, and ten more.
pub const MAX_TOP: usize = 11;
/// The next notice is due at this multiple of the alerts that the last one reported.
const GROWTH: u64 = 4;

/// The incidents of one caller, by their beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentLog {
    /// Incremented by every write; 0 before the first.
    pub version: u64,
    /// The delivery that wrote this version.
    pub writer: String,
    /// At most one per instant.
    pub incidents: BTreeMap<EventTime, Incident>,
}

impl IncidentLog {
    /// The beginning of the incident that an alert at `at` belongs to, if there is one.
    #[must_use]
    pub fn nearest(&self, at: EventTime) -> Option<EventTime> {
        recent::nearest(&self.incidents, at, SPAN)
    }
}

/// The alerts of one caller within [`SPAN`] of the first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Incident {
    /// Alerts recorded.
    pub alerts: u64,
    /// How many alerts the last notice reported.
    pub told: u64,
    /// The highest severity that a notice reported.
    pub told_severity: Option<Severity>,
    /// Notices sent.
    pub notices: u64,
    /// Which notices it gets.
    pub admission: Admission,
    /// The oldest known denial of its alerts.
    pub first_seen: EventTime,
    /// The newest known denial of its alerts.
    pub last_seen: EventTime,
    /// Figures by rule id.
    pub rules: BTreeMap<String, RuleFigures>,
    /// The worst alerts, worst first, at most [`MAX_TOP`].
    pub top: Vec<Finding>,
    /// The next notice, if one is under way.
    pub pending: Option<Pending>,
    /// When it last changed, in epoch seconds.
    pub changed_at: u64,
}

/// Which notices an incident gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Admission {
    /// Not yet decided.
    New,
    /// Notices of its own.
    Single,
    /// Those of its account's flood.
    Flooded,
}

/// An incident's figures for one rule; never above the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct RuleFigures {
    /// Alerts recorded.
    pub alerts: u64,
    /// The sum of their totals, counting each key once.
    pub total: u64,
    /// The largest total.
    pub most: u64,
    /// How many different models are known to be among them.
    pub models: u64,
}

/// An alert as an incident remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Finding {
    /// The rule's id.
    pub rule: String,
    /// The values that the rule groups by.
    pub values: Vec<Option<Arc<str>>>,
    /// The time of the hot denial.
    pub at: EventTime,
    /// The rule's severity.
    pub severity: Severity,
    /// Its total when it was recorded.
    pub total: u64,
    /// `total` is a lower bound.
    pub at_least: bool,
    /// Its number in the incident, from 1.
    pub number: u64,
}

/// An alert that a delivery has found.
#[derive(Clone, Debug)]
pub struct Found<'r> {
    /// The rule that fired.
    pub rule: &'r Rule,
    /// What it fired for.
    pub key: Key,
    /// The time of the hot denial.
    pub at: EventTime,
    /// Its oldest known denial.
    pub first_seen: EventTime,
    /// Its newest known denial.
    pub last_seen: EventTime,
    /// Its known distinct values.
    pub total: u64,
    /// `total` is a lower bound.
    pub at_least: bool,
    /// No other alert of the key can belong to the same incident.
    pub alone: bool,
    /// Its number in the incident, if an earlier delivery recorded it but could not send the notice.
    pub number: Option<u64>,
}

/// The id of the incident of `caller` that begins at `begin`.
#[must_use]
pub fn id(caller: &Caller, begin: EventTime) -> String {
    digest(&[&caller.key().text(), &begin.epoch_ms().to_string()])
}

/// The id of notice `number` about the incident or flood `id`.
#[must_use]
pub fn notice_id(id: &str, number: u64) -> String {
    digest(&[id, &number.to_string()])
}

impl Incident {
    fn new(first: &Found<'_>) -> Self {
        Self {
            alerts: 0,
            told: 0,
            told_severity: None,
            notices: 0,
            admission: Admission::New,
            first_seen: first.first_seen,
            last_seen: first.last_seen,
            rules: BTreeMap::new(),
            top: Vec::new(),
            pending: None,
            changed_at: 0,
        }
    }

    /// The highest severity of the alerts it remembers.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.top.first().map(|worst| worst.severity)
    }

    /// The number of an alert it remembers.
    fn number_of(&self, alert: &Found<'_>) -> Option<u64> {
        let same = |one: &&Finding| {
            one.at == alert.at && one.rule == alert.rule.id && one.values == alert.key.values
        };
        self.top.iter().find(same).map(|one| one.number)
    }

    /// Adds an alert and returns its number.
    fn add(&mut self, alert: &Found<'_>) -> u64 {
        self.alerts += 1;
        self.first_seen = self.first_seen.min(alert.first_seen);
        self.last_seen = self.last_seen.max(alert.last_seen);
        if !self.rules.contains_key(alert.rule.id) {
            self.rules.insert(alert.rule.id.to_owned(), RuleFigures::default());
        }
        if let Some(figures) = self.rules.get_mut(alert.rule.id) {
            figures.alerts += 1;
            figures.total += if alert.alone { alert.total } else { 0 };
            figures.most = figures.most.max(alert.total);
            figures.models += u64::from(alert.alone && alert.differs_by_model());
        }
        let rank = |severity, total, at| (Reverse(severity), Reverse(total), at);
        let own = rank(alert.rule.severity, alert.total, alert.at);
        let place = self.top.partition_point(|one| rank(one.severity, one.total, one.at) <= own);
        if place < MAX_TOP {
            self.top.truncate(MAX_TOP - 1);
            self.top.insert(place, alert.finding(self.alerts));
        }
        self.alerts
    }

    /// Whether a notice is due that nobody has claimed.
    fn is_due(&self) -> bool {
        let rises = self.severity() > self.told_severity;
        match self.admission {
            Admission::Flooded => rises,
            Admission::New | Admission::Single => {
                self.notices == 0 || self.alerts >= self.told.saturating_mul(GROWTH) || rises
            }
        }
    }

    fn claim(&mut self, claimant: &Claimant<'_>) -> bool {
        let due = self.is_due();
        pending::claim(&mut self.pending, self.notices, due, claimant)
    }
}

impl Entry for Incident {
    fn changed_at(&self) -> u64 {
        self.changed_at
    }

    fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    fn strip(&mut self) {
        self.top.truncate(usize::from(self.is_pending()));
        self.rules.clear();
    }
}

impl Found<'_> {
    fn finding(&self, number: u64) -> Finding {
        Finding {
            rule: self.rule.id.to_owned(),
            values: self.key.values.clone(),
            at: self.at,
            severity: self.rule.severity,
            total: self.total,
            at_least: self.at_least,
            number,
        }
    }

    /// Whether two keys of this rule and caller always mean two models.
    fn differs_by_model(&self) -> bool {
        let user = self.key.get(self.rule, Field::User);
        let fixed = user.is_none() || user == Caller::of(self.rule, &self.key).arn.as_deref();
        fixed
            && self.rule.group_by.iter().all(|field| {
                Field::IDENTITIES.contains(field) || matches!(field, Field::Account | Field::Model)
            })
            && self.rule.group_by.contains(&Field::Model)
    }
}

#[cfg(test)]
mod tests;
