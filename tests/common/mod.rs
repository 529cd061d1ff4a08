//! What the tests share: a scenario, its brute-force oracle, and doubles that behave.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::time::Duration;

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::counter::{Contribution, Counter};
use bedrock_denial_watch::decision::{AlertLog, Claimant};
use bedrock_denial_watch::embedded::EmbeddedStore;
use bedrock_denial_watch::key::Key;
use bedrock_denial_watch::pipeline::{Delivery, Outcome, Pipeline};
use bedrock_denial_watch::reader::{Finished, Limits};
use bedrock_denial_watch::rule::{DENIED_MODEL, Rule};
use bedrock_denial_watch::sink::{AlertSink, SinkError};
use bedrock_denial_watch::store::{CounterStore, StoreError};
use bedrock_denial_watch::time::EventTime;

/// 2025-06-01T10:00:00Z in epoch seconds.
pub const TEN: i64 = 1_748_772_000;

/// One denial of model `model`; account and user are always the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    /// Seconds after [`TEN`].
    pub at: i64,
    pub model: u8,
    pub request: u32,
}

/// The denials that one object holds.
pub type Batch = Vec<Denied>;

pub fn log(batch: &[Denied]) -> String {
    batch.iter().fold(String::new(), |mut text, Denied { at, model, request }| {
        let time = EventTime::from_epoch_ms((TEN + at) * 1000);
        let _ = writeln!(
            text,
            r#"{{"timestamp":"{time}","accountId":"1","identity":{{"arn":"u"}},"modelId":"m{model}","requestId":"r{request}","errorCode":"AccessDeniedException"}}"#
        );
        text
    })
}

pub fn rule(threshold: usize, window_s: u64, cooldown_s: u64) -> Rule {
    Rule {
        threshold,
        window: Duration::from_secs(window_s),
        cooldown: Duration::from_secs(cooldown_s),
        ..DENIED_MODEL
    }
}

pub fn pipeline<S, K>(rule: Rule, store: S, sink: K) -> Pipeline<S, K> {
    Pipeline { store, sink, rule, exempt_users: Vec::new(), limits: Limits::default() }
}

pub const LEASE: Duration = Duration::from_secs(60);

/// Delivers one object at `now` (epoch seconds) for `owner`.
pub async fn deliver<S: CounterStore, K: AlertSink>(
    pipeline: &Pipeline<S, K>,
    batch: &[Denied],
    owner: &str,
    now: u64,
) -> Outcome {
    let mut reader = pipeline.read("object");
    assert!(reader.push(log(batch).as_bytes()));
    let claimant = Claimant { owner, now, lease: LEASE };
    let Finished::Read(read) = reader.finish() else { panic!("one reading") };
    pipeline.commit(read.tally, Delivery { object: "object", claimant }).await
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

// Oracle -----------------------------------------------------------------------------------

/// All distinct denials of one model, sorted by time.
pub fn of_model(batches: &[Batch], model: u8) -> Vec<(i64, u32)> {
    let all: BTreeSet<(i64, u32)> =
        batches.iter().flatten().filter(|one| one.model == model).map(|one| (one.at, one.request)).collect();
    all.into_iter().collect()
}

/// The times at which a denial is hot, by definition.
pub fn hot(denials: &[(i64, u32)], rule: &Rule) -> Vec<i64> {
    let window = i64::try_from(rule.window.as_secs()).expect("small");
    let is_hot = |at: i64| {
        let inside = denials.iter().filter(|(other, _)| (at - window..=at).contains(other));
        inside.map(|(_, request)| request).collect::<BTreeSet<_>>().len() > rule.threshold
    };
    denials.iter().map(|(at, _)| *at).filter(|at| is_hot(*at)).collect()
}

/// The scan: alert at t when hot and t > last alert + cooldown.
pub fn greedy(denials: &[(i64, u32)], rule: &Rule) -> Vec<i64> {
    let cooldown = i64::try_from(rule.cooldown.as_secs()).expect("small");
    let mut alerts: Vec<i64> = Vec::new();
    for at in hot(denials, rule) {
        if alerts.last().is_none_or(|last| at > last + cooldown) {
            alerts.push(at);
        }
    }
    alerts
}

/// An alert as the sink got it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    pub model: u8,
    pub at: i64,
    pub id: String,
    pub first: i64,
    pub last: i64,
    pub total: u64,
    pub at_least: bool,
    pub newest: Vec<String>,
}

/// Asserts that an alert's figures are those of what had been `delivered` when it was published.
/// Where an object held more than its samples, only the total is known, if it is not a lower bound.
#[track_caller]
pub fn assert_figures(delivered: &[Batch], rule: &Rule, alert: &Told) {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).expect("small");
    let (window, cooldown) = (seconds(rule.window), seconds(rule.cooldown));
    let denials = of_model(delivered, alert.model);
    let inside = |first: i64, last: i64| {
        denials.iter().filter(move |(at, _)| (first..=last).contains(at)).copied().collect::<Vec<_>>()
    };
    let distinct: BTreeSet<u32> =
        inside(alert.first, alert.last).into_iter().map(|(_, request)| request).collect();
    if !alert.at_least {
        assert_eq!(alert.total, distinct.len() as u64, "{alert:?}");
    }
    if delivered.iter().all(|batch| batch.len() <= 2 * rule.samples()) {
        let first = inside(alert.at - window, alert.at).first().map(|(at, _)| *at);
        let last = inside(alert.at, alert.at + cooldown).last().map(|(at, _)| *at);
        assert_eq!((Some(alert.first), Some(alert.last)), (first, last), "{alert:?}");
        let mut newest: Vec<(i64, String)> = inside(alert.first, alert.last)
            .iter()
            .map(|(at, request)| (*at, format!("r{request}")))
            .collect();
        newest.sort();
        let newest: Vec<String> =
            newest.into_iter().rev().take(10).rev().map(|(_, request)| request).collect();
        assert_eq!(alert.newest, newest, "{alert:?}");
    }
}

/// Asserts sound, complete, spaced, and figures never above the truth; returns the alert times by model.
#[track_caller]
pub fn assert_invariants(batches: &[Batch], rule: &Rule, told: &[Told]) -> BTreeMap<u8, Vec<i64>> {
    let cooldown = i64::try_from(rule.cooldown.as_secs()).expect("small");
    let mut by_model: BTreeMap<u8, Vec<i64>> = BTreeMap::new();
    let distinct: BTreeMap<&String, &Told> = told.iter().map(|alert| (&alert.id, alert)).collect();
    for alert in distinct.values() {
        by_model.entry(alert.model).or_default().push(alert.at);
    }
    for alert in told {
        let denials = of_model(batches, alert.model);
        let inside = denials.iter().filter(|(at, _)| (alert.first..=alert.last).contains(at));
        let truth = inside.map(|(_, request)| request).collect::<BTreeSet<_>>().len() as u64;
        assert!(alert.total <= truth, "figure above the truth {truth}: {alert:?}");
    }
    for times in by_model.values_mut() {
        times.sort_unstable();
        for pair in times.windows(2) {
            assert!(pair[1] - pair[0] > cooldown, "not spaced: {times:?}");
        }
    }
    let models: BTreeSet<u8> = batches.iter().flatten().map(|one| one.model).collect();
    for model in models {
        let hot = hot(&of_model(batches, model), rule);
        let alerts = by_model.get(&model).map(Vec::as_slice).unwrap_or_default();
        for alert in alerts {
            assert!(hot.contains(alert), "not sound: m{model} at {alert}, hot {hot:?}");
        }
        for at in hot {
            let covered = alerts.iter().any(|alert| (alert - at).abs() <= cooldown);
            assert!(covered, "not complete: m{model} at {at}, alerts {alerts:?}");
        }
    }
    by_model
}

// Doubles ----------------------------------------------------------------------------------

/// Keeps what it is told.
#[derive(Default)]
pub struct Recording {
    pub told: RefCell<Vec<Told>>,
}

impl AlertSink for &Recording {
    async fn publish(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        let document: serde_json::Value = serde_json::from_str(&alert.document()).expect("JSON");
        let time = |field: &str| {
            let text = document[field].as_str().expect("a time");
            EventTime::parse(text).expect("a time").epoch_ms() / 1000 - TEN
        };
        let model = document["gen_ai"]["request"]["model"]["id"].as_str().expect("a model");
        self.told.borrow_mut().push(Told {
            model: model[1..].parse().expect("a number"),
            at: time("@timestamp"),
            id: document["id"].as_str().expect("an id").to_owned(),
            first: time("first_seen"),
            last: time("last_seen"),
            total: document["total_denials"].as_u64().expect("a number"),
            at_least: document["total_denials_at_least"].as_bool().unwrap_or(false),
            newest: serde_json::from_value(document["request_ids"].clone()).expect("texts"),
        });
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
        match self.fails.get() {
            Some(fails) if call == fails && self.after.get() => Fate::FailsAfter,
            Some(fails) if call == fails || (call > fails && self.fatal.get()) => Fate::FailsBefore,
            _ => Fate::Works,
        }
    }
}

/// Another store or sink in bad weather.
pub struct Faulty<'a, T> {
    pub inner: T,
    pub weather: &'a Weather,
}

/// A pipeline whose every call meets the `weather`.
pub fn in_weather<'a>(
    rule: Rule,
    store: &'a EmbeddedStore,
    sink: &'a Recording,
    weather: &'a Weather,
) -> Pipeline<Faulty<'a, &'a EmbeddedStore>, Faulty<'a, &'a Recording>> {
    pipeline(rule, Faulty { inner: store, weather }, Faulty { inner: sink, weather })
}

fn store_error() -> StoreError {
    StoreError { operation: "injected".to_owned(), cause: "fault".into() }
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

impl CounterStore for Faulty<'_, &EmbeddedStore> {
    async fn add(
        &self,
        rule: &Rule,
        key: &Key,
        slot: EventTime,
        contribution: &Contribution,
        expires_at: u64,
    ) -> Result<(), StoreError> {
        self.call(self.inner.add(rule, key, slot, contribution, expires_at)).await
    }

    async fn counters(
        &self,
        key: &Key,
        slots: RangeInclusive<EventTime>,
    ) -> Result<Vec<Counter>, StoreError> {
        self.call(self.inner.counters(key, slots)).await
    }

    async fn alerts(&self, key: &Key) -> Result<AlertLog, StoreError> {
        self.call(self.inner.alerts(key)).await
    }

    async fn replace_alerts(&self, key: &Key, log: &AlertLog, expires_at: u64) -> Result<bool, StoreError> {
        self.call(self.inner.replace_alerts(key, log, expires_at)).await
    }
}

impl AlertSink for Faulty<'_, &Recording> {
    async fn publish(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        let error = || SinkError { operation: "injected".to_owned(), cause: "fault".into() };
        match self.weather.next().await {
            Fate::Works => (&self.inner).publish(alert).await,
            Fate::FailsBefore => Err(error()),
            Fate::FailsAfter => (&self.inner).publish(alert).await.and(Err(error())),
        }
    }
}
