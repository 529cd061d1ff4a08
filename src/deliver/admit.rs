//! For all callers of a delivery: decide which notices their incidents get, before anything is sent. The first ten
//! of an account, hour and severity take tickets; the others join a crowd.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::record::{CallerAlerts, expires_at_incidents};
use super::{Delivery, Failure, MAX_ATTEMPTS, Outcome, Pipeline, work};
use crate::alert::sink::AlertSink;
use crate::count::alerts::{self, AlertRecord};
use crate::count::crowd::{Crowd, CrowdId, CrowdMember, CrowdNotice, MAX_TICKETS, Ticket};
use crate::count::document::{DocumentId, Versioned};
use crate::count::incident::{self, Admission};
use crate::count::store::{self, Store};
use crate::rule::definition::Severity;
use crate::source::time::EventTime;

/// The most members that join in one write.
const MAX_JOINING: usize = 50;

/// An incident that asks which notices it gets.
#[derive(Clone, Copy)]
struct Asking<'a> {
    /// Its caller's number.
    caller: usize,
    begin: EventTime,
    arn: Option<&'a str>,
    /// The answer that is known.
    known: Admission,
    /// What is kept of the answer must live on.
    is_stale: bool,
}

/// The answers for the incidents of one caller.
type Answers = Vec<(EventTime, Severity, Admission)>;

impl<S: Store, K: AlertSink> Pipeline<S, K> {
    /// Answers what the incidents of `callers` ask, whoever recorded the question. Returns the callers that were not
    /// answered.
    pub(super) async fn admit(
        &self,
        callers: &mut [CallerAlerts<'_>],
        delivery: Delivery<'_>,
        outcome: &mut Outcome,
    ) -> BTreeSet<usize> {
        let mut asking: BTreeMap<CrowdId, Vec<Asking<'_>>> = BTreeMap::new();
        for (number, alerts) in callers.iter().enumerate().filter(|(_, alerts)| !alerts.muted) {
            for incident in alerts.handled.iter().filter_map(|begin| alerts.incidents.get(*begin)) {
                let (account, begin) = (alerts.caller.account.as_deref(), incident.begin);
                let is_stale = incident.is_stale(delivery.claimant.now);
                let arn = alerts.caller.arn.as_deref();
                let asks = incident.admissions.iter();
                for (severity, known) in asks.filter(|(_, known)| is_stale || **known == Admission::Ask) {
                    let one = Asking { caller: number, begin, arn, known: *known, is_stale };
                    asking.entry(CrowdId::new(account, begin, *severity)).or_default().push(one);
                }
            }
        }
        let mut failed = BTreeSet::new();
        let mut answers: BTreeMap<usize, Answers> = BTreeMap::new();
        let deciding = asking.iter_mut().map(async |(crowd, asking)| {
            asking.sort_by_key(|one| (one.begin, one.caller));
            let ids = asking.iter().map(|one| {
                let id = callers.get(one.caller).map(|alerts| incident::id(&alerts.caller, one.begin));
                id.unwrap_or_default()
            });
            let ids: Vec<String> = ids.collect();
            match self.decide(crowd, asking, &ids, delivery).await {
                Ok(decided) => ((crowd.severity, asking, decided), Ok(())),
                Err(failure) => ((crowd.severity, asking, Vec::new()), Err(failure)),
            }
        });
        let mut tried = BTreeSet::new();
        work::all(deciding, outcome, |(severity, asking, decided), failure| {
            for (number, one) in asking.iter().enumerate() {
                tried.insert(one.caller);
                match decided.get(number) {
                    Some(admission) => {
                        answers.entry(one.caller).or_default().push((one.begin, severity, *admission));
                    }
                    None => _ = failed.insert(one.caller),
                }
            }
            failure
        })
        .await;
        failed.extend(asking.values().flatten().map(|one| one.caller).filter(|one| !tried.contains(one)));
        let mut unwritten: BTreeSet<usize> = answers.keys().copied().collect();
        let writing =
            answers.into_iter().filter_map(|(number, answers)| Some((number, callers.get(number)?, answers)));
        let writing = writing.map(async |(number, alerts, answers)| {
            match self.write_answers(alerts, &answers, delivery).await {
                Ok(written) => (Some((number, written)), Ok(())),
                Err(failure) => (None, Err(failure)),
            }
        });
        let mut all = HashMap::new();
        work::all(writing, outcome, |written, failure| {
            all.extend(written);
            failure
        })
        .await;
        for (number, written) in all {
            unwritten.remove(&number);
            if let Some(alerts) = callers.get_mut(number) {
                for incident in written {
                    alerts.incidents.written(incident);
                }
            }
        }
        failed.extend(unwritten);
        failed
    }

    /// The answers for incidents of one crowd, in their order.
    async fn decide(
        &self,
        crowd: &CrowdId,
        asking: &[Asking<'_>],
        ids: &[String],
        delivery: Delivery<'_>,
    ) -> Result<Vec<Admission>, Failure> {
        let mut tickets = self.tickets(crowd).await?;
        let mut answers = Vec::with_capacity(ids.len());
        for (one, id) in asking.iter().zip(ids) {
            let admission = loop {
                // First of all: an earlier attempt may have died with its ticket.
                let own = tickets.iter().find(|(_, ticket)| ticket.value.incident == *id);
                if let Some((number, ticket)) = own {
                    if one.is_stale {
                        self.renew(ticket, crowd.ticket(*number), delivery).await?;
                    }
                    break Admission::Ticket;
                }
                // Even if its ticket has expired.
                if one.known != Admission::Ask {
                    break one.known;
                }
                let Some(free) = (0..MAX_TICKETS).find(|number| !tickets.contains_key(number)) else {
                    break Admission::Member;
                };
                let ticket = Versioned { version: 0, value: Ticket { incident: id.clone() } };
                let taken = [ticket.change(crowd.ticket(free))?];
                if self.store.write(&taken, expires_at_incidents(delivery)).await? {
                    tickets.insert(free, ticket);
                } else {
                    // Another was first, or this one: its answer was lost.
                    tickets = self.tickets(crowd).await?;
                }
            };
            answers.push(admission);
        }
        let joining = asking.iter().zip(ids).zip(&answers);
        let joining = joining.filter(|(_, admission)| **admission == Admission::Member);
        let joining: Vec<(&str, Asking<'_>)> = joining.map(|((one, id), _)| (id.as_str(), *one)).collect();
        for part in joining.chunks(MAX_JOINING) {
            self.join(crowd, part, delivery).await?;
        }
        Ok(answers)
    }

    /// Writes a document as it is, so that it expires later. If another delivery writes it meanwhile, that will do.
    async fn renew<T: Serialize>(
        &self,
        document: &Versioned<T>,
        id: DocumentId,
        delivery: Delivery<'_>,
    ) -> Result<(), Failure> {
        self.store.write(&[document.change(id)?], expires_at_incidents(delivery)).await?;
        Ok(())
    }

    async fn tickets(&self, crowd: &CrowdId) -> Result<BTreeMap<u8, Versioned<Ticket>>, Failure> {
        let (first, last) = (crowd.ticket(0), crowd.ticket(MAX_TICKETS - 1));
        let found = self.store.documents(&first.partition, &first.sort, &last.sort).await?;
        let mut tickets = BTreeMap::new();
        for (sort, document) in found {
            if let Some(number) = (0..MAX_TICKETS).find(|number| crowd.ticket(*number).sort == sort) {
                tickets.insert(number, document.read(&sort)?);
            }
        }
        Ok(tickets)
    }

    /// Counts incidents in a crowd: those that are not counted yet, each with its caller.
    async fn join(
        &self,
        crowd: &CrowdId,
        joining: &[(&str, Asking<'_>)],
        delivery: Delivery<'_>,
    ) -> Result<(), Failure> {
        let mut joining = joining.to_vec();
        for _ in 0..MAX_ATTEMPTS {
            let mut counted: Versioned<Crowd> = store::load(&self.store, &crowd.crowd()).await?;
            let mut changes = Vec::with_capacity(joining.len().saturating_add(1));
            for (id, one) in &joining {
                counted.value.join(one.arn);
                changes.push(Versioned { version: 0, value: CrowdMember {} }.change(crowd.member(id))?);
            }
            changes.push(counted.change(crowd.crowd())?);
            if self.store.write(&changes, expires_at_incidents(delivery)).await? {
                return Ok(());
            }
            let (mut left, mut is_stale) = (Vec::new(), false);
            for (id, one) in joining {
                let member: Versioned<CrowdMember> = store::load(&self.store, &crowd.member(id)).await?;
                if member.version == 0 {
                    left.push((id, one));
                } else if one.is_stale {
                    self.renew(&member, crowd.member(id), delivery).await?;
                    is_stale = true;
                }
            }
            if is_stale {
                let counted: Versioned<Crowd> = store::load(&self.store, &crowd.crowd()).await?;
                self.renew(&counted, crowd.crowd(), delivery).await?;
                if let Some(level) = counted.value.level() {
                    let sent: Versioned<CrowdNotice> = store::load(&self.store, &crowd.notice(level)).await?;
                    if sent.version > 0 {
                        self.renew(&sent, crowd.notice(level), delivery).await?;
                    }
                }
            }
            joining = left;
            if joining.is_empty() {
                return Ok(());
            }
        }
        Err(Failure::Contended("crowd of one account"))
    }

    /// Writes the answers into the incidents of one caller.
    async fn write_answers(
        &self,
        alerts: &CallerAlerts<'_>,
        answers: &Answers,
        delivery: Delivery<'_>,
    ) -> Result<Vec<incident::Incident>, Failure> {
        let mut written = Vec::new();
        let now = delivery.claimant.now;
        let begins: BTreeSet<EventTime> = answers.iter().map(|(begin, ..)| *begin).collect();
        let is_stale = |begin| alerts.incidents.get(begin).is_some_and(|incident| incident.is_stale(now));
        let belongs = |alert: &AlertRecord| {
            alert.place.is_some_and(|place| begins.contains(&place.begin) && is_stale(place.begin))
        };
        for key in alerts.keys.iter().filter(|key| key.log.value.pending().any(|(_, alert)| belongs(alert))) {
            self.renew(&key.log, alerts::document(&key.key), delivery).await?;
        }
        for begin in begins {
            let answer = |incident: &mut incident::Incident| {
                let mut changed = incident.is_stale(now);
                if changed {
                    incident.renewed_at = now;
                }
                for (_, severity, admission) in answers.iter().filter(|(at, ..)| *at == begin) {
                    let answer = incident.admissions.entry(*severity).or_insert(Admission::Ask);
                    if *answer == Admission::Ask {
                        *answer = *admission;
                        changed = true;
                    }
                }
                (changed, ())
            };
            let incident = self.change_incident(&alerts.caller, begin, delivery, answer).await?;
            written.extend(incident.map(|(incident, ())| incident));
        }
        Ok(written)
    }
}
