//! `denial-watch`: what a deployed detector knows, and mutes, for operators.

// The release aborts on a panic, and whoever writes an id or a log must not bring one about.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unwrap_used
    )
)]

mod investigate;
mod mute;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use bedrock_denial_watch::alert::sanitize;
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::store::CallerState;
use bedrock_denial_watch::inputs::s3::NO_REGION;
use bedrock_denial_watch::lambda::aws::{Contents, DynamoDbStore, sdk_config};
use bedrock_denial_watch::report::explain::{KeyState, answer};
use bedrock_denial_watch::report::status::Status;
use bedrock_denial_watch::rule::catalogue::ALL;
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::rule::feed::Feed;
use bedrock_denial_watch::rule::settings::Settings;
use bedrock_denial_watch::source::layout;
use bedrock_denial_watch::source::time::EventTime;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use console::Term;
use tokio::runtime::Builder;

use crate::investigate::Investigation;

/// What a deployed detector knows: who is near a threshold, open incidents, mutes, and why a key fired.
///
/// status, explain and mutes read the whole table with strong consistency and need dynamodb:Scan on it; mute and unmute need
/// dynamodb:GetItem and dynamodb:PutItem. investigate needs s3:ListBucket and s3:GetObject on the logs, kms:Decrypt where
/// they have a key, and dynamodb:Scan for an alert's id.
#[derive(Parser)]
#[command(name = "denial-watch", bin_name = "denial-watch", version)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Show keys with denials against their thresholds, open incidents and mutes
    Status {
        #[command(flatten)]
        detector: Detector,
        /// Show it again every ten seconds, until you press Ctrl-C
        #[arg(long)]
        watch: bool,
        /// How to print it
        #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
        format: StatusFormat,
        /// What the stack reads, to name the rules that none of it can show: invocation-log, events, files, or none
        #[arg(long, value_name = "NAME,…")]
        connected: Option<String>,
    },
    /// Say why a key fired or did not: the id of an alert, or part of a user, role, model or account
    Explain {
        #[command(flatten)]
        detector: Detector,
        /// What it is about
        text: String,
    },
    /// Show one caller's story from the logs in S3: did they get in, what was served, and what it cost
    Investigate(Investigation),
    /// Notify no one about a caller for a while; its alerts and incidents are recorded as before
    Mute {
        #[command(flatten)]
        table: Table,
        #[command(flatten)]
        caller: mute::Called,
        /// How long, at most 90 days: 90m, 8h, 7d, 2w
        #[arg(long = "for", value_name = "SPAN", value_parser = mute::span)]
        span: Duration,
        /// Why, for whoever reads status
        #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        why: String,
    },
    /// Notify about a caller again
    Unmute {
        #[command(flatten)]
        table: Table,
        #[command(flatten)]
        caller: mute::Called,
    },
    /// List the muted callers, until when and why
    Mutes {
        #[command(flatten)]
        table: Table,
    },
}

#[derive(Args)]
struct Table {
    /// The stack's table, its output TableName
    #[arg(long = "table", value_name = "NAME")]
    name: String,
}

#[derive(Args)]
struct Detector {
    #[command(flatten)]
    table: Table,
    /// The stack's rules, if it has its own choice: ids with commas, or all
    #[arg(long, value_name = "ID,…")]
    rules: Option<String>,
    /// The stack's settings of rules, as in RuleSettings; repeat for more
    #[arg(long, value_name = "RULE.SETTING=VALUE")]
    set: Vec<String>,
    /// As of this time, instead of now: 2025-06-01T09:00:00Z, 2025-06-01, or how long ago, such as 3h
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum StatusFormat {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let Command { verb } = Command::parse();
    let done = match &verb {
        Verb::Status { detector, watch, format, connected } => {
            waited(status(detector, *watch, *format, connected.as_deref()))
        }
        Verb::Explain { detector, text } => waited(explain(detector, text)),
        // Waits on several threads of its own.
        Verb::Investigate(order) => investigate::investigate(order),
        Verb::Mute { table, caller, span, why } => {
            waited(async { mute::mute(&table.store().await, caller, *span, why).await })
        }
        Verb::Unmute { table, caller } => waited(async { mute::unmute(&table.store().await, caller).await }),
        Verb::Mutes { table } => waited(async { mute::list(&table.store().await).await }),
    };
    match done {
        Ok(status) => status,
        Err(why) => {
            // If this fails, there is no one left to report it to.
            let _ = writeln!(io::stderr(), "error: {}", sanitize::plain(&why, sanitize::DOCUMENT_BYTES));
            ExitCode::from(2)
        }
    }
}

/// What an asynchronous verb answers.
fn waited<T>(answer: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("cannot start: {error}"))?.block_on(answer)
}

impl Table {
    /// For a mistake it prints what is wrong and exits.
    async fn store(&self) -> DynamoDbStore {
        let sdk = sdk_config().await;
        if sdk.region().is_none() {
            Command::command().error(ErrorKind::ValueValidation, NO_REGION).exit()
        }
        DynamoDbStore::new(&sdk, self.name.clone())
    }
}

impl Detector {
    fn rules(&self) -> Result<Vec<Rule>, String> {
        let mut settings = Settings::new(ALL.clone());
        if let Some(rules) = &self.rules {
            settings.choose("--rules", rules).map_err(|why| format!("--rules {rules}: {why}"))?;
        }
        for text in &self.set {
            settings.apply("--set", text).map_err(|why| format!("--set {text}: {why}"))?;
        }
        Ok(settings.rules_on())
    }

    fn at(&self) -> Result<EventTime, String> {
        let now = now();
        let at =
            self.at.as_ref().map(|text| layout::time(text, now).map_err(|why| format!("--at {text}: {why}")));
        Ok(at.transpose()?.unwrap_or(now))
    }
}

/// The time of this machine's clock.
fn now() -> EventTime {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_millis());
    EventTime::from_epoch_ms(i64::try_from(now).unwrap_or(i64::MAX))
}

async fn status(
    detector: &Detector,
    watch: bool,
    format: StatusFormat,
    connected: Option<&str>,
) -> Result<ExitCode, String> {
    let rules = detector.rules()?;
    let connected = connected.map(Feed::list).transpose().map_err(|why| format!("--connected {why}"))?;
    let store = detector.table.store().await;
    let longest = rules.iter().map(|rule| rule.window).max().unwrap_or_default();
    loop {
        let at = detector.at()?;
        let since = at.minus(longest).minus(longest);
        let contents = store.contents(&rules, since).await.map_err(|error| error.to_string())?;
        let mut status = Status::new(&states(&contents, &rules), &contents.callers, at);
        if let Some(connected) = &connected {
            status = status.with_unseen(&rules, connected);
        }
        let text = match format {
            StatusFormat::Text => status.text(columns()),
            StatusFormat::Json => status.document() + "\n",
        };
        if watch && io::stdout().is_terminal() {
            let _ = Term::stdout().clear_screen();
        }
        if io::stdout().write_all(text.as_bytes()).is_err() || !watch {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn explain(detector: &Detector, asked: &str) -> Result<ExitCode, String> {
    let rules = detector.rules()?;
    let store = detector.table.store().await;
    let contents = store.contents(&rules, EventTime::from_epoch_ms(i64::MIN)).await;
    let contents = contents.map_err(|error| error.to_string())?;
    let text = answer(asked, &rules, &[], &states(&contents, &rules));
    // Whoever closed the pipe has seen enough.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

fn states<'c>(contents: &'c Contents, rules: &'c [Rule]) -> Vec<KeyState<'c>> {
    let callers: BTreeMap<&Caller, &CallerState> =
        contents.callers.iter().map(|(caller, state)| (caller, state)).collect();
    let state = |one: &'c bedrock_denial_watch::lambda::aws::KeyContents| {
        let rule = rules.get(one.rule)?;
        let caller = callers.get(&Caller::of(rule, &one.key)).copied();
        let (key, counters, alerts) = (&one.key, &one.counters, &one.alerts);
        Some(KeyState { rule, key, counters, alerts, caller, is_replayed: false })
    };
    contents.keys.iter().filter_map(state).collect()
}

/// Of the terminal; plenty in a file or pipe.
fn columns() -> usize {
    let size = io::stdout().is_terminal().then(|| Term::stdout().size_checked()).flatten();
    size.map_or(200, |(_, columns)| usize::from(columns).max(40))
}
