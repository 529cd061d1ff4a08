//! Whatever is slow, there is an answer before the deadline, with metrics, and what was not tried comes back.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use bedrock_denial_watch::count::counter::{Contribution, Counter, Slot};
use bedrock_denial_watch::count::document::{Body, Change, Versioned};
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::count::store::{Store, StoreError};
use bedrock_denial_watch::lambda::aws::{DynamoDbStore, LONGEST_STEP, Meter};
use bedrock_denial_watch::lambda::handler::{Delivered, Handler, Invocation};
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::source::time::EventTime;
use serde_json::{Value, json};

use crate::handler::{Recorder, batch, bucket, burst, failed, handler, notification, published, recording};
use crate::http::{Reply, Server};
use crate::support::{TABLE, contribution, key, sdk, slot, time};

const NOW_MS: u64 = 1_748_772_060_000;

/// Time that passes only while all wait.
#[derive(Default)]
struct Clock {
    ms: Cell<u64>,
    /// Who waits, and until when.
    sleepers: RefCell<Vec<(u64, Waker)>>,
}

impl Clock {
    async fn sleep(&self, ms: u64) {
        let until = self.ms.get() + ms;
        poll_fn(|context| {
            if self.ms.get() >= until {
                return Poll::Ready(());
            }
            self.sleepers.borrow_mut().push((until, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Runs `work`, which waits for this clock only.
    async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut before = 0;
        poll_fn(|context| {
            let polled = work.as_mut().poll(context);
            if polled.is_pending() {
                // While others go to sleep, no time passes.
                let sleepers = self.sleepers.borrow().len();
                if sleepers == before {
                    let sleepers = self.sleepers.take();
                    self.ms.set(sleepers.iter().map(|(until, _)| *until).min().expect("something sleeps"));
                    for (_, waker) in sleepers {
                        waker.wake();
                    }
                }
                before = self.sleepers.borrow().len();
                context.waker().wake_by_ref();
            }
            polled
        })
        .await
    }
}

/// A store in memory, each request of which takes `ms`.
struct Slow<'c> {
    inner: MemoryStore,
    clock: &'c Clock,
    ms: u64,
    requests: RefCell<Vec<u64>>,
}

impl Slow<'_> {
    async fn wait(&self) {
        self.requests.borrow_mut().push(self.clock.ms.get());
        self.clock.sleep(self.ms).await;
    }
}

impl Store for Slow<'_> {
    async fn add(
        &self,
        rule: &Rule,
        key: &Key,
        slot: Slot,
        contribution: &Contribution,
        expires_at: u64,
    ) -> Result<(), StoreError> {
        self.wait().await;
        self.inner.add(rule, key, slot, contribution, expires_at).await
    }

    async fn counters(
        &self,
        key: &Key,
        minutes: u16,
        starts: RangeInclusive<EventTime>,
    ) -> Result<Vec<Counter>, StoreError> {
        self.wait().await;
        self.inner.counters(key, minutes, starts).await
    }

    async fn documents(
        &self,
        partition: &Key,
        first: &str,
        last: &str,
    ) -> Result<Vec<(String, Versioned<Body>)>, StoreError> {
        self.wait().await;
        self.inner.documents(partition, first, last).await
    }

    async fn write(&self, changes: &[Change], expires_at: u64) -> Result<bool, StoreError> {
        self.wait().await;
        self.inner.write(changes, expires_at).await
    }

    async fn pause(&self) {
        self.wait().await;
    }
}

/// A denied call of a model by number.
fn event(model: usize) -> Value {
    json!({
        "detail-type": "AWS API Call via CloudTrail", "source": "aws.bedrock", "id": format!("b-{model}"),
        "detail": {
            "eventVersion": "1.11", "eventTime": "2025-06-01T10:00:00Z", "eventSource": "bedrock.amazonaws.com",
            "eventName": "Converse", "errorCode": "AccessDenied", "requestID": format!("r-{model}"),
            "requestParameters": {"modelId": format!("m-{model}")}, "recipientAccountId": "1",
            "userIdentity": {"arn": "arn:aws:iam::1:user/eve"},
        },
    })
}

async fn deliver<S: Store>(
    handler: &Handler<S, Recorder>,
    payload: &Value,
    left_ms: u64,
    elapsed_ms: &dyn Fn() -> u64,
) -> Delivered {
    let clock = || NOW_MS + elapsed_ms();
    let invocation = Invocation { request_id: "request-1", clock: &clock, deadline_ms: NOW_MS + left_ms };
    handler.deliver(&payload.to_string(), invocation).await
}

#[tokio::test]
async fn with_a_store_as_slow_as_can_be_the_answer_comes_in_time_and_names_what_was_not_tried() {
    let ids: Vec<String> = (0..100).map(|number| format!("m-{number}")).collect();
    let messages: Vec<(&str, Value)> =
        ids.iter().enumerate().map(|(number, id)| (id.as_str(), event(number))).collect();
    let s3 = bucket(&[]);
    for (left_ms, done) in [(10_000, 0), (25_000, 32), (35_000, 64), (70_000, 100)] {
        let clock = Clock::default();
        let store =
            Slow { inner: MemoryStore::default(), clock: &clock, ms: 4_900, requests: RefCell::default() };
        let handler = handler(&s3, store, Recorder::default());
        let elapsed = || clock.ms.get();
        let delivered = clock.run(deliver(&handler, &batch(&messages), left_ms, &elapsed)).await;
        assert!(clock.ms.get() < left_ms, "answered after {} of {left_ms} ms", clock.ms.get());
        let back: Vec<&str> = failed(&delivered);
        assert_eq!(back, ids[done..].iter().map(String::as_str).collect::<Vec<_>>(), "{left_ms}");
        assert_eq!(delivered.metrics.failures, 100 - done as u64);
        let line: Value = serde_json::from_str(&delivered.metrics.line("f", "r", 1)).expect("JSON");
        assert_eq!(line["event_records"], if done > 0 { 100 } else { 0 });
        // What was begun is finished: three requests a quiet key.
        assert_eq!(handler.pipeline.store.requests.borrow().len(), 3 * done);
    }
}

#[tokio::test]
async fn of_an_event_or_a_job_without_time_each_object_is_named_and_none_is_fetched() {
    let s3 = bucket(&[("a.json.gz", burst())]);
    let handler = recording(&s3);
    let little = 19_999;
    assert!(Duration::from_millis(little) < LONGEST_STEP);
    let event = notification(&["a.json.gz", "b.txt", "c.json.gz"]);
    let error = deliver(&handler, &event, little, &|| 0).await.answer.expect_err("too late").to_string();
    let late = "not tried before the invocation's time ran out (nothing begins with less than 20 s left); it will be tried again";
    assert_eq!(error, format!("2 of 3 failed: s3://b/a.json.gz: {late}; s3://b/c.json.gz: {late}"));
    let task = |id: &str, key: &str| json!({"taskId":id,"s3Key":key,"s3BucketArn":"arn:aws:s3:::b"});
    let job = json!({"invocationSchemaVersion":"1.0","invocationId":"i","tasks":[task("1", "a.json.gz"), task("2", "b.txt")]});
    let answer = deliver(&handler, &job, little, &|| 0).await.answer.expect("answered");
    let answer = serde_json::to_value(answer).expect("JSON");
    assert_eq!(answer["results"][0]["resultCode"], "TemporaryFailure");
    assert_eq!(answer["results"][1]["resultCode"], "Succeeded");
    let delivered = deliver(&handler, &batch(&[("m-1", notification(&["a.json.gz"]))]), little, &|| 0).await;
    assert_eq!((failed(&delivered), published(&handler)), (vec!["m-1"], 0));
    assert!(s3.requests().is_empty());
}

#[tokio::test]
async fn an_emulator_that_knows_no_deadline_has_all_the_time() {
    let s3 = bucket(&[("a.json.gz", burst())]);
    let handler = recording(&s3);
    let clock = || NOW_MS;
    let invocation = Invocation { request_id: "request-1", clock: &clock, deadline_ms: 0 };
    let delivered = handler.deliver(&notification(&["a.json.gz"]).to_string(), invocation).await;
    assert!(delivered.answer.is_ok());
    assert_eq!(published(&handler), 1);
}

#[tokio::test]
async fn a_body_that_takes_too_long_is_given_up_while_there_is_time_to_say_so() {
    let s3 = Server::start(|_, _| {
        let mut reply = Reply::new(200, burst());
        (reply.announced, reply.hold) = (Some(1_000_000), true);
        Some(reply)
    });
    let handler = recording(&s3);
    let begun = Instant::now();
    // A fifth of a second is left to read it.
    let delivered = deliver(&handler, &notification(&["a.json.gz"]), 20_200, &|| 0).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "S3 itself would be given up after ten");
    let error = delivered.answer.expect_err("too late").to_string();
    assert!(error.starts_with("1 of 1 failed: s3://b/a.json.gz: not read to its end before"), "{error}");
    assert_eq!((delivered.metrics.objects, delivered.metrics.failures, published(&handler)), (0, 1, 0));
}

#[tokio::test]
async fn no_request_outlives_its_invocation_and_none_begins_behind_it() {
    let silent = Server::start(|_, _| {
        thread::sleep(Duration::from_secs(30));
        None
    });
    let meter = Meter::default();
    let store = DynamoDbStore::metered(&sdk(&silent.url), TABLE.to_owned(), &meter);
    let at = time("2025-06-01T10:00:00Z");
    let add = async || {
        let contribution = contribution("a", at, &["r".to_owned()]);
        store.add(&DENIED_MODEL, &key(&[Some("1")]), slot(at), &contribution, 1).await.expect_err("no answer")
    };
    let begun = Instant::now();
    meter.end_within(Some(Duration::from_millis(1_300)));
    let error = add().await;
    assert!(begun.elapsed() < Duration::from_secs(4), "one attempt alone may take five seconds");
    assert!(!error.refused && error.to_string().contains("operation timeout"), "{error}");
    meter.end_within(Some(Duration::from_millis(900)));
    let error = add().await;
    assert!(!error.refused && error.to_string().contains("the invocation has no time left"), "{error}");
    assert_eq!(silent.requests().len(), 1);
}
