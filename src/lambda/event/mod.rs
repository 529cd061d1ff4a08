//! What Lambda was invoked with → the objects and records to read.
//!
//! Shapes are recognised by their content and may be nested, up to [`MAX_NESTING`] deep. Only the fields
//! we need are read: a detector must not fail because an event lacks something else.
//!
//! | file | shape |
//! |---|---|
//! | `s3` | notifications; EventBridge `Object Created`, or its `detail` alone |
//! | `cloudtrail` | notifications through SNS; EventBridge `AWS API Call via CloudTrail`, or its `detail` alone |
//! | [`batch_operations`] | S3 Batch Operations |
//! | `sqs` | SQS batches of Lambda and of EventBridge pipes |
//! | here | SNS, on-failure records, and what is inside what |
//!
//! Sources, beside those named in the files: "Fanout to Lambda functions" and "HTTP/HTTPS
//! notification JSON format" in the Amazon SNS developer guide; "Capturing records of asynchronous
//! invocations" in the AWS Lambda developer guide.

pub mod batch_operations;
mod cloudtrail;
mod fields;
mod s3;
mod sqs;

use self::batch_operations::Job;
use self::fields::Fields;
use crate::source::object::Object;

pub use self::cloudtrail::EventRecord;
pub use self::sqs::SqsMessage;

/// Events within events. Each round of a redrive that fails again adds an on-failure record, so
/// this allows for several.
pub const MAX_NESTING: usize = 16;

/// What one invocation asks for, by how it must be answered.
#[derive(Debug, PartialEq, Eq)]
pub enum EventRequest {
    /// Succeeds or fails as a whole.
    Whole(Vec<Resolved>),
    /// Each SQS message succeeds or fails on its own.
    Batch(Vec<SqsMessage>),
    /// Each task of an S3 Batch Operations job succeeds or fails on its own.
    Job(Job),
}

/// One thing that an event asks for, or why nothing can be made of it.
pub type Resolved = Result<EventItem, EventError>;

/// One thing that an event asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventItem {
    /// Read this object.
    Object(Object),
    /// Read this record.
    Record(EventRecord),
    /// Nothing to do: the CloudTrail call is none that a rule may be about.
    OtherCall,
}

/// Why nothing can be made of an event, or of one record of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The shape is none of those accepted.
    #[error(
        "unknown event: expected an S3 notification (Records[].s3), EventBridge `Object Created` or `AWS API Call via CloudTrail` or the detail of either, a CloudTrail notification (s3Bucket, s3ObjectKey), S3 Batch Operations (tasks), SQS messages or SNS records around any of these, or a Lambda on-failure record (requestPayload); saw {saw}"
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

/// Resolves a payload, which is JSON. One bad record stops no other.
#[must_use]
pub fn resolve(payload: &str) -> EventRequest {
    // The name of a record without an id depends on its text, however it came.
    let payload = payload.trim_ascii();
    if let Some(messages) = sqs::messages(payload) {
        return EventRequest::Batch(messages);
    }
    let job = Fields::read(payload).and_then(|fields| batch_operations::job(&fields));
    if let Some(Ok(job)) = job {
        return EventRequest::Job(job);
    }
    let mut found = Vec::new();
    event(payload, 0, &mut found);
    EventRequest::Whole(found)
}

fn event(json: &str, depth: usize, found: &mut Vec<Resolved>) {
    if depth > MAX_NESTING {
        return found.push(Err(EventError::TooDeep));
    }
    let Some(fields) = Fields::read(json) else {
        return no_object(json, depth, found);
    };
    let is = |name: &str, value: &str| fields.text(name).is_some_and(|text| text == value);
    if let Some(records) = fields.list("Records") {
        for json in records {
            record(json, depth, found);
        }
    } else if let Some(payload) = fields.json("requestPayload") {
        event(payload, depth.saturating_add(1), found);
    } else if fields.text("TopicArn").is_some() {
        sns_message(&fields, depth, found);
    } else if let (Some(body), Some(_)) = (fields.text("body"), fields.text("messageId")) {
        embedded(sqs::SHAPE, &body, depth.saturating_add(1), found);
    } else if let Some(job) = batch_operations::job(&fields) {
        match job {
            Ok(job) => found.extend(job.tasks.into_iter().map(|task| task.item)),
            Err(error) => found.push(Err(error)),
        }
    } else if fields.json("s3ObjectKey").is_some() {
        found.extend(cloudtrail::notification(&fields));
    } else if is("detail-type", cloudtrail::API_CALL) {
        found.push(cloudtrail::event_bridge(&fields));
    } else if is("source", "aws.s3") {
        found.extend(s3::event_bridge(&fields));
    } else if cloudtrail::is_record(&fields) {
        found.push(cloudtrail::call(json, &fields, None));
    } else if fields.object("bucket").is_some() && fields.object("object").is_some() {
        found.extend(s3::created(Some(json)));
    } else if !is("Event", "s3:TestEvent") {
        found.push(Err(unknown(json)));
    }
}

/// A pipe sends a list even of one event; CloudTrail tests a topic with text.
fn no_object(json: &str, depth: usize, found: &mut Vec<Resolved>) {
    match fields::list(json) {
        Some(events) if !events.is_empty() => {
            for json in events {
                event(json, depth.saturating_add(1), found);
            }
        }
        _ if fields::text(json).is_some_and(|text| cloudtrail::is_validation(&text)) => {}
        _ => found.push(Err(unknown(json))),
    }
}

fn record(json: &str, depth: usize, found: &mut Vec<Resolved>) {
    let Some(fields) = Fields::read(json) else {
        return found.push(Err(unknown(json)));
    };
    if fields.json("s3").is_some() {
        found.extend(s3::notification(&fields));
    } else if fields.json("Sns").is_some() {
        match fields.object("Sns") {
            Some(message) => sns_message(&message, depth, found),
            None => found.push(Err(incomplete("SNS record", "Sns.Message"))),
        }
    } else if let Some(body) = fields.text("body") {
        embedded(sqs::SHAPE, &body, depth.saturating_add(1), found);
    } else {
        found.push(Err(unknown(json)));
    }
}

/// SNS writes these to a queue or endpoint that is being subscribed or unsubscribed.
const CONFIRMATIONS: [&str; 2] = ["SubscriptionConfirmation", "UnsubscribeConfirmation"];

fn sns_message(fields: &Fields<'_>, depth: usize, found: &mut Vec<Resolved>) {
    let kind = fields.text("Type").unwrap_or_default();
    if CONFIRMATIONS.contains(&kind.as_str()) {
        return;
    }
    match fields.text("Message") {
        Some(message) => embedded("SNS message", &message, depth.saturating_add(1), found),
        None => found.push(Err(incomplete("SNS message", "Message"))),
    }
}

/// An event that another one carries as text.
fn embedded(shape: &'static str, text: &str, depth: usize, found: &mut Vec<Resolved>) {
    if cloudtrail::is_validation(text) {
        return;
    }
    match serde_json::from_str::<&serde_json::value::RawValue>(text) {
        Ok(json) => event(json.get(), depth, found),
        Err(error) => found.push(Err(EventError::NotJson { shape, cause: error.to_string() })),
    }
}

fn incomplete(shape: &'static str, expected: &'static str) -> EventError {
    EventError::Incomplete { shape, expected }
}

/// Keys that an error lists, and characters of each.
const MAX_KEYS_SEEN: usize = 12;
const MAX_KEY_CHARS: usize = 40;

fn unknown(json: &str) -> EventError {
    let saw = match Fields::read(json) {
        Some(fields) => {
            let keys = fields.names().take(MAX_KEYS_SEEN);
            let keys: Vec<String> = keys.map(|key| key.chars().take(MAX_KEY_CHARS).collect()).collect();
            format!("the keys {keys:?}")
        }
        None if json.starts_with('[') => "a list".to_owned(),
        None if json.starts_with('"') => "text".to_owned(),
        None => "no JSON object".to_owned(),
    };
    EventError::Unknown { saw }
}

#[cfg(test)]
mod tests;
