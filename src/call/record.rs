//! The members of one record → a call, or the reason it is none.
//!
//! A record's top-level keys alone decide which log it came from: deeper in an invocation log, a
//! caller controls the content and may write an `eventSource` there.

use std::borrow::Cow;

pub use crate::call::Reading;
use crate::call::cause::{self, ACCESS_DENIED, DENIED};
use crate::call::filter::RecordFilter;
use crate::call::guardrail::Facts;
use crate::call::members::{Member, Members};
use crate::call::{Call, azure_openai, cloudtrail, invocation};
use crate::source::text::{MAX_TEXT_BYTES, Text};
use crate::source::time::EventTime;

/// Logs whose members have their own names, each read by its own file.
struct OtherLog {
    /// What a record of it is; `None` if it is none of this log.
    read: for<'a> fn(&Members<'a>) -> Option<Reading<'a>>,
    /// How often a text names a denial as this log writes it.
    count_denials_named: fn(&[u8]) -> usize,
}

const OTHER_LOGS: [OtherLog; 1] =
    [OtherLog { read: azure_openai::read, count_denials_named: azure_openai::count_denials_named }];

/// How often `text` names a denial, as any log writes it.
#[must_use]
pub fn count_denials_named(text: &[u8]) -> usize {
    let others = OTHER_LOGS.iter().map(|log| (log.count_denials_named)(text));
    others.fold(cause::count_denials_named(text), usize::saturating_add)
}

/// All that the reading of a failed call depends on, unread but for its time and request id.
#[derive(Debug, PartialEq, Eq)]
pub struct Trace<'a> {
    /// The same for two calls if they differ in time and request id only.
    pub alike: Vec<u8>,
    /// When it was made.
    pub at: EventTime,
    /// Its request id.
    pub request_id: Cow<'a, str>,
}

/// The trace of a call that failed. `None` where more than that decides: bodies, or a place in the object.
///
/// `is_copy` is part of it: whether the record came from a log group in CloudWatch.
pub fn trace<'a>(record: &Members<'a>, filter: &RecordFilter, is_copy: bool) -> Option<Trace<'a>> {
    record.text(Member::ErrorCode).filter(|code| !code.is_empty() && !filter.has_facts())?;
    let (time, id, without): (_, _, &[Member]) = if record.has(Member::EventSource) {
        let without = &[Member::EventTime, Member::TrailRequestId, Member::EventId];
        (Member::EventTime, Member::TrailRequestId, without)
    } else {
        let without = &[Member::Timestamp, Member::RequestId, Member::Input, Member::Output];
        (Member::Timestamp, Member::RequestId, without)
    };
    let at = EventTime::parse(&record.text(time)?)?;
    let request_id = record.text(id).filter(|id| !id.is_empty() && id.len() <= MAX_TEXT_BYTES)?;
    let mut alike = record.all_but(without);
    alike.push(u8::from(is_copy));
    Some(Trace { alike, at, request_id })
}

/// Reads one record. `place` replaces a missing request id.
pub fn read<'a>(record: &Members<'a>, filter: &RecordFilter, place: impl FnOnce() -> String) -> Reading<'a> {
    let is_trail = record.has(Member::EventSource);
    // Most records are Bedrock's, which read no member a second time.
    let of_bedrock = [Member::ModelId, Member::AccountId, Member::RequestId];
    let is_bedrocks = record.has(Member::Timestamp) && of_bedrock.iter().any(|member| record.has(*member));
    let may_be_other = !is_trail && !is_bedrocks;
    if may_be_other && let Some(mut reading) = OTHER_LOGS.iter().find_map(|log| (log.read)(record)) {
        if let Reading::Call(call) = &mut reading {
            identify(call, place);
        }
        return reading;
    }
    if !is_known(record) {
        return Reading::Unknown;
    }
    let origin =
        if is_trail { TrailOrigin::of(record, !filter.trail.any.is_empty()) } else { TrailOrigin::default() };
    let written = record.text(Member::ErrorCode);
    let error_code = if is_trail { written.map(cloudtrail::error_code) } else { written };
    if let Some(code) = &error_code
        && (!is_trail || origin.is_model_call)
        && *code != ACCESS_DENIED
        && code.contains(DENIED)
    {
        return Reading::UnknownCode(code.clone());
    }
    let code = record.json(Member::ErrorCode);
    let succeeded = code.is_none_or(|code| matches!(code.get(), "null" | "\"\""));
    let mut facts = Facts::default();
    if !is_trail && filter.has_facts() {
        facts = Facts::read(record.json(Member::Input), record.json(Member::Output));
    }
    let is_model_call = !is_trail || origin.is_model_call;
    let identity = if is_trail { Member::UserIdentity } else { Member::Identity };
    let is_watched = succeeded
        && is_model_call
        && !filter.watched.is_empty()
        && record.below(identity).text(Member::Arn).is_some_and(|user| filter.watches(&user));
    let is_needed = is_watched
        || (is_model_call && error_code.as_deref().is_some_and(|code| filter.error_codes.contains(&code)))
        || if is_trail { origin.is_needed(filter) } else { filter.wants(&facts, succeeded) };
    if !is_needed {
        return Reading::Other;
    }
    let error_code = error_code.unwrap_or_default();
    if is_trail && (filter.successes || is_watched) && is_model_call {
        facts = cloudtrail::facts(record);
    } else if is_watched && !filter.has_facts() {
        facts = Facts::read(record.json(Member::Input), record.json(Member::Output));
    }
    let time = record.text(if is_trail { Member::EventTime } else { Member::Timestamp });
    let Some(at) = time.as_deref().and_then(EventTime::parse) else {
        return Reading::NoTimestamp { is_denied: is_model_call && error_code == ACCESS_DENIED };
    };
    let mut call = if is_trail {
        cloudtrail::call(record, at, error_code, facts, succeeded)
    } else {
        invocation::call(record, at, error_code, facts, succeeded)
    };
    identify(&mut call, place);
    Reading::Call(call)
}

/// A call without a request id is known by its place.
fn identify(call: &mut Call<'_>, place: impl FnOnce() -> String) {
    if call.request_id.is_empty() {
        call.request_id = place().into();
    }
}

/// Whether these members belong to a record of Bedrock's log or CloudTrail. Any one may be missing, yet `timestamp` and
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

/// What decides whether a record of CloudTrail may be needed, before all of it is read.
#[derive(Default)]
struct TrailOrigin<'a> {
    is_bedrock: bool,
    is_model_call: bool,
    user: Text<'a>,
}

impl<'a> TrailOrigin<'a> {
    fn of(record: &Members<'a>, needs_user: bool) -> Self {
        let (source, name) = (record.text(Member::EventSource), record.text(Member::EventName));
        let is_bedrock = source.as_deref().is_some_and(cloudtrail::is_bedrock);
        let is_model_call =
            source.zip(name).is_some_and(|(source, name)| cloudtrail::is_model_call(&source, &name));
        let user = if is_bedrock || !needs_user {
            None
        } else {
            record.below(Member::UserIdentity).text(Member::Arn)
        };
        Self { is_bedrock, is_model_call, user }
    }

    fn is_needed(&self, filter: &RecordFilter) -> bool {
        filter.trail.wants(self.is_bedrock, self.user.as_deref())
    }
}

#[cfg(test)]
mod tests;
