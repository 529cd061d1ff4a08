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
    fn place(name: &[u8]) -> Option<usize> {
        Self::named(name).map(|member| member as usize)
    }

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
        deserializer.deserialize_map(Filler { found: &mut members.found, place: Member::place })?;
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

    /// All members but `without`, as raw JSON and unambiguous.
    #[must_use]
    pub fn all_but(&self, without: &[Member]) -> Vec<u8> {
        let is_without = |place: usize| without.iter().any(|member| *member as usize == place);
        let members = self.found.iter().enumerate().filter_map(|(place, json)| Some((place, (*json)?.get())));
        let members = members.filter(|(place, _)| !is_without(*place));
        let mut all = Vec::with_capacity(512);
        for (place, json) in members {
            // Outside a string, no byte of JSON is as high as that, so it ends what is before it.
            all.push(0x80 | u8::try_from(place).unwrap_or(u8::MAX));
            all.extend_from_slice(json.as_bytes());
        }
        all
    }

    /// The members of an object one level below; empty if it is not an object.
    #[must_use]
    pub fn below(&self, member: Member) -> Self {
        let mut below = Self { json: "", found: [None; COUNT] };
        if let Some(json) = self.json(member).filter(|json| json.get().starts_with('{')) {
            below.json = json.get();
            let filler = Filler { found: &mut below.found, place: Member::place };
            let read = serde_json::Deserializer::from_str(json.get()).deserialize_map(filler);
            debug_assert!(read.is_ok(), "{read:?}: it was looked through before");
        }
        below
    }
}

/// Fills a place for each member that `place` knows by its name, so that a large record is not moved between functions;
/// the last one wins if a key repeats.
struct Filler<'r, 'a, P> {
    found: &'r mut [Option<&'a RawValue>],
    place: P,
}

impl<'de, P: Fn(&[u8]) -> Option<usize>> Visitor<'de> for Filler<'_, 'de, P> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a log record (a JSON object)")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Bytes(name)) = map.next_key()? {
            match (self.place)(&name).and_then(|place| self.found.get_mut(place)) {
                Some(place) => *place = Some(map.next_value()?),
                None => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }
}

/// The members of these names of the object `json`; `None` if it is not exactly one JSON object.
#[must_use]
pub fn named<'a, const N: usize>(json: &'a str, names: &[&str; N]) -> Option<[Option<&'a RawValue>; N]> {
    let mut found = [None; N];
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let place = |name: &[u8]| names.iter().position(|wanted| wanted.as_bytes() == name);
    deserializer.deserialize_map(Filler { found: &mut found, place }).ok()?;
    deserializer.end().ok()?;
    Some(found)
}
