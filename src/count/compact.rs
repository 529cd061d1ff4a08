//! The counters of one key in little memory. A caller can invent a hundred thousand keys or slots in one object, and
//! nearly all of them hold one contribution: sets and trees, which reserve room for eleven, would take four times as
//! much.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::mem;
use std::ops::RangeInclusive;

use crate::count::counter::{Contribution, Counter, Digest, Sample, Slot};
use crate::count::evidence::Evidence;
use crate::source::time::EventTime;

/// What is stored of one key, by slot and source.
#[derive(Clone, Debug, Default)]
pub enum Counters {
    /// Nothing.
    #[default]
    None,
    /// One slot.
    One(Slot, Held),
    /// Any number.
    Many(BTreeMap<Slot, Held>),
}

/// What is stored of one slot.
#[derive(Clone, Debug)]
pub enum Held {
    /// A single contribution.
    One(Box<One>),
    /// Any number.
    Many(Box<Counter>),
}

/// A single contribution, without room for more.
#[derive(Clone, Debug)]
pub struct One {
    digest: Digest,
    samples: Box<[Sample]>,
    evidence: Box<[Evidence]>,
}

impl Held {
    fn new(contribution: &Contribution) -> Self {
        let Contribution { digest, samples, evidence } = contribution;
        Self::One(Box::new(One {
            digest: digest.clone(),
            samples: samples.iter().cloned().collect(),
            evidence: evidence.iter().cloned().collect(),
        }))
    }

    fn add(&mut self, slot: Slot, contribution: &Contribution) {
        match self {
            Self::One(one) if one.digest == contribution.digest => {}
            Self::One(_) => {
                let mut counter = self.counter(slot);
                counter.add(contribution);
                *self = Self::Many(Box::new(counter));
            }
            Self::Many(counter) => drop(counter.add(contribution)),
        }
    }

    fn counter(&self, slot: Slot) -> Counter {
        match self {
            Self::One(one) => {
                let One { digest, samples, evidence } = &**one;
                let mut counter = Counter::new(slot);
                counter.add(&Contribution {
                    digest: digest.clone(),
                    samples: samples.iter().cloned().collect(),
                    evidence: evidence.iter().cloned().collect(),
                });
                counter
            }
            Self::Many(counter) => (**counter).clone(),
        }
    }
}

impl Counters {
    /// Adds `contribution` to a slot unless it was added before.
    pub fn add(&mut self, slot: Slot, contribution: &Contribution) {
        match self {
            Self::None => *self = Self::One(slot, Held::new(contribution)),
            Self::One(only, held) if *only == slot => held.add(slot, contribution),
            Self::One(..) => {
                if let Self::One(only, held) = mem::take(self) {
                    *self = Self::Many(BTreeMap::from([(only, held), (slot, Held::new(contribution))]));
                }
            }
            Self::Many(all) => match all.entry(slot) {
                Entry::Vacant(entry) => _ = entry.insert(Held::new(contribution)),
                Entry::Occupied(mut entry) => entry.get_mut().add(slot, contribution),
            },
        }
    }

    /// All counters, by slot and source.
    #[must_use]
    pub fn all(&self) -> Vec<Counter> {
        match self {
            Self::None => Vec::new(),
            Self::One(slot, held) => vec![held.counter(*slot)],
            Self::Many(all) => all.iter().map(|(slot, held)| held.counter(*slot)).collect(),
        }
    }

    /// Those whose slots start within `starts`.
    #[must_use]
    pub fn within(&self, starts: RangeInclusive<EventTime>) -> Vec<Counter> {
        match self {
            // A tree panics at a range that ends before it begins.
            _ if starts.is_empty() => Vec::new(),
            Self::One(slot, _) if !starts.contains(&slot.start) => Vec::new(),
            Self::None | Self::One(..) => self.all(),
            Self::Many(all) => {
                all.range(Slot::of_all_sources(starts)).map(|(slot, held)| held.counter(*slot)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::call::Source;

    fn contribution(hash: &str) -> Contribution {
        Contribution {
            digest: Digest { hash: hash.to_owned(), denials: 1, sampled: 1, at_least: false, span: None },
            samples: BTreeSet::from([format!("1|{hash}").parse().expect("a sample")]),
            evidence: BTreeSet::from(["region|us-east-1".parse().expect("evidence")]),
        }
    }

    #[test]
    fn one_contribution_and_many_read_as_counters_do() {
        let slot = |start, source| Slot { start: EventTime::from_epoch_ms(start), source };
        let at = |start| EventTime::from_epoch_ms(start)..=EventTime::from_epoch_ms(start);
        let added = [
            (slot(600, Source::CloudTrail), "a"),
            (slot(600, Source::CloudTrail), "a"),
            (slot(600, Source::CloudTrail), "b"),
            (slot(600, Source::CloudTrail), "b"),
            (slot(600, Source::InvocationLog), "a"),
            (slot(600, Source::InvocationLog), "a"),
            (slot(0, Source::CloudWatch), "a"),
            (slot(0, Source::CloudWatch), "b"),
        ];
        // Each beginning and each end of the list, so that every form meets every other.
        for first in 0..added.len() {
            let (mut compact, mut plain) = (Counters::default(), BTreeMap::new());
            for (slot, hash) in &added[first..] {
                compact.add(*slot, &contribution(hash));
                plain.entry(*slot).or_insert_with(|| Counter::new(*slot)).add(&contribution(hash));
                assert_eq!(compact.all(), plain.values().cloned().collect::<Vec<_>>());
                for start in [0, 600, 1200] {
                    let within = plain.range(Slot::of_all_sources(at(start)));
                    let within: Vec<_> = within.map(|(_, counter)| counter.clone()).collect();
                    assert_eq!(compact.within(at(start)), within);
                }
            }
        }
    }

    #[test]
    fn slots_of_one_contribution_have_no_room_for_more() {
        let mut counters = Counters::default();
        for start in 0..20 {
            let slot = Slot { start: EventTime::from_epoch_ms(start), source: Source::CloudTrail };
            counters.add(slot, &contribution("a"));
            counters.add(slot, &contribution("a"));
        }
        let backwards = RangeInclusive::new(EventTime::from_epoch_ms(9), EventTime::from_epoch_ms(8));
        assert_eq!(counters.within(backwards), []);
        let Counters::Many(all) = counters else { panic!("several slots") };
        assert!(all.len() == 20 && all.values().all(|held| matches!(held, Held::One(_))));
    }
}
