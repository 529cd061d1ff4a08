//! One key: its denials along the time line, its busiest window against the threshold, its alerts.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::iter::once;

use indexmap::IndexSet;
use serde::Serialize;

use crate::alert;
use crate::count::counter::Counter;
use crate::count::evidence::Kind;
use crate::count::key::Key;
use crate::count::memory::StoredKey;
use crate::count::window::Window;
use crate::report::kept;
use crate::rule::definition::{Rule, Weight};
use crate::rule::field::Field;
use crate::source::time::EventTime;

/// One key of a rule. Times are RFC 3339, or milliseconds after `first`.
#[derive(Serialize)]
pub struct Lane {
    rule: usize,
    caller: usize,
    user: Option<String>,
    model: Option<String>,
    account: Option<String>,
    total: u64,
    /// `total` is a lower bound.
    #[serde(rename = "at_least")]
    is_lower_bound: bool,
    /// What the busiest window holds.
    peak: u64,
    peak_at: EventTime,
    threshold: usize,
    first: EventTime,
    last: EventTime,
    /// When each denial was, in milliseconds after the one before; the first after `first`.
    marks: Vec<i64>,
    /// Which value each denial has, where values recur; empty if every denial has its own.
    values: Vec<usize>,
    /// The recurring values.
    names: Vec<String>,
    /// Slots with more denials than are drawn: start, length, and how many there are.
    floods: Vec<(i64, i64, u64)>,
    /// The ids of its alerts, by time.
    alerts: Vec<(i64, String)>,
    models: Vec<String>,
    sources: Vec<&'static str>,
}

impl Lane {
    /// `None` for a key without denials.
    pub fn new(rule: &Rule, number: usize, key: &Key, item: &StoredKey, caller: usize) -> Option<Self> {
        let counters: Vec<Counter> = item.counters.all();
        let window = Window::new(rule, &counters);
        let peak = window.peak()?;
        let figures = window.all()?;
        let recurs = rule.distinct.recurs();
        let after = |at: EventTime| at.epoch_ms().saturating_sub(figures.first_seen.epoch_ms());
        let mut names = IndexSet::new();
        let (mut marks, mut values, mut previous) = (Vec::new(), Vec::new(), 0);
        for (at, value) in window.samples() {
            marks.push(after(*at).saturating_sub(previous));
            previous = after(*at);
            if recurs {
                values.push(names.insert_full(*value).0);
            }
        }
        let value = |field| key.get(rule, field).map(kept);
        let fired = item.alert_times();
        let models = figures.evidence.iter().filter(|one| one.kind == Kind::ModelCalled);
        Some(Self {
            rule: number,
            caller,
            user: key.identity(rule).map(kept),
            model: value(Field::Model),
            account: value(Field::Account),
            total: figures.total,
            is_lower_bound: figures.is_lower_bound,
            peak: peak.count,
            peak_at: peak.at,
            threshold: rule.threshold,
            first: figures.first_seen,
            last: figures.last_seen,
            marks,
            values,
            names: names.into_iter().map(|name| name.with_text(kept)).collect(),
            floods: floods(rule, &counters, after),
            alerts: fired.into_iter().map(|at| (after(at), alert::id(key, at))).collect(),
            models: models.map(|one| kept(Kind::ModelCalled.cut(&one.value))).collect(),
            sources: figures.logs().iter().map(|log| log.word()).collect(),
        })
    }

    /// Sorts keys: those that fired first, then by how near they are to the threshold, then by time.
    pub fn rank(&self) -> (bool, Reverse<u64>, EventTime) {
        let share = super::share(self.peak, self.threshold);
        (self.alerts.is_empty(), Reverse(share), self.first)
    }

    /// How many denials are drawn one by one.
    pub fn marks(&self) -> usize {
        self.marks.len()
    }

    /// Keeps at most `room` marks, evenly spread over its denials; returns how many it dropped. A band
    /// behind the rest says that there are more.
    pub fn thin(&mut self, room: usize) -> usize {
        let known = self.marks.len();
        if known <= room {
            return 0;
        }
        let span = self.last.epoch_ms().saturating_sub(self.first.epoch_ms());
        self.floods = vec![(0, span.max(1), known as u64)];
        let sum = |at: &mut i64, delta: &i64| {
            *at = at.saturating_add(*delta);
            Some(*at)
        };
        let times: Vec<i64> = self.marks.iter().scan(0, sum).collect();
        let kept: Vec<usize> =
            (0..room).filter_map(|index| index.saturating_mul(known).checked_div(room)).collect();
        let drawn = || kept.iter().filter_map(|index| times.get(*index));
        self.marks =
            drawn().zip(once(&0).chain(drawn())).map(|(at, last)| at.saturating_sub(*last)).collect();
        if !self.values.is_empty() {
            self.values = kept.iter().filter_map(|index| self.values.get(*index).copied()).collect();
        }
        known.saturating_sub(room)
    }
}

/// The slots of which the store knows more denials than samples: start, length, and how many there are at
/// least. The logs are not summed, since both may record the same denial.
fn floods(rule: &Rule, counters: &[Counter], after: impl Fn(EventTime) -> i64) -> Vec<(i64, i64, u64)> {
    if rule.weight == Weight::Tokens {
        return Vec::new();
    }
    let mut slots: BTreeMap<EventTime, u64> = BTreeMap::new();
    for counter in counters {
        let denials: u64 = counter.contributions().map(|digest| digest.amount).fold(0, u64::saturating_add);
        if counter.contributions().any(|digest| digest.amount > digest.sampled) {
            let known = slots.entry(counter.slot.start).or_default();
            *known = (*known).max(denials);
        }
    }
    let length = i64::try_from(rule.slot().as_millis()).unwrap_or(i64::MAX);
    slots.into_iter().map(|(start, denials)| (after(start), length, denials)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key with a denial of another value at each of `times`, in milliseconds.
    fn lane(times: &[i64]) -> Lane {
        let at = |after: Option<&i64>| EventTime::from_epoch_ms(after.copied().unwrap_or(0));
        let before = std::iter::once(&0).chain(times);
        Lane {
            rule: 0,
            caller: 0,
            user: None,
            model: None,
            account: None,
            total: times.len() as u64,
            is_lower_bound: false,
            peak: times.len() as u64,
            peak_at: at(times.last()),
            threshold: 3,
            first: at(Some(&0)),
            last: at(times.last()),
            marks: times.iter().zip(before).map(|(time, before)| time - before).collect(),
            values: (0..times.len()).collect(),
            names: Vec::new(),
            floods: Vec::new(),
            alerts: Vec::new(),
            models: Vec::new(),
            sources: Vec::new(),
        }
    }

    fn times(lane: &Lane) -> Vec<i64> {
        lane.marks
            .iter()
            .scan(0, |at, delta| {
                *at += delta;
                Some(*at)
            })
            .collect()
    }

    #[test]
    fn marks_beyond_the_room_are_dropped_evenly_and_a_band_stands_for_them() {
        let all: Vec<i64> = (0..1_000).collect();
        let mut lane = lane(&all);
        assert_eq!((lane.thin(10), lane.marks()), (990, 10));
        assert_eq!(times(&lane), [0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
        assert_eq!(lane.values, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
        assert_eq!(lane.floods, [(0, 999, 1_000)]);
    }

    #[test]
    fn marks_that_fit_stay() {
        let mut lane = lane(&[0, 5, 5, 9]);
        assert_eq!((lane.thin(4), times(&lane), lane.floods.len()), (0, vec![0, 5, 5, 9], 0));
        assert_eq!((lane.thin(0), lane.marks()), (4, 0));
    }
}
