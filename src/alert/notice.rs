//! One message to people about everything a caller did. A single alert reads as an alert; several read
//! as one story, worst first.

use serde_json::{Value, json};

use super::document::put;
use super::sanitize::{Shown, TEXT_BYTES};
use super::story::{AlertLine, CrowdView, Row, Story};
use super::words::{counted, plural};
use crate::alert::Alert;
use crate::count::caller::{Caller, account_key, digest};
use crate::count::incident::{Incident, RememberedAlert};
use crate::rule::definition::Rule;
use crate::rule::field::Field;

/// How many alerts a notice lists besides the worst.
const MAX_OTHERS: usize = 10;
/// Whoever may create users or assume roles poses as many callers.
const CROWD_TRIAGE: &str = "Look for a recent change of a policy. If there is none, look for the one credential behind \
     these callers: in CloudTrail, CreateUser and AssumeRole calls name who made them.";

/// One message to people.
#[derive(Clone, Debug)]
pub struct Notice<'a> {
    /// Stable: the same incident and number always give the same id, so consumers recognise a repeat.
    pub id: &'a str,
    /// The caller it is about.
    pub caller: &'a Caller,
    /// The incident as recorded.
    pub incident: &'a Incident,
    /// Its worst alert, in full.
    pub worst: Alert<'a>,
    /// The enabled rules, which word the other alerts.
    pub rules: &'a [Rule],
    /// Set when many callers come at once: then it is about all those without notices of their own.
    pub crowd: Option<CrowdView<'a>>,
}

/// The size of an incident in a few words; never above the truth.
#[derive(Default)]
struct Scale {
    /// Different models.
    models: u64,
    /// Denied calls.
    denials: u64,
    /// Both may be higher.
    is_lower_bound: bool,
}

impl Notice<'_> {
    /// The notice as JSON on one line: the document of its worst alert, so that consumers of one alert need no
    /// change, with the rest under `incident`.
    #[must_use]
    pub fn document(&self) -> String {
        let mut document = self.worst.json();
        put(&mut document, "incident.alerts", self.incident.alerts);
        put(&mut document, "incident.rules", self.incident.rules.keys().collect::<Vec<_>>());
        put(&mut document, "incident.others", self.others().map(|one| line_json(&one)).collect::<Vec<_>>());
        put(&mut document, "incident.more", self.more());
        if let Some(crowd) = self.crowd {
            put(&mut document, "incident.callers", crowd.callers);
        }
        document.to_string()
    }

    /// What it says to people.
    #[must_use]
    pub fn story(&self) -> Story<'_> {
        let (worst, incident, caller) = (&self.worst, self.incident, self.caller);
        let alert = worst.story();
        if incident.alerts <= 1 && self.crowd.is_none() {
            return alert;
        }
        let (arn, account) = (Shown::id(caller.arn.as_deref()), Shown::id(caller.account.as_deref()));
        let rules: Vec<&str> = incident.rules.keys().map(String::as_str).collect();
        let counted = Some(worst.rule.distinct).filter(|field| *field != Field::RequestId);
        let newest = counted.map(|field| {
            (format!("{}s of the worst alert, newest last", field.label()), worst.newest().collect())
        });
        let notice = Story {
            id: self.id.to_owned(),
            headline: self.deed(""),
            title: self.deed(""),
            opening: [self.deed("was "), self.scope()].concat(),
            rows: vec![Row::one("Caller", arn), Row::one("Account", account.clone()), worst.region()],
            account: account.clone(),
            count: ("Alerts".to_owned(), self.alerts_so_far()),
            fires: None,
            first_seen: incident.first_seen,
            last_seen: incident.last_seen.max(worst.figures.last_seen),
            newest: newest.unwrap_or_default(),
            alerts: std::iter::once(self.worst_line()).chain(self.others()).collect(),
            more: self.more(),
            next: Some(format!(
                "The next message about this caller comes at {} alerts within the hour, or when an alert is more severe than those so far.",
                incident.alerts.saturating_mul(4)
            )),
            ids: vec![
                Row::one("Log object", Shown::object(worst.object)),
                Row::new("Rules", rules.into_iter().map(Shown::ours).collect()),
                Row::one("Incident", Shown::ours(worst.incident.id)),
                Row::one("Notice", Shown::ours(self.id)),
            ],
            reference: ("Incident", worst.incident.id.to_owned()),
            ..alert
        };
        let Some(crowd) = self.crowd else {
            // That the caller got in matters more than how often it was denied.
            let alert = worst.story();
            let (headline, title, opening) = (alert.headline, alert.title, alert.opening);
            let is_served = worst.rule.is_about_watched();
            return if is_served { Story { headline, title, opening, ..notice } } else { notice };
        };
        let callers = crowd.callers;
        Story {
            crowd: self.crowd,
            thread: format!("bedrock-{}", digest(&[&account_key(caller.account.as_deref()).text()])),
            headline: vec![Shown::ours(format!("{callers} identities denied"))],
            title: vec![Shown::ours(format!(
                "{callers} identities denied on {} within an hour",
                worst.figures.cloud().service()
            ))],
            opening: vec![Shown::ours(format!(
                "{callers} identities of one account raised alerts within an hour, probably after one policy change. The first \
                 ten were reported one by one; this is about the others."
            ))],
            served: None,
            served_briefly: None,
            signs: Vec::new(),
            triage: std::iter::once(CROWD_TRIAGE).chain(worst.triage()).collect(),
            next: Some(format!(
                "The next message about this account's callers comes at {}, or when an alert is more severe than those so far.",
                crowd.next_level()
            )),
            stop: Vec::new(),
            mute: Vec::new(),
            ..notice
        }
    }

    /// The other alerts the incident remembers, worst first.
    fn others(&self) -> impl Iterator<Item = AlertLine<'_>> {
        let others = self.incident.top.iter().filter(|one| !self.is_worst(one)).take(MAX_OTHERS);
        others.map(|one| self.line(one))
    }

    fn is_worst(&self, one: &RememberedAlert) -> bool {
        let Alert { at, rule, key, .. } = &self.worst;
        one.at == *at && one.rule == rule.id && one.values == key.values
    }

    /// The worst alert, with what the incident remembers it by. Its figures were just read again.
    fn worst_line(&self) -> AlertLine<'_> {
        let Alert { rule, figures, .. } = &self.worst;
        let remembered = self.incident.top.iter().find(|one| self.is_worst(one)).map(|one| self.line(one));
        let (model, session) = remembered.map_or((None, None), |line| (line.model, line.session));
        let (total, is_lower_bound) = (figures.total, figures.is_lower_bound);
        AlertLine {
            total,
            is_lower_bound,
            noun: counted(rule.wording.noun, total),
            rule: rule.id,
            model,
            session,
        }
    }

    fn line<'s>(&'s self, alert: &'s RememberedAlert) -> AlertLine<'s> {
        // None if the rule has been disabled meanwhile.
        let rule = self.rules.iter().find(|rule| rule.id == alert.rule);
        let position = |field| rule?.group_by.iter().position(|by| *by == field);
        let value = |field| alert.values.get(position(field)?)?.as_deref();
        let behind = value(Field::User).zip(self.caller.arn.as_deref());
        let session = behind.and_then(|(user, arn)| user.strip_prefix(arn)?.strip_prefix('/'));
        AlertLine {
            total: alert.total,
            is_lower_bound: alert.is_lower_bound,
            noun: rule.map_or("in all", |rule| counted(rule.wording.noun, alert.total)),
            rule: &alert.rule,
            model: position(Field::Model).map(|_| Shown::id(value(Field::Model))),
            session: session.map(|session| Shown::id(Some(session))),
        }
    }

    /// `21`, or `21 (5 when last notified)`.
    fn alerts_so_far(&self) -> String {
        let Incident { alerts, told, notices, .. } = self.incident;
        if *notices > 0 { format!("{alerts} ({told} when last notified)") } else { alerts.to_string() }
    }

    /// How many alerts there are beyond those it lists.
    fn more(&self) -> u64 {
        let named = (self.others().count() as u64).saturating_add(1);
        self.incident.alerts.saturating_sub(named)
    }

    fn scale(&self) -> Scale {
        let mut scale = Scale::default();
        let mut models_denied = 0;
        // Whether a rule counts denied calls, rather than invalid or guarded ones.
        let counts_denials =
            |rule: &Rule| rule.distinct == Field::RequestId && rule.wording.noun == "denials";
        for (id, figures) in &self.incident.rules {
            let Some(rule) = self.rules.iter().find(|rule| rule.id == id) else { continue };
            let models = if rule.distinct == Field::Model { figures.most } else { figures.models };
            scale.models = scale.models.max(models);
            if counts_denials(rule) {
                scale.denials = scale.denials.max(figures.total);
                models_denied = models_denied.max(figures.models);
            }
        }
        // The worst alert's figures were just read again.
        let worst = &self.worst;
        if worst.rule.distinct == Field::Model {
            scale.models = scale.models.max(worst.figures.total);
        } else if counts_denials(worst.rule) {
            scale.denials = scale.denials.max(worst.figures.total);
        }
        // Each model was refused at least once.
        scale.denials = scale.denials.max(scale.models);
        // Alerts of earlier deliveries keep the figures of that time, and models below a rule's
        // threshold have none.
        let lower_bounds =
            self.incident.top.iter().any(|one| one.is_lower_bound) || worst.figures.is_lower_bound;
        scale.is_lower_bound = self.incident.notices > 0 || lower_bounds || models_denied < scale.models;
        scale
    }

    /// Who was denied what: `eve denied 23 models, 140 times`, with `was` before the verb if it has to be a
    /// sentence.
    fn deed(&self, was: &str) -> Vec<Shown<'_>> {
        let Scale { models, denials, is_lower_bound } = self.scale();
        let verb = format!("{was}denied ");
        let was = format!("{was}denied {}", if is_lower_bound { "at least " } else { "" });
        let times = format!(" {}{}", if is_lower_bound { "at least " } else { "" }, plural(denials, "time"));
        let many = match (models, denials) {
            (0, 0) => self.alerts_by_rule(),
            (0 | 1, _) if self.worst.model().is_some() => verb,
            (0 | 1, _) => format!("{was}{denials} times"),
            _ if denials == models => format!("{was}{models} models"),
            _ => format!("{was}{models} models, {denials} times"),
        };
        let model = many.ends_with("denied ").then(|| [Shown::model(self.worst.model()), Shown::ours(times)]);
        let caller = Shown::caller(self.caller.arn.as_deref());
        [caller, Shown::ours(format!(" {many}"))].into_iter().chain(model.into_iter().flatten()).collect()
    }

    /// In what time, and where.
    fn scope(&self) -> Vec<Shown<'_>> {
        let last = self.incident.last_seen.max(self.worst.figures.last_seen);
        self.worst.scope(self.incident.first_seen, last)
    }

    /// `raised 12 alerts of guardrail-topic, guardrail-word`.
    fn alerts_by_rule(&self) -> String {
        let rules: Vec<&str> = self.incident.rules.keys().map(String::as_str).collect();
        format!("raised {} of {}", plural(self.incident.alerts, "alert"), rules.join(", "))
    }
}

/// The model is `null` for a call that names none.
fn line_json(line: &AlertLine<'_>) -> Value {
    let mut json = json!({ "rule": line.rule });
    for (name, value) in [("model", &line.model), ("session", &line.session)] {
        if let Some(value) = value {
            put(&mut json, name, value.program(TEXT_BYTES));
        }
    }
    put(&mut json, "total", line.total);
    if line.is_lower_bound {
        put(&mut json, "total_at_least", true);
    }
    json
}
