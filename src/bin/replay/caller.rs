//! `--caller`: one caller's story, from all inputs.

use std::io::{self, Write};

use bedrock_denial_watch::inputs::{caller, page};
use bedrock_denial_watch::reader::{self, Reader};
use bedrock_denial_watch::report::caller::asked::Asked;
use bedrock_denial_watch::report::caller::story::CallerStory;
use bedrock_denial_watch::report::caller_page;

use crate::inputs::{Input, Inputs};
use crate::options::{Format, Options};
use crate::progress::Progress;
use crate::summary::RunSummary;

/// In a file or pipe.
const COLUMNS: usize = 80;

/// Reads all inputs by `open`, and prints the story of whom `asked` is about.
pub fn tell(
    options: &Options,
    asked: &Asked,
    found: &Inputs,
    open: impl Fn(&Input, Reader<'_>, &Progress) -> Result<reader::Read, String> + Sync,
) -> (Progress, RunSummary, io::Result<()>) {
    let (calls, mut notes) = caller::read(asked, found, options.jobs(), open);
    let story =
        CallerStory::new(options.caller.as_deref().unwrap_or_default(), &calls, notes.summary.unread());
    if let Some(file) = &options.report {
        let drawn = caller_page::page(&story, &calls, &page::examined(&notes.summary, found));
        page::write(file, &drawn, &notes.progress, &mut notes.summary);
    }
    let text = match options.format {
        Format::Json => story.document() + "\n",
        _ => story.text(crate::terminal().map_or(COLUMNS, |terminal| terminal.columns)),
    };
    let printed = io::stdout().write_all(text.as_bytes());
    (notes.progress, notes.summary, printed)
}
