//! The rules themselves: `--list-rules` shows them with their settings, `--test-rules` runs the examples in their
//! files: each fires its own rule as often as it says, and of the rules that are on by default no other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::ready;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sanitize;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::alert::words::minutes;
use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::count::tally::Tally;
use bedrock_denial_watch::deliver::{Delivery, Pipeline, TimeLeft};
use bedrock_denial_watch::reader::{Limits, Read, Reader};
use bedrock_denial_watch::rule::catalogue::{self, ALL, LoadError};
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::rule::file::{self, Example};
use bedrock_denial_watch::rule::settings::{Setting, Settings};
use futures_util::FutureExt;
use tokio::runtime::Runtime;

/// Runs all examples: 0 if all are as expected, 1 if one is not, 2 if a file is not a rule.
pub fn test(folder: Option<&Path>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string());
    match runtime.and_then(|runtime| run(folder, &runtime).map_err(|error| error.to_string())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {}", sanitize::plain(&error, sanitize::DOCUMENT_BYTES));
            ExitCode::from(2)
        }
    }
}

/// Runs the examples of `folder`, or of the built-in rules. Prints one line per file and one for each
/// example that is not as expected; returns whether all are.
fn run(folder: Option<&Path>, runtime: &Runtime) -> Result<bool, LoadError> {
    let files = folder.map_or_else(|| Ok(catalogue::built_in_files()), catalogue::files_in)?;
    let others: Vec<Rule> = match folder {
        Some(folder) => catalogue::with_rules_in(folder)?,
        None => ALL.clone(),
    };
    let others: Vec<Rule> = others.into_iter().filter(|rule| rule.on).collect();
    let mut good = true;
    for (name, text) in files {
        let (rule, examples) = file::rule_and_examples(&name, &text)?;
        let wrong: Vec<String> =
            examples.iter().filter_map(|example| wrong(&rule, &others, example, runtime)).collect();
        let missing = missing(&examples);
        good &= wrong.is_empty() && missing.is_none();
        let fine = examples.len().saturating_sub(wrong.len());
        let mut lines = format!("{name}: {fine} of {} examples as expected\n", examples.len());
        for line in wrong.into_iter().chain(missing) {
            lines += &format!("  {line}\n");
        }
        // Whoever closed the pipe has seen enough.
        let _ = io::stdout().write_all(lines.as_bytes());
    }
    Ok(good)
}

fn missing(examples: &[Example]) -> Option<String> {
    let shows = |fires: bool| examples.iter().any(|example| (example.alerts > 0) == fires);
    let complete = shows(true) && shows(false);
    (!complete).then(|| "expected an example that fires and one that does not".to_owned())
}

/// How an example's alerts differ from what was expected.
fn wrong(rule: &Rule, others: &[Rule], example: &Example, runtime: &Runtime) -> Option<String> {
    let fired = Fired::default();
    let others = others.iter().filter(|other| other.id != rule.id);
    let rules = std::iter::once(rule).chain(others).cloned().collect();
    if let Err(why) = run_example(example, rules, &fired, runtime) {
        return Some(format!("{:?}: {why}", example.name));
    }
    let mut fired = fired.0.into_inner();
    let (raised, expected) = (fired.remove(rule.id).unwrap_or_default(), example.alerts);
    if raised != expected {
        return Some(format!("{:?}: expected {expected} alerts, raised {raised}", example.name));
    }
    let also: Vec<&str> = fired.into_keys().collect();
    let mut listed: Vec<&str> = example.also.iter().map(String::as_str).collect();
    listed.sort_unstable();
    (also != listed).then(|| format!("{:?}: expected also = {listed:?}, fired also {also:?}", example.name))
}

/// The name of an example's log.
const EXAMPLE: &str = "example";

/// Delivers an example's log, as one object that can be read again, to a detector with these rules. Fails with the first
/// record that could not be read.
pub fn run_example<K: AlertSink>(
    example: &Example,
    rules: Vec<Rule>,
    sink: K,
    runtime: &Runtime,
) -> Result<(), String> {
    let (exempt_users, limits) = (Vec::new(), Limits::default());
    let pipeline = Pipeline { store: MemoryStore::default(), sink, rules, exempt_users, limits };
    let log = example.log();
    let read = |mut reader: Reader<'_>| {
        reader.push(log.as_bytes());
        reader.finish()
    };
    let Read { tally, faults, .. } = read(pipeline.read(EXAMPLE));
    if let Some(fault) = faults.first() {
        let before = log.as_bytes().iter().take(usize::try_from(fault.offset).unwrap_or(usize::MAX));
        let line = before.filter(|byte| **byte == b'\n').count().saturating_add(1);
        return Err(format!("line {line} of its log: {}", fault.kind.advice()));
    }
    let again = |tally: Tally| ready(Some(read(pipeline.reader(EXAMPLE, tally)))).boxed_local();
    let claimant = Claimant { owner: EXAMPLE, now: 0, lease: Duration::ZERO };
    let delivery = Delivery { object: EXAMPLE, claimant };
    runtime.block_on(pipeline.commit_with(TimeLeft::UNLIMITED, tally, delivery, Some(&again)));
    Ok(())
}

/// How many alerts each rule raised.
#[derive(Default)]
struct Fired(RefCell<BTreeMap<&'static str, usize>>);

impl AlertSink for &Fired {
    async fn notice(&self, _: &Notice<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn wants_alerts(&self) -> bool {
        true
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        let mut fired = self.0.borrow_mut();
        let raised = fired.entry(alert.rule.id).or_default();
        *raised = raised.saturating_add(1);
        Ok(())
    }
}

/// Every rule with its settings, one a line, and where each came from if not from its file.
pub fn list(settings: &Settings) -> String {
    let widest = settings.rules.iter().map(|rule| rule.id.len()).max().unwrap_or_default();
    settings.rules.iter().map(|rule| line(settings, rule, widest)).collect()
}

fn line(settings: &Settings, rule: &Rule, widest: usize) -> String {
    let mut line = format!(
        "{:<3}  {:<widest$}  {:<8}  fires above {} within {}, at most once in {}",
        if rule.on { "on" } else { "off" },
        rule.id,
        rule.severity.name(),
        rule.threshold,
        minutes(rule.window.as_secs() / 60),
        minutes(rule.cooldown.as_secs() / 60),
    );
    let set = Setting::ALL.iter().filter_map(|setting| Some((setting, settings.origin(rule, *setting)?)));
    for (number, (setting, origin)) in set.enumerate() {
        let _ = write!(line, "{} {} by {origin}", if number == 0 { "; set:" } else { "," }, setting.name());
    }
    line + "\n"
}
