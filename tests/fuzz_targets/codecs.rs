//! Keys, samples, digests, evidence, times and incidents: what is written is read back, and no two values are
//! written alike.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::claims::AlertLog;
use bedrock_denial_watch::count::counter::{Digest, SHARDS, Sample};
use bedrock_denial_watch::count::crowd::Crowd;
use bedrock_denial_watch::count::evidence::{Evidence, Kind};
use bedrock_denial_watch::count::incident::{self, Incident};
use bedrock_denial_watch::count::key::{Key, MAX_VALUE_BYTES, sample_value};
use bedrock_denial_watch::count::value::Value;
use bedrock_denial_watch::rule::bounds::MAX_MINUTES;
use bedrock_denial_watch::source::text::{self, MAX_KEPT_BYTES};
use bedrock_denial_watch::source::time::EventTime;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The input's texts, split in the middle, are the values of two keys.
pub fn check(input: &[u8]) {
    let texts = super::texts(input);
    let values: Vec<Option<String>> =
        texts.iter().map(|text| Some(text.clone()).filter(|text| text != "-")).collect();
    let (one, other) = values.split_at(values.len() / 2);
    keys(&one[..one.len().min(5)], &other[..other.len().min(5)]);
    for pair in texts.windows(2) {
        single_values(&pair[0], &pair[1]);
    }
    let number = input.iter().fold(0_i64, |number, byte| number.wrapping_mul(31) + i64::from(*byte));
    for text in &texts {
        round_trip::<Sample>(text);
        round_trip::<Digest>(text);
        round_trip::<Evidence>(text);
        stored::<Incident>(text);
        stored::<Crowd>(text);
        stored::<AlertLog>(text);
        time(text, number);
        let at = EventTime::from_epoch_ms(number);
        written(&Sample { at, value: Value::new(text) });
        for kind in Kind::ALL {
            written(&Evidence::new(kind, text));
            assert!(text.starts_with(kind.cut(text)));
        }
    }
}

/// Two keys have one text exactly when they are one key.
fn keys(one: &[Option<String>], other: &[Option<String>]) {
    let key = |values: &[Option<String>]| {
        let kept = |text: &String| text::truncate_with_hash(text.as_str().into()).into();
        Key { rule: "denied-model", values: values.iter().map(|value| value.as_ref().map(kept)).collect() }
    };
    let (first, second) = (key(one), key(other));
    assert_eq!(first.text() == second.text(), one == other, "{one:?} {other:?}");
    for key in [first, second] {
        let text = key.text();
        assert!(text.len() <= 1500, "{} bytes", text.len());
        let parts: Vec<serde_json::Value> = serde_json::from_str(&text).expect("a JSON array");
        assert_eq!(parts.len(), 1 + key.values.len());
        for (part, value) in parts.iter().skip(1).zip(&key.values) {
            assert!(part.is_object() || part.as_str() == value.as_deref(), "{part} {value:?}");
        }
    }
    let caller = |account: &Option<String>, arn: &Option<String>| Caller {
        account: account.clone(),
        arn: arn.clone(),
    };
    if let ([account, arn, ..], [other_account, other_arn, ..]) = (one, other) {
        let at = EventTime::from_epoch_ms(0);
        let ids = [caller(account, arn), caller(other_account, other_arn)].map(|one| incident::id(&one, at));
        assert_eq!(ids[0] == ids[1], (account, arn) == (other_account, other_arn));
    }
}

fn single_values(one: &str, other: &str) {
    let (first, second) = (text::truncate_with_hash(one.into()), text::truncate_with_hash(other.into()));
    assert_eq!(first == second, one == other);
    assert!(first.len() <= MAX_KEPT_BYTES);
    let (first, second) = (sample_value(Some(&first)), sample_value(Some(&second)));
    assert_eq!(first == second, one == other, "{one:?} {other:?}");
    assert_ne!(first, sample_value(None));
    assert!(first.len() <= MAX_VALUE_BYTES, "{first}");
}

/// What was written is read back, whatever its texts hold.
fn written<T: Display + FromStr + PartialEq + std::fmt::Debug>(value: &T) {
    let read: Option<T> = value.to_string().parse().ok();
    assert_eq!(read.as_ref(), Some(value));
}

/// What can be read is written as something that reads the same.
fn round_trip<T: Display + FromStr<Err = String> + PartialEq + std::fmt::Debug>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => written(&value),
        Err(error) => assert!(error.contains("expected"), "{error}"),
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert!(digest.shard() < SHARDS);
    }
}

/// The same of what is kept as JSON.
fn stored<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(entries) = serde_json::from_str::<BTreeMap<EventTime, T>>(text) {
        let again = serde_json::to_string(&entries).expect("it serialises");
        assert_eq!(serde_json::from_str::<BTreeMap<EventTime, T>>(&again).ok().as_ref(), Some(&entries));
    }
}

fn time(text: &str, number: i64) {
    let ends: BTreeSet<i64> = [i64::MIN, i64::MAX, 0, number].into();
    let parsed = EventTime::parse(text);
    if let Some(time) = parsed {
        assert_eq!(EventTime::parse(&time.to_string()), Some(time), "{text:?}");
    }
    for at in ends.into_iter().map(EventTime::from_epoch_ms).chain(parsed) {
        let minutes = 1 + number.unsigned_abs() % MAX_MINUTES;
        let length = Duration::from_secs(60 * minutes);
        let slot = at.slot(length);
        assert!(slot <= at || at.epoch_ms() == i64::MIN, "{at:?} {slot:?}");
        assert!(at < slot.plus(length) || slot.plus(length).epoch_ms() == i64::MAX, "{at:?} {slot:?}");
        assert!(!at.to_string().is_empty() && at.minus(length) <= at && at.plus(length) >= at);
    }
}
