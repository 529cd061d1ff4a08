//! The figures of successive alerts in one pass over the samples: the window slides forward, so a
//! thousand alerts in one day do not read the day a thousand times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashMap;

use crate::call::Source;
use crate::count::bound::Bound;
use crate::count::counter::Counter;
use crate::count::evidence::{Evidence, Kind, MAX_EVIDENCE};
use crate::count::step;
use crate::count::value::Value;
use crate::source::time::EventTime;

/// The most distinct values that an alert lists.
pub const MAX_LISTED: usize = 10;

/// The counters of one slot, of all logs.
pub struct Slot<'c> {
    logs: &'c [Counter],
    /// The times of its first and last denial.
    first: EventTime,
    last: EventTime,
}

/// What lies between two times, which only move forward.
pub struct Sliding<'c> {
    samples: Vec<(EventTime, &'c Value)>,
    /// For each sample, the one before it with the same value. Empty until figures are asked for.
    previous: Vec<Option<usize>>,
    /// By their first denial.
    slots: Vec<Slot<'c>>,
    /// Values recur.
    recurs: bool,
    now: Now<'c>,
}

#[derive(Default)]
struct Now<'c> {
    between: Option<(EventTime, EventTime)>,
    /// The range of samples between the two times.
    oldest: usize,
    newest: usize,
    /// The newest of these of each value.
    newest_of_each: BTreeSet<usize>,
    /// The first slot that begins after the later time.
    next: usize,
    /// Slots that reach beyond the later time.
    ahead: Vec<usize>,
    /// Slots that lie entirely between, by their first denial.
    inside: BTreeMap<(EventTime, usize), Bound<'c>>,
    /// Slots that begin before the earlier time.
    behind: Vec<usize>,
    sum: Sum<'c>,
}

/// The combined bound of the slots that lie entirely between.
#[derive(Default)]
struct Sum<'c> {
    unsampled: u64,
    at_least: usize,
    most: BTreeMap<u64, usize>,
    sources: BTreeMap<Source, usize>,
    evidence: BTreeMap<Kind, BTreeMap<&'c Arc<str>, usize>>,
}

/// What lies between two times.
pub struct Between {
    /// Distinct values; never above the truth.
    pub total: u64,
    /// `total` is a lower bound.
    pub at_least: bool,
    /// The newest distinct values, newest last.
    pub newest: Vec<String>,
    /// The logs that recorded it.
    pub sources: BTreeSet<Source>,
    /// Their evidence: the first few of each kind, over the slots touched.
    pub evidence: BTreeSet<Evidence>,
}

impl<'c> Sliding<'c> {
    /// `counters` are sorted by slot; `samples` are their samples by time.
    #[must_use]
    pub fn new(counters: &'c [Counter], samples: Vec<(EventTime, &'c Value)>, recurs: bool) -> Self {
        let slots = counters.chunk_by(|one, other| one.slot.start == other.slot.start);
        let mut slots: Vec<Slot<'c>> = slots
            .filter_map(|logs| {
                let shards = || logs.iter().flat_map(|counter| counter.shards.values());
                let first =
                    shards().filter_map(|shard| shard.samples.first()).map(|sample| sample.at).min()?;
                let last = shards().filter_map(|shard| shard.samples.last()).map(|sample| sample.at).max()?;
                Some(Slot { logs, first, last })
            })
            .collect();
        slots.sort_by_key(|slot| slot.first);
        Self { samples, previous: Vec::new(), slots, recurs, now: Now::default() }
    }

    /// All samples by time.
    #[must_use]
    pub fn samples(&self) -> &[(EventTime, &'c Value)] {
        &self.samples
    }

    /// The tokens from `first` to `last`. Cheapest when both only grow from call to call.
    pub fn between(&mut self, first: EventTime, last: EventTime) -> Between {
        debug_assert!(first <= last, "{first} is after {last}");
        if self.previous.len() < self.samples.len() {
            self.link();
        }
        if self.now.between.is_some_and(|(from, to)| first < from || last < to) {
            self.now = Now::default();
        }
        self.now.between = Some((first, last));
        self.move_values(first, last);
        self.move_slots(first, last);
        self.tell(first, last)
    }

    fn link(&mut self) {
        let mut known: HashMap<&Value, usize> = HashMap::default();
        let previous = self.samples.iter().enumerate().map(|(sample, (_, value))| {
            step(1);
            known.insert(value, sample)
        });
        self.previous = previous.collect();
    }

    fn move_values(&mut self, first: EventTime, last: EventTime) {
        let Self { samples, previous, now, .. } = self;
        while samples.get(now.newest).is_some_and(|(at, _)| *at <= last) {
            step(1);
            if let Some(previous) = previous.get(now.newest).copied().flatten() {
                now.newest_of_each.remove(&previous);
            }
            now.newest_of_each.insert(now.newest);
            now.newest = now.newest.saturating_add(1);
        }
        while samples.get(now.oldest).is_some_and(|(at, _)| *at < first) {
            step(1);
            now.newest_of_each.remove(&now.oldest);
            now.oldest = now.oldest.saturating_add(1);
        }
    }

    fn move_slots(&mut self, first: EventTime, last: EventTime) {
        let Self { slots, now, recurs, .. } = self;
        while slots.get(now.next).is_some_and(|slot| slot.first <= last) {
            now.ahead.push(now.next);
            now.next = now.next.saturating_add(1);
        }
        let has_ended = |number: &usize| slots.get(*number).is_some_and(|slot| slot.last <= last);
        let (inside, ahead) = now.ahead.iter().copied().partition(has_ended);
        now.ahead = ahead;
        for number in inside as Vec<usize> {
            let Some(slot) = slots.get(number) else { continue };
            let bound = Bound::of(slot.logs, &(slot.first..=slot.last), *recurs);
            now.sum.add(&bound);
            now.inside.insert((slot.first, number), bound);
        }
        while let Some(entry) = now.inside.first_entry().filter(|entry| entry.key().0 < first) {
            let ((_, number), bound) = entry.remove_entry();
            now.sum.remove(&bound);
            now.behind.push(number);
        }
        now.behind.retain(|number| slots.get(*number).is_some_and(|slot| slot.last >= first));
    }

    fn tell(&self, first: EventTime, last: EventTime) -> Between {
        let Now { newest_of_each, ahead, behind, sum, .. } = &self.now;
        let cut = ahead.iter().chain(behind).filter_map(|number| {
            step(1);
            let slot = self.slots.get(*number)?;
            Some(Bound::of(slot.logs, &(first..=last), self.recurs))
        });
        let cut: Vec<Bound<'_>> = cut.collect();
        let most = cut.iter().map(|bound| bound.most).chain(sum.most.keys().next_back().copied()).max();
        let unsampled = cut.iter().fold(sum.unsampled, |sum, bound| sum.saturating_add(bound.unsampled));
        let touched = || cut.iter().flat_map(|bound| &bound.counters);
        let newest = newest_of_each.iter().rev().take(MAX_LISTED);
        let samples = newest.filter_map(|sample| self.samples.get(*sample));
        let mut newest: Vec<String> = samples.map(|(_, value)| value.to_string()).collect();
        newest.reverse();
        Between {
            total: (newest_of_each.len() as u64).saturating_add(unsampled).max(most.unwrap_or_default()),
            at_least: sum.at_least > 0 || cut.iter().any(|bound| bound.at_least),
            newest,
            sources: sum
                .sources
                .keys()
                .copied()
                .chain(touched().map(|counter| counter.slot.source))
                .collect(),
            evidence: first_of_each_kind(
                sum.first_evidence().chain(touched().flat_map(|counter| counter.evidence().cloned())),
            ),
        }
    }
}

/// The first [`MAX_EVIDENCE`] of each kind.
fn first_of_each_kind(evidence: impl Iterator<Item = Evidence>) -> BTreeSet<Evidence> {
    let mut count: BTreeMap<Kind, usize> = BTreeMap::new();
    let all: BTreeSet<Evidence> = evidence.collect();
    let mut few = |one: &Evidence| {
        let count = count.entry(one.kind).or_default();
        *count = count.saturating_add(1);
        *count <= MAX_EVIDENCE
    };
    all.into_iter().filter(|one| few(one)).collect()
}

impl<'c> Sum<'c> {
    fn add(&mut self, bound: &Bound<'c>) {
        self.unsampled = self.unsampled.saturating_add(bound.unsampled);
        self.at_least = self.at_least.saturating_add(usize::from(bound.at_least));
        more(&mut self.most, bound.most);
        for counter in &bound.counters {
            more(&mut self.sources, counter.slot.source);
            for one in counter.evidence() {
                step(1);
                more(self.evidence.entry(one.kind).or_default(), &one.value);
            }
        }
    }

    fn remove(&mut self, bound: &Bound<'c>) {
        self.unsampled = self.unsampled.saturating_sub(bound.unsampled);
        self.at_least = self.at_least.saturating_sub(usize::from(bound.at_least));
        less(&mut self.most, &bound.most);
        for counter in &bound.counters {
            less(&mut self.sources, &counter.slot.source);
            for one in counter.evidence() {
                if let Some(values) = self.evidence.get_mut(&one.kind) {
                    less(values, &&one.value);
                }
            }
        }
    }

    fn first_evidence(&self) -> impl Iterator<Item = Evidence> {
        self.evidence.iter().flat_map(|(kind, values)| {
            let few = values.keys().take(MAX_EVIDENCE);
            few.map(|value| Evidence { kind: *kind, value: Arc::clone(value) })
        })
    }
}

fn more<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(1);
}

fn less<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
