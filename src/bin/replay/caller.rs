//! `--caller`: one caller's story, from all inputs.

use std::io::{self, Write};
use std::num::NonZero;

use bedrock_denial_watch::call::Call;
use bedrock_denial_watch::reader::{self, Limits, Reader};
use bedrock_denial_watch::report::caller::asked::Asked;
use bedrock_denial_watch::report::caller::calls::KeptCalls;
use bedrock_denial_watch::report::caller::story::CallerStory;
use bedrock_denial_watch::report::caller_page;
use bedrock_denial_watch::source::object::Skip;

use crate::inputs::{Input, Inputs};
use crate::notes::Notes;
use crate::options::{Format, Options};
use crate::output;
use crate::parallel;
use crate::progress::Progress;
use crate::summary::RunSummary;

/// Reads all inputs by `open`, so many at once, and prints the story of whom `asked` is about.
pub fn tell(
    options: &Options,
    asked: &Asked,
    found: &Inputs,
    open: impl Fn(&Input, Reader<'_>, &Progress) -> Result<reader::Read, String> + Sync,
) -> (Progress, RunSummary, io::Result<()>) {
    let progress = Progress::over(&found.inputs);
    let mut notes = Notes::of(&progress, found);
    let mut calls = KeptCalls::new(asked.clone());
    read(asked, &found.inputs, options.jobs(), &mut notes, &mut calls, open);
    progress.clear();
    let mut summary = notes.summary;
    progress.say(&format!("Read {}.", summary.scope()));
    let story = CallerStory::new(options.caller.as_deref().unwrap_or_default(), &calls, summary.unread());
    if let Some(file) = &options.report {
        let page = caller_page::page(&story, &calls, &output::examined(&summary, found));
        output::report(file, &page, &progress, &mut summary);
    }
    let text = match options.format {
        Format::Json => story.document() + "\n",
        _ => story.text(crate::terminal().map_or(COLUMNS, |terminal| terminal.columns)),
    };
    let printed = io::stdout().write_all(text.as_bytes());
    (progress, summary, printed)
}

/// In a file or pipe.
const COLUMNS: usize = 80;

fn read(
    asked: &Asked,
    inputs: &[Input],
    at_once: NonZero<usize>,
    notes: &mut Notes,
    calls: &mut KeptCalls,
    open: impl Fn(&Input, Reader<'_>, &Progress) -> Result<reader::Read, String> + Sync,
) {
    let progress = notes.progress.clone();
    let read = |input: &Input| {
        let read = input.skip.is_none().then(|| {
            let mut calls = KeptCalls::new(asked.clone());
            let take = |call: &Call<'_>| calls.add(call);
            let reader = Reader::of_calls(&input.name, Limits::default(), KeptCalls::filter(), take);
            let read = open(input, reader, &progress);
            (read, calls)
        });
        progress.done();
        read
    };
    let at_once = NonZero::new(inputs.len()).map_or(at_once, |count| at_once.min(count));
    let mut taken = inputs.iter();
    parallel::in_order(inputs.iter(), at_once, read, |read| {
        let Some(input) = taken.next() else { return };
        match (input.skip, read) {
            (Some(skip), _) => notes.skip(skip, input),
            (None, Some((Ok(read), _))) if read.statistics.bytes == 0 => notes.skip(Skip::Empty, input),
            (None, Some((Ok(read), found))) => {
                notes.take(&input.name, &read);
                calls.absorb(found);
                match read.damage {
                    Some(damage) => notes.fail(&input.name, &damage.to_string()),
                    None => notes.done(),
                }
            }
            // Nothing is counted of an object that did not arrive whole.
            (None, Some((Err(error), _))) => notes.fail(&input.name, &error),
            (None, None) => {}
        }
    });
}
