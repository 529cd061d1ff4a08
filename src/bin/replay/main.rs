//! `replay`: the detector over log files on this machine, without AWS.

mod denied;
mod examples;
mod explain;
mod inputs;
mod listing;
mod options;
mod output;
mod parallel;
mod printer;
mod progress;
mod report;
mod run;
mod summary;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use bedrock_denial_watch::alert::terminal::Layout;
use bedrock_denial_watch::count::embedded::EmbeddedStore;
use bedrock_denial_watch::pipeline::Pipeline;
use bedrock_denial_watch::reader::Limits;
use console::Term;

use crate::options::Options;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::run::Run;

fn main() -> ExitCode {
    let options = Options::of_command_line();
    if options.test_rules {
        return examples::exit_code(options.rules_dir.as_deref());
    }
    let settings = options.settings();
    if options.list_rules {
        // Whoever closed the pipe has seen enough.
        let _ = io::stdout().write_all(listing::of(&settings).as_bytes());
        return ExitCode::SUCCESS;
    }
    let (inputs, missing) = inputs::find(&options.paths);
    let pipeline = Pipeline {
        store: EmbeddedStore::default(),
        sink: Printer::new(options.format, terminal(), options.report.is_some()),
        rules: settings.rules_on(),
        exempt_users: settings.exempt_users,
        limits: Limits::default(),
    };
    let mut run = Run::new(&pipeline, Progress::over(&inputs));
    for (name, why) in missing {
        run.fail(&name, &why);
    }
    let finished = tokio::runtime::Builder::new_current_thread()
        .build()
        .map(|runtime| run.all(&inputs, options.jobs(), &runtime));
    if let Err(error) = finished {
        run.fail("replay", &format!("cannot start: {error}"));
    }
    let (progress, mut summary) = run.finish(pipeline.sink.count());
    // On a terminal the alerts come last, nearest the prompt.
    progress.say(&summary.to_string());
    let printed = output::write(&options, pipeline, &progress, &mut summary);
    // Whoever closed the pipe has seen enough.
    if let Err(error) = printed
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        summary.failed += 1;
        progress.say(&format!("error: standard output: {error}"));
    }
    if summary.failed > 0 {
        ExitCode::from(2)
    } else if options.fail_on_alert && summary.alerts > 0 {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}

/// The terminal that standard output goes to, if it does.
fn terminal() -> Option<Layout> {
    let columns =
        io::stdout().is_terminal().then(|| Term::stdout().size_checked())?.map_or(80, |(_, columns)| columns);
    // `console` takes an empty NO_COLOR for a set one; no-color.org asks for a value.
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let colour = set("NO_COLOR").is_none() && set("TERM").is_some_and(|terminal| terminal != "dumb");
    Some(Layout { columns: usize::from(columns).max(MIN_COLUMNS), colour })
}

/// A narrower terminal wraps.
const MIN_COLUMNS: usize = 40;
