//! CloudTrail's messages: it wrote log files (through SNS), or a call was made (through EventBridge, with
//! the record itself).
//!
//! Sources: "Configuring Amazon SNS notifications for CloudTrail" in the AWS CloudTrail user guide;
//! "AWS service events delivered via CloudTrail" in the Amazon EventBridge user guide.

use sha2::{Digest, Sha256};

use super::fields::{self, Fields};
use super::{EventError, EventItem, Resolved, incomplete};
use crate::call::cloudtrail::is_watched;
use crate::source::object::{OF_EVENT, Object};

/// `detail-type` of an EventBridge event that carries a record.
pub const API_CALL: &str = "AWS API Call via CloudTrail";
/// What CloudTrail publishes when you give a trail a topic.
const VALIDATION: &str = "CloudTrail validation message.";

/// One CloudTrail record that came in the event itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Its name in alerts and warnings.
    pub name: String,
    /// Its JSON, byte for byte.
    pub json: String,
}

/// Whether `text` only tests that a topic accepts messages.
pub fn is_validation(text: &str) -> bool {
    text.trim() == VALIDATION
}

/// The objects of `{"s3Bucket": …, "s3ObjectKey": …}`. Its keys are not encoded.
pub fn notification(fields: &Fields<'_>) -> Vec<Resolved> {
    let expected = || incomplete("CloudTrail notification", "s3Bucket, and s3ObjectKey as text or a list");
    let keys = fields.json("s3ObjectKey").and_then(|json| fields::list(json).or_else(|| Some(vec![json])));
    let bucket = fields.text("s3Bucket").filter(|bucket| !bucket.is_empty());
    let Some((bucket, keys)) = bucket.zip(keys.filter(|keys| !keys.is_empty())) else {
        return vec![Err(expected())];
    };
    let object = |json: &str| match fields::text(json).filter(|key| !key.is_empty()) {
        Some(key) => {
            Ok(EventItem::Object(Object { bucket: bucket.clone(), key, version_id: None, size: None }))
        }
        None => Err(expected()),
    };
    keys.into_iter().map(object).collect()
}

/// The call of an EventBridge event.
pub fn event_bridge(event: &Fields<'_>) -> Resolved {
    match event.json("detail").and_then(|json| Some((json, Fields::read(json)?))) {
        Some((json, detail)) => call(json, &detail, event.text("id")),
        None => Err(no_call()),
    }
}

/// Whether `fields` is the `detail` of such an event, without the event around it.
pub fn is_record(fields: &Fields<'_>) -> bool {
    // `aws:s3` and `aws:sqs` are event sources too, of notifications and messages.
    let service = fields.text("eventSource").is_some_and(|source| source.ends_with(".amazonaws.com"));
    service && fields.text("eventName").is_some()
}

/// The call in the record `json`; `id` is that of the surrounding event.
pub fn call(json: &str, record: &Fields<'_>, id: Option<String>) -> Resolved {
    let source = record.text("eventSource").filter(|_| record.text("eventName").is_some());
    let Some(source) = source else { return Err(no_call()) };
    let user = record.object("userIdentity").and_then(|user| user.text("arn"));
    Ok(if is_watched(&source, user.as_deref()) {
        let id = [id, record.text("eventID")].into_iter().flatten().find(|id| is_plain(id));
        // The name must differ for every record: it replaces a missing request id.
        let id = id.unwrap_or_else(|| hash(json));
        EventItem::Record(EventRecord { name: format!("{OF_EVENT}{id}"), json: json.to_owned() })
    } else {
        EventItem::OtherCall
    })
}

/// AWS's ids are UUIDs.
fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn hash(json: &str) -> String {
    let digest = Sha256::digest(json.as_bytes());
    hex::encode(digest.first_chunk::<16>().copied().unwrap_or_default())
}

fn no_call() -> EventError {
    incomplete("EventBridge event `AWS API Call via CloudTrail`", "detail.eventSource and detail.eventName")
}
