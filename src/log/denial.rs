//! One log record's JSON → one denial, or the reason why it is none.
//!
//! Which log a record is of is told by its top-level keys alone: a caller controls what stands
//! deeper in an invocation log, and may write an `eventSource` there.

use std::borrow::Cow;

use memchr::memmem;

use crate::log::cloudtrail;
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

/// One refused model call. A value that the record lacks, or that is no text, is `None`; a long one is
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
    /// Valid JSON that no rule looks for.
    Other,
    /// A denial whose `timestamp` or `eventTime` is missing or no RFC 3339 time.
    NoTimestamp,
}

/// What the JSON of every record contains that is refused with one of `error_codes`.
///
/// JSON escapes within a code (`\u0041ccessDenied`) are not looked for; AWS writes none.
#[must_use]
pub fn needles(error_codes: &[&str]) -> Vec<String> {
    let spellings = trail_spellings(error_codes).into_iter().map(|code| format!("\"{code}\""));
    error_codes.iter().map(ToString::to_string).chain(spellings).collect()
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
    let sources = cloudtrail::MODEL_CALLS.iter().map(|(source, _)| *source);
    sources.chain(["\"timestamp\""]).all(|part| memmem::find(json, part.as_bytes()).is_none())
}

/// Reads one whole record.
///
/// `place` stands in for a missing request id.
///
/// # Errors
/// When `json` is not exactly one valid JSON object, or is a CloudTrail log file with its records.
pub fn read<'a>(
    json: &'a str,
    error_codes: &[&str],
    place: impl FnOnce() -> String,
) -> Result<Reading<'a>, serde_json::Error> {
    let record = Record::read(json)?;
    let is_trail = record.has(Field::EventSource);
    let error_code = match record.text(Field::ErrorCode) {
        Some(code) if !is_trail => Some(code),
        Some(code) if is_model_call(&record) => Some(cloudtrail::error_code(code)),
        _ => None,
    };
    let Some(error_code) = error_code.filter(|code| error_codes.contains(&code.as_ref())) else {
        return Ok(Reading::Other);
    };
    let time = record.text(if is_trail { Field::EventTime } else { Field::Timestamp });
    let Some(at) = time.as_deref().and_then(EventTime::parse) else {
        return Ok(Reading::NoTimestamp);
    };
    let mut denial =
        if is_trail { trail(&record, at, error_code) } else { invocation(&record, at, error_code) };
    if denial.request_id.is_empty() {
        denial.request_id = place().into();
    }
    Ok(Reading::Denial(denial))
}

fn is_model_call(record: &Record<'_>) -> bool {
    let (source, name) = (record.text(Field::EventSource), record.text(Field::EventName));
    source.zip(name).is_some_and(|(source, name)| cloudtrail::is_model_call(&source, &name))
}

/// The request id is empty where it is missing.
fn invocation<'a>(record: &Record<'a>, at: EventTime, error_code: Cow<'a, str>) -> Denial<'a> {
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
        refusal: cloudtrail::refusal(&error_code, ""),
        error_code,
        source_ip: None,
        user_agent: None,
        access_key_id: None,
        caller_account: None,
        vpc_endpoint: None,
    }
}

/// The request id is empty where it is missing.
fn trail<'a>(record: &Record<'a>, at: EventTime, error_code: Cow<'a, str>) -> Denial<'a> {
    let given = |text: &Cow<'_, str>| !text.is_empty();
    let kept = |field| record.text(field).map(text::keep);
    let asked = record.below(Field::RequestParameters);
    let caller = record.below(Field::UserIdentity);
    let user = caller.text(Field::Arn);
    let message = record.text(Field::ErrorMessage).unwrap_or_default();
    let is_mantle = record.text(Field::EventSource).is_some_and(|source| source == cloudtrail::MANTLE);
    // Only on this endpoint it is AWS that writes the marks of a bearer token among what was asked.
    let added = if is_mantle { &asked } else { &record.below(Field::AdditionalEventData) };
    let named = || cloudtrail::refused_model(&message).map(|model| Cow::Owned(model.to_owned()));
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
        refusal: cloudtrail::refusal(&error_code, &message),
        error_code,
        source_ip: kept(Field::SourceIp),
        user_agent: kept(Field::UserAgent),
        access_key_id: caller.text(Field::AccessKeyId).map(text::keep),
        vpc_endpoint: kept(Field::VpcEndpointId),
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
mod tests {
    use super::*;

    /// A denial is shown as `account user model region request time`, with `-` for a missing value.
    fn shown(json: &str) -> String {
        let reading = read(json, &["AccessDeniedException"], || "here".to_owned());
        match reading {
            Err(_) => "not JSON".to_owned(),
            Ok(Reading::Other) => "other".to_owned(),
            Ok(Reading::NoTimestamp) => "no timestamp".to_owned(),
            Ok(Reading::Denial(d)) => {
                let or_dash = |text: &Text<'_>| text.as_deref().unwrap_or("-").to_owned();
                format!(
                    "{} {} {} {} {} {}",
                    or_dash(&d.account),
                    or_dash(&d.user),
                    or_dash(&d.model),
                    or_dash(&d.region),
                    d.request_id,
                    d.at
                )
            }
        }
    }

    #[track_caller]
    fn check(fields: &str, expected: &str) {
        let json =
            format!(r#"{{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException"{fields}}}"#);
        assert_eq!(shown(&json), format!("{expected} 2025-06-01T10:00:00Z"), "{json}");
    }

    #[track_caller]
    fn check_whole(json: &str, expected: &str) {
        assert_eq!(shown(json), expected, "{json}");
    }

    #[test]
    fn top_level_fields_make_a_denial() {
        check(
            r#","accountId":"1","identity":{"arn":"u"},"modelId":"m","region":"r","requestId":"q""#,
            "1 u m r q",
        );
        check(r#","modelId":"m\u0041\"","requestId":"q\n""#, "- - mA\" - q\n");
        check(r#","identity":{"x":[1,{"arn":"no"}],"arn":"u","y":{}}"#, "- u - - here");
        check(
            r#","schemaType":"ModelInvocationLog","input":{"inputBodyJson":{"modelId":"no"}},"modelId":"m""#,
            "- - m - here",
        );
    }

    #[test]
    fn a_missing_value_is_a_value_of_its_own() {
        check("", "- - - - here");
        check(r#","accountId":null,"identity":null,"modelId":null,"requestId":null"#, "- - - - here");
        check(r#","accountId":12,"identity":"u","modelId":["m"],"requestId":{"a":1}"#, "- - - - here");
        check(r#","identity":{"arn":7}"#, "- - - - here");
        check(r#","identity":[{"arn":"u"}]"#, "- - - - here");
        check(r#","accountId":"","identity":{"arn":""},"modelId":"","requestId":"""#, "   - here");
    }

    #[test]
    fn the_last_of_a_repeated_field_stands() {
        check(r#","modelId":"a","modelId":"b""#, "- - b - here");
        check_whole(
            r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException","errorCode":"Other"}"#,
            "other",
        );
    }

    #[test]
    fn only_the_top_level_error_code_decides() {
        check_whole(r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"ThrottlingException"}"#, "other");
        check_whole(r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"accessdeniedexception"}"#, "other");
        check_whole(r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":null}"#, "other");
        check_whole(
            r#"{"output":{"errorCode":"AccessDeniedException"},"input":"AccessDeniedException"}"#,
            "other",
        );
        check_whole(r#"{"errorcode":"AccessDeniedException"}"#, "other");
    }

    #[test]
    fn a_denial_without_a_usable_time_says_so() {
        check_whole(r#"{"errorCode":"AccessDeniedException"}"#, "no timestamp");
        check_whole(r#"{"errorCode":"AccessDeniedException","timestamp":1748772000}"#, "no timestamp");
        check_whole(r#"{"errorCode":"AccessDeniedException","timestamp":"soon"}"#, "no timestamp");
    }

    #[test]
    fn what_is_not_one_json_object_is_an_error() {
        for json in [
            "",
            "{",
            "[]",
            "1",
            "{}{}",
            r#"{"a":}"#,
            r#"{"a":"AccessDeniedException"#,
            "{\"modelId\":\"\u{1}\"}",
        ] {
            check_whole(json, "not JSON");
        }
        check_whole(" {} \r\n", "other");
    }

    #[test]
    fn deep_bodies_are_passed_over() {
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        check(&format!(r#","input":{deep},"modelId":"m""#), "- - m - here");
    }

    const CALL: &str = r#""eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel","eventTime":"2025-06-01T10:00:00Z""#;

    #[track_caller]
    fn check_trail(fields: &str, expected: &str) {
        check_whole(&format!(r#"{{{CALL},"errorCode":"AccessDenied"{fields}}}"#), expected);
    }

    #[test]
    fn a_trail_record_makes_a_denial() {
        let time = "2025-06-01T10:00:00Z";
        check_trail("", &format!("- - - - here {time}"));
        check_trail(
            r#","recipientAccountId":"1","userIdentity":{"type":"AssumedRole","arn":"u","accountId":"9"},"requestParameters":{"x":{"modelId":"no"},"modelId":"m"},"awsRegion":"r","requestID":"q","eventID":"e""#,
            &format!("1 u m r q {time}"),
        );
        check_trail(r#","requestID":"","eventID":"e""#, &format!("- - - - e {time}"));
        check_trail(r#","requestID":null,"eventID":"""#, &format!("- - - - here {time}"));
        check_trail(
            r#","requestParameters":null,"responseElements":null,"userIdentity":{"type":"AWSService","invokedBy":"x.amazonaws.com"}"#,
            &format!("- - - - here {time}"),
        );
        check_trail(
            r#","userIdentity":"u","requestParameters":["m"],"recipientAccountId":1"#,
            &format!("- - - - here {time}"),
        );
        // What the invocation log calls its own is nothing here.
        check_trail(
            r#","timestamp":"2020-01-01T00:00:00Z","accountId":"1","identity":{"arn":"u"},"modelId":"m","region":"r","requestId":"q""#,
            &format!("- - - - here {time}"),
        );
    }

    #[test]
    fn the_model_is_what_was_asked_for_or_else_what_was_refused() {
        let message = r#","errorMessage":"User: u is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:us-east-1::foundation-model/a.b because no identity-based policy allows it""#;
        for (asked, model) in [
            ("", "a.b"),
            (r#","requestParameters":null"#, "a.b"),
            (r#","requestParameters":{"modelId":""}"#, "a.b"),
            (r#","requestParameters":{"modelId":"m"}"#, "m"),
        ] {
            check_trail(&format!("{message}{asked}"), &format!("- - {model} - here 2025-06-01T10:00:00Z"));
        }
    }

    #[test]
    fn a_trail_record_tells_more_than_an_invocation_log() {
        let json = format!(
            r#"{{{CALL},"errorCode":"AccessDenied","sourceIPAddress":"192.0.2.1","userAgent":"a/1","userIdentity":{{"accessKeyId":"AKIA1"}},"errorMessage":"User: u is not authorized to perform: x with an explicit deny in a service control policy"}}"#
        );
        let Ok(Reading::Denial(denial)) = read(&json, &["AccessDeniedException"], String::new) else {
            panic!("a denial");
        };
        assert_eq!(denial.source, Source::CloudTrail);
        assert_eq!(denial.error_code, "AccessDeniedException");
        let texts =
            [denial.source_ip, denial.user_agent, denial.access_key_id].map(Option::unwrap_or_default);
        assert_eq!(texts, ["192.0.2.1", "a/1", "AKIA1"]);
        assert_eq!(denial.refusal, Some("service control policy"));
    }

    #[test]
    fn only_a_refused_model_call_of_bedrock_is_a_denial() {
        let record = |source: &str, name: &str, code: &str| {
            format!(
                r#"{{"eventSource":{source},"eventName":{name},"errorCode":{code},"eventTime":"2025-06-01T10:00:00Z"}}"#
            )
        };
        let bedrock = r#""bedrock.amazonaws.com""#;
        let denied = "- - - - here 2025-06-01T10:00:00Z";
        for name in [
            "InvokeModel",
            "InvokeModelWithResponseStream",
            "InvokeModelWithBidirectionalStream",
            "Converse",
            "ConverseStream",
        ] {
            for code in [r#""AccessDenied""#, r#""AccessDeniedException""#] {
                check_whole(&record(bedrock, &format!("\"{name}\""), code), denied);
            }
        }
        let call = r#""InvokeModel""#;
        for (source, name, code) in [
            (bedrock, r#""ListFoundationModels""#, r#""AccessDenied""#),
            (bedrock, r#""invokemodel""#, r#""AccessDenied""#),
            (bedrock, "null", r#""AccessDenied""#),
            (bedrock, call, r#""AccessDeniedX""#),
            (bedrock, call, r#""ValidationException""#),
            (bedrock, call, "null"),
            (r#""s3.amazonaws.com""#, call, r#""AccessDenied""#),
            (r#""""#, call, r#""AccessDeniedException""#),
            ("null", call, r#""AccessDeniedException""#),
            ("{}", call, r#""AccessDeniedException""#),
        ] {
            check_whole(&record(source, name, code), "other");
        }
    }

    #[test]
    fn another_code_is_a_denial_when_a_rule_asks_for_it() {
        let json = format!(r#"{{{CALL},"errorCode":"ValidationException"}}"#);
        let codes = ["AccessDeniedException", "ValidationException"];
        let reading = read(&json, &codes, String::new).expect("JSON");
        assert!(matches!(reading, Reading::Denial(denial) if denial.error_code == "ValidationException"));
        assert!(matches!(read(&json, &codes[..1], String::new), Ok(Reading::Other)));
    }

    #[test]
    fn the_form_is_told_by_top_level_keys_alone() {
        check(
            r#","input":{"inputBodyJson":{"eventSource":"s3.amazonaws.com"}},"modelId":"m""#,
            "- - m - here",
        );
        check_whole(&format!(r#"{{"errorCode":"AccessDenied","requestParameters":{{{CALL}}}}}"#), "other");
        check_whole(r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDenied"}"#, "other");
        check_whole(
            r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException","eventSource":"x"}"#,
            "other",
        );
    }

    #[test]
    fn a_trail_record_without_a_usable_time_says_so() {
        let record = CALL.replace("eventTime", "timestamp");
        check_whole(&format!(r#"{{{record},"errorCode":"AccessDenied"}}"#), "no timestamp");
        check_whole(&format!(r#"{{{record},"eventTime":7,"errorCode":"AccessDenied"}}"#), "no timestamp");
    }

    #[test]
    fn a_file_of_records_is_no_record() {
        check_whole(r#"{"Records":[]}"#, "not JSON");
        check_whole(&format!(r#"{{{CALL},"Records":[{{}}]}}"#), "not JSON");
        check_whole(r#"{"Records":{"a":[1]},"records":[]}"#, "other");
        check_whole(r#"{"x":{"Records":[]}}"#, "other");
    }

    #[test]
    fn needles_find_every_spelling_of_what_is_asked() {
        let codes = ["AccessDeniedException", "ValidationException"];
        assert_eq!(needles(&codes), ["AccessDeniedException", "ValidationException", "\"AccessDenied\""]);
        assert_eq!(value_starts(&codes), ["\"ValidationException", "\"AccessDenied"]);
        assert_eq!(needles(&codes[1..]), ["ValidationException"]);
        assert_eq!(value_starts(&codes[1..]), ["\"ValidationException"]);
    }
}
