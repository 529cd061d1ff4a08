//! What a run leaves behind: the report, and on standard output the alerts or an explanation.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use bedrock_denial_watch::alert::sanitize;
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::counter::Counter;
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::memory::{MemoryStore, StoredKey};
use bedrock_denial_watch::count::store::CallerState;
use bedrock_denial_watch::deliver::Pipeline;
use bedrock_denial_watch::inputs::page;
use bedrock_denial_watch::report::explain::{KeyState, answer};
use bedrock_denial_watch::report::{Report, RunResult};
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::source::time::EventTime;
use glob::Pattern;

use crate::expect::{Compared, Expected};
use crate::inputs::Inputs;
use crate::options::{Format, Options};
use crate::printer::Printer;
use crate::progress::Progress;
use crate::summary::RunSummary;

/// Writes it all; fails if standard output does.
pub fn write(
    options: &Options,
    expected: Option<&Expected>,
    pipeline: Pipeline<MemoryStore, Printer>,
    found: &Inputs,
    progress: &Progress,
    summary: &mut RunSummary,
) -> io::Result<()> {
    let Pipeline { store, sink, rules, exempt_users, .. } = pipeline;
    let (callers, served) = (store.callers(), store.served());
    let keys: Vec<_> = store.into_keys().collect();
    let kept = sink.take_kept();
    if let Some(expected) = expected {
        let Compared { lines, differs } = expected.compare(&kept.alerts);
        summary.differs = differs;
        for line in lines {
            progress.say(&sanitize::plain(&line, sanitize::DOCUMENT_BYTES));
        }
    }
    if let Some(file) = &options.report {
        let result = RunResult {
            examined: &page::examined(summary, found),
            causes: &summary.failures(),
            rules: &rules,
            keys: &keys,
            callers: &callers,
            alerts: &kept.alerts,
            texts: &kept.texts,
            served: &served,
            notices: &kept.notices,
        };
        page::write(file, &Report::new(&result).page(), progress, summary);
    }
    match &options.explain {
        Some(asked) => explain(asked, &rules, &exempt_users, &keys, &callers),
        None => match options.format {
            Format::Text => sink.finish(&rules, &keys, summary),
            _ => sink.broken(),
        },
    }
}

/// Why the keys that `asked` is about fired, or did not.
fn explain(
    asked: &str,
    rules: &[Rule],
    exempt_users: &[Pattern],
    keys: &[(Key, StoredKey)],
    callers: &[(Caller, CallerState)],
) -> io::Result<()> {
    let callers: BTreeMap<&Caller, &CallerState> =
        callers.iter().map(|(caller, state)| (caller, state)).collect();
    let kept: Vec<(Vec<Counter>, BTreeSet<EventTime>)> =
        keys.iter().map(|(_, item)| (item.counters.all(), item.alert_times())).collect();
    let states: Vec<KeyState<'_>> = keys
        .iter()
        .zip(&kept)
        .filter_map(|((key, _), (counters, alerts))| {
            let rule = rules.iter().find(|rule| rule.id == key.rule)?;
            let caller = callers.get(&Caller::of(rule, key)).copied();
            Some(KeyState { rule, key, counters, alerts, caller, is_replayed: true })
        })
        .collect();
    io::stdout().write_all(answer(asked, rules, exempt_users, &states).as_bytes())
}
