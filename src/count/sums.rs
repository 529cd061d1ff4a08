//! What the counters of a rule that sums hold between two times.
//!
//! A contribution says how much it holds and its samples from when to when, but not how much at what
//! time. So a shard of a slot counts once all of it lies between the two: never too early, and late by
//! at most what a slot is long.

use crate::count::counter::Counter;
use crate::count::step;
use crate::log::time::EventTime;

/// What each shard holds, and when.
pub struct Sums(Vec<Shard>);

struct Shard {
    first: EventTime,
    last: EventTime,
    amount: u64,
    at_least: bool,
}

/// What lies between two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Never above the truth.
    pub total: u64,
    /// `total` is a lower bound.
    pub at_least: bool,
}

impl Sums {
    #[must_use]
    pub fn new(counters: &[Counter]) -> Self {
        let shards = counters.iter().flat_map(|counter| counter.shards.values());
        let shards = shards.filter_map(|shard| {
            let amounts = shard.contributions.iter().map(|one| one.denials);
            Some(Shard {
                first: shard.samples.first()?.at,
                last: shard.samples.last()?.at,
                amount: amounts.fold(0, u64::saturating_add),
                at_least: shard.contributions.iter().any(|one| one.at_least),
            })
        });
        Self(shards.collect())
    }

    /// What lies from `first` to `last`.
    #[must_use]
    pub fn between(&self, first: EventTime, last: EventTime) -> Sum {
        step(self.0.len());
        let mut sum = Sum { total: 0, at_least: false };
        for shard in self.0.iter().filter(|shard| shard.first <= last && first <= shard.last) {
            let within = first <= shard.first && shard.last <= last;
            sum.at_least |= shard.at_least || !within;
            if within {
                sum.total = sum.total.saturating_add(shard.amount);
            }
        }
        sum
    }
}
