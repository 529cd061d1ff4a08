//! One log record's JSON → the fields that are read, of either form.
//!
//! Only top-level fields, and a few one level below, are looked at. Prompts, responses,
//! `requestMetadata` and the rest of `requestParameters` are skipped over without being built.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A text value; `None` where it is missing or of another type.
pub type Text<'a> = Option<Cow<'a, str>>;

/// What a record holds, whichever form it has. An invocation log and CloudTrail share no name
/// but `errorCode`.
#[derive(Default)]
pub struct Record<'a> {
    /// `errorCode`.
    pub error_code: Text<'a>,
    /// The fields of an invocation log.
    pub invocation: Invocation<'a>,
    /// The fields of CloudTrail.
    pub trail: Trail<'a>,
    /// There is a top-level `eventSource`, text or not, which makes it a CloudTrail record. What
    /// a caller writes stands deeper.
    pub is_trail: bool,
}

/// What an invocation log alone has.
#[derive(Default)]
pub struct Invocation<'a> {
    /// `timestamp`.
    pub timestamp: Text<'a>,
    /// `accountId`.
    pub account: Text<'a>,
    /// `region`.
    pub region: Text<'a>,
    /// `requestId`.
    pub request_id: Text<'a>,
    /// `identity.arn`.
    pub user: Text<'a>,
    /// `modelId`.
    pub model: Text<'a>,
}

/// What CloudTrail alone has.
#[derive(Default)]
pub struct Trail<'a> {
    /// `eventSource`.
    pub source: Text<'a>,
    /// `eventName`.
    pub name: Text<'a>,
    /// `eventTime`.
    pub time: Text<'a>,
    /// `recipientAccountId`.
    pub account: Text<'a>,
    /// `userIdentity.arn`.
    pub user: Text<'a>,
    /// `userIdentity.accessKeyId`.
    pub access_key_id: Text<'a>,
    /// `awsRegion`.
    pub region: Text<'a>,
    /// `requestID`.
    pub request_id: Text<'a>,
    /// `eventID`.
    pub event_id: Text<'a>,
    /// `requestParameters.modelId`.
    pub model: Text<'a>,
    /// `sourceIPAddress`.
    pub source_ip: Text<'a>,
    /// `userAgent`.
    pub user_agent: Text<'a>,
    /// `errorMessage`.
    pub message: Text<'a>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    ErrorCode,
    Timestamp,
    AccountId,
    Region,
    RequestId,
    Identity,
    ModelId,
    EventSource,
    EventName,
    EventTime,
    RecipientAccountId,
    UserIdentity,
    AwsRegion,
    #[serde(rename = "requestID")]
    TrailRequestId,
    #[serde(rename = "eventID")]
    EventId,
    RequestParameters,
    #[serde(rename = "sourceIPAddress")]
    SourceIp,
    UserAgent,
    ErrorMessage,
    #[serde(rename = "Records")]
    Records,
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
                f.write_str("a log record (a JSON object)")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record<'de>, A::Error> {
                let mut record = Record::default();
                while let Some(key) = map.next_key()? {
                    record.take(key, &mut map)?;
                }
                Ok(record)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl<'de> Record<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: Key, map: &mut A) -> Result<(), A::Error> {
        let Self { invocation, trail, .. } = self;
        let field = match key {
            Key::ErrorCode => &mut self.error_code,
            Key::Timestamp => &mut invocation.timestamp,
            Key::AccountId => &mut invocation.account,
            Key::Region => &mut invocation.region,
            Key::RequestId => &mut invocation.request_id,
            Key::ModelId => &mut invocation.model,
            Key::EventSource => {
                self.is_trail = true;
                &mut trail.source
            }
            Key::EventName => &mut trail.name,
            Key::EventTime => &mut trail.time,
            Key::RecipientAccountId => &mut trail.account,
            Key::AwsRegion => &mut trail.region,
            Key::TrailRequestId => &mut trail.request_id,
            Key::EventId => &mut trail.event_id,
            Key::SourceIp => &mut trail.source_ip,
            Key::UserAgent => &mut trail.user_agent,
            Key::ErrorMessage => &mut trail.message,
            Key::Identity => {
                invocation.user = map.next_value::<Members>()?.arn;
                return Ok(());
            }
            Key::UserIdentity => {
                let members: Members = map.next_value()?;
                (trail.user, trail.access_key_id) = (members.arn, members.access_key_id);
                return Ok(());
            }
            Key::RequestParameters => {
                trail.model = map.next_value::<Members>()?.model;
                return Ok(());
            }
            Key::Records => return map.next_value::<NoArray>().map(|_| ()),
            Key::Unread => return map.next_value::<IgnoredAny>().map(|_| ()),
        };
        *field = map.next_value::<Lenient>()?.0;
        Ok(())
    }
}

/// Text, or nothing where the value is of another type.
struct Lenient<'a>(Text<'a>);

/// What is read one level below the top; nothing where there is no object.
#[derive(Default)]
struct Members<'a> {
    arn: Text<'a>,
    access_key_id: Text<'a>,
    model: Text<'a>,
}

/// Anything but an array: a CloudTrail log file holds its records in one called `Records`, and is
/// no record itself.
struct NoArray;

macro_rules! nothing {
    ($nothing:expr; $($visit:ident($($argument:ty)?)),*) => {
        $(fn $visit<E>(self $(, _: $argument)?) -> Result<Self::Value, E> { Ok($nothing) })*
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

            nothing!(Lenient(None); visit_unit(), visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));

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

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "camelCase")]
        enum Member {
            Arn,
            AccessKeyId,
            ModelId,
            #[serde(other)]
            Unread,
        }

        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members::default();
                while let Some(member) = map.next_key()? {
                    let field = match member {
                        Member::Arn => &mut members.arn,
                        Member::AccessKeyId => &mut members.access_key_id,
                        Member::ModelId => &mut members.model,
                        Member::Unread => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *field = map.next_value::<Lenient>()?.0;
                }
                Ok(members)
            }

            nothing!(Members::default(); visit_unit(), visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                drain_seq(seq).map(|()| Members::default())
            }
        }
        deserializer.deserialize_any(Value)
    }
}

impl<'de> Deserialize<'de> for NoArray {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = NoArray;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one record")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
                Err(A::Error::custom("a file of records, not one record"))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                drain_map(map).map(|()| NoArray)
            }

            nothing!(NoArray; visit_unit(), visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));
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
