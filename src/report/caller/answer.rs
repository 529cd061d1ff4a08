//! Did they get in? Whether a call succeeded after a denial, in one sentence.

use std::collections::HashMap;

use serde::Serialize;

use crate::alert::sanitize::{DOCUMENT_BYTES, known_as, plain};
use crate::alert::terminal::whole;
use crate::alert::words::{span, utc};
use crate::call::{Cloud, Source};
use crate::report::caller::calls::{KeptCalls, KeptOutcome, NameKind};
use crate::report::caller::figures::plural;
use crate::source::time::EventTime;

/// The most models that the sentence names.
const MAX_NAMED: usize = 3;
/// The most that the document lists.
const MAX_LISTED: usize = 100;

/// The answer.
#[derive(Debug, Serialize)]
pub struct CallerAnswer {
    /// The answer, to programs.
    pub kind: AnswerKind,
    /// One sentence.
    pub text: String,
    /// The models that were served after a denial: the denied ones, or else others.
    pub models: Vec<ServedModel>,
}

/// Which answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerKind {
    /// A denied model was served later.
    ServedAfterDenial,
    /// Only other models were.
    OthersServed,
    /// None was.
    NoneServed,
    /// No log was read that says so.
    NotKnown,
    /// Nothing was denied.
    NotDenied,
    /// There is no call.
    NoCalls,
}

/// A model that was served after a denial.
#[derive(Debug, Serialize)]
pub struct ServedModel {
    /// Who called.
    pub caller: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The first denial before it.
    pub denied_at: String,
    /// The first call that succeeded after that.
    pub served_at: String,
    /// How many succeeded after it.
    pub calls: u64,
    /// Their tokens.
    pub tokens: u64,
    #[serde(skip)]
    found: Found,
}

/// What succeeded after a denial.
#[derive(Clone, Copy, Debug)]
struct Found {
    denied: EventTime,
    served: EventTime,
    calls: u64,
    tokens: u64,
}

/// What was served after which denial.
#[derive(Default)]
pub struct Answers {
    denied: bool,
    /// By caller and model.
    same: HashMap<(u16, u16), Found>,
    other: HashMap<(u16, u16), Found>,
}

impl Answers {
    /// Looks for the calls that succeeded after the first denial of the same caller.
    #[must_use]
    pub fn of(calls: &KeptCalls) -> Self {
        let model_calls = || calls.iter().filter(|call| call.is_model_call);
        let mut by_model: HashMap<(u16, u16), EventTime> = HashMap::new();
        let mut by_caller: HashMap<u16, EventTime> = HashMap::new();
        for call in model_calls().filter(|call| call.outcome == KeptOutcome::Denied) {
            let (caller, model) = (call.get(NameKind::Caller), call.get(NameKind::Model));
            let first = by_model.entry((caller, model)).or_insert(call.at);
            *first = call.at.min(*first);
            let first = by_caller.entry(caller).or_insert(call.at);
            *first = call.at.min(*first);
        }
        let mut answers = Self { denied: !by_caller.is_empty(), ..Self::default() };
        for call in model_calls().filter(|call| call.outcome == KeptOutcome::Served) {
            let key = (call.get(NameKind::Caller), call.get(NameKind::Model));
            let (denied, found) = match (by_model.get(&key), by_caller.get(&key.0)) {
                (Some(denied), _) => (*denied, &mut answers.same),
                (None, Some(denied)) => (*denied, &mut answers.other),
                (None, None) => continue,
            };
            if call.at > denied {
                let new = Found { denied, served: call.at, calls: 0, tokens: 0 };
                let found = found.entry(key).or_insert(new);
                found.served = call.at.min(found.served);
                found.calls = found.calls.saturating_add(1);
                found.tokens = found.tokens.saturating_add(call.tokens().total());
            }
        }
        answers
    }

    /// In words.
    #[must_use]
    pub fn answer(&self, calls: &KeptCalls) -> CallerAnswer {
        let (same, other) = (listed(&self.same, calls), listed(&self.other, calls));
        // Azure's log records successful calls too.
        let knows = calls.read.has(Source::InvocationLog) || !calls.clouds.contains(&Cloud::Aws);
        let (kind, text, models) = if calls.iter().next().is_none() {
            (AnswerKind::NoCalls, "No call of this caller in what was read.".to_owned(), same)
        } else if !same.is_empty() {
            (AnswerKind::ServedAfterDenial, format!("Served after denial: {}.", named(&same)), same)
        } else if !other.is_empty() {
            let text = format!(
                "No denied model was served after its denial. Other models were served after the first denial: {}.",
                named(&other)
            );
            (AnswerKind::OthersServed, text, other)
        } else if !self.denied {
            (AnswerKind::NotDenied, "No call was denied.".to_owned(), same)
        } else if knows {
            (AnswerKind::NoneServed, "No call succeeded after the first denial.".to_owned(), same)
        } else {
            let text = "Not known whether a call succeeded after the denials: no invocation log was read.";
            (AnswerKind::NotKnown, text.to_owned(), same)
        };
        CallerAnswer { kind, text, models }
    }
}

/// In the order in which they were served.
fn listed(found: &HashMap<(u16, u16), Found>, calls: &KeptCalls) -> Vec<ServedModel> {
    let mut found: Vec<_> = found.iter().collect();
    found.sort_by_key(|(key, found)| (found.served, **key));
    let model = |((caller, model), found): (&(u16, u16), &Found)| ServedModel {
        caller: calls.name(NameKind::Caller, *caller).map(|caller| plain(caller, DOCUMENT_BYTES)),
        model: calls.name(NameKind::Model, *model).map(|model| plain(model, DOCUMENT_BYTES)),
        denied_at: found.denied.to_string(),
        served_at: found.served.to_string(),
        calls: found.calls,
        tokens: found.tokens,
        found: *found,
    };
    found.into_iter().take(MAX_LISTED).map(model).collect()
}

fn named(models: &[ServedModel]) -> String {
    let is_one = models.iter().all(|one| models.first().is_some_and(|first| first.caller == one.caller));
    let one = |one: &ServedModel| {
        let Found { denied, served, calls, tokens } = one.found;
        format!(
            "{}{}, first at {}, {} after the first denial ({}, {})",
            whole(one.model.as_deref()),
            if is_one { String::new() } else { format!(" to {}", known_as(one.caller.as_deref())) },
            utc(served),
            span(denied, served),
            plural(calls, "call"),
            plural(tokens, "token")
        )
    };
    let mut text = models.iter().take(MAX_NAMED).map(one).collect::<Vec<_>>().join("; ");
    if let Some(more) = models.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        text += &format!("; and {more} more");
    }
    text
}
