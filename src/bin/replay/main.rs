//! `replay`: the detector over log files on this machine, without AWS.

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
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::rule::settings::{self, Settings};
use clap::Parser;
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
    /// The rules to apply, separated by commas: denied-model, model-sweep, session-rotation, validation-burst
    #[arg(long, value_name = "ID,…", default_value = "denied-model,model-sweep,session-rotation", value_parser = settings::rules)]
    // Written out, so that clap takes it for one value that is parsed as a whole.
    rules: std::vec::Vec<Rule>,
    /// Rule denied-model: fire when one user is denied one model more often than this within the window
    #[arg(long, value_name = "N", default_value = "3", value_parser = settings::threshold)]
    threshold: usize,
    /// Rule denied-model: length of the window, in whole minutes of event time
    #[arg(long, value_name = "SPAN", default_value = "60m", value_parser = settings::span)]
    window: Duration,
    /// Rule denied-model: at most one alert per user, model and account in this span [default: the window]
    #[arg(long, value_name = "SPAN", value_parser = settings::span)]
    cooldown: Option<Duration>,
    /// Never alert on users whose ARN matches; may be given more than once
    #[arg(long, value_name = "GLOB", value_parser = settings::user_glob)]
    exempt_user: Vec<Pattern>,
    /// How alerts are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Exit with status 1 when something fired
    #[arg(long)]
    fail_on_alert: bool,
    /// A log file (.json.gz, .json, .jsonl, .gz), a folder of them, or - for standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let (inputs, missing) = inputs::find(&options.paths);
    let mut totals = Totals::default();
    for (name, why) in missing {
        totals.fail(&name, &why, &ProgressBar::hidden());
    }
    let settings = Settings::new(
        Some(options.rules),
        Some(options.threshold),
        Some(options.window),
        options.cooldown,
        options.exempt_user,
    );
    let pipeline = Pipeline {
        store: EmbeddedStore::default(),
        sink: Report::new(options.format),
        rules: settings.rules,
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
