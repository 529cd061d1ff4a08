//! One message to people about everything a caller did. A single alert reads as an alert; several read
//! as one story, worst first.

mod chat;
mod document;
mod email;
mod scale;

pub(super) use self::document::Rest;
use crate::alert::Alert;
use crate::alert::display::shown;
use crate::alert::message::{Message, Texts};
use crate::count::caller::Caller;
use crate::count::incident::{Incident, RememberedAlert};
use crate::rule::definition::Rule;
use crate::rule::field::Field;

/// The longest id in a list, in bytes.
const LISTED_BYTES: usize = 256;

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
    pub crowd: Option<Crowd<'a>>,
}

/// Many callers of one account within an hour.
#[derive(Clone, Copy, Debug)]
pub struct Crowd<'a> {
    /// How many.
    pub callers: u64,
    /// The latest of them.
    pub latest: &'a [Option<String>],
}

impl<'a> Notice<'a> {
    /// The message for the topic.
    #[must_use]
    pub fn message(&self) -> Message {
        let alert = &self.worst;
        let document = self.document();
        let texts = if self.is_one_alert() {
            Texts { subject: alert.subject(), email: alert.email(), chat: alert.chat(), sms: alert.sms() }
        } else {
            Texts { subject: self.subject(), email: self.email(), chat: self.chat(), sms: self.sms() }
        };
        alert.message_of(document, texts)
    }

    /// Whether the alert itself is all there is to report.
    fn is_one_alert(&self) -> bool {
        self.incident.alerts <= 1 && self.crowd.is_none()
    }

    /// The other alerts the incident remembers, worst first.
    fn others(&self) -> impl Iterator<Item = Other<'a>> {
        let (rule, key, at) = (self.worst.rule.id, self.worst.key, self.worst.at);
        let is_other =
            move |one: &&RememberedAlert| one.at != at || one.rule != rule || one.values != key.values;
        let (rules, caller) = (self.rules, self.caller);
        let others = self.incident.top.iter().filter(is_other).take(MAX_OTHERS);
        others.map(move |finding| Other::new(finding, rules, caller))
    }

    /// The worst alert as the incident remembers it.
    fn worst_finding(&self) -> Option<Other<'a>> {
        let worst = &self.worst;
        let is_worst = |one: &&RememberedAlert| {
            one.at == worst.at && one.rule == worst.rule.id && one.values == worst.key.values
        };
        let finding = self.incident.top.iter().find(is_worst)?;
        Some(Other::new(finding, self.rules, self.caller))
    }

    /// `21`, or `21 (5 at the last message)`.
    fn alerts_so_far(&self) -> String {
        let Incident { alerts, told, notices, .. } = self.incident;
        if *notices > 0 { format!("{alerts} ({told} at the last message)") } else { alerts.to_string() }
    }

    /// How many alerts there are beyond those it lists.
    fn more(&self) -> u64 {
        let named = (self.others().count() as u64).saturating_add(1);
        self.incident.alerts.saturating_sub(named)
    }
}

/// How many alerts a notice lists besides the worst.
const MAX_OTHERS: usize = 10;

/// One of the other alerts, as a list shows it.
struct Other<'a> {
    finding: &'a RememberedAlert,
    /// `None` if the rule has been disabled meanwhile.
    rule: Option<&'a Rule>,
    /// The session that the caller's ARN leaves out.
    session: Option<&'a str>,
}

impl<'a> Other<'a> {
    fn new(finding: &'a RememberedAlert, rules: &'a [Rule], caller: &'a Caller) -> Self {
        let rule = rules.iter().find(|rule| rule.id == finding.rule);
        let mut other = Self { finding, rule, session: None };
        let user = other.value(Field::User);
        let session = user.zip(caller.arn.as_deref()).and_then(|(user, arn)| user.strip_prefix(arn));
        other.session = session.and_then(|session| session.strip_prefix('/'));
        other
    }

    /// The value of `field`, as logged.
    fn value(&self, field: Field) -> Option<&'a str> {
        let position = self.rule?.group_by.iter().position(|by| *by == field)?;
        self.finding.values.get(position)?.as_deref()
    }

    fn rule_id(&self) -> &'a str {
        &self.finding.rule
    }

    /// Whether it is about one model, possibly one that the call did not name.
    fn is_of_one_model(&self) -> bool {
        self.rule.is_some_and(|rule| rule.group_by.contains(&Field::Model))
    }

    fn model(&self) -> Option<&'a str> {
        self.value(Field::Model)
    }

    /// `4`, or `at least 4` for a lower bound.
    fn how_many(&self) -> String {
        format!("{}{}", if self.finding.at_least { "at least " } else { "" }, self.finding.total)
    }

    /// What is counted, in the plural.
    fn noun(&self) -> &'a str {
        self.rule.map_or("in all", |rule| rule.wording.noun)
    }

    /// What it is about, besides the caller.
    fn what(&self) -> String {
        let model = self.is_of_one_model().then(|| shown(self.model()));
        let session = self.session.map(|session| format!("session {}", shown(Some(session))));
        model.into_iter().chain(session).collect::<Vec<_>>().join(", ")
    }
}
