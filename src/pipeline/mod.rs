//! One delivery after its object was read.
//!
//! | phase | file |
//! |---|---|
//! | Each key: add → read the window → decide → claim | [`keys`] |
//! | Each caller: record → tell at most one notice → mark | [`callers`], [`telling`] |
//!
//! Every step may be repeated, so any failure is answered by failing the delivery and trying
//! it again. What fails for one key or caller holds up no other.

mod callers;
mod keys;
mod telling;
mod work;

use std::time::Duration;

use glob::Pattern;
use indexmap::IndexMap;

use crate::alert::sink::{AlertSink, SinkError};
use crate::count::caller::Caller;
use crate::count::claims::Claimant;
use crate::count::incident::Found;
use crate::count::store::{CounterStore, StoreError};
use crate::count::tally::Tally;
use crate::log::time::EventTime;
use crate::reader::{Limits, Reader};
use crate::rule::definition::Rule;

/// What is counted and claimed outlives the longest redrive of a failed delivery: 14 days in its
/// queue, and one to spare.
pub const RETENTION: Duration = Duration::from_secs(15 * 24 * 3600);
/// A delivery gives up after this many failures: the store or the topic is down.
pub const MAX_FAILURES: usize = 10;
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

/// An alert that is done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The alert's id.
    pub id: String,
    /// The time of the hot denial.
    pub at: EventTime,
    /// The id of the notice of this delivery that told of it.
    pub notice: Option<String>,
}

/// What became of one delivery.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The alerts that were found and recorded, and told where that was due.
    pub published: Vec<Published>,
    /// Incidents that began.
    pub incidents: u64,
    /// Notices that the sink took.
    pub notices: u64,
    /// At most [`MAX_FAILURES`] and those under way then; the delivery fails if there is any.
    pub failures: Vec<Failure>,
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
}

impl<S: CounterStore, K: AlertSink> Pipeline<S, K> {
    /// Begins to read an object; push its bytes, then [`Self::commit`] what was tallied.
    #[must_use]
    pub fn read<'o>(&self, object: &'o str) -> Reader<'o> {
        let tally = Tally::new(self.rules.clone(), self.exempt_users.clone());
        Reader::new(object, tally, self.limits)
    }

    /// Counts what an object holds and tells what is due.
    pub async fn commit(&self, tally: Tally, delivery: Delivery<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut found: IndexMap<Caller, Vec<Found<'_>>> = IndexMap::new();
        let mut unfinished = Vec::new();
        let counted = tally.into_summaries().map(|summary| self.count(summary, delivery));
        work::all(counted, &mut outcome, |counted| {
            if let Some(key) = keys::keep(counted, &mut found) {
                unfinished.push(key);
            }
        })
        .await;
        loop {
            self.tell(std::mem::take(&mut found), delivery, &mut outcome).await;
            if unfinished.is_empty() || outcome.has_given_up() {
                return outcome;
            }
            // A key with more alerts than one write claims goes on when these are told.
            let rest = std::mem::take(&mut unfinished).into_iter().map(|key| self.find(key, delivery));
            work::all(rest, &mut outcome, |counted| {
                if let Some(key) = keys::keep(counted, &mut found) {
                    unfinished.push(key);
                }
            })
            .await;
        }
    }
}

impl Outcome {
    fn has_given_up(&self) -> bool {
        self.failures.len() >= MAX_FAILURES
    }
}
