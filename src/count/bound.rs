//! A lower bound for the distinct values that one slot holds within a stretch of time.
//!
//! Samples are known one by one. When an object holds more than its samples, the shard knows how many
//! and over which time span. Another object may hold a copy of the same denials, so unsampled values
//! are summed only over shards whose time spans do not overlap: no request can be in both.

use std::ops::RangeInclusive;

use foldhash::HashSet;

use crate::count::counter::{Counter, Shard};
use crate::count::step;
use crate::count::value::Value;
use crate::source::time::EventTime;

/// The bound that the counters of one slot, over all logs, give for a stretch of time.
#[derive(Debug)]
pub struct Bound<'c> {
    /// Distinct values besides those sampled within the stretch.
    pub unsampled: u64,
    /// The most that any one log holds.
    pub most: u64,
    /// The true number may be higher.
    pub at_least: bool,
    /// The counters with something inside the stretch.
    pub counters: Vec<&'c Counter>,
}

impl<'c> Bound<'c> {
    /// `recurs`: values such as models recur, even in shards that do not overlap.
    #[must_use]
    pub fn of(logs: &'c [Counter], within: &RangeInclusive<EventTime>, recurs: bool) -> Self {
        let mut bound = Self { unsampled: 0, most: 0, at_least: false, counters: Vec::new() };
        let mut sampled: HashSet<&Value> = HashSet::default();
        let mut full = false;
        for counter in logs {
            let Some(log) = Log::of(counter, within, recurs) else { continue };
            bound.most = bound.most.max(log.denials);
            bound.at_least |= log.at_least;
            full |= log.full;
            sampled.extend(log.sampled);
            bound.counters.push(counter);
        }
        // Both logs record the same denials, so take the larger unsampled count, not the sum.
        bound.at_least |= full && bound.counters.len() > 1;
        if !recurs {
            bound.unsampled = bound.most.saturating_sub(sampled.len() as u64);
        }
        bound
    }
}

/// What one log holds.
struct Log<'c> {
    /// The distinct values among the samples inside the stretch.
    sampled: HashSet<&'c Value>,
    /// Distinct values inside; never above the truth.
    denials: u64,
    at_least: bool,
    /// It holds more values than its samples.
    full: bool,
}

/// A shard that lies entirely inside the stretch and holds more values than its samples.
struct Full<'c> {
    shard: &'c Shard,
    time: RangeInclusive<EventTime>,
    /// Its distinct values; never above the truth.
    denials: u64,
}

impl<'c> Log<'c> {
    /// `None` if no sample lies inside.
    fn of(counter: &'c Counter, within: &RangeInclusive<EventTime>, recurs: bool) -> Option<Self> {
        let mut log = Self { sampled: HashSet::default(), denials: 0, at_least: false, full: false };
        let mut full = Vec::new();
        for shard in counter.shards.values() {
            step(shard.samples.len());
            let inside = shard.samples.iter().filter(|sample| within.contains(&sample.at));
            log.sampled.reserve(shard.samples.len());
            log.sampled.extend(inside.map(|sample| &sample.value));
            if shard.contributions.iter().all(|one| one.sampled == one.denials && !one.at_least) {
                continue;
            }
            // An object's earliest and latest denials are always among its samples, so this is
            // exactly the time span of the shard's denials.
            let (Some(first), Some(last)) = (shard.samples.first(), shard.samples.last()) else { continue };
            let time = first.at..=last.at;
            log.full |= time.start() <= within.end() && within.start() <= time.end();
            if within.contains(time.start()) && within.contains(time.end()) {
                // Objects in one shard may share denials, and nothing shows which.
                let most = shard.contributions.iter().map(|one| one.denials).max().unwrap_or_default();
                log.at_least |= shard.contributions.len() > 1;
                log.at_least |= shard.contributions.iter().any(|one| one.at_least);
                full.push(Full { shard, time, denials: most });
            }
        }
        if log.sampled.is_empty() {
            return None;
        }
        let whole = full.len();
        log.denials = if recurs {
            full.iter().map(|full| full.denials).max().unwrap_or_default()
        } else {
            let apart = apart(full);
            log.at_least |= apart.len() < whole;
            log.sum(&apart, counter, within)
        };
        log.denials = log.denials.max(log.sampled.len() as u64);
        // What the edge of the stretch cuts off, and recurring values beyond the samples, are unknown.
        let cut = counter.shards.values().any(|shard| is_full(shard) && is_cut(shard, within));
        log.at_least |= cut || (recurs && log.full);
        Some(log)
    }

    /// The denials of shards that do not overlap, plus what the others sample besides.
    fn sum(&mut self, apart: &[Full<'c>], counter: &'c Counter, within: &RangeInclusive<EventTime>) -> u64 {
        let mut beside: HashSet<&Value> = self.sampled.clone();
        for shard in counter.shards.values() {
            for sample in shard.samples.iter().filter(|sample| within.contains(&sample.at)) {
                // `apart` is in order of time.
                let next = apart.partition_point(|full| *full.time.end() < sample.at);
                if let Some(full) = apart.get(next).filter(|full| full.time.contains(&sample.at)) {
                    beside.remove(&sample.value);
                    // This may be one of the values that the full shard does not sample.
                    self.at_least |= !full.shard.samples.contains(sample);
                }
            }
        }
        apart.iter().fold(beside.len() as u64, |sum, full| sum.saturating_add(full.denials))
    }
}

fn is_full(shard: &Shard) -> bool {
    shard.contributions.iter().any(|one| one.sampled != one.denials || one.at_least)
}

/// Whether part of the shard, but not all of it, may lie within.
fn is_cut(shard: &Shard, within: &RangeInclusive<EventTime>) -> bool {
    let (Some(first), Some(last)) = (shard.samples.first(), shard.samples.last()) else { return false };
    let touches = first.at <= *within.end() && last.at >= *within.start();
    touches && !(within.contains(&first.at) && within.contains(&last.at))
}

/// The shards that do not overlap and together hold the most, in order of time: weighted interval
/// scheduling.
fn apart(mut shards: Vec<Full<'_>>) -> Vec<Full<'_>> {
    shards.sort_by_key(|full| *full.time.end());
    // The best sum over each prefix of the shards, and how many shards end before the last of them begins.
    let mut most: Vec<u64> = vec![0];
    let mut before: Vec<usize> = Vec::new();
    for full in &shards {
        let begin = *full.time.start();
        let earlier = shards.partition_point(|other| *other.time.end() < begin);
        let without = most.last().copied().unwrap_or_default();
        let with = most.get(earlier).copied().unwrap_or_default().saturating_add(full.denials);
        before.push(earlier);
        most.push(with.max(without));
    }
    let mut chosen = HashSet::default();
    let mut at = shards.len();
    while let Some(last) = at.checked_sub(1) {
        if most.get(at) == most.get(last) {
            at = last;
        } else {
            chosen.insert(last);
            // A shard ends after it begins, so this is an earlier one.
            at = before.get(last).copied().unwrap_or_default().min(last);
        }
    }
    let mut number = 0..;
    shards.retain(|_| number.next().is_some_and(|number| chosen.contains(&number)));
    shards
}
