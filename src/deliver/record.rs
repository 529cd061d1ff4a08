//! For each caller of a delivery: record its alerts. One write puts alerts into the documents of their keys, as
//! pending, and counts them in the caller's incidents, so that no alert is counted twice or not at all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::change::{Target, change};
use super::keys::{self, KeyAlerts};
use super::{Delivery, Failure, MAX_ATTEMPTS, Pipeline, RETENTION};
use crate::alert::sink::AlertSink;
use crate::count::alerts::{self, ArchivedDay, DAY};
use crate::count::caller::Caller;
use crate::count::document::{Change, Versioned};
use crate::count::incident::{self, Incident, IncidentLog, NewAlert, SPAN};
use crate::count::key::Key;
use crate::count::lease::Lease;
use crate::count::store::{self, Mute, Store, StoreError};
use crate::count::watch::Watched;
use crate::source::time::EventTime;

/// The most alerts that one write records.
const MAX_RECORDED: usize = 64;
/// What one write may change or check; a store takes a little more.
const MAX_DOCUMENTS: usize = 90;
/// The most alerts in the logs of one write: 2 MB of the 4 MB that `DynamoDB` takes.
const MAX_REMEMBERED: usize = 8_000;
/// Hours of incidents that are read at once where they lie no further apart.
const MAX_GAP: u32 = 6;

/// The alerts of one caller, and their incidents.
pub(super) struct CallerAlerts<'r> {
    pub caller: Caller,
    pub keys: Vec<KeyAlerts<'r>>,
    /// An operator wants no messages about the caller.
    pub muted: bool,
    pub incidents: Incidents,
    /// The beginnings of the incidents that have pending alerts: this delivery handles them.
    pub handled: BTreeSet<EventTime>,
    /// How many of them began now.
    pub begun: u64,
    /// The entries of those that are watched, by their beginning.
    pub watched: BTreeMap<EventTime, Watched>,
}

/// The incidents of one caller that have been read, by the clock hour in which they begin.
#[derive(Default)]
pub(super) struct Incidents {
    hours: BTreeMap<EventTime, Versioned<Option<Incident>>>,
}

impl<S: Store, K: AlertSink> Pipeline<S, K> {
    /// Records one caller's alerts, and reads the incidents of those that are pending.
    pub(super) async fn record<'r>(
        &self,
        caller: Caller,
        keys: Vec<KeyAlerts<'r>>,
        delivery: Delivery<'_>,
    ) -> (CallerAlerts<'r>, Result<(), Failure>) {
        let mut alerts = CallerAlerts {
            caller,
            keys,
            muted: false,
            incidents: Incidents::default(),
            handled: BTreeSet::new(),
            begun: 0,
            watched: BTreeMap::new(),
        };
        let result = self.record_all(&mut alerts, delivery).await;
        (alerts, result)
    }

    async fn record_all(&self, alerts: &mut CallerAlerts<'_>, delivery: Delivery<'_>) -> Result<(), Failure> {
        let mute: Versioned<Mute> = store::load(&self.store, &Mute::document(&alerts.caller)).await?;
        alerts.muted = mute.value.is_on(delivery.claimant.now);
        loop {
            for key in &mut alerts.keys {
                self.complete(key).await?;
            }
            self.record_found(alerts, delivery).await?;
            let pending = alerts.keys.iter().flat_map(|key| key.log.value.pending());
            let places = pending.filter_map(|(_, alert)| alert.place);
            alerts.handled = places.map(|place| place.begin).collect();
            self.read_incidents(&alerts.caller, &mut alerts.incidents, alerts.handled.iter().copied(), 0)
                .await?;
            if !alerts.forget_lost() {
                return Ok(());
            }
        }
    }

    /// Records what was found, the worst first, in as few writes as possible.
    async fn record_found(
        &self,
        alerts: &mut CallerAlerts<'_>,
        delivery: Delivery<'_>,
    ) -> Result<(), Failure> {
        let mut refused = 0_usize;
        let mut rest = alerts.worst_first();
        while !rest.is_empty() {
            let part: Vec<_> = rest.drain(..alerts.part(&rest)).collect();
            let times = part.iter().map(|(_, at)| *at);
            self.read_incidents(&alerts.caller, &mut alerts.incidents, times, 1).await?;
            if self.record_part(alerts, &part, delivery).await? {
                continue;
            }
            // Someone else was first. What is due may be another alert now, or none.
            refused = refused.saturating_add(1);
            if refused >= MAX_ATTEMPTS {
                return Err(Failure::Contended("alerts and incidents of one caller"));
            }
            alerts.incidents.hours.clear();
            let changed: BTreeSet<usize> = part.into_iter().map(|(key, _)| key).collect();
            for key in changed {
                if let Some(key) = alerts.keys.get_mut(key) {
                    self.find_again(key).await?;
                    self.complete(key).await?;
                }
            }
            rest = alerts.worst_first();
        }
        Ok(())
    }

    /// Records some of the alerts, each named by its key's number and its time; `false`, and nothing, if others have
    /// changed what they belong to.
    async fn record_part(
        &self,
        alerts: &mut CallerAlerts<'_>,
        part: &[(usize, EventTime)],
        delivery: Delivery<'_>,
    ) -> Result<bool, Failure> {
        let mut log = alerts.incidents.log(part.iter().map(|(_, at)| *at));
        let recorded = incident::record(&mut log, &alerts.found(part), alerts.muted);
        let lease = self.sink.wants_alerts().then(|| Lease::of(&delivery.claimant));
        let mut logs = BTreeMap::new();
        for ((key, at), place) in part.iter().zip(&recorded.places) {
            let Some(source) = alerts.keys.get(*key) else { continue };
            // What is found and not recorded yet is not written yet.
            let changed = logs.entry(*key).or_insert_with(|| {
                let mut log = source.log.clone();
                log.value.alerts.retain(|at, alert| {
                    alert.place.is_some()
                        || alert.state == alerts::AlertState::Published
                        || part.contains(&(*key, *at))
                });
                log
            });
            if let Some(alert) = changed.value.alerts.get_mut(at) {
                let severity = source.found.get(at).map(|new| new.severity);
                alert.severity = severity.filter(|severity| *severity != source.rule.severity);
                (alert.place, alert.lease) = (Some(*place), lease.clone());
            }
        }
        let expires_at = logs.keys().filter_map(|key| alerts.keys.get(*key));
        let expires_at = expires_at.map(|key| keys::expires_at(key.rule, delivery.claimant.now)).max();
        let expires_at = expires_at.unwrap_or(0).max(expires_at_incidents(delivery));
        let mut changes = Vec::new();
        for (key, log) in &mut logs {
            let Some(alerts) = alerts.keys.get(*key) else { continue };
            for day in alerts::archive(&mut log.value).chunk_by(|one, next| one.slot(DAY) == next.slot(DAY)) {
                self.archive(&alerts.key, day, expires_at).await?;
            }
            changes.push(log.change(alerts::document(&alerts.key))?);
        }
        let touched: BTreeSet<EventTime> = recorded.places.iter().map(|place| place.begin).collect();
        // What belongs to an older one is renewed by whoever admits it.
        for begin in &recorded.begun {
            if let Some(incident) = log.incidents.get_mut(begin) {
                incident.renewed_at = delivery.claimant.now;
            }
        }
        changes.extend(alerts.incidents.changes(&alerts.caller, &log, &touched, &recorded.begun)?);
        if !self.store.write(&changes, expires_at).await? {
            return Ok(false);
        }
        alerts.begun = alerts.begun.saturating_add(recorded.begun.len() as u64);
        for begin in touched {
            if let Some(incident) = log.incidents.remove(&begin) {
                alerts.incidents.written(incident);
            }
        }
        for (number, written) in logs {
            if let Some(key) = alerts.keys.get_mut(number) {
                key.log.version = written.version.saturating_add(1);
                let old = std::mem::replace(&mut key.log.value, written.value);
                // Those of the next parts.
                let rest = old.alerts.into_iter().filter(|(_, alert)| alert.place.is_none());
                let rest = rest.filter(|(at, alert)| {
                    alert.state == alerts::AlertState::Pending && !part.contains(&(number, *at))
                });
                key.log.value.alerts.extend(rest);
                key.found.retain(|at, _| !part.contains(&(number, *at)));
            }
        }
        Ok(true)
    }

    /// Adds published alerts of one day to the archive.
    async fn archive(&self, key: &Key, alerts: &[EventTime], expires_at: u64) -> Result<(), Failure> {
        let Some(first) = alerts.first() else { return Ok(()) };
        let target =
            Target { id: alerts::archive_document(key, *first), what: "alerts of one key", expires_at };
        let add = |day: &mut ArchivedDay| {
            let known = day.published.len();
            day.published.extend(alerts.iter().map(|at| at.epoch_ms()));
            (day.published.len() > known, ())
        };
        change(&self.store, &target, add).await?;
        Ok(())
    }

    /// Reads the incidents that begin in the clock hours of `times`, and so many hours around them.
    async fn read_incidents(
        &self,
        caller: &Caller,
        incidents: &mut Incidents,
        times: impl Iterator<Item = EventTime>,
        around: u32,
    ) -> Result<(), Failure> {
        let hours = times.flat_map(|at| hours_around(at, around));
        let needed: BTreeSet<EventTime> = hours.filter(|hour| !incidents.hours.contains_key(hour)).collect();
        let needed: Vec<EventTime> = needed.into_iter().collect();
        for near in needed.chunk_by(|one, next| *next <= one.plus(SPAN.saturating_mul(MAX_GAP))) {
            let ([first, .., last] | [first @ last]) = near else { continue };
            let (first, last) = (incident::sort_key(*first), incident::sort_key(*last));
            let mut found = BTreeMap::new();
            for (sort, document) in self.store.documents(&caller.key(), &first, &last).await? {
                found.insert(sort.clone(), document.read::<Incident>(&sort)?);
            }
            for hour in near {
                incidents.read(*hour, found.remove(&incident::sort_key(*hour)));
            }
        }
        Ok(())
    }

    /// Changes one incident; `edit` says whether it has changed it, and its answer. `None` if there is none any more.
    pub(super) async fn change_incident<T>(
        &self,
        caller: &Caller,
        begin: EventTime,
        delivery: Delivery<'_>,
        mut edit: impl FnMut(&mut Incident) -> (bool, T),
    ) -> Result<Option<(Incident, T)>, Failure> {
        let (id, expires_at) = (incident::document(caller, begin), expires_at_incidents(delivery));
        let target = Target { id, what: "incident of one caller", expires_at };
        let edit = |incident: &mut Option<Incident>| {
            let (changed, answer) = incident.as_mut().map(&mut edit).unzip();
            (changed.unwrap_or(false), answer)
        };
        let (incident, answer) = change(&self.store, &target, edit).await?;
        Ok(incident.zip(answer))
    }
}

impl<'r> CallerAlerts<'r> {
    /// What must be recorded, the worst first: the number of a key and the time of an alert.
    fn worst_first(&self) -> VecDeque<(usize, EventTime)> {
        let all = self.keys.iter().enumerate().flat_map(|(number, key)| {
            key.found.iter().map(move |(at, new)| (Reverse(new.severity), *at, &key.key, number))
        });
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        all.into_iter().map(|(_, at, _, number)| (number, at)).collect()
    }

    /// How many of the first of `rest` the next write records.
    fn part(&self, rest: &VecDeque<(usize, EventTime)>) -> usize {
        let (mut keys, mut hours) = (BTreeSet::new(), BTreeSet::new());
        let (mut documents, mut remembered) = (0_usize, 0_usize);
        for (count, (number, at)) in rest.iter().enumerate() {
            if let Some(key) = self.keys.get(*number).filter(|_| keys.insert(*number)) {
                documents = documents.saturating_add(1);
                remembered = remembered.saturating_add(key.log.value.alerts.len());
            }
            // Its incident, and the hours beside it, in which none may begin at the same time.
            documents = documents.saturating_add(if hours.insert(at.slot(SPAN)) { 3 } else { 0 });
            let fits = documents <= MAX_DOCUMENTS && remembered <= MAX_REMEMBERED && count < MAX_RECORDED;
            if !fits && count > 0 {
                return count;
            }
        }
        rest.len()
    }

    fn found(&self, part: &[(usize, EventTime)]) -> Vec<NewAlert<'r>> {
        let mut new: BTreeMap<usize, Vec<EventTime>> = BTreeMap::new();
        for (key, at) in part {
            new.entry(*key).or_default().push(*at);
        }
        let found = part.iter().filter_map(|(number, at)| {
            let key = self.keys.get(*number)?;
            let new = new.get(number).map(Vec::as_slice).unwrap_or_default();
            let alone = alerts::is_alone(&key.log.value, new, *at);
            Some(NewAlert { alone, ..key.found.get(at)?.clone() })
        });
        found.collect()
    }

    /// Takes alerts whose incidents are gone, as after years, for unrecorded; returns whether there are such.
    fn forget_lost(&mut self) -> bool {
        let mut lost = false;
        for alert in self.keys.iter_mut().flat_map(|key| key.log.value.alerts.values_mut()) {
            if alert.state == alerts::AlertState::Pending
                && alert.place.is_some_and(|place| self.incidents.get(place.begin).is_none())
            {
                alert.place = None;
                lost = true;
            }
        }
        lost
    }
}

impl Incidents {
    /// The incident that begins at `begin`.
    pub(super) fn get(&self, begin: EventTime) -> Option<&Incident> {
        let found = self.hours.get(&begin.slot(SPAN))?.value.as_ref();
        found.filter(|incident| incident.begin == begin)
    }

    /// The incidents that have been read around these times.
    fn log(&self, times: impl Iterator<Item = EventTime>) -> IncidentLog {
        let hours: BTreeSet<EventTime> = times.flat_map(|at| hours_around(at, 1)).collect();
        let incidents = hours.iter().filter_map(|hour| self.hours.get(hour)?.value.clone());
        IncidentLog { incidents: incidents.map(|incident| (incident.begin, incident)).collect() }
    }

    fn read(&mut self, hour: EventTime, found: Option<Versioned<Incident>>) {
        let read = found.map(|found| Versioned { version: found.version, value: Some(found.value) });
        self.hours.insert(hour, read.unwrap_or_default());
    }

    pub(super) fn written(&mut self, incident: Incident) {
        let hour = self.hours.entry(incident.begin.slot(SPAN)).or_default();
        hour.version = hour.version.saturating_add(1);
        hour.value = Some(incident);
    }

    /// The writes of incidents as they are in `log`. Where some `begun`, none may begin beside them meanwhile.
    fn changes(
        &self,
        caller: &Caller,
        log: &IncidentLog,
        touched: &BTreeSet<EventTime>,
        begun: &BTreeSet<EventTime>,
    ) -> Result<Vec<Change>, StoreError> {
        let mut changes = BTreeMap::new();
        for begin in touched {
            let Some(incident) = log.incidents.get(begin) else { continue };
            let hour = begin.slot(SPAN);
            let version = self.hours.get(&hour).map_or(0, |hour| hour.version);
            let change =
                Versioned { version, value: incident.clone() }.change(incident::document(caller, *begin))?;
            changes.insert(hour, change);
        }
        for begin in begun {
            let hour = begin.slot(SPAN);
            for beside in [hour.minus(SPAN), hour.plus(SPAN)] {
                // An incident that is there already will begin at no other time.
                let is_empty = self.hours.get(&beside).is_some_and(|hour| hour.value.is_none());
                if is_empty && !changes.contains_key(&beside) {
                    changes.insert(beside, Change::absent(incident::document(caller, beside)));
                }
            }
        }
        Ok(changes.into_values().collect())
    }
}

/// The clock hour of `at`, and the ones so many hours before and after it.
fn hours_around(at: EventTime, around: u32) -> impl Iterator<Item = EventTime> {
    let (hour, reach) = (at.slot(SPAN), SPAN.saturating_mul(around));
    [hour, hour.minus(reach), hour.plus(reach)].into_iter().map(|hour| hour.slot(SPAN))
}

/// Incidents and all that belongs to them outlive the longest redrive too.
pub(super) fn expires_at_incidents(delivery: Delivery<'_>) -> u64 {
    delivery.claimant.now.saturating_add(RETENTION.as_secs()).saturating_add(SPAN.as_secs().saturating_mul(2))
}
