//! One delivery after its object was read: add → read the window → decide → claim → publish → settle.
//!
//! Every step may be repeated, so any failure is answered by failing the delivery and trying
//! it again. What fails for one key holds up no other.

use std::time::Duration;

use futures_util::stream::{self, FuturesUnordered, StreamExt};
use glob::Pattern;

use crate::alert::sink::{AlertSink, SinkError};
use crate::alert::{self, Alert};
use crate::count::claims::{self, AlertLog, Claimant, Claims, MAX_PENDING};
use crate::count::counter::Counter;
use crate::count::key::Key;
use crate::count::store::{CounterStore, StoreError};
use crate::count::tally::{Summary, Tally};
use crate::count::window::{Figures, Window};
use crate::log::time::EventTime;
use crate::reader::{Limits, Reader};
use crate::rule::definition::{MAX_SLOT, Rule};

/// Counters outlive the longest redrive of a failed delivery: 14 days in its queue, and one to spare.
pub const RETENTION: Duration = Duration::from_secs(15 * 24 * 3600);
/// Keys of one object that are worked on at once.
const KEYS_AT_ONCE: usize = 32;
/// Slots of one key that are added at once.
const ADDS_AT_ONCE: usize = 8;
/// Failures of one object that are reported one by one; further ones are only counted.
pub const MAX_FAILURES: usize = 10;
/// After this many keys in a row that the store did not answer, it is down, and the other keys are
/// left to the retry. A caller can invent keys, but none that the store does not answer.
pub const MAX_UNANSWERED: usize = KEYS_AT_ONCE;
/// A key with at least this many slots is read piece by piece.
const MIN_SLOTS_A_READ: usize = 64;
/// How often a compare-and-set is tried. Each time it fails, another delivery has succeeded.
const MAX_ATTEMPTS: usize = 100;

/// The detector: rules between a store and a sink.
pub struct Pipeline<S, K> {
    /// Where counters and alerts are kept.
    pub store: S,
    /// Where alerts go.
    pub sink: K,
    /// The rules.
    pub rules: Vec<Rule>,
    /// Users that are counted but never alerted.
    pub exempt_users: Vec<Pattern>,
    /// What one object may cost.
    pub limits: Limits,
}

/// One delivery of one object.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The object's name, as alerts show it.
    pub object: &'a str,
    /// Who claims, when, and for how long.
    pub claimant: Claimant<'a>,
}

/// An alert that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The alert's id.
    pub id: String,
    /// The time of the hot denial.
    pub at: EventTime,
}

/// What became of one delivery.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The alerts that the sink took.
    pub published: Vec<Published>,
    /// The first [`MAX_FAILURES`]; the delivery fails if there is any.
    pub failures: Vec<Failure>,
    /// How many keys failed.
    pub failed: usize,
}

impl Outcome {
    fn fail(&mut self, failure: Failure) {
        self.failed += 1;
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(failure);
        }
    }
}

/// Why one key of a delivery failed. It names no user or model: it is logged.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sink failed; the alert stays pending.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Other deliveries kept changing the same key's alerts.
    #[error(
        "the alerts of one key changed {MAX_ATTEMPTS} times while they were being claimed; the delivery will be tried again"
    )]
    Contended,
    /// Too many alerts of one key are pending.
    #[error(
        "{MAX_PENDING} alerts of one key wait for other deliveries to publish them; the delivery will be tried again"
    )]
    Crowded,
    /// The store is down.
    #[error(
        "the store answered none of {MAX_UNANSWERED} keys in a row; the object's other keys were not tried; the delivery will be tried again"
    )]
    Unanswered,
}

impl Failure {
    fn is_unanswered(&self) -> bool {
        matches!(self, Self::Store(error) if !error.refused)
    }
}

impl<S: CounterStore, K: AlertSink> Pipeline<S, K> {
    /// Begins to read an object; push its bytes, then [`Self::commit`] what was tallied.
    #[must_use]
    pub fn read<'o>(&self, object: &'o str) -> Reader<'o> {
        let tally = Tally::new(self.rules.clone(), self.exempt_users.clone());
        Reader::new(object, tally, self.limits)
    }

    /// Counts what an object holds and publishes what is due.
    pub async fn commit(&self, tally: Tally, delivery: Delivery<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut work = tally.into_summaries().map(|summary| self.key(summary, delivery));
        let mut running = FuturesUnordered::new();
        let mut unanswered = 0;
        loop {
            if unanswered < MAX_UNANSWERED {
                running.extend(work.by_ref().take(KEYS_AT_ONCE - running.len()));
            }
            // What runs is never dropped: an alert could be left published and not marked.
            let Some((published, result)) = running.next().await else { break };
            outcome.published.extend(published);
            unanswered = match &result {
                Err(failure) if failure.is_unanswered() => unanswered + 1,
                _ => 0,
            };
            if let Err(failure) = result {
                outcome.fail(failure);
            }
        }
        if unanswered >= MAX_UNANSWERED {
            outcome.failures.push(Failure::Unanswered);
        }
        outcome
    }

    async fn key(&self, summary: Summary, delivery: Delivery<'_>) -> (Vec<Published>, Result<(), Failure>) {
        let mut published = Vec::new();
        let Some(rule) = self.rules.iter().find(|rule| rule.id == summary.key.rule) else {
            return (published, Ok(()));
        };
        let result = self.count_and_alert(rule, &summary, delivery, &mut published).await;
        (published, result)
    }

    async fn count_and_alert(
        &self,
        rule: &Rule,
        summary: &Summary,
        delivery: Delivery<'_>,
        published: &mut Vec<Published>,
    ) -> Result<(), Failure> {
        let key = &summary.key;
        let expires_at = expires_at(rule, delivery.claimant.now);
        let adds = summary.contributions().map(async |(slot, contribution)| {
            self.store.add(rule, key, slot, &contribution, expires_at).await
        });
        let mut adds = stream::iter(adds).buffer_unordered(ADDS_AT_ONCE);
        while let Some(added) = adds.next().await {
            added?;
        }
        for (first, last) in stretches(rule, summary) {
            self.alert(rule, key, (first, last), delivery, published).await?;
        }
        Ok(())
    }

    /// Claims and publishes what is due from `first` to `last`.
    async fn alert(
        &self,
        rule: &Rule,
        key: &Key,
        (first, last): (EventTime, EventTime),
        delivery: Delivery<'_>,
        published: &mut Vec<Published>,
    ) -> Result<(), Failure> {
        let expires_at = expires_at(rule, delivery.claimant.now);
        let counters = self.counters_around(rule, key, first, last).await?;
        let mut window = Window::new(rule, &counters);
        let hot = window.hot(first, last);
        let mut done = 0;
        while done < hot.len() {
            let (log, claims) = self.claim(rule, key, &hot[done..], delivery.claimant, expires_at).await?;
            done += claims.done;
            if claims.done == 0 && claims.mine.is_empty() {
                return Err(Failure::Crowded);
            }
            let before = published.len();
            let mut result = Ok(());
            for at in claims.mine.iter().copied() {
                result = async {
                    let figures = if (first..=last).contains(&at) {
                        window.figures(at)
                    } else {
                        let counters = self.counters_around(rule, key, at, at).await?;
                        Window::new(rule, &counters).figures(at)
                    };
                    let figures = figures.unwrap_or_else(|| Figures::at_least(rule, at));
                    let alert = Alert { rule, key, at, figures, object: delivery.object };
                    self.sink.publish(&alert).await?;
                    published.push(Published { id: alert.id(), at });
                    Ok::<(), Failure>(())
                }
                .await;
                if result.is_err() {
                    break;
                }
            }
            let settled = self.settle(key, log, &claims, &published[before..], delivery, expires_at).await;
            // What could not be published matters more than that it could not be noted.
            result.and(settled)?;
        }
        Ok(())
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

    async fn claim(
        &self,
        rule: &Rule,
        key: &Key,
        hot: &[EventTime],
        claimant: Claimant<'_>,
        expires_at: u64,
    ) -> Result<(AlertLog, Claims), Failure> {
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
            let claims = claims::claim(&mut log, hot, rule.cooldown, &claimant, id);
            if !claims.changed {
                return Ok((log, claims));
            }
            let older = claims::archive(&mut log);
            if !older.is_empty() {
                self.store.archive_alerts(key, &older, expires_at).await?;
            }
            if self.store.replace_alerts(key, &log, expires_at).await? {
                log.version += 1;
                return Ok((log, claims));
            }
        }
        Err(Failure::Contended)
    }

    /// Notes which claims were published, and gives up the others.
    async fn settle(
        &self,
        key: &Key,
        mut log: AlertLog,
        claims: &Claims,
        published: &[Published],
        delivery: Delivery<'_>,
        expires_at: u64,
    ) -> Result<(), Failure> {
        let published: Vec<EventTime> = published.iter().map(|alert| alert.at).collect();
        for _ in 0..MAX_ATTEMPTS {
            if !claims::settle(&mut log, &claims.mine, &published, delivery.claimant.owner)
                || self.store.replace_alerts(key, &log, expires_at).await?
            {
                return Ok(());
            }
            log = self.store.alerts(key).await?;
        }
        Err(Failure::Contended)
    }
}

/// The stretches of time in which what an object adds may have made denials hot, each from its first
/// to its last. Most keys have one; a key with years of denials is worked on piece by piece, each
/// long enough that the windows around it cost no more than the piece.
fn stretches(rule: &Rule, summary: &Summary) -> Vec<(EventTime, EventTime)> {
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

fn expires_at(rule: &Rule, now: u64) -> u64 {
    now.saturating_add(rule.window.as_secs()).saturating_add(RETENTION.as_secs())
}
