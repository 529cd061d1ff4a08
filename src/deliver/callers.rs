//! For the callers of a delivery: record, admit, notify; at the end, mark the alerts published. Only then
//! does a caller count as done, so that a crash anywhere before is healed by the delivery's own retry, by a redrive,
//! or by the caller's next alert.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures_util::FutureExt;
use indexmap::IndexMap;

use super::change::{Target, change_known};
use super::keys::{self, KeyAlerts, KeyWork};
use super::notify::{Notified, Notifier};
use super::record::CallerAlerts;
use super::watch::Looking;
use super::{Delivery, Failure, Outcome, Pipeline, Published, TimeLeft, work};
use crate::alert::sink::AlertSink;
use crate::alert::{Alert, IncidentRef};
use crate::count::alerts::{self, AlertLog, AlertState};
use crate::count::caller::Caller;
use crate::count::document::Versioned;
use crate::count::incident;
use crate::count::lease::{self, Turn};
use crate::count::served::Served;
use crate::count::store::{self, Store};
use crate::source::time::EventTime;

/// How often a delivery looks again at an alert that another one is about to send.
const MAX_ALERT_LOOKS: usize = 5;

impl<S: Store, K: AlertSink> Pipeline<S, K> {
    /// Records what was found, sends the notices that are due, and marks the alerts. Returns the
    /// callers for which some of this failed, and the keys of which more must be found.
    pub(super) async fn notify<'r>(
        &'r self,
        time: TimeLeft<'_>,
        found: IndexMap<Caller, Vec<KeyAlerts<'r>>>,
        delivery: Delivery<'_>,
        looking: &Looking<'_>,
        outcome: &mut Outcome,
    ) -> (HashSet<Caller>, Vec<KeyWork<'r>>) {
        let (mut callers, mut failed) = (Vec::new(), BTreeSet::new());
        let recording = found.into_iter().map(|(caller, keys)| self.record(caller, keys, delivery));
        work::all(recording, outcome, |alerts: CallerAlerts<'_>, failure| {
            if failure.is_some() {
                failed.insert(callers.len());
            }
            callers.push(alerts);
            failure
        })
        .await;
        outcome.incidents =
            outcome.incidents.saturating_add(callers.iter().map(|alerts| alerts.begun).sum::<u64>());
        failed.extend(self.admit(&mut callers, delivery, outcome).await);
        let watching = self.watch(&mut callers, &failed, looking, (time, delivery), outcome);
        // Boxed, since the compiler lays out only so many futures within each other.
        let (more, lost) = watching.boxed_local().await;
        failed.extend(lost);
        let failed = failed.into_iter().collect();
        let Notified { notices, mut failed } =
            Notifier::new(self, &callers, delivery, time, outcome).all(failed).await;
        let mut published = Vec::new();
        let keys = callers
            .iter()
            .enumerate()
            .flat_map(|(number, alerts)| alerts.keys.iter().map(move |key| (number, alerts, key)));
        let keys = keys.filter(|(number, ..)| !failed.contains(number));
        let marking = keys.map(async |(number, alerts, key)| {
            let reported = |begin| notices.get(&(number, begin)).map(|id| &**id);
            let (done, result) = self.mark(alerts, key, reported, delivery).await;
            ((number, done, result.is_ok()), result)
        });
        let mut unmarked: Vec<usize> = callers.iter().map(|alerts| alerts.keys.len()).collect();
        work::all(marking, outcome, |(number, done, is_marked), failure| {
            published.extend(done);
            if let Some(unmarked) = unmarked.get_mut(number).filter(|_| is_marked) {
                *unmarked = unmarked.saturating_sub(1);
            }
            failure
        })
        .await;
        failed.extend((0..).zip(unmarked).filter(|(_, unmarked)| *unmarked > 0).map(|(number, _)| number));
        outcome.published.extend(published);
        if self.sink.wants_alerts() && !failed.is_empty() {
            let keys = callers.iter().enumerate().filter(|(number, _)| failed.contains(number));
            let keys = keys.flat_map(|(_, alerts)| &alerts.keys);
            let releasing = keys.map(async |key| ((), self.release(key, delivery).await));
            // If this fails too, the leases run out.
            work::all(releasing, &mut Outcome::default(), |(), _| None).await;
        }
        let callers = (0..).zip(callers).filter(|(number, _)| failed.contains(number));
        (callers.map(|(_, alerts)| alerts.caller).collect(), more)
    }

    /// Sends one key's alerts as messages of their own, where programs want them, and marks them.
    async fn mark<'n>(
        &self,
        caller: &CallerAlerts<'_>,
        alerts: &KeyAlerts<'_>,
        reported: impl Fn(EventTime) -> Option<&'n str>,
        delivery: Delivery<'_>,
    ) -> (Vec<Published>, Result<(), Failure>) {
        let mut done: Vec<EventTime> = Vec::new();
        let handed = if self.sink.wants_alerts() {
            self.hand_over(caller, alerts, &reported, delivery, &mut done).await
        } else {
            done.extend(alerts.log.value.pending().map(|(at, _)| at));
            Ok(())
        };
        let mark = |log: &mut AlertLog| {
            let marked = alerts::publish(log, &done);
            (!marked.is_empty(), marked)
        };
        let marked = self.change_alerts(alerts, alerts.log.clone(), delivery, mark).await;
        let is_reported = |at: &EventTime| {
            let place = alerts.log.value.alerts.get(at).and_then(|alert| alert.place);
            place.is_some_and(|place| reported(place.begin).is_some())
        };
        match marked {
            Ok(marked) => (
                marked.into_iter().map(|at| Published { at, is_reported: is_reported(&at) }).collect(),
                handed,
            ),
            // What could not be published matters more than that this could not be recorded.
            Err(failure) => (Vec::new(), handed.and(Err(failure))),
        }
    }

    /// Sends one key's alerts to programs, and adds them to `done`. Those that another delivery is about to send must
    /// have been sent by it.
    async fn hand_over<'n>(
        &self,
        caller: &CallerAlerts<'_>,
        alerts: &KeyAlerts<'_>,
        reported: &impl Fn(EventTime) -> Option<&'n str>,
        delivery: Delivery<'_>,
        done: &mut Vec<EventTime>,
    ) -> Result<(), Failure> {
        let known: Vec<EventTime> = alerts.log.value.pending().map(|(at, _)| at).collect();
        let claimant = &delivery.claimant;
        let take = |log: &mut AlertLog| {
            let (mut mine, mut others, mut changed) = (Vec::new(), 0_usize, false);
            for (at, alert) in &mut log.alerts {
                if alert.state == AlertState::Published || !known.contains(at) {
                    continue;
                }
                let (taken, turn) = lease::take(&mut alert.lease, claimant);
                changed |= taken;
                if turn == Turn::Held {
                    others = others.saturating_add(1);
                } else {
                    mine.push((*at, alert.place, alert.severity));
                }
            }
            (changed, (mine, others))
        };
        let mut log = alerts.log.clone();
        let mut served: BTreeMap<EventTime, Option<Served>> = BTreeMap::new();
        for look in 0.. {
            let (mut mine, others) = self.change_alerts(alerts, log, delivery, take).await?;
            mine.retain(|(at, ..)| !done.contains(at));
            let due: Vec<EventTime> = mine.iter().map(|(at, ..)| *at).collect();
            let figures = self.figures(alerts.rule, &alerts.key, &due).await?;
            for ((at, figures), (_, place, severity)) in figures.into_iter().zip(mine) {
                let Some(place) = place else { continue };
                let incident = IncidentRef {
                    id: &incident::id(&caller.caller, place.begin),
                    caller: caller.caller.arn.as_deref(),
                    number: place.number,
                    notice: reported(place.begin),
                };
                let KeyAlerts { rule, key, .. } = alerts;
                let severity = severity.unwrap_or(rule.severity);
                let served = match served.entry(place.begin) {
                    Entry::Occupied(known) => known.get().clone(),
                    Entry::Vacant(new) => {
                        new.insert(self.served(caller, place.begin).boxed_local().await?).clone()
                    }
                };
                let object = delivery.object;
                let alert = Alert { rule, key, at, severity, figures, served, object, incident };
                self.sink.alert(&alert).await?;
                done.push(at);
            }
            if others == 0 {
                break;
            }
            if look >= MAX_ALERT_LOOKS {
                return Err(Failure::Held("an alert"));
            }
            self.store.pause().await;
            log = store::load(&self.store, &alerts::document(&alerts.key)).await?;
        }
        Ok(())
    }

    /// Ends this delivery's leases on one key's alerts, so that the next one need not wait.
    async fn release(&self, alerts: &KeyAlerts<'_>, delivery: Delivery<'_>) -> Result<(), Failure> {
        let owner = delivery.claimant.owner;
        let release = |log: &mut AlertLog| {
            let leases = log.alerts.values_mut().map(|alert| &mut alert.lease);
            let released =
                leases.map(|lease| lease::release(lease, owner)).filter(|is_released| *is_released);
            (released.count() > 0, ())
        };
        let log = store::load(&self.store, &alerts::document(&alerts.key)).await?;
        self.change_alerts(alerts, log, delivery, release).await
    }

    /// Changes one key's alerts as they were read; `edit` says whether it has changed them, and its answer.
    async fn change_alerts<T>(
        &self,
        alerts: &KeyAlerts<'_>,
        known: Versioned<AlertLog>,
        delivery: Delivery<'_>,
        edit: impl FnMut(&mut AlertLog) -> (bool, T),
    ) -> Result<T, Failure> {
        let expires_at = keys::expires_at(alerts.rule, delivery.claimant.now);
        let target = Target { id: alerts::document(&alerts.key), what: "alerts of one key", expires_at };
        Ok(change_known(&self.store, &target, known, edit).await?.1)
    }
}
