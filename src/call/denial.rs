//! One log record's JSON → one denial, or the reason it is not one.
//!
//! A record's top-level keys alone decide which log it came from: deeper in an invocation log, a
//! caller controls the content and may write an `eventSource` there.

use std::borrow::Cow;

use memchr::memmem;

use crate::call::cloudtrail;
use crate::call::fields::{Field, Record};
use crate::call::guardrail::{Facts, INTERVENED};
use crate::call::model;
use crate::source::text::{self, Text};
use crate::source::time::EventTime;

/// The error code of a refused call.
pub const ACCESS_DENIED: &str = "AccessDeniedException";
/// What every error code of a denial contains, in either log: also one that AWS may introduce, and one that was
/// cut off.
pub const DENIED: &str = "AccessDenied";
/// The error code for calling a model that the account never requested access to, can no longer
/// use, or that does not exist.
pub const MODEL_NOT_FOUND: &str = "ResourceNotFoundException";
/// The error code of a call with a parameter that the model does not accept.
pub const VALIDATION_FAILED: &str = "ValidationException";

/// Which log a record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Bedrock's model invocation log.
    InvocationLog,
    /// AWS CloudTrail.
    CloudTrail,
    /// A copy of Bedrock's model invocation log that came through CloudWatch Logs. It holds the same calls, but not
    /// the same files.
    CloudWatch,
}

impl Source {
    /// All sources, in their order.
    pub const ALL: [Self; 3] = [Self::InvocationLog, Self::CloudTrail, Self::CloudWatch];

    /// The log that it is, or is a copy of: one log to whoever reads of it.
    #[must_use]
    pub const fn log(self) -> Self {
        match self {
            Self::InvocationLog | Self::CloudWatch => Self::InvocationLog,
            Self::CloudTrail => Self::CloudTrail,
        }
    }

    /// What people call that log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self.log() {
            Self::CloudTrail => "CloudTrail",
            _ => "Bedrock invocation log",
        }
    }

    /// The dataset of that log in Elastic's integrations.
    #[must_use]
    pub const fn dataset(self) -> &'static str {
        match self.log() {
            Self::CloudTrail => "aws.cloudtrail",
            _ => "aws_bedrock.invocation",
        }
    }
}

/// Which records the rules need.
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

    /// Whether the bodies of a call must be read.
    fn has_facts(&self) -> bool {
        self.interventions || self.successes || !self.actions.is_empty()
    }

    /// Whether a call without a matching error is needed for what its bodies show.
    fn wants(&self, facts: &Facts<'_>) -> bool {
        let acted = || facts.findings.iter().filter_map(|finding| finding.action.as_deref());
        (self.successes && facts.succeeded)
            || (self.interventions && facts.intervened)
            || acted().any(|action| self.actions.contains(&action))
    }

    /// Strings of which the JSON of every such record contains one. Nearly every record has a time, so
    /// a rule about successful calls reads every record.
    ///
    /// JSON escapes within a word (`\u0041ccessDenied`) are not matched; AWS writes none.
    #[must_use]
    pub fn needles(&self) -> Vec<String> {
        let interventions: &[&str] = if self.interventions { &INTERVENED } else { &[] };
        let every: &[&str] = if self.successes { &["timestamp"] } else { &[] };
        let words = interventions.iter().chain(&self.actions).chain(every);
        // The second form appears when an envelope carries the record as text.
        let words = words.flat_map(|word| [format!("\"{word}\""), format!("\"{word}\\")]);
        needles(&self.error_codes).into_iter().chain(words).collect()
    }
}

/// One refused model call, or another call that a rule matches. A value that is missing or not text is
/// `None`; [`text::keep`] shortens a long one. Each field names its source in the invocation log, then
/// in CloudTrail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial<'a> {
    /// The log that recorded it.
    pub source: Source,
    /// `timestamp`, `eventTime`: when the call was made.
    pub at: EventTime,
    /// `accountId`, `recipientAccountId`.
    pub account: Text<'a>,
    /// `identity.arn`, `userIdentity.arn`.
    pub user: Text<'a>,
    /// The requested model, independent of spelling: [`model::identity`].
    pub model: Text<'a>,
    /// The model as spelled in the call: `modelId`; `requestParameters.modelId` (on the bedrock-mantle
    /// endpoint: `model`), or else the resource that `errorMessage` names.
    pub model_called: Text<'a>,
    /// `region`, `awsRegion`.
    pub region: Text<'a>,
    /// `requestId`, `requestID` or else `eventID`; if all are missing or empty, the record's object and
    /// byte offset.
    pub request_id: Cow<'a, str>,
    /// Top-level `errorCode`, as Bedrock spells it.
    pub error_code: Cow<'a, str>,
    /// CloudTrail's `sourceIPAddress`.
    pub source_ip: Text<'a>,
    /// CloudTrail's `userAgent`.
    pub user_agent: Text<'a>,
    /// CloudTrail's `userIdentity.accessKeyId`, which is not a secret.
    pub access_key_id: Text<'a>,
    /// CloudTrail's `userIdentity.accountId`, if there is no ARN: the caller's own account.
    pub caller_account: Text<'a>,
    /// CloudTrail's `vpcEndpointId`.
    pub vpc_endpoint: Text<'a>,
    /// The kind of Bedrock API key that made the call, if one did.
    pub api_key: Option<&'static str>,
    /// What the call's bodies show; empty for CloudTrail, which logs no bodies.
    pub facts: Facts<'a>,
    /// A short description of what refused the call, as far as the error code and CloudTrail's
    /// `errorMessage` show.
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
    /// A record that no rule matches.
    Other,
    /// Valid JSON that is not a record of either log.
    Unknown,
    /// A call that a rule looks for whose `timestamp` or `eventTime` is missing or not an RFC 3339 time.
    NoTimestamp {
        /// It was denied.
        is_refused: bool,
    },
    /// A model call that failed with this code, which contains [`DENIED`] and is not known.
    UnknownCode(Cow<'a, str>),
}

/// Strings of which the JSON of every record refused with one of `error_codes` contains one, whether or not it is
/// escaped.
///
/// JSON escapes within a code (`\u0041ccessDenied`) are not matched; AWS writes none.
fn needles(error_codes: &[&str]) -> Vec<String> {
    error_codes.iter().map(|code| if *code == ACCESS_DENIED { DENIED } else { code }.to_owned()).collect()
}

/// Whether the error code of a denial stands in `text`.
#[must_use]
pub fn names_denial(text: &[u8]) -> bool {
    memmem::find(text, DENIED.as_bytes()).is_some()
}

/// How often the error code of a denial stands in `text`.
#[must_use]
pub fn count_denials_named(text: &[u8]) -> usize {
    memmem::find_iter(text, DENIED.as_bytes()).count()
}

/// Reads one whole record.
///
/// `place` replaces a missing request id.
///
/// # Errors
/// If `json` is not exactly one valid JSON object, or is a whole CloudTrail log file.
pub fn read<'a>(
    json: &'a str,
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
    if let Some(code) = &error_code
        && *code != ACCESS_DENIED
        && code.contains(DENIED)
    {
        return Ok(Reading::UnknownCode(code.clone()));
    }
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
        return Ok(Reading::NoTimestamp { is_refused: error_code == ACCESS_DENIED });
    };
    let mut denial =
        if is_trail { trail(&record, at, error_code) } else { invocation(&record, at, error_code, facts) };
    if denial.request_id.is_empty() {
        denial.request_id = place().into();
    }
    Ok(Reading::Denial(denial))
}

/// Whether these members belong to a record of either log. Any one may be missing, yet `timestamp` and
/// `requestId` are not enough: applications and envelopes log those too.
fn is_known(record: &Record<'_>) -> bool {
    let any = |fields: &[Field]| fields.iter().any(|field| record.has(*field));
    !is_notification(record)
        && (any(&[Field::EventSource, Field::ErrorCode, Field::ModelId, Field::Identity, Field::SchemaType])
            || (any(&[Field::Timestamp, Field::RequestId]) && any(&[Field::Input, Field::Output])))
}

/// Whether it is an event of SQS, S3 or another service that names itself `aws:sqs`, where CloudTrail writes
/// `sqs.amazonaws.com`. Its body may hold anything.
fn is_notification(record: &Record<'_>) -> bool {
    record.text(Field::EventSource).is_some_and(|source| source.starts_with("aws:"))
}

fn is_model_call(record: &Record<'_>) -> bool {
    let (source, name) = (record.text(Field::EventSource), record.text(Field::EventName));
    source.zip(name).is_some_and(|(source, name)| cloudtrail::is_model_call(&source, &name))
}

/// A missing request id is empty.
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

/// A missing request id is empty.
fn trail<'a>(record: &Record<'a>, at: EventTime, error_code: Cow<'a, str>) -> Denial<'a> {
    let given = |text: &Cow<'_, str>| !text.is_empty();
    let kept = |field| record.text(field).map(text::keep);
    let asked = record.below(Field::RequestParameters);
    let caller = record.below(Field::UserIdentity);
    let user = caller.text(Field::Arn);
    let message = record.text(Field::ErrorMessage);
    let is_mantle = record.text(Field::EventSource).is_some_and(|source| source == cloudtrail::MANTLE);
    // Only on this endpoint does AWS itself write the bearer-token marks among the request parameters.
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

/// Derived from the whole text, before it is shortened: a geography comes first, and the id last.
fn identity<'a>(spelled: &Text<'a>) -> Text<'a> {
    let identity = match spelled.as_ref()? {
        Cow::Borrowed(spelled) => Cow::Borrowed(model::identity(spelled)),
        Cow::Owned(spelled) => Cow::Owned(model::identity(spelled).to_owned()),
    };
    Some(text::keep(identity))
}

#[cfg(test)]
mod tests;
