//! The calls of a caller, grouped: who it was, what was denied, what was served, what that cost.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use serde::Serialize;

use crate::alert::sanitize::{DOCUMENT_BYTES, plain};
use crate::report::caller::answer::{Answers, CallerAnswer};
use crate::report::caller::calls::{KeptCall, KeptCalls, KeptOutcome, NONE, NameKind};
use crate::report::caller::gaps;
use crate::report::caller::prices::{self, Tokens};
use crate::source::time::EventTime;

/// The most rows of one list; what is left out is counted.
pub const MAX_ROWS: usize = 1_000;

/// Everything that is known of a caller.
#[derive(Debug, Serialize)]
pub struct CallerStory {
    /// Whose story was asked for.
    pub asked: String,
    /// Whether a call succeeded after a denial.
    pub answer: CallerAnswer,
    /// How many calls, and when; `None` if there is none.
    pub seen: Option<Seen>,
    /// Who called, and from where.
    pub identities: Vec<Named>,
    /// Denied model calls, by model.
    pub denied: Rows<DeniedRow>,
    /// Model calls that failed otherwise, by model and error code.
    pub failed: Rows<FailedRow>,
    /// Model calls that succeeded, by model.
    pub served: Rows<ServedRow>,
    /// Other operations, by name.
    pub operations: Rows<Operation>,
    /// What the calls that succeeded cost.
    pub cost: TotalCost,
    /// What was not read.
    pub gaps: Vec<String>,
}

/// How many calls, and when.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Seen {
    /// How many.
    pub calls: u64,
    /// The first of them.
    #[serde(serialize_with = "time")]
    pub first: EventTime,
    /// The last of them.
    #[serde(serialize_with = "time")]
    pub last: EventTime,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn time<S: serde::Serializer>(time: &EventTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

impl Seen {
    fn once(at: EventTime) -> Self {
        Self { calls: 1, first: at, last: at }
    }

    fn with(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}

/// A list that may leave rows out.
#[derive(Debug, Serialize)]
pub struct Rows<T> {
    /// In the order of their first call.
    pub rows: Vec<T>,
    /// How many more there are, with fewer calls each.
    pub more: u64,
}

/// Names of one kind, with the calls of each.
#[derive(Debug, Serialize)]
pub struct Named {
    /// What they are, to programs.
    pub kind: &'static str,
    /// The same to people.
    #[serde(skip)]
    pub label: &'static str,
    /// The names; `None` for those that are not kept apart.
    #[serde(flatten)]
    pub names: Rows<Name>,
}

impl Named {
    /// The names alone.
    pub(super) fn all(&self) -> Vec<Option<&str>> {
        self.names.rows.iter().map(|one| one.name.as_deref()).collect()
    }
}

/// One name.
#[derive(Debug, Serialize)]
pub struct Name {
    /// As logged.
    pub name: Option<String>,
    /// Its calls.
    #[serde(flatten)]
    pub seen: Seen,
}

/// Denied calls of a model.
#[derive(Debug, Serialize)]
pub struct DeniedRow {
    /// The model.
    pub model: Option<String>,
    /// The calls.
    #[serde(flatten)]
    pub seen: Seen,
    /// Why, as far as CloudTrail says.
    pub causes: Vec<CauseRow>,
    /// The policies that denied them, where AWS names them.
    pub policies: Rows<String>,
}

/// How many calls failed for one cause.
#[derive(Debug, Serialize)]
pub struct CauseRow {
    /// Its name; `None` if no message was read.
    pub cause: Option<String>,
    /// How many.
    pub calls: u64,
}

/// KeptCalls of a model that failed otherwise.
#[derive(Debug, Serialize)]
pub struct FailedRow {
    /// The model.
    pub model: Option<String>,
    /// The error code.
    pub error_code: Option<String>,
    /// The calls.
    #[serde(flatten)]
    pub seen: Seen,
    /// Why, as far as CloudTrail says.
    pub causes: Vec<CauseRow>,
}

/// KeptCalls of a model that succeeded.
#[derive(Debug, Serialize)]
pub struct ServedRow {
    /// The model.
    pub model: Option<String>,
    /// The calls.
    #[serde(flatten)]
    pub seen: Seen,
    /// Their tokens.
    pub tokens: Tokens,
    /// An estimate in USD; `None` if the model is not priced.
    pub estimated_usd: Option<f64>,
}

/// Other operations of one name.
#[derive(Debug, Serialize)]
pub struct Operation {
    /// As in IAM policies.
    pub operation: Option<String>,
    /// The calls.
    #[serde(flatten)]
    pub seen: Seen,
    /// How many of them failed.
    pub failed: u64,
}

/// What all calls cost.
#[derive(Debug, Default, Serialize)]
pub struct TotalCost {
    /// All tokens.
    pub tokens: Tokens,
    /// An estimate in USD, of what is priced.
    pub estimated_usd: f64,
    /// The days of the list prices.
    pub prices_of: BTreeSet<&'static str>,
    /// Where they come from.
    pub sources: BTreeSet<&'static str>,
    /// Models without a list price here.
    pub not_priced: Vec<String>,
    /// Models whose tokens of the prompt cache have none.
    pub without_cache: Vec<String>,
}

/// What people see of the identity: the kind, its name to programs, and to people.
const IDENTITIES: [(NameKind, &str, &str); 10] = [
    (NameKind::Caller, "callers", "Caller"),
    (NameKind::User, "users", "User"),
    (NameKind::Account, "accounts", "Account"),
    (NameKind::Credential, "credentials", "Credential"),
    (NameKind::AccessKey, "access_key_ids", "Key id"),
    (NameKind::ApiKey, "api_keys", "API key"),
    (NameKind::Address, "addresses", "Source IP"),
    (NameKind::Client, "user_agents", "Client"),
    (NameKind::Endpoint, "vpc_endpoints", "Endpoint"),
    (NameKind::Region, "regions", "Region"),
];

/// What calls of one group have in common.
#[derive(Default)]
struct Group {
    seen: Option<Seen>,
    tokens: Tokens,
    failed: u64,
    causes: BTreeMap<u16, u64>,
    policies: BTreeSet<u16>,
}

impl Group {
    fn add(&mut self, call: &KeptCall) {
        let once = Seen::once(call.at);
        self.seen = Some(self.seen.map_or(once, |seen| seen.with(once)));
        self.tokens.add(&call.tokens());
        self.failed = self.failed.saturating_add(u64::from(call.outcome != KeptOutcome::Served));
        let cause = self.causes.entry(call.get(NameKind::Cause)).or_default();
        *cause = cause.saturating_add(1);
        let policy = call.get(NameKind::Policy);
        if policy != NONE {
            self.policies.insert(policy);
        }
    }
}

/// Groups by a key.
struct Groups<K>(HashMap<K, Group>);

impl<K: Copy + Eq + Hash + Ord> Groups<K> {
    fn of<'c>(calls: impl Iterator<Item = &'c KeptCall>, key: impl Fn(&KeptCall) -> K) -> Self {
        let mut groups = HashMap::new();
        for call in calls {
            groups.entry(key(call)).or_insert_with(Group::default).add(call);
        }
        Self(groups)
    }

    /// Those with the most calls, in the order of their first.
    fn rows<T>(self, row: impl Fn(K, Seen, Group) -> T) -> Rows<T> {
        let seen = |(key, group): (K, Group)| group.seen.map(|seen| (key, seen, group));
        let mut groups: Vec<_> = self.0.into_iter().filter_map(seen).collect();
        groups.sort_by_key(|(key, seen, _)| (Reverse(seen.calls), seen.first, *key));
        let more = groups.len().saturating_sub(MAX_ROWS) as u64;
        groups.truncate(MAX_ROWS);
        groups.sort_by_key(|(key, seen, _)| (seen.first, *key));
        Rows { rows: groups.into_iter().map(|(key, seen, group)| row(key, seen, group)).collect(), more }
    }
}

impl CallerStory {
    /// The story in `calls` of whom was `asked` for. `unread` says what could not be read.
    #[must_use]
    pub fn new(asked: &str, calls: &KeptCalls, unread: Vec<String>) -> Self {
        let name = |kind, number| calls.name(kind, number).map(|name| plain(name, DOCUMENT_BYTES));
        let causes = |group: &Group| {
            let cause = |(number, calls): (&u16, &u64)| CauseRow {
                cause: name(NameKind::Cause, *number),
                calls: *calls,
            };
            let mut causes: Vec<_> = group.causes.iter().map(cause).collect();
            causes.sort_by_key(|cause| (Reverse(cause.calls), cause.cause.clone()));
            causes
        };
        let of = |outcome| calls.iter().filter(move |call| call.is_model_call && call.outcome == outcome);
        let denied = Groups::of(of(KeptOutcome::Denied), |call| call.get(NameKind::Model));
        let denied = denied.rows(|model, seen, group| DeniedRow {
            model: name(NameKind::Model, model),
            seen,
            causes: causes(&group),
            policies: Rows {
                rows: group
                    .policies
                    .iter()
                    .take(MAX_ROWS)
                    .filter_map(|one| name(NameKind::Policy, *one))
                    .collect(),
                more: group.policies.len().saturating_sub(MAX_ROWS) as u64,
            },
        });
        let failed = Groups::of(of(KeptOutcome::Failed), |call| {
            (call.get(NameKind::Model), call.get(NameKind::ErrorCode))
        });
        let failed = failed.rows(|(model, code), seen, group| FailedRow {
            model: name(NameKind::Model, model),
            error_code: name(NameKind::ErrorCode, code),
            seen,
            causes: causes(&group),
        });
        let mut cost = TotalCost::default();
        for call in of(KeptOutcome::Served) {
            cost.tokens.add(&call.tokens());
        }
        let served = Groups::of(of(KeptOutcome::Served), |call| call.get(NameKind::Model));
        let served = served.rows(|model, seen, group| ServedRow {
            model: name(NameKind::Model, model),
            seen,
            tokens: group.tokens,
            estimated_usd: None,
        });
        let served = cost.price(served);
        let operations =
            Groups::of(calls.iter().filter(|call| !call.is_model_call), |call| call.get(NameKind::Operation));
        let operations = operations.rows(|operation, seen, group| Operation {
            operation: name(NameKind::Operation, operation),
            seen,
            failed: group.failed,
        });
        let identities = IDENTITIES.map(|(kind, field, label)| {
            let logged = calls.iter().filter(|call| call.get(kind) != NONE);
            let names = Groups::of(logged, |call| call.get(kind))
                .rows(|number, seen, _| Name { name: name(kind, number), seen });
            Named { kind: field, label, names }
        });
        let all = Groups::of(calls.iter(), |_| ()).rows(|(), seen, _| seen);
        let seen = all.rows.first().copied();
        let gaps = gaps::find(calls, seen.map(|seen| (seen.first, seen.last)), unread);
        Self {
            asked: plain(asked, DOCUMENT_BYTES),
            answer: Answers::of(calls).answer(calls),
            seen,
            identities: identities.into_iter().filter(|named| !named.names.rows.is_empty()).collect(),
            denied,
            failed,
            served,
            operations,
            cost,
            gaps,
        }
    }

    /// One JSON document.
    #[must_use]
    pub fn document(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl TotalCost {
    /// Prices each model, and adds it up.
    fn price(&mut self, mut served: Rows<ServedRow>) -> Rows<ServedRow> {
        for one in &mut served.rows {
            let model = one.model.as_deref().unwrap_or_default();
            let Some(cost) = prices::cost(model, &one.tokens) else {
                self.not_priced.push(one.model.clone().unwrap_or_else(|| "unknown".to_owned()));
                continue;
            };
            self.estimated_usd += cost.usd;
            self.prices_of.insert(&cost.list.as_of);
            self.sources.insert(&cost.list.source);
            if cost.is_partial {
                self.without_cache.push(model.to_owned());
            }
            one.estimated_usd = Some(rounded(cost.usd));
        }
        self.estimated_usd = rounded(self.estimated_usd);
        served
    }
}

/// In millionths of a dollar.
fn rounded(usd: f64) -> f64 {
    (usd * 1e6).round() / 1e6
}
