//! One log record's JSON, from either log → the members the detector reads.
//!
//! Only top-level members, and a few one level below, are read. Prompts, responses,
//! `requestMetadata` and the rest of `requestParameters` are skipped without being materialised.
//!
//! Nothing a caller puts into a record can make it unreadable: a member of an unexpected type counts
//! as missing, a lone surrogate becomes a replacement character, and numbers out of range or
//! thousands of brackets are skipped.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::source::text::Text;

/// A member to read, at the top level or one below. The only top-level name that an invocation log and
/// CloudTrail share is `errorCode`.
#[derive(Clone, Copy)]
pub enum Field {
    /// In both logs.
    ErrorCode,
    // In an invocation log.
    Timestamp,
    AccountId,
    Region,
    RequestId,
    Identity,
    ModelId,
    SchemaType,
    Input,
    Output,
    // In CloudTrail.
    EventSource,
    EventName,
    EventTime,
    RecipientAccountId,
    UserIdentity,
    AwsRegion,
    TrailRequestId,
    EventId,
    RequestParameters,
    AdditionalEventData,
    SourceIp,
    UserAgent,
    ErrorMessage,
    VpcEndpointId,
    /// Contains the records of a CloudTrail log file, which is not a record itself.
    Records,
    // One level below.
    Arn,
    AccessKeyId,
    Model,
    CallWithBearerToken,
    BearerTokenType,
}

const FIELDS: usize = Field::BearerTokenType as usize + 1;

impl Field {
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"errorCode" => Self::ErrorCode,
            b"timestamp" => Self::Timestamp,
            b"accountId" => Self::AccountId,
            b"region" => Self::Region,
            b"requestId" => Self::RequestId,
            b"identity" => Self::Identity,
            b"modelId" => Self::ModelId,
            b"schemaType" => Self::SchemaType,
            b"input" => Self::Input,
            b"output" => Self::Output,
            b"eventSource" => Self::EventSource,
            b"eventName" => Self::EventName,
            b"eventTime" => Self::EventTime,
            b"recipientAccountId" => Self::RecipientAccountId,
            b"userIdentity" => Self::UserIdentity,
            b"awsRegion" => Self::AwsRegion,
            b"requestID" => Self::TrailRequestId,
            b"eventID" => Self::EventId,
            b"requestParameters" => Self::RequestParameters,
            b"additionalEventData" => Self::AdditionalEventData,
            b"sourceIPAddress" => Self::SourceIp,
            b"userAgent" => Self::UserAgent,
            b"errorMessage" => Self::ErrorMessage,
            b"vpcEndpointId" => Self::VpcEndpointId,
            b"Records" => Self::Records,
            b"arn" => Self::Arn,
            b"accessKeyId" => Self::AccessKeyId,
            b"model" => Self::Model,
            b"callWithBearerToken" => Self::CallWithBearerToken,
            b"bearerTokenType" => Self::BearerTokenType,
            _ => return None,
        })
    }
}

/// The members read from one JSON object, as raw JSON; the last one wins if a key repeats.
pub struct Record<'a>([Option<&'a RawValue>; FIELDS]);

impl<'a> Record<'a> {
    /// Reads `json` as one object.
    ///
    /// # Errors
    /// If `json` is not exactly one JSON object, or is a whole CloudTrail log file.
    pub fn read(json: &'a str) -> Result<Self, serde_json::Error> {
        let mut record = Self([None; FIELDS]);
        let mut deserializer = serde_json::Deserializer::from_str(json);
        deserializer.deserialize_map(Members(&mut record))?;
        deserializer.end()?;
        match record.json(Field::Records) {
            Some(records) if records.get().starts_with('[') => {
                Err(serde_json::Error::custom("a file of records, not one record"))
            }
            _ => Ok(record),
        }
    }

    /// Whether the member exists, of any type.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        self.json(field).is_some()
    }

    /// A member's text; `None` if it is missing or not text.
    #[must_use]
    pub fn text(&self, field: Field) -> Text<'a> {
        unescaped(self.json(field)?.get())
    }

    /// A member as raw JSON.
    #[must_use]
    pub fn json(&self, field: Field) -> Option<&'a RawValue> {
        self.0.get(field as usize).copied().flatten()
    }

    /// A boolean, or one written as text; `None` for anything else.
    #[must_use]
    pub fn flag(&self, field: Field) -> Option<bool> {
        self.json(field)?.get().trim_matches('"').parse().ok()
    }

    /// The members of an object one level below; empty if it is not an object.
    #[must_use]
    pub fn below(&self, field: Field) -> Self {
        let mut below = Self([None; FIELDS]);
        if let Some(json) = self.json(field).filter(|json| json.get().starts_with('{')) {
            let read = serde_json::Deserializer::from_str(json.get()).deserialize_map(Members(&mut below));
            debug_assert!(read.is_ok(), "{read:?}: it was looked through before");
        }
        below
    }
}

/// A JSON value as text; `None` if it has another type.
#[must_use]
pub fn unescaped(json: &str) -> Text<'_> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    if memchr(b'\\', inside.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inside));
    }
    let Bytes(bytes) = serde_json::from_str(json).ok()?;
    Some(Cow::Owned(with_replacements(&bytes)))
}

/// Fills the members in place: a record is too large to move between functions cheaply.
struct Members<'r, 'a>(&'r mut Record<'a>);

impl<'de> Visitor<'de> for Members<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a log record (a JSON object)")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Bytes(name)) = map.next_key()? {
            match Field::named(&name) {
                Some(field) => {
                    let json = Some(map.next_value()?);
                    if let Some(place) = self.0.0.get_mut(field as usize) {
                        *place = json;
                    }
                }
                None => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }
}

/// A JSON string, with each lone surrogate as the three bytes it would take in UTF-8. If asked for text
/// instead, serde_json rejects the whole record.
pub struct Bytes<'a>(pub Cow<'a, [u8]>);

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unescaped;
        impl<'de> Visitor<'de> for Unescaped {
            type Value = Bytes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Bytes(Cow::Borrowed(bytes)))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Bytes(Cow::Owned(bytes.to_owned())))
            }
        }
        deserializer.deserialize_bytes(Unescaped)
    }
}

/// The text, with one replacement character for each lone surrogate.
fn with_replacements(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // The second and third bytes of a surrogate arrive as separate chunks.
        if chunk.invalid().first().is_some_and(|byte| *byte >= 0xc0) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}
