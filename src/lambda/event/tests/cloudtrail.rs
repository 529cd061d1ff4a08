//! CloudTrail's notifications, and its records on EventBridge.

use super::*;

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
fn a_call_that_no_rule_may_be_about_is_counted_and_no_more() {
    for (source, name) in [("s3.amazonaws.com", "PutObject"), ("iam.amazonaws.com", "ListFoundationModels")] {
        check(api_call(&call(source, name)), "other call");
        check(call(source, name), "other call");
        check(json!({"Records":[sqs("m", &call(source, name))]}), "m=[other call]");
    }
    // The pattern that reported new objects before S3 sent events by itself.
    let mut put = api_call(&call("s3.amazonaws.com", "PutObject"));
    put["source"] = json!("aws.s3");
    check(put, "other call");
    let mut escape = call("iam.amazonaws.com", "ListUsers");
    escape["userIdentity"] = json!({"arn": "arn:aws:iam::111122223333:user/BedrockAPIKey-a1b2"});
    for watched in [call("bedrock.amazonaws.com", "ListFoundationModels"), escape] {
        check(api_call(&watched), &format!("eventbridge:b-1 {watched}"));
    }
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
        let EventRequest::Whole(items) = resolve(&event.to_string()) else { panic!("a batch") };
        let [Ok(EventItem::Record(record))] = items.as_slice() else { panic!("{items:?}") };
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
