//! The rules themselves: `--list-rules` shows them with their settings, `--test-rules` runs the examples in their
//! files, each against its own rule.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bedrock_denial_watch::alert::sanitize;
use bedrock_denial_watch::alert::sink::DiscardSink;
use bedrock_denial_watch::alert::words::minutes;
use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::deliver::{Delivery, Pipeline};
use bedrock_denial_watch::reader::Limits;
use bedrock_denial_watch::rule::catalogue::{self, LoadError};
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::rule::file::{self, Example};
use bedrock_denial_watch::rule::settings::{Setting, Settings};
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
    let files = match folder {
        Some(folder) => catalogue::files_in(folder)?,
        None => {
            catalogue::FILES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
        }
    };
    let mut good = true;
    for (name, text) in files {
        let (rule, examples) = file::rule_and_examples(&name, &text)?;
        let wrong: Vec<String> =
            examples.iter().filter_map(|example| wrong(&rule, example, runtime)).collect();
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
fn wrong(rule: &Rule, example: &Example, runtime: &Runtime) -> Option<String> {
    let pipeline = Pipeline {
        store: MemoryStore::default(),
        sink: DiscardSink,
        rules: vec![rule.clone()],
        exempt_users: Vec::new(),
        limits: Limits::default(),
    };
    let log = example.log();
    let mut reader = pipeline.read("example");
    reader.push(log.as_bytes());
    let read = reader.finish();
    if let Some(fault) = read.faults.first() {
        let before = log.as_bytes().iter().take(usize::try_from(fault.offset).unwrap_or(usize::MAX));
        let place = before.filter(|byte| **byte == b'\n').count().saturating_add(1);
        return Some(format!("{:?}: line {place} of its log: {}", example.name, fault.kind.advice()));
    }
    let claimant = Claimant { owner: "example", now: 0, lease: Duration::ZERO };
    let outcome = runtime.block_on(pipeline.commit(read.tally, Delivery { object: "example", claimant }));
    let raised = outcome.published.len();
    let expected = example.alerts;
    (raised != expected).then(|| format!("{:?}: expected {expected} alerts, raised {raised}", example.name))
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
