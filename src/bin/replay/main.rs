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

#[cfg_attr(not(feature = "aws"), path = "no_cloud.rs")]
mod cloud;
mod denied;
mod inputs;
mod options;
mod output;
mod parallel;
mod printer;
mod progress;
mod rules;
mod run;
mod summary;
mod work;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use bedrock_denial_watch::alert::sanitize;
use bedrock_denial_watch::alert::terminal::Layout;
use bedrock_denial_watch::count::embedded::EmbeddedStore;
use bedrock_denial_watch::pipeline::Pipeline;
use bedrock_denial_watch::reader::Limits;
use bedrock_denial_watch::rule::settings::Settings;
use console::Term;

use crate::cloud::Cloud;
use crate::options::Options;
use crate::printer::Printer;
use crate::work::Work;

fn main() -> ExitCode {
    let options = Options::of_command_line();
    if options.test_rules {
        return rules::test(options.rules_dir.as_deref());
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
    let cloud = Cloud::connect(&options);
    let (mut inputs, mut missing) = inputs::find(options.paths.iter().filter(|path| !inputs::is_s3(path)));
    if let Some(cloud) = &cloud {
        cloud.find(&options, &mut inputs, &mut missing);
    }
    inputs::sort(&mut inputs);
    let work = Work { options: &options, inputs: &inputs, missing, cloud: cloud.as_ref() };
    let printer = Printer::new(options.format, terminal(), options.report.is_some());
    let Settings { exempt_users, .. } = &settings;
    let (rules, exempt_users, limits) = (settings.rules_on(), exempt_users.clone(), Limits::default());
    let (progress, mut summary, printed) = match &cloud {
        Some(cloud) if options.apply => {
            let (store, sink) = cloud.counters(&options, &inputs, printer);
            let pipeline = Pipeline { store, sink, rules, exempt_users, limits };
            let (progress, summary) = work.through(&pipeline, cloud.claim(), |sink| sink.printer().count());
            let Pipeline { sink, rules, .. } = pipeline;
            let printed = output::alerts(&options, sink.into_printer(), &rules, &[], &summary);
            (progress, summary, printed)
        }
        _ => {
            let store = EmbeddedStore::default();
            let pipeline = Pipeline { store, sink: printer, rules, exempt_users, limits };
            let (progress, mut summary) = work.through(&pipeline, run::ALONE, Printer::count);
            let printed = output::write(&options, pipeline, &progress, &mut summary);
            (progress, summary, printed)
        }
    };
    // Whoever closed the pipe has seen enough.
    if let Err(error) = printed
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        summary.failed = summary.failed.saturating_add(1);
        progress.say(&format!("error: standard output: {error}"));
    }
    if let Some(why) = summary.incomplete() {
        progress.say(&why);
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
