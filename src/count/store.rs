//! The port to the counters and alerts of all keys. Implementors: [`crate::count::embedded`] in
//! memory, `dynamodb` in the cloud, and a fault-injecting one in the tests.

use std::collections::BTreeSet;
use std::error::Error;
use std::ops::RangeInclusive;

use crate::count::caller::Caller;
use crate::count::counter::{Contribution, Counter, Slot};
use crate::count::document::{Body, Change, Versioned};
use crate::count::incident::IncidentLog;
use crate::count::key::Key;
use crate::rule::definition::Rule;
use crate::source::time::EventTime;

/// The store failed; the delivery fails too and is retried.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {cause}")]
pub struct StoreError {
    /// Operation and place, such as `DynamoDB Query on table x`.
    pub operation: String,
    /// The cause.
    pub cause: Box<dyn Error + Send + Sync>,
    /// The store answered and refused this request only: another key may succeed. `false` if it did not
    /// answer, or refuses everyone at present.
    pub refused: bool,
}

/// The state of one caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerState {
    /// Incidents of the caller.
    pub log: IncidentLog,
    /// Set while the caller is muted.
    pub mute: Option<Mute>,
}

/// An operator's order not to send notices about a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mute {
    /// When it ends, in epoch seconds.
    pub until: u64,
    /// The operator's reason.
    pub why: String,
}

impl CallerState {
    /// Whether the caller is muted at `now`, in epoch seconds.
    #[must_use]
    pub fn is_muted(&self, now: u64) -> bool {
        self.mute.as_ref().is_some_and(|mute| now < mute.until)
    }
}

/// Counters, alerts and incidents. Every promise below holds under any number of concurrent deliveries.
pub trait CounterStore {
    /// Adds `contribution` to a slot of `key`, atomically and once: adding the same again
    /// changes nothing and succeeds. The item may be deleted after `expires_at` (epoch seconds).
    ///
    /// # Errors
    /// When the store cannot be written; then either nothing was added or all of it.
    fn add(
        &self,
        rule: &Rule,
        key: &Key,
        slot: Slot,
        contribution: &Contribution,
        expires_at: u64,
    ) -> impl Future<Output = Result<(), StoreError>>;

    /// The counters of `key` whose slots start within `slots`, by slot and log, as of the latest
    /// finished write.
    ///
    /// # Errors
    /// When the store cannot be read, or holds something malformed.
    fn counters(
        &self,
        key: &Key,
        slots: RangeInclusive<EventTime>,
    ) -> impl Future<Output = Result<Vec<Counter>, StoreError>>;

    /// The archived alerts of `key` between two times, and possibly some around them.
    ///
    /// # Errors
    /// As for [`Self::counters`].
    fn archived_alerts(
        &self,
        key: &Key,
        between: RangeInclusive<EventTime>,
    ) -> impl Future<Output = Result<BTreeSet<EventTime>, StoreError>>;

    /// Adds published alerts to the archive of `key`; adding one again changes nothing. They may be
    /// deleted after `expires_at` (epoch seconds).
    ///
    /// # Errors
    /// When the store cannot be written; then any part of them may have been added.
    fn archive_alerts(
        &self,
        key: &Key,
        alerts: &[EventTime],
        expires_at: u64,
    ) -> impl Future<Output = Result<(), StoreError>>;

    /// The documents of a partition whose sort keys lie from `first` to `last`, in their order, as of the latest
    /// finished write.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn documents(
        &self,
        partition: &Key,
        first: &str,
        last: &str,
    ) -> impl Future<Output = Result<Vec<(String, Versioned<Body>)>, StoreError>>;

    /// Makes all of the changes, to different documents and at most [`MAX_CHANGES`], if each document still has the
    /// version that its change names; `false` if one has not, and then nothing was written. Also `false` if the
    /// write succeeded but its answer was lost and the store tried again: read, and decide again. Documents that
    /// are written may be deleted after `expires_at` (epoch seconds).
    ///
    /// # Errors
    /// When the store cannot be written; then either nothing was written or all of it.
    fn write(&self, changes: &[Change], expires_at: u64) -> impl Future<Output = Result<bool, StoreError>>;

    /// What operators have ordered about `caller`, and its incidents as an earlier version kept them.
    ///
    /// # Errors
    /// As for [`Self::counters`].
    fn caller(&self, caller: &Caller) -> impl Future<Output = Result<CallerState, StoreError>>;

    /// Lets other deliveries go on for a moment.
    fn pause(&self) -> impl Future<Output = ()>;
}

/// The most changes in one write.
///
/// Source: `TransactWriteItems` in the Amazon DynamoDB API reference.
pub const MAX_CHANGES: usize = 100;
