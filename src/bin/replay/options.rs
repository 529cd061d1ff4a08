//! The command line.

use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

use bedrock_denial_watch::alert::sanitize;
use bedrock_denial_watch::report::caller::asked::Asked;
use bedrock_denial_watch::rule::bounds;
use bedrock_denial_watch::rule::catalogue::{self, ALL, DENIED_MODEL};
use bedrock_denial_watch::rule::settings::{Setting, Settings};
use clap::error::{ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use glob::Pattern;

use crate::expect::Expected;
use crate::inputs;

/// Finds callers who keep trying Amazon Bedrock models they are denied, in invocation logs and
/// CloudTrail files on this machine.
///
/// Runs the same pipeline as the Lambda, with its counters in memory. Needs no AWS account and no network.
/// Alerts go to standard output; progress, warnings and a summary go to standard error.
#[derive(Parser)]
#[command(
    name = "replay",
    version,
    // Otherwise clap shows the name the program was called by, whatever it contains.
    bin_name = "replay",
    after_help = "Examples:
  replay events/logs                                    a folder of logs, as S3 stores them
  replay --format json logs | jq .user.id               one JSON document per alert
  replay --report week.html logs                        a page to look at, in one file
  replay --explain report-export logs                   why this user's keys fired, or did not
  replay --caller report-export logs                    did they get in? what was served, and what it cost
  replay --threshold 10 --window 30m logs               fire later, look at half an hour
  replay --rules model-sweep,validation-burst logs      other rules
  replay --exempt-user 'arn:aws:sts::*:assumed-role/x/*' logs    count these callers, never alert
  replay s3://bucket/prefix --since 7d                  a week of logs in S3
  replay --expect expected.jsonl logs                   are the alerts the expected ones?

Exit status: 0 if everything was read; 1 with --fail-on-alert if a rule fired,
or if the alerts are not those of --expect; 2 for bad usage or an incomplete result, which the last line explains, once all inputs are done."
)]
pub struct Options {
    /// Apply only these rules, separated by commas, or all [default: the rules that RULES.md calls on by default]
    #[arg(long, value_name = "ID,…")]
    pub rules: Option<String>,
    /// Change one setting of a rule, such as model-sweep.threshold=5, denied-model.window=30m, validation-burst.on=true or session-rotation.exempt=arn:aws:sts::*:assumed-role/agent-*; repeat for more
    #[arg(long, value_name = "RULE.SETTING=VALUE")]
    pub set: Vec<String>,
    /// Add the rule files of this folder; one replaces the built-in rule of the same id
    #[arg(long, value_name = "DIR")]
    pub rules_dir: Option<PathBuf>,
    /// List every rule with its settings, and which option changed them
    #[arg(long)]
    pub list_rules: bool,
    /// Run the examples in the rule files, built in or from --rules-dir; exit with status 1 if one is not as expected
    #[arg(long)]
    pub test_rules: bool,
    /// Show every text that this rule produces, for its first example that fires
    #[arg(long, value_name = "RULE")]
    pub preview: Option<String>,
    /// The same as --set denied-model.threshold=N [default: 3]
    #[arg(long, value_name = "N")]
    pub threshold: Option<String>,
    /// The same as --set denied-model.window=SPAN [default: 60m]
    #[arg(long, value_name = "SPAN")]
    pub window: Option<String>,
    /// The same as --set denied-model.cooldown=SPAN [default: the window]
    #[arg(long, value_name = "SPAN")]
    pub cooldown: Option<String>,
    /// Never alert on users whose ARN matches; repeat for more
    #[arg(long, value_name = "GLOB", value_parser = bounds::user_glob)]
    pub exempt_user: Vec<Pattern>,
    /// Read this many files at once; the alerts are the same [default: the number of cores, or 16 from S3]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZero<usize>>,
    /// Read only objects in S3 that may hold calls from this time on: 2025-06-01T09:00:00Z, 2025-06-01, or how long ago, such as 7d
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// The same, up to this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Read only the log folders of these accounts in S3
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    pub account: Vec<String>,
    /// Read only the log folders of these regions in S3
    #[arg(long, value_name = "REGION,…", value_delimiter = ',')]
    pub region: Vec<String>,
    /// How to print alerts, or the messages about them
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Also write a page to look at: time line, incidents, and who is near a threshold
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Say why a key fired or did not, instead of printing alerts: the id of an alert, or part of a user, role, model or account
    #[arg(long, value_name = "TEXT", conflicts_with = "format")]
    pub explain: Option<String>,
    /// Tell one caller's story instead of printing alerts: what was denied, what was served after it, tokens and estimated cost; GLOB matches the ARN of a user, or of a role without its session; without wildcards and arn: it may be part of one
    #[arg(long, value_name = "GLOB", conflicts_with_all = ["explain", "report", "expect", "fail_on_alert", "rules", "set", "rules_dir", "threshold", "window", "cooldown", "exempt_user"])]
    pub caller: Option<String>,
    /// Compare the alerts with those that this file expects, one JSON object a line: the fields that an alert must have, such as {"rule":"denied-model","user":"arn:aws:iam::111122223333:user/eve"}, or what --format json printed; exit with status 1 if one is missing or unexpected
    #[arg(long, value_name = "FILE")]
    pub expect: Option<PathBuf>,
    /// Exit with status 1 if a rule fired
    #[arg(long)]
    pub fail_on_alert: bool,
    /// A log file (.json.gz, .json, .jsonl, .gz), a folder of them, s3://bucket/prefix, or - for standard input
    #[arg(value_name = "PATH", required_unless_present_any = ["test_rules", "list_rules", "preview"])]
    pub paths: Vec<PathBuf>,
}

/// Objects of S3 at once.
const FROM_S3: Option<NonZero<usize>> = NonZero::new(16);

/// How alerts are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Who was denied most, then the alerts: blocks on a terminal, one line each in a file or pipe
    Text,
    /// One JSON document per line, and nothing else
    Json,
    /// One OCSF Detection Finding per line, and nothing else
    Ocsf,
    /// What people would receive by email, message by message: `Subject: …`, an empty line, the text
    Email,
    /// The same as text messages, one per line
    Sms,
    /// The same as notifications for Slack and Teams, one JSON document per line
    Chat,
    /// The same as programs receive it, one JSON document per line
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

    /// Whose story `--caller` asks for; for a broken pattern it prints what is wrong and exits.
    pub fn asked(&self) -> Option<Asked> {
        let text = self.caller.as_ref()?;
        if !matches!(self.format, Format::Text | Format::Json) {
            Self::refuse("--caller prints text or json: --format text, --format json");
        }
        let refused = |why| Self::refuse(&format!("invalid value '{text}' for '--caller <GLOB>': {why}"));
        Some(Asked::parse(text).unwrap_or_else(refused))
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
