//! Which alerts of a caller belong together, and when a notice about them is due.
//!
//! Pure functions over the incidents of one caller. Each is a document of its own: incidents begin more than
//! [`SPAN`] apart, so that at most one begins in a clock hour, and no document grows with their number.

mod record;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::count::caller::{Caller, digest};
use crate::count::document::DocumentId;
use crate::count::key::Key;
use crate::count::lease::Lease;
use crate::rule::definition::{Rule, Severity};
use crate::rule::field::Field;
use crate::source::time::EventTime;

pub use self::record::{IncidentSlot, NoticeOutcome, Recorded, mark, record};

/// How far an incident reaches from its beginning, in either direction.
pub const SPAN: Duration = Duration::from_secs(3600);
/// Little compared with the 15 days for which all of it is kept.
const RENEWED_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How many alerts an incident remembers one by one: the one that a notice shows in full, and ten more.
pub const MAX_TOP: usize = 11;
/// The next notice is due at this multiple of the alerts that the last one reported.
const GROWTH: u64 = 4;

/// Incidents of one caller, by their beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentLog {
    /// At most one per instant.
    pub incidents: BTreeMap<EventTime, Incident>,
}

impl IncidentLog {
    /// The beginning of the incident that an alert at `at` belongs to, if there is one: the nearest within
    /// [`SPAN`], the earlier of two.
    #[must_use]
    pub fn nearest(&self, at: EventTime) -> Option<EventTime> {
        let within = self.incidents.range(at.minus(SPAN)..=at.plus(SPAN)).map(|(begin, _)| *begin);
        within.min_by_key(|begin| (begin.epoch_ms().abs_diff(at.epoch_ms()), *begin))
    }
}

/// The alerts of one caller within [`SPAN`] of the first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Incident {
    /// The time of the alert that was recorded first.
    pub begin: EventTime,
    /// Alerts recorded.
    pub alerts: u64,
    /// The highest severity among them.
    pub highest: Option<Severity>,
    /// How many alerts the last notice reported.
    pub told: u64,
    /// The highest severity that a notice reported.
    pub told_severity: Option<Severity>,
    /// Notices sent.
    pub notices: u64,
    /// An alert says that its caller was served what it was denied before.
    #[serde(default)]
    pub served: bool,
    /// A notice reported that.
    #[serde(default)]
    pub told_served: bool,
    /// For each severity that its alerts rose to, which notices it gets.
    pub admissions: BTreeMap<Severity, Admission>,
    /// The oldest known denial of its alerts.
    pub first_seen: EventTime,
    /// The newest known denial of its alerts.
    pub last_seen: EventTime,
    /// Figures by rule id.
    pub rules: BTreeMap<String, RuleFigures>,
    /// The worst alerts, worst first, at most [`MAX_TOP`].
    pub top: Vec<RememberedAlert>,
    /// Who is about to send the next notice.
    pub lease: Option<Lease>,
    /// When a delivery last wrote it with all that belongs to it, in epoch seconds.
    pub renewed_at: u64,
}

/// Which notices an incident gets for one severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Admission {
    /// Not yet decided. Whoever finds it decides.
    Ask,
    /// It has a ticket: notices of its own.
    Ticket,
    /// Those of its crowd.
    Member,
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
pub struct RememberedAlert {
    /// The rule's id.
    pub rule: String,
    /// The values that the rule groups by.
    pub values: Vec<Option<Arc<str>>>,
    /// The time of the hot denial.
    pub at: EventTime,
    /// Its severity.
    pub severity: Severity,
    /// Its total when it was recorded.
    pub total: u64,
    /// `total` is a lower bound.
    #[serde(rename = "at_least")]
    pub is_lower_bound: bool,
    /// Its number in the incident, from 1.
    pub number: u64,
    /// It says that the caller was served what it was denied before.
    #[serde(default)]
    pub served: bool,
}

/// An alert that a delivery has found.
#[derive(Clone, Debug)]
pub struct NewAlert<'r> {
    /// The rule that fired.
    pub rule: &'r Rule,
    /// What it fired for.
    pub key: Key,
    /// The time of the hot denial.
    pub at: EventTime,
    /// Its severity, by [`severity::of`](super::severity::of).
    pub severity: Severity,
    /// Its oldest known denial.
    pub first_seen: EventTime,
    /// Its newest known denial.
    pub last_seen: EventTime,
    /// Its known distinct values.
    pub total: u64,
    /// `total` is a lower bound.
    pub is_lower_bound: bool,
    /// No other alert of the key can belong to the same incident.
    pub alone: bool,
}

/// The id of the incident of `caller` that begins at `begin`.
#[must_use]
pub fn id(caller: &Caller, begin: EventTime) -> String {
    digest(&[&caller.key().text(), &begin.epoch_ms().to_string()])
}

/// Where the incident that begins in the clock hour of `begin` is kept.
#[must_use]
pub fn document(caller: &Caller, begin: EventTime) -> DocumentId {
    DocumentId { partition: caller.key(), sort: sort_key(begin) }
}

/// Its place among the caller's documents: it sorts like its hour.
#[must_use]
pub fn sort_key(begin: EventTime) -> String {
    format!("{SORT_KEY}{}", begin.slot(SPAN))
}

/// Begins the sort key of every incident.
pub const SORT_KEY: &str = "incident#";

/// The id of notice `number` about the incident or crowd `id`.
#[must_use]
pub fn notice_id(id: &str, number: u64) -> String {
    digest(&[id, &number.to_string()])
}

impl Incident {
    fn new(first: &NewAlert<'_>) -> Self {
        Self {
            begin: first.at,
            alerts: 0,
            highest: None,
            told: 0,
            told_severity: None,
            notices: 0,
            served: false,
            told_served: false,
            admissions: BTreeMap::new(),
            first_seen: first.first_seen,
            last_seen: first.last_seen,
            rules: BTreeMap::new(),
            top: Vec::new(),
            lease: None,
            renewed_at: 0,
        }
    }

    /// Whether what belongs to it may expire soon after `now`, in epoch seconds: a redrive waits for two weeks, and
    /// then perhaps another one.
    #[must_use]
    pub fn is_stale(&self, now: u64) -> bool {
        now >= self.renewed_at.saturating_add(RENEWED_AFTER.as_secs())
    }

    /// The severities whose crowd reports it.
    pub fn memberships(&self) -> impl Iterator<Item = Severity> {
        self.admitted(Admission::Member)
    }

    /// Whether it has a ticket of any severity.
    #[must_use]
    pub fn has_ticket(&self) -> bool {
        self.admitted(Admission::Ticket).next().is_some()
    }

    fn admitted(&self, admission: Admission) -> impl Iterator<Item = Severity> {
        self.admissions.iter().filter(move |(_, found)| **found == admission).map(|(severity, _)| *severity)
    }

    /// The number of an alert it remembers.
    fn number_of(&self, alert: &NewAlert<'_>) -> Option<u64> {
        let same = |one: &&RememberedAlert| {
            one.at == alert.at && one.rule == alert.rule.id && one.values == alert.key.values
        };
        self.top.iter().find(same).map(|one| one.number)
    }

    /// Adds an alert and returns its number.
    fn add(&mut self, alert: &NewAlert<'_>) -> u64 {
        self.alerts = self.alerts.saturating_add(1);
        self.highest = self.highest.max(Some(alert.severity));
        self.served |= alert.rule.is_about_watched();
        self.first_seen = self.first_seen.min(alert.first_seen);
        self.last_seen = self.last_seen.max(alert.last_seen);
        if !self.rules.contains_key(alert.rule.id) {
            self.rules.insert(alert.rule.id.to_owned(), RuleFigures::default());
        }
        if let Some(figures) = self.rules.get_mut(alert.rule.id) {
            figures.alerts = figures.alerts.saturating_add(1);
            figures.total = figures.total.saturating_add(if alert.alone { alert.total } else { 0 });
            figures.most = figures.most.max(alert.total);
            figures.models =
                figures.models.saturating_add(u64::from(alert.alone && alert.differs_by_model()));
        }
        let rank = |one: &RememberedAlert| (Reverse(one.severity), !one.served, Reverse(one.total), one.at);
        let own = alert.finding(self.alerts);
        let place = self.top.partition_point(|one| rank(one) <= rank(&own));
        if place < MAX_TOP {
            self.top.truncate(MAX_TOP - 1);
            self.top.insert(place, own);
        }
        self.alerts
    }

    /// Whether a notice of its own is due.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let rises = self.highest > self.told_severity
            && self.highest.and_then(|highest| self.admissions.get(&highest)) == Some(&Admission::Ticket);
        let grows = self.notices == 0 || self.alerts >= self.told.saturating_mul(GROWTH);
        let enters = self.served && !self.told_served;
        self.has_ticket() && (grows || rises || enters)
    }
}

impl NewAlert<'_> {
    fn finding(&self, number: u64) -> RememberedAlert {
        RememberedAlert {
            rule: self.rule.id.to_owned(),
            values: self.key.values.clone(),
            at: self.at,
            severity: self.severity,
            total: self.total,
            is_lower_bound: self.is_lower_bound,
            number,
            served: self.rule.is_about_watched(),
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
