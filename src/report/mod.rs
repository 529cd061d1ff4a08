//! What was counted, as people look at it: every key with its denials, whether or not it fired.
//!
//! Works on counters, alerts and incidents as a store keeps them; counts nothing itself.

pub mod caller;
pub mod explain;
mod lane;
pub mod page;
pub mod status;

use std::collections::BTreeSet;

use indexmap::IndexSet;
use serde::Serialize;
use serde_json::{Value, json};

use crate::alert::sanitize::shown_whole;
use crate::count::caller::Caller;
use crate::count::evidence::Kind;
use crate::count::incident;
use crate::count::key::Key;
use crate::count::memory::StoredKey;
use crate::count::store::CallerState;
use crate::report::lane::Lane;
use crate::rule::definition::{Rule, Severity, Weight};
use crate::source::text::MAX_KEPT_BYTES;

/// The most keys on one page. A caller can invent any number of models; keys that fired come first, then
/// those nearest to their threshold.
pub const MAX_KEYS: usize = 5_000;
/// The most denials drawn one by one on one page. Together with [`MAX_ALERT_BYTES`] it keeps the page below 5 MB.
pub const MAX_MARKS: usize = 60_000;
/// The most JSON text of alerts on one page. Alerts that people were notified of come first.
pub const MAX_ALERT_BYTES: usize = 2_500_000;

/// A notice that was, or would have been, sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentNotice {
    /// Its id.
    pub id: String,
    /// The alert that it showed in full, by id.
    pub alert: String,
    /// How many alerts of the incident it reported.
    pub alerts: u64,
}

/// Everything one page shows.
#[derive(Serialize)]
pub struct Report<'a> {
    version: &'static str,
    scope: &'a str,
    causes: &'a [String],
    rules: Vec<Value>,
    callers: Vec<Value>,
    /// Fired first, then the nearest to their threshold.
    keys: Vec<Lane>,
    /// How many keys are left out.
    more_keys: usize,
    /// How many marks are left out of the keys above.
    undrawn: usize,
    incidents: Vec<Value>,
    /// As documents, without what is the same for every alert of a rule.
    alerts: Vec<Value>,
    /// How many alerts are left out; most still have their flag.
    more_alerts: usize,
    notices: &'a [SentNotice],
    /// Label and field of each kind of evidence in the documents.
    evidence: [(&'static str, &'static str); Kind::ALL.len()],
}

/// What a run leaves behind, for [`Report::new`].
pub struct RunResult<'a> {
    /// What was read, in words.
    pub scope: &'a str,
    /// Why calls failed, one sentence for each cause.
    pub causes: &'a [String],
    /// The rules it was counted by.
    pub rules: &'a [Rule],
    /// The keys and their state.
    pub keys: &'a [(Key, StoredKey)],
    /// The callers and their incidents.
    pub callers: &'a [(Caller, CallerState)],
    /// The documents of the alerts, in the order in which they were found.
    pub alerts: &'a [String],
    /// The notices, in order.
    pub notices: &'a [SentNotice],
}

impl<'a> Report<'a> {
    /// Arranges what was counted. Keys of rules that are not among `rules` are left out.
    #[must_use]
    pub fn new(result: &RunResult<'a>) -> Self {
        let mut callers = IndexSet::new();
        let of = |key: &Key| result.rules.iter().enumerate().find(|(_, rule)| rule.id == key.rule);
        let mut keys: Vec<Lane> = Vec::new();
        for (key, item) in result.keys {
            let Some((number, rule)) = of(key) else { continue };
            let caller = callers.insert_full(Caller::of(rule, key)).0;
            keys.extend(Lane::new(rule, number, key, item, caller));
        }
        keys.sort_by_key(Lane::rank);
        let more_keys = keys.len().saturating_sub(MAX_KEYS);
        keys.truncate(MAX_KEYS);
        let (mut room, mut undrawn) = (MAX_MARKS, 0_usize);
        for lane in &mut keys {
            undrawn = undrawn.saturating_add(lane.thin(room));
            room = room.saturating_sub(lane.marks());
        }
        let mut incidents = Vec::new();
        for (caller, state) in result.callers {
            let number = callers.insert_full(caller.clone()).0;
            incidents.extend(state.log.incidents.iter().map(|(begin, one)| {
                let incident = json!({
                    "id": incident::id(caller, *begin),
                    "caller": number,
                    "begin": begin,
                    "alerts": one.alerts,
                    "first": one.first_seen,
                    "last": one.last_seen,
                    "severity": one.highest.map(Severity::name),
                });
                (*begin, incident)
            }));
        }
        incidents.sort_by_key(|(begin, _)| *begin);
        let alerts = alerts(result.alerts, result.notices, result.rules);
        let caller = |Caller { account, arn }: &Caller| json!({ "account": account.as_deref().map(kept), "arn": arn.as_deref().map(kept) });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            scope: result.scope,
            causes: result.causes,
            rules: result.rules.iter().map(rule_row).collect(),
            callers: callers.iter().map(caller).collect(),
            keys,
            more_keys,
            undrawn,
            incidents: incidents.into_iter().map(|(_, incident)| incident).collect(),
            more_alerts: result.alerts.len().saturating_sub(alerts.len()),
            alerts,
            notices: result.notices,
            evidence: Kind::ALL.map(|kind| (kind.names().label, kind.names().field)),
        }
    }
}

fn rule_row(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "name": rule.name,
        "severity": rule.severity.name(),
        "threshold": rule.threshold,
        "window": rule.window.as_secs(),
        "cooldown": rule.cooldown.as_secs(),
        "noun": rule.wording.noun,
        "sums": rule.weight == Weight::Tokens,
        "triage": rule.triage,
    })
}

/// The alerts that fit on a page, in order.
fn alerts(documents: &[String], notices: &[SentNotice], rules: &[Rule]) -> Vec<Value> {
    let noticed: BTreeSet<&str> = notices.iter().map(|notice| notice.alert.as_str()).collect();
    let slim = documents.iter().enumerate().filter_map(|(number, document)| {
        let mut alert: Value = serde_json::from_str(document).ok()?;
        let of_rule = rules.iter().find(|rule| alert.pointer("/rule/id").is_some_and(|id| id == rule.id));
        let is_same = of_rule.is_some_and(|rule| alert.get("triage") == Some(&json!(rule.triage)));
        let score = alert.pointer("/event/risk_score").and_then(Value::as_u64);
        let score = score.and_then(|score| u8::try_from(score).ok());
        let members = alert.as_object_mut()?;
        members.remove("threat");
        if is_same {
            members.remove("triage");
        }
        let severity = score.map(|score| Severity::of_risk_score(score).name());
        members.insert("severity".to_owned(), json!(severity));
        let is_noticed = alert.get("id").and_then(Value::as_str).is_some_and(|id| noticed.contains(id));
        Some((!is_noticed, number, alert))
    });
    let mut slim: Vec<_> = slim.collect();
    slim.sort_by_key(|(unnoticed, number, _)| (*unnoticed, *number));
    let mut room = MAX_ALERT_BYTES;
    let fits = |(_, _, alert): &(bool, usize, Value)| {
        let left = room.checked_sub(alert.to_string().len());
        room = left.unwrap_or(0);
        left.is_some()
    };
    let mut kept: Vec<_> = slim.into_iter().take_while(fits).collect();
    kept.sort_by_key(|(_, number, _)| *number);
    kept.into_iter().map(|(_, _, alert)| alert).collect()
}

/// How near a count is to its threshold, in thousandths of the count that fires.
fn share(count: u64, threshold: usize) -> u64 {
    count.saturating_mul(1_000).checked_div((threshold as u64).saturating_add(1)).unwrap_or_default()
}

/// `text` without anything that acts on a reader, or that a browser or a viewer of its print would make a link.
fn kept(text: &str) -> String {
    shown_whole(Some(text), MAX_KEPT_BYTES)
}
