//! What the counters around some denials tell: which denials are hot, and an alert's figures.
//!
//! Pure functions of counters read from the store; no clock, no store.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::count::counter::Counter;
use crate::count::evidence::Evidence;
use crate::log::denial::Source;
use crate::log::time::EventTime;
use crate::rule::definition::Rule;

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
    /// Distinct values from `first_seen` to `last_seen`; never above the truth.
    pub total: u64,
    /// `total` is a lower bound.
    pub at_least: bool,
    /// The newest distinct values between the two, newest last.
    pub newest: Vec<String>,
    /// The logs that tell of it.
    pub sources: BTreeSet<Source>,
    /// What they tell beside it, of the whole slots that it touches.
    pub evidence: BTreeSet<Evidence>,
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
            sources: BTreeSet::new(),
            evidence: BTreeSet::new(),
        }
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
        let from_first = self.samples.range((first_seen, "")..);
        let (last_seen, _) = *from_first.take_while(|(time, _)| *time <= until).last()?;
        Some(self.figures_between(first_seen, last_seen))
    }

    /// The figures of everything known; `None` when that is nothing.
    #[must_use]
    pub fn all(&self) -> Option<Figures> {
        Some(self.figures_between(self.samples.first()?.0, self.samples.last()?.0))
    }

    fn figures_between(&self, first_seen: EventTime, last_seen: EventTime) -> Figures {
        let mut figures = Figures {
            first_seen,
            last_seen,
            total: 0,
            at_least: false,
            newest: newest(self.samples.range((first_seen, "")..).take_while(|(at, _)| *at <= last_seen)),
            sources: BTreeSet::new(),
            evidence: BTreeSet::new(),
        };
        let recurs = self.rule.distinct.recurs();
        let mut known: HashSet<&str> = HashSet::new();
        let mut largest = 0;
        let first_slot = first_seen.slot(self.rule.slot());
        let from = self.counters.partition_point(|counter| counter.slot.start < first_slot);
        let touched = self.counters[from..].iter().take_while(|counter| counter.slot.start <= last_seen);
        let touched: Vec<&Counter> = touched.collect();
        // Each log tells of the same denials, so of what is not sampled the larger counts.
        for logs in touched.chunk_by(|one, other| one.slot.start == other.slot.start) {
            let parts = logs.iter().filter_map(|counter| Part::of(counter, first_seen, last_seen, recurs));
            let parts: Vec<Part<'_>> = parts.collect();
            let sampled: HashSet<&str> = parts.iter().flat_map(|part| &part.sampled).copied().collect();
            let most = parts.iter().map(|part| part.denials).max().unwrap_or_default();
            let full = parts.iter().any(|part| part.full);
            let unsampled = most.saturating_sub(sampled.len() as u64);
            figures.total += if recurs { 0 } else { unsampled };
            largest = largest.max(most);
            figures.at_least |= parts.iter().any(|part| part.at_least) || (full && parts.len() > 1);
            // What is not sampled here may be sampled in another slot.
            figures.at_least |= recurs && full;
            known.extend(sampled);
            for part in parts {
                figures.sources.insert(part.counter.slot.source);
                figures.evidence.extend(part.counter.evidence.iter().cloned());
            }
        }
        figures.total += known.len() as u64;
        figures.total = figures.total.max(largest);
        figures
    }
}

/// What one log's counter of a slot tells of a stretch of time.
struct Part<'c> {
    counter: &'c Counter,
    /// The distinct values among the samples that lie within.
    sampled: HashSet<&'c str>,
    /// Distinct values within; no more than there are.
    denials: u64,
    /// `denials` is a lower bound.
    at_least: bool,
    /// The slot holds more than its samples show.
    full: bool,
}

impl<'c> Part<'c> {
    /// `None` where no sample lies within.
    fn of(counter: &'c Counter, first: EventTime, last: EventTime, recurs: bool) -> Option<Self> {
        let inside = |at: EventTime| first <= at && at <= last;
        let within = counter.samples.iter().filter(|sample| inside(sample.at));
        let sampled: HashSet<&str> = within.map(|sample| sample.value.as_str()).collect();
        if sampled.is_empty() {
            return None;
        }
        let contributions = || counter.contributions.iter();
        let full = contributions().any(|one| one.sampled != one.denials);
        let mut part = Self {
            counter,
            denials: sampled.len() as u64,
            at_least: contributions().any(|one| one.at_least),
            full,
            sampled,
        };
        if !full {
            return Some(part);
        }
        // A slot's earliest and latest denial are always among its samples, so this tells
        // exactly whether an edge cuts the slot's denials.
        if !counter.samples.iter().all(|sample| inside(sample.at)) {
            part.at_least = true;
            return Some(part);
        }
        let shown: u64 = contributions().map(|one| one.sampled).sum();
        let most = if !recurs && shown == part.sampled.len() as u64 {
            counter.denials
        } else {
            // Objects that share denials: their sum would count some twice.
            part.at_least = true;
            contributions().map(|one| one.denials).max().unwrap_or_default()
        };
        part.denials = part.denials.max(most);
        Some(part)
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
    use crate::count::counter::{Digest, Sample, Slot};
    use crate::rule::catalogue::DENIED_MODEL;

    /// Slots of ten minutes: `(slot number, [(objects' denials, their samples as (second, value))])`.
    type Object<'a> = (u64, &'a [(i64, &'a str)]);

    fn counters(slots: &[(i64, &[Object<'_>])]) -> Vec<Counter> {
        let counter = |(slot, objects): &(i64, &[Object<'_>])| {
            let mut counter = Counter::new(Slot {
                start: EventTime::from_epoch_ms(slot * 600_000),
                source: Source::InvocationLog,
            });
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

    /// The first of each pair of slots is in the invocation log, the second in CloudTrail.
    #[track_caller]
    fn check_two_logs(log: Object<'_>, trail: Object<'_>, expected: &str) {
        let mut counters = counters(&[(0, &[log]), (0, &[trail])]);
        counters[1].slot.source = Source::CloudTrail;
        let window = Window::new(&DENIED_MODEL, &counters);
        let figures = window.figures(EventTime::from_epoch_ms(4000)).expect("figures");
        let bound = if figures.at_least { "+" } else { "" };
        assert_eq!(format!("{}{bound}", figures.total), expected);
        assert_eq!(figures.sources.len(), 2);
    }

    #[test]
    fn two_logs_of_the_same_denials_are_never_summed() {
        check_two_logs((4, FOUR), (4, FOUR), "4");
        check_two_logs((4, FOUR), (3, &[(2, "b"), (4, "d"), (5, "e")]), "5");
        check_two_logs((90, FOUR), (90, FOUR), "90+");
        check_two_logs((90, FOUR), (100, &[(1, "v"), (2, "x"), (3, "y"), (4, "z")]), "100+");
        check_two_logs((5, FOUR), (4, &[(1, "v"), (2, "x"), (3, "y"), (4, "z")]), "8+");
        check_two_logs((90, FOUR), (1, &[(4, "d")]), "90+");
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
