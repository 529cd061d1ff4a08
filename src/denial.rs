//! One log record's JSON → one denial, or the reason why it is none.
//!
//! Only the top-level fields below are looked at. Prompts, responses and `requestMetadata`
//! are skipped over without being built.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::time::EventTime;

/// The error code of a refused call.
pub const ACCESS_DENIED: &str = "AccessDeniedException";
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

/// One refused model call. A value that the record lacks, or that is no text, is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial<'a> {
    /// The log that tells of it.
    pub source: Source,
    /// `timestamp`: when the call was made.
    pub at: EventTime,
    /// `accountId`.
    pub account: Option<Cow<'a, str>>,
    /// `identity.arn`.
    pub user: Option<Cow<'a, str>>,
    /// `modelId`.
    pub model: Option<Cow<'a, str>>,
    /// `region`.
    pub region: Option<Cow<'a, str>>,
    /// `requestId`; where it is missing or empty, the object and byte offset of the record.
    pub request_id: Cow<'a, str>,
    /// Top-level `errorCode`.
    pub error_code: Cow<'a, str>,
    /// CloudTrail's `sourceIPAddress`.
    pub source_ip: Option<Cow<'a, str>>,
    /// CloudTrail's `userAgent`.
    pub user_agent: Option<Cow<'a, str>>,
    /// CloudTrail's `userIdentity.accessKeyId`, which is no secret.
    pub access_key_id: Option<Cow<'a, str>>,
    /// What refused the call, as far as CloudTrail's `errorMessage` tells, in a few words.
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
pub enum Reading<'a> {
    /// A refused call.
    Denial(Denial<'a>),
    /// Valid JSON that no rule looks for.
    Other,
    /// A denial whose `timestamp` is missing or no RFC 3339 time.
    NoTimestamp,
}

/// Reads one whole record.
///
/// `place` stands in for a missing `requestId`.
///
/// # Errors
/// When `json` is not exactly one valid JSON object.
pub fn read<'a>(
    json: &'a [u8],
    error_codes: &[&str],
    place: impl FnOnce() -> String,
) -> Result<Reading<'a>, serde_json::Error> {
    let record: Record<'a> = serde_json::from_slice(json)?;
    let Some(error_code) = record.error_code.filter(|code| error_codes.contains(&code.as_ref())) else {
        return Ok(Reading::Other);
    };
    let Some(at) = record.timestamp.as_deref().and_then(EventTime::parse) else {
        return Ok(Reading::NoTimestamp);
    };
    let request_id = record.request_id.filter(|id| !id.is_empty());
    Ok(Reading::Denial(Denial {
        source: Source::InvocationLog,
        at,
        account: record.account,
        user: record.user,
        model: record.model,
        region: record.region,
        request_id: request_id.unwrap_or_else(|| place().into()),
        error_code,
        source_ip: None,
        user_agent: None,
        access_key_id: None,
        refusal: None,
    }))
}

type Text<'a> = Option<Cow<'a, str>>;

#[derive(Default)]
struct Record<'a> {
    timestamp: Text<'a>,
    account: Text<'a>,
    region: Text<'a>,
    request_id: Text<'a>,
    user: Text<'a>,
    model: Text<'a>,
    error_code: Text<'a>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Name {
    Timestamp,
    AccountId,
    Region,
    RequestId,
    Identity,
    ModelId,
    ErrorCode,
    #[serde(other)]
    Unread,
}

// By hand rather than derived: a record that repeats a field or gives it another type than
// text is still a denial and must not be refused.
impl<'de: 'a, 'a> Deserialize<'de> for Record<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Record<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an invocation-log record (a JSON object)")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record<'de>, A::Error> {
                let mut record = Record::default();
                while let Some(name) = map.next_key()? {
                    match name {
                        Name::Timestamp => record.timestamp = map.next_value::<Lenient>()?.0,
                        Name::AccountId => record.account = map.next_value::<Lenient>()?.0,
                        Name::Region => record.region = map.next_value::<Lenient>()?.0,
                        Name::RequestId => record.request_id = map.next_value::<Lenient>()?.0,
                        Name::Identity => record.user = map.next_value::<Identity>()?.0,
                        Name::ModelId => record.model = map.next_value::<Lenient>()?.0,
                        Name::ErrorCode => record.error_code = map.next_value::<Lenient>()?.0,
                        Name::Unread => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(record)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Text, or nothing where the value is of another type.
struct Lenient<'a>(Text<'a>);

/// The `arn` inside `identity`, or nothing where there is none.
struct Identity<'a>(Text<'a>);

macro_rules! no_text {
    ($wrapper:ident: $($visit:ident($($argument:ty)?)),*) => {
        $(fn $visit<E>(self $(, _: $argument)?) -> Result<Self::Value, E> { Ok($wrapper(None)) })*
    };
}

impl<'de: 'a, 'a> Deserialize<'de> for Lenient<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = Lenient<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Lenient(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Lenient(Some(Cow::Owned(text.to_owned()))))
            }

            no_text!(Lenient: visit_unit(), visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                drain_map(map).map(|()| Lenient(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                drain_seq(seq).map(|()| Lenient(None))
            }
        }
        deserializer.deserialize_any(Value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Identity<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Part {
            Arn,
            #[serde(other)]
            Unread,
        }

        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = Identity<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an identity (a JSON object)")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut arn = None;
                while let Some(part) = map.next_key()? {
                    match part {
                        Part::Arn => arn = map.next_value::<Lenient>()?.0,
                        Part::Unread => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Identity(arn))
            }

            no_text!(Identity: visit_unit(), visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                drain_seq(seq).map(|()| Identity(None))
            }
        }
        deserializer.deserialize_any(Value)
    }
}

fn drain_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

fn drain_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A denial is shown as `account user model region request time`, with `-` for a missing value.
    fn shown(json: &str) -> String {
        let reading = read(json.as_bytes(), &["AccessDeniedException"], || "here".to_owned());
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
}
