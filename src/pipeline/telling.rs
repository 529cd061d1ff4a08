//! Sending notices: an incident's own, or one about its account's flood.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use super::callers::{Batch, Held, expires_at};
use super::{Delivery, Failure, MAX_ATTEMPTS, MAX_REFUSED, Outcome, Pipeline, work};
use crate::alert::notice::{Crowd, Notice};
use crate::alert::sink::AlertSink;
use crate::alert::{Alert, IncidentRef};
use crate::count::flood::{self, Admitted, FloodLog, Newcomer};
use crate::count::incident::{self, Admission, Incident, Sent, notice_id};
use crate::count::key::Key;
use crate::count::pending::Pending;
use crate::count::store::CounterStore;
use crate::count::window::Figures;
use crate::log::time::EventTime;
use crate::rule::definition::{Rule, Severity};

/// Sends the notices that one delivery holds.
pub(super) struct Telling<'a, S, K> {
    pipeline: &'a Pipeline<S, K>,
    batches: &'a [Batch<'a>],
    delivery: Delivery<'a>,
    outcome: &'a mut Outcome,
    told: Told,
    /// Notices in a row that the topic did not accept.
    refused: usize,
}

/// The outcome of the incidents that a delivery held, by batch and beginning.
#[derive(Default)]
pub(super) struct Told {
    /// The notice that reported it.
    pub notices: HashMap<(usize, EventTime), Rc<str>>,
    /// The batches with a notice that was due but could not be sent.
    pub failed: HashSet<usize>,
    /// Those of them with a notice that stays under this delivery's lease, or may.
    pub kept: HashSet<usize>,
}

/// The alert that represents its incident.
struct Worst<'r> {
    rule: &'r Rule,
    key: Key,
    at: EventTime,
    number: u64,
}

/// The incidents of one delivery that get no notices of their own, because of a flood.
struct Members<'a> {
    account: Option<&'a str>,
    flood: EventTime,
    /// This delivery is to send the flood's next notice.
    holds_notice: bool,
    incidents: Vec<Held>,
}

impl<'a, S: CounterStore, K: AlertSink> Telling<'a, S, K> {
    pub(super) fn new(
        pipeline: &'a Pipeline<S, K>,
        batches: &'a [Batch<'a>],
        delivery: Delivery<'a>,
        outcome: &'a mut Outcome,
    ) -> Self {
        Self { pipeline, batches, delivery, outcome, told: Told::default(), refused: 0 }
    }

    /// Sends all of them, one after the other.
    pub(super) async fn all(mut self, held: Vec<Held>) -> Told {
        let mut held = held;
        while !held.is_empty() {
            let (mut single, asking) =
                held.into_iter().partition(|one: &Held| one.admission == Admission::Single);
            let flooded = self.admit(asking, &mut single).await;
            // What was taken over comes last: a topic that refuses it may accept the delivery's own.
            single.sort_by_key(|one| self.batches[one.batch].of(one.begin).next().is_none());
            for one in single {
                if let Err(failure) = self.incident(one).await {
                    self.fail(&[one], failure).await;
                }
            }
            held = Vec::new();
            for members in flooded {
                match self.flood(&members).await {
                    Ok(()) => held.extend(self.leave_to_flood(members.incidents).await),
                    Err(failure) => {
                        if members.holds_notice && !self.release_flood(&members).await {
                            self.told.kept.extend(members.incidents.iter().map(|one| one.batch));
                        }
                        self.fail(&members.incidents, failure).await;
                    }
                }
            }
        }
        self.told
    }

    /// Decides by account which notices each of `asking` gets. Those with notices of their own join
    /// `single`; the others are returned.
    async fn admit(&mut self, asking: Vec<Held>, single: &mut Vec<Held>) -> Vec<Members<'a>> {
        let mut accounts: BTreeMap<Option<&str>, Vec<Held>> = BTreeMap::new();
        for one in asking {
            accounts.entry(self.batches[one.batch].caller.account.as_deref()).or_default().push(one);
        }
        let mut flooded = Vec::new();
        for (account, mut asking) in accounts {
            asking.sort_by_key(|one| (one.begin, one.batch));
            let newcomers: Vec<Newcomer<'_>> = asking.iter().map(|one| self.newcomer(one)).collect();
            let claimant = self.delivery.claimant;
            let admit = |log: &mut FloodLog| flood::admit(log, &newcomers, &claimant);
            match self.change_floods(account, admit).await {
                Err(failure) => {
                    // The write may have succeeded: then this delivery holds the flood's next notice.
                    self.told.kept.extend(asking.iter().map(|one| one.batch));
                    self.fail(&asking, failure).await;
                }
                Ok((admitted, held)) => {
                    let mut floods: BTreeMap<EventTime, Vec<Held>> = BTreeMap::new();
                    for (one, Admitted { flood, admission }) in asking.into_iter().zip(admitted) {
                        if admission == Admission::Flooded {
                            floods.entry(flood).or_default().push(one);
                        } else {
                            single.push(one);
                        }
                    }
                    flooded.extend(floods.into_iter().map(|(flood, incidents)| Members {
                        account,
                        flood,
                        holds_notice: held.contains(&flood),
                        incidents,
                    }));
                }
            }
        }
        flooded
    }

    fn newcomer(&self, held: &Held) -> Newcomer<'a> {
        let caller = &self.batches[held.batch].caller;
        Newcomer {
            begin: held.begin,
            id: incident::id(caller, held.begin),
            arn: caller.arn.as_deref(),
            severity: held.severity,
            counted: held.admission == Admission::Flooded,
        }
    }

    /// Sends one incident's notices until no more is due.
    async fn incident(&mut self, held: Held) -> Result<(), Failure> {
        let claimant = self.delivery.claimant;
        let caller = &self.batches[held.batch].caller;
        loop {
            let state = self.pipeline.store.caller(caller).await?;
            let Some(incident) = state.log.incidents.get(&held.begin) else { return Ok(()) };
            let Some(number) = self.number(incident.pending.as_ref()) else { return Ok(()) };
            let id = notice_id(&incident::id(caller, held.begin), number);
            let Some(severity) = self.send(held, incident, &id, None).await? else {
                self.release(held).await;
                return Ok(());
            };
            let told = incident::Told { number, count: incident.alerts, severity };
            let mark = |log: &mut _| incident::mark(log, held.begin, Sent::Notice(told), &claimant);
            let (_, again) =
                self.pipeline.change(caller, self.delivery, |state| mark(&mut state.log)).await?;
            if !again {
                return Ok(());
            }
        }
    }

    /// Sends a flood's notices until no more is due, each with the worst of its incidents here.
    async fn flood(&mut self, members: &Members<'a>) -> Result<(), Failure> {
        let claimant = self.delivery.claimant;
        let worst = members.incidents.iter().max_by_key(|one| (one.severity, one.alerts)).copied();
        let Some(worst) = worst.filter(|_| members.holds_notice) else { return Ok(()) };
        let caller = &self.batches[worst.batch].caller;
        loop {
            let floods = self.pipeline.store.floods(members.account).await?;
            let Some(flood) = floods.floods.get(&members.flood) else { return Ok(()) };
            let Some(number) = self.number(flood.pending.as_ref()) else { return Ok(()) };
            let state = self.pipeline.store.caller(caller).await?;
            let Some(incident) = state.log.incidents.get(&worst.begin) else { return Ok(()) };
            let id = notice_id(&flood::id(members.account, members.flood), number);
            let crowd = Crowd { callers: flood.callers, latest: &flood.latest };
            let Some(severity) = self.send(worst, incident, &id, Some(crowd)).await? else {
                self.release_flood(members).await;
                return Ok(());
            };
            let id: Rc<str> = id.into();
            let told = members.incidents.iter().map(|one| ((one.batch, one.begin), Rc::clone(&id)));
            self.told.notices.extend(told);
            let severity = flood.severity.unwrap_or(severity);
            let sent = Sent::Notice(incident::Told { number, count: flood.callers, severity });
            let mark = |log: &mut FloodLog| flood::mark(log, members.flood, sent, &claimant);
            if !self.change_floods(members.account, mark).await? {
                return Ok(());
            }
        }
    }

    /// The notice this delivery still has to send, if any.
    fn number(&self, pending: Option<&Pending>) -> Option<u64> {
        pending.filter(|held| held.owner == self.delivery.claimant.owner).map(|held| held.number)
    }

    /// Sends one notice and returns the severity of its worst alert; `None`, and no notice, if every rule
    /// that found something has been disabled meanwhile.
    async fn send(
        &mut self,
        held: Held,
        incident: &Incident,
        id: &str,
        crowd: Option<Crowd<'_>>,
    ) -> Result<Option<Severity>, Failure> {
        if self.refused >= MAX_REFUSED {
            return Err(Failure::Untold);
        }
        let caller = &self.batches[held.batch].caller;
        let Some(Worst { rule, key, at, number }) = self.worst(held, incident) else { return Ok(None) };
        let figures = match self.pipeline.figures(rule, &key, &[at]).await {
            // Counters that cannot be read hold up no notice.
            Err(error) if error.refused => Vec::new(),
            figures => figures?,
        };
        let figures = figures.into_iter().next().map_or_else(|| Figures::at_least(rule, at), |(_, one)| one);
        let incident_id = incident::id(caller, held.begin);
        let place = IncidentRef { id: &incident_id, caller: caller.arn.as_deref(), number, notice: Some(id) };
        let worst = Alert { rule, key: &key, at, figures, object: self.delivery.object, incident: place };
        let notice = Notice { id, caller, incident, worst, rules: &self.pipeline.rules, crowd };
        self.refused += 1;
        self.pipeline.sink.notice(&notice).await?;
        self.refused = 0;
        self.outcome.notices += 1;
        self.told.notices.insert((held.batch, held.begin), id.into());
        Ok(Some(rule.severity))
    }

    /// The worst alert the incident remembers whose rule is enabled, or else one just found.
    fn worst(&self, held: Held, incident: &Incident) -> Option<Worst<'a>> {
        let rules = &self.pipeline.rules;
        let remembered = incident.top.iter().find_map(|one| {
            let rule = rules.iter().find(|rule| rule.id == one.rule)?;
            let key = Key { rule: rule.id, values: one.values.clone() };
            Some(Worst { rule, key, at: one.at, number: one.number })
        });
        remembered.or_else(|| {
            let mut own = self.batches[held.batch].of(held.begin);
            own.next().map(|(found, place)| Worst {
                rule: found.rule,
                key: found.key.clone(),
                at: found.at,
                number: place.number,
            })
        })
    }

    /// Records that the flood reports these; returns those whose severity has risen meanwhile.
    async fn leave_to_flood(&mut self, mut incidents: Vec<Held>) -> Vec<Held> {
        let claimant = self.delivery.claimant;
        let mut again = Vec::new();
        let mut not_left: HashSet<usize> = incidents.iter().map(|one| one.batch).collect();
        let (pipeline, batches, delivery) = (self.pipeline, self.batches, self.delivery);
        // All of one caller in one write: a delivery cannot tell two writes of its own apart.
        incidents.sort_by_key(|one| one.batch);
        let callers = incidents.chunk_by(|one, other| one.batch == other.batch);
        let leaving = callers.map(async |mine| {
            let change = pipeline.change(&batches[mine[0].batch].caller, delivery, |state| {
                let mut risen = Vec::new();
                for held in mine {
                    let sent = Sent::ToFlood(held.severity);
                    let again = incident::mark(&mut state.log, held.begin, sent, &claimant);
                    let incident = state.log.incidents.get(&held.begin).filter(|_| again);
                    risen.extend(incident.map(|one| Held::new((held.batch, held.begin), one)));
                }
                risen
            });
            match change.await {
                Ok((_, risen)) => (Some((mine[0].batch, risen)), Ok(())),
                Err(failure) => (None, Err(failure)),
            }
        });
        work::all(leaving, self.outcome, |left, failure| {
            if let Some((batch, risen)) = left {
                not_left.remove(&batch);
                again.extend(risen);
            }
            failure
        })
        .await;
        // Those that were not tried, too.
        self.told.failed.extend(&not_left);
        self.told.kept.extend(&not_left);
        again
    }

    /// Records that these notices could not be sent, and frees them for the next delivery, unless something of their
    /// callers stays with this one.
    async fn fail(&mut self, incidents: &[Held], failure: Failure) {
        // For one caller or all at once, the first failure says enough.
        let known = |one: &Held| self.told.failed.contains(&one.batch);
        if !incidents.iter().any(known) {
            self.outcome.fail(failure);
        }
        for held in incidents {
            self.told.failed.insert(held.batch);
            if !self.told.kept.contains(&held.batch) && !self.release(*held).await {
                self.told.kept.insert(held.batch);
            }
        }
    }

    /// Frees a notice and returns whether that worked; if not, its lease runs out.
    async fn release(&self, held: Held) -> bool {
        let claimant = self.delivery.claimant;
        let caller = &self.batches[held.batch].caller;
        let release = self.pipeline.change(caller, self.delivery, |state| {
            incident::mark(&mut state.log, held.begin, Sent::Not, &claimant)
        });
        release.await.is_ok()
    }

    /// The same for a flood's notice.
    async fn release_flood(&self, members: &Members<'_>) -> bool {
        let claimant = self.delivery.claimant;
        let mark = |log: &mut FloodLog| flood::mark(log, members.flood, Sent::Not, &claimant);
        self.change_floods(members.account, mark).await.is_ok()
    }

    /// Changes the floods of one account, retrying while others get there first.
    async fn change_floods<T>(
        &self,
        account: Option<&str>,
        mut change: impl FnMut(&mut FloodLog) -> T,
    ) -> Result<T, Failure> {
        let store = &self.pipeline.store;
        let mut tried: Option<(u64, T)> = None;
        for _ in 0..MAX_ATTEMPTS {
            let mut log = store.floods(account).await?;
            if let Some((version, answer)) = tried.take()
                && log.version == version + 1
                && log.writer == self.delivery.claimant.owner
            {
                // The write succeeded but its answer was lost: writing again would count twice.
                return Ok(answer);
            }
            let answer = change(&mut log);
            if store.replace_floods(account, &log, expires_at(self.delivery)).await? {
                return Ok(answer);
            }
            tried = Some((log.version, answer));
        }
        Err(Failure::Contended("floods of one account"))
    }
}
