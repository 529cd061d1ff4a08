//! What an alert or a notice says to people, once. The channels only show it.

use super::Alert;
use super::sanitize::Shown;
use super::words::{capitalised, how_many, minutes, span};
use crate::count::evidence::Kind;
use crate::rule::definition::{Rule, Severity};
use crate::rule::field::Field;
use crate::source::time::EventTime;

/// The content of one message. One alert is a notice of one.
#[derive(Clone, Debug)]
pub struct Story<'a> {
    /// The rule of the worst alert: wording, what to do.
    pub(super) rule: &'a Rule,
    /// The severity of the worst alert, and its risk score.
    pub(super) severity: (Severity, u8),
    /// The service that was called.
    pub(super) service: &'static str,
    /// The id of the alert or notice.
    pub(super) id: String,
    /// The id of the worst alert.
    pub(super) alert: String,
    /// The chat thread that it belongs to.
    pub(super) thread: String,
    /// The shortest form, for subject and SMS: who did what.
    pub(super) headline: Vec<Shown<'a>>,
    /// The title in chat.
    pub(super) title: Vec<Shown<'a>>,
    /// The first sentence of the email: who, what, how often, in what time, where.
    pub(super) opening: Vec<Shown<'a>>,
    /// The second: what the caller was served; none if it was denied nothing.
    pub(super) served: Option<Vec<Shown<'a>>>,
    /// What it means.
    pub(super) meaning: String,
    /// Set when it is about many callers.
    pub(super) crowd: Option<CrowdView<'a>>,
    /// Who and where.
    pub(super) rows: Vec<Row<'a>>,
    /// The account of the worst alert.
    pub(super) account: Shown<'a>,
    /// What is counted, and how many.
    pub(super) count: (String, String),
    /// When the rule fires; `None` for several alerts.
    pub(super) fires: Option<String>,
    /// The oldest known denial.
    pub(super) first_seen: EventTime,
    /// The newest known denial.
    pub(super) last_seen: EventTime,
    /// What separates a thief from a legitimate caller.
    pub(super) signs: Vec<Row<'a>>,
    /// What records show besides, and the logs.
    pub(super) evidence: Vec<Row<'a>>,
    /// The values that the rule counts, newest last, below a heading.
    pub(super) newest: (String, Vec<Shown<'a>>),
    /// Several alerts, worst first; none if it is about one.
    pub(super) alerts: Vec<AlertLine<'a>>,
    /// How many more there are.
    pub(super) more: u64,
    /// What to do first.
    pub(super) triage: Vec<&'a str>,
    /// When the next message comes.
    pub(super) next: Option<String>,
    /// The log object, and what else it is known by.
    pub(super) ids: Vec<Row<'a>>,
    /// The same in chat.
    pub(super) reference: (&'static str, String),
    /// How many calls were served since, in a few words.
    pub(super) served_briefly: Option<String>,
    /// Commands that take the credentials away, and where to do it in the console.
    pub(super) stop: Vec<String>,
    /// Commands to look further with, and where to do it in the console.
    pub(super) look: Vec<String>,
    /// Commands that mute the caller, with and without this project's programs.
    pub(super) mute: Vec<String>,
    /// Whom that mutes.
    pub(super) muted: &'static str,
}

/// How many regions the first sentence names.
const MAX_REGIONS: usize = 3;

/// Many callers of one account within an hour.
#[derive(Clone, Copy, Debug)]
pub struct CrowdView<'a> {
    /// How many.
    pub callers: u64,
    /// The latest of them.
    pub latest: &'a [Option<String>],
    /// The hour in which they all raised alerts.
    pub hour: EventTime,
}

impl<'a> CrowdView<'a> {
    /// How many callers, and the latest of them one below the other.
    pub(super) fn rows(self) -> Vec<Row<'a>> {
        let labels = std::iter::once("Latest").chain(std::iter::repeat(""));
        let latest = self.latest("").values.into_iter().zip(labels);
        let callers = Row::one("Callers", Shown::ours(self.callers.to_string()));
        [callers].into_iter().chain(latest.map(|(one, label)| Row::one(label, one))).collect()
    }

    pub(super) fn latest(self, label: &'static str) -> Row<'a> {
        Row::new(label, self.latest.iter().map(|caller| Shown::id(caller.as_deref())).collect())
    }

    /// The number of callers that the next message comes at.
    pub(super) fn next_level(self) -> u64 {
        let mut level: u64 = 16;
        while level <= self.callers && level < u64::MAX {
            level = level.saturating_mul(4);
        }
        level
    }
}

/// A label and its values.
#[derive(Clone, Debug)]
pub(super) struct Row<'a> {
    pub label: &'static str,
    pub values: Vec<Shown<'a>>,
}

impl<'a> Row<'a> {
    pub const fn new(label: &'static str, values: Vec<Shown<'a>>) -> Self {
        Self { label, values }
    }

    pub fn one(label: &'static str, value: Shown<'a>) -> Self {
        Self { label, values: vec![value] }
    }

    /// Its values as one channel shows them, with commas.
    pub fn joined(&self, show: impl Fn(&Shown<'a>) -> String) -> String {
        self.values.iter().map(show).collect::<Vec<_>>().join(", ")
    }
}

/// One of several alerts.
#[derive(Clone, Debug)]
pub(super) struct AlertLine<'a> {
    pub total: u64,
    pub is_lower_bound: bool,
    /// What is counted, in the plural.
    pub noun: &'a str,
    pub rule: &'a str,
    /// Its model, possibly one that the call did not name; `None` if it is not about one.
    pub model: Option<Shown<'a>>,
    /// The session that the caller's ARN leaves out.
    pub session: Option<Shown<'a>>,
}

impl<'a> AlertLine<'a> {
    pub fn how_many(&self) -> String {
        how_many(self.total, self.is_lower_bound)
    }

    /// What it is about besides the caller, as one channel shows it.
    pub fn about(&self, show: impl Fn(&Shown<'a>) -> String) -> Vec<String> {
        let session = self.session.as_ref().map(|session| format!("session {}", show(session)));
        self.model.as_ref().map(&show).into_iter().chain(session).collect()
    }
}

impl Alert<'_> {
    /// What it says to people.
    #[must_use]
    pub fn story(&self) -> Story<'_> {
        let (rule, wording) = (self.rule, &self.rule.wording);
        let (id, account) = (self.id(), Shown::id(self.account()));
        let keys = rule.group_by.iter().filter(|field| **field != Field::Account);
        let counted = if rule.distinct == Field::RequestId { "Request id" } else { rule.distinct.label() };
        Story {
            rule,
            severity: (self.severity, self.risk_score()),
            service: self.figures.cloud().service(),
            alert: id.clone(),
            thread: self.thread(),
            headline: self.phrase(wording.headline),
            title: self.phrase(wording.title),
            opening: [
                self.phrase(wording.reason),
                self.scope(self.figures.first_seen, self.figures.last_seen),
            ]
            .concat(),
            served: self.served_line(),
            meaning: self.meaning(),
            crowd: None,
            rows: keys
                .map(|field| Row::one(field.label(), Shown::id(self.key.get(rule, *field))))
                .chain([Row::one("Account", account.clone()), self.region()])
                .collect(),
            account,
            count: (capitalised(wording.noun), self.how_many()),
            fires: Some(self.fires()),
            first_seen: self.figures.first_seen,
            last_seen: self.figures.last_seen,
            signs: self.signs(),
            evidence: self.other_evidence(),
            newest: (format!("{counted}s, newest last"), self.newest().collect()),
            alerts: Vec::new(),
            more: 0,
            triage: self.triage(),
            next: None,
            ids: vec![
                Row::one("Log object", Shown::object(self.object)),
                Row::one("Rule", Shown::ours(format!("{} ({})", rule.name, rule.id))),
                Row::one("Reference", Shown::ours(rule.references.first().copied().unwrap_or_default())),
                Row::one("Alert id", Shown::ours(id.clone())),
            ],
            reference: ("Alert", id.clone()),
            id,
            served_briefly: self.served_briefly(),
            stop: self.stop(),
            look: self.look(),
            mute: self.mute(),
            muted: self.muted(),
        }
    }

    /// Whether `spelling` is the model it is about, or one of those it lists.
    pub(super) fn names_model(&self, spelling: &str) -> bool {
        let lists = self.rule.distinct == Field::Model;
        self.model() == Some(spelling) || (lists && self.figures.newest.iter().any(|one| one == spelling))
    }

    /// `unknown` if no record names any.
    pub(super) fn region(&self) -> Row<'_> {
        let known = self.evidence(Kind::Region);
        Row::new("Region", if known.is_empty() { vec![Shown::id(None)] } else { known })
    }

    /// ` in 41 s, us-east-1.`, to end a sentence about what was seen between the two times.
    pub(super) fn scope(&self, first: EventTime, last: EventTime) -> Vec<Shown<'_>> {
        let regions = self.evidence(Kind::Region);
        // Several may come in the same second, one takes no time.
        let is_one = first == last && self.figures.total == 1;
        let time = if is_one { String::new() } else { format!(" in {}", span(first, last)) };
        let mut scope = vec![Shown::ours(time)];
        if regions.len() > MAX_REGIONS {
            scope.push(Shown::ours(format!(", {} regions", regions.len())));
        } else {
            scope.extend(regions.into_iter().flat_map(|region| [Shown::ours(", "), region]));
        }
        scope.push(Shown::ours("."));
        scope
    }

    /// `fires above 3 within 60 minutes`.
    pub(super) fn fires(&self) -> String {
        format!("fires above {} within {}", self.rule.threshold, minutes(self.window_minutes()))
    }
}

impl Story<'_> {
    /// The first sentence: who did what, how often, in what time, where.
    #[must_use]
    pub fn opening(&self) -> String {
        said(&self.opening, Shown::short)
    }

    /// Commands that take the credentials away, for copying together: without the page of the console.
    pub fn stop(&self) -> impl Iterator<Item = &String> {
        self.stop.iter().filter(|one| !one.starts_with("https://"))
    }
}

/// A phrase as one channel shows it.
pub(super) fn said<'a>(phrase: &[Shown<'a>], show: impl Fn(&Shown<'a>) -> String) -> String {
    phrase.iter().map(show).collect()
}
