//! For each key of a delivery: add to its counters, read the window, find what is hot, claim the alerts;
//! at the end, mark them published.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use indexmap::IndexMap;

use super::work::AT_ONCE;
use super::{Delivery, Failure, MAX_ATTEMPTS, Pipeline, RETENTION};
use crate::alert;
use crate::alert::sink::AlertSink;
use crate::count::caller::Caller;
use crate::count::claims::{self, AlertLog, Claimant, Claims, Fate, MAX_CLAIMS, State};
use crate::count::counter::Counter;
use crate::count::incident::Found;
use crate::count::key::Key;
use crate::count::store::{CounterStore, StoreError};
use crate::count::tally::Summary;
use crate::count::window::{Figures, Window};
use crate::log::time::EventTime;
use crate::rule::definition::{MAX_SLOT, Rule};

/// Slots of one key that are added at once.
const ADDS_AT_ONCE: usize = 8;
/// A key with at least this many slots is read piece by piece.
const MIN_SLOTS_A_READ: usize = 64;

/// A key, and the stretches of time in which its denials may be hot.
pub(super) struct Rest<'r> {
    rule: &'r Rule,
    key: Key,
    stretches: VecDeque<(EventTime, EventTime)>,
    /// The records of the event that count toward it.
    pub(super) records: Vec<u32>,
}

impl Rest<'_> {
    pub(super) fn caller(&self) -> Caller {
        Caller::of(self.rule, &self.key)
    }
}

/// The alerts found for one key, and the stretches still to be read.
#[derive(Default)]
pub(super) struct Counted<'r> {
    found: Vec<Found<'r>>,
    rest: Option<Rest<'r>>,
    /// The records of the event that count toward the key.
    pub(super) records: Vec<u32>,
    /// Another delivery holds one of the alerts that are due.
    pub(super) left_to_others: bool,
}

impl Counted<'_> {
    /// Whose the alerts are, if there are any.
    pub(super) fn caller(&self) -> Option<Caller> {
        self.found.first().map(|first| Caller::of(first.rule, &first.key))
    }
}

/// Files the alerts under their caller; returns what remains.
pub(super) fn sort<'r>(
    counted: Counted<'r>,
    found: &mut IndexMap<Caller, Vec<Found<'r>>>,
) -> Option<Rest<'r>> {
    if let Some(first) = counted.found.first() {
        let known = found.entry(Caller::of(first.rule, &first.key)).or_default();
        if known.is_empty() {
            // Callers may be as many as keys, and most have one alert.
            known.reserve_exact(counted.found.len());
        }
        known.extend(counted.found);
    }
    counted.rest
}

impl<S: CounterStore, K: AlertSink> Pipeline<S, K> {
    /// Adds the object's share of one key, and finds the alerts due.
    pub(super) async fn count(
        &self,
        summary: Summary,
        delivery: Delivery<'_>,
    ) -> (Counted<'_>, Result<(), Failure>) {
        let Some(rule) = self.rules.iter().find(|rule| rule.id == summary.key.rule) else {
            return (Counted::default(), Ok(()));
        };
        if let Err(failure) = self.add(rule, &summary, delivery).await {
            return (Counted { records: summary.records, ..Counted::default() }, Err(failure));
        }
        let stretches = stretches(rule, &summary);
        let Summary { key, records, .. } = summary;
        self.find(Rest { rule, key, stretches, records }, delivery).await
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

    /// Claims one key's due alerts, in a few writes at most.
    pub(super) async fn find<'r>(
        &self,
        mut rest: Rest<'r>,
        delivery: Delivery<'_>,
    ) -> (Counted<'r>, Result<(), Failure>) {
        let mut counted = Counted { records: rest.records.clone(), ..Counted::default() };
        while let Some((first, last)) = rest.stretches.pop_front() {
            match self.claim(rest.rule, &rest.key, (first, last), delivery, &mut counted).await {
                Err(failure) => return (counted, Err(failure)),
                Ok(None) => {}
                // Claimed alerts are published before more are claimed.
                Ok(Some(next)) => {
                    rest.stretches.push_front((next, last));
                    break;
                }
            }
            if counted.found.len() >= MAX_CLAIMS {
                break;
            }
        }
        let more = !rest.stretches.is_empty();
        counted.rest = more.then_some(rest);
        (counted, Ok(()))
    }

    /// Claims what is due from `first` to `last`; returns where to go on, if anywhere.
    async fn claim<'r>(
        &self,
        rule: &'r Rule,
        key: &Key,
        (first, last): (EventTime, EventTime),
        delivery: Delivery<'_>,
        counted: &mut Counted<'r>,
    ) -> Result<Option<EventTime>, Failure> {
        let counters = self.counters_around(rule, key, first, last).await?;
        let mut window = Window::new(rule, &counters);
        let hot = window.hot(first, last);
        // A retry may own what it claimed under a lower threshold, and others rely on that until its lease ends.
        if hot.is_empty() && !window.could_be_hot() {
            return Ok(None);
        }
        let (log, claims) = self.claimed(rule, key, &hot, delivery).await?;
        if !hot.is_empty() && claims.done == 0 && claims.mine.is_empty() {
            return Err(Failure::Crowded);
        }
        counted.left_to_others |= is_left_to_others(&log, &hot, rule.cooldown, delivery);
        let found = &mut counted.found;
        // Alerts claimed for an earlier stretch are still pending.
        let known: BTreeSet<EventTime> = found.iter().map(|one| one.at).collect();
        let new = claims.mine.iter().filter(|at| !known.contains(at));
        let (inside, outside): (Vec<EventTime>, _) = new.partition(|at| (first..=last).contains(at));
        let mut figures: Vec<(EventTime, Figures)> = inside
            .into_iter()
            .map(|at| (at, window.figures(at).unwrap_or_else(|| Figures::at_least(rule, at))))
            .collect();
        // They only rank it; the figures of notices are read again.
        let unread = |_| outside.iter().map(|at| (*at, Figures::at_least(rule, *at))).collect();
        figures.extend(self.figures(rule, key, &outside).await.unwrap_or_else(unread));
        found.extend(figures.into_iter().map(|(at, figures)| Found {
            rule,
            key: key.clone(),
            at,
            first_seen: figures.first_seen,
            last_seen: figures.last_seen,
            total: figures.total,
            at_least: figures.at_least,
            alone: claims::is_alone(&log, &claims.mine, at),
            number: log.alerts.get(&at).and_then(|alert| alert.number),
        }));
        Ok(hot.get(claims.done).copied())
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
        let around = rule.window + MAX_SLOT + rule.cooldown;
        for near in alerts.chunk_by(|one, next| *next <= one.plus(around)) {
            let ([first, .., last] | [first @ last]) = near else { continue };
            let counters = self.counters_around(rule, key, *first, *last).await?;
            let mut window = Window::new(rule, &counters);
            figures.extend(
                near.iter()
                    .map(|at| (*at, window.figures(*at).unwrap_or_else(|| Figures::at_least(rule, *at)))),
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
        // Other settings may have had longer slots, and one of those may begin long before the window
        // and still hold its first denials.
        let from = first.minus(rule.window).minus(MAX_SLOT);
        self.store.counters(key, from..=last.plus(rule.cooldown)).await
    }

    async fn claimed(
        &self,
        rule: &Rule,
        key: &Key,
        hot: &[EventTime],
        delivery: Delivery<'_>,
    ) -> Result<(AlertLog, Claims), Failure> {
        let expires_at = expires_at(rule, delivery.claimant.now);
        for _ in 0..MAX_ATTEMPTS {
            let mut log = self.store.alerts(key).await?;
            // What is archived meanwhile is still in this log.
            if let ([first, .., last] | [first @ last], Some(archived_to)) = (hot, log.archived_to)
                && first.minus(rule.cooldown) <= archived_to
            {
                let around = first.minus(rule.cooldown)..=last.plus(rule.cooldown);
                log.archived = self.store.archived_alerts(key, around).await?;
            }
            let id = |at| alert::id(key, at);
            let claims = claims::claim(&mut log, hot, rule.cooldown, &delivery.claimant, id);
            if !claims.changed {
                return Ok((log, claims));
            }
            let older = claims::archive(&mut log);
            if !older.is_empty() {
                self.store.archive_alerts(key, &older, expires_at).await?;
            }
            if self.store.replace_alerts(key, &log, expires_at).await? {
                return Ok((log, claims));
            }
        }
        Err(Failure::Contended("alerts of one key"))
    }

    /// Gives up the claims on alerts that there is no time to publish, so that the next delivery need not wait for
    /// their leases to end. Where this fails, they end.
    pub(super) async fn release(&self, found: IndexMap<Caller, Vec<Found<'_>>>, delivery: Delivery<'_>) {
        let found: Vec<Found<'_>> = found.into_values().flatten().collect();
        let keys = found.chunk_by(|one, other| one.key == other.key).map(async |alerts| {
            let [first, ..] = alerts else { return };
            let fates: Vec<_> = alerts.iter().map(|alert| (alert.at, Fate::Failed(alert.number))).collect();
            _ = self.settle(first.rule, &first.key, &fates, delivery).await;
        });
        stream::iter(keys).buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    /// Records the outcome of one key's claims.
    pub(super) async fn settle(
        &self,
        rule: &Rule,
        key: &Key,
        fates: &[(EventTime, Fate)],
        delivery: Delivery<'_>,
    ) -> Result<(), Failure> {
        let expires_at = expires_at(rule, delivery.claimant.now);
        for _ in 0..MAX_ATTEMPTS {
            let mut log = self.store.alerts(key).await?;
            if !claims::settle(&mut log, fates, delivery.claimant.owner)
                || self.store.replace_alerts(key, &log, expires_at).await?
            {
                return Ok(());
            }
        }
        Err(Failure::Contended("alerts of one key"))
    }
}

/// The stretches of time in which what an object adds may have made denials hot, each from its first
/// to its last. Most keys have one; a key with years of denials is worked on piece by piece, each
/// long enough that the windows around it cost no more than the piece.
fn stretches(rule: &Rule, summary: &Summary) -> VecDeque<(EventTime, EventTime)> {
    let around = rule.window + MAX_SLOT + rule.cooldown;
    let mut stretches: Vec<(EventTime, EventTime)> = Vec::new();
    let mut slots = 0;
    for (first, last) in summary.spans() {
        match stretches.last_mut() {
            Some(stretch) if slots < MIN_SLOTS_A_READ || first <= stretch.0.plus(around) => {
                stretch.0 = stretch.0.min(first);
                stretch.1 = stretch.1.max(last);
                slots += 1;
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

/// Whether an alert that covers one of `hot` is pending under another delivery's lease.
fn is_left_to_others(log: &AlertLog, hot: &[EventTime], cooldown: Duration, delivery: Delivery<'_>) -> bool {
    let Claimant { owner, now, .. } = delivery.claimant;
    let held = log.alerts.iter().filter(|(_, alert)| {
        alert.state == State::Pending && alert.owner != owner && alert.leased_until >= now
    });
    held.into_iter().any(|(at, _)| {
        let around = at.minus(cooldown)..=at.plus(cooldown);
        let first = hot.partition_point(|other| other < around.start());
        hot.get(first).is_some_and(|other| around.contains(other))
    })
}

fn expires_at(rule: &Rule, now: u64) -> u64 {
    now.saturating_add(rule.window.as_secs()).saturating_add(RETENTION.as_secs())
}
