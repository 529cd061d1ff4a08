//! One key: its denials along the time line, its busiest window against the threshold, its alerts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexSet;
use serde::Serialize;

use crate::alert;
use crate::count::counter::Counter;
use crate::count::embedded::Item;
use crate::count::evidence::Kind;
use crate::count::key::Key;
use crate::count::window::Window;
use crate::log::denial::Source;
use crate::log::time::EventTime;
use crate::report::kept;
use crate::rule::definition::{Rule, Weight};
use crate::rule::field::Field;

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
    at_least: bool,
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
    pub fn new(rule: &Rule, number: usize, key: &Key, item: &Item, caller: usize) -> Option<Self> {
        let counters: Vec<Counter> = item.counters.values().cloned().collect();
        let mut window = Window::new(rule, &counters);
        let peak = window.peak()?;
        let figures = window.all()?;
        let recurs = rule.distinct.recurs();
        let after = |at: EventTime| at.epoch_ms().saturating_sub(figures.first_seen.epoch_ms());
        let mut names = IndexSet::new();
        let (mut marks, mut values, mut previous) = (Vec::new(), Vec::new(), 0);
        for (at, value) in window.samples() {
            marks.push(after(*at) - previous);
            previous = after(*at);
            if recurs {
                values.push(names.insert_full(*value).0);
            }
        }
        let value = |field| key.get(rule, field).map(kept);
        let fired: BTreeSet<EventTime> = item.alerts.alerts.keys().chain(&item.archived).copied().collect();
        let models = figures.evidence.iter().filter(|one| one.kind == Kind::ModelCalled);
        Some(Self {
            rule: number,
            caller,
            user: value(Field::User).or_else(|| value(Field::Role)),
            model: value(Field::Model),
            account: value(Field::Account),
            total: figures.total,
            at_least: figures.at_least,
            peak: peak.count,
            peak_at: peak.at,
            threshold: rule.threshold,
            first: figures.first_seen,
            last: figures.last_seen,
            marks,
            values,
            names: names.into_iter().map(kept).collect(),
            floods: floods(rule, &counters, after),
            alerts: fired.into_iter().map(|at| (after(at), alert::id(key, at))).collect(),
            models: models.map(|one| kept(Kind::ModelCalled.cut(&one.value))).collect(),
            sources: figures.sources.iter().map(|source| named(*source)).collect(),
        })
    }

    /// Sorts keys: those that fired first, then by how near they are to the threshold, then by time.
    pub fn rank(&self) -> (bool, Reverse<u64>, EventTime) {
        let share = self.peak.saturating_mul(1_000) / (self.threshold as u64 + 1);
        (self.alerts.is_empty(), Reverse(share), self.first)
    }

    /// Keeps at most `room` marks, evenly spread; returns how many it kept. The rest show as floods.
    pub fn keep_marks(&mut self, room: usize) -> usize {
        if self.marks.len() > room {
            let span = self.last.epoch_ms().saturating_sub(self.first.epoch_ms());
            self.floods = vec![(0, span.max(1), self.total)];
            self.marks.truncate(room);
            self.values.truncate(room);
        }
        self.marks.len()
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
        let denials: u64 = counter.contributions().map(|digest| digest.denials).sum();
        if counter.contributions().any(|digest| digest.denials > digest.sampled) {
            let known = slots.entry(counter.slot.start).or_default();
            *known = (*known).max(denials);
        }
    }
    let length = i64::try_from(rule.slot().as_millis()).unwrap_or(i64::MAX);
    slots.into_iter().map(|(start, denials)| (after(start), length, denials)).collect()
}

fn named(source: Source) -> &'static str {
    match source {
        Source::InvocationLog => "log",
        Source::CloudTrail => "CloudTrail",
    }
}
