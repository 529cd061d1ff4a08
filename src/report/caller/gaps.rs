//! What the logs that were read cannot show.

use std::collections::BTreeSet;

use indicatif::HumanCount;

use crate::alert::terminal::whole;
use crate::call::{Cloud, Source};
use crate::report::caller::calls::{KeptCalls, MAX_CALLS, NameKind, beginning, day};
use crate::source::time::EventTime;

/// The most days or regions that one sentence names.
const MAX_NAMED: usize = 5;
/// The most days that are looked at one by one.
const MAX_DAYS: usize = 10_000;

/// The gaps between the first and the last call, beside what is `unread`, one sentence each.
pub fn find(calls: &KeptCalls, span: Option<(EventTime, EventTime)>, unread: Vec<String>) -> Vec<String> {
    let mut gaps = Vec::new();
    let regions: BTreeSet<&str> =
        calls.iter().filter_map(|call| calls.name(NameKind::Region, call.get(NameKind::Region))).collect();
    let without = [
        (
            Source::InvocationLog,
            "No invocation log was read: calls that succeeded, and their tokens, may be missing.",
        ),
        (
            Source::CloudTrail,
            "No CloudTrail record of Bedrock was read: addresses, clients, access keys, causes and other operations \
             are missing.",
        ),
    ];
    // A caller in Azure alone stands in none of them.
    let is_in_aws = calls.clouds.is_empty() || calls.clouds.contains(&Cloud::Aws);
    for (log, sentence) in without.into_iter().filter(|_| is_in_aws) {
        if !calls.read.has(log) {
            gaps.push(sentence.to_owned());
            continue;
        }
        let missing: Vec<String> = regions
            .iter()
            .filter(|region| !calls.read.has_region(log, region))
            .map(|region| whole(Some(region)))
            .collect();
        if !missing.is_empty() {
            let log =
                if log == Source::CloudTrail { "CloudTrail record of Bedrock" } else { "invocation log" };
            gaps.push(format!("No {log} of {} was read.", some(&missing)));
        }
    }
    if let Some((first, last)) = span {
        let read = calls.read.days();
        let days = (day(first)..=day(last)).take(MAX_DAYS).filter(|day| !read.contains(day));
        let date = |day| beginning(day).to_string().split('T').next().unwrap_or_default().to_owned();
        let missing: Vec<String> = days.map(date).collect();
        if !missing.is_empty() {
            gaps.push(format!("No record of anyone on {}.", some(&missing)));
        }
    }
    if calls.left_out > 0 {
        gaps.push(format!(
            "{} records were left out: only {} calls are kept apart. Read a shorter time.",
            HumanCount(calls.left_out),
            HumanCount(MAX_CALLS as u64)
        ));
    }
    gaps.extend(unread);
    gaps
}

fn some(all: &[String]) -> String {
    let named = all.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().checked_sub(MAX_NAMED) {
        Some(more) if more > 0 => format!("{named} and {more} more"),
        _ => named,
    }
}
