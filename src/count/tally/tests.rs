use std::collections::HashSet;

use super::*;
use crate::call::Source;
use crate::call::guardrail::Facts;
use crate::rule::catalogue::DENIED_MODEL;

fn denial(second: i64, request: &'static str) -> Call<'static> {
    Call {
        source: Source::InvocationLog,
        at: EventTime::from_epoch_ms(second * 1000),
        account: None,
        user: Some("u".into()),
        model: None,
        model_called: None,
        resource: None,
        region: None,
        request_id: request.into(),
        error_code: "AccessDeniedException".into(),
        source_ip: None,
        user_agent: None,
        access_key_id: None,
        caller_account: None,
        vpc_endpoint: None,
        api_key: None,
        is_model_call: true,
        service: Some("bedrock".into()),
        operation: None,
        succeeded: false,
        credential: None,
        on_behalf: false,
        facts: Facts::default(),
        denied_by: None,
        cause: None,
        denying_policy: None,
    }
}

/// `second:request …` → per slot `denials [samples]`.
#[track_caller]
fn check(threshold: usize, denials: &[(i64, &'static str)], expected: &[&str]) {
    let mut hashes = HashSet::new();
    let mut orders = [denials.to_vec(), denials.to_vec()];
    orders[1].reverse();
    for order in orders {
        let mut tally = Tally::new(vec![Rule { threshold, ..DENIED_MODEL.clone() }], Vec::new());
        for (second, request) in order {
            tally.add(&denial(second, request));
        }
        let summaries: Vec<Summary> = tally.into_summaries().collect();
        let [summary] = &summaries[..] else { panic!("one key") };
        let shown: Vec<String> = summary
            .contributions()
            .map(|(_, slot)| {
                let samples: Vec<String> = slot
                    .samples
                    .iter()
                    .map(|sample| format!("{}{}", sample.at.epoch_ms() / 1000, sample.value))
                    .collect();
                format!("{}/{} {}", slot.digest.sampled, slot.digest.amount, samples.join(" "))
            })
            .collect();
        assert_eq!(shown, expected);
        hashes.insert(summary.contributions().map(|(_, slot)| slot.digest.hash).collect::<Vec<_>>());
    }
    assert_eq!(hashes.len(), 1, "the digest depends on the order");
}

#[test]
fn a_slot_keeps_the_earliest_at_their_first_and_the_latest_at_their_last_time() {
    check(1, &[(1, "a"), (2, "b"), (3, "c")], &["3/3 1a 2b 3c"]);
    check(1, &[(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e"), (6, "f")], &["4/6 1a 2b 5e 6f"]);
    check(0, &[(1, "a"), (2, "b"), (3, "a")], &["1/2 1a 3a"]);
    check(1, &[(1, "a"), (2, "a"), (3, "a"), (4, "b")], &["2/2 1a 3a 4b"]);
    check(1, &[(5, "a"), (5, "b"), (5, "c"), (5, "d"), (5, "e")], &["4/5 5a 5b 5d 5e"]);
}

#[test]
fn slots_are_apart() {
    check(3, &[(599, "a"), (600, "a"), (1199, "b")], &["1/1 599a", "2/2 600a 1199b"]);
}

#[test]
fn exempt_users_are_counted_only() {
    let glob = Pattern::new("u*").expect("a glob");
    let mut tally = Tally::new(vec![DENIED_MODEL.clone()], vec![glob]);
    tally.add(&denial(1, "a"));
    tally.add(&Call { user: None, ..denial(1, "b") });
    assert_eq!(tally.exempted(), 1);
    assert_eq!(tally.into_summaries().count(), 1);
}
