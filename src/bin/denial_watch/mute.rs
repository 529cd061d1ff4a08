//! Mutes: who is muted, until when and why.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use bedrock_denial_watch::alert::sanitize::readable;
use bedrock_denial_watch::alert::words::clock;
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::store::Mute;
use bedrock_denial_watch::deliver::change::{Target, change};
use bedrock_denial_watch::lambda::aws::DynamoDbStore;
use bedrock_denial_watch::rule::identity::Identity;
use bedrock_denial_watch::source::time::EventTime;
use clap::Args;

use crate::now;

/// A mute is an exception for a while; exemptions for good are settings of the stack.
const LONGEST: Duration = Duration::from_hours(90 * 24);
/// The longest id that is printed, in bytes.
const SHOWN_BYTES: usize = 512;

/// Whom a notice is about.
#[derive(Args)]
pub struct Called {
    /// The caller's ARN as the notice has it, or that of one of its sessions
    #[arg(long = "caller", value_name = "ARN", value_parser = arn)]
    arn: String,
    /// The account that was called, where it is not the caller's own
    #[arg(long, value_name = "ID")]
    account: Option<String>,
}

impl Called {
    fn caller(&self) -> Caller {
        let own = self.arn.split(':').nth(4).map(str::to_owned);
        Caller { account: self.account.clone().or(own), arn: Some(Identity::of(&self.arn).caller.to_owned()) }
    }
}

/// An ARN of a caller.
fn arn(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let is_caller = match parts[..] {
        ["arn", partition, "iam" | "sts", "", account, name] => {
            partition.starts_with("aws")
                && account.len() == 12
                && account.bytes().all(|byte| byte.is_ascii_digit())
                && !name.is_empty()
        }
        _ => false,
    };
    if is_caller {
        Ok(text.to_owned())
    } else {
        Err("expected the caller's ARN as the notice has it, such as arn:aws:sts::111122223333:assumed-role/app"
            .to_owned())
    }
}

/// How long a mute lasts.
pub fn span(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).ok().filter(|span| span.as_secs() > 0 && *span <= LONGEST);
    span.ok_or_else(|| "expected a span of at most 90 days, such as 90m, 8h, 7d or 2w".to_owned())
}

/// Mutes a caller.
pub async fn mute(
    store: &DynamoDbStore,
    called: &Called,
    span: Duration,
    why: &str,
) -> Result<ExitCode, String> {
    let (caller, end) = (called.caller(), now().plus(span));
    let until = end.epoch_seconds();
    set(store, &caller, Mute { until, why: why.to_owned() }, until).await?;
    if caller.arn.as_ref().is_some_and(|arn| arn.ends_with(":federated-user")) {
        print(&format!(
            "All federated users of account {} are one caller, because users choose their names freely.",
            shown(caller.account.as_deref())
        ));
    }
    print(&format!(
        "{} is muted until {} UTC: counted, recorded and shown by status, but no one is notified.",
        named(&caller),
        clock(end)
    ));
    Ok(ExitCode::SUCCESS)
}

/// Ends a mute; the status is 1 if there was none.
pub async fn unmute(store: &DynamoDbStore, called: &Called) -> Result<ExitCode, String> {
    let (caller, now) = (called.caller(), now().epoch_seconds());
    let before = set(store, &caller, Mute::default(), now).await?;
    let was_muted = before.is_on(now);
    print(&format!("{} {}", named(&caller), if was_muted { "is no longer muted" } else { "was not muted" }));
    Ok(if was_muted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Replaces the order about a caller; returns the one before. It may be deleted after `expires_at`, in epoch seconds.
async fn set(store: &DynamoDbStore, caller: &Caller, mute: Mute, expires_at: u64) -> Result<Mute, String> {
    let target = Target { id: Mute::document(caller), what: "mute", expires_at };
    let replace = |known: &mut Mute| (true, std::mem::replace(known, mute.clone()));
    let (_, before) = change(store, &target, replace).await.map_err(|error| error.to_string())?;
    Ok(before)
}

/// Prints the mutes that are in force, the soonest end first.
pub async fn list(store: &DynamoDbStore) -> Result<ExitCode, String> {
    let now = now();
    let contents = store.contents(&[], now).await.map_err(|error| error.to_string())?;
    let muted = contents.callers.into_iter().filter_map(|(caller, state)| Some((caller, state.mute?)));
    let mut mutes: Vec<(u64, String)> = muted
        .filter(|(_, mute)| mute.is_on(now.epoch_seconds()))
        .map(|(caller, Mute { until, why })| {
            let (end, why) = (EventTime::from_epoch_seconds(until), readable(&why, SHOWN_BYTES));
            (until, format!("{} until {} UTC: {why}", named(&caller), clock(end)))
        })
        .collect();
    mutes.sort();
    for (_, line) in &mutes {
        print(line);
    }
    if mutes.is_empty() {
        print("No caller is muted.");
    }
    Ok(ExitCode::SUCCESS)
}

fn named(caller: &Caller) -> String {
    format!("{} (account {})", shown(caller.arn.as_deref()), shown(caller.account.as_deref()))
}

fn shown(id: Option<&str>) -> String {
    id.map_or_else(|| "unknown".to_owned(), |id| readable(id, SHOWN_BYTES))
}

fn print(line: &str) {
    // Whoever closed the pipe has seen enough.
    let _ = writeln!(io::stdout(), "{line}");
}
