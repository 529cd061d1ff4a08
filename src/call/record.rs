//! The members of one record → a call, or the reason it is none.
//!
//! A record's top-level keys alone decide which log it came from: deeper in an invocation log, a
//! caller controls the content and may write an `eventSource` there.

use std::borrow::Cow;

use crate::call::cause::{ACCESS_DENIED, DENIED};
use crate::call::filter::RecordFilter;
use crate::call::guardrail::Facts;
use crate::call::members::{Member, Members};
use crate::call::{Call, cloudtrail, invocation};
use crate::source::time::EventTime;

/// What a record turned out to be.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and never stored")]
pub enum Reading<'a> {
    /// A call that a rule looks for.
    Call(Call<'a>),
    /// A record that no rule matches.
    Other,
    /// Valid JSON that is not a record of either log.
    Unknown,
    /// A call that a rule looks for whose `timestamp` or `eventTime` is missing or not an RFC 3339 time.
    NoTimestamp {
        /// It was denied.
        is_denied: bool,
    },
    /// A model call that failed with this code, which contains [`DENIED`] and is not known.
    UnknownCode(Cow<'a, str>),
}

/// Reads one record. `place` replaces a missing request id.
pub fn read<'a>(record: &Members<'a>, filter: &RecordFilter, place: impl FnOnce() -> String) -> Reading<'a> {
    let is_trail = record.has(Member::EventSource);
    if !is_known(record) {
        return Reading::Unknown;
    }
    let error_code = match record.text(Member::ErrorCode) {
        Some(code) if !is_trail => Some(code),
        Some(code) if is_model_call(record) => Some(cloudtrail::error_code(code)),
        _ => None,
    };
    if let Some(code) = &error_code
        && *code != ACCESS_DENIED
        && code.contains(DENIED)
    {
        return Reading::UnknownCode(code.clone());
    }
    let mut facts = Facts::default();
    if !is_trail && filter.has_facts() {
        facts = Facts::read(record.json(Member::Input), record.json(Member::Output));
        let code = record.json(Member::ErrorCode);
        facts.succeeded = code.is_none_or(|code| matches!(code.get(), "null" | "\"\""));
    }
    if is_trail && filter.successes && is_model_call(record) {
        facts = cloudtrail::facts(record);
    }
    let error_code = match error_code {
        Some(code) if filter.error_codes.contains(&code.as_ref()) => code,
        code if filter.wants(&facts) => code.unwrap_or_default(),
        _ => return Reading::Other,
    };
    let time = record.text(if is_trail { Member::EventTime } else { Member::Timestamp });
    let Some(at) = time.as_deref().and_then(EventTime::parse) else {
        return Reading::NoTimestamp { is_denied: error_code == ACCESS_DENIED };
    };
    let mut call = if is_trail {
        cloudtrail::call(record, at, error_code, facts)
    } else {
        invocation::call(record, at, error_code, facts)
    };
    if call.request_id.is_empty() {
        call.request_id = place().into();
    }
    Reading::Call(call)
}

/// Whether these members belong to a record of either log. Any one may be missing, yet `timestamp` and
/// `requestId` are not enough: applications and envelopes log those too.
fn is_known(record: &Members<'_>) -> bool {
    let any = |fields: &[Member]| fields.iter().any(|field| record.has(*field));
    !is_notification(record)
        && (any(&[
            Member::EventSource,
            Member::ErrorCode,
            Member::ModelId,
            Member::Identity,
            Member::SchemaType,
        ]) || (any(&[Member::Timestamp, Member::RequestId]) && any(&[Member::Input, Member::Output])))
}

/// Whether it is an event of SQS, S3 or another service that names itself `aws:sqs`, where CloudTrail writes
/// `sqs.amazonaws.com`. Its body may hold anything.
fn is_notification(record: &Members<'_>) -> bool {
    record.text(Member::EventSource).is_some_and(|source| source.starts_with("aws:"))
}

fn is_model_call(record: &Members<'_>) -> bool {
    let (source, name) = (record.text(Member::EventSource), record.text(Member::EventName));
    source.zip(name).is_some_and(|(source, name)| cloudtrail::is_model_call(&source, &name))
}

#[cfg(test)]
mod tests;
