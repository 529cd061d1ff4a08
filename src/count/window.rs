//! Finds the hot denials in a stretch of counters, and the figures their alerts report.
//!
//! Pure functions of counters read from the store; no clock, no store.

use foldhash::{HashMap, HashSet};

use crate::count::counter::Counter;
use crate::count::sums::TokenSums;
use crate::count::value::DistinctValue;
use crate::rule::definition::{Rule, Weight};
use crate::source::time::EventTime;

pub use crate::count::figures::{Figures, Gaps, MAX_LISTED};

/// The counters of one key over some stretch of event time.
pub struct Window<'a> {
    rule: &'a Rule,
    /// Sorted by slot.
    counters: &'a [Counter],
    /// All samples by time.
    samples: Vec<(EventTime, &'a DistinctValue)>,
    /// Set for a rule that sums.
    sums: Option<TokenSums>,
}

/// The busiest window of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    /// The denial that it ends with.
    pub at: EventTime,
    /// Its distinct values, or its sum; never above the truth.
    pub count: u64,
}

impl<'a> Window<'a> {
    /// `counters`, sorted by slot, must cover every stretch you ask about later.
    #[must_use]
    pub fn new(rule: &'a Rule, counters: &'a [Counter]) -> Self {
        let samples = counters.iter().flat_map(Counter::samples);
        let mut samples: Vec<_> = samples.map(|sample| (sample.at, &sample.value)).collect();
        samples.sort_unstable_by(|(at, value), other| at.cmp(&other.0).then_with(|| value.by_text(other.1)));
        samples.dedup();
        let sums = (rule.weight == Weight::Tokens).then(|| TokenSums::new(counters));
        Self { rule, counters, samples, sums }
    }

    /// Whether anything known could be hot under a threshold above 0. A single value can only if the rule sums.
    #[must_use]
    pub fn could_be_hot(&self) -> bool {
        let [(_, first), others @ ..] = self.samples() else { return false };
        self.sums.is_some() || others.iter().any(|(_, value)| value != first)
    }

    /// The times of the known hot denials from `from` to `to`: those that have more than
    /// `threshold` distinct values, or a larger sum, in the window that ends with them.
    #[must_use]
    pub fn hot(&self, from: EventTime, to: EventTime) -> Vec<EventTime> {
        let mut hot = Vec::new();
        self.each(from, to, |at, count| {
            if count > self.rule.threshold as u64 {
                hot.push(at);
            }
        });
        hot
    }

    /// The known denial whose window holds the most distinct values, or the largest sum; the first of
    /// several. `None` if no denial is known.
    #[must_use]
    pub fn peak(&self) -> Option<Peak> {
        let ((first, _), (last, _)) = (*self.samples.first()?, *self.samples.last()?);
        let mut peak = Peak { at: first, count: 0 };
        self.each(first, last, |at, count| {
            if count > peak.count {
                peak = Peak { at, count };
            }
        });
        Some(peak)
    }

    /// The oldest known denial of the window that ends at `at`, and how many distinct values, or which sum,
    /// that window holds. `None` if no denial is known at that very time.
    #[must_use]
    pub fn ending(&self, at: EventTime) -> Option<(EventTime, u64)> {
        let mut count = None;
        self.each(at, at, |_, found| count = Some(found));
        let (first, _) = self.since(at.minus(self.rule.window)).first()?;
        Some((*first, count?))
    }

    /// How many distinct values, or which sum, the window that ends at `at` holds, whether or not a denial
    /// is known at that very time.
    #[must_use]
    pub fn within(&self, at: EventTime) -> u64 {
        let start = at.minus(self.rule.window);
        if let Some(sums) = &self.sums {
            return sums.between(start, at).total;
        }
        let inside = self.since(start).iter().take_while(|(time, _)| *time <= at);
        inside.map(|(_, value)| value).collect::<HashSet<_>>().len() as u64
    }

    /// The known denials, in order of time: when, and the value that the rule counts.
    #[must_use]
    pub fn samples(&self) -> &[(EventTime, &'a DistinctValue)] {
        &self.samples
    }

    /// Calls `found` for the time of each known denial from `from` to `to`, with how many distinct values,
    /// or which sum, the window that ends with it holds.
    fn each(&self, from: EventTime, to: EventTime, mut found: impl FnMut(EventTime, u64)) {
        if let Some(sums) = &self.sums {
            let mut times: Vec<_> = self.since(from).iter().map(|(at, _)| *at).collect();
            times.dedup();
            for at in times.into_iter().take_while(|at| *at <= to) {
                found(at, sums.between(at.minus(self.rule.window), at).total);
            }
            return;
        }
        let mut inside: HashMap<&DistinctValue, usize> = HashMap::default();
        let samples = self.since(from.minus(self.rule.window));
        let mut oldest = samples.iter().peekable();
        let mut newest = samples.iter().peekable();
        while let Some(&&(now, _)) = newest.peek() {
            if now > to {
                break;
            }
            while let Some((_, value)) = newest.next_if(|(at, _)| *at == now) {
                let count = inside.entry(value).or_default();
                *count = count.saturating_add(1);
            }
            while let Some((_, value)) = oldest.next_if(|(at, _)| *at < now.minus(self.rule.window)) {
                if let Some(count) = inside.get_mut(value) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        inside.remove(value);
                    }
                }
            }
            if now >= from {
                found(now, inside.len() as u64);
            }
        }
    }

    /// The figures of an alert at `at`; `None` if no denial is known in its window.
    #[must_use]
    pub fn figures(&self, at: EventTime) -> Option<Figures> {
        let (first, _) = *self.since(at.minus(self.rule.window)).first()?;
        if first <= at { self.between(first, at.plus(self.rule.cooldown)) } else { None }
    }

    /// The figures of everything known; `None` if nothing is.
    #[must_use]
    pub fn all(&self) -> Option<Figures> {
        self.between(self.samples.first()?.0, self.samples.last()?.0)
    }

    /// The known denials from `start` on.
    fn since(&self, start: EventTime) -> &[(EventTime, &'a DistinctValue)] {
        self.samples.get(self.samples.partition_point(|(at, _)| *at < start)..).unwrap_or_default()
    }

    fn between(&self, first: EventTime, last: EventTime) -> Option<Figures> {
        let samples = self.since(first);
        let samples = samples.get(..samples.partition_point(|(at, _)| *at <= last))?;
        let begun = self.counters.partition_point(|counter| counter.slot.start <= last);
        let over =
            self.counters.partition_point(|counter| counter.slot.start.plus(self.rule.slot()) <= first);
        let counters = self.counters.get(over..begun)?;
        let mut figures = Figures::of(samples, counters, self.rule.distinct.recurs())?;
        if let Some(sums) = &self.sums {
            let sum = sums.between(figures.first_seen, figures.last_seen);
            (figures.total, figures.is_lower_bound) = (sum.total, sum.at_least);
            figures.gaps = None;
        }
        Some(figures)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::call::Source;
    use crate::count::counter::{Contribution, Digest, Sample, Slot};
    use crate::rule::catalogue::{DENIED_MODEL, built_in};

    /// Slots of ten minutes: `(slot number, [(objects' denials, their samples as (second, value))])`.
    type Object<'a> = (u64, &'a [(i64, &'a str)]);

    /// Each object in a shard of its own.
    fn counters(slots: &[(i64, &[Object<'_>])]) -> Vec<Counter> {
        counters_in(slots, |object| u8::try_from(object).expect("few"))
    }

    fn counters_in(slots: &[(i64, &[Object<'_>])], shard: impl Fn(usize) -> u8) -> Vec<Counter> {
        let counter = |(slot, objects): &(i64, &[Object<'_>])| {
            let mut counter = Counter::new(Slot {
                start: EventTime::from_epoch_ms(slot * 600_000),
                minutes: 10,
                source: Source::InvocationLog,
            });
            for (number, (denials, samples)) in objects.iter().enumerate() {
                let shard = counter.shard(shard(number));
                shard.samples.extend(samples.iter().map(|(second, value)| Sample {
                    at: EventTime::from_epoch_ms(second * 1000),
                    value: DistinctValue::new(value),
                }));
                let distinct: HashSet<_> = samples.iter().map(|(_, value)| value).collect();
                shard.contributions.insert(Box::new(Digest {
                    hash: number.to_string(),
                    amount: *denials,
                    sampled: distinct.len() as u64,
                    at_least: false,
                    span: None,
                }));
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
        let Figures { first_seen, last_seen, total, is_lower_bound, .. } = figures;
        let bound = if is_lower_bound { "+" } else { "" };
        let (first, last) = (first_seen.epoch_ms() / 1000, last_seen.epoch_ms() / 1000);
        assert_eq!(format!("{first} {last} {total}{bound}"), expected);
    }

    const FOUR: &[(i64, &str)] = &[(1, "a"), (2, "b"), (3, "c"), (4, "d")];

    #[test]
    fn a_denial_is_hot_from_the_fourth_distinct_value_on() {
        check_hot(&[(0, &[(4, FOUR)])], &[4]);
        check_hot(&[(0, &[(5, &[(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")])])], &[4, 5]);
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
    fn a_copy_within_a_larger_object_is_not_counted_twice() {
        let large: Object<'_> = (61, &[(1, "a"), (2, "b"), (3, "c"), (57, "w"), (58, "x"), (59, "y")]);
        let copy: Object<'_> = (20, &[(20, "i"), (21, "j"), (38, "k"), (39, "l")]);
        check_figures(&[(0, &[large, copy])], 3, "1 59 61+");
        // A small one, all of whose denials are known.
        check_figures(&[(0, &[large, (2, &[(20, "i"), (21, "j")])])], 3, "1 59 61+");
        check_figures(&[(0, &[large, (2, &[(2, "b"), (3, "c")])])], 3, "1 59 61+");
        // One that lies apart is sure.
        check_figures(&[(0, &[large, (20, &[(60, "p"), (70, "q")])])], 3, "1 70 81");
        check_figures(&[(0, &[large, (2, &[(60, "p"), (70, "q")])])], 3, "1 70 63");
        // The same second may hold the same request.
        check_figures(&[(0, &[large, (20, &[(59, "p"), (70, "q")])])], 3, "1 70 61+");
        // Two that lie apart hold more than the one that overlaps both.
        let across: Object<'_> = (70, &[(58, "x"), (59, "y"), (61, "z")]);
        check_figures(&[(0, &[large, across, (20, &[(61, "z"), (70, "q")])])], 3, "1 70 81+");
        // Within one shard nothing shows whose the samples are.
        let apart: Object<'_> = (20, &[(60, "p"), (70, "q")]);
        let counters = counters_in(&[(0, &[large, apart])], |_| 7);
        let figures = Window::new(&DENIED_MODEL, &counters).all().expect("figures");
        assert_eq!((figures.total, figures.is_lower_bound), (61, true));
    }

    /// The first of each pair of slots is in the invocation log, the second in CloudTrail.
    #[track_caller]
    fn check_two_logs(log: Object<'_>, trail: Object<'_>, expected: &str) {
        let mut counters = counters(&[(0, &[log]), (0, &[trail])]);
        counters[1].slot.source = Source::CloudTrail;
        let window = Window::new(&DENIED_MODEL, &counters);
        let figures = window.figures(EventTime::from_epoch_ms(4000)).expect("figures");
        let bound = if figures.is_lower_bound { "+" } else { "" };
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

    #[test]
    fn figures_are_the_same_in_whatever_order_you_ask() {
        let first = [(1, "a"), (2, "b"), (3, "a"), (3, "c"), (500, "b"), (500, "a")];
        let counters = counters(&[(0, &[(3, &first)]), (6, &[(2, &[(3700, "c"), (3900, "a")])])]);
        for rule in [&DENIED_MODEL, built_in("model-sweep")] {
            let window = Window::new(rule, &counters);
            for at in [3, 3900, 500, 3, 3700].map(|second| EventTime::from_epoch_ms(second * 1000)) {
                assert_eq!(window.figures(at), Window::new(rule, &counters).figures(at), "{at}");
            }
            let at = EventTime::from_epoch_ms(500_000);
            assert_eq!(window.figures(at).expect("figures").newest, ["b", "c", "a"]);
        }
    }

    #[test]
    fn a_day_of_full_slots_is_read_through_for_each_of_its_alerts() {
        const OBJECTS: i64 = 100;
        const VALUES: i64 = 4;
        let hour = Duration::from_secs(3600);
        let rule = Rule { window: hour * 24, cooldown: hour, ..DENIED_MODEL.clone() };
        let slot = |number: i64| {
            let start = EventTime::from_epoch_ms(number * 3_600_000);
            let mut counter = Counter::new(Slot { start, minutes: 60, source: Source::InvocationLog });
            for object in 0..OBJECTS {
                let sample = |value: i64| Sample {
                    at: start
                        .plus(Duration::from_secs(u64::try_from(object * VALUES + value).expect("small"))),
                    value: DistinctValue::new(&format!("{number}-{object}-{value}")),
                };
                let samples: BTreeSet<Sample> = (0..VALUES).map(sample).collect();
                let digest = Digest {
                    hash: format!("{object}"),
                    amount: 10,
                    sampled: samples.len() as u64,
                    at_least: false,
                    span: None,
                };
                counter.add(&Contribution { digest, samples, evidence: [].into() });
            }
            counter
        };
        let counters: Vec<Counter> = (0..48).map(slot).collect();
        let window = Window::new(&rule, &counters);
        // The last value of each slot from the second day on.
        let last = |number: i64| EventTime::from_epoch_ms(number * 3_600_000 + (OBJECTS * VALUES - 1) * 1000);
        for number in 24..47 {
            assert_eq!(window.ending(last(number)).map(|(_, count)| count), Some(24 * 400 + 1));
            let figures = window.figures(last(number)).expect("figures");
            // 24 slots and the one within the cooldown, whole; of the first, one value.
            let (first, end) = (figures.first_seen, figures.last_seen);
            assert_eq!((first, end), (last(number - 24), last(number + 1)));
            assert!((25 * 400 + 1..=25 * 1000 + 1).contains(&figures.total) && figures.is_lower_bound);
        }
    }
}
