use serde_json::json;

use super::*;

fn shown(resolved: &[Resolved]) -> String {
    let one = |resolved: &Resolved| match resolved {
        Err(error) => format!("error: {error}"),
        Ok(object) => {
            let mut text = object.to_string();
            if let Some(version) = &object.version_id {
                text = format!("{text} v={version}");
            }
            if let Some(size) = object.size {
                text = format!("{text} size={size}");
            }
            text
        }
    };
    resolved.iter().map(one).collect::<Vec<_>>().join(" | ")
}

/// Objects are shown as `s3://bucket/key v=version size=bytes`, messages as `id=[…]`.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "cases are one line")]
fn check(payload: Value, expected: &str) {
    let shown = match resolve(&payload) {
        Request::Whole(objects) => shown(&objects),
        Request::Batch(messages) => {
            let one = |message: &Message| format!("{}=[{}]", message.id, shown(&message.objects));
            messages.iter().map(one).collect::<Vec<_>>().join(" ")
        }
    };
    match expected.strip_suffix('…') {
        Some(start) => assert!(shown.starts_with(start), "{shown}\nfor {payload}"),
        None => assert_eq!(shown, expected, "for {payload}"),
    }
}

fn record(key: &str) -> Value {
    json!({"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put",
        "s3":{"bucket":{"name":"b"},"object":{"key":key}}})
}

fn notification(key: &str) -> Value {
    json!({"Records":[record(key)]})
}

fn event_bridge(key: &str) -> Value {
    json!({"version":"0","detail-type":"Object Created","source":"aws.s3",
        "detail":{"bucket":{"name":"b"},"object":{"key":key}}})
}

fn sqs(id: &str, body: &Value) -> Value {
    json!({"messageId":id,"eventSource":"aws:sqs","body":body.to_string()})
}

fn sns(message: &Value) -> Value {
    json!({"Records":[{"EventSource":"aws:sns","Sns":{"Type":"Notification","Message":message.to_string()}}]})
}

fn sns_envelope(message: &Value) -> Value {
    json!({"Type":"Notification","TopicArn":"arn:aws:sns:us-east-1:1:t","Message":message.to_string()})
}

fn on_failure(payload: &Value) -> Value {
    json!({"version":"1.0","requestContext":{"condition":"RetriesExhausted"},"requestPayload":payload,
        "responseContext":{"statusCode":200},"responsePayload":{"errorMessage":"…"}})
}

#[test]
fn a_notification_names_its_objects_in_order() {
    check(notification("k.gz"), "s3://b/k.gz");
    check(json!({"Records":[record("1"), record("2"), record("1")]}), "s3://b/1 | s3://b/2 | s3://b/1");
    check(json!({"Records":[]}), "");
}

#[test]
fn version_and_size_are_used_when_present() {
    let object = |fields: Value| json!({"Records":[{"eventName":"ObjectCreated:Copy","s3":{"bucket":{"name":"b"},"object":fields}}]});
    check(
        object(json!({"key":"k","size":12,"versionId":"x.Y_z","eTag":"e","sequencer":"0A"})),
        "s3://b/k v=x.Y_z size=12",
    );
    check(object(json!({"key":"k","size":0,"versionId":""})), "s3://b/k size=0");
    check(object(json!({"key":"k","size":-1,"versionId":null})), "s3://b/k");
    let mut event = event_bridge("k");
    event["detail"]["object"] = json!({"key":"k","size":7,"version-id":"v1","etag":"e"});
    check(event, "s3://b/k v=v1 size=7");
}

#[test]
fn notification_keys_are_form_decoded_and_event_bridge_keys_are_not() {
    check(notification("a+b%2Bc%20d"), "s3://b/a b+c d");
    check(notification("year%3D2025/%C3%BC%26%F0%9F%99%82.gz"), "s3://b/year=2025/ü&🙂.gz");
    check(notification("100%"), "s3://b/100%");
    check(event_bridge("a+b%2Bc d"), "s3://b/a+b%2Bc d");
    check(notification("%ff"), "error: S3 notification: expected s3.object.key, form-encoded…");
}

#[test]
fn only_created_objects_are_deliveries() {
    let named = |name: &str| {
        let mut event = notification("k");
        event["Records"][0]["eventName"] = json!(name);
        event
    };
    for name in ["ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload", "s3:ObjectCreated:Copy"] {
        check(named(name), "s3://b/k");
    }
    for name in ["ObjectRemoved:Delete", "LifecycleExpiration:Delete", "ObjectRestore:Completed", ""] {
        check(named(name), "");
    }
    let mut bare = notification("k");
    bare["Records"][0].as_object_mut().expect("a record").remove("eventName");
    check(bare, "s3://b/k");
    let mut untyped = event_bridge("k");
    untyped.as_object_mut().expect("an event").remove("detail-type");
    check(untyped, "error: EventBridge event: expected detail-type");
    let mut deleted = event_bridge("k");
    deleted["detail-type"] = json!("Object Deleted");
    check(deleted, "");
}

#[test]
fn the_test_event_names_nothing() {
    let test =
        json!({"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2025-06-01T10:00:00.000Z","Bucket":"b"});
    check(test.clone(), "");
    check(sns(&test), "");
    check(json!({"Records":[sqs("m", &test)]}), "m=[]");
}

#[test]
fn an_sqs_batch_is_resolved_message_by_message() {
    check(
        json!({"Records":[
            sqs("1", &notification("a+b")),
            sqs("2", &event_bridge("a+b")),
            sqs("3", &sns_envelope(&notification("c"))),
            sqs("4", &on_failure(&event_bridge("d"))),
            sqs("5", &json!({"Records":[record("e"), record("f")]})),
        ]}),
        "1=[s3://b/a b] 2=[s3://b/a+b] 3=[s3://b/c] 4=[s3://b/d] 5=[s3://b/e | s3://b/f]",
    );
}

#[test]
fn a_bad_message_or_record_stops_no_other() {
    check(
        json!({"Records":[{"messageId":"1","body":"not JSON"}, sqs("2", &notification("k"))]}),
        "1=[error: SQS body: expected an event as JSON text: expected ident at line 1 column 2] 2=[s3://b/k]",
    );
    check(
        json!({"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{}}}, record("k")]}),
        "error: S3 notification: expected s3.bucket.name and s3.object.key | s3://b/k",
    );
    check(
        json!({"Records":[{"s3":7,"eventName":"ObjectCreated:Put"}, record("k"), {"s3":{}}]}),
        "error: S3 notification: expected s3.bucket.name and s3.object.key | s3://b/k | error: S3 notification: expected s3.bucket.name and s3.object.key",
    );
}

#[test]
fn sns_wraps_either() {
    check(sns(&notification("a+b")), "s3://b/a b");
    check(sns(&event_bridge("a+b")), "s3://b/a+b");
    check(sns_envelope(&event_bridge("k")), "s3://b/k");
    check(json!({"Records":[{"EventSource":"aws:sns","Sns":{}}]}), "error: SNS record: expected Sns.Message");
}

#[test]
fn an_on_failure_record_is_fed_back_as_it_is() {
    check(on_failure(&notification("a+b")), "s3://b/a b");
    check(on_failure(&event_bridge("a+b")), "s3://b/a+b");
    check(on_failure(&sns(&notification("k"))), "s3://b/k");
    check(on_failure(&on_failure(&notification("k"))), "s3://b/k");
    // A batch inside a record cannot be answered message by message.
    check(
        on_failure(&json!({"Records":[sqs("1", &notification("a")), sqs("2", &notification("b"))]})),
        "s3://b/a | s3://b/b",
    );
    check(
        json!({"Records":[sqs("1", &sns_envelope(&on_failure(&json!({"Records":[sqs("2", &notification("k"))]}))))]}),
        "1=[s3://b/k]",
    );
}

#[test]
fn nesting_is_bounded() {
    let nested = |times| (0..times).fold(notification("k"), |event, _| on_failure(&event));
    check(nested(MAX_NESTING), "s3://b/k");
    check(nested(MAX_NESTING + 1), "error: events nested more than 16 deep");
}

#[test]
fn an_unknown_shape_says_what_was_expected_and_what_it_saw() {
    check(
        json!({"action":"go","at":1}),
        "error: unknown event: expected an S3 notification (Records[].s3), EventBridge `Object Created` from aws.s3, an SQS batch or SNS records around either, or a Lambda on-failure record (requestPayload); saw the keys [\"action\", \"at\"]",
    );
    let saw = |payload: Value, saw: &str| {
        let Request::Whole(objects) = resolve(&payload) else { panic!("a batch") };
        let error = objects[0].as_ref().expect_err("unknown").to_string();
        assert!(error.ends_with(&format!("saw {saw}")), "{error}");
        assert!(error.len() < 1000);
    };
    saw(json!([1]), "a list");
    saw(json!("text"), "text");
    saw(json!(null), "no JSON object");
    saw(json!({}), "the keys []");
    saw(json!({"x".repeat(5000):1}), &format!("the keys [\"{}\"]", "x".repeat(40)));
    saw(
        json!({"Records":[{"kinesis":{},"eventSource":"aws:kinesis"}]}),
        "the keys [\"eventSource\", \"kinesis\"]",
    );
    saw(
        json!({"detail-type":"EC2 Instance State-change Notification","source":"aws.ec2"}),
        "the keys [\"detail-type\", \"source\"]",
    );
    // A message without an id could not be answered for.
    saw(json!({"Records":[{"body":"{}"}]}), "the keys []");
}
