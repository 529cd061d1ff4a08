//! What the tests share: a scenario, its brute-force oracle, and doubles that behave.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::claims::{AlertLog, Claimant};
use bedrock_denial_watch::count::counter::{Contribution, Counter, Slot};
use bedrock_denial_watch::count::embedded::EmbeddedStore;
use bedrock_denial_watch::count::flood::FloodLog;
use bedrock_denial_watch::count::incident::IncidentLog;
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::store::{CallerState, CounterStore, StoreError};
use bedrock_denial_watch::log::denial::Source;
use bedrock_denial_watch::log::time::EventTime;
use bedrock_denial_watch::pipeline::{Delivery, Outcome, Pipeline};
use bedrock_denial_watch::reader::{Finished, Limits, Read};
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use bedrock_denial_watch::rule::condition::Condition;
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::rule::field::Field;

/// 2025-06-01T10:00:00Z in epoch seconds.
pub const TEN: i64 = 1_748_772_000;

/// One denial, of one of a rule's keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    /// Seconds after [`TEN`].
    pub at: i64,
    pub key: u8,
    /// Which of the distinct values that the rule counts.
    pub value: u32,
}

/// The denials that one object holds.
pub type Batch = Vec<Denied>;

/// What a rule's keys and values look like in a record: user, model and request id of a denial.
fn fields(rule: &Rule, Denied { at, key, value }: &Denied) -> [String; 3] {
    let by_model = rule.group_by.contains(&Field::Model);
    let (session, model, request) = match rule.distinct {
        Field::Session => (format!("s{value}"), String::new(), format!("r{at}-{key}-{value}")),
        Field::Model => (String::new(), format!("m{value}"), format!("r{at}-{key}-{value}")),
        _ => ("s".to_owned(), "m".to_owned(), format!("r{value}")),
    };
    let user = if rule.group_by.contains(&Field::Role) {
        format!("arn:aws:sts::1:assumed-role/R/{session}")
    } else {
        format!("u{}", if by_model { String::new() } else { key.to_string() })
    };
    [user, if by_model { format!("m{key}") } else { model }, request]
}

/// What a record must show for the rule to count it, as a member.
fn shown(rule: &Rule) -> String {
    match rule.record {
        Condition { error_codes: [code, ..], .. } => format!(r#""errorCode":"{code}""#),
        Condition { succeeded: true, .. } => r#""output":{"outputBodyJson":{"content":[]}}"#.to_owned(),
        _ => concat!(
            r#""output":{"outputBodyJson":{"stopReason":"guardrail_intervened","trace":{"guardrail":{"inputAssessment":{"g":{"#,
            r#""topicPolicy":{"topics":[{"type":"DENY","action":"BLOCKED"}]},"#,
            r#""contentPolicy":{"filters":[{"type":"HATE","confidence":"HIGH","action":"BLOCKED"}]},"#,
            r#""wordPolicy":{"customWords":[{"match":"w","action":"BLOCKED"}]},"#,
            r#""sensitiveInformationPolicy":{"piiEntities":[{"type":"EMAIL","action":"BLOCKED"}]}}}}}}}"#
        )
        .to_owned(),
    }
}

/// The log that holds `batch`, as Bedrock writes it or as CloudTrail does.
pub fn log(rule: &Rule, source: Source, batch: &[Denied]) -> String {
    let shown = shown(rule);
    // CloudTrail has no bodies.
    let code = rule.record.error_codes.first();
    let (source, code) = code.map_or((Source::InvocationLog, ""), |code| (source, code));
    let records = batch.iter().map(|denied| {
        let time = EventTime::from_epoch_ms((TEN + denied.at) * 1000);
        let [user, model, request] = fields(rule, denied);
        match source {
            Source::InvocationLog => format!(
                r#"{{"timestamp":"{time}","accountId":"1","identity":{{"arn":"{user}"}},"modelId":"{model}","requestId":"{request}",{shown}}}"#
            ),
            Source::CloudTrail => format!(
                r#"{{"eventVersion":"1.11","userIdentity":{{"arn":"{user}"}},"eventTime":"{time}","eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel","errorCode":"{}","requestParameters":{{"modelId":"{model}"}},"requestID":"{request}","recipientAccountId":"1"}}"#,
                code.replace("AccessDeniedException", "AccessDenied"),
            ),
        }
    });
    let records: Vec<String> = records.collect();
    match source {
        Source::InvocationLog => records.join("\n"),
        Source::CloudTrail => format!(r#"{{"Records":[{}]}}"#, records.join(",")),
    }
}

pub fn rule(threshold: usize, window_s: u64, cooldown_s: u64) -> Rule {
    tuned(&DENIED_MODEL, threshold, window_s, cooldown_s)
}

pub fn tuned(rule: &Rule, threshold: usize, window_s: u64, cooldown_s: u64) -> Rule {
    Rule {
        threshold,
        window: Duration::from_secs(window_s),
        cooldown: Duration::from_secs(cooldown_s),
        ..rule.clone()
    }
}

pub fn pipeline<S, K>(rule: Rule, store: S, sink: K) -> Pipeline<S, K> {
    Pipeline { store, sink, rules: vec![rule], exempt_users: Vec::new(), limits: Limits::default() }
}

pub const LEASE: Duration = Duration::from_secs(60);

/// Delivers an invocation log at `now` (epoch seconds) for `owner`.
pub async fn deliver<S: CounterStore, K: AlertSink>(
    pipeline: &Pipeline<S, K>,
    batch: &[Denied],
    owner: &str,
    now: u64,
) -> Outcome {
    deliver_from(Source::InvocationLog, pipeline, batch, owner, now).await
}

/// Delivers one object at `now` (epoch seconds) for `owner`.
pub async fn deliver_from<S: CounterStore, K: AlertSink>(
    source: Source,
    pipeline: &Pipeline<S, K>,
    batch: &[Denied],
    owner: &str,
    now: u64,
) -> Outcome {
    let read = read(pipeline, &log(&pipeline.rules[0], source, batch));
    let claimant = Claimant { owner, now, lease: LEASE };
    pipeline.commit(read.tally, Delivery { object: "object", claimant }).await
}

/// Reads one object, again if it is asked for.
pub fn read<S: CounterStore, K: AlertSink>(pipeline: &Pipeline<S, K>, log: &str) -> Read {
    let mut reader = pipeline.read("object");
    loop {
        reader.push(log.as_bytes());
        match reader.finish() {
            Finished::Read(read) => return read,
            Finished::Again(again) => reader = again,
        }
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

// Oracle -----------------------------------------------------------------------------------

/// All distinct denials of one key, sorted by time.
pub fn of_key(batches: &[Batch], key: u8) -> Vec<(i64, u32)> {
    let all: BTreeSet<(i64, u32)> =
        batches.iter().flatten().filter(|one| one.key == key).map(|one| (one.at, one.value)).collect();
    all.into_iter().collect()
}

/// A distinct value as the rule's alerts list it.
fn value_name(rule: &Rule, value: u32) -> String {
    let letter = match rule.distinct {
        Field::Model => "m",
        Field::Session => "s",
        _ => "r",
    };
    format!("{letter}{value}")
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
    pub key: u8,
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
    let denials = of_key(delivered, alert.key);
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
        let last: BTreeMap<u32, i64> =
            inside(alert.first, alert.last).into_iter().map(|(at, value)| (value, at)).collect();
        let mut newest: Vec<(i64, String)> =
            last.into_iter().map(|(value, at)| (at, value_name(rule, value))).collect();
        newest.sort();
        let newest: Vec<String> =
            newest.into_iter().rev().take(10).rev().map(|(_, request)| request).collect();
        assert_eq!(alert.newest, newest, "{alert:?}");
    }
}

/// Asserts sound, complete, spaced, and figures never above the truth; returns the alert times by key.
#[track_caller]
pub fn assert_invariants(batches: &[Batch], rule: &Rule, told: &[Told]) -> BTreeMap<u8, Vec<i64>> {
    let cooldown = i64::try_from(rule.cooldown.as_secs()).expect("small");
    let mut by_key: BTreeMap<u8, Vec<i64>> = BTreeMap::new();
    let distinct: BTreeMap<&String, &Told> = told.iter().map(|alert| (&alert.id, alert)).collect();
    for alert in distinct.values() {
        by_key.entry(alert.key).or_default().push(alert.at);
    }
    for alert in told {
        let denials = of_key(batches, alert.key);
        let inside = denials.iter().filter(|(at, _)| (alert.first..=alert.last).contains(at));
        let truth = inside.map(|(_, request)| request).collect::<BTreeSet<_>>().len() as u64;
        assert!(alert.total <= truth, "figure above the truth {truth}: {alert:?}");
    }
    for times in by_key.values_mut() {
        times.sort_unstable();
        for pair in times.windows(2) {
            assert!(pair[1] - pair[0] > cooldown, "not spaced: {times:?}");
        }
    }
    let keys: BTreeSet<u8> = batches.iter().flatten().map(|one| one.key).collect();
    for key in keys {
        let hot = hot(&of_key(batches, key), rule);
        let alerts = by_key.get(&key).map(Vec::as_slice).unwrap_or_default();
        for alert in alerts {
            assert!(hot.contains(alert), "not sound: key {key} at {alert}, hot {hot:?}");
        }
        for at in hot {
            let covered = alerts.iter().any(|alert| (alert - at).abs() <= cooldown);
            assert!(covered, "not complete: key {key} at {at}, alerts {alerts:?}");
        }
    }
    by_key
}

// Doubles ----------------------------------------------------------------------------------

/// Keeps what it is told.
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
        let document: serde_json::Value = serde_json::from_str(&alert.document()).expect("JSON");
        let time = |field: &str| {
            let text = document[field].as_str().expect("a time");
            EventTime::parse(text).expect("a time").epoch_ms() / 1000 - TEN
        };
        let model = &document["gen_ai"]["request"]["model"]["id"];
        let grouped_by_model = alert.rule.group_by.contains(&Field::Model);
        let key = if grouped_by_model { model } else { &document["user"]["id"] };
        let key = key.as_str().expect("a key");
        let (total, values) = match alert.rule.distinct {
            Field::Model => ("total_models", "models"),
            Field::Session => ("total_sessions", "sessions"),
            _ if alert.rule.record.error_codes.is_empty() => ("total_requests", "request_ids"),
            _ => ("total_denials", "request_ids"),
        };
        self.told.borrow_mut().push(Told {
            key: key[1..].parse().expect("a number"),
            at: time("@timestamp"),
            id: document["id"].as_str().expect("an id").to_owned(),
            first: time("first_seen"),
            last: time("last_seen"),
            total: document[total].as_u64().expect("a number"),
            at_least: document[format!("{total}_at_least")].as_bool().unwrap_or(false),
            newest: serde_json::from_value(document[values].clone()).expect("texts"),
        });
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

/// Which call is the first notice of a delivery whose one key has one slot. Before it: add, counters,
/// alerts, claim; incidents, record; floods, admit; incidents, counters.
pub const FIRST_NOTICE: usize = 10;

/// Another store or sink in bad weather.
pub struct Faulty<'a, T> {
    pub inner: T,
    pub weather: &'a Weather,
}

/// A pipeline whose every call meets the `weather`.
pub fn in_weather<'a, K>(
    rule: Rule,
    store: &'a EmbeddedStore,
    sink: &'a K,
    weather: &'a Weather,
) -> Pipeline<Faulty<'a, &'a EmbeddedStore>, Faulty<'a, &'a K>> {
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

impl CounterStore for Faulty<'_, &EmbeddedStore> {
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
        slots: RangeInclusive<EventTime>,
    ) -> Result<Vec<Counter>, StoreError> {
        self.call(self.inner.counters(key, slots)).await
    }

    async fn alerts(&self, key: &Key) -> Result<AlertLog, StoreError> {
        self.call(self.inner.alerts(key)).await
    }

    async fn archived_alerts(
        &self,
        key: &Key,
        between: RangeInclusive<EventTime>,
    ) -> Result<BTreeSet<EventTime>, StoreError> {
        self.call(self.inner.archived_alerts(key, between)).await
    }

    async fn archive_alerts(
        &self,
        key: &Key,
        alerts: &[EventTime],
        expires_at: u64,
    ) -> Result<(), StoreError> {
        self.call(self.inner.archive_alerts(key, alerts, expires_at)).await
    }

    async fn replace_alerts(&self, key: &Key, log: &AlertLog, expires_at: u64) -> Result<bool, StoreError> {
        self.call(self.inner.replace_alerts(key, log, expires_at)).await
    }

    async fn caller(&self, caller: &Caller) -> Result<CallerState, StoreError> {
        self.call(self.inner.caller(caller)).await
    }

    async fn replace_incidents(
        &self,
        caller: &Caller,
        log: &IncidentLog,
        expires_at: u64,
    ) -> Result<bool, StoreError> {
        self.call(self.inner.replace_incidents(caller, log, expires_at)).await
    }

    async fn floods(&self, account: Option<&str>) -> Result<FloodLog, StoreError> {
        self.call(self.inner.floods(account)).await
    }

    async fn replace_floods(
        &self,
        account: Option<&str>,
        log: &FloodLog,
        expires_at: u64,
    ) -> Result<bool, StoreError> {
        self.call(self.inner.replace_floods(account, log, expires_at)).await
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
