//! CloudTrail records that come in the event itself: read, counted and reported as from a file.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bedrock_denial_watch::alert::sink::AlertSink;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::count::store::Store;
use bedrock_denial_watch::lambda::aws::DynamoDbStore;
use bedrock_denial_watch::lambda::handler::{Answer, Handler, Invocation};
use serde_json::{Value, json};

use crate::handler::{
    Recorder, batch, bucket, deliver, failed, handler, holder, notification, published, recording,
};
use crate::http::Server;
use crate::support::{TABLE, dynamodb, gzip};

/// A denied call as CloudTrail records it; a number from 1 to 9 gives its ids and second.
fn record(number: usize) -> Value {
    json!({
        "eventVersion": "1.11",
        "userIdentity": {"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/eve","accountId":"111122223333","accessKeyId":"AKIAEXAMPLE"},
        "eventTime": format!("2025-06-01T10:00:0{number}Z"),
        "eventSource": "bedrock.amazonaws.com",
        "eventName": "Converse",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "192.0.2.7",
        "userAgent": "Boto3/1.40",
        "errorCode": "AccessDenied",
        "errorMessage": "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:us-east-1::foundation-model/a.b because no identity-based policy allows the bedrock:InvokeModel action",
        "requestParameters": {"modelId":"a.b"},
        "requestID": format!("r-{number}"),
        "eventID": format!("e-{number}"),
        "recipientAccountId": "111122223333",
    })
}

fn event(number: usize) -> Value {
    json!({
        "version": "0", "id": format!("b-{number}"), "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.bedrock", "account": "111122223333", "region": "us-east-1",
        "detail": record(number),
    })
}

/// The same four calls in a log file.
fn file() -> Server {
    let records: Vec<Value> = (1..=4).map(record).collect();
    bucket(&[("trail.json.gz", gzip(&json!({"Records": records}).to_string()))])
}

async fn succeed<S: Store, K: AlertSink>(handler: &Handler<S, K>, event: &Value) -> u64 {
    let delivered = deliver(handler, event).await;
    delivered.answer.expect("success");
    delivered.metrics.alerts
}

#[tokio::test]
async fn the_fourth_event_fires_and_nothing_is_fetched() {
    let s3 = bucket(&[]);
    let handler = recording(&s3);
    for (number, alerts) in [(1, 0), (2, 0), (2, 0), (3, 0), (4, 1), (4, 0), (5, 0)] {
        let delivered = deliver(&handler, &event(number)).await;
        assert_eq!(delivered.answer.expect("success"), Answer::Done);
        let metrics = delivered.metrics;
        assert_eq!((metrics.event_records, metrics.objects, metrics.alerts), (1, 0, alerts), "{number}");
        assert_eq!((metrics.read.records, metrics.read.denials), (1, 1));
    }
    assert!(s3.requests().is_empty());
    let published = handler.pipeline.sink.published.lock().expect("no panic");
    assert_eq!(published[0]["total_denials"], 4);
    assert_eq!(published[0]["objects"], json!(["eventbridge:b-4"]));
}

#[tokio::test]
async fn an_alert_from_events_holds_what_one_from_a_file_holds() {
    let s3 = file();
    let from_file = recording(&s3);
    succeed(&from_file, &notification(&["trail.json.gz"])).await;
    let from_events = recording(&s3);
    for number in 1..=4 {
        succeed(&from_events, &event(number)).await;
    }
    let document = |handler: &Handler<MemoryStore, Recorder>| {
        let mut document = handler.pipeline.sink.published.lock().expect("no panic")[0].clone();
        let fields = document.as_object_mut().expect("a document");
        fields.remove("objects");
        // Only a file can be replayed from its bucket.
        fields["investigate"].as_object_mut().expect("queries").remove("replay");
        document
    };
    let (left, right) = (document(&from_file), document(&from_events));
    assert_eq!(left["event"]["dataset"], json!(["aws.cloudtrail"]));
    assert_eq!(left["source"]["ip"], json!(["192.0.2.7"]));
    assert_eq!(left, right);
}

/// File and events in either order and mixed, each twice, then a fifth call by event.
async fn counted_once<S: Store>(s3: &Server, store: impl AsyncFn() -> S) {
    let all = || (1..=4).map(event);
    let trail = || notification(&["trail.json.gz"]);
    let (first, rest) = (|| all().take(2), || all().skip(2));
    let orders: [Vec<Value>; 3] = [
        std::iter::once(trail()).chain(all()).collect(),
        all().chain([trail()]).collect(),
        first().chain([trail()]).chain(rest()).collect(),
    ];
    for order in orders {
        let handler = handler(s3, store().await, Recorder::default());
        let mut alerts = 0;
        for delivery in order.iter().flat_map(|delivery| [delivery, delivery]) {
            alerts += succeed(&handler, delivery).await;
        }
        alerts += succeed(&handler, &batch(&[("m", event(1)), ("n", trail())])).await;
        assert_eq!(alerts, 1);
        let published = handler.pipeline.sink.published.lock().expect("no panic");
        assert_eq!(published.len(), 1);
        assert_eq!(published[0]["total_denials"], 4, "{}", published[0]);
        assert_eq!(published[0]["@timestamp"], "2025-06-01T10:00:04Z");
    }
}

#[tokio::test]
async fn a_call_in_a_file_and_in_an_event_counts_once_in_the_embedded_store() {
    counted_once(&file(), async || MemoryStore::default()).await;
}

#[tokio::test]
async fn a_call_in_a_file_and_in_an_event_counts_once_in_dynamodb() {
    counted_once(&file(), async || DynamoDbStore::new(&dynamodb().await, TABLE.to_owned())).await;
}

#[tokio::test]
async fn three_calls_in_both_are_no_four() {
    let records: Vec<Value> = (1..=3).map(record).collect();
    let s3 = bucket(&[("trail.json.gz", gzip(&json!({"Records": records}).to_string()))]);
    let handler = recording(&s3);
    let file = notification(&["trail.json.gz"]);
    for delivery in [file.clone(), event(1), event(2), event(3), file] {
        succeed(&handler, &delivery).await;
    }
    assert_eq!(published(&handler), 0);
    succeed(&handler, &event(4)).await;
    assert_eq!(published(&handler), 1);
}

#[tokio::test]
async fn claims_of_an_event_are_owned_by_the_request() {
    for (last, expected) in [(event(4), "request-1"), (batch(&[("m-1", event(4))]), "request-1")] {
        let events = [event(1), event(2), event(3), last];
        assert_eq!(holder(&bucket(&[]), &events, "request-1").await.0, expected);
    }
}

/// An item of the table that no version of the detector could have written: its key fails, and no other.
async fn break_alerts(config: &SdkConfig, model: &str) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let key = format!(r#"["denied-model","111122223333","arn:aws:iam::111122223333:user/eve","{model}"]"#);
    let put = Client::new(config).put_item().table_name(TABLE).item("pk", text(&key));
    put.item("sk", text("alerts")).item("alerts", text("broken")).send().await.expect("put");
}

#[tokio::test]
async fn of_a_batch_only_those_messages_fail_whose_key_the_table_refuses() {
    let s3 = bucket(&[("c.json.gz", gzip("{}"))]);
    let config = dynamodb().await;
    break_alerts(&config, "a.b").await;
    let handler = handler(&s3, DynamoDbStore::new(&config, TABLE.to_owned()), Recorder::default());
    let of = |number: usize, model: &str| {
        let mut event = event(number);
        event["detail"]["requestParameters"]["modelId"] = json!(model);
        event
    };
    let messages = [
        ("m-1", of(1, "a.b")),
        ("m-2", of(2, "c.d")),
        ("m-3", of(3, "a.b")),
        // One message of both.
        ("m-4", json!([of(4, "c.d"), of(5, "a.b")])),
        ("m-5", of(6, "c.d")),
        ("m-6", of(7, "c.d")),
        ("m-7", notification(&["c.json.gz"])),
        ("m-8", notification(&["gone.json.gz"])),
        ("m-9", json!({"what": "ever"})),
    ];
    let delivered = deliver(&handler, &batch(&messages)).await;
    assert_eq!(failed(&delivered), ["m-1", "m-3", "m-4", "m-8", "m-9"]);
    assert_eq!((delivered.metrics.event_records, delivered.metrics.objects), (7, 1));
    // Three records, an object and an event.
    assert_eq!((delivered.metrics.failures, delivered.metrics.alerts), (5, 1));
    let published = handler.pipeline.sink.published.lock().expect("no panic");
    assert_eq!(published.len(), 1);
    assert_eq!(published[0]["total_denials"], 4);
    assert_eq!(published[0]["objects"], json!(["eventbridge:request/request-1"]));
}

#[tokio::test]
async fn what_a_batch_could_not_publish_another_mix_publishes_at_once() {
    let s3 = bucket(&[]);
    let handler = recording(&s3);
    *handler.pipeline.sink.refuses.lock().expect("no panic") = true;
    let ids = ["m-1", "m-2", "m-3", "m-4"];
    let messages: Vec<(&str, Value)> = ids.into_iter().zip((1..=4).map(event)).collect();
    assert_eq!(failed(&deliver(&handler, &batch(&messages)).await), ids);
    *handler.pipeline.sink.refuses.lock().expect("no panic") = false;
    let clock = || 1_748_772_061_000;
    let invocation = Invocation { request_id: "request-2", clock: &clock, deadline_ms: 1_748_772_090_000 };
    let mix = batch(&[("m-9", event(9)), messages[2].clone()]);
    let delivered = handler.deliver(&mix.to_string(), invocation).await;
    assert_eq!(failed(&delivered), [""; 0]);
    assert_eq!((delivered.metrics.alerts, published(&handler)), (1, 1));
}

#[tokio::test]
async fn records_without_ids_of_one_batch_are_told_apart_by_their_events() {
    let s3 = bucket(&[]);
    let handler = recording(&s3);
    let messages: Vec<(String, Value)> = (1..=4)
        .map(|number| {
            let mut event = event(number);
            let record = event["detail"].as_object_mut().expect("a record");
            record.remove("requestID");
            record.remove("eventID");
            (format!("m-{number}"), event)
        })
        .collect();
    let messages: Vec<(&str, Value)> =
        messages.iter().map(|(id, event)| (id.as_str(), event.clone())).collect();
    deliver(&handler, &batch(&messages)).await;
    assert_eq!(published(&handler), 1);
}

#[tokio::test]
async fn denials_of_exempt_users_in_a_batch_are_each_counted_once() {
    let s3 = bucket(&[]);
    let mut handler = recording(&s3);
    handler.pipeline.exempt_users = vec!["*eve".parse().expect("a glob")];
    let messages: Vec<(&str, Value)> = ["a", "b", "c", "d"].into_iter().zip((1..=4).map(event)).collect();
    let read = deliver(&handler, &batch(&messages)).await.metrics.read;
    assert_eq!((read.denials, read.exempted), (4, 4));
}

#[tokio::test]
async fn a_call_that_no_rule_may_be_about_succeeds_and_is_only_counted() {
    let s3 = bucket(&[]);
    let mut other = event(1);
    other["detail"]["eventSource"] = json!("s3.amazonaws.com");
    let delivered = deliver(&recording(&s3), &json!([other, event(1)])).await;
    assert_eq!(delivered.answer.expect("success"), Answer::Done);
    assert_eq!((delivered.metrics.other_calls, delivered.metrics.event_records), (1, 1));
    assert_eq!(delivered.metrics.read.denials, 1);
}

#[tokio::test]
async fn a_record_that_is_not_counted_fails_the_delivery_by_name() {
    let s3 = bucket(&[]);
    let handler = recording(&s3);
    *handler.pipeline.sink.refuses.lock().expect("no panic") = true;
    for number in 1..=3 {
        succeed(&handler, &event(number)).await;
    }
    let error = deliver(&handler, &event(4)).await.answer.expect_err("refused").to_string();
    assert_eq!(error, "1 of 1 failed: eventbridge:b-4: record: refused");
}

#[tokio::test]
async fn after_an_outage_of_the_topic_every_caller_is_reported() {
    // Six callers an hour, four denied calls each, over three hours; ten events to a batch.
    let s3 = bucket(&[]);
    let handler = handler(&s3, DynamoDbStore::new(&dynamodb().await, TABLE.to_owned()), Recorder::default());
    let of = |number: usize| {
        let (caller, hour) = (number / 4, number / 24);
        let mut event = event(number % 4 + 1);
        event["id"] = json!(format!("b-{number}"));
        event["detail"]["userIdentity"]["arn"] = json!(format!("arn:aws:iam::111122223333:user/u{caller}"));
        event["detail"]["eventTime"] = json!(format!("2025-06-01T1{hour}:1{}:0{}Z", caller % 6, number % 4));
        event["detail"]["requestID"] = json!(format!("r-{number}"));
        event
    };
    let events: Vec<(String, Value)> = (0..72).map(|number| (format!("m-{number}"), of(number))).collect();
    let messages: Vec<(&str, Value)> =
        events.iter().map(|(id, event)| (id.as_str(), event.clone())).collect();
    *handler.pipeline.sink.refuses.lock().expect("no panic") = true;
    for attempt in 0..3 {
        for mix in messages.chunks(10) {
            let delivered = deliver(&handler, &batch(mix)).await;
            let failed = failed(&delivered).len();
            assert!(failed > 0, "attempt {attempt}: an alert that nobody got is not done");
        }
    }
    *handler.pipeline.sink.refuses.lock().expect("no panic") = false;
    for mix in messages.chunks(7) {
        assert_eq!(failed(&deliver(&handler, &batch(mix)).await), [""; 0]);
    }
    let published = handler.pipeline.sink.published.lock().expect("no panic");
    let mut callers: Vec<String> = published.iter().map(|notice| notice["user"]["id"].to_string()).collect();
    callers.sort();
    callers.dedup();
    assert_eq!((published.len(), callers.len()), (18, 18));
    assert!(published.iter().all(|notice| notice["incident"]["callers"].is_null()));
}
