//! How much the counters of a summing rule hold between two times.
//!
//! A contribution knows its amount, and its samples the time span, but not how much fell when. So a
//! shard of a slot counts only once all of it lies between the two times: never early, and late by at
//! most the length of a slot.
//!
//! The sources may record the same calls, so each has its own sum, and the largest counts.

use crate::count::counter::Counter;
use crate::count::step;
use crate::log::denial::Source;
use crate::log::time::EventTime;

/// Each shard's amount and time span.
pub struct Sums(Vec<Shard>);

struct Shard {
    source: Source,
    first: EventTime,
    last: EventTime,
    amount: u64,
    at_least: bool,
}

/// What lies between two times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Never above the truth.
    pub total: u64,
    /// `total` is a lower bound.
    pub at_least: bool,
}

impl Sums {
    #[must_use]
    pub fn new(counters: &[Counter]) -> Self {
        let shards = counters.iter().flat_map(|counter| {
            counter.shards.values().filter_map(|shard| {
                let amounts = shard.contributions.iter().map(|one| one.denials);
                Some(Shard {
                    source: counter.slot.source,
                    first: shard.samples.first()?.at,
                    last: shard.samples.last()?.at,
                    amount: amounts.fold(0, u64::saturating_add),
                    at_least: shard.contributions.iter().any(|one| one.at_least),
                })
            })
        });
        Self(shards.collect())
    }

    /// The tokens from `first` to `last`.
    #[must_use]
    pub fn between(&self, first: EventTime, last: EventTime) -> Sum {
        step(self.0.len());
        let mut sums = [(false, Sum::default()); Source::ALL.len()];
        for shard in self.0.iter().filter(|shard| shard.first <= last && first <= shard.last) {
            let Some((is_there, sum)) = sums.get_mut(shard.source as usize) else { continue };
            let within = first <= shard.first && shard.last <= last;
            *is_there = true;
            sum.at_least |= shard.at_least || !within;
            if within {
                sum.total = sum.total.saturating_add(shard.amount);
            }
        }
        let there = || sums.iter().filter(|(is_there, _)| *is_there).map(|(_, sum)| *sum);
        // What only another source shows is not in the largest sum.
        let at_least = there().any(|sum| sum.at_least) || there().count() > 1;
        Sum { total: there().map(|sum| sum.total).max().unwrap_or_default(), at_least }
    }
}
