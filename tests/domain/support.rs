//! What the tests of the domain share: the scenario and its oracle, and doubles that behave.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::call::Source;
use bedrock_denial_watch::count::alerts::{self, AlertLog};
use bedrock_denial_watch::count::counter::{Contribution, Counter, Slot};
use bedrock_denial_watch::count::document::{Body, Change, DocumentId, Versioned};
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::count::store::{Store, StoreError, load};
use bedrock_denial_watch::deliver::{Delivery, Outcome, Pipeline, TimeLeft};
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::source::time::EventTime;

pub use crate::oracle::*;

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// Delivers messages that carry CloudTrail's records themselves, as one batch, at `now` (epoch seconds) for `owner`.
pub async fn deliver_batch<S: Store, K: AlertSink>(
    pipeline: &Pipeline<S, K>,
    messages: &[&[Denied]],
    owner: &str,
    now: u64,
    time: TimeLeft<'_>,
) -> Outcome {
    let mut tally = pipeline.tally();
    for (number, message) in (0..).zip(messages) {
        let log = log(&pipeline.rules[0], Source::CloudTrail, message);
        tally = pipeline.read_record("message", &log, number, tally).tally;
    }
    let claimant = Claimant { owner, now, lease: LEASE };
    pipeline.commit_within(time, tally, Delivery { object: "batch", claimant }).await
}

/// Which of so many messages the queue returns after a batch.
pub fn returned(outcome: &Outcome, messages: usize) -> Vec<bool> {
    let failed = |number: u32| outcome.unsettled.contains(&number);
    (0..).take(messages).map(failed).collect()
}

/// Keeps what it receives.
#[derive(Default)]
pub struct Recording {
    pub told: RefCell<Vec<Told>>,
}

impl AlertSink for &Recording {
    async fn notice(&self, _: &Notice<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn wants_alerts(&self) -> bool {
        true
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        let document = serde_json::from_str(&alert.document()).expect("JSON");
        self.told.borrow_mut().push(Told::of(alert.rule, &document));
        Ok(())
    }
}

/// Keeps each alert's document.
#[derive(Default)]
pub struct Documents {
    pub told: RefCell<Vec<String>>,
}

impl AlertSink for &Documents {
    async fn notice(&self, _: &Notice<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn wants_alerts(&self) -> bool {
        true
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        self.told.borrow_mut().push(alert.document());
        Ok(())
    }
}

/// When calls fail. Counts calls of store and sink together.
#[derive(Default)]
pub struct Weather {
    /// The call that fails, counted from 0; none if `None`.
    pub fails: Cell<Option<usize>>,
    /// It fails after its effect, not before: a lost acknowledgement.
    pub after: Cell<bool>,
    /// All later calls fail too, without effect: the process has died.
    pub fatal: Cell<bool>,
    pub calls: Cell<usize>,
    /// Seed for how long each call waits, so that deliveries interleave; 0 for never.
    pub seed: Cell<u64>,
    /// How many of 256 calls fail, before or after their effect.
    pub odds: Cell<u64>,
    /// When each document that was written may be deleted, in epoch seconds.
    pub expiries: RefCell<BTreeMap<DocumentId, u64>>,
}

enum Fate {
    Works,
    FailsBefore,
    FailsAfter,
}

impl Weather {
    async fn next(&self) -> Fate {
        if self.seed.get() > 0 {
            let seed = self.seed.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            self.seed.set(seed | 1);
            for _ in 0..(seed >> 60) % 4 {
                tokio::task::yield_now().await;
            }
        }
        let call = self.calls.replace(self.calls.get() + 1);
        let luck = self.seed.get() >> 40;
        if luck % 256 < self.odds.get() {
            return if luck & 256 == 0 { Fate::FailsBefore } else { Fate::FailsAfter };
        }
        match self.fails.get() {
            Some(fails) if call == fails && self.after.get() => Fate::FailsAfter,
            Some(fails) if call == fails || (call > fails && self.fatal.get()) => Fate::FailsBefore,
            _ => Fate::Works,
        }
    }
}

/// Which call is the first notice of a delivery whose one key has one slot. Before it: add, counters, alerts; caller,
/// incidents, record; tickets, ticket, incident, answer; watch list, entry; incident, lease, counters, served.
pub const FIRST_NOTICE: usize = 16;

/// Which call of the same delivery is the one that records.
pub const RECORDED: usize = 5;

/// The alerts of a key as the store holds them.
pub fn alert_log(store: &MemoryStore, key: &Key) -> AlertLog {
    let log: Versioned<AlertLog> = block_on(load(store, &alerts::document(key))).expect("a log");
    log.value
}

/// Another store or sink, under faults.
pub struct Faulty<'a, T> {
    pub inner: T,
    pub weather: &'a Weather,
}

/// A pipeline whose every call meets the `weather`.
pub fn in_weather<'a, K>(
    rule: Rule,
    store: &'a MemoryStore,
    sink: &'a K,
    weather: &'a Weather,
) -> Pipeline<Faulty<'a, &'a MemoryStore>, Faulty<'a, &'a K>> {
    pipeline(rule, Faulty { inner: store, weather }, Faulty { inner: sink, weather })
}

fn store_error() -> StoreError {
    StoreError { operation: "injected".to_owned(), cause: "fault".into(), refused: false }
}

impl<T> Faulty<'_, T> {
    async fn call<R>(&self, effect: impl Future<Output = Result<R, StoreError>>) -> Result<R, StoreError> {
        match self.weather.next().await {
            Fate::Works => effect.await,
            Fate::FailsBefore => Err(store_error()),
            Fate::FailsAfter => effect.await.and_then(|_| Err(store_error())),
        }
    }
}

impl Store for Faulty<'_, &MemoryStore> {
    async fn add(
        &self,
        rule: &Rule,
        key: &Key,
        slot: Slot,
        contribution: &Contribution,
        expires_at: u64,
    ) -> Result<(), StoreError> {
        self.call(self.inner.add(rule, key, slot, contribution, expires_at)).await
    }

    async fn counters(
        &self,
        key: &Key,
        minutes: u16,
        starts: RangeInclusive<EventTime>,
    ) -> Result<Vec<Counter>, StoreError> {
        self.call(self.inner.counters(key, minutes, starts)).await
    }

    async fn documents(
        &self,
        partition: &Key,
        first: &str,
        last: &str,
    ) -> Result<Vec<(String, Versioned<Body>)>, StoreError> {
        self.call(self.inner.documents(partition, first, last)).await
    }

    async fn write(&self, changes: &[Change], expires_at: u64) -> Result<bool, StoreError> {
        let effect = async {
            let written = self.inner.write(changes, expires_at).await?;
            let documents = changes.iter().filter(|change| written && change.body.is_some());
            let ids = documents.map(|change| (change.id.clone(), expires_at));
            self.weather.expiries.borrow_mut().extend(ids);
            Ok(written)
        };
        self.call(effect).await
    }

    async fn pause(&self) {
        self.inner.pause().await;
    }
}

impl<T: AlertSink> Faulty<'_, T> {
    async fn send(&self, effect: impl Future<Output = Result<(), SinkError>>) -> Result<(), SinkError> {
        let error = || SinkError { operation: "injected".to_owned(), cause: "fault".into() };
        match self.weather.next().await {
            Fate::Works => effect.await,
            Fate::FailsBefore => Err(error()),
            Fate::FailsAfter => effect.await.and(Err(error())),
        }
    }
}

impl<T: AlertSink> AlertSink for Faulty<'_, T> {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        self.send(self.inner.notice(notice)).await
    }

    fn wants_alerts(&self) -> bool {
        self.inner.wants_alerts()
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        self.send(self.inner.alert(alert)).await
    }
}
