//! Whole invocations: events in, answers out, S3 over the wire.

use std::collections::BTreeMap;
use std::future;
use std::pin::pin;
use std::sync::Mutex;

use aws_config::SdkConfig;
use aws_lambda_events::sqs::SqsBatchResponse;
use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::count::lease::Lease;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::count::store::Store;
use bedrock_denial_watch::deliver::Pipeline;
use bedrock_denial_watch::lambda::aws::{DynamoDbStore, Meter, S3Source, SnsSink};
use bedrock_denial_watch::lambda::handler::{Answer, Delivered, Handler, Invocation};
use bedrock_denial_watch::reader::Limits;
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use futures_util::future::select;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::http::{Reply, Server};
use crate::sns::{accepted, form};
use crate::support::{TABLE, dynamodb, gzip, log, nowhere, sdk};

/// Keeps the published documents; refuses on demand.
#[derive(Default)]
pub struct Recorder {
    pub published: Mutex<Vec<Value>>,
    pub refuses: Mutex<bool>,
}

impl AlertSink for Recorder {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        if *self.refuses.lock().expect("no panic") {
            return Err(SinkError { operation: "record".to_owned(), cause: "refused".into() });
        }
        self.published
            .lock()
            .expect("no panic")
            .push(serde_json::from_str(&notice.document()).expect("JSON"));
        Ok(())
    }

    fn wants_alerts(&self) -> bool {
        false
    }

    async fn alert(&self, _: &Alert<'_>) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Never answers.
#[derive(Default)]
struct Stuck {
    asked: Notify,
}

impl AlertSink for &Stuck {
    async fn notice(&self, _: &Notice<'_>) -> Result<(), SinkError> {
        self.asked.notify_one();
        future::pending().await
    }

    fn wants_alerts(&self) -> bool {
        false
    }

    async fn alert(&self, _: &Alert<'_>) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Who holds the notice that the last of these events makes due, and until when, if the function is killed while it
/// is sent.
pub async fn holder(s3: &Server, events: &[Value], request_id: &str) -> (String, u64) {
    let stuck = Stuck::default();
    let handler = handler(s3, MemoryStore::default(), &stuck);
    let clock = || 1_748_772_060_000;
    let all = async {
        for event in events {
            // 30 seconds are left.
            let invocation = Invocation { request_id, clock: &clock, deadline_ms: 1_748_772_090_000 };
            handler.deliver(&event.to_string(), invocation).await;
        }
    };
    select(pin!(all), pin!(stuck.asked.notified())).await;
    let documents = handler.pipeline.store.all_documents();
    let mut leases = documents.iter().filter_map(|(_, document)| document.value.get("lease"));
    let lease: Lease = leases.find_map(|lease| serde_json::from_value(lease.clone()).ok()).expect("a lease");
    (lease.owner, lease.until)
}

/// A bucket: objects by path (`/bucket/key`).
pub fn bucket(objects: &[(&str, Vec<u8>)]) -> Server {
    let objects: BTreeMap<String, Vec<u8>> =
        objects.iter().map(|(key, body)| (format!("/b/{key}"), body.clone())).collect();
    Server::start(move |_, request| {
        let path = request.target.split('?').next().unwrap_or_default();
        Some(match objects.get(path) {
            Some(body) => Reply::new(200, body.clone()),
            None => Reply::s3_error(404, "NoSuchKey", "The specified key does not exist."),
        })
    })
}

pub fn handler<S, K>(s3: &Server, store: S, sink: K) -> Handler<S, K> {
    metered(s3, store, sink, Meter::default())
}

/// A handler that reports what `meter` counted of its store and sink, too.
pub fn metered<S, K>(s3: &Server, store: S, sink: K, meter: Meter) -> Handler<S, K> {
    Handler {
        pipeline: Pipeline {
            store,
            sink,
            rules: vec![DENIED_MODEL.clone()],
            exempt_users: Vec::new(),
            limits: Limits::default(),
        },
        source: S3Source::metered(&sdk(&s3.url), &meter),
        meter,
    }
}

pub fn recording(s3: &Server) -> Handler<MemoryStore, Recorder> {
    handler(s3, MemoryStore::default(), Recorder::default())
}

pub async fn deliver<S: Store, K: AlertSink>(handler: &Handler<S, K>, payload: &Value) -> Delivered {
    let clock = || 1_748_772_060_000;
    let invocation = Invocation { request_id: "request-1", clock: &clock, deadline_ms: 1_748_772_090_000 };
    handler.deliver(&payload.to_string(), invocation).await
}

pub fn published(handler: &Handler<MemoryStore, Recorder>) -> usize {
    handler.pipeline.sink.published.lock().expect("no panic").len()
}

pub fn notification(keys: &[&str]) -> Value {
    let record = |key: &&str| json!({"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":key}}});
    json!({"Records": keys.iter().map(record).collect::<Vec<_>>()})
}

pub fn batch(messages: &[(&str, Value)]) -> Value {
    let record = |(id, body): &(&str, Value)| json!({"messageId":id,"body":body.to_string()});
    json!({"Records": messages.iter().map(record).collect::<Vec<_>>()})
}

pub fn burst() -> Vec<u8> {
    gzip(&log(&["1", "2", "3", "4"]))
}

pub fn failed(delivered: &Delivered) -> Vec<&str> {
    let Ok(Answer::Batch(SqsBatchResponse { batch_item_failures, .. })) = &delivered.answer else {
        panic!("{:?}", delivered.answer)
    };
    batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect()
}

#[tokio::test]
async fn a_burst_fires_once_however_often_it_is_delivered() {
    let s3 = bucket(&[("a.json.gz", burst())]);
    let handler = recording(&s3);
    let first = deliver(&handler, &notification(&["a.json.gz"])).await;
    assert_eq!(first.answer.expect("success"), Answer::Done);
    assert_eq!((first.metrics.objects, first.metrics.alerts, first.metrics.failures), (1, 1, 0));
    assert_eq!((first.metrics.read.records, first.metrics.read.denials), (4, 4));
    assert_eq!(first.metrics.told.len(), 1);
    let again = deliver(&handler, &notification(&["a.json.gz", "a.json.gz"])).await;
    assert_eq!((again.metrics.objects, again.metrics.alerts), (2, 0));
    assert_eq!(published(&handler), 1);
}

/// A CloudTrail log file of calls with an error code.
fn trail(code: &str) -> Vec<u8> {
    let record = |number| {
        format!(
            r#"{{"eventVersion":"1.11","eventTime":"2025-06-01T10:00:0{number}Z","eventSource":"bedrock.amazonaws.com","eventName":"Converse","errorCode":"{code}","requestID":"r{number}"}}"#
        )
    };
    let records: Vec<String> = (0..4).map(record).collect();
    gzip(&format!("{{\"Records\":[{}]}}", records.join(",")))
}

#[tokio::test]
async fn a_trail_file_is_fetched_once_whatever_is_behind_it() {
    for (code, behind, denials, alerts) in [
        ("ThrottlingException", "", 0, 0),
        ("AccessDenied", "", 4, 1),
        ("AccessDenied", r#"{"Records":[]}"#, 4, 1),
    ] {
        let body = [trail(code), gzip(behind)].concat();
        let bytes = body.len() as u64;
        let s3 = bucket(&[("a.json.gz", body)]);
        let delivered = deliver(&recording(&s3), &notification(&["a.json.gz"])).await;
        let metrics = delivered.metrics;
        delivered.answer.expect("success");
        assert_eq!(s3.requests().len(), 1, "{code}");
        assert_eq!((metrics.objects, metrics.alerts, metrics.failures), (1, alerts, 0), "{code}");
        assert_eq!((metrics.read.records, metrics.read.denials, metrics.read.bytes), (4, denials, bytes));
    }
}

#[tokio::test]
async fn what_is_no_log_is_skipped_without_being_read() {
    let s3 = bucket(&[]);
    let mut event = notification(&[
        "AWSLogs/1/data/a.json.gz",
        "x/amazon-bedrock-logs-permission-check",
        "a.txt",
        "empty.json",
    ]);
    event["Records"][3]["s3"]["object"]["size"] = json!(0);
    let delivered = deliver(&recording(&s3), &event).await;
    assert_eq!(delivered.answer.expect("success"), Answer::Done);
    assert_eq!((delivered.metrics.skipped, delivered.metrics.objects), (4, 0));
    assert!(s3.requests().is_empty());
}

#[tokio::test]
async fn one_bad_record_stops_no_other_and_each_is_named() {
    let s3 = bucket(&[("a.json.gz", gzip(&log(&["1", "2"]))), ("b.json.gz", gzip(&log(&["3", "4"])))]);
    let handler = recording(&s3);
    let mut event = notification(&["a.json.gz", "gone.json.gz", "bad", "b.json.gz"]);
    event["Records"][2] = json!({"eventName":"ObjectCreated:Put","s3":{}});
    let delivered = deliver(&handler, &event).await;
    let error = delivered.answer.expect_err("two failed").to_string();
    assert!(error.starts_with("2 of 4 failed: S3 GetObject of s3://b/gone.json.gz: NoSuchKey"), "{error}");
    assert!(error.contains("; S3 notification: expected s3.bucket.name"), "{error}");
    assert_eq!((delivered.metrics.failures, delivered.metrics.objects), (2, 2));
    assert_eq!(published(&handler), 1);
}

#[tokio::test]
async fn a_batch_fails_message_by_message() {
    let s3 = bucket(&[("a.json.gz", burst())]);
    let handler = recording(&s3);
    let delivered = deliver(
        &handler,
        &batch(&[
            ("m-1", notification(&["gone.json.gz"])),
            ("m-2", notification(&["a.json.gz"])),
            ("m-3", json!({"Event":"s3:TestEvent"})),
            ("m-4", json!({"what":"ever"})),
        ]),
    )
    .await;
    assert_eq!(failed(&delivered), ["m-1", "m-4"]);
    assert_eq!((delivered.metrics.failures, published(&handler)), (2, 1));
    let all_well = deliver(&handler, &batch(&[("m-2", notification(&["a.json.gz"]))])).await;
    assert!(failed(&all_well).is_empty());
}

#[tokio::test]
async fn an_unknown_event_fails() {
    let s3 = bucket(&[]);
    let delivered = deliver(&recording(&s3), &json!({"hello":1})).await;
    let error = delivered.answer.expect_err("unknown").to_string();
    assert!(error.starts_with("1 of 1 failed: unknown event: expected an S3 notification"), "{error}");
}

#[tokio::test]
async fn the_text_of_an_error_is_bounded() {
    let s3 = bucket(&[]);
    let records = vec![json!({}); 500];
    let delivered = deliver(&recording(&s3), &json!({"Records": records})).await;
    let error = delivered.answer.expect_err("unknown").to_string();
    assert!(error.len() < 17_000, "{}", error.len());
    assert!(error.contains(" more, see the log"), "{error}");
}

#[tokio::test]
async fn of_a_damaged_object_the_readable_part_counts_and_the_delivery_fails() {
    let mut cut = [burst(), burst()].concat();
    cut.truncate(cut.len() - 9);
    let s3 = bucket(&[("cut.json.gz", cut)]);
    let handler = recording(&s3);
    for alerts in [1, 0] {
        let delivered = deliver(&handler, &notification(&["cut.json.gz"])).await;
        let error = delivered.answer.expect_err("damaged").to_string();
        assert!(error.starts_with("1 of 1 failed: s3://b/cut.json.gz: truncated gzip"), "{error}");
        assert_eq!(delivered.metrics.alerts, alerts);
    }
    assert_eq!(published(&handler), 1);
}

#[tokio::test]
async fn of_a_body_that_breaks_off_nothing_counts() {
    let s3 = Server::start(|number, _| {
        let mut reply = Reply::new(200, burst());
        reply.announced = (number == 0).then_some(1_000_000);
        Some(reply)
    });
    let handler = recording(&s3);
    let broken = deliver(&handler, &notification(&["a.json.gz"])).await;
    assert!(broken.answer.is_err());
    assert_eq!((broken.metrics.objects, published(&handler)), (0, 0));
    let whole = deliver(&handler, &notification(&["a.json.gz"])).await;
    assert!(whole.answer.is_ok());
    assert_eq!(published(&handler), 1);
}

#[tokio::test]
async fn a_refused_alert_fails_the_delivery_and_its_retry_publishes_it() {
    let s3 = bucket(&[("a.json.gz", burst())]);
    let handler = recording(&s3);
    *handler.pipeline.sink.refuses.lock().expect("no panic") = true;
    let refused = deliver(&handler, &notification(&["a.json.gz"])).await;
    let error = refused.answer.expect_err("refused").to_string();
    assert_eq!(error, "1 of 1 failed: s3://b/a.json.gz: record: refused");
    *handler.pipeline.sink.refuses.lock().expect("no panic") = false;
    let retried = deliver(&handler, &notification(&["a.json.gz"])).await;
    assert!(retried.answer.is_ok());
    assert_eq!((retried.metrics.alerts, published(&handler)), (1, 1));
}

#[tokio::test]
async fn claims_are_owned_by_the_request_or_the_message_and_outlast_the_invocation() {
    let s3 = bucket(&[("a.json.gz", burst())]);
    let owner = async |event: &Value| {
        let (owner, until) = holder(&s3, std::slice::from_ref(event), "request-1").await;
        // 30 seconds were left; 30 more are the margin.
        assert_eq!(until, 1_748_772_060 + 60);
        owner
    };
    let event = notification(&["a.json.gz"]);
    assert_eq!(owner(&event).await, "request-1");
    assert_eq!(owner(&batch(&[("m-1", event)])).await, "m-1");
}

#[tokio::test]
async fn an_object_without_denials_reads_the_watch_list_once_and_calls_nothing_else() {
    let quiet = r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"ThrottlingException","input":"AccessDeniedException"}"#;
    let s3 = bucket(&[("a.json.gz", gzip(quiet))]);
    let dynamodb = Server::start(|_, _| Some(Reply::new(200, "{}")));
    let handler = handler(
        &s3,
        DynamoDbStore::new(&sdk(&dynamodb.url), TABLE.to_owned()),
        SnsSink::new(&nowhere(), "arn:aws:sns:us-east-1:1:t".to_owned()),
    );
    let delivered = deliver(&handler, &notification(&["a.json.gz"])).await;
    assert_eq!(delivered.answer.expect("success"), Answer::Done);
    assert_eq!((delivered.metrics.read.records, delivered.metrics.read.denials), (1, 0));
    assert_eq!((s3.requests().len(), dynamodb.requests().len()), (1, 1));
}

#[tokio::test]
async fn the_object_in_which_an_incident_begins_is_fetched_once_more_and_no_other() {
    let call = |id: &str| {
        json!({
            "timestamp": "2025-06-01T10:00:09Z", "accountId": "123456789012", "region": "us-east-1", "requestId": id,
            "identity": {"arn": "arn:aws:iam::123456789012:user/eve"}, "modelId": "n",
            "input": {"inputTokenCount": 7}, "output": {"outputTokenCount": 3},
        })
        .to_string()
    };
    let burst = gzip(&(log(&["1", "2", "3", "4"]) + &call("a") + "\n"));
    let s3 = bucket(&[("burst.json.gz", burst), ("later.json.gz", gzip(&call("b")))]);
    let handler = recording(&s3);
    for (key, requests) in [("burst.json.gz", 2), ("burst.json.gz", 3), ("later.json.gz", 4)] {
        let delivered = deliver(&handler, &notification(&[key])).await;
        assert_eq!(delivered.answer.expect("success"), Answer::Done);
        assert_eq!(s3.requests().len(), requests, "{key}");
    }
    let published = handler.pipeline.sink.published.lock().expect("no panic");
    let served: Vec<&Value> = published.iter().map(|notice| &notice["served"]).collect();
    assert_eq!(served.len(), 1);
    assert_eq!((&served[0]["calls"], &served[0]["tokens"]), (&json!(1), &json!(10)));
}

/// The whole chain on loopback, except the runtime.
async fn chain(s3: &Server, sns: &Server) -> (SdkConfig, Handler<DynamoDbStore, SnsSink>) {
    let config = dynamodb().await;
    let store = DynamoDbStore::new(&config, TABLE.to_owned());
    let topic = "arn:aws:sns:us-east-1:123456789012:alerts".to_owned();
    let handler = handler(s3, store, SnsSink::new(&sdk(&sns.url), topic));
    (config, handler)
}

#[tokio::test]
async fn over_dynamodb_and_sns_a_slow_crossing_over_four_objects_fires_once() {
    let objects: Vec<(String, Vec<u8>)> =
        (1..=4).map(|number| (format!("{number}.json.gz"), gzip(&log(&[&number.to_string()])))).collect();
    let objects: Vec<(&str, Vec<u8>)> =
        objects.iter().map(|(key, body)| (key.as_str(), body.clone())).collect();
    let s3 = bucket(&objects);
    let sns = Server::start(|_, _| Some(accepted()));
    let (_config, handler) = chain(&s3, &sns).await;
    for key in ["1.json.gz", "2.json.gz", "2.json.gz", "3.json.gz"] {
        let delivered = deliver(&handler, &notification(&[key])).await;
        assert_eq!(delivered.answer.expect("success"), Answer::Done);
        assert!(sns.requests().is_empty());
    }
    for alerts in [1, 0] {
        let delivered = deliver(&handler, &notification(&["4.json.gz"])).await;
        assert_eq!(delivered.metrics.alerts, alerts);
    }
    let requests = sns.requests();
    assert_eq!(requests.len(), 1);
    let message: Value = serde_json::from_str(&form(&requests[0])["Message"]).expect("JSON");
    let document: Value = serde_json::from_str(message["default"].as_str().expect("text")).expect("JSON");
    assert_eq!(document["total_denials"], 4);
    assert_eq!(document["objects"], json!(["s3://b/4.json.gz"]));
}
