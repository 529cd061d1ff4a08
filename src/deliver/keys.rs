//! For each key of a delivery: add to its counters, read the window, find what is hot, and which alerts are due.

use std::collections::{BTreeMap, VecDeque};

use futures_util::stream::{self, StreamExt};
use indexmap::IndexMap;

use super::{Delivery, Failure, Pipeline, RETENTION};
use crate::alert;
use crate::alert::sink::AlertSink;
use crate::call::cause::Class;
use crate::count::alerts::{self, AlertLog, MAX_DUE};
use crate::count::caller::Caller;
use crate::count::counter::Counter;
use crate::count::document::Versioned;
use crate::count::evidence::Kind;
use crate::count::incident::NewAlert;
use crate::count::key::Key;
use crate::count::served;
use crate::count::severity;
use crate::count::store::{self, Store, StoreError};
use crate::count::tally::Summary;
use crate::count::watch::{self, Denied};
use crate::count::window::{Figures, Window};
use crate::rule::definition::Rule;
use crate::rule::field::Field;
use crate::source::time::EventTime;

/// Slots of one key that are added at once.
const ADDS_AT_ONCE: usize = 8;
/// A key with at least this many slots is read piece by piece.
const MIN_SLOTS_A_READ: usize = 64;

/// A key, and the stretches of time in which its denials may be hot.
pub(super) struct KeyWork<'r> {
    rule: &'r Rule,
    key: Key,
    stretches: VecDeque<(EventTime, EventTime)>,
    /// The records of the event that count toward it.
    pub(super) records: Vec<u32>,
}

impl KeyWork<'_> {
    pub(super) fn caller(&self) -> Caller {
        Caller::of(self.rule, &self.key)
    }
}

/// The alerts of one key that must be published.
pub(super) struct KeyAlerts<'r> {
    pub rule: &'r Rule,
    pub key: Key,
    /// As it was read, with the alerts that are due now.
    pub log: Versioned<AlertLog>,
    /// The hot denials that it covers.
    hot: Vec<EventTime>,
    /// The alerts that are in no incident yet.
    pub found: BTreeMap<EventTime, NewAlert<'r>>,
    /// What the alerts that it has found say was denied.
    pub denied: BTreeMap<EventTime, DeniedModels>,
}

/// The models that an alert says were denied.
#[derive(Clone)]
pub(super) struct DeniedModels {
    pairs: Vec<String>,
    last: EventTime,
    setup: bool,
    /// A log has shown it that records successful calls too.
    pub log: bool,
}

impl DeniedModels {
    /// What an alert with these figures says.
    pub fn of(rule: &Rule, key: &Key, figures: &Figures) -> Self {
        let listed = figures.newest.iter().map(String::as_str).filter(|_| rule.distinct == Field::Model);
        let models = key.get(rule, Field::Model).into_iter().chain(listed);
        let regions = figures.evidence.iter().filter(|one| one.kind == Kind::Region);
        let mut regions: Vec<Option<&str>> = regions.map(|one| Some(&*one.value)).collect();
        if regions.is_empty() {
            regions.push(None);
        }
        let pairs = models.flat_map(|model| regions.iter().map(move |region| watch::pair(model, *region)));
        Self {
            pairs: pairs.collect(),
            last: figures.last_seen,
            setup: severity::applies(Class::Setup, rule, key, &figures.evidence),
            log: figures.logs().iter().any(|log| log.has_successes()),
        }
    }

    /// Each model in each region, and the newest denial.
    pub fn pairs(&self) -> impl Iterator<Item = (String, Denied)> {
        let denied = Denied { last: self.last, setup: self.setup };
        self.pairs.iter().map(move |pair| (pair.clone(), denied))
    }
}

/// The alerts found for one key, and the stretches still to be read.
#[derive(Default)]
pub(super) struct KeyResult<'r> {
    alerts: Option<KeyAlerts<'r>>,
    rest: Option<KeyWork<'r>>,
    /// The records of the event that count toward the key.
    pub(super) records: Vec<u32>,
}

impl KeyResult<'_> {
    /// Whose the alerts are, if there are any.
    pub(super) fn caller(&self) -> Option<Caller> {
        self.alerts.as_ref().map(KeyAlerts::caller)
    }
}

impl KeyAlerts<'_> {
    fn caller(&self) -> Caller {
        Caller::of(self.rule, &self.key)
    }
}

/// Files the alerts under their caller; returns what remains.
pub(super) fn file_by_caller<'r>(
    counted: KeyResult<'r>,
    found: &mut IndexMap<Caller, Vec<KeyAlerts<'r>>>,
) -> Option<KeyWork<'r>> {
    if let Some(alerts) = counted.alerts {
        let known = found.entry(alerts.caller()).or_default();
        if known.is_empty() {
            // Callers may be as many as keys, and most have one alert.
            known.reserve_exact(1);
        }
        known.push(alerts);
    }
    counted.rest
}

impl<S: Store, K: AlertSink> Pipeline<S, K> {
    /// Adds the object's share of one key, and finds the alerts due.
    pub(super) async fn count(
        &self,
        summary: Summary,
        delivery: Delivery<'_>,
    ) -> (KeyResult<'_>, Result<(), Failure>) {
        let records = summary.records.clone();
        match self.count_only(summary, delivery).await {
            (Some(work), Ok(())) => self.find(work).await,
            (_, added) => (KeyResult { records, ..KeyResult::default() }, added),
        }
    }

    /// Adds the object's share of one key; returns where to look for alerts, if a rule counts it.
    pub(super) async fn count_only(
        &self,
        summary: Summary,
        delivery: Delivery<'_>,
    ) -> (Option<KeyWork<'_>>, Result<(), Failure>) {
        let id = summary.key.rule;
        if let Some(internal) = served::RULES.into_iter().find(|rule| rule.id == id) {
            return (None, self.add(internal, &summary, delivery).await);
        }
        let Some(rule) = self.rules.iter().find(|rule| rule.id == id) else { return (None, Ok(())) };
        if let Err(failure) = self.add(rule, &summary, delivery).await {
            return (None, Err(failure));
        }
        let stretches = stretches(rule, &summary);
        let Summary { key, records, .. } = summary;
        (Some(KeyWork { rule, key, stretches, records }), Ok(()))
    }

    async fn add(&self, rule: &Rule, summary: &Summary, delivery: Delivery<'_>) -> Result<(), Failure> {
        let expires_at = expires_at(rule, delivery.claimant.now);
        let adds = summary.contributions().map(async |(slot, contribution)| {
            self.store.add(rule, &summary.key, slot, &contribution, expires_at).await
        });
        let mut adds = stream::iter(adds).buffer_unordered(ADDS_AT_ONCE);
        while let Some(added) = adds.next().await {
            added?;
        }
        Ok(())
    }

    /// Finds one key's due alerts, and those that others left.
    pub(super) async fn find<'r>(&self, mut rest: KeyWork<'r>) -> (KeyResult<'r>, Result<(), Failure>) {
        let mut counted = KeyResult { records: rest.records.clone(), ..KeyResult::default() };
        let mut alerts = None;
        let mut result = Ok(());
        while let Some((first, last)) = rest.stretches.pop_front() {
            match self.look(&rest, (first, last), &mut alerts).await {
                Err(failure) => {
                    result = Err(failure);
                    rest.stretches.clear();
                }
                Ok(None) => {}
                // These alerts are published before more are added.
                Ok(Some(next)) => {
                    rest.stretches.push_front((next, last));
                    break;
                }
            }
            if alerts.as_ref().is_some_and(|alerts| alerts.found.len() >= MAX_DUE) {
                break;
            }
        }
        counted.alerts = alerts.filter(|alerts| alerts.log.value.pending().next().is_some());
        counted.rest = (!rest.stretches.is_empty()).then_some(rest);
        (counted, result)
    }

    /// Finds what is due from `first` to `last`; returns where to go on, if anywhere.
    async fn look<'r>(
        &self,
        rest: &KeyWork<'r>,
        (first, last): (EventTime, EventTime),
        alerts: &mut Option<KeyAlerts<'r>>,
    ) -> Result<Option<EventTime>, Failure> {
        let KeyWork { rule, key, .. } = rest;
        let counters = self.counters_around(rule, key, first, last).await?;
        let window = Window::new(rule, &counters);
        let hot = window.hot(first, last);
        if alerts.is_none() {
            // Even if nothing is hot: others may have left alerts that they found by other settings.
            let log = store::load(&self.store, &alerts::document(key)).await?;
            let (hot, found) = (Vec::new(), BTreeMap::new());
            let denied = BTreeMap::new();
            *alerts = Some(KeyAlerts { rule, key: key.clone(), log, hot, found, denied });
        }
        let Some(alerts) = alerts else { return Ok(None) };
        let done = self.add_due(alerts, &hot).await?;
        for at in alerts.unfound() {
            if (first..=last).contains(&at) {
                let figures = window.figures(at).unwrap_or_else(|| Figures::at_least(at));
                alerts.take(at, &figures);
            }
        }
        alerts.hot.extend(hot.iter().take(done));
        Ok(hot.get(done).copied())
    }

    /// Adds to a key's log the alerts that `hot` makes due; returns how many of `hot` are settled.
    async fn add_due(&self, alerts: &mut KeyAlerts<'_>, hot: &[EventTime]) -> Result<usize, Failure> {
        let KeyAlerts { rule, key, log, .. } = alerts;
        let log = &mut log.value;
        // What is archived meanwhile is still in this log.
        if let ([first, .., last] | [first @ last], Some(archived_to)) = (hot, log.archived_to)
            && first.minus(rule.cooldown) <= archived_to
        {
            let from = alerts::archive_document(key, first.minus(rule.cooldown)).sort;
            let to = alerts::archive_document(key, last.plus(rule.cooldown)).sort;
            for (sort, day) in self.store.documents(key, &from, &to).await? {
                log.archived.extend(alerts::archived(&sort, day)?);
            }
        }
        Ok(alerts::add_due(log, hot, rule.cooldown, |at| alert::id(key, at)))
    }

    /// Reads a key's log again, since others have changed it, and finds what is due by it.
    pub(super) async fn find_again(&self, alerts: &mut KeyAlerts<'_>) -> Result<(), Failure> {
        alerts.log = store::load(&self.store, &alerts::document(&alerts.key)).await?;
        let hot = std::mem::take(&mut alerts.hot);
        let done = self.add_due(alerts, &hot).await;
        let all = hot.len();
        alerts.hot = hot;
        // These were taken for settled, and nothing comes back to them but the delivery's retry.
        if done? < all {
            return Err(Failure::Contended("alerts of one key"));
        }
        Ok(())
    }

    /// Reads the figures of the alerts that are in no incident yet, where they are unknown.
    pub(super) async fn complete(&self, alerts: &mut KeyAlerts<'_>) -> Result<(), Failure> {
        let unrecorded: Vec<EventTime> = alerts.log.value.unrecorded().collect();
        alerts.found.retain(|at, _| unrecorded.contains(at));
        let unfound = alerts.unfound();
        if unfound.is_empty() {
            return Ok(());
        }
        // They only rank it; the figures of notices are read again.
        let unread = |_| unfound.iter().map(|at| (*at, Figures::at_least(*at))).collect();
        let figures = self.figures(alerts.rule, &alerts.key, &unfound).await.unwrap_or_else(unread);
        for (at, figures) in &figures {
            alerts.take(*at, figures);
        }
        Ok(())
    }

    /// The alerts' figures from the counters as they are now, in order of time.
    pub(super) async fn figures(
        &self,
        rule: &Rule,
        key: &Key,
        alerts: &[EventTime],
    ) -> Result<Vec<(EventTime, Figures)>, StoreError> {
        let mut alerts = alerts.to_vec();
        alerts.sort_unstable();
        let mut figures = Vec::with_capacity(alerts.len());
        // Alerts near each other are read together.
        let around = rule.window.saturating_add(rule.slot()).saturating_add(rule.cooldown);
        for near in alerts.chunk_by(|one, next| *next <= one.plus(around)) {
            let ([first, .., last] | [first @ last]) = near else { continue };
            let counters = self.counters_around(rule, key, *first, *last).await?;
            let window = Window::new(rule, &counters);
            figures.extend(
                near.iter().map(|at| (*at, window.figures(*at).unwrap_or_else(|| Figures::at_least(*at)))),
            );
        }
        Ok(figures)
    }

    /// All counters that decide whether denials from `first` to `last` are hot, and the figures
    /// of alerts there.
    async fn counters_around(
        &self,
        rule: &Rule,
        key: &Key,
        first: EventTime,
        last: EventTime,
    ) -> Result<Vec<Counter>, StoreError> {
        // A slot that begins before the window may hold its first denials.
        let from = first.minus(rule.window).minus(rule.slot());
        self.store.counters(key, rule.slot_minutes(), from..=last.plus(rule.cooldown)).await
    }
}

impl KeyAlerts<'_> {
    /// The alerts in no incident of which nothing is known but their time.
    fn unfound(&self) -> Vec<EventTime> {
        self.log.value.unrecorded().filter(|at| !self.found.contains_key(at)).collect()
    }

    fn take(&mut self, at: EventTime, figures: &Figures) {
        let found = NewAlert {
            rule: self.rule,
            key: self.key.clone(),
            at,
            severity: severity::of(self.rule, &self.key, &figures.evidence),
            first_seen: figures.first_seen,
            last_seen: figures.last_seen,
            total: figures.total,
            is_lower_bound: figures.is_lower_bound,
            alone: false,
        };
        self.found.insert(at, found);
        self.denied.insert(at, DeniedModels::of(self.rule, &self.key, figures));
    }
}

/// The stretches of time in which what an object adds may have made denials hot, each from its first
/// to its last. Most keys have one; a key with years of denials is worked on piece by piece, each
/// long enough that the windows around it cost no more than the piece.
fn stretches(rule: &Rule, summary: &Summary) -> VecDeque<(EventTime, EventTime)> {
    let around = rule.window.saturating_add(rule.slot()).saturating_add(rule.cooldown);
    let mut stretches: Vec<(EventTime, EventTime)> = Vec::new();
    let mut slots = 0;
    for (first, last) in summary.spans() {
        match stretches.last_mut() {
            Some(stretch) if slots < MIN_SLOTS_A_READ || first <= stretch.0.plus(around) => {
                stretch.0 = stretch.0.min(first);
                stretch.1 = stretch.1.max(last);
                slots = slots.saturating_add(1);
            }
            _ => {
                stretches.push((first, last));
                slots = 1;
            }
        }
    }
    // A denial can make hot what happened up to a window later.
    stretches.into_iter().map(|(first, last)| (first, last.plus(rule.window))).collect()
}

pub(super) fn expires_at(rule: &Rule, now: u64) -> u64 {
    now.saturating_add(rule.window.as_secs()).saturating_add(RETENTION.as_secs())
}
