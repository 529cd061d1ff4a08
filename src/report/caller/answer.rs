//! Did they get in, and what did it cost? Whether a call succeeded after a denial, in one sentence.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::alert::sanitize::{DOCUMENT_BYTES, known_as, plain};
use crate::alert::terminal::whole;
use crate::alert::words::{first_few, span, utc};
use crate::call::Source;
use crate::report::caller::calls::{KeptCall, KeptCalls, KeptOutcome, NameKind};
use crate::report::caller::figures::{dollars, plural};
use crate::report::caller::gaps::MAX_IN_SENTENCE;
use crate::report::caller::prices::{self, Tokens};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerKind {
    /// A denied model was served later, in the same region.
    ServedAfterDenial,
    /// A denied model was served later, but only in regions where it was not denied.
    ServedElsewhere,
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
    /// Where it was served.
    pub regions: Vec<String>,
    /// The first denial before it.
    pub denied_at: String,
    /// The first call that succeeded after that.
    pub served_at: String,
    /// How many succeeded after it.
    pub calls: u64,
    /// Their tokens.
    pub tokens: u64,
    /// What they cost, an estimate in USD; `None` if the model is not priced.
    pub estimated_usd: Option<f64>,
    #[serde(skip)]
    denied: EventTime,
    #[serde(skip)]
    served: EventTime,
}

/// Calls of one caller and model that succeeded after a denial.
struct Found {
    denied: EventTime,
    served: EventTime,
    calls: u64,
    tokens: Tokens,
    regions: BTreeSet<u16>,
}

/// By caller and model.
type FoundModels = HashMap<(u16, u16), Found>;

/// The first denials of callers: of a model in a region, of a model, of any.
#[derive(Default)]
struct FirstDenials {
    /// By caller, model and region.
    here: HashMap<(u16, u16, u16), EventTime>,
    /// By caller and model.
    anywhere: HashMap<(u16, u16), EventTime>,
    by_caller: HashMap<u16, EventTime>,
}

impl FirstDenials {
    fn of(calls: &KeptCalls) -> Self {
        let mut first = Self::default();
        for call in model_calls(calls, KeptOutcome::Denied) {
            let (caller, model, region) = names(call);
            for known in [
                first.here.entry((caller, model, region)).or_insert(call.at),
                first.anywhere.entry((caller, model)).or_insert(call.at),
                first.by_caller.entry(caller).or_insert(call.at),
            ] {
                *known = call.at.min(*known);
            }
        }
        first
    }

    /// What a call that succeeded says, and the denial before it.
    fn before(&self, call: &KeptCall) -> Option<(AnswerKind, EventTime)> {
        let (caller, model, region) = names(call);
        let earlier = |denied: Option<&EventTime>| denied.copied().filter(|denied| *denied < call.at);
        let same = earlier(self.here.get(&(caller, model, region)));
        let elsewhere = || earlier(self.anywhere.get(&(caller, model)));
        let other = || earlier(self.by_caller.get(&caller));
        same.map(|denied| (AnswerKind::ServedAfterDenial, denied))
            .or_else(|| elsewhere().map(|denied| (AnswerKind::ServedElsewhere, denied)))
            .or_else(|| other().map(|denied| (AnswerKind::OthersServed, denied)))
    }
}

impl CallerAnswer {
    /// Looks for the calls that succeeded after the first denial of the same caller.
    #[must_use]
    pub fn of(calls: &KeptCalls) -> Self {
        let first = FirstDenials::of(calls);
        let mut found: BTreeMap<AnswerKind, FoundModels> = BTreeMap::new();
        for call in model_calls(calls, KeptOutcome::Served) {
            let Some((kind, denied)) = first.before(call) else { continue };
            let (caller, model, region) = names(call);
            let found = found.entry(kind).or_default().entry((caller, model)).or_insert(Found {
                denied,
                served: call.at,
                calls: 0,
                tokens: Tokens::default(),
                regions: BTreeSet::new(),
            });
            found.denied = denied.min(found.denied);
            found.served = call.at.min(found.served);
            found.calls = found.calls.saturating_add(1);
            found.tokens.add(&call.tokens());
            found.regions.insert(region);
        }
        if let Some((kind, found)) = found.into_iter().next() {
            let models = listed(&found, calls);
            let named = named(&models, kind == AnswerKind::ServedElsewhere);
            let text = match kind {
                AnswerKind::ServedAfterDenial => format!("Yes, served after denial: {named}."),
                AnswerKind::ServedElsewhere => {
                    format!("Yes, but only in regions where it was not denied: {named}.")
                }
                _ => format!(
                    "No model was served after its denial, but others since the first denial: {named}."
                ),
            };
            return Self { kind, text, models };
        }
        let (kind, text) = if calls.iter().next().is_none() {
            (AnswerKind::NoCalls, "No call of this caller in what was read.".to_owned())
        } else if first.by_caller.is_empty() {
            (AnswerKind::NotDenied, "No call was denied.".to_owned())
        } else {
            match unknown(calls) {
                None => (AnswerKind::NoneServed, "No call succeeded after the first denial.".to_owned()),
                Some(why) => (
                    AnswerKind::NotKnown,
                    format!("Not known whether a call succeeded after the denials: {why}."),
                ),
            }
        };
        Self { kind, text, models: Vec::new() }
    }
}

fn model_calls(calls: &KeptCalls, outcome: KeptOutcome) -> impl Iterator<Item = &KeptCall> {
    calls.iter().filter(move |call| call.is_model_call && call.outcome == outcome)
}

/// Caller, model and region.
fn names(call: &KeptCall) -> (u16, u16, u16) {
    (call.get(NameKind::Caller), call.get(NameKind::Model), call.get(NameKind::Region))
}

/// Why the logs that were read cannot show that nothing was served; `None` if they can. CloudTrail need not have the
/// calls that succeeded.
fn unknown(calls: &KeptCalls) -> Option<String> {
    if calls.read.span(Source::InvocationLog, None).is_none() {
        return Some("no invocation log was read".to_owned());
    }
    let mut missing = BTreeSet::new();
    for call in model_calls(calls, KeptOutcome::Denied) {
        let region = calls.name(NameKind::Region, call.get(NameKind::Region));
        let read = calls.read.span(Source::InvocationLog, region);
        if read.is_none_or(|(_, last)| last < call.at) {
            missing.insert(whole(region));
        }
    }
    let missing: Vec<String> = missing.into_iter().collect();
    (!missing.is_empty())
        .then(|| format!("no invocation log of {} after them was read", first_few(&missing, MAX_IN_SENTENCE)))
}

/// In the order in which they were served.
fn listed(found: &FoundModels, calls: &KeptCalls) -> Vec<ServedModel> {
    let mut found: Vec<_> = found.iter().collect();
    found.sort_by_key(|(key, found)| (found.served, **key));
    let name = |kind, number| calls.name(kind, number).map(|name| plain(name, DOCUMENT_BYTES));
    let model = |((caller, model), found): (&(u16, u16), &Found)| {
        let cost = calls.name(NameKind::Model, *model).and_then(|model| prices::cost(model, &found.tokens));
        ServedModel {
            caller: name(NameKind::Caller, *caller),
            model: name(NameKind::Model, *model),
            regions: found.regions.iter().filter_map(|region| name(NameKind::Region, *region)).collect(),
            denied_at: found.denied.to_string(),
            served_at: found.served.to_string(),
            calls: found.calls,
            tokens: found.tokens.total(),
            estimated_usd: cost.map(|cost| prices::rounded(cost.usd)),
            denied: found.denied,
            served: found.served,
        }
    };
    found.into_iter().take(MAX_LISTED).map(model).collect()
}

fn named(models: &[ServedModel], with_regions: bool) -> String {
    let is_one = models.iter().all(|one| models.first().is_some_and(|first| first.caller == one.caller));
    let one = |one: &ServedModel| {
        let regions: Vec<String> = one.regions.iter().map(|region| whole(Some(region))).collect();
        format!(
            "{}{}{} ({}, {}, {}), first at {}, {} after the first denial",
            whole(one.model.as_deref()),
            if with_regions {
                format!(" in {}", first_few(&regions, MAX_IN_SENTENCE))
            } else {
                String::new()
            },
            if is_one { String::new() } else { format!(" to {}", known_as(one.caller.as_deref())) },
            plural(one.calls, "call"),
            plural(one.tokens, "token"),
            one.estimated_usd.map_or_else(|| "not priced".to_owned(), dollars),
            utc(one.served),
            span(one.denied, one.served),
        )
    };
    let mut text = models.iter().take(MAX_NAMED).map(one).collect::<Vec<_>>().join("; ");
    if let Some(more) = models.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        text += &format!("; and {more} more");
    }
    text
}
