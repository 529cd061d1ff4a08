//! One table for each shape. A payload and everything it asks for stand on one line.

mod any;
mod batches;
mod cloudtrail;
mod nested;
mod real;
mod s3;

use serde_json::{Value, json};

use super::batch_operations::Task;
use super::*;

fn shown(items: &[Resolved]) -> String {
    let one = |item: &Resolved| match item {
        Err(error) => format!("error: {error}"),
        Ok(EventItem::OtherCall) => "other call".to_owned(),
        Ok(EventItem::Record(record)) => format!("{} {}", record.name, record.json),
        Ok(EventItem::Object(object)) => {
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
        EventRequest::Whole(items) => shown(&items),
        EventRequest::Batch(messages) => {
            let one = |message: &SqsMessage| format!("{}=[{}]", message.id, shown(&message.items));
            messages.iter().map(one).collect::<Vec<_>>().join(" ")
        }
        EventRequest::Job(Job { schema_version, invocation_id, tasks, .. }) => {
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
