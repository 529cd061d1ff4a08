//! Sending the notices that are due: those of incidents with tickets, and those about crowds.
//!
//! Whoever sends one holds its lease. Where another delivery holds it, this one looks a few more times and then fails
//! the caller, since the other may be its own dead self.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use futures_util::FutureExt;

use super::change::{Target, change};
use super::record::{CallerAlerts, expires_at_incidents};
use super::{Delivery, Failure, MAX_REFUSED, Outcome, Pipeline, TimeLeft};
use crate::alert::notice::Notice;
use crate::alert::sink::AlertSink;
use crate::alert::story::CrowdView;
use crate::alert::{Alert, IncidentRef};
use crate::count::crowd::{Crowd, CrowdId, CrowdNotice};
use crate::count::document::Versioned;
use crate::count::incident::{self, Incident, NoticeOutcome, notice_id};
use crate::count::key::Key;
use crate::count::lease::{self, Turn};
use crate::count::served::Served;
use crate::count::store::{self, Store};
use crate::count::window::Figures;
use crate::rule::definition::{Rule, Severity};
use crate::source::time::EventTime;

/// How often a delivery looks again at what others hold, all in all.
const MAX_NOTICE_LOOKS: usize = 10;

/// Sends the notices of one delivery.
pub(super) struct Notifier<'a, S, K> {
    pipeline: &'a Pipeline<S, K>,
    callers: &'a [CallerAlerts<'a>],
    delivery: Delivery<'a>,
    time: TimeLeft<'a>,
    outcome: &'a mut Outcome,
    /// The notice that reported an incident, by caller and beginning.
    notices: HashMap<(usize, EventTime), Rc<str>>,
    /// The callers that failed, here or before.
    failed: HashSet<usize>,
    /// Notices in a row that the topic did not accept.
    refused: usize,
    looks: usize,
    /// Callers for whom there was no time.
    late: usize,
}

/// What a delivery's notices came to.
pub(super) struct Notified {
    /// The notice that reported an incident, by caller and beginning.
    pub notices: HashMap<(usize, EventTime), Rc<str>>,
    /// The callers that failed.
    pub failed: HashSet<usize>,
}

/// The alert that represents its incident.
struct Worst<'r> {
    rule: &'r Rule,
    key: Key,
    at: EventTime,
    severity: Severity,
    number: u64,
}

impl<'a, S: Store, K: AlertSink> Notifier<'a, S, K> {
    pub(super) fn new(
        pipeline: &'a Pipeline<S, K>,
        callers: &'a [CallerAlerts<'a>],
        delivery: Delivery<'a>,
        time: TimeLeft<'a>,
        outcome: &'a mut Outcome,
    ) -> Self {
        let (notices, failed) = (HashMap::new(), HashSet::new());
        Self { pipeline, callers, delivery, time, outcome, notices, failed, refused: 0, looks: 0, late: 0 }
    }

    /// Sends all that is due for callers that have not `failed`, one after the other.
    pub(super) async fn all(mut self, failed: HashSet<usize>) -> Notified {
        self.failed = failed;
        let mut crowds: BTreeMap<CrowdId, Vec<(usize, EventTime)>> = BTreeMap::new();
        let callers = self.callers;
        for (number, alerts) in callers.iter().enumerate().filter(|(_, alerts)| !alerts.muted) {
            for incident in alerts.handled.iter().filter_map(|begin| alerts.incidents.get(*begin)) {
                if self.failed.contains(&number) {
                    break;
                }
                let account = alerts.caller.account.as_deref();
                for severity in incident.memberships() {
                    let crowd = CrowdId::new(account, incident.begin, severity);
                    crowds.entry(crowd).or_default().push((number, incident.begin));
                }
                if incident.has_ticket()
                    && let Err(failure) = self.incident(number, incident.begin).await
                {
                    self.fail([number], failure);
                }
            }
        }
        for (crowd, mut members) in crowds {
            members.retain(|(number, _)| !self.failed.contains(number));
            if let Err(failure) = self.crowd(&crowd, &members).await {
                self.fail(members.into_iter().map(|(number, _)| number), failure);
            }
        }
        if self.late > 0 {
            self.outcome.out_of_time(self.late);
        }
        Notified { notices: self.notices, failed: self.failed }
    }

    /// For one caller or all at once, the first failure says enough.
    fn fail(&mut self, callers: impl IntoIterator<Item = usize>, failure: Failure) {
        let new = callers.into_iter().filter(|number| self.failed.insert(*number)).count();
        match failure {
            Failure::OutOfTime(_) => self.late = self.late.saturating_add(new),
            failure if new > 0 => self.outcome.fail(failure),
            _ => {}
        }
    }

    /// Sends one incident's notices until no more is due.
    async fn incident(&mut self, number: usize, begin: EventTime) -> Result<(), Failure> {
        loop {
            let Some(incident) = self.turn(number, begin).await? else { return Ok(()) };
            let next = incident.notices.saturating_add(1);
            let Some(alerts) = self.callers.get(number) else { return Ok(()) };
            let id = notice_id(&incident::id(&alerts.caller, begin), next);
            let sent = self.send((number, begin), &incident, &id, None).await;
            let Ok(Some(severity)) = sent else {
                self.release(number, begin).await;
                return sent.map(drop);
            };
            let (count, served) = (incident.alerts, incident.served);
            let sent = NoticeOutcome { number: next, count, severity, served };
            let owner = self.delivery.claimant.owner;
            let mark = |incident: &mut Incident| (incident::mark(incident, sent, owner), ());
            if let Err(failure) =
                self.pipeline.change_incident(&alerts.caller, begin, self.delivery, mark).await
            {
                self.release(number, begin).await;
                return Err(failure);
            }
        }
    }

    /// Takes the lease of an incident's next notice; `None` if none is due.
    async fn turn(&mut self, number: usize, begin: EventTime) -> Result<Option<Incident>, Failure> {
        let claimant = self.delivery.claimant;
        let Some(alerts) = self.callers.get(number) else { return Ok(None) };
        loop {
            let may_send = self.may_send().is_ok();
            let take = |incident: &mut Incident| match incident.is_due() {
                true if may_send => lease::take(&mut incident.lease, &claimant),
                // Needs no lease; to look again fails at once.
                true => (false, Turn::Held),
                false => (false, Turn::Done),
            };
            match self.pipeline.change_incident(&alerts.caller, begin, self.delivery, take).await? {
                Some((incident, Turn::Mine)) => return Ok(Some(incident)),
                Some((_, Turn::Held)) => self.look_again("a notification").await?,
                Some((_, Turn::Done)) | None => return Ok(None),
            }
        }
    }

    fn may_send(&self) -> Result<(), Failure> {
        if self.refused >= MAX_REFUSED {
            Err(Failure::TopicDown)
        } else if self.time.suffices() {
            Ok(())
        } else {
            Err(Failure::OutOfTime(1))
        }
    }

    /// Waits until it makes sense to look again at what another delivery holds; fails after a few times.
    async fn look_again(&mut self, what: &'static str) -> Result<(), Failure> {
        self.may_send()?;
        if self.looks >= MAX_NOTICE_LOOKS {
            return Err(Failure::Held(what));
        }
        self.looks = self.looks.saturating_add(1);
        self.pipeline.store.pause().await;
        Ok(())
    }

    /// Sends a crowd's notices until no more is due, each with the worst of its incidents here.
    async fn crowd(&mut self, id: &CrowdId, members: &[(usize, EventTime)]) -> Result<(), Failure> {
        let member = |(number, begin): &(usize, EventTime)| {
            let incident = self.callers.get(*number)?.incidents.get(*begin)?;
            Some((incident.highest, incident.alerts))
        };
        let Some((number, begin)) = members.iter().max_by_key(|one| member(one)).copied() else {
            return Ok(());
        };
        let Some(alerts) = self.callers.get(number) else { return Ok(()) };
        loop {
            let Some((level, crowd)) = self.crowd_turn(id).await? else { return Ok(()) };
            let known = incident::document(&alerts.caller, begin);
            let incident: Versioned<Option<Incident>> = store::load(&self.pipeline.store, &known).await?;
            let Some(incident) = incident.value else { return self.end_level(id, level, false).await };
            let notice = notice_id(&id.id(), level);
            let about = CrowdView { callers: crowd.callers(), latest: &crowd.latest, hour: id.hour };
            let sent = self.send((number, begin), &incident, &notice, Some(about)).await;
            let is_sent = matches!(sent, Ok(Some(_)));
            let marked = self.end_level(id, level, is_sent).await;
            if !is_sent {
                return sent.map(drop);
            }
            marked?;
            let notice: Rc<str> = notice.into();
            self.notices.extend(members.iter().map(|member| (*member, Rc::clone(&notice))));
        }
    }

    /// Takes the lease of the notice about a crowd's highest level; `None` if it is sent.
    async fn crowd_turn(&mut self, id: &CrowdId) -> Result<Option<(u64, Crowd)>, Failure> {
        let claimant = self.delivery.claimant;
        loop {
            let crowd: Versioned<Crowd> = store::load(&self.pipeline.store, &id.crowd()).await?;
            let Some(level) = crowd.value.level() else { return Ok(None) };
            let may_send = self.may_send().is_ok();
            let take = |one: &mut CrowdNotice| match one.sent {
                false if may_send => lease::take(&mut one.lease, &claimant),
                false => (false, Turn::Held),
                true => (false, Turn::Done),
            };
            match self.change_level(id, level, take).await? {
                Turn::Mine => return Ok(Some((level, crowd.value))),
                Turn::Held => self.look_again("a notification about many callers").await?,
                Turn::Done => return Ok(None),
            }
        }
    }

    /// Marks a crowd's notice as sent, or ends this delivery's lease on it.
    async fn end_level(&self, id: &CrowdId, level: u64, sent: bool) -> Result<(), Failure> {
        let owner = self.delivery.claimant.owner;
        let end = |one: &mut CrowdNotice| {
            let changed = sent != one.sent && sent;
            one.sent |= sent;
            (lease::release(&mut one.lease, owner) || changed, ())
        };
        self.change_level(id, level, end).await
    }

    async fn change_level<T>(
        &self,
        id: &CrowdId,
        level: u64,
        edit: impl FnMut(&mut CrowdNotice) -> (bool, T),
    ) -> Result<T, Failure> {
        let expires_at = expires_at_incidents(self.delivery);
        let target = Target { id: id.notice(level), what: "crowd of one account", expires_at };
        Ok(change(&self.pipeline.store, &target, edit).await?.1)
    }

    /// Sends one notice and returns the severity that it reports; `None`, and no notice, if every rule
    /// that found something has been disabled meanwhile.
    async fn send(
        &mut self,
        (number, begin): (usize, EventTime),
        incident: &Incident,
        id: &str,
        crowd: Option<CrowdView<'_>>,
    ) -> Result<Option<Severity>, Failure> {
        self.may_send()?;
        let Some(alerts) = self.callers.get(number) else { return Ok(None) };
        let caller = &alerts.caller;
        let Some(worst) = self.worst(alerts, incident) else { return Ok(None) };
        let Worst { rule, key, at, severity, number: alert } = worst;
        let figures = match self.pipeline.figures(rule, &key, &[at]).await {
            // Counters that cannot be read hold up no notice.
            Err(error) if error.refused => Vec::new(),
            figures => figures?,
        };
        let figures = figures.into_iter().next().map_or_else(|| Figures::at_least(at), |(_, one)| one);
        let served = match self.pipeline.served(alerts, begin).boxed_local().await {
            Err(error) if error.refused => Some(Served::Unknown),
            served => served?,
        };
        let incident_id = incident::id(caller, begin);
        let place =
            IncidentRef { id: &incident_id, caller: caller.arn.as_deref(), number: alert, notice: Some(id) };
        let object = self.delivery.object;
        let worst = Alert { rule, key: &key, at, severity, figures, served, object, incident: place };
        let notice = Notice { id, caller, incident, worst, rules: &self.pipeline.rules, crowd };
        self.refused = self.refused.saturating_add(1);
        self.pipeline.sink.notice(&notice).await?;
        self.refused = 0;
        self.outcome.notices = self.outcome.notices.saturating_add(1);
        self.notices.insert((number, begin), id.into());
        Ok(Some(incident.highest.unwrap_or(severity)))
    }

    /// The worst alert the incident remembers whose rule is enabled, or else one that is pending.
    fn worst(&self, alerts: &'a CallerAlerts<'a>, incident: &Incident) -> Option<Worst<'a>> {
        let rules = &self.pipeline.rules;
        let remembered = incident.top.iter().find_map(|one| {
            let rule = rules.iter().find(|rule| rule.id == one.rule)?;
            let key = Key { rule: rule.id, values: one.values.clone() };
            Some(Worst { rule, key, at: one.at, severity: one.severity, number: one.number })
        });
        remembered.or_else(|| {
            alerts.keys.iter().find_map(|key| {
                let mut pending = key.log.value.pending();
                let own = |(at, alert): (EventTime, &crate::count::alerts::AlertRecord)| {
                    let place = alert.place.filter(|place| place.begin == incident.begin)?;
                    let severity = alert.severity.unwrap_or(key.rule.severity);
                    Some(Worst { rule: key.rule, key: key.key.clone(), at, severity, number: place.number })
                };
                pending.find_map(own)
            })
        })
    }

    /// Ends this delivery's lease on an incident's notice. If that fails, it runs out.
    async fn release(&self, number: usize, begin: EventTime) {
        let Some(alerts) = self.callers.get(number) else { return };
        let owner = self.delivery.claimant.owner;
        let release = |incident: &mut Incident| (lease::release(&mut incident.lease, owner), ());
        _ = self.pipeline.change_incident(&alerts.caller, begin, self.delivery, release).await;
    }
}
