//! How counters and alerts are laid out in DynamoDB: names, sort keys and attribute values.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value as Json;

use crate::call::Source;
use crate::count::caller::Caller;
use crate::count::claims;
use crate::count::counter::{Counter, Slot};
use crate::count::document::{Body, Change, Versioned};
use crate::count::incident::{self, EarlierIncident, Incident};
use crate::count::key::Key;
use crate::count::store::{CallerState, Mute};
use crate::rule::definition::Rule;
use crate::rule::field::Field;
use crate::source::time::EventTime;

/// One item's attributes.
pub type Item = HashMap<String, AttributeValue>;

/// Sort key of a key's pending and recent alerts.
pub const ALERTS: &str = claims::SORT_KEY;

/// An item of archived alerts holds one day of event time. Alerts are more than a cooldown apart, at
/// least a minute, so it holds at most 1,440 numbers of about 10 bytes.
const ARCHIVE: Duration = Duration::from_secs(24 * 3600);

/// Sort key of the archived alerts of the day that holds `at`: `alerts#<day, RFC 3339>`.
pub fn archive_sort_key(at: EventTime) -> String {
    format!("{ALERTS}#{}", within_years(at).slot(ARCHIVE))
}

/// The archived alerts by the sort key of their item.
pub fn archive(alerts: &[EventTime]) -> BTreeMap<String, AttributeValue> {
    let mut days: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for at in alerts {
        days.entry(archive_sort_key(*at)).or_default().push(at.epoch_ms().to_string());
    }
    days.into_iter().map(|(day, times)| (day, AttributeValue::Ns(times))).collect()
}

/// Reads an item of archived alerts.
///
/// # Errors
/// Which attribute is malformed.
pub fn to_archived(item: &Item) -> Result<Vec<EventTime>, String> {
    let times = item.get(PUBLISHED).and_then(|value| value.as_ns().ok());
    let times = times.ok_or_else(|| format!("{PUBLISHED}: expected a set of numbers"))?;
    let time = |text: &String| text.parse().map(EventTime::from_epoch_ms);
    times.iter().map(time).collect::<Result<_, _>>().map_err(|_| format!("{PUBLISHED}: expected epoch ms"))
}

/// The attribute of archived alerts: their times in epoch milliseconds.
pub const PUBLISHED: &str = "published";

/// The longest readable value beside a counter, in bytes: enough for any ARN that AWS documents, and
/// little compared with the 400 KB of an item.
const MAX_READABLE_BYTES: usize = 512;

/// The first and last slot with a four-digit year, between which the text of a slot sorts
/// like its time. Denials have such years; only the ends of a range may lie outside.
const FIRST_SLOT_MS: i64 = -62_167_219_200_000; // 0000-01-01T00:00:00Z
const LAST_SLOT_MS: i64 = 253_402_207_200_000; // 9999-12-30T22:00:00Z

/// Marks the items of a source's slots; those of Bedrock's own files have no mark. In the order of the sources.
const fn tag(source: Source) -> Option<&'static str> {
    match source {
        Source::InvocationLog => None,
        Source::CloudTrail => Some("cloudtrail"),
        Source::CloudWatch => Some("cloudwatch"),
    }
}

/// Sort key of a shard of a slot: `count#<start>#<shard>` in the invocation log, `count#<start>#cloudtrail#<shard>`
/// in CloudTrail, `count#<start>#cloudwatch#<shard>` in the copy that came through CloudWatch, and `#<n>` behind any
/// for what found no room there.
pub fn counter_sort_key(slot: Slot, shard: u8, overflow: u32) -> String {
    let mut sort_key = first_sort_key(slot.start);
    if let Some(tag) = tag(slot.source) {
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
    let tagged = |source: &Source| parts.peek().is_some_and(|part| tag(*source) == Some(part));
    let source = Source::ALL.into_iter().find(tagged);
    if source.is_some() {
        parts.next();
    }
    let source = source.unwrap_or(Source::InvocationLog);
    // Before there were shards, there was one.
    let shard = parts.next().map_or(Ok(0), str::parse).ok()?;
    Some((Slot { start, source }, shard))
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

/// Merges an item into `counters`, in which the items of one slot follow each other.
///
/// # Errors
/// Which attribute holds what it should not.
pub fn merge_counter(counters: &mut Vec<Counter>, item: &Item) -> Result<(), String> {
    let sort_key = string(item, "sk")?;
    let (slot, shard) = slot_and_shard(sort_key)
        .ok_or_else(|| format!("sk {sort_key:?}: expected count#<time>[#<source>]#<shard>"))?;
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
        // A kind that only a later version knows must not fail a delivery to this one, or nobody
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

/// Reads a document: its sort key, its version and what it holds.
///
/// # Errors
/// Which attribute holds what it should not.
pub fn to_document(item: &Item) -> Result<(String, Versioned<Body>), String> {
    let beside = |name: &str| ["pk", "sk", "version", "expires_at"].contains(&name);
    let mut body = Body::new();
    for (name, value) in item.iter().filter(|(name, _)| !beside(name)) {
        body.insert(name.clone(), to_json(value).ok_or_else(|| format!("{name}: expected what JSON has"))?);
    }
    Ok((string(item, "sk")?.to_owned(), Versioned { version: integer(item, "version")?, value: body }))
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

/// `None` for sets and bytes, which no document holds.
fn to_json(value: &AttributeValue) -> Option<Json> {
    Some(match value {
        AttributeValue::Null(_) => Json::Null,
        AttributeValue::Bool(value) => Json::Bool(*value),
        AttributeValue::N(digits) => serde_json::from_str(digits).ok()?,
        AttributeValue::S(value) => Json::String(value.clone()),
        AttributeValue::L(values) => Json::Array(values.iter().map(to_json).collect::<Option<_>>()?),
        AttributeValue::M(values) => {
            let members = values.iter().map(|(name, value)| Some((name.clone(), to_json(value)?)));
            Json::Object(members.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// Sort key of a caller's incidents as versions before tickets kept them: JSON text, an object by the RFC 3339 time
/// at which each begins.
pub const INCIDENTS: &str = "incidents";
/// Sort key of a caller's mute.
pub const MUTE: &str = "mute";

/// The key of a caller's mute.
pub fn mute_key(caller: &Caller) -> Item {
    [("pk", caller.key().text()), ("sk", MUTE.to_owned())]
        .map(|(name, value)| (name.to_owned(), text(value)))
        .into()
}

/// A caller's mute; it may be deleted once it has ended.
pub fn from_mute(caller: &Caller, mute: &Mute) -> Item {
    let mut item = mute_key(caller);
    item.insert("until".to_owned(), number(mute.until));
    item.insert("expires_at".to_owned(), number(mute.until));
    item.insert("why".to_owned(), text(mute.why.clone()));
    item
}

/// Reads a caller's state, item by item.
///
/// # Errors
/// Which attribute holds what it should not.
pub fn merge_caller(state: &mut CallerState, item: &Item) -> Result<(), String> {
    let sort_key = string(item, "sk")?;
    let known = &mut state.log.incidents;
    if sort_key.starts_with(incident::SORT_KEY) {
        let (sort, document) = to_document(item)?;
        let incident = document.read::<Incident>(&sort).map_err(|error| error.to_string())?.value;
        // It may be known from the earlier item, too.
        known.insert(incident.begin, incident);
    } else if sort_key == INCIDENTS {
        let earlier: BTreeMap<EventTime, EarlierIncident> =
            serde_json::from_str(string(item, "entries")?).map_err(|error| format!("entries: {error}"))?;
        for (begin, incident) in earlier {
            known.entry(begin).or_insert_with(|| incident.incident(begin));
        }
    } else if sort_key == MUTE {
        let why = if item.contains_key("why") { string(item, "why")? } else { "" }.to_owned();
        state.mute = Some(Mute { until: integer(item, "until")?, why });
    }
    // Anything else is something that a later version keeps beside them.
    Ok(())
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
                let log = Slot { start: *start, source: Source::InvocationLog };
                let trail = Slot { source: Source::CloudTrail, ..log };
                let copy = Slot { source: Source::CloudWatch, ..log };
                [
                    first_sort_key(*start),
                    counter_sort_key(log, 0, 0),
                    counter_sort_key(log, 15, 999),
                    counter_sort_key(trail, 0, 0),
                    counter_sort_key(trail, 15, 999),
                    counter_sort_key(copy, 0, 0),
                    counter_sort_key(copy, 15, 999),
                    last_sort_key(*start),
                ]
            })
            .collect();
        assert!(keys.is_sorted(), "{keys:#?}");
        assert_eq!(keys[25], "count#2025-06-01T10:00:00Z#0");
        assert_eq!(keys[28], "count#2025-06-01T10:00:00Z#cloudtrail#15#999");
        let ten = |source| Slot { start: slots[3], source };
        assert_eq!(slot_and_shard(&keys[26]), Some((ten(Source::InvocationLog), 15)));
        assert_eq!(slot_and_shard(&keys[28]), Some((ten(Source::CloudTrail), 15)));
        assert_eq!(keys[30], "count#2025-06-01T10:00:00Z#cloudwatch#15#999");
        assert_eq!(slot_and_shard(&keys[30]), Some((ten(Source::CloudWatch), 15)));
        assert_eq!(slot_and_shard("count#2025-06-01T10:00:00Z"), Some((ten(Source::InvocationLog), 0)));
        for odd in ["count#x#0", "count#2025-06-01T10:00:00Z#x", "alerts"] {
            assert_eq!(slot_and_shard(odd), None, "{odd}");
        }
        // The last slot there is, and the end of every range behind it, are one.
        let last = |length| first_sort_key(year("9999-12-30T22:00:00.999Z").slot(length));
        assert_eq!(last(Duration::from_secs(600)), first_sort_key(end(i64::MAX)));
        for length in [Duration::from_secs(60), crate::rule::definition::MAX_SLOT] {
            assert!(last(length) <= first_sort_key(end(i64::MAX)));
        }
    }

    #[test]
    fn evidence_of_a_later_version_is_passed_over() {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let set = |values: &[&str]| AttributeValue::Ss(values.iter().map(ToString::to_string).collect());
        let item = Item::from([
            ("sk".to_owned(), text("count#2025-06-01T10:00:00Z#0")),
            ("denials".to_owned(), AttributeValue::N("1".to_owned())),
            ("contributions".to_owned(), set(&["a:1:1"])),
            ("samples".to_owned(), set(&["1748772000000|r1"])),
            ("evidence".to_owned(), set(&["colour|red", "region|us-east-1"])),
        ]);
        let mut counters = Vec::new();
        merge_counter(&mut counters, &item).expect("a counter");
        let evidence: Vec<String> = counters[0].evidence().map(ToString::to_string).collect();
        assert_eq!(evidence, ["region|us-east-1"]);
    }
}
