//! The in-memory store: for `replay`, and the reference for the one in DynamoDB.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

use crate::count::caller::Caller;
use crate::count::claims::{self, AlertLog};
use crate::count::compact::Counters;
use crate::count::counter::{Contribution, Counter, Slot};
use crate::count::document::{Body, Change, DocumentId, Versioned};
use crate::count::incident::{self, Incident};
use crate::count::key::Key;
use crate::count::store::{CallerState, CounterStore, Mute, StoreError};
use crate::rule::definition::Rule;
use crate::source::time::EventTime;

/// Keeps everything until dropped: expiry is garbage collection, which memory does not need.
#[derive(Default)]
pub struct EmbeddedStore {
    keys: Mutex<IndexMap<Key, Counted>>,
    documents: Mutex<IndexMap<Key, BTreeMap<String, Versioned<Body>>>>,
    mutes: Mutex<BTreeMap<Caller, Mute>>,
}

/// What is counted of one key.
#[derive(Default)]
struct Counted {
    counters: Counters,
    archived: BTreeSet<EventTime>,
}

/// Everything stored for one key.
#[derive(Clone, Debug, Default)]
pub struct Item {
    /// Its counters.
    pub counters: Counters,
    /// The key's pending and recent alerts.
    pub alerts: AlertLog,
    /// Its older ones.
    pub archived: BTreeSet<EventTime>,
}

impl Item {
    /// The times of the key's alerts.
    #[must_use]
    pub fn alert_times(&self) -> BTreeSet<EventTime> {
        self.alerts.alerts.keys().chain(&self.archived).copied().collect()
    }
}

impl EmbeddedStore {
    /// All keys and their state, in the order of their first denial.
    pub fn into_keys(self) -> impl Iterator<Item = (Key, Item)> {
        let keys = self.keys.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut documents = self.documents.into_inner().unwrap_or_else(PoisonError::into_inner);
        keys.into_iter().map(move |(key, Counted { counters, archived })| {
            let alerts = documents.get_mut(&key).and_then(|kept| kept.remove(claims::SORT_KEY));
            let alerts = alerts.and_then(|log| log.read(claims::SORT_KEY).ok());
            let alerts = alerts.map(|log: Versioned<AlertLog>| log.value).unwrap_or_default();
            (key, Item { counters, alerts, archived })
        })
    }

    /// All callers and their state, in the order of their first alert.
    #[must_use]
    pub fn callers(&self) -> Vec<(Caller, CallerState)> {
        let (documents, mutes) = (lock(&self.documents), lock(&self.mutes));
        let callers = documents.iter().filter_map(|(key, kept)| {
            let caller = Caller::of_key(key)?;
            let mut state = CallerState { mute: mutes.get(&caller).cloned(), ..CallerState::default() };
            for (sort, document) in kept.range(incident::SORT_KEY.to_owned()..) {
                if let Ok(incident) = document.clone().read::<Incident>(sort) {
                    state.log.incidents.insert(incident.value.begin, incident.value);
                }
            }
            Some((caller, state))
        });
        callers.collect()
    }

    /// Mutes a caller.
    pub fn mute(&self, caller: &Caller, mute: Mute) {
        lock(&self.mutes).insert(caller.clone(), mute);
    }

    /// All documents, for tests that look at what is kept.
    #[must_use]
    pub fn all_documents(&self) -> Vec<(DocumentId, Versioned<Body>)> {
        let documents = lock(&self.documents);
        let of_partition = |(partition, kept): (&Key, &BTreeMap<String, Versioned<Body>>)| {
            let partition = partition.clone();
            let named = |(sort, document): (&String, &Versioned<Body>)| {
                (DocumentId { partition: partition.clone(), sort: sort.clone() }, document.clone())
            };
            kept.iter().map(named).collect::<Vec<_>>()
        };
        documents.iter().flat_map(of_partition).collect()
    }

    fn keys(&self) -> MutexGuard<'_, IndexMap<Key, Counted>> {
        lock(&self.keys)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CounterStore for EmbeddedStore {
    async fn add(
        &self,
        _: &Rule,
        key: &Key,
        slot: Slot,
        contribution: &Contribution,
        _: u64,
    ) -> Result<(), StoreError> {
        let mut keys = self.keys();
        let item = keys.entry(key.clone()).or_default();
        item.counters.add(slot, contribution);
        Ok(())
    }

    async fn counters(
        &self,
        key: &Key,
        slots: RangeInclusive<EventTime>,
    ) -> Result<Vec<Counter>, StoreError> {
        Ok(self.keys().get(key).map(|item| item.counters.within(slots)).unwrap_or_default())
    }

    async fn archived_alerts(
        &self,
        key: &Key,
        between: RangeInclusive<EventTime>,
    ) -> Result<BTreeSet<EventTime>, StoreError> {
        let keys = self.keys();
        let archived = keys.get(key).into_iter().flat_map(|item| item.archived.range(between.clone()));
        Ok(archived.copied().collect())
    }

    async fn archive_alerts(&self, key: &Key, alerts: &[EventTime], _: u64) -> Result<(), StoreError> {
        self.keys().entry(key.clone()).or_default().archived.extend(alerts);
        Ok(())
    }

    async fn documents(
        &self,
        partition: &Key,
        first: &str,
        last: &str,
    ) -> Result<Vec<(String, Versioned<Body>)>, StoreError> {
        let documents = lock(&self.documents);
        let kept = documents.get(partition).filter(|_| first <= last).into_iter();
        let found = kept.flat_map(|kept| kept.range(first.to_owned()..=last.to_owned()));
        Ok(found.map(|(sort, document)| (sort.clone(), document.clone())).collect())
    }

    async fn write(&self, changes: &[Change], _: u64) -> Result<bool, StoreError> {
        let mut documents = lock(&self.documents);
        let version = |Change { id, .. }: &Change| {
            documents.get(&id.partition).and_then(|kept| kept.get(&id.sort)).map_or(0, |one| one.version)
        };
        if changes.iter().any(|change| version(change) != change.version) {
            return Ok(false);
        }
        for Change { id, version, body } in changes {
            if let Some(body) = body {
                let document = Versioned { version: version.saturating_add(1), value: body.clone() };
                documents.entry(id.partition.clone()).or_default().insert(id.sort.clone(), document);
            }
        }
        Ok(true)
    }

    async fn caller(&self, caller: &Caller) -> Result<CallerState, StoreError> {
        let mute = lock(&self.mutes).get(caller).cloned();
        Ok(CallerState { mute, ..CallerState::default() })
    }

    async fn pause(&self) {
        tokio::task::yield_now().await;
    }
}
