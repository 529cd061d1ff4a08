//! What a watched caller was served: counted like denials, under keys of its own.

use std::time::Duration;

use crate::count::counter::Counter;
use crate::count::evidence::Kind;
use crate::count::figures::MAX_LISTED;
use crate::count::key::Key;
use crate::count::watch::Watched;
use crate::count::window::Window;
use crate::rule::definition::{Rule, Severity, Weight, Wording};
use crate::rule::field::Field;
use crate::source::time::EventTime;

/// Up to twice this many calls of one object in one slot are known one by one.
const SAMPLES: usize = 8;
const HOUR: Duration = Duration::from_secs(3600);

/// Counts the calls. It matches no record by itself: the watch list says which calls count.
pub static CALLS: Rule = internal("#served", Weight::One);
/// Sums their tokens.
pub static TOKENS: Rule = internal("#served-tokens", Weight::Tokens);

/// Both.
pub const RULES: [&Rule; 2] = [&CALLS, &TOKENS];

/// How successful calls are counted: by no field, since the incident makes the key.
const fn internal(id: &'static str, weight: Weight) -> Rule {
    Rule {
        id,
        elastic: None,
        name: "",
        version: "",
        on: true,
        severity: Severity::Low,
        risk_score: 0,
        severity_if: None,
        action: "",
        records: &[],
        group_by: &[],
        distinct: Field::RequestId,
        weight,
        threshold: SAMPLES - 1,
        window: HOUR.saturating_mul(24),
        cooldown: HOUR,
        exempt_users: Vec::new(),
        references: &[],
        techniques: &[],
        wording: Wording { noun: "", headline: "", reason: "", title: "", opening: "", meaning: "" },
        triage: &[],
        false_positives: &[],
    }
}

/// The values of the key of an incident: what changes any of them begins to count anew.
#[must_use]
pub fn values(watched: &Watched) -> [Option<String>; 4] {
    let ms = |at: EventTime| Some(at.epoch_ms().to_string());
    [watched.account.clone(), Some(watched.arn.clone()), ms(watched.begin), ms(watched.first)]
}

/// The key of an incident under one of the two rules.
#[must_use]
pub fn key(rule: &Rule, watched: &Watched) -> Key {
    Key { rule: rule.id, values: values(watched).map(|value| value.map(Into::into)).into() }
}

/// What is known of a caller's successful calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// There were some.
    Calls(Calls),
    /// They were looked for, and none was found so far.
    None,
    /// No log came that records them.
    NoLog,
    /// Not everything that is there could be looked at.
    Unknown,
}

/// Successful calls since the first denial of an incident; never more than there were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// How many.
    pub calls: u64,
    /// `calls` is a lower bound.
    pub at_least: bool,
    /// The models called, up to [`MAX_LISTED`].
    pub models: Vec<String>,
    /// All billed tokens, as far as the logs show them.
    pub tokens: u64,
    /// The first call.
    pub first: EventTime,
    /// The last one.
    pub last: EventTime,
}

impl Served {
    /// What the counters of both keys say of a watched caller.
    #[must_use]
    pub fn of(watched: &Watched, calls: &[Counter], tokens: &[Counter]) -> Self {
        match Calls::of(calls, tokens) {
            Some(calls) => Self::Calls(Calls { at_least: calls.at_least || watched.unread, ..calls }),
            None if !watched.log => Self::NoLog,
            None if watched.unread => Self::Unknown,
            None => Self::None,
        }
    }
}

impl Calls {
    /// Of the counters of both keys; `None` if there is no call.
    #[must_use]
    pub fn of(calls: &[Counter], tokens: &[Counter]) -> Option<Self> {
        let figures = Window::new(&CALLS, calls).all()?;
        let models = figures.evidence.iter().filter(|one| one.kind == Kind::ModelCalled);
        Some(Self {
            calls: figures.total,
            at_least: figures.is_lower_bound,
            models: models.map(|one| one.value.to_string()).take(MAX_LISTED).collect(),
            tokens: Window::new(&TOKENS, tokens).all().map_or(0, |sum| sum.total),
            first: figures.first_seen,
            last: figures.last_seen,
        })
    }
}
