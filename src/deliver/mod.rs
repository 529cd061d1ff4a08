//! One delivery, once its object has been read.
//!
//! | phase | file |
//! |---|---|
//! | Each key: add → read the window → decide which alerts are due | [`keys`] |
//! | Each caller: record its alerts and count them in its incidents | [`record`] |
//! | All callers: decide which notices their incidents get | [`admit`] |
//! | Put the incidents on the watch list, and read what their callers were served | [`watch`] |
//! | Send the notices that are due | [`notify`] |
//! | Mark the alerts published | [`callers`] |
//! | Throughout: change a document that others may change | [`change`] |
//!
//! What is decided is written before anything is sent, so that a retry, a redrive or another delivery finds the same
//! answers.
//!
//! Every step may be repeated, so any failure fails the delivery, and it is retried. A failure of one
//! key or caller holds up no other. The records of a batch are one delivery: those fail that count toward a key
//! that was not settled, the others succeed. What finds too little time is not begun, and fails likewise.

mod admit;
mod again;
mod callers;
pub mod change;
mod keys;
mod notify;
mod record;
mod time;
mod watch;
mod work;

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use glob::Pattern;
use indexmap::IndexMap;

use crate::alert::sink::{AlertSink, SinkError};
use crate::count::caller::Caller;
use crate::count::lease::Claimant;
use crate::count::store::{Store, StoreError};
use crate::count::tally::Tally;
use crate::count::watch::WatchList;
use crate::reader::{Limits, Read, Reader};
use crate::rule::definition::Rule;
use crate::source::time::EventTime;

pub use self::again::Again;
pub use self::time::TimeLeft;

/// How long counters, alerts and incidents live: longer than the longest redrive of a failed delivery, which waits
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
    /// Who delivers, when, and how long its leases hold.
    pub claimant: Claimant<'a>,
}

/// An alert that is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The time of the hot denial.
    pub at: EventTime,
    /// Whether a notice of this delivery reported it.
    pub is_reported: bool,
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
    /// Of what came in events, the records that count toward a key that was not counted, recorded or published:
    /// the numbers that [`Tally::begin_record`] got.
    pub unsettled: BTreeSet<u32>,
}

impl Outcome {
    fn fail(&mut self, failure: Failure) {
        self.failed = self.failed.saturating_add(1);
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(failure);
        }
    }

    /// Reports that so many keys or callers were not begun: one failure, however many.
    fn out_of_time(&mut self, keys: usize) {
        self.failed = self.failed.saturating_add(1);
        self.failures.push(Failure::OutOfTime(keys));
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
        "the {0} changed {MAX_ATTEMPTS} times while they were being changed; the delivery will be tried again"
    )]
    Contended(&'static str),
    /// Another delivery, which may be this one's dead self, holds what is due.
    #[error("another delivery holds {0} that is due; the delivery will be tried again")]
    Held(&'static str),
    /// Store or topic is down.
    #[error(
        "the {0} answered none of {MAX_UNANSWERED} keys in a row; the object's other keys were not tried; the delivery will be tried again"
    )]
    Unanswered(&'static str),
    /// The time ran out.
    #[error("there was no time left for {0} keys or callers; the delivery will be tried again")]
    OutOfTime(usize),
    /// The topic is down.
    #[error(
        "the topic accepted none of {MAX_REFUSED} notices in a row; the others were not tried; the delivery will be tried again"
    )]
    TopicDown,
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

impl<S: Store, K: AlertSink> Pipeline<S, K> {
    /// Begins to read an object; push its bytes, then [`Self::commit`] what was tallied.
    #[must_use]
    pub fn read<'o>(&self, object: &'o str) -> Reader<'o> {
        Reader::new(object, self.tally(), self.limits)
    }

    /// The same, which also counts the successful calls of the callers in `list`.
    #[must_use]
    pub fn read_watching<'o>(&self, object: &'o str, list: Arc<WatchList>) -> Reader<'o> {
        Reader::new(object, self.tally().watching(list), self.limits)
    }

    /// The same, into `tally`.
    #[must_use]
    pub fn reader<'o>(&self, object: &'o str, tally: Tally) -> Reader<'o> {
        Reader::new(object, tally, self.limits)
    }

    /// An empty tally, for records that come in an event.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally::new(self.rules.clone(), self.exempt_users.clone())
    }

    /// Reads record `number` of an event into what its earlier records were tallied in. `name` replaces a
    /// missing request id.
    #[must_use]
    pub fn read_record(&self, name: &str, json: &str, number: u32, mut tally: Tally) -> Read {
        tally.begin_record(number);
        let mut reader = Reader::new(name, tally, self.limits);
        reader.push(json.as_bytes());
        reader.finish()
    }

    /// Counts what an object or an event holds, and sends the notices that are due.
    pub async fn commit(&self, tally: Tally, delivery: Delivery<'_>) -> Outcome {
        self.commit_within(TimeLeft::UNLIMITED, tally, delivery).await
    }

    /// The same, of what can be begun in `time`.
    pub async fn commit_within(&self, time: TimeLeft<'_>, tally: Tally, delivery: Delivery<'_>) -> Outcome {
        self.commit_with(time, tally, delivery, None).await
    }

    /// The same; `again` reads the object once more, where incidents begin in it.
    pub async fn commit_with(
        &self,
        time: TimeLeft<'_>,
        tally: Tally,
        delivery: Delivery<'_>,
        again: Option<Again<'_>>,
    ) -> Outcome {
        let looking = watch::Looking::new(Arc::clone(tally.watched()), again);
        let mut outcome = Outcome::default();
        let mut round = Round::default();
        let keys = tally.into_summaries();
        let keys = keys.map(|summary| (summary.records.clone(), self.count(summary, delivery)));
        // Once something is found, half of the time is left to record and report it. Or an object of many keys would
        // use it all for counting, at each attempt.
        let (half, found) = (time.first_half(), Cell::new(false));
        let may_begin = || if found.get() { half.suffices() } else { time.suffices() };
        let take = |counted, failure| {
            let failure = round.take(counted, failure);
            found.set(!round.found.is_empty());
            failure
        };
        let late = work::within(may_begin, keys, &mut outcome, take).await;
        round.unsettled.extend(late.into_iter().flatten());
        loop {
            let mut rest = std::mem::take(&mut round.rest);
            let failed = self.publish(time, &mut round, delivery, &looking, &mut outcome).await;
            // What was found when the object was read again.
            rest.append(&mut round.rest);
            // A key with more alerts than one round takes goes on once these are published.
            let (dropped, rest): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|key| failed.contains(&key.caller()));
            round.unsettled.extend(dropped.into_iter().flat_map(|key| key.records));
            if rest.is_empty() {
                outcome.unsettled = round.unsettled;
                return outcome;
            }
            let keys = rest.into_iter().map(|key| (key.records.clone(), self.find(key)));
            let take = |counted, failure| round.take(counted, failure);
            let half = time.first_half();
            let late = work::within(|| half.suffices(), keys, &mut outcome, take).await;
            round.unsettled.extend(late.into_iter().flatten());
        }
    }

    /// Records what was found and sends the notices that are due. Returns the callers for which some of this
    /// failed.
    async fn publish<'r>(
        &'r self,
        time: TimeLeft<'_>,
        round: &mut Round<'r>,
        delivery: Delivery<'_>,
        looking: &watch::Looking<'_>,
        outcome: &mut Outcome,
    ) -> HashSet<Caller> {
        let found = std::mem::take(&mut round.found);
        let callers: Vec<Caller> = found.keys().cloned().collect();
        let known = outcome.failures.len();
        let failed = if found.is_empty() || time.suffices() {
            let (failed, more) = self.notify(time, found, delivery, looking, outcome).await;
            round.rest.extend(more);
            let is_silent = |failure: &Failure| matches!(failure, Failure::Unanswered(_));
            // Some callers were not tried then, and nothing says which.
            if outcome.failures.iter().skip(known).any(is_silent) {
                callers.into_iter().collect()
            } else {
                failed
            }
        } else {
            outcome.out_of_time(callers.len());
            callers.into_iter().collect()
        };
        for (caller, records) in round.counting.drain() {
            if failed.contains(&caller) {
                round.unsettled.extend(records);
            }
        }
        failed
    }
}

/// What some keys of a delivery came to.
#[derive(Default)]
struct Round<'r> {
    found: IndexMap<Caller, Vec<keys::KeyAlerts<'r>>>,
    rest: Vec<keys::KeyWork<'r>>,
    /// The records that count toward the keys in `found`.
    counting: HashMap<Caller, Vec<u32>>,
    unsettled: BTreeSet<u32>,
}

impl<'r> Round<'r> {
    /// Takes what one key came to; returns the failure to report.
    fn take(&mut self, counted: keys::KeyResult<'r>, failure: Option<Failure>) -> Option<Failure> {
        if failure.is_some() {
            self.unsettled.extend(&counted.records);
        }
        if let Some(caller) = counted.caller().filter(|_| !counted.records.is_empty()) {
            self.counting.entry(caller).or_default().extend(&counted.records);
        }
        self.rest.extend(keys::file_by_caller(counted, &mut self.found));
        failure
    }
}
