//! `replay`: the detector over log files on this machine, without AWS.

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

mod caller;
mod denied;
mod exempt;
mod expect;
mod options;
mod output;
mod preview;
mod printer;
mod rules;
mod run;

use std::io::{self, Write};
use std::process::ExitCode;

use bedrock_denial_watch::alert::sanitize;
use bedrock_denial_watch::alert::terminal::Layout;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::deliver::Pipeline;
#[cfg(feature = "aws")]
use bedrock_denial_watch::inputs::s3::S3;
use bedrock_denial_watch::inputs::{self, disk, interrupt, notes, parallel, progress, summary};
use bedrock_denial_watch::reader::{Limits, Reader};

use crate::exempt::Exemptions;
use crate::inputs::Input;
use crate::options::{Format, Options};
use crate::printer::Printer;
use crate::progress::Progress;
use crate::summary::RunSummary;

fn main() -> ExitCode {
    let options = Options::of_command_line();
    if options.test_rules {
        return rules::test(options.rules_dir.as_deref());
    }
    if let Some(rule) = &options.preview {
        return match preview::show(rule, options.rules_dir.as_deref()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => Options::refuse(&why),
        };
    }
    let settings = options.settings();
    for warning in settings.warnings() {
        eprintln!("warning: {}", sanitize::plain(&warning, sanitize::DOCUMENT_BYTES));
    }
    if options.list_rules {
        // Whoever closed the pipe has seen enough.
        let _ = io::stdout().write_all(rules::list(&settings).as_bytes());
        return ExitCode::SUCCESS;
    }
    if options.caller.is_none() && settings.rules_on().is_empty() {
        Options::refuse("no rule is on, so nothing could be found: --list-rules shows all, --rules chooses");
    }
    options.check_selection();
    let expected = options.expected();
    let mut found = disk::find(options.paths.iter().filter(|path| !inputs::is_s3(path)));
    #[cfg(feature = "aws")]
    let s3 = options.reads_s3().then(|| {
        let connected = S3::connect(&options.in_s3(), &options.wanted(), &mut found);
        connected.unwrap_or_else(|why| Options::refuse(&why))
    });
    inputs::sort(&mut found.inputs);
    interrupt::watch();
    let open = |input: &Input, reader: Reader<'_>, progress: &Progress| match &input.path {
        #[cfg(feature = "aws")]
        path if inputs::is_s3(path)
            && let Some(s3) = &s3 =>
        {
            s3.read(input, reader, progress)
        }
        _ => disk::read(input, reader, progress),
    };
    if let Some(asked) = options.asked() {
        let (progress, summary, printed) = caller::tell(&options, &asked, &found, open);
        return finish(&options, &progress, summary, printed);
    }
    let pipeline = Pipeline {
        store: MemoryStore::default(),
        sink: Printer::new(options.format, terminal(), options.report.is_some() || expected.is_some()),
        rules: settings.rules_on(),
        exempt_users: settings.exempt_users.clone(),
        limits: Limits::default(),
    };
    let exemptions = Exemptions::of(&settings);
    let (progress, mut summary) = run::all(&pipeline, &exemptions, &found, options.jobs(), open);
    let printed = output::write(&options, expected.as_ref(), pipeline, &found, &progress, &mut summary);
    finish(&options, &progress, summary, printed)
}

/// Says what went wrong, and answers the exit status.
fn finish(
    options: &Options,
    progress: &Progress,
    mut summary: RunSummary,
    printed: io::Result<()>,
) -> ExitCode {
    // Whoever closed the pipe has seen enough.
    if let Err(error) = printed
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        summary.failed = summary.failed.saturating_add(1);
        progress.say(&format!("error: standard output: {error}"));
    }
    if options.format == Format::Text && options.explain.is_none() && summary.alerts > 0 {
        let is_on_terminal = terminal().is_some();
        let gap = if is_on_terminal { "\n" } else { "" };
        // The first lines are out of sight by now.
        if is_on_terminal && summary.alerts > MANY_ALERTS {
            progress.say(&format!("{gap}{}\n{NEXT}", summary.first_line()));
        } else {
            progress.say(&format!("{gap}{NEXT}"));
        }
    }
    if let Some((status, why)) = summary.incomplete() {
        progress.say(&why);
        ExitCode::from(status)
    } else if summary.differs || (options.fail_on_alert && summary.alerts > 0) {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}

/// More alerts than a screen shows, each with about ten lines.
const MANY_ALERTS: u64 = 2;
/// What to type next.
const NEXT: &str = "Next, add: --explain USER (why it fired), --caller USER (what they were denied and served), or \
                    --report FILE.html (all of it on one page).";

/// The terminal that standard output goes to, if it does.
fn terminal() -> Option<Layout> {
    let columns = progress::columns()?;
    // `console` takes an empty NO_COLOR for a set one; no-color.org asks for a value.
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let colour = set("NO_COLOR").is_none() && set("TERM").is_some_and(|terminal| terminal != "dumb");
    Some(Layout { columns, colour })
}
