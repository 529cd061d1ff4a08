//! Interrupts every call to store and sink, before and after its effect, then repairs it.

use std::collections::BTreeSet;

use crate::depth::{self, Sample};
use crate::support::*;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::deliver::Failure;
use bedrock_denial_watch::rule::definition::Rule;

/// Two models, several slots, two alerts of model 1.
fn batches() -> Vec<Batch> {
    let denied = |at, key, value| Denied { at, key, value };
    vec![
        vec![denied(0, 1, 1), denied(700, 1, 2), denied(710, 2, 3), denied(720, 2, 4)],
        vec![denied(800, 1, 5), denied(810, 1, 6), denied(811, 2, 7), denied(812, 2, 8), denied(813, 1, 9)],
        vec![denied(5000, 1, 10), denied(5001, 1, 11), denied(5002, 1, 12), denied(5003, 1, 13)],
    ]
}

/// How a failed delivery is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repair {
    /// Lambda's own retry: the same request id, at once.
    Retry,
    /// Redriven from the on-failure queue: another request id, after the lease has expired.
    Redrive,
    /// The same within the lease: enough if the delivery failed but its process survived.
    RedriveAtOnce,
}

/// Delivers everything, with call number `fails` failing; repairs a failed delivery at once.
/// `None` if there are fewer calls than that.
fn run(rule: &Rule, fails: usize, after: bool, fatal: bool, repair: Repair) -> Option<Vec<Told>> {
    let (store, sink) = (MemoryStore::default(), Recording::default());
    let weather = Weather::default();
    weather.fails.set(Some(fails));
    weather.after.set(after);
    weather.fatal.set(fatal);
    let pipeline = in_weather(rule.clone(), &store, &sink, &weather);
    let mut failed = false;
    block_on(async {
        for (number, batch) in batches().iter().enumerate() {
            let owner = format!("delivery {number}");
            let outcome = deliver(&pipeline, batch, &owner, 1_000).await;
            if outcome.failures.is_empty() {
                continue;
            }
            failed = true;
            weather.fails.set(None);
            let (owner, now) = match repair {
                Repair::Retry => (owner, 1_000),
                Repair::Redrive => (format!("redrive {number}"), 1_000 + LEASE.as_secs() + 1),
                Repair::RedriveAtOnce => (format!("redrive {number}"), 1_000),
            };
            let outcome = deliver(&pipeline, batch, &owner, now).await;
            assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        }
    });
    failed.then(|| sink.told.take())
}

#[test]
fn every_interruption_is_repaired_by_a_retry_and_by_a_redrive() {
    let rule = rule(3, 3600, 3600);
    let (mut sample, mut interruptions) = (Sample::new(), 0);
    for repair in [Repair::Retry, Repair::Redrive] {
        for (after, fatal) in [(false, false), (false, true), (true, false), (true, true)] {
            for fails in sample.one_in(3, 0..) {
                let Some(told) = run(&rule, fails, after, fatal, repair) else { break };
                interruptions += 1;
                let context = format!("{repair:?}, call {fails}, after {after}, fatal {fatal}");
                let times = assert_invariants(&batches(), &rule, &told);
                assert_eq!(times[&1], [810, 5003], "{context}");
                assert_eq!(times[&2], [812], "{context}");
                let ids: BTreeSet<&String> = told.iter().map(|alert| &alert.id).collect();
                // Only a lost acknowledgement of SNS, or a crash before the mark, may repeat an alert.
                assert!(told.len() - ids.len() <= 1, "{context}: {told:?}");
            }
        }
    }
    assert!(interruptions > depth::pick(100, 33), "only {interruptions} interruptions were tried");
}

#[test]
fn an_alert_that_could_not_be_published_is_published_by_a_redrive_at_once() {
    let rule = rule(3, 3600, 3600);
    let mut refused = 0;
    for fails in 0.. {
        let Some(told) = run(&rule, fails, false, false, Repair::RedriveAtOnce) else { break };
        // A delivery that fails ends its leases. What was sent and could not be marked is sent again.
        let times: Vec<(u8, i64)> = told.iter().map(|alert| (alert.key, alert.at)).collect();
        let distinct: BTreeSet<_> = times.iter().collect();
        assert!(times.len() - distinct.len() <= 1, "call {fails}: {times:?}");
        refused += usize::from(distinct.len() == 3);
    }
    assert!(refused > 20, "only {refused} interruptions were repaired at once");
}

#[test]
fn a_delivery_fails_while_another_that_may_be_dead_holds_the_notice() {
    let rule = rule(3, 3600, 3600);
    let burst: Batch = (0..4).map(|number| Denied { at: 0, key: 1, value: number }).collect();
    let next = vec![Denied { at: 60, key: 1, value: 9 }];
    let (store, sink) = (MemoryStore::default(), Recording::default());
    let weather = Weather::default();
    let pipeline = in_weather(rule, &store, &sink, &weather);
    block_on(async {
        // Everything works until the notice, which kills the first delivery.
        weather.fails.set(Some(FIRST_NOTICE));
        weather.fatal.set(true);
        assert_eq!(deliver(&pipeline, &burst, "dead", 1_000).await.failures.len(), 1);
        weather.fails.set(None);
        let twin = deliver(&pipeline, &burst, "twin", 1_000 + LEASE.as_secs()).await;
        assert!(matches!(twin.failures[..], [Failure::Held(_)]), "{:?}", twin.failures);
        assert_eq!(sink.told.borrow().len(), 0, "the lease still held");
        assert!(deliver(&pipeline, &next, "later", 1_001 + LEASE.as_secs()).await.failures.is_empty());
    });
    let told = sink.told.take();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].at, told[0].total), (0, 5));
}

#[test]
fn an_abandoned_alert_of_long_ago_is_published_with_its_own_figures() {
    let rule = rule(3, 3600, 3600);
    let burst = |at| {
        (0..4)
            .map(|number| Denied { at, key: 1, value: number + u32::try_from(at).expect("small") })
            .collect::<Batch>()
    };
    let (store, sink) = (MemoryStore::default(), Recording::default());
    let weather = Weather::default();
    let pipeline = in_weather(rule, &store, &sink, &weather);
    block_on(async {
        weather.fails.set(Some(FIRST_NOTICE));
        weather.fatal.set(true);
        assert_eq!(deliver(&pipeline, &burst(0), "dead", 1_000).await.failures.len(), 1);
        weather.fails.set(None);
        assert!(deliver(&pipeline, &burst(90_000), "later", 100_000).await.failures.is_empty());
    });
    let told: Vec<(i64, i64, i64, u64)> =
        sink.told.take().iter().map(|alert| (alert.at, alert.first, alert.last, alert.total)).collect();
    assert_eq!(told, [(0, 0, 0, 4), (90_000, 90_000, 90_000, 4)]);
}

#[test]
fn a_key_that_fails_holds_up_no_other() {
    let (store, sink) = (MemoryStore::default(), Recording::default());
    let weather = Weather::default();
    weather.fails.set(Some(0));
    let pipeline = in_weather(rule(3, 3600, 3600), &store, &sink, &weather);
    let both: Batch = (0..8)
        .map(|number| Denied { at: 0, key: u8::try_from(number % 2).expect("small"), value: number })
        .collect();
    let outcome = block_on(deliver(&pipeline, &both, "one", 1_000));
    assert_eq!((outcome.failures.len(), outcome.published.len()), (1, 1));
    assert_eq!(outcome.failures[0].to_string(), "injected: fault");
}

#[test]
fn a_long_attack_in_one_object_forgets_no_alert_and_repeats_none() {
    // More alerts than an item remembers: one a minute for three days, or for half a day.
    let minutes = depth::pick(3 * 24 * 60, 12 * 60);
    let rule = rule(0, 60, 60);
    let batch: Batch =
        (0..minutes).map(|number| Denied { at: i64::from(number) * 61, key: 1, value: number }).collect();
    let sink = Recording::default();
    let pipeline = pipeline(rule, MemoryStore::default(), &sink);
    assert!(block_on(deliver(&pipeline, &batch, "one", 1_000)).failures.is_empty());
    let times: Vec<i64> = sink.told.take().iter().map(|alert| alert.at).collect();
    assert_eq!(times, (0..i64::from(minutes)).map(|number| number * 61).collect::<Vec<_>>());
}

#[test]
fn abandoned_alerts_hold_up_no_new_one() {
    // A hundred alerts whose owner died, and a denial before all of them.
    let rule = rule(0, 60, 60);
    let late: Batch = (0..100)
        .map(|number| Denied { at: 100_000 + i64::from(number) * 61, key: 1, value: number })
        .collect();
    let early = vec![Denied { at: 0, key: 1, value: 999 }];
    let (store, sink) = (MemoryStore::default(), Recording::default());
    let weather = Weather::default();
    let pipeline = in_weather(rule, &store, &sink, &weather);
    block_on(async {
        // Each of its hundred slots is added by a separate call.
        weather.fails.set(Some(99 + FIRST_NOTICE));
        weather.fatal.set(true);
        assert_eq!(deliver(&pipeline, &late, "dead", 1_000).await.failures.len(), 1);
        assert_eq!(sink.told.borrow().len(), 0);
        weather.fails.set(None);
        assert!(deliver(&pipeline, &early, "other", 1_001 + LEASE.as_secs()).await.failures.is_empty());
    });
    let told = sink.told.take();
    assert_eq!(told.len(), 101);
    assert!(told.iter().any(|alert| alert.at == 0));
}

#[test]
fn a_retry_renews_its_lease_so_that_nobody_publishes_beside_it() {
    let burst: Batch = (0..4).map(|number| Denied { at: 0, key: 1, value: number }).collect();
    let (store, sink) = (MemoryStore::default(), Recording::default());
    let weather = Weather::default();
    let pipeline = in_weather(rule(3, 3600, 3600), &store, &sink, &weather);
    let retry = 1_000 + LEASE.as_secs();
    block_on(async {
        weather.fails.set(Some(FIRST_NOTICE));
        weather.fatal.set(true);
        assert_eq!(deliver(&pipeline, &burst, "a", 1_000).await.failures.len(), 1);
        // The retry dies before it publishes; by then it holds the alert for another lease.
        weather.calls.set(0);
        assert_eq!(deliver(&pipeline, &burst, "a", retry).await.failures.len(), 1);
        weather.fails.set(None);
        let beside = deliver(&pipeline, &burst, "b", retry + 1).await;
        assert!(matches!(beside.failures[..], [Failure::Held(_)]), "{:?}", beside.failures);
        assert_eq!(sink.told.borrow().len(), 0, "the renewed lease still holds");
    });
}

#[test]
fn an_interruption_while_older_alerts_are_archived_loses_and_repeats_none() {
    // The log holds two hundred alerts; the next ones make it archive.
    let rule = rule(0, 60, 60);
    let burst = |number: u32| Denied { at: i64::from(number) * 61, key: 1, value: number };
    let objects: Vec<Batch> =
        [0..100, 100..201, 201..204].into_iter().map(|range| range.map(burst).collect()).collect();
    let (mut sample, mut interruptions) = (Sample::new(), 0);
    for (after, fatal) in [(false, false), (false, true), (true, false), (true, true)] {
        for fails in sample.one_in(8, 0..) {
            let (store, sink) = (MemoryStore::default(), Recording::default());
            let weather = Weather::default();
            let pipeline = in_weather(rule.clone(), &store, &sink, &weather);
            let last = block_on(async {
                for object in &objects[..2] {
                    assert_eq!(deliver(&pipeline, object, "earlier", 1_000).await.failed, 0);
                }
                weather.calls.set(0);
                weather.fails.set(Some(fails));
                weather.after.set(after);
                weather.fatal.set(fatal);
                let last = deliver(&pipeline, &objects[2], "last", 1_000).await;
                weather.fails.set(None);
                for object in &objects {
                    assert_eq!(deliver(&pipeline, object, "last", 1_000).await.failed, 0);
                }
                last
            });
            let told = sink.told.take();
            assert_invariants(&objects, &rule, &told);
            let ids: BTreeSet<&String> = told.iter().map(|alert| &alert.id).collect();
            let context = format!("call {fails}, after {after}, fatal {fatal}");
            assert_eq!(ids.len(), 204, "{context}");
            // If the mark is lost, its three are published again.
            assert!(told.len() <= 207, "{context}");
            if last.failed == 0 {
                break;
            }
            interruptions += 1;
        }
    }
    assert!(interruptions > depth::pick(30, 3), "only {interruptions} interruptions were tried");
}

#[test]
fn a_retry_publishes_what_it_claimed_under_a_lower_threshold() {
    let burst: Batch = (0..4).map(|value| Denied { at: 0, key: 1, value }).collect();
    let more: Batch = (4..9).map(|value| Denied { at: 60, key: 1, value }).collect();
    let (store, sink) = (MemoryStore::default(), Recording::default());
    let weather = Weather::default();
    let mut pipeline = in_weather(rule(3, 3600, 3600), &store, &sink, &weather);
    block_on(async {
        weather.fails.set(Some(FIRST_NOTICE));
        weather.fatal.set(true);
        assert_eq!(deliver(&pipeline, &burst, "dead", 1_000).await.failures.len(), 1);
        weather.fails.set(None);
        pipeline.rules = vec![rule(4, 3600, 3600)];
        assert!(deliver(&pipeline, &burst, "dead", 1_000).await.failures.is_empty());
        // Hot by the new threshold, and within the cooldown of the other's claim.
        assert!(deliver(&pipeline, &more, "other", 1_000).await.failures.is_empty());
    });
    let told = sink.told.take();
    assert_eq!(told.iter().map(|alert| (alert.at, alert.total)).collect::<Vec<_>>(), [(0, 4)]);
}
