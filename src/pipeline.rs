//! One delivery after its object was read: add → read the window → decide → claim → publish → settle.
//!
//! Every step may be repeated, so any failure is answered by failing the delivery and trying
//! it again. What fails for one key holds up no other.

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use glob::Pattern;

use crate::alert::sink::{AlertSink, SinkError};
use crate::alert::{self, Alert};
use crate::count::claims::{self, AlertLog, Claimant, Claims};
use crate::count::counter::Counter;
use crate::count::key::Key;
use crate::count::store::{CounterStore, StoreError};
use crate::count::tally::{Summary, Tally};
use crate::count::window::{Figures, Window};
use crate::log::time::EventTime;
use crate::reader::{Limits, Reader};
use crate::rule::definition::Rule;

/// Counters outlive the longest redrive of a failed delivery: 14 days in its queue, and one to spare.
pub const RETENTION: Duration = Duration::from_secs(15 * 24 * 3600);
/// Keys of one object that are worked on at once.
const KEYS_AT_ONCE: usize = 32;
/// A delivery gives up after this many failed keys: the store or the topic is down.
pub const MAX_FAILURES: usize = 10;
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
    /// At most [`MAX_FAILURES`] and those under way then; the delivery fails if there is any.
    pub failures: Vec<Failure>,
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
        let mut running: FuturesUnordered<_> = work.by_ref().take(KEYS_AT_ONCE).collect();
        while let Some((published, result)) = running.next().await {
            outcome.published.extend(published);
            outcome.failures.extend(result.err());
            // What runs is never dropped: an alert could be left published and not marked.
            if outcome.failures.len() < MAX_FAILURES {
                running.extend(work.next());
            }
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
        for (slot, contribution) in &summary.slots {
            self.store.add(rule, key, *slot, contribution, expires_at).await?;
        }
        let samples = || summary.slots.values().flat_map(|contribution| &contribution.samples);
        let (Some(first), Some(last)) =
            (samples().map(|sample| sample.at).min(), samples().map(|sample| sample.at).max())
        else {
            return Ok(());
        };
        // A denial can make hot what happened up to a window later.
        let last = last.plus(rule.window);
        let counters = self.counters_around(rule, key, first, last).await?;
        let window = Window::new(rule, &counters);
        let hot = window.hot(first, last);
        let mut done = 0;
        while done < hot.len() {
            let (log, claims) = self.claim(rule, key, &hot[done..], delivery.claimant, expires_at).await?;
            done += claims.done;
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
                    let caller = crate::count::caller::Caller::of(rule, key);
                    let incident =
                        alert::IncidentRef { id: "", caller: caller.arn.as_deref(), number: 1, notice: None };
                    let alert = Alert { rule, key, at, figures, object: delivery.object, incident };
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
        let slot = rule.slot();
        let from = first.minus(rule.window).slot(slot);
        let to = last.plus(rule.cooldown).slot(slot);
        self.store.counters(key, from..=to).await
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
            let id = |at| alert::id(key, at);
            let claims = claims::claim(&mut log, hot, rule.cooldown, &claimant, id);
            if !claims.changed {
                return Ok((log, claims));
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

fn expires_at(rule: &Rule, now: u64) -> u64 {
    now.saturating_add(rule.window.as_secs()).saturating_add(RETENTION.as_secs())
}
