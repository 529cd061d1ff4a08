//! `replay`: the detector over log files on this machine, without AWS.

mod examples;
mod inputs;
mod report;

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use bedrock_denial_watch::alert::display;
use bedrock_denial_watch::count::claims::Claimant;
use bedrock_denial_watch::count::embedded::EmbeddedStore;
use bedrock_denial_watch::log::object::Skip;
use bedrock_denial_watch::pipeline::{Delivery, Pipeline};
use bedrock_denial_watch::reader::{self, Finished, Limits, Reader};
use bedrock_denial_watch::rule::bounds;
use bedrock_denial_watch::rule::catalogue::{self, ALL, DENIED_MODEL};
use bedrock_denial_watch::rule::settings::{Setting, Settings};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use glob::Pattern;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::inputs::Input;
use crate::report::{Format, Report, Totals};

/// Finds users who keep trying Amazon Bedrock models they are denied, in invocation logs and
/// CloudTrail files on this machine.
///
/// Runs the same pipeline as the Lambda, with counters in memory: no AWS account and no network.
/// Alerts go to standard output; progress, warnings and a closing summary go to standard error.
#[derive(Parser)]
#[command(
    name = "replay",
    version,
    after_help = "Examples:
  replay events/logs                               a folder of logs, as S3 stores them
  replay --format json logs | jq .user.id          one JSON alert a line
  replay --threshold 10 --window 30m logs          another threshold and window
  replay --rules model-sweep,validation-burst logs   other rules
  replay --exempt-user '*:assumed-role/load-test/*' logs   counted, never alerted
  aws s3 cp s3://bucket/key - | replay -           one object from S3

Exit status: 0 when all was read; 1 with --fail-on-alert when something fired;
2 for bad usage or an input that could not be read, after all others were processed."
)]
struct Options {
    /// Apply these rules alone, separated by commas, or all [default: those that RULES.md calls on by default]
    #[arg(long, value_name = "ID,…")]
    rules: Option<String>,
    /// Set one thing of a rule, such as model-sweep.threshold=5, denied-model.window=30m, validation-burst.on=true or session-rotation.exempt=*:assumed-role/agent-*; may be given more than once
    #[arg(long, value_name = "RULE.SETTING=VALUE")]
    set: Vec<String>,
    /// Add the rule files of this folder; one replaces a built-in rule of the same id
    #[arg(long, value_name = "DIR")]
    rules_dir: Option<PathBuf>,
    /// Run the examples in the rule files, built in or of --rules-dir, and exit with status 1 when one is not as expected
    #[arg(long)]
    test_rules: bool,
    /// The same as --set denied-model.threshold=N [default: 3]
    #[arg(long, value_name = "N")]
    threshold: Option<String>,
    /// The same as --set denied-model.window=SPAN [default: 60m]
    #[arg(long, value_name = "SPAN")]
    window: Option<String>,
    /// The same as --set denied-model.cooldown=SPAN [default: the window]
    #[arg(long, value_name = "SPAN")]
    cooldown: Option<String>,
    /// Never alert on users whose ARN matches; may be given more than once
    #[arg(long, value_name = "GLOB", value_parser = bounds::user_glob)]
    exempt_user: Vec<Pattern>,
    /// How alerts are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Exit with status 1 when something fired
    #[arg(long)]
    fail_on_alert: bool,
    /// A log file (.json.gz, .json, .jsonl, .gz), a folder of them, or - for standard input
    #[arg(value_name = "PATH", required_unless_present = "test_rules")]
    paths: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.test_rules {
        return test_rules(&options);
    }
    let settings = match settings(&options) {
        Ok(settings) => settings,
        Err(why) => Options::command().error(ErrorKind::ValueValidation, why).exit(),
    };
    let (inputs, missing) = inputs::find(&options.paths);
    let mut totals = Totals::default();
    for (name, why) in missing {
        totals.fail(&name, &why, &ProgressBar::hidden());
    }
    let pipeline = Pipeline {
        store: EmbeddedStore::default(),
        sink: Report::new(options.format),
        rules: settings.rules_on(),
        exempt_users: settings.exempt_users,
        limits: Limits::default(),
    };
    let progress = progress_bar(&inputs);
    let runtime = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            warn(&progress, &format!("error: cannot start: {error}"));
            return ExitCode::from(2);
        }
    };
    for input in &inputs {
        runtime.block_on(replay(&pipeline, input, &mut totals, &progress));
    }
    progress.finish_and_clear();
    totals.alerts = pipeline.sink.count();
    let printed = pipeline.sink.finish(&pipeline.rules, pipeline.store);
    // Whoever closed the pipe has seen enough.
    if let Err(error) = printed
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        totals.fail("standard output", &error.to_string(), &progress);
    }
    warn(&progress, &totals.to_string());
    if totals.failed > 0 {
        ExitCode::from(2)
    } else if options.fail_on_alert && totals.alerts > 0 {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}

fn test_rules(options: &Options) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string());
    let folder = options.rules_dir.as_deref();
    let good = runtime.and_then(|runtime| examples::run(folder, &runtime).map_err(|error| error.to_string()));
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// The rules with what was set.
fn settings(options: &Options) -> Result<Settings, String> {
    let rules = match &options.rules_dir {
        None => ALL.clone(),
        Some(folder) => catalogue::with_rules_in(folder).map_err(|error| format!("--rules-dir: {error}"))?,
    };
    let mut settings = Settings::new(rules);
    let named = |option: &'static str, value: &str| {
        let value = value.to_owned();
        move |expected: String| format!("invalid value '{value}' for '{option}': {expected}")
    };
    if let Some(text) = &options.rules {
        settings.choose("--rules", text).map_err(named("--rules <ID,…>", text))?;
    }
    for (option, setting, value) in [
        ("--threshold", Setting::Threshold, &options.threshold),
        ("--window", Setting::Window, &options.window),
        ("--cooldown", Setting::Cooldown, &options.cooldown),
    ] {
        if let Some(value) = value {
            settings.set(option, DENIED_MODEL.id, setting, value).map_err(named(option, value))?;
        }
    }
    for text in &options.set {
        settings.apply("--set", text).map_err(named("--set <RULE.SETTING=VALUE>", text))?;
    }
    settings.exempt_users.clone_from(&options.exempt_user);
    settings.check()?;
    Ok(settings)
}

async fn replay(
    pipeline: &Pipeline<EmbeddedStore, Report>,
    input: &Input,
    totals: &mut Totals,
    progress: &ProgressBar,
) {
    let name = input.path.to_string_lossy();
    let shown = display::plain(&name, display::DOCUMENT_BYTES);
    if let Some(skip) = input.skip {
        return totals.skip(skip, input.explicit.then_some(&*shown), progress);
    }
    let read = match read(pipeline.read(&name), &input.path, progress) {
        // As in the cloud, nothing is committed of an object that did not arrive whole.
        Err(error) => return totals.fail(&shown, &error.to_string(), progress),
        Ok(read) => read,
    };
    if read.statistics.bytes == 0 {
        return totals.skip(Skip::Empty, input.explicit.then_some(&*shown), progress);
    }
    for fault in &read.faults {
        warn(progress, &format!("warning: {shown}: byte {}: {}", fault.offset, fault.kind.advice()));
    }
    if read.statistics.records == 0 && read.statistics.text_bytes > 0 && read.damage.is_none() {
        warn(progress, &format!("warning: {shown}: no JSON record in it; is it a log?"));
    }
    totals.add(&read.statistics);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let claimant = Claimant { owner: "replay", now, lease: Duration::ZERO };
    let outcome = pipeline.commit(read.tally, Delivery { object: &name, claimant }).await;
    if let Some(damage) = read.damage {
        totals.fail(&shown, &damage.to_string(), progress);
    } else if let Some(failure) = outcome.failures.first() {
        totals.fail(&shown, &failure.to_string(), progress);
    } else {
        totals.read += 1;
    }
}

fn read(mut reader: Reader<'_>, path: &Path, progress: &ProgressBar) -> io::Result<reader::Read> {
    // A pipe is empty when it is opened again.
    if is_stdin(path) || !path.is_file() {
        reader = reader.thorough();
    }
    let begin = progress.position();
    loop {
        progress.set_position(begin);
        push(path, |chunk| {
            progress.inc(chunk.len() as u64);
            reader.push(chunk)
        })?;
        match reader.finish() {
            Finished::Read(read) => return Ok(read),
            Finished::Again(thorough) => reader = thorough,
        }
    }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn push(path: &Path, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut file: Box<dyn Read> =
        if is_stdin(path) { Box::new(io::stdin().lock()) } else { Box::new(File::open(path)?) };
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) if !take(&chunk[..count]) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

const CHUNK_BYTES: usize = 64 * 1024;

fn progress_bar(inputs: &[Input]) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let total = inputs.iter().filter(|input| input.skip.is_none()).map(|input| input.bytes).sum();
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Prints one line on standard error, above the progress bar.
fn warn(progress: &ProgressBar, line: &str) {
    progress.suspend(|| {
        // Nobody is left to tell if this fails.
        let _ = writeln!(io::stderr(), "{line}");
    });
}
