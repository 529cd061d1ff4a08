//! What a run leaves behind: the report, and on standard output the alerts or an explanation.

use std::io;

use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::deliver::Pipeline;

use crate::options::{Format, Options};
use crate::printer::Printer;
use crate::progress::Progress;
use crate::summary::Summary;
use crate::{explain, report};

/// Writes it all; fails if standard output does.
pub fn write(
    options: &Options,
    pipeline: Pipeline<MemoryStore, Printer>,
    progress: &Progress,
    summary: &mut Summary,
) -> io::Result<()> {
    let Pipeline { store, sink, rules, exempt_users, .. } = pipeline;
    let callers = store.callers();
    let keys: Vec<_> = store.into_keys().collect();
    if let Some(file) = &options.report {
        let name = report::plain(&file.to_string_lossy());
        match report::write(file, &rules, &keys, &callers, &sink.take_kept(), &summary.scope()) {
            Ok(()) => progress.say(&format!("Report: {name}")),
            Err(error) => {
                summary.failed = summary.failed.saturating_add(1);
                progress.say(&format!("error: {name}: cannot write the report: {error}"));
            }
        }
    }
    match &options.explain {
        Some(asked) => explain::print(asked, &rules, &exempt_users, &keys, &callers),
        None => match options.format {
            Format::Text => sink.finish(&rules, &keys, summary),
            Format::Json | Format::Ocsf => sink.broken(),
        },
    }
}
