//! The port to the counters and alerts of all keys. Implementors: [`crate::count::memory`] in
//! memory, `dynamodb` in the cloud, and a fault-injecting one in the tests.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::count::caller::Caller;
use crate::count::counter::{Contribution, Counter, Slot};
use crate::count::document::{Body, Change, DocumentId, Versioned};
use crate::count::incident::{self, Incident, IncidentLog};
use crate::count::key::Key;
use crate::count::served::{self, Served};
use crate::count::watch::WatchList;
use crate::rule::definition::Rule;
use crate::source::time::EventTime;

pub use crate::count::error::StoreError;

/// The state of one caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerState {
    /// Incidents of the caller.
    pub log: IncidentLog,
    /// Set while the caller is muted.
    pub mute: Option<Mute>,
    /// What the caller was served since the first denial of an incident, by its beginning; none for those that are not
    /// watched.
    pub served: BTreeMap<EventTime, Served>,
}

impl CallerState {
    /// Adds one of the caller's documents. Anything else is something that a later version keeps beside them.
    ///
    /// # Errors
    /// When it holds something malformed.
    pub fn merge(&mut self, sort: &str, document: Versioned<Body>) -> Result<(), StoreError> {
        if sort.starts_with(incident::SORT_KEY) {
            let incident = document.read::<Incident>(sort)?.value;
            self.log.incidents.insert(incident.begin, incident);
        } else if sort == MUTE {
            self.mute = Some(document.read(sort)?.value);
        }
        Ok(())
    }

    /// Adds what the caller was served: `counters` of the keys of those incidents that are on the `list`.
    ///
    /// # Errors
    /// When `counters` fails.
    pub fn add_served<E>(
        &mut self,
        caller: &Caller,
        list: &WatchList,
        counters: impl Fn(&Rule, &Key) -> Result<Vec<Counter>, E>,
    ) -> Result<(), E> {
        for begin in self.log.incidents.keys() {
            let Some(entry) = list.about(caller, *begin) else { continue };
            let [calls, tokens] = served::RULES.map(|rule| counters(rule, &served::key(rule, entry)));
            self.served.insert(*begin, Served::of(entry, &calls?, &tokens?));
        }
        Ok(())
    }
}

/// An operator's order not to send notices about a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Mute {
    /// When it ends, in epoch seconds.
    pub until: u64,
    /// The operator's reason.
    #[serde(default)]
    pub why: String,
}

impl Mute {
    /// Whether the caller is muted at `now`, in epoch seconds.
    #[must_use]
    pub fn is_on(&self, now: u64) -> bool {
        now < self.until
    }

    /// Where it is kept.
    #[must_use]
    pub fn document(caller: &Caller) -> DocumentId {
        DocumentId { partition: caller.key(), sort: MUTE.to_owned() }
    }
}

/// Its place among the caller's documents.
pub const MUTE: &str = "mute";

/// Counters, alerts and incidents. Every promise below holds under any number of concurrent deliveries.
pub trait Store {
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

    /// The counters of `key` whose slots are `minutes` long and start within `starts`, by slot and log, as of the
    /// latest finished write.
    ///
    /// # Errors
    /// When the store cannot be read, or holds something malformed.
    fn counters(
        &self,
        key: &Key,
        minutes: u16,
        starts: RangeInclusive<EventTime>,
    ) -> impl Future<Output = Result<Vec<Counter>, StoreError>>;

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

    /// Lets other deliveries go on for a moment.
    fn pause(&self) -> impl Future<Output = ()>;
}

/// Reads one document; the default at version 0 if there is none.
///
/// # Errors
/// When the store cannot be read, or holds something malformed.
pub async fn load<T: DeserializeOwned + Default>(
    store: &impl Store,
    id: &DocumentId,
) -> Result<Versioned<T>, StoreError> {
    let found = store.documents(&id.partition, &id.sort, &id.sort).await?;
    found.into_iter().next().map_or_else(|| Ok(Versioned::default()), |(sort, document)| document.read(&sort))
}

/// The most changes in one write.
///
/// Source: `TransactWriteItems` in the Amazon DynamoDB API reference.
pub const MAX_CHANGES: usize = 100;
