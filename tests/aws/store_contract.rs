//! What [`CounterStore`] promises: one function per promise, run on every implementor.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::claims::{
    AlertLog, AlertRecord, Claimant, MAX_PENDING, MAX_PUBLISHED, State,
};
use bedrock_denial_watch::count::counter::{Contribution, Counter, SHARDS, Slot};
use bedrock_denial_watch::count::embedded::EmbeddedStore;
use bedrock_denial_watch::count::evidence::{Evidence, Kind, MAX_EVIDENCE, MAX_EVIDENCE_BYTES};
use bedrock_denial_watch::count::flood::{self, FloodLog, Newcomer};
use bedrock_denial_watch::count::incident::{self, Found, IncidentLog, Sent, Told};
use bedrock_denial_watch::count::key::{Key, MAX_VALUE_BYTES};
use bedrock_denial_watch::count::store::{CallerState, CounterStore};
use bedrock_denial_watch::count::value::Value;
use bedrock_denial_watch::lambda::aws::DynamoDbStore;
use bedrock_denial_watch::log::denial::Source;
use bedrock_denial_watch::log::time::EventTime;
use bedrock_denial_watch::rule::bounds::MAX_THRESHOLD;
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use futures_util::future::join_all;

use crate::support::{TABLE, contribution, dynamodb, key, slot, time};

macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod on_embedded {
            $(#[tokio::test] async fn $promise() {
                super::$promise(&super::EmbeddedStore::default()).await;
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
    both_ends_of_a_range_are_in_it,
    the_logs_of_one_slot_are_counted_apart,
    evidence_comes_back,
    any_year_that_a_log_can_have_is_found,
    a_window_of_many_pages_is_read_whole,
    a_slot_takes_any_number_of_the_largest_contributions,
    keys_of_any_characters_stay_apart,
    samples_of_any_characters_come_back,
    a_full_alert_log_comes_back_to_the_millisecond,
    archived_alerts_come_back_once_and_never_with_the_log,
    a_day_of_the_shortest_cooldown_is_archived,
    incidents_of_the_worst_ids_come_back_whole,
    of_ten_writers_of_incidents_at_once_one_wins,
    floods_of_accounts_come_back_and_stay_apart,
);

const NOON: &str = "2025-06-01T12:00:00Z";
const EXPIRES_AT: u64 = 1_800_000_000;

fn eve() -> Key {
    key(&[Some("1"), Some("arn:aws:iam::1:user/eve"), Some("m")])
}

async fn add(store: &impl CounterStore, key: &Key, start: &str, hash: &str, values: &[&str]) {
    let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    let contribution = contribution(hash, time(start), &values);
    add_as_is(store, key, slot(time(start)), &contribution).await;
}

async fn add_as_is(store: &impl CounterStore, key: &Key, slot: Slot, contribution: &Contribution) {
    let added = store.add(&DENIED_MODEL, key, slot, contribution, EXPIRES_AT);
    added.await.expect("added");
}

async fn counters(store: &impl CounterStore, key: &Key, from: &str, to: &str) -> Vec<Counter> {
    let range = time(from)..=time(to);
    store.counters(key, range).await.expect("read")
}

async fn at_noon(store: &impl CounterStore, key: &Key) -> Vec<Counter> {
    counters(store, key, NOON, NOON).await
}

fn denials(counter: &Counter) -> u64 {
    counter.contributions().map(|digest| digest.denials).sum()
}

fn values(counter: &Counter) -> Vec<String> {
    let values: BTreeSet<&Value> = counter.samples().map(|sample| &sample.value).collect();
    values.into_iter().map(Value::to_string).collect()
}

async fn an_empty_store_holds_nothing(store: &impl CounterStore) {
    assert_eq!(at_noon(store, &eve()).await, []);
    assert_eq!(store.alerts(&eve()).await.expect("read"), AlertLog::default());
}

async fn adding_the_same_again_changes_nothing(store: &impl CounterStore) {
    add(store, &eve(), NOON, "one", &["a", "b"]).await;
    let once = at_noon(store, &eve()).await;
    assert_eq!(once.len(), 1);
    assert_eq!((denials(&once[0]), values(&once[0])), (2, vec!["a".to_owned(), "b".to_owned()]));
    add(store, &eve(), NOON, "one", &["a", "b"]).await;
    assert_eq!(at_noon(store, &eve()).await, once);
}

async fn contributions_of_one_slot_are_summed(store: &impl CounterStore) {
    add(store, &eve(), NOON, "one", &["a", "b"]).await;
    add(store, &eve(), NOON, "two", &["b", "c", "d"]).await;
    let [counter] = &at_noon(store, &eve()).await[..] else { panic!("one slot") };
    assert_eq!(denials(counter), 5);
    assert_eq!(values(counter), ["a", "b", "c", "d"]);
    let digests: BTreeSet<String> = counter.contributions().map(ToString::to_string).collect();
    assert_eq!(digests, ["one:2:2", "two:3:3"].map(str::to_owned).into());
}

async fn of_200_adds_at_once_each_counts_once(store: &impl CounterStore) {
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

fn caller(arn: Option<&str>) -> Caller {
    Caller { account: Some("1".to_owned()), arn: arn.map(str::to_owned) }
}

/// The incidents of a caller who tries models of `model` for a year, an hour each.
fn incidents(model: &str) -> IncidentLog {
    let mut log = IncidentLog::default();
    let user = "u".repeat(512);
    for number in 0..9000_u32 {
        let at = time("2025-06-01T12:00:00.001Z").plus(Duration::from_secs(60) * number);
        let key = Key {
            rule: DENIED_MODEL.id,
            values: vec![
                Some("1".into()),
                Some(user.as_str().into()),
                Some(format!("{model}{number}").into()),
            ],
        };
        let found = Found {
            rule: &DENIED_MODEL,
            key,
            at,
            first_seen: at,
            last_seen: at,
            total: u64::from(number),
            at_least: number.is_multiple_of(2),
            alone: true,
            number: None,
        };
        let owner = "o".repeat(256);
        let claimant = Claimant { owner: &owner, now: 1_748_772_000, lease: Duration::from_secs(9) };
        let recorded = incident::record(&mut log, &[found], false, &claimant);
        // The last notice is under way.
        for begin in recorded.held.iter().filter(|_| number < 8999) {
            let incident = &log.incidents[begin];
            let told = Told {
                number: incident.notices + 1,
                count: incident.alerts,
                severity: DENIED_MODEL.severity,
            };
            incident::mark(&mut log, *begin, Sent::Notice(told), &claimant);
        }
    }
    log
}

async fn incidents_of_the_worst_ids_come_back_whole(store: &impl CounterStore) {
    let eve = caller(Some("arn:aws:iam::1:user/eve"));
    assert_eq!(store.caller(&eve).await.expect("read"), CallerState::default());
    for (version, model) in (0..).zip(["m", "\u{1}\"🙂"]) {
        let mut log = incidents(&model.repeat(90));
        log.version = version;
        assert!(store.replace_incidents(&eve, &log, EXPIRES_AT).await.expect("written"));
        log.version += 1;
        assert_eq!(store.caller(&eve).await.expect("read"), CallerState { log, mute: None });
    }
    assert_eq!(store.caller(&caller(None)).await.expect("read"), CallerState::default());
}

async fn of_ten_writers_of_incidents_at_once_one_wins(store: &impl CounterStore) {
    let eve = caller(None);
    for version in 0..3 {
        let writers = (0..10).map(|number| {
            let eve = &eve;
            async move {
                let log = IncidentLog { version, writer: number.to_string(), ..IncidentLog::default() };
                let won = store.replace_incidents(eve, &log, EXPIRES_AT).await;
                won.expect("written").then_some(log.writer)
            }
        });
        let winners: Vec<String> = join_all(writers).await.into_iter().flatten().collect();
        let [winner] = &winners[..] else { panic!("{winners:?}") };
        assert_eq!(&store.caller(&eve).await.expect("read").log.writer, winner);
    }
}

async fn floods_of_accounts_come_back_and_stay_apart(store: &impl CounterStore) {
    let mut log = FloodLog::default();
    let newcomers: Vec<Newcomer> = (0..20_u32)
        .map(|number| Newcomer {
            begin: time(NOON).plus(Duration::from_secs(1) * number),
            id: format!("{number:032x}"),
            arn: Some("arn:aws:sts::1:federated-user/x"),
            severity: DENIED_MODEL.severity,
            counted: false,
        })
        .collect();
    flood::admit(&mut log, &newcomers, &Claimant { owner: "o", now: 0, lease: Duration::ZERO });
    for account in [Some("1"), None] {
        assert_eq!(store.floods(account).await.expect("read"), FloodLog::default());
        assert!(store.replace_floods(account, &log, EXPIRES_AT).await.expect("written"));
        assert!(!store.replace_floods(account, &log, EXPIRES_AT).await.expect("read"));
        let stored = store.floods(account).await.expect("read");
        assert_eq!(stored, FloodLog { version: 1, ..log.clone() });
    }
    assert_eq!(store.floods(Some("2")).await.expect("read"), FloodLog::default());
}

fn alert_log(version: u64, owner: &str) -> AlertLog {
    let record = AlertRecord {
        id: "0123456789abcdef0123456789abcdef".to_owned(),
        state: State::Pending,
        owner: owner.to_owned(),
        leased_until: 1_748_772_000,
        number: None,
    };
    AlertLog { version, alerts: BTreeMap::from([(time(NOON), record)]), ..AlertLog::default() }
}

async fn of_ten_writers_at_once_one_wins(store: &impl CounterStore) {
    for version in 0..3 {
        let writers = (0..10).map(|number| async move {
            let owner = format!("writer-{number}");
            let log = alert_log(version, &owner);
            let won = store.replace_alerts(&eve(), &log, EXPIRES_AT).await;
            won.expect("written").then_some(owner)
        });
        let winners: Vec<String> = join_all(writers).await.into_iter().flatten().collect();
        let [winner] = &winners[..] else { panic!("{winners:?}") };
        let stored = store.alerts(&eve()).await.expect("read");
        assert_eq!(stored, alert_log(version + 1, winner));
    }
}

async fn a_stale_version_writes_nothing(store: &impl CounterStore) {
    let replace = |log: AlertLog| async move {
        store.replace_alerts(&eve(), &log, EXPIRES_AT).await.expect("answered")
    };
    assert!(!replace(alert_log(1, "early")).await, "version 1 of nothing");
    assert!(replace(alert_log(0, "first")).await);
    assert!(!replace(alert_log(0, "again")).await);
    assert!(!replace(alert_log(2, "ahead")).await);
    assert_eq!(store.alerts(&eve()).await.expect("read"), alert_log(1, "first"));
}

async fn both_ends_of_a_range_are_in_it(store: &impl CounterStore) {
    // An alert log of the same key must not get in the way.
    store.replace_alerts(&eve(), &alert_log(0, "x"), EXPIRES_AT).await.expect("written");
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

async fn the_logs_of_one_slot_are_counted_apart(store: &impl CounterStore) {
    let slots = ["2025-06-01T11:50:00Z", NOON, "2025-06-01T12:10:00Z"];
    let mut expected = Vec::new();
    for start in slots {
        for source in [Source::InvocationLog, Source::CloudTrail] {
            let slot = Slot { start: time(start), source };
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

async fn evidence_comes_back(store: &impl CounterStore) {
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

async fn any_year_that_a_log_can_have_is_found(store: &impl CounterStore) {
    let slots =
        ["0000-01-01T00:00:00Z", "0999-12-31T23:50:00Z", "1969-12-31T23:50:00Z", "9999-12-30T22:00:00Z"];
    for slot in slots {
        add(store, &eve(), slot, "one", &[slot]).await;
    }
    let ends = EventTime::from_epoch_ms(i64::MIN)..=EventTime::from_epoch_ms(i64::MAX);
    let found = store.counters(&eve(), ends).await.expect("read");
    let found: Vec<String> = found.iter().map(|counter| counter.slot.start.to_string()).collect();
    assert_eq!(found, slots);
}

async fn a_window_of_many_pages_is_read_whole(store: &impl CounterStore) {
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
    let found = store.counters(&eve(), start..=start.plus(DENIED_MODEL.slot() * 60)).await;
    assert_eq!(found.expect("read"), expected);
}

async fn a_slot_takes_any_number_of_the_largest_contributions(store: &impl CounterStore) {
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

async fn keys_of_any_characters_stay_apart(store: &impl CounterStore) {
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
        let log = alert_log(0, &value);
        assert!(store.replace_alerts(key, &log, EXPIRES_AT).await.expect("written"));
    }
    for (number, key) in keys.iter().enumerate() {
        let found = at_noon(store, key).await;
        assert_eq!(values(&found[0]), [number.to_string()], "{key:?}");
        let log = store.alerts(key).await.expect("read");
        assert_eq!(log, alert_log(1, &number.to_string()), "{key:?}");
    }
}

async fn samples_of_any_characters_come_back(store: &impl CounterStore) {
    let long = "z".repeat(MAX_VALUE_BYTES);
    let odd = ["", "|", "1|2", " ", "\u{0}", "\"", "naïve 🙂", "s3://b/k+ü@17", &long];
    add(store, &eve(), NOON, "one", &odd).await;
    let found = at_noon(store, &eve()).await;
    let found: BTreeSet<String> = values(&found[0]).into_iter().collect();
    assert_eq!(found, odd.map(str::to_owned).into());
}

async fn a_full_alert_log_comes_back_to_the_millisecond(store: &impl CounterStore) {
    let start = time("2025-06-01T12:00:00.001Z");
    let alert = |number: u32| {
        let at = start.plus(DENIED_MODEL.cooldown * number);
        let record = AlertRecord {
            id: format!("{number:032x}"),
            state: if number.is_multiple_of(2) { State::Published } else { State::Pending },
            // Far longer than a request or message id.
            owner: "o".repeat(256),
            leased_until: u64::from(number),
            number: number.is_multiple_of(3).then_some(u64::from(number)),
        };
        (at, record)
    };
    // All that may be pending, published at once, beside all that may have been published before.
    let count = u32::try_from(MAX_PENDING + MAX_PUBLISHED).expect("small");
    let alerts = (0..count).map(alert).collect();
    let mut log = AlertLog { alerts, archived_to: Some(start), ..AlertLog::default() };
    assert!(store.replace_alerts(&eve(), &log, EXPIRES_AT).await.expect("written"));
    log.version = 1;
    assert_eq!(store.alerts(&eve()).await.expect("read"), log);
}

async fn archived_alerts_come_back_once_and_never_with_the_log(store: &impl CounterStore) {
    let none = store.archived_alerts(&eve(), time(NOON)..=time(NOON)).await.expect("read");
    assert!(none.is_empty());
    assert!(store.replace_alerts(&eve(), &alert_log(0, "x"), EXPIRES_AT).await.expect("written"));
    add(store, &eve(), NOON, "one", &["a"]).await;
    let texts = [
        "0000-01-01T00:00:00Z",
        "2025-05-31T23:59:59.999Z",
        "2025-06-01T00:00:00Z",
        "2025-06-01T12:00:00.001Z",
        "2025-06-03T00:00:00Z",
        "9999-12-30T21:59:59Z",
    ];
    let all: Vec<EventTime> = texts.map(time).into();
    for _ in 0..2 {
        store.archive_alerts(&eve(), &all[..4], EXPIRES_AT).await.expect("written");
        store.archive_alerts(&eve(), &all[3..], EXPIRES_AT).await.expect("written");
    }
    let ends = EventTime::from_epoch_ms(i64::MIN)..=EventTime::from_epoch_ms(i64::MAX);
    let found = store.archived_alerts(&eve(), ends).await.expect("read");
    assert_eq!(found, all.iter().copied().collect());
    for (first, last) in [(0, 0), (1, 2), (2, 2), (3, 4), (5, 5)] {
        let found = store.archived_alerts(&eve(), all[first]..=all[last]).await.expect("read");
        assert!(all[first..=last].iter().all(|at| found.contains(at)), "{first} to {last}: {found:?}");
    }
    assert_eq!(store.alerts(&eve()).await.expect("read"), alert_log(1, "x"));
    assert_eq!(at_noon(store, &eve()).await.len(), 1);
}

async fn a_day_of_the_shortest_cooldown_is_archived(store: &impl CounterStore) {
    let minute = |number: u32| time("2025-06-01T00:00:00.123Z").plus(Duration::from_secs(60) * number);
    let day: Vec<EventTime> = (0..1440).map(minute).collect();
    for alerts in day.chunks(100) {
        store.archive_alerts(&eve(), alerts, EXPIRES_AT).await.expect("written");
    }
    let found = store.archived_alerts(&eve(), day[0]..=day[1439]).await.expect("read");
    assert_eq!(found, day.into_iter().collect());
}
