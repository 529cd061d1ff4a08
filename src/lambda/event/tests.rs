use serde_json::{Value, json};

use super::batch_operations::Task;
use super::*;

fn shown(items: &[Resolved]) -> String {
    let one = |item: &Resolved| match item {
        Err(error) => format!("error: {error}"),
        Ok(Item::OtherCall) => "other call".to_owned(),
        Ok(Item::Record(record)) => format!("{} {}", record.name, record.json),
        Ok(Item::Object(object)) => {
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
    items.iter().map(one).collect::<Vec<_>>().join(" | ")
}

/// Objects are shown as `s3://bucket/key v=version size=bytes`, records as their name and JSON,
/// messages as `id=[…]`, the tasks of a job as `id:(…)` behind its version and id.
#[track_caller]
fn check_text(payload: &str, expected: &str) {
    let shown = match resolve(payload) {
        Request::Whole(items) => shown(&items),
        Request::Batch(messages) => {
            let one = |message: &Message| format!("{}=[{}]", message.id, shown(&message.items));
            messages.iter().map(one).collect::<Vec<_>>().join(" ")
        }
        Request::Job(Job { schema_version, invocation_id, tasks }) => {
            let one = |task: &Task| format!(" {}:({})", task.id, shown(std::slice::from_ref(&task.item)));
            format!("{schema_version} {invocation_id}{}", tasks.iter().map(one).collect::<String>())
        }
    };
    match expected.strip_suffix('…') {
        Some(start) => assert!(shown.starts_with(start), "{shown}\nfor {payload}"),
        None => assert_eq!(shown, expected, "for {payload}"),
    }
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "cases are one line")]
fn check(payload: Value, expected: &str) {
    check_text(&payload.to_string(), expected);
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
    check(json!({"Records":[{"EventSource":"aws:sns","Sns":{}}]}), "error: SNS message: expected Message");
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
    check_text(&"[".repeat(100_000), "error: unknown event: expected…");
    check_text(&("[".repeat(100_000) + &"]".repeat(100_000)), "error: events nested more than 16 deep");
    let nested = |times| (0..times).fold(notification("k"), |event, _| on_failure(&event));
    check(nested(MAX_NESTING), "s3://b/k");
    check(nested(MAX_NESTING + 1), "error: events nested more than 16 deep");
}

/// A call that CloudTrail recorded.
fn call(source: &str, name: &str) -> Value {
    json!({"eventID":"e-1","eventName":name,"eventSource":source,"eventVersion":"1.11"})
}

fn model_call() -> Value {
    call("bedrock.amazonaws.com", "Converse")
}

/// What EventBridge makes of it.
fn api_call(detail: &Value) -> Value {
    json!({"version":"0","id":"b-1","detail-type":"AWS API Call via CloudTrail","source":"aws.bedrock","detail":detail})
}

const MODEL_CALL: &str =
    r#"{"eventID":"e-1","eventName":"Converse","eventSource":"bedrock.amazonaws.com","eventVersion":"1.11"}"#;

fn trail(keys: &Value) -> Value {
    json!({"s3Bucket":"b","s3ObjectKey":keys})
}

fn job(tasks: &Value) -> Value {
    json!({"invocationSchemaVersion":"1.0","invocationId":"i","job":{"id":"j"},"tasks":tasks})
}

#[test]
fn a_size_may_be_text_and_nothing_depends_on_it() {
    let sized =
        |size: Value| json!({"Records":[{"s3":{"bucket":{"name":"b"},"object":{"key":"k","size":size}}}]});
    check(sized(json!("12")), "s3://b/k size=12");
    for odd in [json!("many"), json!(1.5), json!(null), json!([1])] {
        check(sized(odd), "s3://b/k");
    }
}

#[test]
fn cloudtrail_names_its_files_as_they_are() {
    check(trail(&json!(["x/1+2%2B.json.gz", "3"])), "s3://b/x/1+2%2B.json.gz | s3://b/3");
    check(trail(&json!("1")), "s3://b/1");
    let incomplete = "error: CloudTrail notification: expected s3Bucket, and s3ObjectKey as text or a list";
    for keys in [json!([]), json!(""), json!(7), json!(null), json!({})] {
        check(trail(&keys), incomplete);
    }
    check(json!({"s3ObjectKey":["1"]}), incomplete);
    check(json!({"s3Bucket":"","s3ObjectKey":["1"]}), incomplete);
    check(trail(&json!(["1", 2, "3"])), &format!("s3://b/1 | {incomplete} | s3://b/3"));
}

#[test]
fn tests_and_confirmations_name_nothing() {
    let text = "CloudTrail validation message.";
    check(json!(text), "");
    check(json!([text]), "");
    check(json!({"Records":[{"EventSource":"aws:sns","Sns":{"Type":"Notification","Message":text}}]}), "");
    check(json!({"Records":[{"messageId":"m","body":text}]}), "m=[]");
    check(
        json!({"Records":[{"messageId":"m","body":json!({"Type":"Notification","TopicArn":"t","Message":text}).to_string()}]}),
        "m=[]",
    );
    check(
        json!({"Records":[{"messageId":"m","body":"CloudTrail validation"}]}),
        "m=[error: SQS body: expected…",
    );
    for kind in ["SubscriptionConfirmation", "UnsubscribeConfirmation"] {
        let confirmation =
            json!({"Type":kind,"TopicArn":"t","Token":"x","Message":"You have chosen…","SubscribeURL":"u"});
        check(json!({"Records":[sqs("m", &confirmation)]}), "m=[]");
        check(confirmation, "");
    }
    check(json!({"Type":"Notification","TopicArn":"t"}), "error: SNS message: expected Message");
}

#[test]
fn a_model_call_in_the_event_is_a_record() {
    check(api_call(&model_call()), &format!("eventbridge:b-1 {MODEL_CALL}"));
    check(
        json!({"Records":[sqs("m", &api_call(&model_call()))]}),
        &format!("m=[eventbridge:b-1 {MODEL_CALL}]"),
    );
    check(on_failure(&api_call(&model_call())), &format!("eventbridge:b-1 {MODEL_CALL}"));
    // Alone, it still has an id.
    check(model_call(), &format!("eventbridge:e-1 {MODEL_CALL}"));
    check(json!({"Records":[sqs("m", &model_call())]}), &format!("m=[eventbridge:e-1 {MODEL_CALL}]"));
}

#[test]
fn a_call_without_a_model_is_counted_and_no_more() {
    for (source, name) in
        [("s3.amazonaws.com", "PutObject"), ("bedrock.amazonaws.com", "ListFoundationModels")]
    {
        check(api_call(&call(source, name)), "other call");
        check(call(source, name), "other call");
        check(json!({"Records":[sqs("m", &call(source, name))]}), "m=[other call]");
    }
    // The pattern that told of new objects before S3 sent events by itself.
    let mut put = api_call(&call("s3.amazonaws.com", "PutObject"));
    put["source"] = json!("aws.s3");
    check(put, "other call");
    for detail in [json!(null), json!("x"), json!({}), json!({"eventName":"Converse"})] {
        check(
            api_call(&detail),
            "error: EventBridge event `AWS API Call via CloudTrail`: expected detail.eventSource and detail.eventName",
        );
    }
}

#[test]
fn a_record_is_handed_on_byte_for_byte() {
    let deep = "[".repeat(500) + &"]".repeat(500);
    for odd in
        [r#""boto3 \ud83d""#, "1e400", "0.10000000000000000555", deep.as_str(), r#"{"b":1,"a":2,"b":3}"#]
    {
        let record =
            format!(r#"{{ "eventSource":"bedrock.amazonaws.com","eventName" : "Converse", "x": {odd}}}"#);
        let event =
            format!(r#"{{"detail-type":"AWS API Call via CloudTrail","id":"b-1","detail": {record} }}"#);
        check_text(&event, &format!("eventbridge:b-1 {record}"));
        check_text(
            &json!({"Records":[{"messageId":"m","body":event}]}).to_string(),
            &format!("m=[eventbridge:b-1 {record}]"),
        );
    }
}

#[test]
fn a_record_has_a_name_of_its_own_whatever_its_ids() {
    let named = |id: Value, event_id: Value| {
        let mut event = api_call(&model_call());
        event["id"] = id;
        event["detail"]["eventID"] = event_id;
        let Request::Whole(items) = resolve(&event.to_string()) else { panic!("a batch") };
        let [Ok(Item::Record(record))] = items.as_slice() else { panic!("{items:?}") };
        record.name.clone()
    };
    assert_eq!(named(json!(null), json!("e-2")), "eventbridge:e-2");
    let hashed = [
        named(json!(null), json!(null)),
        named(json!("a b"), json!("x".repeat(65))),
        named(json!(""), json!(7)),
    ];
    for (number, name) in hashed.iter().enumerate() {
        assert_eq!(name.len(), "eventbridge:".len() + 32, "{name}");
        assert!(!hashed[..number].contains(name), "{name}");
    }
}

#[test]
fn the_detail_of_a_new_object_alone_is_enough() {
    let detail = |field: &str| {
        let mut detail = event_bridge("a+b%2B")["detail"].clone();
        detail[field] = json!("x");
        detail
    };
    check(detail("reason"), "s3://b/a+b%2B");
    check(json!({"Records":[sqs("m", &detail("reason"))]}), "m=[s3://b/a+b%2B]");
    check(json!([detail("reason"), detail("requester")]), "s3://b/a+b%2B | s3://b/a+b%2B");
    for no_new_object in ["deletion-type", "source-storage-class", "destination-storage-class"] {
        check(detail(no_new_object), "");
    }
    check(
        json!({"bucket":{},"object":{}}),
        "error: EventBridge event: expected detail.bucket.name and detail.object.key",
    );
}

#[test]
fn a_pipe_sends_messages_as_a_list_or_one_alone() {
    let message = |id: &str| sqs(id, &notification("k"));
    check(json!([message("1"), message("2")]), "1=[s3://b/k] 2=[s3://b/k]");
    check(json!([message("1")]), "1=[s3://b/k]");
    check(message("1"), "1=[s3://b/k]");
    check(json!([sqs("1", &json!({"a":1}))]), "1=[error: unknown event: expected…");
    // What the pipe cut down to has no ids to answer with.
    check(json!([notification("1"), event_bridge("2")]), "s3://b/1 | s3://b/2");
    check(json!([message("1"), event_bridge("2")]), "s3://b/k | s3://b/2");
    check(json!([message("1"), {"body":"{}"}]), "s3://b/k | error: unknown event: expected…");
    check(on_failure(&json!([message("1"), message("2")])), "s3://b/k | s3://b/k");
    check(on_failure(&message("1")), "s3://b/k");
}

#[test]
fn a_job_names_objects_in_either_version() {
    check(
        job(&json!([
            {"taskId":"1","s3Key":"a+b%2Bc%2Fd","s3VersionId":null,"s3BucketArn":"arn:aws:s3:::b"},
            {"taskId":"2","s3Key":"k","s3VersionId":"v1","s3BucketArn":"arn:aws:s3:us-east-1:1:b"},
        ])),
        "1.0 i 1:(s3://b/a b+c/d) 2:(s3://b/k v=v1)",
    );
    let second = json!([{"taskId":"1","s3Key":"k","s3VersionId":"","s3Bucket":"b--use1-az4--x-s3"}]);
    let mut event = job(&second);
    event["invocationSchemaVersion"] = json!("2.0");
    event["job"]["userArguments"] = json!({"a":"b"});
    check(event, "2.0 i 1:(s3://b--use1-az4--x-s3/k)");
    check(
        job(&json!([{"taskId":"1","s3Key":"k","s3BucketArn":"arn:aws:s3:eu-west-1:1:accesspoint/p"}])),
        "1.0 i 1:(s3://arn:aws:s3:eu-west-1:1:accesspoint/p/k)",
    );
}

#[test]
fn a_task_that_names_nothing_fails_alone_and_one_without_an_id_fails_the_job() {
    let bucket = "arn:aws:s3:::b";
    check(
        job(&json!([
            {"taskId":"1","s3Key":"%ff","s3BucketArn":bucket},
            {"taskId":"2","s3BucketArn":bucket},
            {"taskId":"3","s3Key":"k","s3BucketArn":bucket},
        ])),
        "1.0 i 1:(error: S3 Batch Operations: expected s3Key, form-encoded UTF-8) 2:(error: S3 Batch Operations: expected s3Key, and s3BucketArn or s3Bucket) 3:(s3://b/k)",
    );
    let incomplete = "error: S3 Batch Operations: expected invocationId, and tasks, each with a taskId";
    for tasks in [json!(null), json!([]), json!({}), json!([1]), json!([{"s3Key":"k","s3BucketArn":bucket}])]
    {
        check(job(&tasks), incomplete);
    }
    check(json!({"invocationSchemaVersion":"1.0","tasks":[{"taskId":"1"}]}), incomplete);
    // Nobody waits for an answer about tasks behind an on-failure record.
    check(on_failure(&job(&json!([{"taskId":"1","s3Key":"k","s3BucketArn":bucket}]))), "s3://b/k");
    check(on_failure(&job(&json!([]))), incomplete);
}

/// Every shape with the object or record it asks for.
fn shapes() -> Vec<(Value, String)> {
    let object = || "s3://b/k".to_owned();
    vec![
        (notification("k"), object()),
        (event_bridge("k"), object()),
        (event_bridge("k")["detail"].clone(), object()),
        (trail(&json!(["k"])), object()),
        (trail(&json!("k")), object()),
        (api_call(&model_call()), format!("eventbridge:b-1 {MODEL_CALL}")),
        (model_call(), format!("eventbridge:e-1 {MODEL_CALL}")),
        (api_call(&call("s3.amazonaws.com", "PutObject")), "other call".to_owned()),
        (json!({"Event":"s3:TestEvent"}), String::new()),
        (json!("CloudTrail validation message."), String::new()),
    ]
}

#[test]
fn every_shape_is_read_inside_every_other_one_and_inside_two() {
    let around = [
        |inner: &Value| json!({"Records":[sqs("m", inner)]}),
        |inner: &Value| json!([sqs("m", inner)]),
        |inner: &Value| sqs("m", inner),
        |inner: &Value| json!([inner]),
        sns,
        sns_envelope,
        on_failure,
    ];
    for (event, expected) in shapes() {
        for outer in around {
            let told = |nested: &Value| match resolve(&nested.to_string()) {
                Request::Whole(items) => shown(&items),
                Request::Batch(messages) => {
                    assert_eq!(messages.len(), 1);
                    shown(&messages[0].items)
                }
                Request::Job(job) => panic!("{job:?}"),
            };
            assert_eq!(told(&outer(&event)), expected, "{}", outer(&event));
            for outermost in around {
                let nested = outermost(&outer(&event));
                assert_eq!(told(&nested), expected, "{nested}");
            }
        }
    }
}

#[test]
fn an_unknown_shape_says_what_was_expected_and_what_it_saw() {
    check(
        json!({"action":"go","at":1}),
        "error: unknown event: expected an S3 notification (Records[].s3), EventBridge `Object Created` or `AWS API Call via CloudTrail` or the detail of either, a CloudTrail notification (s3Bucket, s3ObjectKey), S3 Batch Operations (tasks), SQS messages or SNS records around any of these, or a Lambda on-failure record (requestPayload); saw the keys [\"action\", \"at\"]",
    );
    let saw = |payload: Value, saw: &str| {
        let Request::Whole(objects) = resolve(&payload.to_string()) else { panic!("a batch") };
        let error = objects[0].as_ref().expect_err("unknown").to_string();
        assert!(error.ends_with(&format!("saw {saw}")), "{error}");
        assert!(error.len() < 1000);
    };
    saw(json!([]), "a list");
    saw(json!([1]), "no JSON object");
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
    // Not the `detail` of an event but the content of a log file.
    saw(
        json!({"Records":[model_call()]}),
        "the keys [\"eventID\", \"eventName\", \"eventSource\", \"eventVersion\"]",
    );
    saw(json!({"records":[record("k")]}), "the keys [\"records\"]");
    // One record of a notification alone, whose event source is no service's.
    saw(
        json!({"eventSource":"aws:s3","eventName":"ObjectCreated:Put"}),
        "the keys [\"eventName\", \"eventSource\"]",
    );
    // A message without an id could not be answered for.
    saw(json!({"Records":[{"body":"{}"}]}), "the keys []");
}
