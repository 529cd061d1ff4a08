//! What callers who choose their ids freely cannot do: silence the alerts of others, merge two
//! keys, make figures lie, or make a delivery cost more than its size.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::slice;

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::claims::Claimant;
use bedrock_denial_watch::count::counter::{Contribution, Counter, Slot};
use bedrock_denial_watch::count::document::{Body, Change, Versioned};
use bedrock_denial_watch::count::embedded::EmbeddedStore;
use bedrock_denial_watch::count::key::{Key, sample_value};
use bedrock_denial_watch::count::store::{CallerState, CounterStore, MAX_CHANGES, StoreError};
use bedrock_denial_watch::pipeline::{Delivery, MAX_FAILURES, MAX_UNANSWERED, Outcome};
use bedrock_denial_watch::rule::catalogue::{DENIED_MODEL, built_in};
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::source::text;
use bedrock_denial_watch::source::time::EventTime;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::depth;
use crate::support::*;

/// A store that refuses what DynamoDB refuses, and whatever else the test configures.
#[derive(Default)]
struct Strict {
    inner: EmbeddedStore,
    /// Refuses keys that contain this.
    refuses: Option<&'static str>,
    /// Answers no calls.
    is_down: bool,
    calls: Cell<usize>,
}

impl Strict {
    fn answer(&self, key: &Key) -> Result<(), StoreError> {
        self.calls.set(self.calls.get() + 1);
        let error = |cause: &str, refused| StoreError {
            operation: "injected".to_owned(),
            cause: cause.into(),
            refused,
        };
        let text = key.text();
        if self.is_down {
            Err(error("no answer", false))
        } else if text.len() > 2048 || self.refuses.is_some_and(|part| text.contains(part)) {
            Err(error("refused", true))
        } else {
            Ok(())
        }
    }
}

impl CounterStore for &Strict {
    async fn add(
        &self,
        rule: &Rule,
        key: &Key,
        slot: Slot,
        contribution: &Contribution,
        expires_at: u64,
    ) -> Result<(), StoreError> {
        self.answer(key)?;
        self.inner.add(rule, key, slot, contribution, expires_at).await
    }

    async fn counters(
        &self,
        key: &Key,
        slots: RangeInclusive<EventTime>,
    ) -> Result<Vec<Counter>, StoreError> {
        self.answer(key)?;
        self.inner.counters(key, slots).await
    }

    async fn archived_alerts(
        &self,
        key: &Key,
        between: RangeInclusive<EventTime>,
    ) -> Result<BTreeSet<EventTime>, StoreError> {
        self.answer(key)?;
        self.inner.archived_alerts(key, between).await
    }

    async fn archive_alerts(
        &self,
        key: &Key,
        alerts: &[EventTime],
        expires_at: u64,
    ) -> Result<(), StoreError> {
        self.answer(key)?;
        self.inner.archive_alerts(key, alerts, expires_at).await
    }

    async fn documents(
        &self,
        partition: &Key,
        first: &str,
        last: &str,
    ) -> Result<Vec<(String, Versioned<Body>)>, StoreError> {
        self.answer(partition)?;
        self.inner.documents(partition, first, last).await
    }

    async fn write(&self, changes: &[Change], expires_at: u64) -> Result<bool, StoreError> {
        assert!(changes.len() <= MAX_CHANGES, "{} changes", changes.len());
        for change in changes {
            self.answer(&change.id.partition)?;
            let bytes = change.body.as_ref().map_or(0, |body| Value::Object(body.clone()).to_string().len());
            assert!(bytes < 100_000, "{} of {bytes} bytes", change.id.sort);
        }
        self.inner.write(changes, expires_at).await
    }

    async fn caller(&self, caller: &Caller) -> Result<CallerState, StoreError> {
        self.answer(&caller.key())?;
        self.inner.caller(caller).await
    }

    async fn pause(&self) {
        self.inner.pause().await;
    }
}

/// A sink that refuses while `is_down`.
#[derive(Default)]
struct Topic {
    inner: Recording,
    is_down: Cell<bool>,
}

impl AlertSink for &Topic {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        if self.is_down.get() {
            return Err(SinkError { operation: "injected".to_owned(), cause: "no answer".into() });
        }
        (&self.inner).notice(notice).await
    }

    fn wants_alerts(&self) -> bool {
        true
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        (&self.inner).alert(alert).await
    }
}

/// `count` objects, each with a burst every 61 seconds, for a rule whose cooldown is one minute.
fn bursts(count: u32, a_time: u32) -> Vec<Batch> {
    let burst = |number: u32| Denied { at: i64::from(number) * 61, key: 1, value: number };
    (0..count).map(|object| (object * a_time..(object + 1) * a_time).map(burst).collect()).collect()
}

#[test]
fn a_redelivery_after_any_number_of_alerts_alerts_nobody_again() {
    let (store, sink) = (Strict::default(), Recording::default());
    let pipeline = pipeline(rule(0, 60, 60), &store, &sink);
    let objects = bursts(depth::pick(25, 6), 100);
    let denials = objects.len() * 100;
    for time in ["first", "again"] {
        for (number, object) in objects.iter().enumerate() {
            let owner = format!("{time} {number}");
            assert_eq!(block_on(deliver(&pipeline, object, &owner, 1_000)).failed, 0);
        }
        assert_eq!(sink.told.borrow().len(), denials, "{time}");
    }
    // A denial between two old alerts is covered too; one further away is not.
    let between = vec![Denied { at: 61 * 7 + 30, key: 1, value: 99_999 }];
    assert_eq!(block_on(deliver(&pipeline, &between, "between", 1_000)).failed, 0);
    assert_eq!(sink.told.borrow().len(), denials);
    let before = vec![Denied { at: -61, key: 1, value: 99_998 }];
    assert_eq!(block_on(deliver(&pipeline, &before, "before", 1_000)).failed, 0);
    assert_eq!(sink.told.borrow().len(), denials + 1);
}

#[test]
fn a_topic_that_was_down_for_long_is_told_everything_afterwards() {
    let (store, topic) = (Strict::default(), Topic::default());
    let pipeline = pipeline(rule(0, 60, 60), &store, &topic);
    let objects = bursts(depth::pick(40, 8), 100);
    topic.is_down.set(true);
    for (number, object) in objects.iter().enumerate() {
        let outcome = block_on(deliver(&pipeline, object, &format!("delivery {number}"), 1_000));
        assert_eq!(outcome.failed, 1);
        let why = outcome.failures[0].to_string();
        assert!(why.contains("no answer"), "{why}");
    }
    topic.is_down.set(false);
    // Each is redelivered from the on-failure queue.
    for (number, object) in objects.iter().enumerate() {
        let outcome = block_on(deliver(&pipeline, object, &format!("redrive {number}"), 2_000));
        assert_eq!(outcome.failed, 0, "{:?}", outcome.failures);
    }
    let times: BTreeSet<i64> = topic.inner.told.take().iter().map(|told| told.at).collect();
    assert_eq!(times.len(), objects.len() * 100);
}

#[test]
fn two_deliveries_that_find_more_than_one_key_may_have_pending_lose_none() {
    for seed in 1..=depth::pick(40, 8) {
        let (store, topic, weather) = (EmbeddedStore::default(), Topic::default(), Weather::default());
        let pipeline = in_weather(rule(0, 60, 60), &store, &topic, &weather);
        let objects = bursts(7, 50);
        topic.is_down.set(true);
        // Two hundred and fifty wait; two deliveries at once find fifty more each, and there is room for one.
        for (number, object) in objects[..5].iter().enumerate() {
            assert!(block_on(deliver(&pipeline, object, &format!("waiting {number}"), 1_000)).failed > 0);
        }
        topic.is_down.set(false);
        weather.seed.set(seed);
        let later = 1_001 + LEASE.as_secs();
        let both = [("d", &objects[5]), ("e", &objects[6])];
        let outcomes =
            block_on(join_all(both.map(|(owner, object)| deliver(&pipeline, object, owner, later))));
        weather.seed.set(0);
        for ((owner, object), outcome) in both.into_iter().zip(outcomes) {
            if outcome.failed > 0 {
                assert_eq!(block_on(deliver(&pipeline, object, owner, later)).failed, 0, "seed {seed}");
            }
        }
        let times: BTreeSet<i64> = topic.inner.told.take().iter().map(|told| told.at).collect();
        assert_eq!(times.len(), 350, "seed {seed}");
    }
}

#[test]
fn alerts_that_others_hold_leave_the_delivery_to_be_tried_again() {
    let (store, topic) = (Strict::default(), Topic::default());
    let rule = rule(0, 60, 60);
    let pipeline = pipeline(rule.clone(), &store, &topic);
    let objects = bursts(4, 100);
    let weather = Weather::default();
    // Three deliveries record a hundred each, in two writes, and die; their leases hold.
    for (number, object) in objects[..3].iter().enumerate() {
        let (sink, owner) = (Recording::default(), format!("dead {number}"));
        let dying = in_weather(rule.clone(), &store.inner, &sink, &weather);
        weather.calls.set(0);
        weather.fatal.set(true);
        // It dies after recording; each of its hundred slots is added by a separate call.
        weather.fails.set(Some(99 + RECORDED + 3));
        assert!(block_on(deliver(&dying, object, &owner, 1_000)).failed > 0);
    }
    let outcome = block_on(deliver(&pipeline, &objects[3], "live", 1_000));
    let why = outcome.failures[0].to_string();
    assert_eq!(why, "another delivery holds an alert that is due; the delivery will be tried again");
    let later = 1_001 + LEASE.as_secs();
    assert_eq!(block_on(deliver(&pipeline, &objects[3], "live", later)).failed, 0);
    assert_eq!(topic.inner.told.borrow().len(), 400);
}

/// One record per line: user, model, seconds after [`TEN`].
fn records<'a>(calls: impl IntoIterator<Item = (&'a str, String, i64)>) -> String {
    let lines = calls.into_iter().enumerate().map(|(number, (user, model, at))| {
        let record = json!({
            "timestamp": EventTime::from_epoch_ms((TEN + at) * 1000),
            "accountId": "1",
            "identity": {"arn": user},
            "modelId": model,
            "requestId": format!("r{number}"),
            "errorCode": "AccessDeniedException",
        });
        record.to_string() + "\n"
    });
    lines.collect()
}

/// Delivers `log` and returns the published alerts, as user and total.
fn run(store: &Strict, rules: &[Rule], log: &str) -> (Outcome, Vec<(String, u64)>) {
    let sink = Documents::default();
    let mut pipeline = pipeline(rules[0].clone(), store, &sink);
    pipeline.rules = rules.to_vec();
    let read = read(&pipeline, log);
    let claimant = Claimant { owner: "owner", now: 1_000, lease: LEASE };
    let outcome = block_on(pipeline.commit(read.tally, Delivery { object: "object", claimant }));
    let told = sink.told.take().into_iter().map(|document| {
        let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
        let total = document["total_models"].as_u64().or(document["total_denials"].as_u64());
        (document["user"]["id"].as_str().expect("a user").to_owned(), total.expect("a total"))
    });
    (outcome, told.collect())
}

#[test]
fn ids_made_to_be_refused_suppress_nobodys_alert() {
    for head in ["sha256:", "", "\u{1}", "{\"sha256\":\""] {
        for body in ["x", "\u{1}", "\"", "é"] {
            let decoy = |number: usize| format!("{head}{number}{}", body.repeat((2044 - 12) / body.len()));
            let decoys = (0..45).map(|number| ("decoy", decoy(number), 0));
            let denials = (0..20).map(|number| ("victim", "m".to_owned(), number));
            let log = records(decoys.chain(denials));
            let (outcome, told) = run(&Strict::default(), slice::from_ref(&DENIED_MODEL), &log);
            assert_eq!(outcome.failed, 0, "{head:?} {body:?}");
            assert_eq!(told, [("victim".to_owned(), 20)], "{head:?} {body:?}");
        }
    }
}

#[test]
fn any_number_of_keys_that_the_store_refuses_stop_no_other() {
    let decoys = (0..500).map(|number| ("decoy", format!("odd{number}"), 0));
    let denials = (0..20).map(|number| ("victim", "m".to_owned(), number));
    let store = Strict { refuses: Some("odd"), ..Strict::default() };
    let (outcome, told) = run(&store, slice::from_ref(&DENIED_MODEL), &records(decoys.chain(denials)));
    assert_eq!(told, [("victim".to_owned(), 20)]);
    // All are counted; the first few are kept.
    assert_eq!((outcome.failed, outcome.failures.len()), (500, MAX_FAILURES));
}

#[test]
fn a_store_that_answers_nobody_is_not_asked_for_every_key() {
    let store = Strict { is_down: true, ..Strict::default() };
    let log = records((0..5000).map(|number| ("user", format!("m{number}"), 0)));
    let (outcome, told) = run(&store, slice::from_ref(&DENIED_MODEL), &log);
    assert_eq!(told, []);
    assert!(store.calls.get() < 3 * MAX_UNANSWERED, "{} calls", store.calls.get());
    let last = outcome.failures.last().expect("a failure").to_string();
    assert!(last.starts_with("the store answered none of 32 keys in a row"), "{last}");
}

#[test]
fn a_store_that_is_slow_to_recover_still_gets_every_key() {
    // It fails to answer now and then, but never for long.
    let (store, sink) = (EmbeddedStore::default(), Recording::default());
    let weather = Weather::default();
    let pipeline = in_weather(rule(3, 3600, 3600), &store, &sink, &weather);
    let batch: Batch =
        (0..200).flat_map(|key| (0..4).map(move |value| Denied { at: 0, key, value })).collect();
    weather.fails.set(Some(7));
    let outcome = block_on(deliver(&pipeline, &batch, "one", 1_000));
    assert_eq!((outcome.failed, outcome.published.len()), (1, 199));
}

#[test]
fn an_id_that_looks_like_anothers_hashed_form_is_another_key() {
    let long = "x".repeat(2044);
    let kept = text::truncate_with_hash(long.as_str().into());
    let hashed = sample_value(Some(&kept));
    let hash = hashed.strip_prefix("sha256:").expect("a long value is hashed");
    let forms = [
        long.clone(),
        hash.to_owned(),
        format!("sha256:{hash}"),
        format!("{{\"sha256\":\"{hash}\"}}"),
        kept.clone().into_owned(),
        Key { rule: "denied-model", values: vec![Some(kept.clone().into())] }.text(),
    ];
    // Two denials each: merged, they would fire.
    let calls = || forms.iter().cycle().take(2 * forms.len()).map(|model| ("eve", model.clone(), 0));
    let (_, told) = run(&Strict::default(), slice::from_ref(&DENIED_MODEL), &records(calls()));
    assert_eq!(told, []);
    // And each of them is a separate model.
    let (_, told) = run(&Strict::default(), &[built_in("model-sweep").clone()], &records(calls()));
    assert_eq!(told, [("eve".to_owned(), 6)]);
}

#[test]
fn a_model_whose_id_is_how_a_missing_one_is_stored_is_not_taken_for_it() {
    let log = records((0..4).map(|number| ("eve", ["\u{0}", "a", "b", "c"][number].to_owned(), 0)));
    let without = log.lines().next().expect("a line").replace(r#""modelId":"\u0000","#, "");
    assert!(!without.contains("modelId"), "{without}");
    let four = Rule { threshold: 4, ..built_in("model-sweep").clone() };
    let (_, told) = run(&Strict::default(), &[four], &format!("{log}{without}\n"));
    assert_eq!(told, [("eve".to_owned(), 5)]);
}

#[test]
fn a_copy_of_some_denials_inside_a_larger_object_adds_nothing() {
    let rule = rule(3, 3600, 3600);
    let large: Batch = (0..61).map(|number| Denied { at: number.into(), key: 1, value: number }).collect();
    let copy = large[20..40].to_vec();
    let later: Batch = vec![Denied { at: 3661, key: 1, value: 99 }];
    let (store, sink) = (EmbeddedStore::default(), Recording::default());
    let weather = Weather::default();
    // The first alert is not published, so its figures cover everything.
    weather.fails.set(Some(FIRST_NOTICE));
    let pipeline = in_weather(rule.clone(), &store, &sink, &weather);
    block_on(async {
        assert_eq!(deliver(&pipeline, &large, "one", 1_000).await.failed, 1);
        assert_eq!(deliver(&pipeline, &copy, "two", 1_000).await.failed, 0);
    });
    let told = sink.told.take();
    assert_figures(&[large, copy, later], &rule, &told[0]);
    assert_eq!((told.len(), told[0].total, told[0].at_least), (1, 61, true));
}

#[test]
fn other_settings_miss_nothing_that_was_counted_under_the_old_ones() {
    let minutes = [(1440, 1440), (60, 60), (61, 61), (360, 240), (7, 7), (60, 1), (1440, 1)];
    for (window, cooldown) in minutes {
        for (new_window, new_cooldown) in minutes {
            let old = rule(3, window * 60, cooldown * 60);
            let new = rule(3, new_window * 60, new_cooldown * 60);
            // Three as early as the new window reaches, whatever slots they fall into, then the fourth.
            for start in [0, 3_900, 7_199, 20_000] {
                let last = start + i64::try_from(new.window.as_secs()).expect("small");
                let early: Batch = (0..3).map(|value| Denied { at: start, key: 1, value }).collect();
                let fourth = vec![Denied { at: last, key: 1, value: 3 }];
                let (store, sink) = (EmbeddedStore::default(), Recording::default());
                let weather = Weather::default();
                block_on(async {
                    for (rule, batch) in [(&old, &early), (&new, &fourth)] {
                        let pipeline = in_weather(rule.clone(), &store, &sink, &weather);
                        assert_eq!(deliver(&pipeline, batch, "one", 1_000).await.failed, 0);
                    }
                });
                let times: Vec<(i64, u64)> =
                    sink.told.take().iter().map(|told| (told.at, told.total)).collect();
                assert_eq!(times, [(last, 4)], "{window}/{cooldown} → {new_window}/{new_cooldown}");
            }
        }
    }
}
