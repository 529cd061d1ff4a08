//! One log record's JSON → one denial, or the reason why it is none.
//!
//! Which log a record is of is told by its top-level keys alone: a caller controls what stands
//! deeper in an invocation log, and may write an `eventSource` there.

use std::borrow::Cow;

use memchr::memmem;

use crate::log::cloudtrail;
use crate::log::facts::{Facts, INTERVENED};
use crate::log::model;
use crate::log::record::{Field, Record};
use crate::log::text::{self, Text};
use crate::log::time::EventTime;

/// The error code of a refused call.
pub const ACCESS_DENIED: &str = "AccessDeniedException";
/// The error code of a call of a model that the account never asked for, of one that is no longer
/// given to it, and of one that does not exist.
pub const MODEL_NOT_FOUND: &str = "ResourceNotFoundException";
/// The error code of a call with a parameter that the model does not take.
pub const VALIDATION_FAILED: &str = "ValidationException";

/// Which log a record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Bedrock's model invocation log.
    InvocationLog,
    /// An AWS CloudTrail log file.
    CloudTrail,
}

/// Which records are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Calls that failed with one of these error codes, as Bedrock spells them.
    pub error_codes: Vec<&'static str>,
    /// Calls that a guardrail intervened in.
    pub interventions: bool,
    /// Calls in which a guardrail found something and took one of these actions.
    pub actions: Vec<&'static str>,
    /// All calls that succeeded.
    pub successes: bool,
}

impl Wanted {
    /// Calls that failed with one of `error_codes`.
    #[must_use]
    pub fn errors(error_codes: &[&'static str]) -> Self {
        Self { error_codes: error_codes.to_vec(), ..Self::default() }
    }

    /// Whether the bodies of a call must be looked at.
    fn has_facts(&self) -> bool {
        self.interventions || self.successes || !self.actions.is_empty()
    }

    /// Whether a call without an error that is looked for is wanted for what its bodies show.
    fn wants(&self, facts: &Facts<'_>) -> bool {
        let acted = || facts.findings.iter().filter_map(|finding| finding.action.as_deref());
        (self.successes && facts.succeeded)
            || (self.interventions && facts.intervened)
            || acted().any(|action| self.actions.contains(&action))
    }

    /// What the JSON of every such record contains. Nearly every record has a time, so looking for all
    /// successes means looking at every record.
    ///
    /// JSON escapes within a word (`\u0041ccessDenied`) are not looked for; AWS writes none.
    #[must_use]
    pub fn needles(&self) -> Vec<String> {
        let interventions: &[&str] = if self.interventions { &INTERVENED } else { &[] };
        let every: &[&str] = if self.successes { &["timestamp"] } else { &[] };
        let words = interventions.iter().chain(&self.actions).chain(every);
        // The second is how it stands in a record that is text inside an envelope.
        let words = words.flat_map(|word| [format!("\"{word}\""), format!("\"{word}\\")]);
        needles(&self.error_codes).into_iter().chain(words).collect()
    }
}

/// One refused model call, or another that a rule looks for. A value that the record lacks, or that is no text, is `None`; a long one is
/// kept as [`text::keep`] does. Named is the field of the invocation log, then that of CloudTrail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial<'a> {
    /// The log that tells of it.
    pub source: Source,
    /// `timestamp`, `eventTime`: when the call was made.
    pub at: EventTime,
    /// `accountId`, `recipientAccountId`.
    pub account: Text<'a>,
    /// `identity.arn`, `userIdentity.arn`.
    pub user: Text<'a>,
    /// Which model was asked for, however it was spelled: [`model::identity`].
    pub model: Text<'a>,
    /// As it was spelled: `modelId`; `requestParameters.modelId` (of the endpoint bedrock-mantle:
    /// `model`), or else the resource that `errorMessage` names.
    pub model_called: Text<'a>,
    /// `region`, `awsRegion`.
    pub region: Text<'a>,
    /// `requestId`, `requestID` or else `eventID`; where all are missing or empty, the object and
    /// byte offset of the record.
    pub request_id: Cow<'a, str>,
    /// Top-level `errorCode`, as Bedrock spells it.
    pub error_code: Cow<'a, str>,
    /// CloudTrail's `sourceIPAddress`.
    pub source_ip: Text<'a>,
    /// CloudTrail's `userAgent`.
    pub user_agent: Text<'a>,
    /// CloudTrail's `userIdentity.accessKeyId`, which is no secret.
    pub access_key_id: Text<'a>,
    /// CloudTrail's `userIdentity.accountId`, where there is no ARN: the caller's own account.
    pub caller_account: Text<'a>,
    /// CloudTrail's `vpcEndpointId`.
    pub vpc_endpoint: Text<'a>,
    /// What kind of Bedrock API key made the call, if one did.
    pub api_key: Option<&'static str>,
    /// What its bodies show; nothing in CloudTrail, which has none.
    pub facts: Facts<'a>,
    /// What refused the call, in a few words, as far as error code and CloudTrail's `errorMessage`
    /// tell.
    pub refusal: Option<&'static str>,
}

impl Denial<'_> {
    /// Whether access was denied; rules may be about other errors too.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.error_code == ACCESS_DENIED
    }
}

/// What a record turned out to be.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and never stored")]
pub enum Reading<'a> {
    /// A refused call.
    Denial(Denial<'a>),
    /// A record that no rule looks for.
    Other,
    /// Valid JSON that is no record of either log.
    Unknown,
    /// A denial whose `timestamp` or `eventTime` is missing or no RFC 3339 time.
    NoTimestamp,
}

/// What the JSON of every record contains that is refused with one of `error_codes`.
///
/// JSON escapes within a code (`\u0041ccessDenied`) are not looked for; AWS writes none.
#[must_use]
pub fn needles(error_codes: &[&str]) -> Vec<String> {
    let spellings = trail_spellings(error_codes).into_iter().map(|code| format!("\"{code}\""));
    // As it stands in a record that is text inside an envelope, however often that is escaped.
    let escaped = trail_spellings(error_codes).into_iter().map(|code| format!("\"{code}\\"));
    error_codes.iter().map(ToString::to_string).chain(spellings).chain(escaped).collect()
}

/// How the JSON value of `errorCode` begins in such a record.
#[must_use]
pub fn value_starts(error_codes: &[&str]) -> Vec<String> {
    let spellings = trail_spellings(error_codes);
    let codes = error_codes.iter().chain(&spellings);
    let starts: Vec<String> = codes.map(|code| format!("\"{code}")).collect();
    // One that begins another finds the other too.
    let covered = |start: &String| starts.iter().any(|other| other != start && start.starts_with(other));
    starts.iter().filter(|start| !covered(start)).cloned().collect()
}

fn trail_spellings(error_codes: &[&str]) -> Vec<&'static str> {
    let asked = cloudtrail::SPELLINGS.iter().filter(|(_, code)| error_codes.contains(code));
    asked.map(|(trail, _)| *trail).collect()
}

/// Tells quickly of most JSON that no refusal can be in it: CloudTrail's names its source, and an
/// invocation log's has a time.
#[must_use]
pub fn is_unrelated(json: &[u8]) -> bool {
    [cloudtrail::SOURCE_START, "\"timestamp\""]
        .iter()
        .all(|part| memmem::find(json, part.as_bytes()).is_none())
}

/// Reads one whole record.
///
/// `place` stands in for a missing request id.
///
/// # Errors
/// When `json` is not exactly one valid JSON object, or is a CloudTrail log file with its records.
pub fn read<'a>(
    json: &'a [u8],
    wanted: &Wanted,
    place: impl FnOnce() -> String,
) -> Result<Reading<'a>, serde_json::Error> {
    let record = Record::read(json)?;
    let is_trail = record.has(Field::EventSource);
    if !is_known(&record) {
        return Ok(Reading::Unknown);
    }
    let error_code = match record.text(Field::ErrorCode) {
        Some(code) if !is_trail => Some(code),
        Some(code) if is_model_call(&record) => Some(cloudtrail::error_code(code)),
        _ => None,
    };
    let mut facts = Facts::default();
    if !is_trail && wanted.has_facts() {
        facts = Facts::read(record.json(Field::Input), record.json(Field::Output));
        let code = record.json(Field::ErrorCode);
        facts.succeeded = code.is_none_or(|code| matches!(code.get(), "null" | "\"\""));
    }
    let error_code = match error_code {
        Some(code) if wanted.error_codes.contains(&code.as_ref()) => code,
        code if wanted.wants(&facts) => code.unwrap_or_default(),
        _ => return Ok(Reading::Other),
    };
    let time = record.text(if is_trail { Field::EventTime } else { Field::Timestamp });
    let Some(at) = time.as_deref().and_then(EventTime::parse) else {
        return Ok(Reading::NoTimestamp);
    };
    let mut denial =
        if is_trail { trail(&record, at, error_code) } else { invocation(&record, at, error_code, facts) };
    if denial.request_id.is_empty() {
        denial.request_id = place().into();
    }
    Ok(Reading::Denial(denial))
}

/// Whether these are the members of a record of either log. Each may be missing; but programs too
/// log a `timestamp` and a `requestId`, and so do envelopes.
fn is_known(record: &Record<'_>) -> bool {
    let any = |fields: &[Field]| fields.iter().any(|field| record.has(*field));
    any(&[Field::EventSource, Field::ErrorCode, Field::ModelId, Field::Identity, Field::SchemaType])
        || (any(&[Field::Timestamp, Field::RequestId]) && any(&[Field::Input, Field::Output]))
}

fn is_model_call(record: &Record<'_>) -> bool {
    let (source, name) = (record.text(Field::EventSource), record.text(Field::EventName));
    source.zip(name).is_some_and(|(source, name)| cloudtrail::is_model_call(&source, &name))
}

/// The request id is empty where it is missing.
fn invocation<'a>(
    record: &Record<'a>,
    at: EventTime,
    error_code: Cow<'a, str>,
    facts: Facts<'a>,
) -> Denial<'a> {
    let kept = |field| record.text(field).map(text::keep);
    let user = record.below(Field::Identity).text(Field::Arn);
    let model = record.text(Field::ModelId);
    Denial {
        source: Source::InvocationLog,
        at,
        account: kept(Field::AccountId),
        api_key: cloudtrail::api_key(user.as_deref(), None, None),
        user: user.map(text::keep),
        model: identity(&model),
        model_called: model.map(text::keep),
        region: kept(Field::Region),
        request_id: kept(Field::RequestId).unwrap_or_default(),
        refusal: cloudtrail::refusal(&error_code, None),
        error_code,
        source_ip: None,
        user_agent: None,
        access_key_id: None,
        caller_account: None,
        vpc_endpoint: None,
        facts,
    }
}

/// The request id is empty where it is missing.
fn trail<'a>(record: &Record<'a>, at: EventTime, error_code: Cow<'a, str>) -> Denial<'a> {
    let given = |text: &Cow<'_, str>| !text.is_empty();
    let kept = |field| record.text(field).map(text::keep);
    let asked = record.below(Field::RequestParameters);
    let caller = record.below(Field::UserIdentity);
    let user = caller.text(Field::Arn);
    let message = record.text(Field::ErrorMessage);
    let is_mantle = record.text(Field::EventSource).is_some_and(|source| source == cloudtrail::MANTLE);
    // Only on this endpoint it is AWS that writes the marks of a bearer token among what was asked.
    let added = if is_mantle { &asked } else { &record.below(Field::AdditionalEventData) };
    let named = || cloudtrail::refused_model(message.as_deref()?).map(|model| Cow::Owned(model.to_owned()));
    let model = asked.text(if is_mantle { Field::Model } else { Field::ModelId });
    let model = model.filter(given).or_else(named);
    Denial {
        source: Source::CloudTrail,
        at,
        account: kept(Field::RecipientAccountId),
        api_key: cloudtrail::api_key(
            user.as_deref(),
            added.flag(Field::CallWithBearerToken),
            added.text(Field::BearerTokenType).as_deref(),
        ),
        caller_account: if user.is_none() { caller.text(Field::AccountId).map(text::keep) } else { None },
        user: user.map(text::keep),
        model: identity(&model),
        model_called: model.map(text::keep),
        region: kept(Field::AwsRegion),
        request_id: kept(Field::TrailRequestId)
            .filter(given)
            .or_else(|| kept(Field::EventId))
            .unwrap_or_default(),
        refusal: cloudtrail::refusal(&error_code, message.as_deref()),
        error_code,
        source_ip: kept(Field::SourceIp),
        user_agent: kept(Field::UserAgent),
        access_key_id: caller.text(Field::AccessKeyId).map(text::keep),
        vpc_endpoint: kept(Field::VpcEndpointId),
        facts: Facts::default(),
    }
}

/// Told of the whole text: a long one has its geography in front and its id at its end.
fn identity<'a>(spelled: &Text<'a>) -> Text<'a> {
    let identity = match spelled.as_ref()? {
        Cow::Borrowed(spelled) => Cow::Borrowed(model::identity(spelled)),
        Cow::Owned(spelled) => Cow::Owned(model::identity(spelled).to_owned()),
    };
    Some(text::keep(identity))
}

#[cfg(test)]
mod tests;
