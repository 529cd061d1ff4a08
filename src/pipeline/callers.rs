//! For each caller of a delivery: record the alerts, send at most one notice per incident, and mark it
//! sent. Only then are the alerts of the keys marked published, so that a crash anywhere before
//! is healed by the delivery's own retry, by a redrive, or by the caller's next alert.

use std::collections::{BTreeMap, HashSet};

use indexmap::IndexMap;

use super::telling::{Telling, Told};
use super::{Delivery, Failure, MAX_ATTEMPTS, Outcome, Pipeline, Published, RETENTION, work};
use crate::alert::sink::AlertSink;
use crate::alert::{Alert, IncidentRef};
use crate::count::caller::Caller;
use crate::count::claims::Fate;
use crate::count::incident::{self, Admission, Found, Incident, IncidentLog, Place};
use crate::count::store::{CallerState, CounterStore};
use crate::log::time::EventTime;
use crate::rule::definition::Severity;

/// The alerts of one caller, and where they were recorded; nowhere if that failed.
pub(super) struct Batch<'r> {
    pub caller: Caller,
    pub found: Vec<Found<'r>>,
    places: Vec<Place>,
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
    /// Records what was found, sends the notices that are due, and marks the alerts. Returns the
    /// callers for which some of this failed.
    pub(super) async fn tell(
        &self,
        found: IndexMap<Caller, Vec<Found<'_>>>,
        delivery: Delivery<'_>,
        outcome: &mut Outcome,
    ) -> HashSet<Caller> {
        let (mut batches, mut held, mut begun) = (Vec::new(), Vec::new(), 0);
        let recording = found.into_iter().map(|(caller, found)| self.record(caller, found, delivery));
        work::all(recording, outcome, |(batch, mine, new), failure| {
            held.extend(mine.into_iter().map(|one| Held { batch: batches.len(), ..one }));
            batches.push(batch);
            begun += new;
            failure
        })
        .await;
        outcome.incidents += begun;
        let told = Telling::new(self, &batches, delivery, outcome).all(held).await;
        let mut published = Vec::new();
        // Where the claims of a caller could not be recorded, their leases run out.
        let recorded = batches.iter().enumerate().filter(|(_, batch)| !batch.places.is_empty());
        let keys = recorded.flat_map(|(number, batch)| {
            let mut rest = batch.places.as_slice();
            batch.found.chunk_by(|one, other| one.key == other.key).map(move |key| {
                let (places, others) = rest.split_at(key.len().min(rest.len()));
                rest = others;
                (number, key, places)
            })
        });
        let marking = keys.map(|(batch, key, places)| {
            self.mark(&batches[batch].caller, batch, key, places, &told, delivery)
        });
        let mut marked = vec![0; batches.len()];
        work::all(marking, outcome, |(batch, done), failure| {
            // What is published but not marked so is not done: only a retry can settle that.
            marked[batch] += if failure.is_none() { done.len() } else { 0 };
            published.extend(done);
            // Why the notice could not be sent matters more than that this could not be recorded.
            failure.filter(|_| !told.failed.contains(&batch))
        })
        .await;
        outcome.published.extend(published);
        let failed = batches.into_iter().zip(marked).filter(|(batch, marked)| batch.found.len() > *marked);
        failed.map(|(batch, _)| batch.caller).collect()
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
            Err(failure) => ((Batch { caller, found, places: Vec::new() }, Vec::new(), 0), Err(failure)),
            Ok((log, recorded)) => {
                let held = recorded.held.iter().filter_map(|begin| {
                    let place = (0, *begin);
                    log.incidents.get(begin).map(|one| Held::new(place, one))
                });
                let held = held.collect();
                let batch = Batch { caller, found, places: recorded.places };
                ((batch, held, recorded.begun), Ok(()))
            }
        }
    }

    /// Changes the incidents of one caller, retrying while others get there first.
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
                // The write succeeded but its answer was lost: writing again would count twice.
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

    /// Sends one key's alerts as messages of their own, and records the outcome.
    async fn mark(
        &self,
        caller: &Caller,
        batch: usize,
        found: &[Found<'_>],
        places: &[Place],
        told: &Told,
        delivery: Delivery<'_>,
    ) -> ((usize, Vec<Published>), Result<(), Failure>) {
        let [first, ..] = found else { return ((batch, Vec::new()), Ok(())) };
        let mut published = Vec::new();
        let unsent = |place: &Place| {
            let number = place.number;
            if told.kept.contains(&batch) { Fate::Kept(number) } else { Fate::Failed(Some(number)) }
        };
        let mut fates: BTreeMap<EventTime, Fate> =
            found.iter().zip(places).map(|(alert, place)| (alert.at, unsent(place))).collect();
        // Any unsent notice of the caller holds them back: only alerts that are still due bring a delivery
        // back to it.
        let due = found.iter().zip(places).filter(|_| !told.failed.contains(&batch));
        let due: BTreeMap<EventTime, Place> = due.map(|(alert, place)| (alert.at, *place)).collect();
        let handed = async {
            let mut figures = Vec::new();
            if self.sink.wants_alerts() {
                let alerts: Vec<EventTime> = due.keys().copied().collect();
                figures = self.figures(first.rule, &first.key, &alerts).await?;
            }
            let mut figures = figures.into_iter();
            for (at, place) in &due {
                let notice = told.notices.get(&(batch, place.begin));
                if let Some((_, figures)) = figures.next() {
                    let incident = IncidentRef {
                        id: &incident::id(caller, place.begin),
                        caller: caller.arn.as_deref(),
                        number: place.number,
                        notice: notice.map(|id| &**id),
                    };
                    let Found { rule, key, .. } = first;
                    let alert = Alert { rule, key, at: *at, figures, object: delivery.object, incident };
                    self.sink.alert(&alert).await?;
                }
                fates.insert(*at, Fate::Published);
                published.push(Published { at: *at, told: notice.is_some() });
            }
            Ok::<(), Failure>(())
        }
        .await;
        let fates: Vec<(EventTime, Fate)> = fates.into_iter().collect();
        let settled = self.settle(first.rule, &first.key, &fates, delivery).await;
        // What could not be published matters more than that this could not be recorded.
        ((batch, published), handed.and(settled))
    }
}

impl Batch<'_> {
    /// The alerts of the incident that begins at `begin`.
    pub(super) fn of(&self, begin: EventTime) -> impl Iterator<Item = (&Found<'_>, Place)> {
        let places = self.places.iter().copied();
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

/// Incidents and floods outlive the longest redrive too; their own memory ends no later.
pub(super) fn expires_at(delivery: Delivery<'_>) -> u64 {
    let around = 2 * incident::SPAN.as_secs();
    delivery.claimant.now.saturating_add(RETENTION.as_secs()).saturating_add(around)
}
