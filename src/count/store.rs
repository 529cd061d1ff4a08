//! The port to the counters and alerts of all keys. Implementors: [`crate::count::embedded`] in
//! memory, `dynamodb` in the cloud, and a fault-injecting one in the tests.

use std::collections::BTreeSet;
use std::error::Error;
use std::ops::RangeInclusive;

use crate::count::claims::AlertLog;
use crate::count::counter::{Contribution, Counter, Slot};
use crate::count::key::Key;
use crate::log::time::EventTime;
use crate::rule::definition::Rule;

/// The store failed; the delivery fails with it and is tried again.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {cause}")]
pub struct StoreError {
    /// Operation and place, such as `DynamoDB Query on table x`.
    pub operation: String,
    /// Why.
    pub cause: Box<dyn Error + Send + Sync>,
    /// The store answered, and refused this one request: another key may fare better. `false` when it
    /// did not answer, or answers everybody that it cannot at present.
    pub refused: bool,
}

/// Counters and alerts. Every promise below holds under any number of concurrent deliveries.
pub trait CounterStore {
    /// Adds `contribution` to a slot of `key`, atomically and once: adding the same again
    /// changes nothing and succeeds. The item may be deleted after `expires_at` (epoch seconds).
    ///
    /// # Errors
    /// When the store cannot be written; nothing was added then, or all of it.
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
    /// When the store cannot be read, or holds what it should not.
    fn counters(
        &self,
        key: &Key,
        slots: RangeInclusive<EventTime>,
    ) -> impl Future<Output = Result<Vec<Counter>, StoreError>>;

    /// The alerts of `key` as of the latest finished write, without those that are archived; empty at
    /// version 0 where there are none.
    ///
    /// # Errors
    /// As for [`Self::counters`].
    fn alerts(&self, key: &Key) -> impl Future<Output = Result<AlertLog, StoreError>>;

    /// The archived alerts of `key` between two times, and perhaps others near them.
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
    /// When the store cannot be written; any part of it was added then.
    fn archive_alerts(
        &self,
        key: &Key,
        alerts: &[EventTime],
        expires_at: u64,
    ) -> impl Future<Output = Result<(), StoreError>>;

    /// Writes `log`, all but [`AlertLog::archived`], as version `log.version + 1` if the stored version still is `log.version`;
    /// `false` if it is not, and then nothing was written.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn replace_alerts(
        &self,
        key: &Key,
        log: &AlertLog,
        expires_at: u64,
    ) -> impl Future<Output = Result<bool, StoreError>>;
}
