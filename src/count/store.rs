//! The port to the counters and alerts of all keys. Implementors: [`crate::count::embedded`] in
//! memory, `dynamodb` in the cloud, and a fault-injecting one in the tests.

use std::collections::BTreeSet;
use std::error::Error;
use std::ops::RangeInclusive;

use crate::count::caller::Caller;
use crate::count::claims::AlertLog;
use crate::count::counter::{Contribution, Counter, Slot};
use crate::count::flood::FloodLog;
use crate::count::incident::IncidentLog;
use crate::count::key::Key;
use crate::log::time::EventTime;
use crate::rule::definition::Rule;

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
    /// The caller's incidents.
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

    /// The alerts of `key` as of the latest finished write, without archived ones; empty at version 0 if
    /// there are none.
    ///
    /// # Errors
    /// As for [`Self::counters`].
    fn alerts(&self, key: &Key) -> impl Future<Output = Result<AlertLog, StoreError>>;

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

    /// The state of `caller` as of the latest finished write; empty at version 0 if there is none.
    ///
    /// # Errors
    /// As for [`Self::counters`].
    fn caller(&self, caller: &Caller) -> impl Future<Output = Result<CallerState, StoreError>>;

    /// Writes the caller's incidents as [`Self::replace_alerts`] writes a key's alerts.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn replace_incidents(
        &self,
        caller: &Caller,
        log: &IncidentLog,
        expires_at: u64,
    ) -> impl Future<Output = Result<bool, StoreError>>;

    /// The floods of `account` as of the latest finished write; empty at version 0 if there are none.
    ///
    /// # Errors
    /// As for [`Self::counters`].
    fn floods(&self, account: Option<&str>) -> impl Future<Output = Result<FloodLog, StoreError>>;

    /// Writes the account's floods as [`Self::replace_alerts`] writes a key's alerts.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn replace_floods(
        &self,
        account: Option<&str>,
        log: &FloodLog,
        expires_at: u64,
    ) -> impl Future<Output = Result<bool, StoreError>>;
}
