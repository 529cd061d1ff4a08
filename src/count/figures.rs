//! The figures of one alert, from everything that its key holds between two times.
//!
//! Samples are known one by one. Where an object holds more values than its samples, its slot knows how many, and
//! when the first and the last of them was. Another object may hold the same denials, so of those that overlap only
//! as many count as certainly differ.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use foldhash::HashSet;

use crate::call::{Cloud, Source};
use crate::count::counter::{Counter, Shard};
use crate::count::evidence::{Evidence, Kind};
use crate::count::sums::{Spanned, Sum, apart};
use crate::count::value::DistinctValue;
use crate::source::time::EventTime;

/// The most distinct values that an alert lists.
pub const MAX_LISTED: usize = 10;

/// The figures of one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The oldest known denial in the window that ends at the alert.
    pub first_seen: EventTime,
    /// The newest known denial no later than the alert plus the cooldown.
    pub last_seen: EventTime,
    /// Distinct values from `first_seen` to `last_seen`; never above the truth.
    pub total: u64,
    /// `total` is a lower bound.
    pub is_lower_bound: bool,
    /// How far apart they are; `None` unless all are known and there are at least three.
    pub gaps: Option<Gaps>,
    /// The newest distinct values between the two, newest last.
    pub newest: Vec<String>,
    /// The logs that recorded it.
    pub sources: BTreeSet<Source>,
    /// Their evidence: the first few of each kind, over the slots touched.
    pub evidence: BTreeSet<Evidence>,
}

/// The shortest and the longest time between one denial and the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gaps {
    /// The shortest.
    pub shortest: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Gaps {
    /// Between `times`, in order.
    fn of(times: &[EventTime]) -> Option<Self> {
        let gaps = || times.windows(2).filter_map(|pair| Some(pair.last()?.since(*pair.first()?)));
        (times.len() > 2).then_some(Self { shortest: gaps().min()?, longest: gaps().max()? })
    }

    /// Whether they differ by no more than a second, which logs round to, or a tenth.
    #[must_use]
    pub fn is_regular(self) -> bool {
        let tenth = self.longest.checked_div(10).unwrap_or_default();
        self.longest.saturating_sub(self.shortest) <= Duration::from_secs(1).max(tenth)
    }
}

impl Figures {
    /// The logs that recorded it; a copy of one is no other log.
    #[must_use]
    pub fn logs(&self) -> BTreeSet<Source> {
        self.sources.iter().map(|source| source.log()).collect()
    }

    /// The cloud whose logs recorded it.
    #[must_use]
    pub fn cloud(&self) -> Cloud {
        self.sources.iter().map(|source| source.cloud()).min().unwrap_or(Cloud::Aws)
    }

    /// The little that is certain about an alert whose counters are gone, or were counted under other settings: it
    /// fired, above a threshold that may have been another one.
    #[must_use]
    pub fn at_least(at: EventTime) -> Self {
        Self {
            first_seen: at,
            last_seen: at,
            total: 1,
            is_lower_bound: true,
            gaps: None,
            newest: Vec::new(),
            sources: BTreeSet::new(),
            evidence: BTreeSet::new(),
        }
    }

    /// Of `samples` in order of time, and the counters that they are in, sorted by slot; `None` if there is no
    /// sample.
    pub(super) fn of(
        samples: &[(EventTime, &DistinctValue)],
        counters: &[Counter],
        recurs: bool,
    ) -> Option<Self> {
        let ((first_seen, _), (last_seen, _)) = (*samples.first()?, *samples.last()?);
        let (mut distinct, mut newest) = (HashSet::default(), Vec::new());
        for (_, value) in samples.iter().rev() {
            if distinct.insert(*value) && newest.len() < MAX_LISTED {
                newest.insert(0, value.to_string());
            }
        }
        let (mut total, mut at_least) = (distinct.len() as u64, false);
        // Both logs may record a call, at times that differ a little.
        let mut met = HashSet::default();
        let firsts = samples.iter().filter(|(_, value)| met.insert(*value)).map(|(at, _)| *at);
        let firsts: Vec<EventTime> = firsts.collect();
        let (mut sources, mut evidence) = (BTreeSet::new(), BTreeSet::new());
        for slot in counters.chunk_by(|one, other| one.slot.start == other.slot.start) {
            let (mut sampled, mut most) = (HashSet::default(), 0);
            let (mut logs, mut is_full) = (0_usize, false);
            for counter in slot {
                let Some(held) = SourceBound::of(counter, &(first_seen..=last_seen), recurs, &mut sampled)
                else {
                    continue;
                };
                logs = logs.saturating_add(1);
                most = most.max(held.total);
                is_full |= held.is_full;
                at_least |= held.at_least;
                sources.insert(counter.slot.source);
                evidence.extend(counter.evidence().cloned());
            }
            // The sources record the same denials, so the larger number counts, not the sum.
            at_least |= is_full && logs > 1;
            if recurs {
                total = total.max(most);
            } else {
                total = total.saturating_add(most.saturating_sub(sampled.len() as u64));
            }
        }
        let evidence = first_of_each_kind(evidence);
        let is_all_known = !recurs && !at_least && total == firsts.len() as u64;
        let gaps = Gaps::of(&firsts).filter(|_| is_all_known);
        Some(Self { first_seen, last_seen, total, is_lower_bound: at_least, gaps, newest, sources, evidence })
    }
}

/// What one source holds of a slot within a stretch of time.
#[derive(Default)]
struct SourceBound {
    /// Distinct values; never above the truth.
    total: u64,
    /// `total` is a lower bound.
    at_least: bool,
    /// It holds more values than its samples.
    is_full: bool,
}

impl SourceBound {
    /// `None` if no sample lies within. The values of those that do are added to `sampled`.
    fn of<'c>(
        counter: &'c Counter,
        within: &RangeInclusive<EventTime>,
        recurs: bool,
        sampled: &mut HashSet<&'c DistinctValue>,
    ) -> Option<Self> {
        let mut held = Self::default();
        let mut parts = Vec::new();
        for shard in counter.shards.values() {
            let inside: Vec<_> = shard.samples.iter().filter(|sample| within.contains(&sample.at)).collect();
            let (Some(first), Some(last)) = (shard.samples.first(), shard.samples.last()) else { continue };
            let (is_full, is_whole) = (is_full(shard), inside.len() == shard.samples.len());
            if is_full && first.at <= *within.end() && *within.start() <= last.at {
                held.is_full = true;
                // What an end of the stretch cuts off is unknown.
                held.at_least |= !is_whole;
            }
            let (Some(first), Some(last)) = (inside.first(), inside.last()) else { continue };
            // An object's earliest and latest denials are among its samples, so this is when its denials were. Which
            // of the objects in one shard share denials, nothing shows.
            let most = shard.contributions.iter().map(|one| one.amount).max().filter(|_| is_whole);
            let exact = shard.contributions.len() <= 1 && shard.contributions.iter().all(|one| !one.at_least);
            let (first, last, at_least) = (first.at, last.at, is_full && !exact);
            parts.push((Spanned { first, last, amount: most.unwrap_or(0), at_least }, is_full, inside));
        }
        parts.sort_unstable_by_key(|(part, ..)| part.first);
        let mut parts = parts.into_iter().peekable();
        parts.peek()?;
        while let Some((first, mut is_full, inside)) = parts.next() {
            let mut values: HashSet<&DistinctValue> = inside.iter().map(|sample| &sample.value).collect();
            let (mut end, mut group) = (first.last, vec![first]);
            while let Some((part, full, inside)) = parts.next_if(|(next, ..)| recurs || next.first <= end) {
                values.extend(inside.iter().map(|sample| &sample.value));
                end = end.max(part.last);
                group.push(part);
                is_full |= full;
            }
            group.sort_unstable_by_key(|part| part.last);
            let Sum { total, at_least } = apart(&group);
            let most = group.iter().map(|part| part.amount).max().filter(|_| recurs);
            held.at_least |= is_full && (at_least || recurs || group.len() > 1);
            held.total = held.total.saturating_add(most.unwrap_or(total).max(values.len() as u64));
            sampled.extend(values);
        }
        Some(held)
    }
}

/// Whether an object holds more values than it samples.
fn is_full(shard: &Shard) -> bool {
    shard.contributions.iter().any(|one| one.sampled != one.amount || one.at_least)
}

/// The first of each kind, as many as it [keeps](Kind::most).
fn first_of_each_kind(mut evidence: BTreeSet<Evidence>) -> BTreeSet<Evidence> {
    let mut count: BTreeMap<Kind, usize> = BTreeMap::new();
    evidence.retain(|one| {
        let count = count.entry(one.kind).or_default();
        *count = count.saturating_add(1);
        *count <= one.kind.most()
    });
    evidence
}
