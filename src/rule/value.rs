//! The types of a rule file's fields, each of which checks its value.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use glob::Pattern;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Value;

use super::bounds;
use crate::call::cause::{self, Class};

/// Text that is not blank.
pub struct NonBlank(pub &'static str);

/// The noun for what is counted, short enough for a column of its own.
pub struct Noun(pub &'static str);

/// A web address.
pub struct Url(pub &'static str);

/// An error code as Bedrock spells it; the sweep searches for it verbatim.
pub struct ErrorCode(pub &'static str);

/// A word as guardrails write it, in capitals; the sweep searches for it verbatim.
pub struct Word(pub &'static str);

/// A number of guardrail policies.
pub struct Policies(pub usize);

/// Any value: the bounds depend on what the rule counts.
pub struct Threshold(pub Value);

/// Elastic's risk score.
pub struct RiskScore(pub u8);

/// A class of causes.
pub struct CauseClass(pub Class);

/// Whole minutes.
pub struct Span(pub Duration);

/// At least one.
pub struct List<T>(pub Vec<T>);

impl<T> List<T> {
    pub fn leak<R>(self, take: impl FnMut(T) -> R) -> &'static [R] {
        self.0.into_iter().map(take).collect::<Vec<_>>().leak()
    }
}

/// A list, or a single value in place of a list of one.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany(PhantomData))
    }
}

struct OneOrMany<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<List<T>, E> {
        T::deserialize(text.into_deserializer()).map(|one| List(vec![one]))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<List<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| List(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        if items.is_empty() { Err(Error::custom("expected at least one")) } else { Ok(List(items)) }
    }
}

/// A glob on services or ARNs.
pub struct Glob(pub Pattern);

/// The name of an operation, as CloudTrail writes it; the sweep searches for it verbatim.
pub struct OperationName(pub &'static str);

/// The name of a cause, or of a class of causes.
pub struct CauseName(pub &'static str);

/// Makes `$type` deserialise from a value that `$read` accepts; otherwise the error is `$expected`.
macro_rules! value {
    ($type:ident, $expected:expr, $read:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = Value::deserialize(deserializer)?;
                let read: fn(&Value) -> Option<Self> = $read;
                read(&value).ok_or_else(|| serde::de::Error::custom($expected))
            }
        }
    };
}

fn text(value: &Value, good: impl FnOnce(&str) -> bool) -> Option<&'static str> {
    let text = value.as_str().filter(|text| good(text))?;
    Some(text.to_owned().leak())
}

value!(NonBlank, "expected text", |value| text(value, |text| !text.trim().is_empty()).map(Self));
value!(Noun, "expected one word of at most 9 letters, in the plural", |value| {
    let good =
        |text: &str| (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase());
    text(value, good).map(Self)
});
value!(Url, "expected an address that begins with https://", |value| {
    let good = |text: &str| text.starts_with("https://") && !text.contains(char::is_whitespace);
    text(value, good).map(Self)
});
value!(ErrorCode, "expected an error code such as AccessDeniedException, of letters and digits", |value| {
    let good = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text(value, good).map(Self)
});
value!(Glob, "expected a glob such as bedrock* or arn:aws:iam::*:user/app-*", |value| {
    let text = value.as_str().filter(|text| !text.trim().is_empty())?;
    Pattern::new(text).ok().map(Self)
});
value!(OperationName, "expected an operation such as ListFoundationModels, of letters and digits", |value| {
    let good = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text(value, good).map(Self)
});
value!(
    CauseName,
    format!("expected a class of causes or a cause: {}", cause::names().collect::<Vec<_>>().join(", ")),
    |value| {
        let given = value.as_str()?;
        cause::names().find(|name| *name == given).map(Self)
    }
);
value!(Word, "expected a word in capitals such as BLOCKED or PROMPT_ATTACK", |value| {
    let good = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    text(value, |text| !text.is_empty() && text.bytes().all(good)).map(Self)
});
value!(Policies, "expected a whole number from 1 to 6", |value| {
    usize::try_from(value.as_integer()?).ok().filter(|number| (1..=6).contains(number)).map(Self)
});
value!(Threshold, "expected a whole number", |value| Some(Self(value.clone())));
value!(RiskScore, "expected a whole number from 0 to 100", |value| {
    u8::try_from(value.as_integer()?).ok().filter(|score| *score <= 100).map(Self)
});
value!(
    CauseClass,
    "expected a class of causes: policy, quarantine, setup, account, request or unknown",
    |value| Class::named(value.as_str()?).map(Self)
);
value!(Span, bounds::span("").err().unwrap_or_default(), |value| bounds::span(value.as_str()?)
    .ok()
    .map(Self));
