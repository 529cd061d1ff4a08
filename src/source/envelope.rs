//! Unwraps records from the envelopes of CloudWatch Logs, EventBridge and the AWS CLI.
//!
//! Only an object's own members decide whether it is an envelope: a prompt may quote a whole one.
//! An envelope that [`wrapper`](crate::source::wrapper) recognises arrives here element by element; one
//! with an object before its array arrives whole.
//!
//! Sources: "Log group-level subscription filters" and "Export log data to Amazon S3" in the Amazon
//! CloudWatch Logs user guide; "LookupEvents" in the AWS CloudTrail API reference; "Events in
//! Amazon EventBridge" in its user guide.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::call::fields::unescaped;
use crate::source::time::EventTime;
use crate::source::wrapper::Shape;

type Raw<'a> = Option<&'a RawValue>;

/// The members that identify an envelope, or an element of one.
#[derive(Deserialize)]
struct Envelope<'a> {
    /// A subscription of CloudWatch Logs, as Firehose writes it to S3.
    #[serde(borrow, rename = "logEvents")]
    log_events: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    /// The output of `aws cloudtrail lookup-events`, and one event in it.
    #[serde(borrow, rename = "Events")]
    events: Raw<'a>,
    #[serde(borrow, rename = "CloudTrailEvent")]
    event: Raw<'a>,
    /// An EventBridge event.
    #[serde(borrow, rename = "detail-type")]
    detail_type: Raw<'a>,
    #[serde(borrow)]
    source: Raw<'a>,
    #[serde(borrow)]
    detail: Raw<'a>,
}

impl<'a> Envelope<'a> {
    fn read(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Only AWS can send events whose source begins with `aws.`; anyone can send others, with any
    /// content.
    fn detail(&self) -> Option<Cow<'a, str>> {
        let detail = self.detail_type.and(self.detail)?;
        let source = self.source.and_then(|source| unescaped(source.get()));
        source.is_none_or(|source| source.starts_with("aws.")).then(|| detail.get().into())
    }

    fn looked_up(&self) -> Option<Cow<'a, str>> {
        unescaped(self.event?.get())
    }

    fn logged(&self) -> Option<Cow<'a, str>> {
        unescaped(self.message?.get())
    }
}

/// What an envelope holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inside<'a> {
    /// JSON, or any other text.
    pub documents: Vec<Cow<'a, str>>,
    /// It came from a log group in CloudWatch.
    pub is_log_group: bool,
}

impl<'a> Inside<'a> {
    fn log_group(documents: Vec<Cow<'a, str>>) -> Self {
        Self { documents, is_log_group: true }
    }

    fn other(documents: Vec<Cow<'a, str>>) -> Self {
        Self { documents, is_log_group: false }
    }
}

/// The JSON documents inside `json`, a whole object; `None` if it is not an envelope.
#[must_use]
pub fn inside(json: &str, shape: Shape) -> Option<Inside<'_>> {
    let envelope = Envelope::read(json)?;
    let logged = || envelope.logged().map(|document| Inside::log_group(vec![document]));
    match shape {
        Shape::Document | Shape::Exported => whole(&envelope),
        Shape::LogEvent => logged(),
        Shape::LookedUp => envelope.looked_up().map(|document| Inside::other(vec![document])),
        Shape::Any => whole(&envelope).or_else(logged),
    }
}

fn whole<'a>(envelope: &Envelope<'a>) -> Option<Inside<'a>> {
    if let Some(events) = envelope.log_events {
        elements(events, Envelope::logged).map(Inside::log_group)
    } else if let Some(events) = envelope.events {
        elements(events, Envelope::looked_up).map(Inside::other)
    } else {
        envelope.looked_up().or_else(|| envelope.detail()).map(|document| Inside::other(vec![document]))
    }
}

fn elements<'a>(
    events: &'a RawValue,
    inside: fn(&Envelope<'a>) -> Option<Cow<'a, str>>,
) -> Option<Vec<Cow<'a, str>>> {
    let events: Vec<Envelope<'a>> = serde_json::from_str(events.get()).ok()?;
    Some(events.iter().filter_map(inside).collect())
}

/// A document inside an envelope may also be an EventBridge event, since a log group can be an
/// EventBridge target.
#[must_use]
pub fn detail(json: &str) -> Option<Cow<'_, str>> {
    Envelope::read(json)?.detail()
}

/// The longest prefix of a line in an exported log group.
const EXPORT_BYTES: usize = 64;

/// The length of the time and blanks that begin a line of an exported log group:
/// `2025-06-04T16:00:00.000Z {…}`. `None` if there is no time; `Some(0)` if more bytes are needed to decide.
#[must_use]
pub fn export_time(line: &[u8]) -> Option<usize> {
    let line = line.get(..EXPORT_BYTES).unwrap_or(line);
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let is_time = |byte: &u8| byte.is_ascii_digit() || b"-:.+TZ".contains(byte);
    let time = line.iter().position(|byte| !is_time(byte)).unwrap_or(line.len());
    let (time, behind) = line.split_at_checked(time)?;
    let blanks = behind.iter().take_while(|byte| is_blank(byte)).count();
    let length = time.len().saturating_add(blanks);
    match line.get(length) {
        None if line.len() < EXPORT_BYTES => Some(0),
        Some(b'{') if blanks > 0 => {
            let text = std::str::from_utf8(time).ok()?;
            EventTime::parse(text).map(|_| length)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_shape(shape: Shape, json: &str, expected: Option<&[&str]>) {
        let found = inside(json, shape);
        let found =
            found.as_ref().map(|inside| inside.documents.iter().map(AsRef::as_ref).collect::<Vec<_>>());
        assert_eq!(found.as_deref(), expected, "{json}");
    }

    #[track_caller]
    fn check(json: &str, expected: Option<&[&str]>) {
        check_shape(Shape::Document, json, expected);
    }

    #[test]
    fn each_envelope_gives_its_records() {
        check(
            r#"{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","message":"{\"a\":1}"},{"message":"x"},{},{"message":1}]}"#,
            Some(&[r#"{"a":1}"#, "x"]),
        );
        check(r#"{"logEvents":[],"messageType":"CONTROL_MESSAGE"}"#, Some(&[]));
        check(r#"{"logEvents":[{"message":"{}"}]}"#, Some(&["{}"]));
        check(r#"{"Events":[{"EventId":"1","CloudTrailEvent":"{\"a\":1}"}]}"#, Some(&[r#"{"a":1}"#]));
        check(r#"{"EventId":"1","CloudTrailEvent":"{\"a\":1}"}"#, Some(&[r#"{"a":1}"#]));
        check(r#"{"detail-type":"AWS API Call via CloudTrail","detail":{"a":1}}"#, Some(&[r#"{"a":1}"#]));
        check(r#"{"source":"aws.bedrock","detail":{"a":1},"detail-type":"x"}"#, Some(&[r#"{"a":1}"#]));
    }

    #[test]
    fn each_element_gives_its_record() {
        let (log_event, looked_up) = (r#"{"id":"1","message":"x\ud83d"}"#, r#"{"CloudTrailEvent":"y"}"#);
        check_shape(Shape::LogEvent, log_event, Some(&["x\u{fffd}"]));
        check_shape(Shape::LogEvent, looked_up, None);
        check_shape(Shape::LookedUp, looked_up, Some(&["y"]));
        check_shape(Shape::LookedUp, log_event, None);
        for json in [log_event, looked_up, r#"{"detail-type":"x","detail":{}}"#] {
            assert!(inside(json, Shape::Any).is_some(), "{json}");
        }
        check_shape(Shape::Any, "{}", None);
        check(log_event, None);
    }

    #[test]
    fn what_is_no_envelope_gives_nothing() {
        for json in [
            "{}",
            r#"{"messageType":"DATA_MESSAGE"}"#,
            r#"{"messageType":"DATA_MESSAGE","logEvents":{"message":"{}"}}"#,
            r#"{"detail":{}}"#,
            r#"{"source":"my.app","detail-type":"AWS API Call via CloudTrail","detail":{}}"#,
            r#"{"input":{"Events":[{"CloudTrailEvent":"{}"}]}}"#,
            r#"{"Events":"{}"}"#,
            "[]",
        ] {
            check(json, None);
        }
    }

    #[test]
    fn an_exported_line_begins_with_its_time() {
        for time in
            ["2025-06-04T16:00:00.000Z ", "2025-06-04T16:00:00Z ", "2025-06-04T16:00:00.000000+00:00\t "]
        {
            let line = format!("{time}{{");
            assert_eq!(export_time(line.as_bytes()), Some(time.len()), "{line}");
            for cut in 0..line.len() {
                assert_eq!(export_time(&line.as_bytes()[..cut]), Some(0), "{cut}");
            }
        }
        for other in [
            "2025-06-04 16:00:00.000Z {",
            "2025-06-04T16:00:00.000Z x",
            "2025-06-04T16:00:00.000Z{",
            "2025-06-04T16:00:00.000 {",
            "12 {",
            "{",
        ] {
            assert_eq!(export_time(other.as_bytes()), None, "{other}");
        }
        assert_eq!(export_time("1".repeat(EXPORT_BYTES).as_bytes()), None);
    }
}
