//! What Lambda was called with → the S3 objects it speaks of.
//!
//! Accepted, told apart by content and nested in each other as deep as [`MAX_NESTING`]: S3
//! notifications, EventBridge `Object Created`, SQS batches, SNS records and the envelope SNS
//! puts into SQS, and the record Lambda sends to an on-failure destination (so that what
//! failed can be fed back as it is). Only the fields below are looked at; a detector must not
//! fail because an event lacks what it does not need.
//!
//! Sources: "Event message structure" and "Using EventBridge" in the Amazon S3 user guide;
//! "Capturing records of asynchronous invocations" in the AWS Lambda developer guide.

use aws_lambda_events::s3::S3Entity;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;

use crate::log::object::Object;

/// Events within events. An on-failure record that fails again is wrapped once more by each
/// round, so this allows for several.
pub const MAX_NESTING: usize = 16;

/// What one invocation asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// Succeeds or fails as a whole.
    Whole(Vec<Resolved>),
    /// An SQS batch: each message succeeds or fails on its own.
    Batch(Vec<Message>),
}

/// One record of an event: an object to read, or why it names none.
pub type Resolved = Result<Object, EventError>;

/// One SQS message.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The id that SQS gave it, the same at every delivery.
    pub id: String,
    /// What its body speaks of.
    pub objects: Vec<Resolved>,
}

/// Why an event, or one record of it, names no object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The shape is none of those accepted.
    #[error(
        "unknown event: expected an S3 notification (Records[].s3), EventBridge `Object Created` from aws.s3, an SQS batch or SNS records around either, or a Lambda on-failure record (requestPayload); saw {saw}"
    )]
    Unknown {
        /// The event's own top-level keys.
        saw: String,
    },
    /// The shape is known but lacks something.
    #[error("{shape}: expected {expected}")]
    Incomplete {
        /// Which shape.
        shape: &'static str,
        /// What is missing.
        expected: &'static str,
    },
    /// Text that should hold an event is not JSON.
    #[error("{shape}: expected an event as JSON text: {cause}")]
    NotJson {
        /// What held the text.
        shape: &'static str,
        /// What the parser said.
        cause: String,
    },
    /// More than [`MAX_NESTING`] events within events.
    #[error("events nested more than {MAX_NESTING} deep")]
    TooDeep,
}

/// Resolves a payload. It does all that can be done: one bad record stops no other.
#[must_use]
pub fn resolve(payload: &Value) -> Request {
    match sqs_messages(payload) {
        Some(messages) => Request::Batch(messages),
        None => Request::Whole(objects(payload)),
    }
}

/// The messages of an SQS batch; `None` for anything else.
fn sqs_messages(payload: &Value) -> Option<Vec<Message>> {
    let records = payload.get("Records")?.as_array()?;
    let message = |record: &Value| {
        let body = record.get("body")?.as_str()?;
        let mut objects = Vec::new();
        embedded("SQS body", body, 1, &mut objects);
        let id = record.get("messageId")?.as_str()?.to_owned();
        Some(Message { id, objects })
    };
    let messages: Option<Vec<Message>> = records.iter().map(message).collect();
    messages.filter(|messages| !messages.is_empty())
}

fn objects(payload: &Value) -> Vec<Resolved> {
    let mut objects = Vec::new();
    event(payload, 0, &mut objects);
    objects
}

fn event(value: &Value, depth: usize, found: &mut Vec<Resolved>) {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    if depth > MAX_NESTING {
        found.push(Err(EventError::TooDeep));
    } else if let Some(records) = value.get("Records").and_then(Value::as_array) {
        for value in records {
            record(value, depth, found);
        }
    } else if let Some(payload) = value.get("requestPayload") {
        event(payload, depth + 1, found);
    } else if let (Some(message), Some(_)) = (text("Message"), text("TopicArn")) {
        embedded("SNS message", message, depth + 1, found);
    } else if text("source") == Some("aws.s3") {
        found.extend(event_bridge(value));
    } else if text("Event") != Some("s3:TestEvent") {
        found.push(Err(unknown(value)));
    }
}

fn record(value: &Value, depth: usize, found: &mut Vec<Resolved>) {
    if value.get("s3").is_some() {
        found.extend(s3_notification(value));
    } else if let Some(sns) = value.get("Sns") {
        match sns.get("Message").and_then(Value::as_str) {
            Some(message) => embedded("SNS message", message, depth + 1, found),
            None => found.push(Err(incomplete("SNS record", "Sns.Message"))),
        }
    } else if let Some(body) = value.get("body").and_then(Value::as_str) {
        embedded("SQS body", body, depth + 1, found);
    } else {
        found.push(Err(unknown(value)));
    }
}

/// An event that another one carries as text.
fn embedded(shape: &'static str, text: &str, depth: usize, found: &mut Vec<Resolved>) {
    match serde_json::from_str(text) {
        Ok(value) => event(&value, depth, found),
        Err(error) => found.push(Err(EventError::NotJson { shape, cause: error.to_string() })),
    }
}

/// `None` for what creates no object, such as a removal.
fn s3_notification(record: &Value) -> Option<Resolved> {
    const SHAPE: &str = "S3 notification";
    // A record that names bucket and key is enough; what AWS sends always has a name.
    let name = record.get("eventName").and_then(Value::as_str).unwrap_or("ObjectCreated:");
    // A notification's configuration has the prefix `s3:`, its messages have not.
    let name = name.strip_prefix("s3:").unwrap_or(name);
    if !name.starts_with("ObjectCreated:") {
        return None;
    }
    let entity = record.get("s3").and_then(|s3| S3Entity::deserialize(s3).ok());
    let parts = entity.and_then(|entity| Some((entity.bucket.name?, entity.object)));
    let Some((bucket, object)) = parts else {
        return Some(Err(incomplete(SHAPE, "s3.bucket.name and s3.object.key")));
    };
    Some(match object.key.as_deref().map(form_decoded) {
        Some(Some(key)) if !key.is_empty() && !bucket.is_empty() => Ok(Object {
            bucket,
            key,
            version_id: object.version_id.filter(|id| !id.is_empty()),
            size: object.size.and_then(|size| size.try_into().ok()),
        }),
        Some(None) => Err(incomplete(SHAPE, "s3.object.key, form-encoded UTF-8")),
        _ => Err(incomplete(SHAPE, "s3.bucket.name and s3.object.key")),
    })
}

/// The key as it was before S3 form-encoded it: `+` was a space, `%2B` a plus.
fn form_decoded(key: &str) -> Option<String> {
    let spaces = key.replace('+', " ");
    Some(percent_decode_str(&spaces).decode_utf8().ok()?.into_owned())
}

/// EventBridge does not encode the key. `None` for what creates no object.
fn event_bridge(event: &Value) -> Option<Resolved> {
    match event.get("detail-type").and_then(Value::as_str) {
        Some("Object Created") => {}
        Some(_) => return None,
        None => return Some(Err(incomplete("EventBridge event", "detail-type"))),
    }
    let text = |path: &str| {
        let text = event.pointer(path).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let names = text("/detail/bucket/name").zip(text("/detail/object/key"));
    Some(match names {
        Some((bucket, key)) => Ok(Object {
            bucket,
            key,
            version_id: text("/detail/object/version-id"),
            size: event.pointer("/detail/object/size").and_then(Value::as_u64),
        }),
        None => Err(incomplete("EventBridge event", "detail.bucket.name and detail.object.key")),
    })
}

fn incomplete(shape: &'static str, expected: &'static str) -> EventError {
    EventError::Incomplete { shape, expected }
}

/// Keys that an error lists, and characters of each.
const MAX_KEYS_SEEN: usize = 12;
const MAX_KEY_CHARS: usize = 40;

fn unknown(value: &Value) -> EventError {
    let saw = match value {
        Value::Object(fields) => {
            let keys = fields.keys().take(MAX_KEYS_SEEN);
            let keys: Vec<String> = keys.map(|key| key.chars().take(MAX_KEY_CHARS).collect()).collect();
            format!("the keys {keys:?}")
        }
        Value::Array(_) => "a list".to_owned(),
        Value::String(_) => "text".to_owned(),
        _ => "no JSON object".to_owned(),
    };
    EventError::Unknown { saw }
}

#[cfg(test)]
mod tests;
