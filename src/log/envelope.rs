//! Records inside something else: what CloudWatch Logs, EventBridge and the AWS CLI wrap around them.
//!
//! Only an object's own members decide whether it is an envelope: a prompt may quote a whole one.
//!
//! Sources: "Log group-level subscription filters" and "Export log data to Amazon S3" in the Amazon
//! CloudWatch Logs user guide; "LookupEvents" in the AWS CloudTrail API reference; "Events in
//! Amazon EventBridge" in its user guide.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The members that make an envelope.
#[derive(Deserialize)]
struct Envelope<'a> {
    /// A subscription of CloudWatch Logs, as Firehose writes it to S3.
    #[serde(borrow, rename = "logEvents")]
    log_events: Option<&'a RawValue>,
    #[serde(borrow, rename = "messageType")]
    message_type: Option<&'a RawValue>,
    /// What `aws cloudtrail lookup-events` prints, and one event of it.
    #[serde(borrow, rename = "Events")]
    events: Option<&'a RawValue>,
    #[serde(borrow, rename = "CloudTrailEvent")]
    event: Option<&'a RawValue>,
    /// An event of EventBridge.
    #[serde(borrow, rename = "detail-type")]
    detail_type: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct LogEvent<'a> {
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct LookedUp<'a> {
    #[serde(borrow, rename = "CloudTrailEvent")]
    event: Option<Cow<'a, str>>,
}

/// The JSON of the records that `json`, a whole object, holds; `None` where it is no envelope.
#[must_use]
pub fn records(json: &str) -> Option<Vec<Cow<'_, str>>> {
    let envelope: Envelope<'_> = serde_json::from_str(json).ok()?;
    if let (Some(events), Some(_)) = (envelope.log_events, envelope.message_type) {
        let events: Vec<LogEvent<'_>> = serde_json::from_str(events.get()).ok()?;
        Some(events.into_iter().filter_map(|event| event.message).collect())
    } else if let Some(events) = envelope.events {
        let events: Vec<LookedUp<'_>> = serde_json::from_str(events.get()).ok()?;
        Some(events.into_iter().filter_map(|event| event.event).collect())
    } else if let Some(event) = envelope.event {
        Some(vec![serde_json::from_str(event.get()).ok()?])
    } else if let (Some(detail), Some(_)) = (envelope.detail, envelope.detail_type) {
        Some(vec![Cow::Borrowed(detail.get())])
    } else {
        None
    }
}

/// How far the time reaches that begins a line of an exported log group, with the blanks behind it:
/// `2025-06-04T16:00:00.000Z {…}`. `None` where there is none; `Some(0)` where too little of it is there.
#[must_use]
pub fn export_time(line: &[u8]) -> Option<usize> {
    const FORM: &[u8] = b"dddd-dd-ddTdd:dd:dd.dddZ ";
    let fits = |(byte, form): (&u8, &u8)| if *form == b'd' { byte.is_ascii_digit() } else { byte == form };
    if !line.iter().zip(FORM).all(fits) {
        return None;
    }
    Some(if line.len() > FORM.len() && line[FORM.len()] == b'{' {
        FORM.len()
    } else if line.len() <= FORM.len() {
        0
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Option<&[&str]>) {
        let found = records(json);
        let found = found.as_ref().map(|records| records.iter().map(AsRef::as_ref).collect::<Vec<_>>());
        assert_eq!(found.as_deref(), expected, "{json}");
    }

    #[test]
    fn each_envelope_gives_its_records() {
        check(
            r#"{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","message":"{\"a\":1}"},{"message":"x"},{}]}"#,
            Some(&[r#"{"a":1}"#, "x"]),
        );
        check(r#"{"logEvents":[],"messageType":"CONTROL_MESSAGE"}"#, Some(&[]));
        check(r#"{"Events":[{"EventId":"1","CloudTrailEvent":"{\"a\":1}"}]}"#, Some(&[r#"{"a":1}"#]));
        check(r#"{"EventId":"1","CloudTrailEvent":"{\"a\":1}"}"#, Some(&[r#"{"a":1}"#]));
        check(r#"{"detail-type":"AWS API Call via CloudTrail","detail":{"a":1}}"#, Some(&[r#"{"a":1}"#]));
    }

    #[test]
    fn what_is_no_envelope_gives_nothing() {
        for json in [
            "{}",
            r#"{"logEvents":[{"message":"{}"}]}"#,
            r#"{"messageType":"DATA_MESSAGE"}"#,
            r#"{"messageType":"DATA_MESSAGE","logEvents":{"message":"{}"}}"#,
            r#"{"detail":{}}"#,
            r#"{"input":{"Events":[{"CloudTrailEvent":"{}"}]}}"#,
            r#"{"Events":"{}"}"#,
            "[]",
        ] {
            check(json, None);
        }
    }

    #[test]
    fn an_exported_line_begins_with_its_time() {
        let line = "2025-06-04T16:00:00.000Z {";
        assert_eq!(export_time(line.as_bytes()), Some(25));
        for cut in 0..line.len() {
            assert_eq!(export_time(&line.as_bytes()[..cut]), Some(0), "{cut}");
        }
        for other in
            ["2025-06-04T16:00:00Z {", "2025-06-04 16:00:00.000Z {", "2025-06-04T16:00:00.000Z x", "{"]
        {
            assert_eq!(export_time(other.as_bytes()), None, "{other}");
        }
    }
}
