//! The in-memory store: for `replay`, and the reference for the one in DynamoDB.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

use crate::count::alerts::{self, AlertLog};
use crate::count::caller::Caller;
use crate::count::compact::Counters;
use crate::count::counter::{Contribution, Counter, Slot};
use crate::count::document::{Body, Change, DocumentId, Versioned};
use crate::count::key::Key;
use crate::count::served::{self, Calls};
use crate::count::store::{CallerState, Mute, Store, StoreError};
use crate::count::watch::{self, WatchList};
use crate::rule::definition::Rule;
use crate::source::time::EventTime;

/// Keeps everything until dropped: expiry is garbage collection, which memory does not need.
#[derive(Default)]
pub struct MemoryStore {
    counters: Mutex<IndexMap<Key, Counters>>,
    documents: Mutex<IndexMap<Key, BTreeMap<String, Versioned<Body>>>>,
}

/// Everything stored for one key.
#[derive(Clone, Debug, Default)]
pub struct StoredKey {
    /// Its counters.
    pub counters: Counters,
    /// The key's pending and recent alerts.
    pub alerts: AlertLog,
    archived: BTreeSet<EventTime>,
}

impl StoredKey {
    /// The times of the key's alerts.
    #[must_use]
    pub fn alert_times(&self) -> BTreeSet<EventTime> {
        self.alerts.alerts.keys().chain(&self.archived).copied().collect()
    }
}

impl MemoryStore {
    /// All keys and their state, in the order of their first denial.
    pub fn into_keys(self) -> impl Iterator<Item = (Key, StoredKey)> {
        let counters = self.counters.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut documents = self.documents.into_inner().unwrap_or_else(PoisonError::into_inner);
        // What is counted of watched callers belongs to no rule.
        let counters = counters.into_iter().filter(|(key, _)| !key.rule.starts_with('#'));
        counters.map(move |(key, counters)| {
            // What this version has written, it reads.
            let mut kept = documents.get_mut(&key).map(std::mem::take).unwrap_or_default();
            let alerts = kept.remove(alerts::SORT_KEY).and_then(|log| log.read(alerts::SORT_KEY).ok());
            let alerts = alerts.map(|log: Versioned<AlertLog>| log.value).unwrap_or_default();
            let days = kept.into_iter().filter_map(|(sort, day)| alerts::archived(&sort, day).ok());
            (key, StoredKey { counters, alerts, archived: days.flatten().collect() })
        })
    }

    /// What the callers of incidents were served, by caller and the beginning of the incident in milliseconds.
    #[must_use]
    pub fn served(&self) -> Vec<(Caller, i64, Calls)> {
        let counters = lock(&self.counters);
        let calls =
            counters.iter().filter(|(key, _)| key.rule == served::CALLS.id).filter_map(|(key, calls)| {
                let [account, arn, begin, _] = key.values.as_slice() else { return None };
                let tokens = Key { rule: served::TOKENS.id, values: key.values.clone() };
                let tokens = counters.get(&tokens).map(Counters::all).unwrap_or_default();
                let caller = Caller {
                    account: account.as_deref().map(Into::into),
                    arn: arn.as_deref().map(Into::into),
                };
                Some((caller, begin.as_deref()?.parse().ok()?, Calls::of(&calls.all(), &tokens)?))
            });
        calls.collect()
    }

    /// All callers and their state, in the order of their first alert.
    #[must_use]
    pub fn callers(&self) -> Vec<(Caller, CallerState)> {
        let (counters, documents) = (lock(&self.counters), lock(&self.documents));
        let id = watch::document();
        let list = documents.get(&id.partition).and_then(|kept| kept.get(&id.sort)).cloned();
        // What this version has written, it reads.
        let list = list.and_then(|list| list.read::<WatchList>(&id.sort).ok()).unwrap_or_default().value;
        let counted = |rule: &Rule, key: &Key| {
            let found = counters.get(key).map(Counters::all).unwrap_or_default();
            let of_length = |one: &Counter| one.slot.minutes == rule.slot_minutes();
            Ok::<_, Infallible>(found.into_iter().filter(of_length).collect())
        };
        let callers = documents.iter().filter_map(|(key, kept)| {
            let caller = Caller::of_key(key)?;
            let mut state = CallerState::default();
            for (sort, document) in kept {
                _ = state.merge(sort, document.clone());
            }
            _ = state.add_served(&caller, &list, counted);
            Some((caller, state))
        });
        callers.collect()
    }

    /// Mutes a caller.
    pub fn mute(&self, caller: &Caller, mute: Mute) {
        let id = Mute::document(caller);
        let body =
            Body::from_iter([("until".to_owned(), mute.until.into()), ("why".to_owned(), mute.why.into())]);
        let document = Versioned { version: 0, value: body };
        lock(&self.documents).entry(id.partition).or_default().insert(id.sort, document);
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
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for MemoryStore {
    async fn add(
        &self,
        _: &Rule,
        key: &Key,
        slot: Slot,
        contribution: &Contribution,
        _: u64,
    ) -> Result<(), StoreError> {
        lock(&self.counters).entry(key.clone()).or_default().add(slot, contribution);
        Ok(())
    }

    async fn counters(
        &self,
        key: &Key,
        minutes: u16,
        starts: RangeInclusive<EventTime>,
    ) -> Result<Vec<Counter>, StoreError> {
        Ok(lock(&self.counters).get(key).map(|counters| counters.within(minutes, starts)).unwrap_or_default())
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

    async fn pause(&self) {
        tokio::task::yield_now().await;
    }
}
