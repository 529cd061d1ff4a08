//! The command line.

use std::num::NonZero;
use std::path::PathBuf;
use std::thread;
use std::time::SystemTime;

use bedrock_denial_watch::alert::sanitize;
use bedrock_denial_watch::report::caller::asked::Asked;
use bedrock_denial_watch::rule::bounds;
use bedrock_denial_watch::rule::catalogue::{self, ALL, DENIED_MODEL};
use bedrock_denial_watch::rule::settings::{Setting, Settings};
use bedrock_denial_watch::source::layout;
#[cfg(feature = "aws")]
use bedrock_denial_watch::source::layout::ObjectFilter;
use bedrock_denial_watch::source::time::EventTime;
use clap::error::{ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use glob::Pattern;

use crate::expect::Expected;
use crate::inputs;

/// Finds callers who keep trying Amazon Bedrock models they are denied, in invocation logs and
/// CloudTrail files on this machine.
///
/// Runs the same pipeline as the Lambda, with its counters in memory. Needs no AWS account and, except
/// for s3:// paths, no network.
/// Alerts go to standard output; progress, warnings and a summary go to standard error.
#[derive(Parser)]
#[command(
    name = "replay",
    version,
    // Otherwise clap shows the name the program was called by, whatever it contains.
    bin_name = "replay",
    max_term_width = 80,
    after_help = "Examples:
  replay events/logs                        a folder of logs, as S3 stores them
  replay s3://bucket/prefix --since 7d      a week of logs in S3
  replay --report week.html logs            an HTML report
  replay --explain report-export logs       why this user's calls raised alerts
  replay --caller report-export logs        what the user was denied and served
  replay --format email logs                the emails that would be sent
  replay --format json logs | jq .user.id   one JSON document per alert
  replay --threshold 10 --window 30m logs   another limit
  replay --rules model-sweep,model-probe logs
  replay --exempt-user 'arn:aws:sts::*:assumed-role/load-test/*' logs

Exit status:
  0    everything was read
  1    a rule fired (with --fail-on-alert), or other alerts than --expect names
  2    bad usage, or an incomplete result, which the last line explains
  130  interrupted by Ctrl-C (143: by SIGTERM)"
)]
pub struct Options {
    /// A log file (.json.gz, .json, .jsonl, .gz), a folder of them, s3://bucket/prefix, or - for standard input
    #[arg(value_name = "PATH", required_unless_present_any = ["test_rules", "list_rules", "preview"])]
    pub paths: Vec<PathBuf>,

    /// Apply only these rules, separated by commas, or all [default: the rules that --list-rules shows as on]
    #[arg(long, value_name = "ID,…", help_heading = "Rules and limits")]
    pub rules: Option<String>,
    /// Change a setting of a rule, such as model-sweep.threshold=5, denied-model.window=30m, validation-burst.on=true or session-rotation.exempt=GLOB; repeatable
    #[arg(long, value_name = "RULE.SETTING=VALUE", help_heading = "Rules and limits")]
    pub set: Vec<String>,
    /// Short for --set denied-model.threshold=N [default: 3]
    #[arg(long, value_name = "N", help_heading = "Rules and limits")]
    pub threshold: Option<String>,
    /// Short for --set denied-model.window=SPAN [default: 60m]
    #[arg(long, value_name = "SPAN", help_heading = "Rules and limits")]
    pub window: Option<String>,
    /// No second alert for the same user and model within this time: short for --set denied-model.cooldown=SPAN [default:
    /// the window]
    #[arg(long, value_name = "SPAN", help_heading = "Rules and limits")]
    pub cooldown: Option<String>,
    /// Never alert on users whose whole ARN matches, such as arn:aws:iam::111122223333:user/alice; repeatable
    #[arg(long, value_name = "GLOB", value_parser = bounds::user_glob, help_heading = "Rules and limits")]
    pub exempt_user: Vec<Pattern>,

    /// How to print alerts, or the messages about them
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "What to show")]
    pub format: Format,
    /// Also write an HTML report: incidents, timelines, and who is near a limit; with --caller, that caller
    #[arg(long, value_name = "FILE.html", help_heading = "What to show")]
    pub report: Option<PathBuf>,
    /// Explain instead why alerts were raised or not: the id of an alert, or part of a user, role, model or account
    #[arg(long, value_name = "TEXT", conflicts_with = "format", help_heading = "What to show")]
    pub explain: Option<String>,
    /// Show instead what one caller was denied, was served after it, and what that cost: part of the ARN of a user, or of a role without its session; or a glob that matches the whole ARN
    #[arg(long, value_name = "GLOB", help_heading = "What to show", conflicts_with_all = ["explain", "expect", "fail_on_alert", "rules", "set", "rules_dir", "threshold", "window", "cooldown", "exempt_user"])]
    pub caller: Option<String>,

    /// Read only logs of calls from this time on: 2025-06-01T09:00:00Z, 2025-06-01, or how long ago, such as 7d
    #[arg(long, value_name = "TIME", help_heading = "Logs in S3")]
    pub since: Option<String>,
    /// Read only logs of calls up to this time
    #[arg(long, value_name = "TIME", help_heading = "Logs in S3")]
    pub until: Option<String>,
    /// Read only the logs of these accounts
    #[arg(long, value_name = "ID,…", value_delimiter = ',', help_heading = "Logs in S3")]
    pub account: Vec<String>,
    /// Read only the logs of these regions
    #[arg(long, value_name = "REGION,…", value_delimiter = ',', help_heading = "Logs in S3")]
    pub region: Vec<String>,

    /// Exit with status 1 if a rule fired
    #[arg(long, help_heading = "In scripts")]
    pub fail_on_alert: bool,
    /// Exit with status 1 if the alerts are not those that this file expects, one JSON object per line: the output of --format json, or only some of its fields, such as {"rule":"denied-model","user":"arn:aws:iam::111122223333:user/eve"}
    #[arg(long, value_name = "FILE", help_heading = "In scripts")]
    pub expect: Option<PathBuf>,
    /// Read this many files at once; the alerts are the same [default: the number of cores, or 16 from S3]
    #[arg(long, value_name = "N", help_heading = "In scripts")]
    pub jobs: Option<NonZero<usize>>,

    /// List every rule with its settings, and which option changed them
    #[arg(long, help_heading = "Writing rules")]
    pub list_rules: bool,
    /// Add the rule files in this folder; each replaces a built-in rule of the same id
    #[arg(long, value_name = "DIR", help_heading = "Writing rules")]
    pub rules_dir: Option<PathBuf>,
    /// Run the examples in the built-in rule files, or in those of --rules-dir; exit with status 1 if one fails
    #[arg(long, help_heading = "Writing rules")]
    pub test_rules: bool,
    /// Show every text that this rule produces, from its first example that fires
    #[arg(long, value_name = "RULE", help_heading = "Writing rules")]
    pub preview: Option<String>,
}

/// Objects of S3 at once.
const FROM_S3: Option<NonZero<usize>> = NonZero::new(16);

/// How alerts are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Who was denied most, then the alerts: blocks on a terminal, one line each in a file or pipe
    Text,
    /// One JSON document per alert and line
    Json,
    /// One OCSF Detection Finding per alert and line
    Ocsf,
    /// The emails that would be sent, each with its subject
    Email,
    /// The text messages that would be sent, one per line
    Sms,
    /// The notifications for Slack and Teams, one JSON document per line
    Chat,
    /// The notifications for programs, one JSON document per line
    NoticeJson,
}

impl Options {
    /// Parses the command line; for help or a mistake it prints and exits.
    pub fn of_command_line() -> Self {
        Self::try_parse().unwrap_or_else(|error| harmless(error).exit())
    }

    /// How many inputs are read at once: one for each core, or more where most of the time goes by waiting.
    pub fn jobs(&self) -> NonZero<usize> {
        let cores = || if self.reads_s3() { FROM_S3 } else { thread::available_parallelism().ok() };
        self.jobs.or_else(cores).unwrap_or(NonZero::<usize>::MIN)
    }

    /// Whether anything is read from S3.
    pub fn reads_s3(&self) -> bool {
        self.paths.iter().any(|path| inputs::is_s3(path))
    }

    /// Refuses S3 in a build without it, and what selects objects there where none is asked for.
    pub fn check_selection(&self) {
        #[cfg(not(feature = "aws"))]
        if self.reads_s3() {
            Self::refuse(
                "this build of replay reads files only; for S3 build it with AWS: \
                 cargo build --profile fast --features operator --bin replay",
            );
        }
        let selects =
            [self.since.is_some(), self.until.is_some(), !self.account.is_empty(), !self.region.is_empty()];
        if !self.reads_s3() && selects.contains(&true) {
            Self::refuse(
                "--since, --until, --account and --region select objects below s3://bucket/prefix; name the files or folders that you want",
            );
        }
    }

    /// What is in S3.
    #[cfg(feature = "aws")]
    pub fn in_s3(&self) -> Vec<String> {
        let paths = self.paths.iter().filter(|path| inputs::is_s3(path));
        paths.map(|path| path.to_string_lossy().into_owned()).collect()
    }

    /// Which objects there are wanted; for a bad time it prints what is wrong and exits.
    #[cfg(feature = "aws")]
    pub fn wanted(&self) -> ObjectFilter {
        let (since, until) = self.times();
        ObjectFilter { accounts: self.account.clone(), regions: self.region.clone(), since, until }
    }

    /// From when to when calls are wanted; for a bad time it prints what is wrong and exits.
    fn times(&self) -> (Option<EventTime>, Option<EventTime>) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_millis());
        let now = EventTime::from_epoch_ms(i64::try_from(now).unwrap_or(i64::MAX));
        let time = |option: &str, text: &Option<String>| {
            let text = text.as_ref()?;
            let refused = |why| Self::refuse(&format!("invalid value '{text}' for '{option}': {why}"));
            Some(layout::time(text, now).unwrap_or_else(refused))
        };
        (time("--since <TIME>", &self.since), time("--until <TIME>", &self.until))
    }

    /// Whose story `--caller` asks for, and from when to when; for a broken pattern it prints what is wrong and exits.
    pub fn asked(&self) -> Option<Asked> {
        let text = self.caller.as_ref()?;
        if !matches!(self.format, Format::Text | Format::Json) {
            Self::refuse("--caller prints text or json: --format text, --format json");
        }
        let refused = |why| Self::refuse(&format!("invalid value '{text}' for '--caller <GLOB>': {why}"));
        let (since, until) = self.times();
        Some(Asked::parse(text).unwrap_or_else(refused).within(since, until))
    }

    /// What `--expect` names; for a file that cannot be read it prints what is wrong and exits.
    pub fn expected(&self) -> Option<Expected> {
        let file = self.expect.as_ref()?;
        Some(
            Expected::read(file)
                .unwrap_or_else(|why| Self::refuse(&format!("--expect: {}{why}", file.display()))),
        )
    }

    /// Prints what is wrong with the command line, and exits.
    pub fn refuse(why: &str) -> ! {
        let why = sanitize::plain(why, sanitize::DOCUMENT_BYTES);
        Self::command().error(ErrorKind::ValueValidation, why).exit()
    }

    /// The rules with their settings; for a bad one it prints what is wrong and exits.
    pub fn settings(&self) -> Settings {
        self.read_settings().unwrap_or_else(|why| Self::refuse(&why))
    }

    fn read_settings(&self) -> Result<Settings, String> {
        let rules = match &self.rules_dir {
            None => ALL.clone(),
            Some(folder) => {
                catalogue::with_rules_in(folder).map_err(|error| format!("--rules-dir: {error}"))?
            }
        };
        let mut settings = Settings::new(rules);
        let named = |option: &'static str, value: &str| {
            let value = value.to_owned();
            move |expected: String| format!("invalid value '{value}' for '{option}': {expected}")
        };
        if let Some(text) = &self.rules {
            settings.choose("--rules", text).map_err(named("--rules <ID,…>", text))?;
        }
        for (option, setting, value) in [
            ("--threshold", Setting::Threshold, &self.threshold),
            ("--window", Setting::Window, &self.window),
            ("--cooldown", Setting::Cooldown, &self.cooldown),
        ] {
            if let Some(value) = value {
                settings.set(option, DENIED_MODEL.id, setting, value).map_err(named(option, value))?;
            }
        }
        for text in &self.set {
            settings.apply("--set", text).map_err(named("--set <RULE.SETTING=VALUE>", text))?;
        }
        settings.exempt_users.clone_from(&self.exempt_user);
        settings.check()?;
        Ok(settings)
    }
}

/// `error` without anything that would act on a terminal: it repeats arguments, which may be file names
/// from a shell's `*`.
fn harmless(mut error: clap::Error) -> clap::Error {
    let plain = |text: &str| sanitize::plain(text, sanitize::DOCUMENT_BYTES);
    let cleaned: Vec<_> = error
        .context()
        .filter_map(|(kind, value)| {
            let value = match value {
                ContextValue::String(text) => ContextValue::String(plain(text)),
                ContextValue::Strings(texts) => {
                    ContextValue::Strings(texts.iter().map(|text| plain(text)).collect())
                }
                ContextValue::StyledStr(text) => ContextValue::StyledStr(plain(&text.to_string()).into()),
                ContextValue::StyledStrs(texts) => ContextValue::StyledStrs(
                    texts.iter().map(|text| plain(&text.to_string()).into()).collect(),
                ),
                _ => return None,
            };
            Some((kind, value))
        })
        .collect();
    for (kind, value) in cleaned {
        error.insert(kind, value);
    }
    error
}
