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
        Self { first_seen: at, last_seen: at, total, at_least: true, newest: Vec::new() }
    }
}

/// Distinct values that an alert lists.
pub const MAX_LISTED: usize = 10;

impl<'a> Window<'a> {
    /// The counters, sorted by slot, must cover the whole stretch that is asked about later.
    #[must_use]
    pub fn new(rule: &'a Rule, counters: &'a [Counter]) -> Self {
        let samples = counters.iter().flat_map(|counter| &counter.samples);
        Self { rule, counters, samples: samples.map(|sample| (sample.at, sample.value.as_str())).collect() }
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
            while let Some((_, value)) = oldest.next_if(|(at, _)| *at < now.minus(self.rule.window)) {
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
        let (first_seen, _) = *self.samples.range(from..).next().filter(|(first, _)| *first <= at)?;
        let until = at.plus(self.rule.cooldown);
        let between = || {
            let from_first = self.samples.range((first_seen, "")..);
            from_first.take_while(|(time, _)| *time <= until)
        };
        let (last_seen, _) = *between().last()?;
        let (total, at_least) = self.total(first_seen, last_seen);
        Some(Figures { first_seen, last_seen, total, at_least, newest: newest(between()) })
    }

    /// The figures of everything known; `None` when that is nothing.
    #[must_use]
    pub fn all(&self) -> Option<Figures> {
        let (first_seen, last_seen) = (self.samples.first()?.0, self.samples.last()?.0);
        let (total, at_least) = self.total(first_seen, last_seen);
        Some(Figures { first_seen, last_seen, total, at_least, newest: newest(self.samples.iter()) })
    }

    fn total(&self, first: EventTime, last: EventTime) -> (u64, bool) {
        let mut known: HashSet<&str> = HashSet::new();
        let mut unsampled = 0;
        let mut at_least = false;
        let first_slot = first.slot(self.rule.slot());
        let from = self.counters.partition_point(|counter| counter.slot < first_slot);
        for counter in self.counters[from..].iter().take_while(|counter| counter.slot <= last) {
            let inside = |at: EventTime| first <= at && at <= last;
            let within = counter.samples.iter().filter(|sample| inside(sample.at));
            let within: Vec<&str> = within.map(|sample| sample.value.as_str()).collect();
            if within.is_empty() {
                continue;
            }
            known.extend(within);
            at_least |= counter.contributions.iter().any(|one| one.at_least);
            if counter.contributions.iter().all(|one| one.sampled == one.denials) {
                continue;
            }
            // A slot's earliest and latest denial are always among its samples, so this
            // tells exactly whether an edge cuts the slot's denials.
            if !counter.samples.iter().all(|sample| inside(sample.at)) {
                at_least = true;
                continue;
            }
            let all: HashSet<&str> = counter.samples.iter().map(|sample| sample.value.as_str()).collect();
            let sampled: u64 = counter.contributions.iter().map(|one| one.sampled).sum();
            let disjoint = sampled == all.len() as u64;
            let denials = if disjoint {
                counter.denials
            } else {
                // Objects that share denials: their sum would count some twice.
                at_least = true;
                counter.contributions.iter().map(|one| one.denials).max().unwrap_or_default()
            };
            unsampled += denials.saturating_sub(all.len() as u64);
        }
        (known.len() as u64 + unsampled, at_least)
    }
}

/// The last distinct values, each at its last time.
fn newest<'s>(samples: impl Iterator<Item = &'s (EventTime, &'s str)>) -> Vec<String> {
    let last: BTreeMap<&str, EventTime> = samples.map(|(at, value)| (*value, *at)).collect();
    let mut values: Vec<(EventTime, &str)> = last.into_iter().map(|(value, at)| (at, value)).collect();
    values.sort_unstable();
    let skip = values.len().saturating_sub(MAX_LISTED);
    values.into_iter().skip(skip).map(|(_, value)| value.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::{Digest, Sample};
    use crate::rule::DENIED_MODEL;

    /// Slots of ten minutes: `(slot number, [(objects' denials, their samples as (second, value))])`.
    type Object<'a> = (u64, &'a [(i64, &'a str)]);

    fn counters(slots: &[(i64, &[Object<'_>])]) -> Vec<Counter> {
        let counter = |(slot, objects): &(i64, &[Object<'_>])| {
            let mut counter = Counter::new(EventTime::from_epoch_ms(slot * 600_000));
            for (number, (denials, samples)) in objects.iter().enumerate() {
                counter.denials += denials;
                counter.samples.extend(samples.iter().map(|(second, value)| Sample {
                    at: EventTime::from_epoch_ms(second * 1000),
                    value: (*value).to_owned(),
                }));
                let distinct: HashSet<_> = samples.iter().map(|(_, value)| value).collect();
                counter.contributions.insert(Digest {
                    hash: number.to_string(),
                    denials: *denials,
                    sampled: distinct.len() as u64,
                    at_least: false,
                });
            }
            counter
        };
        slots.iter().map(counter).collect()
    }

    #[track_caller]
    fn check_hot(slots: &[(i64, &[Object<'_>])], expected: &[i64]) {
        let counters = counters(slots);
        let window = Window::new(&DENIED_MODEL, &counters);
        let (from, to) = (EventTime::from_epoch_ms(0), EventTime::from_epoch_ms(1_000_000_000));
        let hot: Vec<i64> = window.hot(from, to).iter().map(|at| at.epoch_ms() / 1000).collect();
        assert_eq!(hot, expected);
    }

    /// `first last total`, with `+` behind a lower bound.
    #[track_caller]
    fn check_figures(slots: &[(i64, &[Object<'_>])], at: i64, expected: &str) {
        let counters = counters(slots);
        let figures = Window::new(&DENIED_MODEL, &counters)
            .figures(EventTime::from_epoch_ms(at * 1000))
            .expect("figures");
        let Figures { first_seen, last_seen, total, at_least, .. } = figures;
        let bound = if at_least { "+" } else { "" };
        let (first, last) = (first_seen.epoch_ms() / 1000, last_seen.epoch_ms() / 1000);
        assert_eq!(format!("{first} {last} {total}{bound}"), expected);
    }

    const FOUR: &[(i64, &str)] = &[(1, "a"), (2, "b"), (3, "c"), (4, "d")];

    #[test]
    fn a_denial_is_hot_from_the_fourth_distinct_value_on() {
        check_hot(&[(0, &[(4, FOUR)])], &[4]);
        check_hot(&[(0, &[(4, &[(1, "a"), (2, "b"), (3, "c"), (4, "c")])])], &[]);
        check_hot(&[(0, &[(2, &[(1, "a"), (2, "b")]), (2, &[(2, "c"), (2, "d")])])], &[2]);
        check_hot(&[(0, &[(3, &[(0, "a"), (1, "b"), (2, "c")])]), (6, &[(1, &[(3600, "d")])])], &[3600]);
        check_hot(&[(0, &[(3, &[(0, "a"), (1, "b"), (2, "c")])]), (6, &[(1, &[(3601, "d")])])], &[]);
        check_hot(
            &[(0, &[(1, &[(0, "a")])]), (6, &[(4, &[(3601, "a"), (3602, "b"), (3603, "c"), (3604, "d")])])],
            &[3604],
        );
    }

    #[test]
    fn figures_reach_from_the_oldest_in_the_window_to_the_newest_in_the_cooldown() {
        check_figures(&[(0, &[(4, FOUR)])], 4, "1 4 4");
        check_figures(&[(0, &[(4, FOUR)]), (6, &[(2, &[(3604, "e"), (3605, "f")])])], 4, "1 3604 5");
        check_figures(&[(0, &[(4, FOUR)]), (6, &[(1, &[(3603, "e")])])], 3603, "3 3603 3");
    }

    #[test]
    fn a_full_slot_counts_all_when_no_edge_cuts_it_and_its_samples_when_one_does() {
        check_figures(&[(0, &[(90, FOUR)])], 4, "1 4 90");
        check_figures(&[(0, &[(90, FOUR)]), (6, &[(1, &[(3602, "e")])])], 3602, "2 3602 4+");
        check_figures(&[(0, &[(90, FOUR), (10, &[(5, "e"), (6, "f")])])], 4, "1 6 100");
    }

    #[test]
    fn objects_that_share_denials_are_not_summed() {
        check_figures(&[(0, &[(90, FOUR), (100, &[(4, "d"), (5, "e")])])], 4, "1 5 100+");
        check_figures(
            &[(0, &[(4, FOUR), (5, &[(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")])])],
            4,
            "1 5 5",
        );
    }

    #[test]
    fn the_newest_values_stand_last() {
        let many: Vec<(i64, String)> = (0..12).map(|second| (second, format!("r{second:02}"))).collect();
        let many: Vec<(i64, &str)> = many.iter().map(|(second, value)| (*second, value.as_str())).collect();
        let counters = counters(&[(0, &[(12, &many)])]);
        let figures =
            Window::new(&DENIED_MODEL, &counters).figures(EventTime::from_epoch_ms(3000)).expect("figures");
        assert_eq!(figures.newest.len(), MAX_LISTED);
        assert_eq!(figures.newest.first().map(String::as_str), Some("r02"));
        assert_eq!(figures.newest.last().map(String::as_str), Some("r11"));
    }
}
