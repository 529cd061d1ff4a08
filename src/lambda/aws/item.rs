//! How counters and alerts are laid out in DynamoDB: names, sort keys and attribute values.
//!
//! `pk` is the key as a JSON array, `["denied-model","<account>","<user>","<model>"]`; see [`Key`].
//!
//! A counter, `sk` = `count#…` (see [`counter_sort_key`]), has
//! - `denials` (N): the sum of the distinct values of all contributions;
//! - `contributions` (SS): `<hash>:<values>:<sampled>` of each, with `+` for a lower bound, and for sums of events with
//!   `:<first>..<last>` (epoch ms) before the `+`;
//! - `samples` (SS): `<epoch ms>|<value>`: of each object the `threshold + 1` values seen earliest and as many seen latest;
//!   of values that recur (models, sessions) at least 16 each, and every time of every value while those are no more than 32;
//! - `evidence` (SS): `<kind>|<value>`, up to ten of a kind per object;
//! - `account`, `user`, `model`, `role` (S): the values of the key, readable;
//! - `expires_at` (N): 15 days and the window after the last write.
//!
//! The documents, which live for 15 days after their last write:
//! - of a key: `alerts`, each `{id, at, state, incident, number}`, `state` being `pending` or `published`. Beyond 100
//!   published alerts, all but the latest 50 move to `alerts#<day>`.
//! - of `["#caller","<account>","<caller>"]`: `incident#<hour>` (incidents begin more than an hour apart, so one hour has
//!   one), and `mute`, with `until` (epoch seconds) and `why`.
//! - of `["#watch"]`: `callers`, the watched callers, at most 16 KB; an entry leaves after 30 hours.
//! - of `["#account","<account>"]`: `ticket#<hour>#<severity>#<0 to 9>`, an incident that is reported individually;
//!   `member#<hour>#<severity>#<incident>`, one in the crowd; `crowd#<hour>#<severity>`, its number and latest ten;
//!   `level#<hour>#<severity>#<callers>`, its notice at 11, 16, 64, 256 … callers.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value as Json;

use crate::call::Source;
use crate::count::counter::{Counter, Slot};
use crate::count::document::{Body, Change, Versioned};
use crate::count::key::Key;
use crate::rule::definition::Rule;
use crate::rule::field::Field;
use crate::source::time::EventTime;

/// One item's attributes.
pub type Item = HashMap<String, AttributeValue>;

/// The longest readable value beside a counter, in bytes: enough for any ARN that AWS documents, and
/// little compared with the 400 KB of an item.
const MAX_READABLE_BYTES: usize = 512;

/// The first and last slot with a four-digit year, between which the text of a slot sorts
/// like its time. Denials have such years; only the ends of a range may lie outside.
const FIRST_SLOT_MS: i64 = -62_167_219_200_000; // 0000-01-01T00:00:00Z
const LAST_SLOT_MS: i64 = 253_402_207_200_000; // 9999-12-30T22:00:00Z

/// Sort key of a shard of a slot: `count#<start>#<minutes>#<shard>` in the invocation log,
/// `count#<start>#<minutes>#cloudtrail#<shard>` in CloudTrail, `count#<start>#<minutes>#cloudwatch#<shard>` in the copy
/// that came through CloudWatch, and so on by [`Source::tag`]; `#<n>` behind any for what found no room there.
pub fn counter_sort_key(slot: Slot, shard: u8, overflow: u32) -> String {
    let mut sort_key = format!("{}#{}", first_sort_key(slot.start), slot.minutes);
    if let Some(tag) = slot.source.tag() {
        sort_key += &format!("#{tag}");
    }
    sort_key += &format!("#{shard}");
    if overflow > 0 {
        sort_key += &format!("#{overflow}");
    }
    sort_key
}

/// A sort key before all items of the slots that start at `start`.
pub fn first_sort_key(start: EventTime) -> String {
    format!("count#{}", within_years(start))
}

fn within_years(time: EventTime) -> EventTime {
    EventTime::from_epoch_ms(time.epoch_ms().clamp(FIRST_SLOT_MS, LAST_SLOT_MS))
}

/// A sort key after all items of the slots that start at `start`, and before those of the next ones.
pub fn last_sort_key(start: EventTime) -> String {
    format!("{}#~", first_sort_key(start))
}

fn slot_and_shard(sort_key: &str) -> Option<(Slot, u8)> {
    let mut parts = sort_key.strip_prefix("count#")?.split('#').peekable();
    let start = EventTime::parse(parts.next()?)?;
    let minutes = parts.next()?.parse().ok()?;
    let tagged = |source: &Source| parts.peek().is_some_and(|part| source.tag() == Some(part));
    let source = Source::ALL.into_iter().find(tagged);
    if source.is_some() {
        parts.next();
    }
    let source = source.unwrap_or(Source::InvocationLog);
    Some((Slot { start, minutes, source }, parts.next()?.parse().ok()?))
}

/// The readable values beside a counter, by attribute name; missing ones are left out.
pub fn readable(rule: &Rule, key: &Key) -> Vec<(&'static str, AttributeValue)> {
    let fields = rule.group_by.iter().zip(&key.values);
    fields.filter_map(|(field, value)| Some((name(*field), readable_text(value.as_deref()?)))).collect()
}

/// A value as it stands readable beside what is stored.
pub fn readable_text(value: &str) -> AttributeValue {
    text(
        value
            .split_at_checked(value.floor_char_boundary(MAX_READABLE_BYTES))
            .map_or(value, |(readable, _)| readable),
    )
}

/// A value that stands readable beside a counter.
pub fn read_readable(item: &Item, field: Field) -> Option<String> {
    string(item, name(field)).ok().map(str::to_owned)
}

const fn name(field: Field) -> &'static str {
    match field {
        Field::Account => "account",
        Field::User => "user",
        Field::Caller => "caller",
        Field::Model => "model",
        Field::Role => "role",
        Field::Session => "session",
        Field::Region => "region",
        Field::Address => "address",
        Field::Operation => "operation",
        Field::AccessKey => "access_key",
        Field::Resource => "resource",
        Field::RequestId => "request_id",
    }
}

/// A string.
pub fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number.
pub fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A set of strings; DynamoDB has no empty one.
pub fn set(values: impl IntoIterator<Item = String>) -> AttributeValue {
    AttributeValue::Ss(values.into_iter().collect())
}

/// Merges an item into `counters`, in which the items of one slot follow each other. Slots of another length, and
/// those of versions whose slots had none, are left out.
///
/// # Errors
/// Which attribute holds what it should not.
pub fn merge_counter(counters: &mut Vec<Counter>, minutes: u16, item: &Item) -> Result<(), String> {
    let slot = slot_and_shard(string(item, "sk")?).filter(|(slot, _)| slot.minutes == minutes);
    let Some((slot, shard)) = slot else { return Ok(()) };
    if counters.last().is_none_or(|last| last.slot != slot) {
        counters.push(Counter::new(slot));
    }
    let Some(counter) = counters.last_mut() else {
        return Ok(());
    };
    // The contributions give the same number; reading it anyway finds a malformed item.
    integer(item, "denials")?;
    let shard = counter.shard(shard);
    for digest in strings(item, "contributions")? {
        shard.contributions.insert(Box::new(digest.parse()?));
    }
    for sample in strings(item, "samples")? {
        shard.samples.insert(sample.parse()?);
    }
    if item.contains_key("evidence") {
        // A kind that only a later version knows must not fail a delivery to this one, or no one
        // could go back to it.
        let known = strings(item, "evidence")?.iter().filter_map(|evidence| evidence.parse().ok());
        shard.evidence.extend(known);
    }
    Ok(())
}

/// The item of a document: what it holds stands as attributes beside key, version and expiry.
pub fn from_document(change: &Change, body: &Body, expires_at: u64) -> Item {
    let mut item: Item = body.iter().map(|(name, value)| (name.clone(), from_json(value))).collect();
    item.insert("pk".to_owned(), text(change.id.partition.text()));
    item.insert("sk".to_owned(), text(&change.id.sort));
    item.insert("version".to_owned(), number(change.version.saturating_add(1)));
    item.insert("expires_at".to_owned(), number(expires_at));
    item
}

/// Reads a document: its sort key, its version and what it holds. What operators write has no version.
///
/// # Errors
/// Which attribute holds what it should not.
pub fn to_document(item: &Item) -> Result<(String, Versioned<Body>), String> {
    let beside = |name: &str| ["pk", "sk", "version", "expires_at"].contains(&name);
    let mut body = Body::new();
    for (name, value) in item.iter().filter(|(name, _)| !beside(name)) {
        body.insert(name.clone(), to_json(value).ok_or_else(|| format!("{name}: expected what JSON has"))?);
    }
    let version = if item.contains_key("version") { integer(item, "version")? } else { 0 };
    Ok((string(item, "sk")?.to_owned(), Versioned { version, value: body }))
}

/// The condition that a document still has a version; 0 if there must be none.
pub fn condition(version: u64) -> &'static str {
    if version == 0 { "attribute_not_exists(#version)" } else { "#version = :version" }
}

/// The values in it.
pub fn condition_values(version: u64) -> Option<Item> {
    (version > 0).then(|| Item::from([(":version".to_owned(), number(version))]))
}

fn from_json(value: &Json) -> AttributeValue {
    match value {
        Json::Null => AttributeValue::Null(true),
        Json::Bool(value) => AttributeValue::Bool(*value),
        Json::Number(value) => AttributeValue::N(value.to_string()),
        Json::String(value) => text(value),
        Json::Array(values) => AttributeValue::L(values.iter().map(from_json).collect()),
        Json::Object(values) => {
            AttributeValue::M(values.iter().map(|(name, value)| (name.clone(), from_json(value))).collect())
        }
    }
}

/// `None` for what no document holds: bytes, and sets but those of the times that earlier versions archived.
fn to_json(value: &AttributeValue) -> Option<Json> {
    Some(match value {
        AttributeValue::Null(_) => Json::Null,
        AttributeValue::Bool(value) => Json::Bool(*value),
        AttributeValue::N(digits) => serde_json::from_str(digits).ok()?,
        AttributeValue::Ns(all) => {
            let numbers = all.iter().map(|digits| serde_json::from_str(digits).ok());
            Json::Array(numbers.collect::<Option<_>>()?)
        }
        AttributeValue::S(value) => Json::String(value.clone()),
        AttributeValue::L(values) => Json::Array(values.iter().map(to_json).collect::<Option<_>>()?),
        AttributeValue::M(values) => {
            let members = values.iter().map(|(name, value)| Some((name.clone(), to_json(value)?)));
            Json::Object(members.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn string<'i>(item: &'i Item, name: &str) -> Result<&'i str, String> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map(String::as_str).ok_or_else(|| format!("{name}: expected a string"))
}

fn strings<'i>(item: &'i Item, name: &str) -> Result<&'i [String], String> {
    let value = item.get(name).and_then(|value| value.as_ss().ok());
    value.map(Vec::as_slice).ok_or_else(|| format!("{name}: expected a set of strings"))
}

fn integer(item: &Item, name: &str) -> Result<u64, String> {
    let value = item.get(name).and_then(|value| value.as_n().ok());
    value.and_then(|number| number.parse().ok()).ok_or_else(|| format!("{name}: expected a whole number"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_sort_keys_of_slots_sort_like_their_times() {
        let year = |text: &str| EventTime::parse(text).expect("a time");
        let end = EventTime::from_epoch_ms;
        let slots = [
            end(i64::MIN),
            year("0001-01-01T00:00:00Z"),
            year("1969-12-31T23:50:00Z"),
            year("2025-06-01T10:00:00Z"),
            year("2025-06-01T10:01:00Z"),
            year("9999-12-30T21:50:00Z"),
            end(i64::MAX),
        ];
        let keys: Vec<String> = slots
            .iter()
            .flat_map(|start| {
                let of_source = |source| {
                    let slot = Slot { start: *start, minutes: 10, source };
                    [counter_sort_key(slot, 0, 0), counter_sort_key(slot, 15, 999)]
                };
                let counters = Source::ALL.into_iter().flat_map(of_source);
                std::iter::once(first_sort_key(*start)).chain(counters).chain([last_sort_key(*start)])
            })
            .collect();
        assert!(keys.is_sorted(), "{keys:#?}");
        let per_slot = 2 + 2 * Source::ALL.len();
        let here = &keys[3 * per_slot + 1..];
        assert_eq!(here[0], "count#2025-06-01T10:00:00Z#10#0");
        let tags = ["", "#cloudtrail", "#cloudwatch", "#openai"];
        for ((source, tag), keys) in Source::ALL.into_iter().zip(tags).zip(here.chunks(2)) {
            assert_eq!(keys[1], format!("count#2025-06-01T10:00:00Z#10{tag}#15#999"));
            let slot = Slot { start: slots[3], minutes: 10, source };
            assert_eq!(slot_and_shard(&keys[1]), Some((slot, 15)));
        }
        let earlier = [
            "count#2025-06-01T10:00:00Z",
            "count#2025-06-01T10:00:00Z#cloudtrail#3",
            "count#2025-06-01T10:00:00Z#3",
        ];
        for odd in earlier.into_iter().chain(["count#x#10#0", "count#2025-06-01T10:00:00Z#10#x", "alerts"]) {
            assert_eq!(slot_and_shard(odd), None, "{odd}");
        }
        // The last slot there is, and the end of every range behind it, are one.
        let last = |length| first_sort_key(year("9999-12-30T22:00:00.999Z").slot(length));
        assert_eq!(last(Duration::from_secs(600)), first_sort_key(end(i64::MAX)));
        for length in [Duration::from_secs(60), Duration::from_secs(4 * 3600)] {
            assert!(last(length) <= first_sort_key(end(i64::MAX)));
        }
    }

    #[test]
    fn evidence_of_a_later_version_is_passed_over() {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let set = |values: &[&str]| AttributeValue::Ss(values.iter().map(ToString::to_string).collect());
        let item = Item::from([
            ("sk".to_owned(), text("count#2025-06-01T10:00:00Z#10#0")),
            ("denials".to_owned(), AttributeValue::N("1".to_owned())),
            ("contributions".to_owned(), set(&["a:1:1"])),
            ("samples".to_owned(), set(&["1748772000000|r1"])),
            ("evidence".to_owned(), set(&["colour|red", "region|us-east-1"])),
        ]);
        let mut counters = Vec::new();
        merge_counter(&mut counters, 10, &item).expect("a counter");
        let evidence: Vec<String> = counters[0].evidence().map(ToString::to_string).collect();
        assert_eq!(evidence, ["region|us-east-1"]);
    }
}
