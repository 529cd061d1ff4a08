//! Each key of a delivery: add to its counters, read the window, decide what is hot, claim the
//! alerts; and at the end mark them published.

use indexmap::IndexMap;

use super::{Delivery, Failure, MAX_ATTEMPTS, Pipeline, RETENTION};
use crate::alert;
use crate::alert::sink::AlertSink;
use crate::count::caller::Caller;
use crate::count::claims::{self, AlertLog, Claims, Fate};
use crate::count::counter::Counter;
use crate::count::incident::Found;
use crate::count::key::Key;
use crate::count::store::{CounterStore, StoreError};
use crate::count::tally::Summary;
use crate::count::window::{Figures, Window};
use crate::log::time::EventTime;
use crate::rule::definition::Rule;

/// A key whose denials from `first` to `last` may be hot.
pub(super) struct Stretch<'r> {
    rule: &'r Rule,
    key: Key,
    first: EventTime,
    last: EventTime,
}

/// What was found of one key, and what remains to be looked at.
#[derive(Default)]
pub(super) struct Counted<'r> {
    found: Vec<Found<'r>>,
    rest: Option<Stretch<'r>>,
}

/// Puts what was found under its caller; returns what remains.
pub(super) fn keep<'r>(
    counted: Counted<'r>,
    found: &mut IndexMap<Caller, Vec<Found<'r>>>,
) -> Option<Stretch<'r>> {
    if let Some(first) = counted.found.first() {
        let caller = Caller::of(first.rule, &first.key);
        found.entry(caller).or_default().extend(counted.found);
    }
    counted.rest
}

impl<S: CounterStore, K: AlertSink> Pipeline<S, K> {
    /// Adds what the object holds of one key, and finds what is due.
    pub(super) async fn count(
        &self,
        summary: Summary,
        delivery: Delivery<'_>,
    ) -> (Counted<'_>, Result<(), Failure>) {
        let Some(rule) = self.rules.iter().find(|rule| rule.id == summary.key.rule) else {
            return (Counted::default(), Ok(()));
        };
        let expires_at = expires_at(rule, delivery.claimant.now);
        for (slot, contribution) in &summary.slots {
            if let Err(error) = self.store.add(rule, &summary.key, *slot, contribution, expires_at).await {
                return (Counted::default(), Err(error.into()));
            }
        }
        let samples = || summary.slots.values().flat_map(|contribution| &contribution.samples);
        let (Some(first), Some(last)) =
            (samples().map(|sample| sample.at).min(), samples().map(|sample| sample.at).max())
        else {
            return (Counted::default(), Ok(()));
        };
        // A denial can make hot what happened up to a window later.
        let last = last.plus(rule.window);
        self.find(Stretch { rule, key: summary.key, first, last }, delivery).await
    }

    /// Claims what is due of one key.
    pub(super) async fn find<'r>(
        &self,
        stretch: Stretch<'r>,
        delivery: Delivery<'_>,
    ) -> (Counted<'r>, Result<(), Failure>) {
        let mut counted = Counted::default();
        let result = self.claim(stretch, delivery, &mut counted).await;
        (counted, result)
    }

    async fn claim<'r>(
        &self,
        mut stretch: Stretch<'r>,
        delivery: Delivery<'_>,
        counted: &mut Counted<'r>,
    ) -> Result<(), Failure> {
        let Stretch { rule, first, last, .. } = stretch;
        let key = &stretch.key;
        let counters = self.counters_around(rule, key, first, last).await?;
        let window = Window::new(rule, &counters);
        let hot = window.hot(first, last);
        if hot.is_empty() {
            return Ok(());
        }
        let (log, claims) = self.claimed(rule, key, &hot, delivery).await?;
        for at in claims.mine.iter().copied() {
            let figures = if (first..=last).contains(&at) {
                window.figures(at).unwrap_or_else(|| Figures::at_least(rule, at))
            } else {
                // They only rank it; those that are told are read again.
                self.figures(rule, key, at).await.unwrap_or_else(|_| Figures::at_least(rule, at))
            };
            counted.found.push(Found {
                rule,
                key: key.clone(),
                at,
                first_seen: figures.first_seen,
                last_seen: figures.last_seen,
                total: figures.total,
                at_least: figures.at_least,
                alone: claims::is_alone(&log, &claims.mine, at),
                number: log.alerts.get(&at).and_then(|alert| alert.number),
            });
        }
        if let Some(next) = hot.get(claims.done) {
            stretch.first = *next;
            counted.rest = Some(stretch);
        }
        Ok(())
    }

    /// The figures of an alert as the counters tell them now.
    pub(super) async fn figures(&self, rule: &Rule, key: &Key, at: EventTime) -> Result<Figures, StoreError> {
        let counters = self.counters_around(rule, key, at, at).await?;
        let figures = Window::new(rule, &counters).figures(at);
        Ok(figures.unwrap_or_else(|| Figures::at_least(rule, at)))
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
        let slot = rule.slot();
        let from = first.minus(rule.window).slot(slot);
        let to = last.plus(rule.cooldown).slot(slot);
        self.store.counters(key, from..=to).await
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
            let id = |at| alert::id(key, at);
            let claims = claims::claim(&mut log, hot, rule.cooldown, &delivery.claimant, id);
            if !claims.changed || self.store.replace_alerts(key, &log, expires_at).await? {
                return Ok((log, claims));
            }
        }
        Err(Failure::Contended("alerts of one key"))
    }

    /// Notes what became of one key's claims.
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

fn expires_at(rule: &Rule, now: u64) -> u64 {
    now.saturating_add(rule.window.as_secs()).saturating_add(RETENTION.as_secs())
}
