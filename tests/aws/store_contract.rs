//! What [`Store`] promises: one function per promise, run on every implementor.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bedrock_denial_watch::call::Source;
use bedrock_denial_watch::count::alerts::{
    self, AlertLog, AlertRecord, AlertState, MAX_PENDING, MAX_PUBLISHED,
};
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::counter::{Contribution, Counter, SHARDS, Slot};
use bedrock_denial_watch::count::document::{Body, Change, DocumentId, Versioned};
use bedrock_denial_watch::count::evidence::{Evidence, Kind, MAX_EVIDENCE, MAX_EVIDENCE_BYTES};
use bedrock_denial_watch::count::incident::{self, Incident, IncidentLog, IncidentSlot, NewAlert};
use bedrock_denial_watch::count::key::{Key, MAX_VALUE_BYTES};
use bedrock_denial_watch::count::lease::Lease;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::count::store::{MAX_CHANGES, Store, load};
use bedrock_denial_watch::count::value::DistinctValue;
use bedrock_denial_watch::lambda::aws::DynamoDbStore;
use bedrock_denial_watch::rule::bounds::MAX_THRESHOLD;
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use bedrock_denial_watch::rule::definition::Severity;
use bedrock_denial_watch::source::text;
use bedrock_denial_watch::source::time::EventTime;
use futures_util::future::join_all;
use serde_json::{Value as Json, json};

use crate::support::{TABLE, contribution, dynamodb, key, slot, time};

macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod on_embedded {
            $(#[tokio::test] async fn $promise() {
                super::$promise(&super::MemoryStore::default()).await;
            })*
        }
        mod on_dynamodb {
            $(#[tokio::test] async fn $promise() {
                let config = super::dynamodb().await;
                super::$promise(&super::DynamoDbStore::new(&config, super::TABLE.to_owned())).await;
            })*
        }
    };
}

pub(crate) use contract;

contract!(
    an_empty_store_holds_nothing,
    adding_the_same_again_changes_nothing,
    contributions_of_one_slot_are_summed,
    of_200_adds_at_once_each_counts_once,
    of_ten_writers_at_once_one_wins,
    a_stale_version_writes_nothing,
    of_several_changes_all_are_made_or_none,
    a_write_may_require_that_something_is_not_there,
    of_ten_writes_of_several_changes_at_once_one_wins,
    as_many_changes_as_are_allowed_are_made_at_once,
    documents_of_any_content_come_back,
    documents_come_back_in_order_with_both_ends_of_a_range,
    both_ends_of_a_range_are_in_it,
    the_logs_of_one_slot_are_counted_apart,
    evidence_comes_back,
    any_year_that_a_log_can_have_is_found,
    a_window_of_many_pages_is_read_whole,
    a_slot_takes_any_number_of_the_largest_contributions,
    keys_of_any_characters_stay_apart,
    samples_of_any_characters_come_back,
    a_full_alert_log_comes_back_to_the_millisecond,
    the_largest_incident_comes_back_from_a_small_document,
);

const NOON: &str = "2025-06-01T12:00:00Z";
const EXPIRES_AT: u64 = 1_800_000_000;

fn eve() -> Key {
    key(&[Some("1"), Some("arn:aws:iam::1:user/eve"), Some("m")])
}

async fn add(store: &impl Store, key: &Key, start: &str, hash: &str, values: &[&str]) {
    let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    let contribution = contribution(hash, time(start), &values);
    add_as_is(store, key, slot(time(start)), &contribution).await;
}

async fn add_as_is(store: &impl Store, key: &Key, slot: Slot, contribution: &Contribution) {
    let added = store.add(&DENIED_MODEL, key, slot, contribution, EXPIRES_AT);
    added.await.expect("added");
}

async fn counters(store: &impl Store, key: &Key, from: &str, to: &str) -> Vec<Counter> {
    let range = time(from)..=time(to);
    store.counters(key, 10, range).await.expect("read")
}

async fn at_noon(store: &impl Store, key: &Key) -> Vec<Counter> {
    counters(store, key, NOON, NOON).await
}

fn denials(counter: &Counter) -> u64 {
    counter.contributions().map(|digest| digest.amount).sum()
}

fn values(counter: &Counter) -> Vec<String> {
    let values: BTreeSet<&DistinctValue> = counter.samples().map(|sample| &sample.value).collect();
    values.into_iter().map(DistinctValue::to_string).collect()
}

async fn an_empty_store_holds_nothing(store: &impl Store) {
    assert_eq!(at_noon(store, &eve()).await, []);
    assert_eq!(alerts(store, &eve()).await, Versioned::default());
    assert_eq!(store.documents(&eve(), "a", "z").await.expect("read"), []);
}

async fn alerts(store: &impl Store, key: &Key) -> Versioned<AlertLog> {
    load(store, &alerts::document(key)).await.expect("read")
}

/// Whether a write went through.
async fn write(store: &impl Store, changes: &[Change]) -> bool {
    store.write(changes, EXPIRES_AT).await.expect("answered")
}

async fn replace(store: &impl Store, key: &Key, log: &Versioned<AlertLog>) -> bool {
    write(store, &[log.change(alerts::document(key)).expect("a change")]).await
}

async fn adding_the_same_again_changes_nothing(store: &impl Store) {
    add(store, &eve(), NOON, "one", &["a", "b"]).await;
    let once = at_noon(store, &eve()).await;
    assert_eq!(once.len(), 1);
    assert_eq!((denials(&once[0]), values(&once[0])), (2, vec!["a".to_owned(), "b".to_owned()]));
    add(store, &eve(), NOON, "one", &["a", "b"]).await;
    assert_eq!(at_noon(store, &eve()).await, once);
}

async fn contributions_of_one_slot_are_summed(store: &impl Store) {
    add(store, &eve(), NOON, "one", &["a", "b"]).await;
    add(store, &eve(), NOON, "two", &["b", "c", "d"]).await;
    let [counter] = &at_noon(store, &eve()).await[..] else { panic!("one slot") };
    assert_eq!(denials(counter), 5);
    assert_eq!(values(counter), ["a", "b", "c", "d"]);
    let digests: BTreeSet<String> = counter.contributions().map(ToString::to_string).collect();
    assert_eq!(digests, ["one:2:2", "two:3:3"].map(str::to_owned).into());
}

async fn of_200_adds_at_once_each_counts_once(store: &impl Store) {
    // Every contribution comes twice, as from two deliveries of one object at the same time.
    let adds = (0..200).map(|number| {
        let name = format!("object-{:03}", number / 2);
        async move { add(store, &eve(), NOON, &name, &[name.as_str()]).await }
    });
    join_all(adds).await;
    let [counter] = &at_noon(store, &eve()).await[..] else { panic!("one slot") };
    assert_eq!(denials(counter), 100);
    assert_eq!((counter.contributions().count(), counter.samples().count()), (100, 100));
    assert_eq!(counter.shards.len(), usize::from(SHARDS), "a busy slot is spread over all its shards");
}

/// All that an incident may remember, with the longest values.
async fn the_largest_incident_comes_back_from_a_small_document(store: &impl Store) {
    let long = text::truncate_with_hash("\u{1}\"🙂".repeat(5_000).into()).into_owned();
    let found = (0..100_u32).map(|number| {
        let at = time("2025-06-01T12:00:00.001Z").plus(Duration::from_secs(1) * number);
        let key = Key {
            rule: DENIED_MODEL.id,
            values: vec![Some(long.as_str().into()), None, Some(long.as_str().into())],
        };
        let (first_seen, last_seen, total) = (at, at, u64::from(number));
        NewAlert {
            rule: &DENIED_MODEL,
            key,
            at,
            severity: DENIED_MODEL.severity,
            first_seen,
            last_seen,
            total,
            is_lower_bound: true,
            alone: true,
        }
    });
    let mut log = IncidentLog::default();
    incident::record(&mut log, &found.collect::<Vec<_>>(), false);
    let (begin, mut incident) = log.incidents.pop_first().expect("an incident");
    incident.lease = Some(Lease { owner: "o".repeat(256), until: u64::MAX });
    incident.renewed_at = 1_748_772_000;
    let caller = Caller { account: Some("1".to_owned()), arn: Some(long) };
    let id = incident::document(&caller, begin);
    let document = Versioned { version: 0, value: incident };
    assert!(write(store, &[document.change(id.clone()).expect("a change")]).await);
    let read: Versioned<Option<Incident>> = load(store, &id).await.expect("read");
    assert_eq!(read, Versioned { version: 1, value: Some(document.value) });
}

fn document(sort: &str) -> DocumentId {
    DocumentId { partition: eve(), sort: sort.to_owned() }
}

fn body(value: impl Into<Json>) -> Body {
    Body::from_iter([("value".to_owned(), value.into())])
}

fn change(sort: &str, version: u64, value: impl Into<Json>) -> Change {
    Change { id: document(sort), version, body: Some(body(value)) }
}

/// Sort keys, versions and values of all documents.
async fn all(store: &impl Store) -> Vec<(String, u64, Json)> {
    let found = store.documents(&eve(), "a", "z").await.expect("read");
    found.into_iter().map(|(sort, one)| (sort, one.version, one.value["value"].clone())).collect()
}

async fn of_several_changes_all_are_made_or_none(store: &impl Store) {
    assert!(write(store, &[change("a", 0, 1), change("b", 0, 1)]).await);
    for stale in [
        [change("a", 1, 2), change("b", 0, 2)],
        [change("a", 0, 2), change("b", 1, 2)],
        [change("a", 1, 2), change("c", 1, 2)],
        [change("a", 2, 2), change("c", 0, 2)],
    ] {
        assert!(!write(store, &stale).await, "{stale:?}");
    }
    let once = |sort: &str| (sort.to_owned(), 1, 1.into());
    assert_eq!(all(store).await, [once("a"), once("b")]);
    assert!(write(store, &[change("b", 1, 3), change("c", 0, 3)]).await);
    assert_eq!(all(store).await, [once("a"), ("b".to_owned(), 2, 3.into()), ("c".to_owned(), 1, 3.into())]);
    assert!(write(store, &[]).await);
}

async fn a_write_may_require_that_something_is_not_there(store: &impl Store) {
    assert!(write(store, &[change("a", 0, 1), Change::absent(document("b"))]).await);
    assert!(write(store, &[Change::absent(document("b"))]).await);
    assert!(!write(store, &[change("c", 0, 1), Change::absent(document("a"))]).await);
    assert!(!write(store, &[Change::absent(document("a"))]).await);
    // What may only be checked may also be there.
    let known = Change { id: document("a"), version: 1, body: None };
    assert!(write(store, &[change("c", 0, 1), known]).await);
    let sorts: Vec<String> = all(store).await.into_iter().map(|(sort, ..)| sort).collect();
    assert_eq!(sorts, ["a", "c"]);
}

async fn of_ten_writes_of_several_changes_at_once_one_wins(store: &impl Store) {
    let writers = (0..10).map(|number| async move {
        // A conflict may refuse all; whoever is refused looks again.
        for _ in 0..20 {
            if write(store, &[change("a", 0, number), change("b", 0, number)]).await {
                return Some(number);
            }
            if !all(store).await.is_empty() {
                break;
            }
        }
        None
    });
    let winners: Vec<i32> = join_all(writers).await.into_iter().flatten().collect();
    let [winner] = winners[..] else { panic!("{winners:?}") };
    let written = |sort: &str| (sort.to_owned(), 1, winner.into());
    assert_eq!(all(store).await, [written("a"), written("b")]);
}

async fn as_many_changes_as_are_allowed_are_made_at_once(store: &impl Store) {
    let changes: Vec<Change> =
        (0..MAX_CHANGES).map(|number| change(&format!("d{number:03}"), 0, 1)).collect();
    assert!(write(store, &changes).await);
    assert!(!write(store, &changes).await);
    assert_eq!(all(store).await.len(), MAX_CHANGES);
}

async fn documents_of_any_content_come_back(store: &impl Store) {
    let content = json!({
        "null": null, "yes": true, "no": false, "empty": "", "odd": "\u{0}\"ü🙂", "list": [], "nested": [{}, [1, "x", null]],
        "numbers": [0, -1, u64::MAX, i64::MIN], "user": "a reserved word", "attribute_not_exists(#version)": 1,
    });
    let Json::Object(content) = content else { panic!("an object") };
    let written = Change { id: document("odd#1"), version: 0, body: Some(content.clone()) };
    assert!(write(store, &[written]).await);
    let found = store.documents(&eve(), "odd#1", "odd#1").await.expect("read");
    assert_eq!(found, [("odd#1".to_owned(), Versioned { version: 1, value: content })]);
}

async fn documents_come_back_in_order_with_both_ends_of_a_range(store: &impl Store) {
    for sort in ["m#3", "m#1", "m#2", "m#10", "n", "l"] {
        assert!(write(store, &[change(sort, 0, sort)]).await);
    }
    let other = DocumentId { partition: key(&[None, None, None]), sort: "m#2".to_owned() };
    assert!(write(store, &[Change { id: other, version: 0, body: Some(body(0)) }]).await);
    let range = async |first: &str, last: &str| {
        let found = store.documents(&eve(), first, last).await.expect("read");
        found.into_iter().map(|(sort, _)| sort).collect::<Vec<_>>()
    };
    assert_eq!(range("m#1", "m#3").await, ["m#1", "m#10", "m#2", "m#3"]);
    assert_eq!(range("m#10", "m#2").await, ["m#10", "m#2"]);
    assert_eq!(range("m#2", "m#2").await, ["m#2"]);
    assert_eq!(range("o", "z").await, [""; 0]);
}

fn alert_log(version: u64, id: &str) -> Versioned<AlertLog> {
    let record = AlertRecord::new(id.to_owned());
    let value = AlertLog { alerts: BTreeMap::from([(time(NOON), record)]), ..AlertLog::default() };
    Versioned { version, value }
}

async fn of_ten_writers_at_once_one_wins(store: &impl Store) {
    for version in 0..3 {
        let writers = (0..10).map(|number| async move {
            let id = format!("writer-{number}");
            replace(store, &eve(), &alert_log(version, &id)).await.then_some(id)
        });
        let winners: Vec<String> = join_all(writers).await.into_iter().flatten().collect();
        let [winner] = &winners[..] else { panic!("{winners:?}") };
        assert_eq!(alerts(store, &eve()).await, alert_log(version + 1, winner));
    }
}

async fn a_stale_version_writes_nothing(store: &impl Store) {
    let replace = |log: Versioned<AlertLog>| async move { replace(store, &eve(), &log).await };
    assert!(!replace(alert_log(1, "early")).await, "version 1 of nothing");
    assert!(replace(alert_log(0, "first")).await);
    assert!(!replace(alert_log(0, "again")).await);
    assert!(!replace(alert_log(2, "ahead")).await);
    assert_eq!(alerts(store, &eve()).await, alert_log(1, "first"));
}

async fn both_ends_of_a_range_are_in_it(store: &impl Store) {
    // An alert log of the same key must not get in the way.
    assert!(replace(store, &eve(), &alert_log(0, "x")).await);
    let slots = ["2025-06-01T11:50:00Z", NOON, "2025-06-01T12:10:00Z", "2025-06-01T12:20:00Z"];
    for slot in slots {
        add(store, &eve(), slot, "one", &[slot]).await;
    }
    let found = counters(store, &eve(), NOON, slots[2]).await;
    let found: Vec<String> = found.iter().map(|counter| counter.slot.start.to_string()).collect();
    assert_eq!(found, slots[1..3]);
    let all = counters(store, &eve(), "2025-06-01T00:00:00Z", "2025-06-02T00:00:00Z").await;
    assert_eq!(all.len(), 4);
}

async fn the_logs_of_one_slot_are_counted_apart(store: &impl Store) {
    let slots = ["2025-06-01T11:50:00Z", NOON, "2025-06-01T12:10:00Z"];
    let mut expected = Vec::new();
    for start in slots {
        for source in [Source::InvocationLog, Source::CloudTrail] {
            let slot = Slot { start: time(start), minutes: 10, source };
            // The same contribution in each.
            let one = contribution("one", time(start), &["a".to_owned()]);
            add_as_is(store, &eve(), slot, &one).await;
            expected.push((slot, 1));
        }
    }
    let found = counters(store, &eve(), slots[1], slots[2]).await;
    let found: Vec<_> = found.iter().map(|counter| (counter.slot, denials(counter))).collect();
    assert_eq!(found, expected[2..]);
}

async fn evidence_comes_back(store: &impl Store) {
    let odd =
        ["user_agent|", "user_agent||x", "source_ip|2001:db8::1", "region|eu-west-1", "user_agent|\u{0}ü"];
    let odd: BTreeSet<Evidence> = odd.map(|text| text.parse().expect(text)).into();
    for (hash, evidence) in [("one", odd.clone()), ("two", BTreeSet::new()), ("three", odd.clone())] {
        let told = Contribution { evidence, ..contribution(hash, time(NOON), &[hash.to_owned()]) };
        add_as_is(store, &eve(), slot(time(NOON)), &told).await;
    }
    let found = at_noon(store, &eve()).await;
    assert_eq!(found[0].evidence().cloned().collect::<BTreeSet<_>>(), odd);
}

async fn any_year_that_a_log_can_have_is_found(store: &impl Store) {
    let slots =
        ["0000-01-01T00:00:00Z", "0999-12-31T23:50:00Z", "1969-12-31T23:50:00Z", "9999-12-30T22:00:00Z"];
    for slot in slots {
        add(store, &eve(), slot, "one", &[slot]).await;
    }
    let ends = EventTime::from_epoch_ms(i64::MIN)..=EventTime::from_epoch_ms(i64::MAX);
    let found = store.counters(&eve(), 10, ends).await.expect("read");
    let found: Vec<String> = found.iter().map(|counter| counter.slot.start.to_string()).collect();
    assert_eq!(found, slots);
}

async fn a_window_of_many_pages_is_read_whole(store: &impl Store) {
    // 60 slots of 40 KB are more than two pages of 1 MB.
    let start = time(NOON);
    let mut expected = Vec::new();
    for number in 0..60_u64 {
        let start = start.plus(DENIED_MODEL.slot() * u32::try_from(number).expect("small"));
        let values: Vec<String> = (0..250).map(|value| format!("{number}-{value:0>155}")).collect();
        let contribution = contribution("one", start, &values);
        add_as_is(store, &eve(), slot(start), &contribution).await;
        let mut counter = Counter::new(slot(start));
        counter.add(&contribution);
        expected.push(counter);
    }
    let found = store.counters(&eve(), 10, start..=start.plus(DENIED_MODEL.slot() * 60)).await;
    assert_eq!(found.expect("read"), expected);
}

async fn a_slot_takes_any_number_of_the_largest_contributions(store: &impl Store) {
    let mut expected = Counter::new(slot(time(NOON)));
    for object in 0..4 {
        // Twice what one object samples at most: its earliest and its latest values.
        let values: Vec<String> = (0..2 * (MAX_THRESHOLD + 1))
            .map(|value| format!("{object}-{value:0>width$}", width = MAX_VALUE_BYTES - 2))
            .collect();
        let mut large = contribution(&format!("{object:032}"), time(NOON), &values);
        let evidence = (0..5 * MAX_EVIDENCE).map(|number| Evidence {
            kind: Kind::UserAgent,
            value: format!("{object}-{number:0>width$}", width = MAX_EVIDENCE_BYTES - 2).into(),
        });
        large.evidence.extend(evidence);
        expected.add(&large);
        // Each is delivered twice.
        for _ in 0..2 {
            add_as_is(store, &eve(), slot(time(NOON)), &large).await;
        }
    }
    let small = contribution("small", time(NOON), &["s".to_owned()]);
    expected.add(&small);
    for _ in 0..2 {
        add_as_is(store, &eve(), slot(time(NOON)), &small).await;
    }
    assert_eq!(at_noon(store, &eve()).await, [expected]);
}

async fn keys_of_any_characters_stay_apart(store: &impl Store) {
    let xs = "x".repeat(2048);
    let ys = "y".repeat(2048);
    let keys = [
        key(&[None, None, None]),
        key(&[Some("null"), None, None]),
        key(&[None, Some("null"), None]),
        key(&[Some(""), Some(""), Some("")]),
        key(&[Some("1"), Some("a\",\"b"), Some("m")]),
        key(&[Some("1"), Some("a"), Some("b\",\"m")]),
        key(&[Some("1"), Some("#user :name count#|~"), Some("m")]),
        key(&[Some("1"), Some("\u{0}\n\t\\\u{7f}"), Some("naïve 🙂 \u{202e}")]),
        key(&[Some("1"), Some("SELECT"), Some("user")]),
        key(&[Some("1"), Some(&xs), Some(&ys)]),
        key(&[Some("1"), Some(&ys), Some(&xs)]),
        key(&[Some("1"), Some(&"é🙂".repeat(400)), Some("m")]),
    ];
    for (number, key) in keys.iter().enumerate() {
        let value = number.to_string();
        add(store, key, NOON, "one", &[&value]).await;
        assert!(replace(store, key, &alert_log(0, &value)).await);
    }
    for (number, key) in keys.iter().enumerate() {
        let found = at_noon(store, key).await;
        assert_eq!(values(&found[0]), [number.to_string()], "{key:?}");
        assert_eq!(alerts(store, key).await, alert_log(1, &number.to_string()), "{key:?}");
    }
}

async fn samples_of_any_characters_come_back(store: &impl Store) {
    let long = "z".repeat(MAX_VALUE_BYTES);
    let odd = ["", "|", "1|2", " ", "\u{0}", "\"", "naïve 🙂", "s3://b/k+ü@17", &long];
    add(store, &eve(), NOON, "one", &odd).await;
    let found = at_noon(store, &eve()).await;
    let found: BTreeSet<String> = values(&found[0]).into_iter().collect();
    assert_eq!(found, odd.map(str::to_owned).into());
}

async fn a_full_alert_log_comes_back_to_the_millisecond(store: &impl Store) {
    let start = time("2025-06-01T12:00:00.001Z");
    let alert = |number: u32| {
        let at = start.plus(DENIED_MODEL.cooldown * number);
        let record = AlertRecord {
            id: format!("{number:032x}"),
            state: if number.is_multiple_of(2) { AlertState::Published } else { AlertState::Pending },
            severity: number.is_multiple_of(2).then_some(Severity::Critical),
            place: number.is_multiple_of(3).then_some(IncidentSlot { begin: at, number: u64::from(number) }),
            // Far longer than a request or message id.
            lease: number.is_multiple_of(5).then(|| Lease { owner: "o".repeat(256), until: u64::MAX }),
        };
        (at, record)
    };
    // All that may be pending, published at once, beside all that may have been published before.
    let count = u32::try_from(MAX_PENDING + MAX_PUBLISHED).expect("small");
    let all = (0..count).map(alert).collect();
    let value = AlertLog { alerts: all, archived_to: Some(start), ..AlertLog::default() };
    assert!(replace(store, &eve(), &Versioned { version: 0, value: value.clone() }).await);
    assert_eq!(alerts(store, &eve()).await, Versioned { version: 1, value });
}
