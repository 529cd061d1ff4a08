//! `--explain`: why keys fired, or did not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::counter::Counter;
use bedrock_denial_watch::count::embedded::Item;
use bedrock_denial_watch::count::incident::IncidentLog;
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::store::CallerState;
use bedrock_denial_watch::log::time::EventTime;
use bedrock_denial_watch::report::explain::KeyState;
use bedrock_denial_watch::rule::definition::Rule;

use crate::report::plain;

/// A caller can invent any number of keys.
const MAX_KEYS: usize = 10;

/// Prints the keys that `asked` is about, those nearest to their threshold first.
pub fn print(
    asked: &str,
    rules: &[Rule],
    keys: &[(Key, Item)],
    callers: &[(Caller, CallerState)],
) -> io::Result<()> {
    let logs: BTreeMap<&Caller, &IncidentLog> =
        callers.iter().map(|(caller, state)| (caller, &state.log)).collect();
    let none = IncidentLog::default();
    let mut found = Vec::new();
    for (key, item) in keys {
        let Some(rule) = rules.iter().find(|rule| rule.id == key.rule) else { continue };
        let counters: Vec<Counter> = item.counters.values().cloned().collect();
        let alerts: BTreeSet<EventTime> = item.alerts.alerts.keys().chain(&item.archived).copied().collect();
        let incidents = logs.get(&Caller::of(rule, key)).copied().unwrap_or(&none);
        let state = KeyState { rule, key, counters: &counters, alerts: &alerts, incidents };
        if state.is_about(asked) {
            found.push((state.nearness(), state.explain()));
        }
    }
    found.sort_by_key(|(nearness, _)| Reverse(*nearness));
    let mut out = io::stdout().lock();
    for (number, (_, lines)) in found.iter().take(MAX_KEYS).enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    if found.len() > MAX_KEYS {
        writeln!(
            out,
            "\n{} more keys match; name the user and the model more exactly.",
            found.len() - MAX_KEYS
        )?;
    }
    if found.is_empty() {
        let rules: Vec<&str> = rules.iter().map(|rule| rule.id).collect();
        writeln!(out, "Nothing counted by {} is about {}.", rules.join(", "), plain(asked))?;
        writeln!(
            out,
            "Denials of exempt users are not counted, nor what only a disabled rule looks for: --list-rules."
        )?;
    }
    Ok(())
}
