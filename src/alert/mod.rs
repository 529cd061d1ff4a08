//! One alert as a value. The files below render it for programs and people.

mod chat;
pub mod display;
mod document;
mod email;
pub mod links;
mod message;
mod mute;
pub mod notice;
mod ocsf;
mod queries;
pub mod shorten;
pub mod sink;
mod telephone;
pub mod terminal;

use serde_json::Value;

use crate::count::caller::digest;
use crate::count::evidence::{Kind, MAX_EVIDENCE};
use crate::count::key::Key;
use crate::count::window::Figures;
use crate::rule::definition::Rule;
use crate::rule::field::{Field, MISSING};
use crate::source::time::EventTime;

pub use self::message::{MAX_MESSAGE_BYTES, Message};

/// Everything an analyst needs to know.
#[derive(Clone, Debug)]
pub struct Alert<'a> {
    /// The rule that fired.
    pub rule: &'a Rule,
    /// What it fired for.
    pub key: &'a Key,
    /// The time of the hot denial.
    pub at: EventTime,
    /// The counters' figures at that moment.
    pub figures: Figures,
    /// The object whose delivery fired it.
    pub object: &'a str,
    /// The incident that it belongs to.
    pub incident: IncidentRef<'a>,
}

/// Where an alert belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentRef<'a> {
    /// The incident's id.
    pub id: &'a str,
    /// The ARN of the caller: [`Identity::caller`](crate::rule::identity::Identity::caller).
    pub caller: Option<&'a str>,
    /// Its number in the incident, from 1.
    pub number: u64,
    /// The id of the notice that reported it; `None` while none has.
    pub notice: Option<&'a str>,
}

impl Alert<'_> {
    /// Stable: the same key and time always give the same id.
    #[must_use]
    pub fn id(&self) -> String {
        id(self.key, self.at)
    }

    /// The account, if the rule groups by it.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.key.get(self.rule, Field::Account)
    }

    fn model(&self) -> Option<&str> {
        self.key.get(self.rule, Field::Model)
    }

    /// Who called: the user, or the caller or role if the rule groups by it.
    fn caller(&self) -> Option<&str> {
        self.key.identity(self.rule)
    }

    /// One chat thread per caller, whatever the rule.
    fn thread(&self) -> String {
        let caller = Value::from(vec![self.account(), self.incident.caller]);
        format!("bedrock-{}", digest(&[&caller.to_string()]))
    }

    /// One of the rule's phrases with its places filled; ids are shown by `short`.
    fn phrase(&self, phrase: &str, short: impl Fn(Option<&str>) -> String) -> String {
        let mut filled = String::new();
        let mut rest = phrase;
        while let Some((before, (name, after))) =
            rest.split_once('{').and_then(|(before, at)| Some((before, at.split_once('}')?)))
        {
            filled += before;
            filled += &match name {
                "user" | "caller" | "role" => short(self.caller()),
                "model" => short(self.model()),
                _ => self.how_many(),
            };
            rest = after;
        }
        filled + rest
    }

    /// Up to ten values of one kind, in order.
    fn evidence(&self, kind: Kind) -> Vec<&str> {
        let same = self.figures.evidence.iter().filter(|one| one.kind == kind);
        same.take(MAX_EVIDENCE).map(|one| kind.cut(&one.value)).collect()
    }

    /// The logs that recorded it, in words.
    fn sources(&self) -> String {
        let logs = self.figures.logs();
        logs.iter().map(|log| log.label()).collect::<Vec<_>>().join(", ")
    }

    /// The evidence for people, each kind with a label of at most nine letters; kinds without values are
    /// left out.
    fn told(&self) -> Vec<(&'static str, Kind, Vec<&str>)> {
        let kinds = [
            ("Source IP", Kind::SourceIp),
            ("Client", Kind::UserAgent),
            ("Key id", Kind::AccessKeyId),
            ("API key", Kind::ApiKey),
            ("From acct", Kind::CallerAccount),
            ("Endpoint", Kind::VpcEndpoint),
            ("Called as", Kind::ModelCalled),
            ("Denied by", Kind::Refusal),
            ("Guardrail", Kind::Guardrail),
            ("Policy", Kind::Policy),
            ("Found", Kind::Violation),
        ];
        let told = kinds.map(|(label, kind)| {
            let values = self.evidence(kind);
            (label, kind, if kind == Kind::ModelCalled { self.other_spellings(values) } else { values })
        });
        told.into_iter().filter(|(_, _, values)| !values.is_empty()).collect()
    }

    /// The spellings of the model that the reader does not see anyway.
    fn other_spellings<'v>(&self, spellings: Vec<&'v str>) -> Vec<&'v str> {
        let listed = |spelling: &str| {
            self.rule.distinct == Field::Model && self.newest().any(|model| model == Some(spelling))
        };
        let mut others = spellings;
        others.retain(|spelling| self.model() != Some(spelling) && !listed(spelling));
        others
    }

    /// The distinct values, newest last; `None` for a missing one.
    fn newest(&self) -> impl Iterator<Item = Option<&str>> {
        self.figures.newest.iter().map(|value| Some(value.as_str()).filter(|value| *value != MISSING))
    }

    fn window_minutes(&self) -> u64 {
        self.rule.window.as_secs() / 60
    }

    /// `4`, or `at least 4` for a lower bound.
    fn how_many(&self) -> String {
        let bound = if self.figures.at_least { "at least " } else { "" };
        format!("{bound}{}", self.figures.total)
    }
}

/// The id of an alert of `key` at `at`.
#[must_use]
pub fn id(key: &Key, at: EventTime) -> String {
    digest(&[&key.text(), &at.epoch_ms().to_string()])
}
