//! `--caller`: one caller's story, from all inputs.

use std::io;

use bedrock_denial_watch::inputs::caller;
use bedrock_denial_watch::reader::{self, Reader};
use bedrock_denial_watch::report::caller::asked::Asked;

use crate::inputs::{Input, Inputs};
use crate::options::{Format, Options};
use crate::progress::Progress;
use crate::summary::RunSummary;

/// Reads all inputs by `open`, and prints the story of whom `asked` is about.
pub fn tell(
    options: &Options,
    asked: &Asked,
    found: &Inputs,
    open: impl Fn(&Input, Reader<'_>, &Progress) -> Result<reader::Read, String> + Sync,
) -> (Progress, RunSummary, io::Result<()>) {
    let (calls, mut notes) = caller::read(asked, found, options.jobs(), open);
    let (name, report) = (options.caller.as_deref().unwrap_or_default(), options.report.as_deref());
    let printed = caller::show(name, &calls, found, &mut notes, report, options.format == Format::Json);
    (notes.progress, notes.summary, printed)
}
