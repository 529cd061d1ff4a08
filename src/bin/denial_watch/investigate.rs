//! One caller's story from the logs in S3: did they get in, what was served, and what it cost.

use std::io::{self, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bedrock_denial_watch::alert::sanitize::readable;
use bedrock_denial_watch::alert::words::utc;
use bedrock_denial_watch::inputs::s3::S3;
use bedrock_denial_watch::inputs::{self, Inputs, caller, interrupt};
use bedrock_denial_watch::report::caller::asked::Asked;
use bedrock_denial_watch::report::find::{FoundId, ID_CHARACTERS, MIN_ID_CHARACTERS};
use bedrock_denial_watch::source::layout::{self, ObjectFilter};
use bedrock_denial_watch::source::time::EventTime;
use clap::Args;

use crate::{Table, now, waited};

/// How far back an unnamed time reaches.
const DEFAULT_SINCE: Duration = Duration::from_secs(24 * 3600);
/// How far back before an alert's first denial.
const BEFORE_ALERT: Duration = Duration::from_secs(48 * 3600);
/// The longest id that is printed, in bytes.
const SHOWN_BYTES: usize = 512;

/// Whose story, of which time, and from which logs.
#[derive(Args)]
pub struct Investigation {
    #[command(flatten)]
    table: Table,
    /// Whose story: the ARN of a user or role, part of one, or a pattern such as *:assumed-role/app
    #[arg(long, value_name = "GLOB", required_unless_present = "alert", conflicts_with = "alert")]
    caller: Option<String>,
    /// The story of the caller that an alert, incident or notification is about: its id, or the 8 characters of a text
    /// message; reads the table until it is found, at most 1,000 pages of 1 MB
    #[arg(long, value_name = "ID", value_parser = id)]
    alert: Option<String>,
    /// Where logs lie, s3://bucket/prefix; repeat for more
    #[arg(long, value_name = "S3", required = true)]
    logs: Vec<String>,
    /// Calls from this time on: 2025-06-01T09:00:00Z, 2025-06-01, or how long ago, such as 7d [default: 24h, or 48
    /// hours before the first denial of --alert]
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Calls up to this time [default: now]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Read only the log folders of these accounts
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    account: Vec<String>,
    /// Read only the log folders of these regions
    #[arg(long, value_name = "REGION,…", value_delimiter = ',')]
    region: Vec<String>,
    /// Read this many objects at once; the story is the same
    #[arg(long, value_name = "N", default_value = "16")]
    jobs: NonZero<usize>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = StoryFormat::Text)]
    format: StoryFormat,
    /// Also draw it, as an HTML report
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum StoryFormat {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// The id of an alert, or the beginning of one.
fn id(text: &str) -> Result<String, String> {
    let is_id = (MIN_ID_CHARACTERS..=ID_CHARACTERS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!(
            "expected an id as the message has it, {MIN_ID_CHARACTERS} to {ID_CHARACTERS} hexadecimal digits"
        ))
    }
}

/// Reads the logs and prints the story; the status is 2 if something could not be read.
pub fn investigate(order: &Investigation) -> Result<ExitCode, String> {
    let now = now();
    let time = |option: &str, text: &Option<String>| {
        let read = |text: &String| layout::time(text, now).map_err(|why| format!("{option} {text}: {why}"));
        text.as_ref().map(read).transpose()
    };
    let (since, until) = (time("--since", &order.since)?, time("--until", &order.until)?);
    let (name, asked, usual) = match (&order.caller, &order.alert) {
        (Some(text), _) => {
            let asked = Asked::parse(text).map_err(|why| format!("--caller {text}: {why}"))?;
            (text.clone(), asked, until.unwrap_or(now).minus(DEFAULT_SINCE))
        }
        (None, id) => {
            let (arn, first) = found(&order.table, id.as_deref().unwrap_or_default())?;
            (arn.clone(), Asked::exactly(&arn), first.minus(BEFORE_ALERT))
        }
    };
    let (since, until) = (since.unwrap_or(usual), until.unwrap_or(now));
    if since >= until {
        return Err(format!("{} is not before {}", utc(since), utc(until)));
    }
    let asked = asked.within(Some(since), Some(until));
    let wanted = ObjectFilter {
        accounts: order.account.clone(),
        regions: order.region.clone(),
        since: Some(since),
        until: Some(until),
    };
    let mut inputs = Inputs::default();
    let s3 = S3::connect(&order.logs, &wanted, &mut inputs)?;
    inputs::sort(&mut inputs.inputs);
    interrupt::watch();
    let (calls, mut notes) =
        caller::read(&asked, &inputs, order.jobs, |input, reader, progress| s3.read(input, reader, progress));
    let is_json = matches!(order.format, StoryFormat::Json);
    // Whoever closed the pipe has seen enough.
    let _ = caller::show(&name, &calls, &inputs, &mut notes, order.report.as_deref(), is_json);
    Ok(match notes.summary.incomplete() {
        Some((status, why)) => {
            notes.progress.say(&why);
            ExitCode::from(status)
        }
        None => ExitCode::SUCCESS,
    })
}

/// Whom an alert is about, and a time that none of its denials lies before; says it on standard error.
fn found(table: &Table, id: &str) -> Result<(String, EventTime), String> {
    let found = waited(async { table.store().await.find(id).await.map_err(|error| error.to_string()) })?;
    let shown =
        |value: Option<&str>| value.map_or_else(|| "unknown".to_owned(), |id| readable(id, SHOWN_BYTES));
    match &found[..] {
        [] => Err(format!(
            "the table holds no alert, incident or notification about one caller with the id {id}; it keeps them for \
             15 days. Name the caller instead"
        )),
        [FoundId { id, kind, caller, since }] => {
            let arn =
                caller.arn.clone().ok_or(format!("{kind} {id} is about no user: no record names one"))?;
            let (who, account) = (shown(Some(&arn)), shown(caller.account.as_deref()));
            // If this fails, the story says the same.
            let _ = writeln!(io::stderr(), "The {kind} {id} is about {who} (account {account}).");
            Ok((arn, *since))
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|one| one.id.as_str()).collect();
            Err(format!("several ids begin so: {}", ids.join(", ")))
        }
    }
}
