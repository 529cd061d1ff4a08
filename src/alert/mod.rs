//! One alert as a value. What it says to people is a [`story::Story`], which the channels only show:
//! `email`, `chat` and `terminal`; programs get the `document` or the finding of `ocsf`.

mod actions;
mod chat;
mod document;
mod email;
pub mod links;
mod message;
pub mod notice;
mod ocsf;
mod queries;
pub mod sanitize;
pub(crate) mod served;
pub mod shorten;
mod signs;
pub mod sink;
pub mod story;
mod telephone;
pub mod terminal;
pub mod words;

use serde_json::Value;

use self::sanitize::Shown;

use crate::call::Cloud;
use crate::call::cause::words as words_of_causes;
use crate::count::caller::digest;
use crate::count::evidence::Kind;
use crate::count::key::Key;
use crate::count::served::Served;
use crate::count::severity;
use crate::count::window::Figures;
use crate::rule::definition::{Rule, Severity, SeverityIf};
use crate::rule::field::{Field, MISSING};
use crate::source::time::EventTime;

pub use self::message::{MAX_MESSAGE_BYTES, Message};

/// What a step names that is of no use in another cloud.
const OF_AWS: [&str; 6] = ["AWS", "Bedrock", "CloudTrail", "IAM", "access key", "AssumeRole"];

/// Everything an analyst needs to know.
#[derive(Clone, Debug)]
pub struct Alert<'a> {
    /// The rule that fired.
    pub rule: &'a Rule,
    /// What it fired for.
    pub key: &'a Key,
    /// The time of the hot denial.
    pub at: EventTime,
    /// Its severity as recorded: the rule's, or a lower one.
    pub severity: Severity,
    /// The counters' figures at that moment.
    pub figures: Figures,
    /// What its caller was served since the first denial; `None` if it was denied nothing.
    pub served: Option<Served>,
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

    fn risk_score(&self) -> u8 {
        self.rule.risk_score_of(self.severity)
    }

    /// What to do first: what to set up, if that is all that is known to be missing, then the rule's steps.
    fn triage(&self) -> Vec<&'static str> {
        let evidence = &self.figures.evidence;
        let explains = |lower: SeverityIf| severity::applies(lower.causes, self.rule, self.key, evidence);
        let is_explained = self.rule.severity_if.is_some_and(explains);
        let causes = self.logged(Kind::Cause).filter(|_| is_explained);
        let is_elsewhere = |step: &&str| {
            self.figures.cloud() == Cloud::Azure && OF_AWS.iter().any(|word| step.contains(word))
        };
        let steps = self.rule.triage.iter().copied().filter(|step| !is_elsewhere(step));
        causes.filter_map(words_of_causes::setup).chain(steps).collect()
    }

    /// What it may mean.
    fn meaning(&self) -> String {
        let wording = &self.rule.wording;
        let meaning = format!("{}\n{}", wording.opening, wording.meaning);
        match self.figures.cloud() {
            Cloud::Aws => meaning,
            Cloud::Azure => {
                meaning.replace("Amazon Bedrock", "Azure OpenAI").replace("Bedrock", "Azure OpenAI")
            }
        }
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

    /// One of the rule's phrases with its places filled.
    fn phrase(&self, phrase: &'static str) -> Vec<Shown<'_>> {
        let mut filled = Vec::new();
        let mut rest = phrase;
        while let Some((before, (name, after))) =
            rest.split_once('{').and_then(|(before, at)| Some((before, at.split_once('}')?)))
        {
            filled.push(Shown::ours(before));
            filled.push(match name {
                "user" | "caller" | "role" => Shown::caller(self.caller()),
                "model" => Shown::model(self.model()),
                "resource" => Shown::model(self.key.get(self.rule, Field::Resource)),
                _ => Shown::ours(self.how_many()),
            });
            rest = after;
            if name == "count" && self.figures.total == 1 {
                let (word, behind) = after.split_at(
                    after
                        .get(1..)
                        .and_then(|word| word.find(' '))
                        .map_or(after.len(), |at| at.saturating_add(1)),
                );
                filled.push(Shown::ours(word.strip_suffix('s').unwrap_or(word)));
                rest = behind;
            }
        }
        filled.push(Shown::ours(rest));
        filled
    }

    /// The values of one kind, in order, up to ten but for causes.
    fn evidence(&self, kind: Kind) -> Vec<Shown<'_>> {
        self.logged(kind).map(|value| Shown::evidence(kind, value)).collect()
    }

    /// The same as logged, for what quotes or compares them.
    fn logged(&self, kind: Kind) -> impl Iterator<Item = &str> {
        let same = self.figures.evidence.iter().filter(move |one| one.kind == kind);
        same.take(kind.most()).map(move |one| kind.cut(&one.value))
    }

    /// The distinct values, newest last.
    fn newest(&self) -> impl Iterator<Item = Shown<'_>> {
        let known = |value| Some(value).filter(|value| *value != MISSING);
        self.figures.newest.iter().map(move |value| Shown::id(known(value.as_str())))
    }

    fn window_minutes(&self) -> u64 {
        self.rule.window.as_secs() / 60
    }

    /// `4`, or `at least 4` for a lower bound.
    fn how_many(&self) -> String {
        words::how_many(self.figures.total, self.figures.is_lower_bound)
    }
}

/// The id of an alert of `key` at `at`.
#[must_use]
pub fn id(key: &Key, at: EventTime) -> String {
    digest(&[&key.text(), &at.epoch_ms().to_string()])
}

#[cfg(test)]
mod fixture;
