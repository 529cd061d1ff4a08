//! `--explain`: why keys fired, or did not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::counter::Counter;
use bedrock_denial_watch::count::embedded::Item;
use bedrock_denial_watch::count::incident::IncidentLog;
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::store::CallerState;
use bedrock_denial_watch::report::explain::{KeyState, answer};
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::source::time::EventTime;
use glob::Pattern;

/// Prints what was counted about `asked`.
pub fn print(
    asked: &str,
    rules: &[Rule],
    exempt_users: &[Pattern],
    keys: &[(Key, Item)],
    callers: &[(Caller, CallerState)],
) -> io::Result<()> {
    let logs: BTreeMap<&Caller, &IncidentLog> =
        callers.iter().map(|(caller, state)| (caller, &state.log)).collect();
    let none = IncidentLog::default();
    let kept: Vec<(Vec<Counter>, BTreeSet<EventTime>)> =
        keys.iter().map(|(_, item)| (item.counters.all(), item.alert_times())).collect();
    let states: Vec<KeyState<'_>> = keys
        .iter()
        .zip(&kept)
        .filter_map(|((key, _), (counters, alerts))| {
            let rule = rules.iter().find(|rule| rule.id == key.rule)?;
            let incidents = logs.get(&Caller::of(rule, key)).copied().unwrap_or(&none);
            Some(KeyState { rule, key, counters, alerts, incidents })
        })
        .collect();
    io::stdout().write_all(answer(asked, rules, exempt_users, &states).as_bytes())
}
