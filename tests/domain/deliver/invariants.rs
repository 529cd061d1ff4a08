//! The invariants of the design, over random logs, batchings, orders and duplicates.

use crate::depth;
use crate::support::*;
use bedrock_denial_watch::call::Source;
use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::deliver::{Delivery, Failure, Pipeline};
use bedrock_denial_watch::rule::catalogue::ALL;
use bedrock_denial_watch::rule::definition::{Rule, Weight};
use bedrock_denial_watch::source::time::EventTime;
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Scenario {
    rule: Rule,
    denials: Vec<Denied>,
    /// Sizes of the objects that the denials are cut into.
    cuts: Vec<usize>,
    /// Objects delivered again, and the order of delivery, as random keys.
    again: Vec<prop::sample::Index>,
    order: Vec<u32>,
}

impl Scenario {
    /// Objects in time order.
    fn batches(&self) -> Vec<Batch> {
        let mut rest = self.denials.as_slice();
        let mut batches = Vec::new();
        for cut in self.cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (batch, later) = rest.split_at((*cut).min(rest.len()));
            batches.push(batch.to_vec());
            rest = later;
        }
        batches
    }
}

/// Every rule that counts, with a range of figures; `sums` covers the rules that sum, `served` the one about watched
/// callers.
fn rules() -> impl Strategy<Value = Rule> {
    let counting = ALL.iter().filter(|rule| rule.weight == Weight::One && has_log(rule));
    let counting = counting.filter(|rule| !rule.is_about_watched());
    let which = prop::sample::select(counting.cloned().collect::<Vec<_>>());
    let window = prop::sample::select(vec![60, 300, 420, 3600, 3600, 3600, 7200, 86_400]);
    let cooldown = prop::sample::select(vec![None, None, None, Some(60), Some(600), Some(10_000)]);
    (which, prop_oneof![Just(3_usize), 1..=10_usize], window, cooldown).prop_map(
        |(which, threshold, window, cooldown)| tuned(&which, threshold, window, cooldown.unwrap_or(window)),
    )
}

/// Gaps between denials that hit every edge: ties, one second, slot ends, window and cooldown ends.
fn gaps(rule: &Rule) -> impl Strategy<Value = i64> + use<> {
    let window = i64::try_from(rule.window.as_secs()).expect("small");
    let cooldown = i64::try_from(rule.cooldown.as_secs()).expect("small");
    prop_oneof![
        4 => Just(0),
        4 => 1..10_i64,
        4 => 0..=window / 4,
        2 => Just(window / 3),
        1 => Just(window),
        1 => Just(window + 1),
        1 => Just(cooldown),
        1 => Just(cooldown + 1),
        1 => Just(600),
    ]
}

fn scenarios(sizes: impl Strategy<Value = usize> + Clone + 'static) -> impl Strategy<Value = Scenario> {
    rules().prop_flat_map(move |rule| {
        let one = (gaps(&rule), prop_oneof![5 => Just(1_u8), 1 => Just(2)]);
        (
            Just(rule),
            prop::collection::vec(one, 0..90),
            prop::collection::vec(sizes.clone(), 1..6),
            prop::collection::vec(any::<prop::sample::Index>(), 0..5),
            prop::collection::vec(any::<u32>(), 100),
            prop::sample::select(vec![1_000, 30, 12, 5]),
        )
            .prop_map(|(rule, gaps, cuts, again, order, different)| {
                // Models and sessions recur.
                let different = if rule.distinct.recurs() { different } else { u32::MAX };
                let mut at = 0;
                let denials = (0..).zip(gaps).map(|(value, (gap, key))| {
                    at += gap;
                    Denied { at, key, value: value % different }
                });
                Scenario { rule, denials: denials.collect(), cuts, again, order }
            })
    })
}

/// Delivers everything from invocation logs.
fn run(rule: &Rule, batches: &[Batch]) -> Vec<Told> {
    run_from(|_| Source::InvocationLog, rule, batches)
}

/// Picks a log by random number; sometimes always the same one.
fn either(random: &[u32]) -> impl Fn(usize) -> Source + use<'_> {
    let logs = match random.last() {
        Some(last) if last.is_multiple_of(3) => [Source::InvocationLog, Source::InvocationLog],
        Some(last) if last.is_multiple_of(2) => [Source::CloudTrail, Source::CloudTrail],
        Some(last) if last.is_multiple_of(5) => [Source::InvocationLog, Source::CloudWatch],
        Some(last) if last.is_multiple_of(7) => [Source::CloudWatch, Source::CloudTrail],
        Some(last) if last.is_multiple_of(11) => [Source::AzureOpenAi, Source::AzureOpenAi],
        Some(last) if last.is_multiple_of(13) => [Source::InvocationLog, Source::AzureOpenAi],
        _ => [Source::InvocationLog, Source::CloudTrail],
    };
    move |number| logs[usize::from(random[number % random.len()].is_multiple_of(2))]
}

fn run_from(source: impl Fn(usize) -> Source, rule: &Rule, batches: &[Batch]) -> Vec<Told> {
    let sink = Recording::default();
    let pipeline = pipeline(rule.clone(), MemoryStore::default(), &sink);
    let mut known = 0;
    block_on(async {
        for (number, batch) in batches.iter().enumerate() {
            let owner = format!("delivery {number}");
            let outcome = deliver_from(source(number), &pipeline, batch, &owner, 1_000).await;
            assert!(outcome.failures.is_empty());
            let told = sink.told.borrow();
            for alert in &told[known..] {
                assert_figures(&batches[..=number], rule, alert);
            }
            known = told.len();
        }
    });
    sink.told.take()
}

pub fn config() -> ProptestConfig {
    depth::cases(256, 64, 20_250_601)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_order_and_duplication_is_sound_complete_and_spaced(scenario in scenarios(1..40_usize)) {
        let mut batches = scenario.batches();
        let whole = batches.clone();
        if !batches.is_empty() {
            batches.extend(scenario.again.iter().map(|index| {
                // A copy under another name may list its records in another order.
                let mut copy = index.get(&whole).clone();
                copy.reverse();
                copy
            }));
        }
        let mut keyed: Vec<(u32, Batch)> = scenario.order.iter().copied().cycle().zip(batches).collect();
        keyed.sort();
        let batches: Vec<Batch> = keyed.into_iter().map(|(_, batch)| batch).collect();
        let told = run_from(either(&scenario.order), &scenario.rule, &batches);
        assert_invariants(&whole, &scenario.rule, &told);
    }

    #[test]
    fn in_time_order_the_alerts_are_those_of_the_scan(scenario in scenarios(1..8_usize)) {
        // Two denials per object for each of threshold + 1: no slot holds more than its samples.
        let batches: Vec<Batch> = scenario.batches();
        prop_assume!(batches.iter().all(|batch| batch.len() <= 2 * scenario.rule.samples()));
        let told = run_from(either(&scenario.order), &scenario.rule, &batches);
        let times = assert_invariants(&batches, &scenario.rule, &told);
        for key in [1, 2] {
            let expected = greedy(&of_key(&batches, key), &scenario.rule);
            prop_assert_eq!(times.get(&key).cloned().unwrap_or_default(), expected);
        }
        for alert in told {
            prop_assert!(!alert.at_least);
        }
    }

    #[test]
    fn a_saturated_slot_still_fires_first_at_the_exact_denial(scenario in scenarios(20..90_usize)) {
        let batches = scenario.batches();
        let told = run_from(either(&scenario.order), &scenario.rule, &batches);
        let times = assert_invariants(&batches, &scenario.rule, &told);
        for key in [1, 2] {
            let expected = greedy(&of_key(&batches, key), &scenario.rule);
            let got = times.get(&key).cloned().unwrap_or_default();
            prop_assert_eq!(got.first(), expected.first());
        }
    }

    #[test]
    fn objects_that_share_denials_count_each_once(scenario in scenarios(1..40_usize), cuts in prop::collection::vec(1..40_usize, 1..4)) {
        // The same denials, split two ways, and perhaps from the other log.
        let other = Scenario { cuts, ..scenario.clone() };
        let batches = [scenario.batches(), other.batches()].concat();
        let told = run_from(either(&scenario.order), &scenario.rule, &batches);
        assert_invariants(&batches, &scenario.rule, &told);
    }

    #[test]
    fn deliveries_at_the_same_time_alert_as_one(scenario in scenarios(1..40_usize), seed in 1..u64::MAX) {
        let batches = scenario.batches();
        let (store, sink) = (MemoryStore::default(), Recording::default());
        let weather = Weather { seed: seed.into(), ..Weather::default() };
        let pipeline = in_weather(scenario.rule.clone(), &store, &sink, &weather);
        // Every object is delivered twice, all at once.
        let owners: Vec<String> = (0..2 * batches.len()).map(|number| format!("delivery {number}")).collect();
        let outcomes = block_on(futures_util::future::join_all(
            owners.iter().zip(batches.iter().cycle()).enumerate().map(|(number, (owner, batch))| {
                deliver_from(either(&scenario.order)(number), &pipeline, batch, owner, 1_000)
            }),
        ));
        // One that lost too many races failed, and comes back.
        for (number, outcome) in outcomes.iter().enumerate().filter(|(_, outcome)| outcome.failed > 0) {
            let is_contended = |failure: &Failure| matches!(failure, Failure::Contended(_) | Failure::Held(_));
            prop_assert!(outcome.failures.iter().all(is_contended), "{:?}", outcome.failures);
            let (owner, batch) = (&owners[number], &batches[number % batches.len()]);
            let again = deliver_from(either(&scenario.order)(number), &pipeline, batch, owner, 2_000);
            prop_assert_eq!(block_on(again).failed, 0);
        }
        let told = sink.told.take();
        assert_invariants(&batches, &scenario.rule, &told);
        let ids: std::collections::BTreeSet<&String> = told.iter().map(|alert| &alert.id).collect();
        prop_assert_eq!(ids.len(), told.len(), "an alert was published twice");
    }
}

/// Every alert that `rules` raise for these logs, sorted.
fn documents(rules: &[Rule], logs: &[String]) -> Vec<String> {
    let (store, sink) = (MemoryStore::default(), Documents::default());
    let pipeline = Pipeline { rules: rules.to_vec(), ..pipeline(rules[0].clone(), store, &sink) };
    for log in logs {
        let read = read(&pipeline, log);
        let claimant = Claimant { owner: "owner", now: 1_000, lease: LEASE };
        let delivery = Delivery { object: "object", claimant };
        let outcome = block_on(pipeline.commit(read.tally, delivery));
        assert!(outcome.failures.is_empty());
    }
    // Rules share the incidents of a caller, and what it was served since they began.
    let alone = |document: String| {
        let mut document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
        let members = document.as_object_mut().expect("an object");
        members.remove("served");
        let incident = members.remove("incident");
        assert!(incident.is_some_and(|incident| incident["number"].is_u64()));
        document.to_string()
    };
    let mut told: Vec<String> = sink.told.take().into_iter().map(alone).collect();
    told.sort();
    told
}

proptest! {
    #![proptest_config(ProptestConfig { cases: config().cases / 2, ..config() })]

    #[test]
    fn rules_that_share_a_reading_tell_what_each_tells_alone(
        calls in prop::collection::vec((0..4000_i64, 0..3, 0..6, 0..4, any::<bool>()), 0..80),
        cut in 1..30_usize,
    ) {
        let record = |(number, (at, user, model, session, invalid)): (usize, &(i64, i32, i32, i32, bool))| {
            let time = EventTime::from_epoch_ms((TEN + at) * 1000);
            let user = match user {
                0 => format!(r#","identity":{{"arn":"arn:aws:sts::1:assumed-role/R/s{session}"}}"#),
                1 => r#","identity":{"arn":"arn:aws:iam::1:user/u"}"#.to_owned(),
                _ => String::new(),
            };
            let model = if *model == 0 { String::new() } else { format!(r#","modelId":"m{model}""#) };
            let code = if *invalid { "ValidationException" } else { "AccessDeniedException" };
            format!(r#"{{"timestamp":"{time}","requestId":"r{number}","errorCode":"{code}"{user}{model}}}"#)
        };
        let records: Vec<String> = calls.iter().enumerate().map(record).collect();
        let logs: Vec<String> = records.chunks(cut).map(|records| records.join("\n")).collect();
        let mut alone: Vec<String> =
            ALL.iter().flat_map(|rule| documents(std::slice::from_ref(rule), &logs)).collect();
        alone.sort();
        prop_assert_eq!(documents(&ALL, &logs), alone);
    }
}

/// `times` are seconds; expected alert times and totals.
#[track_caller]
fn check(rule: &Rule, batches: &[&[i64]], expected: &[(i64, u64)]) {
    let mut value = 0;
    let batches: Vec<Batch> = batches
        .iter()
        .map(|times| {
            let one = |at: &i64| {
                value += 1;
                Denied { at: *at, key: 1, value }
            };
            times.iter().map(one).collect()
        })
        .collect();
    let told = run(rule, &batches);
    assert_invariants(&batches, rule, &told);
    let got: Vec<(i64, u64)> = told.iter().map(|alert| (alert.at, alert.total)).collect();
    assert_eq!(got, expected);
}

#[test]
fn the_window_has_both_ends() {
    let hour = rule(3, 3600, 3600);
    check(&hour, &[&[0, 1, 2, 3600]], &[(3600, 4)]);
    check(&hour, &[&[0, 1, 2, 3601]], &[]);
    check(&hour, &[&[0], &[1], &[2], &[3600]], &[(3600, 4)]);
    check(&hour, &[&[0, 0, 0, 0]], &[(0, 4)]);
    check(&hour, &[&[0, 0, 0]], &[]);
}

#[test]
fn one_alert_a_cooldown() {
    let hour = rule(3, 3600, 3600);
    check(&hour, &[&[0, 1, 2, 3], &[4, 5, 6, 3603]], &[(3, 4)]);
    check(&hour, &[&[0, 1, 2, 3], &[3601, 3602, 3603, 3604]], &[(3, 4), (3604, 4)]);
    check(&rule(3, 3600, 60), &[&[0, 1, 2, 3, 63, 64]], &[(3, 5), (64, 6)]);
}

#[test]
fn three_and_three_across_a_clock_hour_fire() {
    check(&rule(3, 3600, 3600), &[&[3000, 3100, 3200], &[3700, 3800, 3900]], &[(3700, 6)]);
}

#[test]
fn a_late_object_makes_what_followed_it_hot() {
    check(&rule(3, 3600, 3600), &[&[1000, 1001, 1002], &[500]], &[(1002, 4)]);
}

#[test]
fn a_large_attack_in_one_object_is_counted_whole() {
    let times: Vec<i64> = (0..1000).map(|number| number / 4).collect();
    check(&rule(3, 3600, 3600), &[&times], &[(0, 1000)]);
}

#[test]
fn threshold_zero_fires_at_the_first_denial() {
    check(&rule(0, 3600, 3600), &[&[5, 6]], &[(5, 2)]);
}

/// One denial: seconds and request.
#[track_caller]
fn check_requests(batches: &[&[(i64, u32)]], expected: &[i64]) {
    let batch = |batch: &&[(i64, u32)]| {
        batch.iter().map(|(at, value)| Denied { at: *at, key: 1, value: *value }).collect()
    };
    let batches: Vec<Batch> = batches.iter().map(batch).collect();
    let rule = rule(3, 3600, 3600);
    let told = run(&rule, &batches);
    assert_invariants(&batches, &rule, &told);
    assert_eq!(told.iter().map(|alert| alert.at).collect::<Vec<_>>(), expected);
}

#[test]
fn a_request_that_is_logged_again_later_is_one_request_at_two_times() {
    check_requests(&[&[(0, 1)], &[(599, 1)], &[(4100, 2), (4100, 3), (4100, 4)]], &[4100]);
    check_requests(&[&[(0, 1), (0, 2), (0, 3)], &[(500, 1), (500, 2), (500, 3)]], &[]);
}
