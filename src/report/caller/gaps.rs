//! What the logs that were read cannot show.

use std::collections::BTreeSet;
use std::time::Duration;

use indicatif::HumanCount;

use crate::alert::terminal::whole;
use crate::alert::words::{clock, first_few};
use crate::call::{Cloud, Source};
use crate::report::caller::calls::{KeptCalls, MAX_CALLS, NameKind, beginning, day};
use crate::source::time::EventTime;

/// The most days or regions that one sentence names.
pub(super) const MAX_IN_SENTENCE: usize = 5;
/// The most days that are looked at one by one.
const MAX_DAYS: usize = 10_000;
/// A log without any record for so long at either end is a gap; even a busy one pauses now and then.
const SILENT: Duration = Duration::from_secs(3600);

/// The gaps in the time that was asked for, or else between the `first` and the `last` call, beside what is
/// `unread`, one sentence each.
pub fn find(calls: &KeptCalls, seen: Option<(EventTime, EventTime)>, unread: Vec<String>) -> Vec<String> {
    let mut gaps = Vec::new();
    let regions: BTreeSet<&str> =
        calls.iter().filter_map(|call| calls.name(NameKind::Region, call.get(NameKind::Region))).collect();
    for (log, name, missing) in [
        (Source::InvocationLog, "invocation log", "calls that succeeded, and their tokens, may be missing"),
        (
            Source::CloudTrail,
            "CloudTrail record of Bedrock",
            "addresses, clients, access keys, causes and other operations are missing",
        ),
    ] {
        // A caller in Azure alone stands in none of them.
        if !calls.clouds.is_empty() && !calls.clouds.contains(&Cloud::Aws) {
            continue;
        }
        let Some((first, last)) = calls.read.span(log, None) else {
            gaps.push(format!("No {name} was read: {missing}."));
            continue;
        };
        let silent = |from: EventTime, to: EventTime| {
            (to > from.plus(SILENT)).then(|| format!("No {name} from {} to {} UTC.", clock(from), clock(to)))
        };
        gaps.extend(calls.asked.since.and_then(|since| silent(since, first)));
        gaps.extend(calls.asked.until.and_then(|until| silent(last, until)));
        let read = calls.read.regions(log);
        let missing: Vec<String> = regions.difference(&read).map(|region| whole(Some(region))).collect();
        if !missing.is_empty() {
            gaps.push(format!("No {name} of {} was read.", first_few(&missing, MAX_IN_SENTENCE)));
        }
    }
    let missing = silent_days(calls, seen);
    if !missing.is_empty() {
        gaps.push(format!("No record of anyone on {}.", first_few(&missing, MAX_IN_SENTENCE)));
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

/// Days without any record, between others.
fn silent_days(calls: &KeptCalls, seen: Option<(EventTime, EventTime)>) -> Vec<String> {
    let read = calls.read.days();
    let (Some(first), Some(last)) = (read.first(), read.last()) else { return Vec::new() };
    let from = calls.asked.since.or(seen.map(|(first, _)| first)).map_or(*first, |at| day(at).max(*first));
    let to = calls.asked.until.or(seen.map(|(_, last)| last)).map_or(*last, |at| day(at).min(*last));
    let date = |day| beginning(day).to_string().split('T').next().unwrap_or_default().to_owned();
    (from..=to).take(MAX_DAYS).filter(|day| !read.contains(day)).map(date).collect()
}
