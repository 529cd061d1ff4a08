//! What the counters around some denials tell: which denials are hot, and an alert's figures.
//!
//! Pure functions of counters read from the store; no clock, no store.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::counter::Counter;
use crate::rule::Rule;
use crate::time::EventTime;

/// The counters of one key over some stretch of event time.
pub struct Window<'a> {
    rule: &'a Rule,
    counters: &'a [Counter],
    /// All samples by time.
    samples: BTreeSet<(EventTime, &'a str)>,
}

/// The figures of one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The oldest known denial in the window that ends at the alert.
    pub first_seen: EventTime,
    /// The newest known denial no later than the alert plus the cooldown.
    pub last_seen: EventTime,
    /// Distinct denials from `first_seen` to `last_seen`; never above the truth.
    pub total: u64,
    /// `total` is a lower bound.
    pub at_least: bool,
    /// The newest distinct values between the two, newest last.
    pub newest: Vec<String>,
}

impl Figures {
    /// All that is sure of an alert whose counters are gone: it fired.
    #[must_use]
    pub fn at_least(rule: &Rule, at: EventTime) -> Self {
        let total = rule.threshold as u64 + 1;
        Self {
            first_seen: at,
            last_seen: at,
            total,
            at_least: true,
            newest: Vec::new(),
        }
    }
}

/// Distinct values that an alert lists.
pub const MAX_LISTED: usize = 10;

impl<'a> Window<'a> {
    /// The counters must cover the whole stretch that is asked about later.
    #[must_use]
    pub fn new(rule: &'a Rule, counters: &'a [Counter]) -> Self {
        let samples = counters.iter().flat_map(|counter| &counter.samples);
        Self {
            rule,
            counters,
            samples: samples
                .map(|sample| (sample.at, sample.value.as_str()))
                .collect(),
        }
    }

    /// The times of the known hot denials from `from` to `to`: those that have more than
    /// `threshold` distinct values in the window that ends with them.
    #[must_use]
    pub fn hot(&self, from: EventTime, to: EventTime) -> Vec<EventTime> {
        let mut hot = Vec::new();
        let mut inside: HashMap<&str, usize> = HashMap::new();
        let start = (from.minus(self.rule.window), "");
        let mut oldest = self.samples.range(start..).peekable();
        let mut newest = self.samples.range(start..).peekable();
        while let Some(&&(now, _)) = newest.peek() {
            if now > to {
                break;
            }
            while let Some((_, value)) = newest.next_if(|(at, _)| *at == now) {
                *inside.entry(value).or_default() += 1;
            }
            while let Some((_, value)) = oldest.next_if(|(at, _)| *at < now.minus(self.rule.window))
            {
                if let Some(count) = inside.get_mut(value) {
                    *count -= 1;
                    if *count == 0 {
                        inside.remove(value);
                    }
                }
            }
            if now >= from && inside.len() > self.rule.threshold {
                hot.push(now);
            }
        }
        hot
    }

    /// The figures of an alert at `at`; `None` when no denial is known in its window.
    #[must_use]
    pub fn figures(&self, at: EventTime) -> Option<Figures> {
        let from = (at.minus(self.rule.window), "");
        let (first_seen, _) = *self
            .samples
            .range(from..)
            .next()
            .filter(|(first, _)| *first <= at)?;
        let until = at.plus(self.rule.cooldown);
        let between = || {
            let from_first = self.samples.range((first_seen, "")..);
            from_first.take_while(|(time, _)| *time <= until)
        };
        let (last_seen, _) = *between().last()?;
        let (total, at_least) = self.total(first_seen, last_seen);
        Some(Figures {
            first_seen,
            last_seen,
            total,
            at_least,
            newest: newest(between()),
        })
    }

    /// All distinct denials known, and whether that is a lower bound; `None` without any.
    #[must_use]
    pub fn total_of_all(&self) -> Option<(u64, bool)> {
        let (first, last) = (self.samples.first()?.0, self.samples.last()?.0);
        Some(self.total(first, last))
    }

    fn total(&self, first: EventTime, last: EventTime) -> (u64, bool) {
        let mut known: HashSet<&str> = HashSet::new();
        let mut unsampled = 0;
        let mut at_least = false;
        for counter in self.counters {
            let all: HashSet<&str> = counter
                .samples
                .iter()
                .map(|sample| sample.value.as_str())
                .collect();
            let within = counter
                .samples
                .iter()
                .filter(|sample| first <= sample.at && sample.at <= last);
            let mut within = within.map(|sample| sample.value.as_str()).peekable();
            if within.peek().is_none() {
                continue;
            }
            known.extend(within);
            at_least |= counter.contributions.iter().any(|one| one.at_least);
            if counter
                .contributions
                .iter()
                .all(|one| one.sampled == one.denials)
            {
                continue;
            }
            // A slot's earliest and latest denial are always among its samples, so this
            // tells exactly whether an edge cuts the slot's denials.
            if counter
                .samples
                .iter()
                .any(|sample| sample.at < first || sample.at > last)
            {
                at_least = true;
                continue;
            }
            let disjoint = counter
                .contributions
                .iter()
                .map(|one| one.sampled)
                .sum::<u64>()
                == all.len() as u64;
            let denials = if disjoint {
                counter.denials
            } else {
                // Objects that share denials: their sum would count some twice.
                at_least = true;
                counter
                    .contributions
                    .iter()
                    .map(|one| one.denials)
                    .max()
                    .unwrap_or_default()
            };
            unsampled += denials.saturating_sub(all.len() as u64);
        }
        (known.len() as u64 + unsampled, at_least)
    }
}

/// The last distinct values, each at its last time.
fn newest<'s>(samples: impl Iterator<Item = &'s (EventTime, &'s str)>) -> Vec<String> {
    let last: BTreeMap<&str, EventTime> = samples.map(|(at, value)| (*value, *at)).collect();
    let mut values: Vec<(EventTime, &str)> =
        last.into_iter().map(|(value, at)| (at, value)).collect();
    values.sort_unstable();
    let skip = values.len().saturating_sub(MAX_LISTED);
    values
        .into_iter()
        .skip(skip)
        .map(|(_, value)| value.to_owned())
        .collect()
}
