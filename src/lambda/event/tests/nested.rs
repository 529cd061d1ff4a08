//! Events within events, and what is none.

use super::*;

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

/// Every shape with the object or record it asks for.
pub fn shapes() -> Vec<(Value, String)> {
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
                EventRequest::Whole(items) => shown(&items),
                EventRequest::Batch(messages) => {
                    assert_eq!(messages.len(), 1);
                    shown(&messages[0].items)
                }
                EventRequest::Job(job) => panic!("{job:?}"),
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
fn nesting_is_bounded() {
    check_text(&"[".repeat(100_000), "error: unknown event: expected…");
    check_text(&("[".repeat(100_000) + &"]".repeat(100_000)), "error: events nested more than 16 deep");
    let nested = |times| (0..times).fold(notification("k"), |event, _| on_failure(&event));
    check(nested(MAX_NESTING), "s3://b/k");
    check(nested(MAX_NESTING + 1), "error: events nested more than 16 deep");
}

#[test]
fn an_unknown_shape_says_what_was_expected_and_what_it_saw() {
    check(
        json!({"action":"go","at":1}),
        "error: unknown event: expected an S3 notification (Records[].s3), EventBridge `Object Created` or `AWS API Call via CloudTrail` or the detail of either, a CloudTrail notification (s3Bucket, s3ObjectKey), S3 Batch Operations (tasks), SQS messages or SNS records around any of these, or a Lambda on-failure record (requestPayload); saw the keys [\"action\", \"at\"]",
    );
    let saw = |payload: Value, saw: &str| {
        let EventRequest::Whole(objects) = resolve(&payload.to_string()) else { panic!("a batch") };
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
