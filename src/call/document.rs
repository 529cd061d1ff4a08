//! One piece of text → the records in it: itself, or the one in an envelope.
//!
//! An object's own members alone decide whether it is a record or an envelope: a prompt may quote a whole one.
//! Envelopes do not nest, except an EventBridge event in a log group: anything deeper is under a caller's control.
//!
//! Sources: "Log group-level subscription filters" and "Export log data to Amazon S3" in the Amazon CloudWatch Logs
//! user guide; "LookupEvents" in the AWS CloudTrail API reference; "Events in Amazon EventBridge" in its user guide.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::call::Source;
use crate::call::cloudtrail;
use crate::call::filter::RecordFilter;
use crate::call::members::{Member, Members};
use crate::call::record::{self, Reading};
use crate::source::piece::{Container, Verdict};
use crate::source::text::Text;

/// What one piece of text turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPiece {
    /// Whether there is a record in it.
    pub verdict: Verdict,
    /// Which log the record is from.
    pub origin: Option<Origin>,
    /// The error code of a denial stands in it, outside every record.
    pub is_stray: bool,
}

/// The log that a record is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Bedrock's invocation log.
    Invocations,
    /// CloudTrail.
    Trail {
        /// The service is Bedrock.
        is_bedrock: bool,
    },
}

/// Reads `json` and passes on the record in it. `place` replaces a missing request id.
pub fn read(
    json: &[u8],
    within: Container,
    filter: &RecordFilter,
    place: &dyn Fn() -> String,
    take: &mut dyn FnMut(Reading<'_>),
) -> ReadPiece {
    // One bad byte in a text must not hide a denial.
    let json = str::from_utf8(json).map_or_else(|_| String::from_utf8_lossy(json), Cow::Borrowed);
    let Ok(members) = Members::read(&json) else {
        return ReadPiece { verdict: Verdict::Broken, origin: None, is_stray: false };
    };
    let element = match within {
        Container::LogEvents => members.text(Member::Message),
        Container::LookupEvents => members.text(Member::CloudTrailEvent),
        _ => None,
    };
    let (inner, is_copy) = if element.is_some() {
        (element, within == Container::LogEvents)
    } else if let Some(origin) = record(&members, filter, place, within == Container::ExportLine, take) {
        return ReadPiece { verdict: Verdict::Record, origin: Some(origin), is_stray: false };
    } else if let Some(record) = members.text(Member::CloudTrailEvent).or_else(|| detail(&members)) {
        (Some(record), within == Container::ExportLine)
    } else if matches!(within, Container::LogEvents | Container::LookupEvents | Container::Unknown) {
        // An envelope that was cut between two elements seems to hold whatever follows it.
        (members.text(Member::Message), true)
    } else {
        (None, false)
    };
    let named = record::count_denials_named(json.as_bytes());
    let place = || format!("{}.0", place());
    let recognised = inner.as_deref().and_then(|inner| {
        let members = Members::read(inner).ok()?;
        if let Some(origin) = record(&members, filter, &place, is_copy, take) {
            return Some((origin, record::count_denials_named(inner.as_bytes())));
        }
        // A log group can be an EventBridge target.
        let detail = detail(&members).filter(|_| is_copy)?;
        let origin = record(&Members::read(&detail).ok()?, filter, &place, false, take)?;
        Some((origin, record::count_denials_named(detail.as_bytes())))
    });
    ReadPiece {
        verdict: if recognised.is_some() { Verdict::Record } else { Verdict::Unknown },
        origin: recognised.map(|(origin, _)| origin),
        is_stray: named > recognised.map_or(0, |(_, named)| named),
    }
}

/// Passes on the record that `members` are, if they are one. `is_copy`: it came from a log group in CloudWatch.
fn record(
    members: &Members<'_>,
    filter: &RecordFilter,
    place: &dyn Fn() -> String,
    is_copy: bool,
    take: &mut dyn FnMut(Reading<'_>),
) -> Option<Origin> {
    let mut reading = record::read(members, filter, place);
    if let Reading::Call(call) = &mut reading
        && is_copy
        && call.source == Source::InvocationLog
    {
        call.source = Source::CloudWatch;
    }
    if reading == Reading::Unknown {
        return None;
    }
    take(reading);
    Some(match members.text(Member::EventSource) {
        Some(source) => Origin::Trail { is_bedrock: cloudtrail::is_bedrock(&source) },
        None => Origin::Invocations,
    })
}

/// The record in an EventBridge event. Only AWS can send events whose source begins with `aws.`; anyone can send
/// others, with any content.
fn detail<'a>(event: &Members<'a>) -> Text<'a> {
    let given = |field| event.json(field).map(RawValue::get).filter(|json| *json != "null");
    let source = event.text(Member::Source);
    let is_of_aws = source.is_none_or(|source| source.starts_with("aws."));
    given(Member::DetailType).and_then(|_| given(Member::Detail)).filter(|_| is_of_aws).map(Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIAL: &str = r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException"}"#;

    /// What is counted of a text in which `$` is a denial and `#` one inside a string: its source and
    /// replacement of a request id, `?` for an object without a record, or `!` for none.
    #[track_caller]
    fn check(within: Container, text: &str, expected: &str) {
        let json = text.replace('$', DENIAL).replace('#', &DENIAL.replace('"', "\\\""));
        let filter = RecordFilter::errors(&["AccessDeniedException"]);
        let mut found = String::new();
        let read = read(json.as_bytes(), within, &filter, &|| "o".to_owned(), &mut |reading| {
            if let Reading::Call(call) = reading {
                found = format!("{:?} {}", call.source, call.request_id);
            }
        });
        match read.verdict {
            Verdict::Record => {}
            Verdict::Unknown => found += "?",
            Verdict::Broken => found += "!",
        }
        assert_eq!(found, expected, "{within:?} {json}");
        let is_outside = read.verdict == Verdict::Unknown && json.contains("AccessDenied");
        assert_eq!(read.is_stray, is_outside, "{within:?} {json}");
    }

    #[test]
    fn each_envelope_around_one_record_gives_it() {
        check(Container::None, "$", "InvocationLog o");
        check(Container::Records, "$", "InvocationLog o");
        check(Container::ExportLine, "$", "CloudWatch o");
        check(Container::None, r##"{"EventId":"1","CloudTrailEvent":"#"}"##, "InvocationLog o.0");
        check(
            Container::None,
            r#"{"detail-type":"AWS API Call via CloudTrail","detail":$}"#,
            "InvocationLog o.0",
        );
        check(
            Container::None,
            r#"{"source":"aws.bedrock","detail":$,"detail-type":"x"}"#,
            "InvocationLog o.0",
        );
        check(Container::LogEvents, r##"{"id":"1","message":"#"}"##, "CloudWatch o.0");
        check(Container::LookupEvents, r##"{"EventId":"1","CloudTrailEvent":"#"}"##, "InvocationLog o.0");
        for json in
            ["$", r##"{"message":"#"}"##, r##"{"CloudTrailEvent":"#"}"##, r#"{"detail-type":"x","detail":$}"#]
        {
            for hidden in [Container::LogEvents, Container::LookupEvents, Container::Unknown] {
                let source = if json.contains("message") { "CloudWatch" } else { "InvocationLog" };
                let id = if json == "$" { "o" } else { "o.0" };
                check(hidden, json, &format!("{source} {id}"));
            }
        }
    }

    #[test]
    fn what_is_no_envelope_gives_nothing() {
        for json in [
            "{}",
            r#"{"messageType":"DATA_MESSAGE"}"#,
            r##"{"message":"#"}"##,
            r#"{"detail":$}"#,
            r#"{"source":"my.app","detail-type":"AWS API Call via CloudTrail","detail":$}"#,
            r#"{"detail-type":null,"detail":$}"#,
            r##"{"x":{"Events":[{"CloudTrailEvent":"#"}]}}"##,
            r#"{"Events":"{}"}"#,
        ] {
            check(Container::None, json, "?");
        }
        for json in
            ["[]", "[$]", "$$", "x", r##"{"Events":[{"CloudTrailEvent":"#"}]}"##, r#"{"Records":[$]}"#]
        {
            check(Container::None, json, "!");
            check(Container::LogEvents, json, "!");
        }
    }
}
