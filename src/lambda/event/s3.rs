//! What S3 says of an object: its notifications, and its events on EventBridge.
//!
//! Sources: "Event message structure" and "EventBridge event message structure" in the Amazon S3
//! user guide.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::fields::Fields;
use super::{EventItem, Resolved, incomplete};
use crate::source::object::Object;

/// `detail-type` of an EventBridge event for a new object.
const OBJECT_CREATED: &str = "Object Created";

/// One record of a notification. `None` for an event that creates no object, such as a removal.
pub fn notification(record: &Fields<'_>) -> Option<Resolved> {
    const SHAPE: &str = "S3 notification";
    // AWS always sends a name; bucket and key alone are enough here.
    let name = record.text("eventName").unwrap_or_else(|| "ObjectCreated:".to_owned());
    // The prefix `s3:` appears in a notification's configuration, not in its messages.
    if !name.strip_prefix("s3:").unwrap_or(&name).starts_with("ObjectCreated:") {
        return None;
    }
    let s3 = value(record.json("s3"));
    let names = text(&s3, "/bucket/name").zip(text(&s3, "/object/key"));
    Some(match names.map(|(bucket, key)| (bucket, form_decoded(&key))) {
        Some((bucket, Some(key))) => Ok(EventItem::Object(Object {
            bucket,
            key,
            version_id: text(&s3, "/object/versionId"),
            size: size(&s3),
        })),
        Some((_, None)) => Err(incomplete(SHAPE, "s3.object.key, form-encoded UTF-8")),
        None => Err(incomplete(SHAPE, "s3.bucket.name and s3.object.key")),
    })
}

/// An EventBridge event of S3. `None` for an event that creates no object.
pub fn event_bridge(event: &Fields<'_>) -> Option<Resolved> {
    match event.text("detail-type") {
        Some(kind) if kind == OBJECT_CREATED => created(event.json("detail")),
        Some(_) => None,
        None => Some(Err(incomplete("EventBridge event", "detail-type"))),
    }
}

/// Only the `detail` of a deletion, of a restored or of an archived object has one of these.
const NOT_CREATED: [&str; 3] = ["deletion-type", "source-storage-class", "destination-storage-class"];

/// The `detail` of such an event. Its key is not encoded. `None` for an event that creates no
/// object, which matters where an input path has cut off the `detail-type`.
pub fn created(detail: Option<&str>) -> Option<Resolved> {
    let detail = value(detail);
    if NOT_CREATED.iter().any(|name| detail.get(name).is_some()) {
        return None;
    }
    let names = text(&detail, "/bucket/name").zip(text(&detail, "/object/key"));
    Some(match names {
        Some((bucket, key)) => Ok(EventItem::Object(Object {
            bucket,
            key,
            version_id: text(&detail, "/object/version-id"),
            size: size(&detail),
        })),
        None => Err(incomplete("EventBridge event", "detail.bucket.name and detail.object.key")),
    })
}

/// A key before S3 form-encoded it: `+` was a space, `%2B` a plus.
pub fn form_decoded(key: &str) -> Option<String> {
    let spaces = key.replace('+', " ");
    Some(percent_decode_str(&spaces).decode_utf8().ok()?.into_owned())
}

fn value(json: Option<&str>) -> Value {
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

fn text(value: &Value, path: &str) -> Option<String> {
    let text = value.pointer(path).and_then(Value::as_str);
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Some forwarders turn the number into text.
fn size(value: &Value) -> Option<u64> {
    let size = value.pointer("/object/size")?;
    size.as_u64().or_else(|| size.as_str()?.parse().ok())
}
