//! The in-memory store: for `replay`, and the reference for the one in DynamoDB.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

use crate::count::caller::Caller;
use crate::count::claims::AlertLog;
use crate::count::compact::Counters;
use crate::count::counter::{Contribution, Counter, Slot};
use crate::count::flood::FloodLog;
use crate::count::incident::IncidentLog;
use crate::count::key::Key;
use crate::count::store::{CallerState, CounterStore, Mute, StoreError};
use crate::log::time::EventTime;
use crate::rule::definition::Rule;

/// Keeps everything until dropped: expiry is garbage collection, which memory does not need.
#[derive(Default)]
pub struct EmbeddedStore {
    keys: Mutex<IndexMap<Key, Item>>,
    callers: Mutex<IndexMap<Caller, CallerState>>,
    accounts: Mutex<IndexMap<Option<String>, FloodLog>>,
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
        self.keys.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter()
    }

    /// All callers and their state, in the order of their first alert.
    #[must_use]
    pub fn callers(&self) -> Vec<(Caller, CallerState)> {
        let callers = lock(&self.callers);
        callers.iter().map(|(caller, state)| (caller.clone(), state.clone())).collect()
    }

    /// Mutes a caller.
    pub fn mute(&self, caller: &Caller, mute: Mute) {
        lock(&self.callers).entry(caller.clone()).or_default().mute = Some(mute);
    }

    fn keys(&self) -> MutexGuard<'_, IndexMap<Key, Item>> {
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

    async fn alerts(&self, key: &Key) -> Result<AlertLog, StoreError> {
        Ok(self.keys().get(key).map(|item| item.alerts.clone()).unwrap_or_default())
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

    async fn replace_alerts(&self, key: &Key, log: &AlertLog, _: u64) -> Result<bool, StoreError> {
        let mut keys = self.keys();
        let stored = &mut keys.entry(key.clone()).or_default().alerts;
        let same = stored.version == log.version;
        if same {
            *stored = AlertLog { version: log.version + 1, archived: BTreeSet::new(), ..log.clone() };
        }
        Ok(same)
    }

    async fn caller(&self, caller: &Caller) -> Result<CallerState, StoreError> {
        Ok(lock(&self.callers).get(caller).cloned().unwrap_or_default())
    }

    async fn replace_incidents(
        &self,
        caller: &Caller,
        log: &IncidentLog,
        _: u64,
    ) -> Result<bool, StoreError> {
        let mut callers = lock(&self.callers);
        let stored = &mut callers.entry(caller.clone()).or_default().log;
        let same = stored.version == log.version;
        if same {
            stored.clone_from(log);
            stored.version += 1;
        }
        Ok(same)
    }

    async fn floods(&self, account: Option<&str>) -> Result<FloodLog, StoreError> {
        let account = account.map(str::to_owned);
        Ok(lock(&self.accounts).get(&account).cloned().unwrap_or_default())
    }

    async fn replace_floods(
        &self,
        account: Option<&str>,
        log: &FloodLog,
        _: u64,
    ) -> Result<bool, StoreError> {
        let mut accounts = lock(&self.accounts);
        let stored = accounts.entry(account.map(str::to_owned)).or_default();
        let same = stored.version == log.version;
        if same {
            stored.clone_from(log);
            stored.version += 1;
        }
        Ok(same)
    }
}
