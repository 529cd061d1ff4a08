//! One delivery, once its object has been read.
//!
//! | phase | file |
//! |---|---|
//! | Each key: add → read the window → decide → claim | [`keys`] |
//! | Each caller: record → send at most one notice → mark | [`callers`], [`telling`] |
//!
//! Every step may be repeated, so any failure fails the delivery, and it is retried. A failure of one
//! key or caller holds up no other.

mod callers;
mod keys;
mod telling;
mod work;

use std::time::Duration;

use glob::Pattern;
use indexmap::IndexMap;

use crate::alert::sink::{AlertSink, SinkError};
use crate::count::claims::{Claimant, MAX_PENDING};
use crate::count::store::{CounterStore, StoreError};
use crate::count::tally::Tally;
use crate::log::time::EventTime;
use crate::reader::{Limits, Reader};
use crate::rule::definition::Rule;

/// How long counters and claims live: longer than the longest redrive of a failed delivery, which waits
/// 14 days in its queue.
pub const RETENTION: Duration = Duration::from_secs(15 * 24 * 3600);
/// How many failures of one object are reported one by one; further ones are only counted.
pub const MAX_FAILURES: usize = 10;
/// After this many keys or callers in a row without an answer, the store counts as down, and the rest
/// are left to the retry. A caller can invent keys, but not keys that the store does not answer.
pub const MAX_UNANSWERED: usize = work::AT_ONCE;
/// After this many notices in a row that the topic did not accept, it counts as down.
const MAX_REFUSED: usize = 3;
/// How often a compare-and-set is tried. Each time it fails, another delivery has succeeded.
const MAX_ATTEMPTS: usize = 100;

/// The detector: rules between a store and a sink.
pub struct Pipeline<S, K> {
    /// Where counters, alerts and incidents are kept.
    pub store: S,
    /// Where notices and alerts go.
    pub sink: K,
    /// The rules.
    pub rules: Vec<Rule>,
    /// Users that are counted but never alerted.
    pub exempt_users: Vec<Pattern>,
    /// What one object may cost.
    pub limits: Limits,
}

/// One delivery of one object.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The object's name, as alerts show it.
    pub object: &'a str,
    /// Who claims, when, and for how long.
    pub claimant: Claimant<'a>,
}

/// An alert that is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The time of the hot denial.
    pub at: EventTime,
    /// Whether a notice of this delivery reported it.
    pub told: bool,
}

/// The result of one delivery.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The alerts that were found and recorded, and reported where a notice was due.
    pub published: Vec<Published>,
    /// Incidents that began.
    pub incidents: u64,
    /// Notices that the sink accepted.
    pub notices: u64,
    /// The first [`MAX_FAILURES`]; the delivery fails if there is any.
    pub failures: Vec<Failure>,
    /// How many keys and incidents failed.
    pub failed: usize,
}

impl Outcome {
    fn fail(&mut self, failure: Failure) {
        self.failed += 1;
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(failure);
        }
    }
}

/// Why a part of a delivery failed. It names no user or model: it is logged.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sink failed; the alerts stay pending.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Other deliveries kept changing the same item.
    #[error(
        "the {0} changed {MAX_ATTEMPTS} times while they were being claimed; the delivery will be tried again"
    )]
    Contended(&'static str),
    /// Too many alerts of one key are pending.
    #[error(
        "{MAX_PENDING} alerts of one key wait for other deliveries to publish them; the delivery will be tried again"
    )]
    Crowded,
    /// Store or topic is down.
    #[error(
        "the {0} answered none of {MAX_UNANSWERED} keys in a row; the object's other keys were not tried; the delivery will be tried again"
    )]
    Unanswered(&'static str),
    /// The topic is down.
    #[error(
        "the topic accepted none of {MAX_REFUSED} notices in a row; the others were not tried; the delivery will be tried again"
    )]
    Untold,
}

impl Failure {
    /// What did not answer.
    fn unanswered(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) if !error.refused => Some("store"),
            Self::Sink(_) => Some("topic"),
            _ => None,
        }
    }
}

impl<S: CounterStore, K: AlertSink> Pipeline<S, K> {
    /// Begins to read an object; push its bytes, then [`Self::commit`] what was tallied.
    #[must_use]
    pub fn read<'o>(&self, object: &'o str) -> Reader<'o> {
        let tally = Tally::new(self.rules.clone(), self.exempt_users.clone());
        Reader::new(object, tally, self.limits)
    }

    /// Counts what an object holds, and sends the notices that are due.
    pub async fn commit(&self, tally: Tally, delivery: Delivery<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut found = IndexMap::new();
        let mut rest = Vec::new();
        let keys = tally.into_summaries().map(|summary| self.count(summary, delivery));
        work::all(keys, &mut outcome, |counted, failure| {
            rest.extend(keys::sort(counted, &mut found));
            failure
        })
        .await;
        loop {
            let failed = self.tell(std::mem::take(&mut found), delivery, &mut outcome).await;
            // A key with more alerts than one write claims goes on once these are published.
            rest.retain(|key: &keys::Rest<'_>| !failed.contains(&key.caller()));
            if rest.is_empty() {
                return outcome;
            }
            let keys = std::mem::take(&mut rest).into_iter().map(|key| self.find(key, delivery));
            work::all(keys, &mut outcome, |counted, failure| {
                rest.extend(keys::sort(counted, &mut found));
                failure
            })
            .await;
        }
    }
}
