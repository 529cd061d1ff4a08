//! For the callers of a delivery: their incidents go on the watch list before anything is sent, and what they were
//! served is read back.
//!
//! The delivery read its object before it knew whom to watch, so it reads it once more, for these callers' successful
//! calls alone. Where it cannot, what it says of them is a lower bound, and it does not say that there were none.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::again::Again;
use super::change::{Target, change};
use super::keys::{DeniedModels, KeyWork};
use super::record::{CallerAlerts, expires_at_incidents};
use super::{Delivery, Failure, Outcome, Pipeline, TimeLeft};
use crate::alert::sink::AlertSink;
use crate::count::served::{self, Served};
use crate::count::store::{self, Store, StoreError};
use crate::count::tally::Tally;
use crate::count::watch::{self, WatchList, Watched};
use crate::rule::definition::Rule;
use crate::source::time::EventTime;

/// How successful calls are looked for.
pub(super) struct Looking<'a> {
    /// The list by which the object was read, and then the one by which it was read again.
    known: RefCell<Arc<WatchList>>,
    /// Reads the object again; `None` if there is none, since what comes in events is failed calls alone.
    again: Option<Again<'a>>,
}

impl<'a> Looking<'a> {
    /// Of an object that was read by the list `known`.
    pub(super) fn new(known: Arc<WatchList>, again: Option<Again<'a>>) -> Self {
        Self { known: RefCell::new(known), again }
    }

    fn known(&self) -> Arc<WatchList> {
        Arc::clone(&self.known.borrow())
    }
}

impl<S: Store, K: AlertSink> Pipeline<S, K> {
    /// The callers whose successful calls count. A list that cannot be understood is none: denials are found all the
    /// same.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn watch_list(&self) -> Result<Arc<WatchList>, StoreError> {
        match store::load::<WatchList>(&self.store, &watch::document()).await {
            Ok(list) => Ok(Arc::new(list.value)),
            Err(error) if error.refused => Ok(Arc::default()),
            Err(error) => Err(error),
        }
    }

    /// Puts the incidents of `callers` on the watch list, and counts their calls in this delivery's object. Returns the
    /// keys that this makes work for, and the callers that failed.
    pub(super) async fn watch<'r>(
        &'r self,
        callers: &mut [CallerAlerts<'_>],
        failed: &BTreeSet<usize>,
        looking: &Looking<'_>,
        (time, delivery): (TimeLeft<'_>, Delivery<'_>),
        outcome: &mut Outcome,
    ) -> (Vec<KeyWork<'r>>, BTreeSet<usize>) {
        let (mut wanted, mut lost) = (Vec::new(), BTreeSet::new());
        for (number, alerts) in callers.iter().enumerate().filter(|(number, _)| !failed.contains(number)) {
            for begin in &alerts.handled {
                match self.entry(alerts, *begin, delivery).await {
                    Ok(entry) => wanted.extend(entry),
                    Err(error) => {
                        outcome.fail(error.into());
                        lost.insert(number);
                    }
                }
            }
        }
        let list = self.add_watched(&wanted, looking, delivery).await.unwrap_or_else(|failure| {
            let is_refused = matches!(&failure, Failure::Store(error) if error.refused);
            if !is_refused {
                outcome.fail(failure);
                lost.extend(0..callers.len());
            }
            looking.known()
        });
        let known = looking.known.replace(Arc::clone(&list));
        // Whose calls in the object are not counted, and those of whom more models are known to be denied.
        let (mut fresh, mut uncounted) = (WatchList::default(), Vec::new());
        for alerts in &mut *callers {
            for begin in alerts.handled.clone() {
                let Some(entry) = list.about(&alerts.caller, begin) else { continue };
                let known = known.get(&alerts.caller, entry.begin);
                if known.is_none_or(|known| known.denied != entry.denied) && !fresh.callers.contains(entry) {
                    fresh.callers.push(entry.clone());
                }
                if known.is_none() {
                    uncounted.push(Watched { unread: true, ..entry.clone() });
                }
                alerts.watched.insert(begin, entry.clone());
            }
        }
        if fresh.callers.is_empty() {
            return (Vec::new(), lost);
        }
        let work = if time.suffices() { self.read_again(fresh, looking, delivery).await } else { None };
        if work.is_none() {
            // Whoever reports these incidents later must know, too.
            if let Err(failure) = self.add_watched(&uncounted, looking, delivery).await {
                outcome.fail(failure);
                lost.extend(0..callers.len());
            }
            let entries = callers.iter_mut().flat_map(|alerts| {
                let caller = &alerts.caller;
                alerts.watched.values_mut().map(move |entry| (caller, entry))
            });
            for (caller, entry) in entries {
                entry.unread |= uncounted.iter().any(|one| one.is_about(caller, entry.begin));
            }
        }
        (work.unwrap_or_default(), lost)
    }

    /// The entry of an incident; `None` if no alert of it here is about calls that failed.
    async fn entry(
        &self,
        alerts: &CallerAlerts<'_>,
        begin: EventTime,
        delivery: Delivery<'_>,
    ) -> Result<Option<Watched>, StoreError> {
        let arn = alerts.caller.arn.as_deref().filter(|arn| watch::is_watchable(arn));
        let (Some(arn), Some(incident)) = (arn, alerts.incidents.get(begin)) else { return Ok(None) };
        let mut denied: Vec<DeniedModels> = Vec::new();
        for key in alerts.keys.iter().filter(|key| key.rule.is_about_failures()) {
            let own = key
                .log
                .value
                .pending()
                .filter(|(_, alert)| alert.place.is_some_and(|place| place.begin == begin));
            for (at, _) in own {
                if let Some(known) = key.denied.get(&at) {
                    denied.push(known.clone());
                } else {
                    // Another delivery, or an earlier attempt, recorded it.
                    let figures = self.figures(key.rule, &key.key, &[at]).await?;
                    denied.extend(figures.iter().map(|(_, one)| DeniedModels::of(key.rule, &key.key, one)));
                }
            }
        }
        let Some(severity) = incident.highest.filter(|_| !denied.is_empty()) else { return Ok(None) };
        Ok(Some(Watched {
            account: alerts.caller.account.clone(),
            arn: arn.to_owned(),
            begin,
            first: incident.first_seen,
            severity,
            log: denied.iter().any(|one| one.log),
            unread: false,
            written_at: delivery.claimant.now,
            denied: denied.iter().flat_map(DeniedModels::pairs).collect(),
        }))
    }

    /// Adds entries to the list unless it is known to have them; returns the list.
    async fn add_watched(
        &self,
        wanted: &[Watched],
        looking: &Looking<'_>,
        delivery: Delivery<'_>,
    ) -> Result<Arc<WatchList>, Failure> {
        let now = delivery.claimant.now;
        let known = looking.known();
        if wanted.is_empty() || !WatchList::clone(&known).add(wanted, now) {
            return Ok(known);
        }
        let expires_at = expires_at_incidents(delivery);
        let target = Target { id: watch::document(), what: "list of watched callers", expires_at };
        let add = |list: &mut WatchList| (list.add(wanted, now), ());
        let (list, ()) = change(&self.store, &target, add).await?;
        Ok(Arc::new(list))
    }

    /// Counts what `fresh` callers were served in this delivery's object; `None` if not all of it could be counted.
    async fn read_again<'r>(
        &'r self,
        fresh: WatchList,
        looking: &Looking<'_>,
        delivery: Delivery<'_>,
    ) -> Option<Vec<KeyWork<'r>>> {
        let rules: Vec<Rule> = self.rules.iter().filter(|rule| rule.is_about_watched()).cloned().collect();
        let tally = Tally::new(rules, self.exempt_users.clone()).watching(Arc::new(fresh));
        let Some(again) = looking.again else { return Some(Vec::new()) };
        let read = again(tally).await?;
        let mut work = Vec::new();
        for summary in read.tally.into_summaries() {
            let (key, counted) = self.count_only(summary, delivery).await;
            counted.ok()?;
            work.extend(key);
        }
        Some(work).filter(|_| read.damage.is_none())
    }

    /// What the caller of an incident was served, as far as it is known; `None` if it was denied nothing.
    pub(super) async fn served(
        &self,
        alerts: &CallerAlerts<'_>,
        begin: EventTime,
    ) -> Result<Option<Served>, StoreError> {
        let Some(entry) = alerts.watched.get(&begin) else {
            let rules = alerts.incidents.get(begin).map(|incident| incident.rules.keys());
            let is_failing =
                |id: &String| self.rules.iter().any(|rule| rule.id == id && rule.is_about_failures());
            return Ok(rules.into_iter().flatten().any(is_failing).then_some(Served::Unknown));
        };
        let read = async |rule: &Rule| {
            let starts = entry.first.minus(rule.slot())..=entry.until();
            self.store.counters(&served::key(rule, entry), rule.slot_minutes(), starts).await
        };
        let calls = read(&served::CALLS).await?;
        let tokens = if calls.is_empty() { Vec::new() } else { read(&served::TOKENS).await? };
        Ok(Some(Served::of(entry, &calls, &tokens)))
    }
}
