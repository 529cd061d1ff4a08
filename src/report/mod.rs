//! What was counted, as people look at it: every key with its denials, whether or not it fired.
//!
//! Works on counters, alerts and incidents as a store keeps them; counts nothing itself.

mod alerts;
pub mod caller;
pub mod caller_page;
pub mod explain;
mod lane;
pub mod page;
pub mod status;

use std::collections::BTreeMap;

use indexmap::IndexSet;
use serde::Serialize;
use serde_json::{Value, json};

use crate::alert::sanitize::shown_whole;
use crate::count::caller::Caller;
use crate::count::evidence::Kind;
use crate::count::incident;
use crate::count::key::Key;
use crate::count::memory::StoredKey;
use crate::count::served::Calls;
use crate::count::store::CallerState;
pub use crate::report::alerts::{AlertTexts, MAX_ALERT_BYTES};
use crate::report::alerts::{by_incident, calls, fitting};
use crate::report::lane::Lane;
use crate::rule::catalogue::DENIED_MODEL;
use crate::rule::definition::{Rule, Severity, Weight};
use crate::source::text::MAX_KEPT_BYTES;

/// The most keys on one page. A caller can invent any number of models; keys that fired come first, then
/// those nearest to their threshold.
pub const MAX_KEYS: usize = 5_000;
/// The most denials drawn one by one on one page. Together with [`MAX_ALERT_BYTES`] it keeps the page below 5 MB.
pub const MAX_MARKS: usize = 60_000;

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

/// What was read.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Examined {
    /// How much, in words.
    pub scope: String,
    /// The delivery stamps of the first and the last file whose name has one.
    pub written: Option<(String, String)>,
    /// What could not be read, one sentence each.
    pub unread: Vec<String>,
}

/// Everything one page shows.
#[derive(Serialize)]
pub struct Report<'a> {
    version: &'static str,
    examined: &'a Examined,
    /// How many calls failed, and the words after "because".
    causes: &'a [(u64, &'static str)],
    rules: Vec<Value>,
    /// The rule by which denials are counted.
    base: usize,
    /// Denials by hour, counted from 1970.
    hours: Vec<(i64, u64)>,
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
    /// What was read.
    pub examined: &'a Examined,
    /// Why calls failed: how many, and the words after "because".
    pub causes: &'a [(u64, &'static str)],
    /// The rules it was counted by.
    pub rules: &'a [Rule],
    /// The keys and their state.
    pub keys: &'a [(Key, StoredKey)],
    /// The callers and their incidents.
    pub callers: &'a [(Caller, CallerState)],
    /// The documents of the alerts, in the order in which they were found.
    pub alerts: &'a [String],
    /// The texts of the same alerts.
    pub texts: &'a [AlertTexts],
    /// What the callers of incidents were served: the caller, the beginning of the incident in milliseconds, the calls.
    pub served: &'a [(Caller, i64, Calls)],
    /// The notices, in order.
    pub notices: &'a [SentNotice],
}

impl<'a> Report<'a> {
    /// Arranges what was counted. Keys of rules that are not among `rules` are left out.
    #[must_use]
    pub fn new(result: &RunResult<'a>) -> Self {
        let mut callers = IndexSet::new();
        let of = |key: &Key| result.rules.iter().enumerate().find(|(_, rule)| rule.id == key.rule);
        // Several rules count the same denials.
        let base = result.rules.iter().position(|rule| rule.id == DENIED_MODEL.id).unwrap_or(0);
        let mut hours: BTreeMap<i64, u64> = BTreeMap::new();
        let mut keys: Vec<Lane> = Vec::new();
        for (key, item) in result.keys {
            let Some((number, rule)) = of(key) else { continue };
            let caller = callers.insert_full(Caller::of(rule, key)).0;
            let Some(lane) = Lane::new(rule, number, key, item, caller) else { continue };
            for (hour, denials) in lane.hours().iter().filter(|_| number == base) {
                let known = hours.entry(*hour).or_default();
                *known = known.saturating_add(*denials);
            }
            keys.push(lane);
        }
        keys.sort_by_key(Lane::rank);
        let more_keys = keys.len().saturating_sub(MAX_KEYS);
        keys.truncate(MAX_KEYS);
        let (mut room, mut undrawn) = (MAX_MARKS, 0_usize);
        for lane in &mut keys {
            undrawn = undrawn.saturating_add(lane.thin(room));
            room = room.saturating_sub(lane.marks());
        }
        let mut served: BTreeMap<(&Caller, i64), &Calls> = BTreeMap::new();
        for (caller, begin, calls) in result.served {
            let known = served.entry((caller, *begin)).or_insert(calls);
            if calls.calls > known.calls {
                *known = calls;
            }
        }
        let documents =
            result.alerts.iter().map(|document| serde_json::from_str(document).unwrap_or_default());
        let documents: Vec<Value> = documents.collect();
        let mut known = by_incident(&documents, result.texts);
        let mut incidents = Vec::new();
        for (caller, state) in result.callers {
            let number = callers.insert_full(caller.clone()).0;
            for (begin, one) in &state.log.incidents {
                let id = incident::id(caller, *begin);
                let alerts = known.remove(&id).unwrap_or_default();
                let newest =
                    served.get(&(caller, begin.epoch_ms())).map(|calls| calls_row(calls, &alerts.served));
                let newest = newest.filter(|newest| calls(newest) >= calls(&alerts.served));
                let incident = json!({
                    "id": id,
                    "caller": number,
                    "begin": begin,
                    "alerts": one.alerts,
                    "first": one.first_seen,
                    "last": one.last_seen,
                    "severity": one.highest.map(Severity::name),
                    "notices": one.notices,
                    "opening": alerts.opening,
                    "denied": alerts.is_denied,
                    "served": newest.unwrap_or(alerts.served),
                });
                incidents.push((*begin, incident));
            }
        }
        incidents.sort_by_key(|(begin, _)| *begin);
        let noticed = result.notices.iter().map(|notice| notice.alert.as_str()).collect();
        let alerts = fitting(documents, result.texts, &noticed, result.rules);
        let caller = |Caller { account, arn }: &Caller| json!({ "account": account.as_deref().map(kept), "arn": arn.as_deref().map(kept) });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            examined: result.examined,
            causes: result.causes,
            rules: result.rules.iter().map(rule_row).collect(),
            base,
            hours: hours.into_iter().collect(),
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

/// As in the documents of alerts, and a lower bound if the newest of them has one: `older`.
fn calls_row(calls: &Calls, older: &Value) -> Value {
    let was_lower_bound = older.get("calls_at_least").and_then(Value::as_bool).unwrap_or_default();
    json!({
        "calls": calls.calls,
        "calls_at_least": calls.at_least || was_lower_bound,
        "models": calls.models.iter().map(|model| kept(model)).collect::<Vec<_>>(),
        "tokens": calls.tokens,
        "first": calls.first,
        "last": calls.last,
    })
}

/// How near a count is to its threshold, in thousandths of the count that fires.
fn share(count: u64, threshold: usize) -> u64 {
    count.saturating_mul(1_000).checked_div((threshold as u64).saturating_add(1)).unwrap_or_default()
}

/// `text` without anything that acts on a reader, or that a browser or a viewer of its print would make a link.
fn kept(text: &str) -> String {
    shown_whole(Some(text), MAX_KEPT_BYTES)
}
