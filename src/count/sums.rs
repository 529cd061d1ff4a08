//! How much the counters of a summing rule hold between two times.
//!
//! A contribution knows its amount, and its samples the time span, but not how much fell when. So a
//! shard of a slot counts only once all of it lies between the two times: never early, and late by at
//! most the length of a slot.
//!
//! What objects add is summed, although files of a busy log overlap in time: a call is in one file. What came
//! in events is not. A queue returns those messages of a batch that failed, together with others, so one call may
//! be in several contributions. All of these know their time span, in which the call's time lies: of those that overlap,
//! the larger counts. A trail reports the same calls in files and in events, so of these two the larger counts.
//!
//! The sources may record the same calls, so each has its own sum, and the largest counts.

use crate::call::Source;
use crate::count::counter::Counter;
use crate::count::step;
use crate::source::time::EventTime;

/// The amounts of each slot and log.
pub struct Sums(Vec<Log>);

/// One slot of one log.
struct Log {
    source: Source,
    first: EventTime,
    last: EventTime,
    /// What objects added, by shard.
    objects: Vec<Spanned>,
    /// What came in events, in order of its last time.
    events: Vec<Spanned>,
    /// All of it.
    whole: Sum,
}

/// An amount and its time span.
struct Spanned {
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
        Self(counters.iter().filter_map(Log::of).collect())
    }

    /// The tokens from `first` to `last`.
    #[must_use]
    pub fn between(&self, first: EventTime, last: EventTime) -> Sum {
        step(self.0.len());
        let mut sums = [(false, Sum::default()); Source::ALL.len()];
        for log in self.0.iter().filter(|log| log.first <= last && first <= log.last) {
            let Some((is_there, sum)) = sums.get_mut(log.source as usize) else { continue };
            let within = first <= log.first && log.last <= last;
            let here = if within { log.whole } else { log.between(first, last) };
            *is_there = true;
            sum.total = sum.total.saturating_add(here.total);
            sum.at_least |= here.at_least;
        }
        let there = || sums.iter().filter(|(is_there, _)| *is_there).map(|(_, sum)| *sum);
        // What only another source shows is not in the largest sum.
        let at_least = there().any(|sum| sum.at_least) || there().count() > 1;
        Sum { total: there().map(|sum| sum.total).max().unwrap_or_default(), at_least }
    }
}

impl Log {
    /// `None` if it holds nothing.
    fn of(counter: &Counter) -> Option<Self> {
        let (mut objects, mut events) = (Vec::new(), Vec::new());
        let mut span: Option<(EventTime, EventTime)> = None;
        for shard in counter.shards.values() {
            let (Some(first), Some(last)) = (shard.samples.first(), shard.samples.last()) else { continue };
            let (first, last) = (first.at, last.at);
            span = Some(span.map_or((first, last), |(from, to)| (from.min(first), to.max(last))));
            let mut whole = Spanned { first, last, amount: 0, at_least: false };
            let mut is_empty = true;
            for one in &shard.contributions {
                if let Some((first, last)) = one.span {
                    events.push(Spanned { first, last, amount: one.denials, at_least: one.at_least });
                } else {
                    whole.amount = whole.amount.saturating_add(one.denials);
                    whole.at_least |= one.at_least;
                    is_empty = false;
                }
            }
            if !is_empty {
                objects.push(whole);
            }
        }
        events.sort_unstable_by_key(|one| one.last);
        let (first, last) = span?;
        let mut log =
            Self { source: counter.slot.source, first, last, objects, events, whole: Sum::default() };
        log.whole = log.between(first, last);
        Some(log)
    }

    fn between(&self, first: EventTime, last: EventTime) -> Sum {
        step(self.objects.len());
        step(self.events.len());
        let mut cut = false;
        let mut within = |one: &&Spanned| {
            let within = first <= one.first && one.last <= last;
            cut |= !within && one.first <= last && first <= one.last;
            within
        };
        let mut objects = Sum::default();
        for one in self.objects.iter().filter(&mut within) {
            objects.total = objects.total.saturating_add(one.amount);
            objects.at_least |= one.at_least;
        }
        let events = apart(&self.events.iter().filter(&mut within).collect::<Vec<_>>());
        let both = objects.total > 0 && events.total > 0;
        Sum {
            total: objects.total.max(events.total),
            at_least: cut || both || objects.at_least || events.at_least,
        }
    }
}

/// The most that amounts hold together, of which no two overlap: weighted interval scheduling. They are in
/// order of their last time.
fn apart(amounts: &[&Spanned]) -> Sum {
    // The best sum over each prefix of them, beginning with none.
    let mut most = vec![0_u64];
    let mut all = Sum::default();
    for one in amounts {
        let before = amounts.partition_point(|other| other.last < one.first);
        let with = most.get(before).copied().unwrap_or_default().saturating_add(one.amount);
        most.push(with.max(most.last().copied().unwrap_or_default()));
        all.total = all.total.saturating_add(one.amount);
        all.at_least |= one.at_least;
    }
    let total = most.last().copied().unwrap_or_default();
    Sum { total, at_least: all.at_least || total < all.total }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Source;
    use crate::count::counter::{Contribution, Digest, Sample, Slot};
    use crate::count::value::Value;

    fn second(at: i64) -> EventTime {
        EventTime::from_epoch_ms(at * 1000)
    }

    /// One slot, of contributions `<first>-<last>:<amount>`, with `e` before those that came in events; the sum
    /// between two times, with `+` behind a lower bound.
    #[track_caller]
    fn check(contributions: &str, (from, to): (i64, i64), expected: &str) {
        let mut counter = Counter::new(Slot { start: second(0), source: Source::CloudTrail });
        for (number, text) in contributions.split_whitespace().enumerate() {
            let event = text.strip_prefix('e');
            let (span, amount) = event.unwrap_or(text).split_once(':').expect("a span and an amount");
            let (first, last) = span.split_once('-').expect("two times");
            let time = |text: &str| second(text.parse().expect("a number"));
            let (first, last) = (time(first), time(last));
            let digest = Digest {
                hash: number.to_string(),
                denials: amount.parse().expect("a number"),
                sampled: 1,
                at_least: false,
                span: event.map(|_| (first, last)),
            };
            let sample = |at| Sample { at, value: Value::new(&number.to_string()) };
            let samples = [sample(first), sample(last)].into();
            counter.add(&Contribution { digest, samples, evidence: [].into() });
        }
        let Sum { total, at_least } = Sums::new(&[counter]).between(second(from), second(to));
        assert_eq!(format!("{total}{}", if at_least { "+" } else { "" }), expected);
    }

    #[test]
    fn objects_add_though_they_overlap() {
        check("1-9:60 2-8:50", (0, 10), "110");
        check("1-9:60 20-30:50", (0, 10), "60");
        check("1-9:60 2-11:50", (0, 10), "60+");
    }

    #[test]
    fn of_events_that_overlap_the_larger_counts() {
        check("e1-9:60 e2-8:50", (0, 10), "60+");
        check("e1-4:60 e5-8:50", (0, 10), "110");
        // The same second may hold the same call.
        check("e1-5:60 e5-8:50", (0, 10), "60+");
        check("e1-3:40 e2-5:70 e4-8:40", (0, 10), "80+");
        check("e1-3:40 e2-5:90 e4-8:40", (0, 10), "90+");
        check("e1-3:40 e2-12:90 e4-8:40", (0, 10), "80+");
        check("e1-3:40", (0, 10), "40");
    }

    #[test]
    fn of_objects_and_events_the_larger_counts() {
        check("1-9:60 e2-8:50", (0, 10), "60+");
        check("1-9:60 2-8:50 e2-8:150", (0, 10), "150+");
    }

    #[test]
    fn a_shard_of_both_is_neither_lost_nor_counted_twice() {
        let digest = |hash: &str, span| {
            Box::new(Digest { hash: hash.to_owned(), denials: 5, sampled: 1, at_least: false, span })
        };
        let mut counter = Counter::new(Slot { start: second(0), source: Source::CloudTrail });
        let shard = counter.shard(3);
        shard.contributions.insert(digest("a", None));
        shard.contributions.insert(digest("b", Some((second(1), second(1)))));
        shard.contributions.insert(digest("c", Some((second(2), second(2)))));
        shard.samples.insert("1000|a".parse().expect("a sample"));
        shard.samples.insert("2000|b".parse().expect("a sample"));
        let sum = Sums::new(&[counter]).between(second(0), second(9));
        assert_eq!(sum, Sum { total: 10, at_least: true });
    }
}
