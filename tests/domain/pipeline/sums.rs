//! Rules that sum: never early, late by at most a slot, and a redelivery adds nothing.

use crate::pipeline::invariants::config;
use crate::support::*;
use bedrock_denial_watch::count::claims::Claimant;
use bedrock_denial_watch::count::embedded::EmbeddedStore;
use bedrock_denial_watch::pipeline::Delivery;
use bedrock_denial_watch::rule::catalogue::built_in;
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::source::time::EventTime;
use proptest::prelude::*;
use serde_json::Value;

/// Seconds after [`TEN`], and tokens.
type Call = (i64, u64);

const HOUR: i64 = 3600;
const SLOT: i64 = 600;

fn spike(threshold: usize) -> Rule {
    Rule { threshold, ..built_in("token-spike").clone() }
}

/// Each call's request id is its number in `calls`. A copy came through CloudWatch.
fn log(calls: &[(usize, Call)], is_copy: bool) -> String {
    let record = |(number, (at, tokens)): &(usize, Call)| {
        let time = EventTime::from_epoch_ms((TEN + at) * 1000);
        let (input, output) = (tokens / 2, tokens - tokens / 2);
        format!(
            r#"{{"timestamp":"{time}","accountId":"1","identity":{{"arn":"u"}},"modelId":"m","requestId":"r{number}","input":{{"inputTokenCount":{input}}},"output":{{"outputTokenCount":{output}}}}}"#
        )
    };
    let records: Vec<String> = calls.iter().map(record).collect();
    if is_copy { subscription(&records) } else { records.join("\n") }
}

/// An alert: seconds after [`TEN`], total, whether it is a lower bound, first and last seen.
type Spike = (i64, u64, bool, i64, i64);

/// How calls come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// In one of Bedrock's files.
    File,
    /// In an object that came through CloudWatch.
    Copy,
    /// In a batch, of which each message carries one call.
    Batch,
}

fn run(rule: &Rule, objects: &[Vec<(usize, Call)>]) -> Vec<Spike> {
    run_as(rule, objects.iter().map(|object| (Way::File, object)))
}

fn run_as<'o>(rule: &Rule, deliveries: impl Iterator<Item = (Way, &'o Vec<(usize, Call)>)>) -> Vec<Spike> {
    let sink = Documents::default();
    let pipeline = pipeline(rule.clone(), EmbeddedStore::default(), &sink);
    for (way, calls) in deliveries {
        let tally = if way == Way::Batch {
            (0..).zip(calls.chunks(1)).fold(pipeline.tally(), |tally, (number, call)| {
                pipeline.read_record("message", &log(call, false), number, tally).tally
            })
        } else {
            read(&pipeline, &log(calls, way == Way::Copy)).tally
        };
        let claimant = Claimant { owner: "owner", now: 1_000, lease: LEASE };
        let outcome = block_on(pipeline.commit(tally, Delivery { object: "object", claimant }));
        assert!(outcome.failures.is_empty());
    }
    let alert = |document: String| {
        let document: Value = serde_json::from_str(&document).expect("JSON");
        let time = |field: &str| {
            let time = document[field].as_str().and_then(EventTime::parse).expect("a time");
            time.epoch_ms() / 1000 - TEN
        };
        let total = document["total_tokens"].as_u64().expect("a number");
        let at_least = document["total_tokens_at_least"].as_bool().unwrap_or(false);
        (time("@timestamp"), total, at_least, time("first_seen"), time("last_seen"))
    };
    sink.told.take().into_iter().map(alert).collect()
}

fn objects(calls: &[Call], size: usize) -> Vec<Vec<(usize, Call)>> {
    let numbered: Vec<(usize, Call)> = calls.iter().copied().enumerate().collect();
    numbered.chunks(size).map(<[_]>::to_vec).collect()
}

/// Each call in an object of its own, with a threshold of 100; the alerts as `second total`.
#[track_caller]
fn check(calls: &[Call], expected: &[&str]) {
    let alerts = run(&spike(100), &objects(calls, 1));
    let shown: Vec<String> = alerts
        .into_iter()
        .map(|(at, total, at_least, ..)| format!("{at} {total}{}", if at_least { "+" } else { "" }))
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn more_than_the_threshold_within_the_window_fires_at_the_call_that_passes_it() {
    check(&[(0, 100)], &[]);
    check(&[(0, 101)], &["0 101"]);
    check(&[(0, 60), (1, 40), (2, 1)], &["2 101"]);
    check(&[(0, 60), (HOUR, 41)], &["3600 101"]);
    check(&[(0, 60), (HOUR + 1, 41)], &[]);
    check(&[(0, 0), (1, 0)], &[]);
}

#[test]
fn one_alert_a_cooldown() {
    check(&[(0, 101), (1, 500), (HOUR, 500), (HOUR + 1, 500)], &["0 101", "3601 1500"]);
}

#[test]
fn a_request_counts_once_in_an_object_and_an_object_once() {
    let twice = vec![(1, (0, 60)), (1, (0, 60)), (1, (5, 60))];
    assert_eq!(run(&spike(100), &[twice.clone(), twice]), []);
}

#[test]
fn a_call_in_bedrock_s_own_file_and_in_cloudwatch_s_copy_counts_once() {
    // All but the first object are copies.
    let run_copied = |threshold, objects: &[Vec<(usize, Call)>]| {
        let ways = std::iter::once(Way::File).chain(std::iter::repeat(Way::Copy));
        run_as(&spike(threshold), ways.zip(objects))
    };
    let own: Vec<(usize, Call)> = vec![(0, (0, 40)), (1, (1, 40)), (2, (2, 40))];
    // Batched in another way, so that no content is the same.
    let objects = [own.clone(), own[..2].to_vec(), own[2..].to_vec()];
    assert_eq!(run_copied(120, &objects), []);
    // It fires when the first has been read, before there is a copy.
    assert_eq!(run_copied(119, &objects), [(2, 120, false, 0, 2)]);
    // Only the copy is complete.
    let objects = [own[..1].to_vec(), own];
    assert_eq!(run_copied(120, &objects), []);
    assert_eq!(run_copied(119, &objects), [(2, 120, true, 0, 2)]);
    // Neither is: the truth is 120, and what is known of it 80.
    let objects = [objects[1][..2].to_vec(), objects[1][1..].to_vec()];
    assert_eq!(run_copied(79, &objects), [(1, 80, false, 0, 1)]);
    assert_eq!(run_copied(80, &objects), []);
}

#[test]
fn a_slot_that_reaches_over_an_edge_makes_the_figure_a_lower_bound() {
    // The first two calls are one object; the window of the last begins between them.
    let objects = objects(&[(0, 60), (10, 60), (HOUR + 5, 201)], 2);
    assert_eq!(run(&spike(200), &objects), [(3605, 201, true, 10, 3605)]);
}

#[test]
fn a_message_that_comes_back_in_another_mix_is_summed_once() {
    let [one, two, three] = [(0, (0, 60)), (1, (10, 30)), (2, (20, 41))];
    let batches =
        |mixes: &[Vec<(usize, Call)>]| run_as(&spike(100), mixes.iter().map(|mix| (Way::Batch, mix)));
    // Together 90, and 41 with the second once more: 161 in the table, 131 in truth, and never more than 90 sure.
    assert_eq!(batches(&[vec![one, two], vec![two, three]]), []);
    assert_eq!(batches(&[vec![one, two], vec![one, two]]), []);
    // What is apart in time adds.
    assert_eq!(batches(&[vec![one, two], vec![three]]), [(20, 131, false, 0, 20)]);
    // The same calls in a file.
    let file = vec![one, two];
    let both = [(Way::File, &file), (Way::Batch, &file)];
    assert_eq!(run_as(&spike(100), both.into_iter()), []);
}

#[test]
fn tokens_beyond_every_number_are_a_lot() {
    assert_eq!(run(&spike(100), &objects(&[(0, u64::MAX - 1), (1, u64::MAX - 1)], 2)).len(), 1);
}

/// The tokens from `first` to `last`.
fn sum(calls: &[Call], first: i64, last: i64) -> u64 {
    calls.iter().filter(|(at, _)| (first..=last).contains(at)).map(|(_, tokens)| tokens).sum()
}

/// The tokens in the slots that begin and end between `first` and `last`.
fn sum_of_slots(calls: &[Call], first: i64, last: i64) -> u64 {
    let whole = |at: i64| at.div_euclid(SLOT) * SLOT >= first && (at.div_euclid(SLOT) + 1) * SLOT <= last;
    calls.iter().filter(|(at, _)| whole(*at)).map(|(_, tokens)| tokens).sum()
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let gap =
        prop_oneof![3 => 0..30_i64, 3 => 0..900_i64, 1 => Just(SLOT), 1 => Just(HOUR), 1 => Just(HOUR + 1)];
    prop::collection::vec((gap, 0..60_u64), 1..80).prop_map(|gaps| {
        let mut at = 0;
        let call = |(gap, tokens)| {
            at += gap;
            (at, tokens)
        };
        gaps.into_iter().map(call).collect()
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn never_early_late_by_at_most_a_slot_and_spaced(
        calls in calls(),
        threshold in prop::sample::select(vec![0, 100, 300, 900]),
        size in 1..30_usize,
        order in prop::collection::vec(any::<u32>(), 200),
    ) {
        let rule = spike(threshold);
        let mut all = objects(&calls, size);
        // Every object twice, in any order; a copy may list its records in another order.
        let copies: Vec<_> = all.iter().map(|object| object.iter().rev().copied().collect()).collect();
        all.extend(copies);
        let mut keyed: Vec<_> = order.iter().copied().zip(all).collect();
        keyed.sort();
        let alerts = run(&rule, &keyed.into_iter().map(|(_, object)| object).collect::<Vec<_>>());
        let mut times: Vec<i64> = alerts.iter().map(|(at, ..)| *at).collect();
        times.sort_unstable();
        for pair in times.windows(2) {
            prop_assert!(pair[1] - pair[0] > HOUR, "not spaced: {times:?}");
        }
        for (at, total, _, first, last) in alerts {
            prop_assert!(calls.iter().any(|(call, _)| *call == at), "at no call: {at}");
            prop_assert!(sum(&calls, at - HOUR, at) > threshold as u64, "early: {at}");
            let truth = sum(&calls, first, last);
            prop_assert!(total <= truth, "{total} of {truth}");
        }
        for (at, _) in &calls {
            let above = sum_of_slots(&calls, at - HOUR, *at) > threshold as u64;
            let covered = times.iter().any(|alert| (alert - at).abs() <= HOUR);
            prop_assert!(!above || covered, "missed: {at}, alerts {times:?}");
        }
    }

    #[test]
    fn never_early_in_whatever_mix_messages_come_back(
        calls in calls(),
        threshold in prop::sample::select(vec![0, 100, 300]),
        mixes in prop::collection::vec((any::<bool>(), any::<u64>(), 1..40_usize), 1..12),
    ) {
        let rule = spike(threshold);
        let numbered: Vec<(usize, Call)> = calls.iter().copied().enumerate().collect();
        // A file holds all calls in turn, so that none is in two; batches hold what they like.
        let size = numbered.len().div_ceil(mixes.len());
        let mut files = numbered.chunks(size);
        let mix = |(is_batch, seed, amount): &(bool, u64, usize)| {
            let way = if *is_batch { Way::Batch } else { Way::File };
            let mut dice = Dice(*seed);
            let first = dice.pick(numbered.len());
            let some = numbered[first..].iter().take(*amount).filter(|_| dice.roll(4) > 0).copied().collect();
            (way, if *is_batch { some } else { files.next().unwrap_or_default().to_vec() })
        };
        let deliveries: Vec<(Way, Vec<(usize, Call)>)> = mixes.iter().map(mix).collect();
        for (at, total, _, first, last) in run_as(&rule, deliveries.iter().map(|(way, mix)| (*way, mix))) {
            prop_assert!(sum(&calls, at - HOUR, at) > threshold as u64, "early: {at}");
            let truth = sum(&calls, first, last);
            prop_assert!(total <= truth, "{total} of {truth}");
        }
    }

    #[test]
    fn two_sources_of_the_same_calls_are_never_summed(
        calls in calls(),
        threshold in prop::sample::select(vec![0, 100, 300, 900]),
        sizes in [1..30_usize, 1..30_usize],
        missing in prop::collection::vec(0..4_u8, 80),
    ) {
        // Each source lacks some calls, and batches the others in its own way.
        let [own, copy] = [1, 2].map(|lost| {
            let known = calls.iter().copied().enumerate().filter(|(number, _)| missing[*number] != lost);
            known.collect::<Vec<_>>()
        });
        let own: Vec<_> = own.chunks(sizes[0]).map(<[_]>::to_vec).collect();
        let copy: Vec<_> = copy.chunks(sizes[1]).map(<[_]>::to_vec).collect();
        let own = own.into_iter().map(|calls| (Way::File, calls));
        let all: Vec<_> = own.chain(copy.into_iter().map(|calls| (Way::Copy, calls))).collect();
        for (at, total, _, first, last) in run_as(&spike(threshold), all.iter().map(|(way, calls)| (*way, calls))) {
            prop_assert!(sum(&calls, at - HOUR, at) > threshold as u64, "early: {at}");
            let truth = sum(&calls, first, last);
            prop_assert!(total <= truth, "{total} of {truth}");
        }
    }
}
