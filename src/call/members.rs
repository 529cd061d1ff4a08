//! One object's JSON, a record of a log or an envelope around one → the members the detector reads.
//!
//! Only top-level members, and a few one level below, are read. Prompts, responses,
//! `requestMetadata` and the rest of `requestParameters` are skipped without being materialised.
//!
//! Nothing a caller puts into a record can make it unreadable: a member of an unexpected type counts
//! as missing, a lone surrogate becomes a replacement character, and numbers out of range or
//! thousands of brackets are skipped.

use std::fmt;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::source::piece::Container;
use crate::source::text::{Bytes, Text, unescaped};

/// A member to read, at the top level or one below. The only top-level name that an invocation log and
/// CloudTrail share is `errorCode`.
#[derive(Clone, Copy)]
pub enum Member {
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
    Operation,
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
    // Of an envelope around one record.
    Message,
    CloudTrailEvent,
    DetailType,
    Source,
    Detail,
    /// What an envelope around many holds.
    Elements,
    // One level below.
    Arn,
    AccessKeyId,
    InvokedBy,
    Model,
    CallWithBearerToken,
    BearerTokenType,
    InputTokens,
    OutputTokens,
}

const COUNT: usize = Member::OutputTokens as usize + 1;

impl Member {
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
            b"operation" => Self::Operation,
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
            b"message" => Self::Message,
            b"CloudTrailEvent" => Self::CloudTrailEvent,
            b"detail-type" => Self::DetailType,
            b"source" => Self::Source,
            b"detail" => Self::Detail,
            b"arn" => Self::Arn,
            b"accessKeyId" => Self::AccessKeyId,
            b"invokedBy" => Self::InvokedBy,
            b"model" => Self::Model,
            b"callWithBearerToken" => Self::CallWithBearerToken,
            b"bearerTokenType" => Self::BearerTokenType,
            b"inputTokens" => Self::InputTokens,
            b"outputTokens" => Self::OutputTokens,
            name => return Container::keyed(name).map(|_| Self::Elements),
        })
    }
}

/// The members read from one JSON object, as raw JSON; the last one wins if a key repeats.
pub struct Members<'a> {
    json: &'a str,
    found: [Option<&'a RawValue>; COUNT],
}

impl<'a> Members<'a> {
    /// Reads `json` as one object.
    ///
    /// # Errors
    /// If `json` is not exactly one JSON object, or is an envelope around an array of records.
    pub fn read(json: &'a str) -> Result<Self, serde_json::Error> {
        let mut members = Self { json, found: [None; COUNT] };
        let mut deserializer = serde_json::Deserializer::from_str(json);
        deserializer.deserialize_map(Filler(&mut members))?;
        deserializer.end()?;
        if members.json(Member::Elements).is_some_and(|elements| elements.get().starts_with('[')) {
            return Err(serde_json::Error::custom("an envelope around records, not one record"));
        }
        Ok(members)
    }

    /// Whether the member exists, of any type.
    #[must_use]
    pub fn has(&self, member: Member) -> bool {
        self.json(member).is_some()
    }

    /// A member's text; `None` if it is missing or not text.
    #[must_use]
    pub fn text(&self, member: Member) -> Text<'a> {
        unescaped(self.json(member)?.get())
    }

    /// A member as raw JSON.
    #[must_use]
    pub fn json(&self, member: Member) -> Option<&'a RawValue> {
        self.found.get(member as usize).copied().flatten()
    }

    /// The members of these names, for a log whose names are its own.
    #[must_use]
    pub fn named<const N: usize>(&self, names: &[&str; N]) -> [Option<&'a RawValue>; N] {
        named(self.json, names).unwrap_or([None; N])
    }

    /// A boolean, or one written as text; `None` for anything else.
    #[must_use]
    pub fn flag(&self, member: Member) -> Option<bool> {
        self.json(member)?.get().trim_matches('"').parse().ok()
    }

    /// A number that is not negative; `None` for anything else.
    #[must_use]
    pub fn number(&self, member: Member) -> Option<u64> {
        self.json(member)?.get().parse().ok()
    }

    /// The members of an object one level below; empty if it is not an object.
    #[must_use]
    pub fn below(&self, member: Member) -> Self {
        let mut below = Self { json: "", found: [None; COUNT] };
        if let Some(json) = self.json(member).filter(|json| json.get().starts_with('{')) {
            below.json = json.get();
            let read = serde_json::Deserializer::from_str(json.get()).deserialize_map(Filler(&mut below));
            debug_assert!(read.is_ok(), "{read:?}: it was looked through before");
        }
        below
    }
}

/// Fills the members in place: a record is too large to move between functions cheaply.
struct Filler<'r, 'a>(&'r mut Members<'a>);

impl<'de> Visitor<'de> for Filler<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a log record (a JSON object)")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Bytes(name)) = map.next_key()? {
            match Member::named(&name) {
                Some(field) => {
                    let json = Some(map.next_value()?);
                    if let Some(place) = self.0.found.get_mut(field as usize) {
                        *place = json;
                    }
                }
                None => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }
}

/// The members of these names of the object `json`; `None` if it is not exactly one JSON object. As with [`Members`], the
/// last one wins if a key repeats.
#[must_use]
pub fn named<'a, const N: usize>(json: &'a str, names: &[&str; N]) -> Option<[Option<&'a RawValue>; N]> {
    let mut found = [None; N];
    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer.deserialize_map(NamedFiller { names, found: &mut found }).ok()?;
    deserializer.end().ok()?;
    Some(found)
}

struct NamedFiller<'r, 'a> {
    names: &'r [&'r str],
    found: &'r mut [Option<&'a RawValue>],
}

impl<'de> Visitor<'de> for NamedFiller<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Bytes(name)) = map.next_key()? {
            let at = self.names.iter().position(|wanted| wanted.as_bytes() == &*name);
            match at.and_then(|at| self.found.get_mut(at)) {
                Some(place) => *place = Some(map.next_value()?),
                None => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }
}
