//! One key: its denials along the time line, its busiest window against the threshold, its alerts.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::iter::once;
use std::time::Duration;

use indexmap::IndexSet;
use serde::Serialize;

use crate::alert;
use crate::count::caller::digest;
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
    /// Stable, for links.
    id: String,
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
    threshold: usize,
    first: EventTime,
    last: EventTime,
    /// When each denial was, in milliseconds after the one before; the first after `first`.
    marks: Vec<i64>,
    /// Which value each denial has, where values recur; empty if every denial has its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<usize>,
    /// The recurring values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    /// Slots with more denials than are drawn: start, length, and how many there are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    floods: Vec<(i64, i64, u64)>,
    /// The ids of its alerts, by time.
    alerts: Vec<(i64, String)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<String>,
    sources: Vec<&'static str>,
    /// Denials by hour, counted from 1970.
    #[serde(skip)]
    hours: BTreeMap<i64, u64>,
}

impl Lane {
    /// `None` for a key without denials.
    pub fn new(rule: &Rule, number: usize, key: &Key, item: &StoredKey, caller: usize) -> Option<Self> {
        let counters: Vec<Counter> = item.counters.all();
        let window = Window::new(rule, &counters);
        let peak = window.peak()?;
        let figures = window.all()?;
        let mut id = digest(&[&key.text()]);
        id.truncate(16);
        let recurs = rule.distinct.recurs();
        let after = |at: EventTime| at.epoch_ms().saturating_sub(figures.first_seen.epoch_ms());
        let mut names = IndexSet::new();
        let floods = floods(rule, &counters);
        let mut hours = BTreeMap::new();
        let mut count = |at: i64, denials: u64| {
            let known: &mut u64 = hours.entry(at.div_euclid(HOUR_MS)).or_default();
            *known = known.saturating_add(denials);
        };
        for (start, _, denials) in &floods {
            count(start.epoch_ms(), *denials);
        }
        let is_flooded = |at: EventTime| {
            let behind = floods.partition_point(|(start, ..)| *start <= at).checked_sub(1);
            behind
                .and_then(|number| floods.get(number))
                .is_some_and(|(start, length, _)| at < start.plus(*length))
        };
        let (mut marks, mut values, mut previous) = (Vec::new(), Vec::new(), 0);
        for (at, value) in window.samples() {
            marks.push(after(*at).saturating_sub(previous));
            previous = after(*at);
            if !is_flooded(*at) {
                count(at.epoch_ms(), 1);
            }
            if recurs {
                values.push(names.insert_full(*value).0);
            }
        }
        let value = |field| key.get(rule, field).map(kept);
        let fired = item.alert_times();
        let models = figures.evidence.iter().filter(|one| one.kind == Kind::ModelCalled);
        Some(Self {
            id,
            rule: number,
            caller,
            user: key.identity(rule).map(kept),
            model: value(Field::Model),
            account: value(Field::Account),
            total: figures.total,
            is_lower_bound: figures.is_lower_bound,
            peak: peak.count,
            threshold: rule.threshold,
            first: figures.first_seen,
            last: figures.last_seen,
            marks,
            values,
            names: names.into_iter().map(|name| name.with_text(kept)).collect(),
            floods: floods
                .into_iter()
                .map(|(start, length, denials)| (after(start), ms(length), denials))
                .collect(),
            alerts: fired.into_iter().map(|at| (after(at), alert::id(key, at))).collect(),
            models: models.map(|one| kept(Kind::ModelCalled.cut(&one.value))).collect(),
            sources: figures.logs().iter().map(|log| log.word()).collect(),
            hours,
        })
    }

    /// Sorts keys: those that fired first, then by how near they are to the threshold, then by time.
    pub fn rank(&self) -> (bool, Reverse<u64>, EventTime) {
        let share = super::share(self.peak, self.threshold);
        (self.alerts.is_empty(), Reverse(share), self.first)
    }

    /// Denials by hour, counted from 1970: as many as are known of each slot.
    pub fn hours(&self) -> &BTreeMap<i64, u64> {
        &self.hours
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
fn floods(rule: &Rule, counters: &[Counter]) -> Vec<(EventTime, Duration, u64)> {
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
    slots.into_iter().map(|(start, denials)| (start, rule.slot(), denials)).collect()
}

const HOUR_MS: i64 = 3_600_000;

fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key with a denial of another value at each of `times`, in milliseconds.
    fn lane(times: &[i64]) -> Lane {
        let at = |after: Option<&i64>| EventTime::from_epoch_ms(after.copied().unwrap_or(0));
        let before = std::iter::once(&0).chain(times);
        Lane {
            id: String::new(),
            rule: 0,
            caller: 0,
            user: None,
            model: None,
            account: None,
            total: times.len() as u64,
            is_lower_bound: false,
            peak: times.len() as u64,
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
            hours: BTreeMap::new(),
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
