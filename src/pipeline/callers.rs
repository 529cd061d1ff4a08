//! Each caller of a delivery: record the alerts, tell at most one notice of each incident, and mark
//! it told. Only then are the alerts of the keys marked published, so that a crash anywhere before
//! is healed by the delivery's own retry, by a redrive, or by the caller's next alert.

use indexmap::IndexMap;

use super::telling::{Telling, Told};
use super::{Delivery, Failure, MAX_ATTEMPTS, Outcome, Pipeline, Published, RETENTION, work};
use crate::alert::sink::{AlertSink, SinkError};
use crate::alert::{self, Alert, IncidentRef};
use crate::count::caller::Caller;
use crate::count::claims::Fate;
use crate::count::incident::{self, Admission, Found, Incident, IncidentLog, Place};
use crate::count::store::{CallerState, CounterStore};
use crate::log::time::EventTime;
use crate::rule::definition::Severity;

/// The alerts of one caller, and where they were recorded; `None` where they could not be.
pub(super) struct Batch<'r> {
    pub caller: Caller,
    pub found: Vec<Found<'r>>,
    places: Option<Vec<Place>>,
}

/// An incident whose next notice this delivery holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// Whose it is.
    pub batch: usize,
    pub begin: EventTime,
    pub admission: Admission,
    pub severity: Severity,
    pub alerts: u64,
}

impl<S: CounterStore, K: AlertSink> Pipeline<S, K> {
    /// Records what was found, tells what is due, and marks the rest.
    pub(super) async fn tell(
        &self,
        found: IndexMap<Caller, Vec<Found<'_>>>,
        delivery: Delivery<'_>,
        outcome: &mut Outcome,
    ) {
        let (mut batches, mut held, mut begun) = (Vec::new(), Vec::new(), 0);
        let recording = found.into_iter().map(|(caller, found)| self.record(caller, found, delivery));
        work::all(recording, outcome, |(batch, mine, new)| {
            held.extend(mine.into_iter().map(|one| Held { batch: batches.len(), ..one }));
            batches.push(batch);
            begun += new;
        })
        .await;
        outcome.incidents += begun;
        let told = Telling::new(self, &batches, delivery, outcome).all(held).await;
        let mut published = Vec::new();
        let keys = batches.iter().enumerate().flat_map(|(number, batch)| {
            let mut at = 0;
            batch.found.chunk_by(|one, other| one.key == other.key).map(move |key| {
                let places = batch.places.as_ref().map(|places| &places[at..at + key.len()]);
                at += key.len();
                (number, key, places)
            })
        });
        let marking = keys.map(|(batch, key, places)| {
            self.mark(&batches[batch].caller, batch, key, places, &told, delivery)
        });
        work::all(marking, outcome, |done| published.extend(done)).await;
        outcome.published.extend(published);
    }

    async fn record<'r>(
        &self,
        caller: Caller,
        found: Vec<Found<'r>>,
        delivery: Delivery<'_>,
    ) -> ((Batch<'r>, Vec<Held>, u64), Result<(), Failure>) {
        let claimant = delivery.claimant;
        let recorded = self.change(&caller, delivery, |state| {
            let muted = state.is_muted(claimant.now);
            incident::record(&mut state.log, &found, muted, &claimant)
        });
        match recorded.await {
            Err(failure) => ((Batch { caller, found, places: None }, Vec::new(), 0), Err(failure)),
            Ok((log, recorded)) => {
                let held = recorded.held.iter().filter_map(|begin| {
                    let place = (0, *begin);
                    log.incidents.get(begin).map(|one| Held::new(place, one))
                });
                let held = held.collect();
                let batch = Batch { caller, found, places: Some(recorded.places) };
                ((batch, held, recorded.begun), Ok(()))
            }
        }
    }

    /// Changes the incidents of one caller, as often as others come before.
    pub(super) async fn change<T>(
        &self,
        caller: &Caller,
        delivery: Delivery<'_>,
        mut change: impl FnMut(&mut CallerState) -> T,
    ) -> Result<(IncidentLog, T), Failure> {
        let expires_at = expires_at(delivery);
        let mut tried: Option<(u64, T)> = None;
        for _ in 0..MAX_ATTEMPTS {
            let mut state = self.store.caller(caller).await?;
            if let Some((version, answer)) = tried.take()
                && state.log.version == version + 1
                && state.log.writer == delivery.claimant.owner
            {
                // The write succeeded and its answer was lost: once more would count twice.
                return Ok((state.log, answer));
            }
            let answer = change(&mut state);
            if self.store.replace_incidents(caller, &state.log, expires_at).await? {
                return Ok((state.log, answer));
            }
            tried = Some((state.log.version, answer));
        }
        Err(Failure::Contended("incidents of one caller"))
    }

    /// Hands on the alerts of one key to those who want each, and notes what became of them.
    async fn mark(
        &self,
        caller: &Caller,
        batch: usize,
        found: &[Found<'_>],
        places: Option<&[Place]>,
        told: &Told,
        delivery: Delivery<'_>,
    ) -> (Vec<Published>, Result<(), Failure>) {
        let (mut published, mut fates, mut result) = (Vec::new(), Vec::new(), Ok(()));
        for (number, alert) in found.iter().enumerate() {
            let Some(place) = places.and_then(|places| places.get(number)) else {
                fates.push((alert.at, Fate::Failed(alert.number)));
                continue;
            };
            let failed = Fate::Failed(Some(place.number));
            let notice = told.notices.get(&(batch, place.begin));
            if told.failed.contains(&(batch, place.begin)) || result.is_err() {
                fates.push((alert.at, failed));
                continue;
            }
            if self.sink.wants_alerts() {
                result = self.hand_on(caller, alert, *place, notice.map(String::as_str), delivery).await;
            }
            if result.is_err() {
                fates.push((alert.at, failed));
            } else {
                fates.push((alert.at, Fate::Published));
                let id = alert::id(&alert.key, alert.at);
                published.push(Published { id, at: alert.at, notice: notice.cloned() });
            }
        }
        let Some(Found { rule, key, .. }) = found.first() else { return (published, result) };
        let settled = self.settle(rule, key, &fates, delivery).await;
        // What could not be published matters more than that it could not be noted.
        (published, result.and(settled))
    }

    async fn hand_on(
        &self,
        caller: &Caller,
        found: &Found<'_>,
        place: Place,
        notice: Option<&str>,
        delivery: Delivery<'_>,
    ) -> Result<(), Failure> {
        let alert = Alert {
            rule: found.rule,
            key: &found.key,
            at: found.at,
            figures: self.figures(found.rule, &found.key, found.at).await?,
            object: delivery.object,
            incident: IncidentRef {
                id: &incident::id(caller, place.begin),
                caller: caller.arn.as_deref(),
                number: place.number,
                notice,
            },
        };
        let handed: Result<(), SinkError> = self.sink.alert(&alert).await;
        Ok(handed?)
    }
}

impl Batch<'_> {
    /// The alerts of the incident that begins at `begin`.
    pub(super) fn of(&self, begin: EventTime) -> impl Iterator<Item = (&Found<'_>, Place)> {
        let places = self.places.iter().flatten().copied();
        self.found.iter().zip(places).filter(move |(_, place)| place.begin == begin)
    }
}

impl Held {
    /// An incident of a batch.
    pub(super) fn new((batch, begin): (usize, EventTime), incident: &Incident) -> Self {
        Self {
            batch,
            begin,
            admission: incident.admission,
            severity: incident.severity().unwrap_or(Severity::Low),
            alerts: incident.alerts,
        }
    }
}

/// Incidents and floods outlive the longest redrive as well; their own memory ends no later.
pub(super) fn expires_at(delivery: Delivery<'_>) -> u64 {
    let around = 2 * incident::SPAN.as_secs();
    delivery.claimant.now.saturating_add(RETENTION.as_secs()).saturating_add(around)
}
