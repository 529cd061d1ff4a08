//! One caller's story, from all inputs.

use std::io::{self, Write};
use std::num::NonZero;
use std::path::Path;

use crate::call::Call;
use crate::inputs::input::{Input, Inputs};
use crate::inputs::notes::Notes;
use crate::inputs::page;
use crate::inputs::parallel;
use crate::inputs::progress::{Progress, columns};
use crate::reader::{self, Limits, Reader};
use crate::report::caller::asked::Asked;
use crate::report::caller::calls::KeptCalls;
use crate::report::caller::story::CallerStory;
use crate::report::caller_page;
use crate::source::object::Skip;

/// Reads all inputs by `open`, so many at once, and keeps the calls that `asked` is about.
pub fn read(
    asked: &Asked,
    found: &Inputs,
    at_once: NonZero<usize>,
    open: impl Fn(&Input, Reader<'_>, &Progress) -> Result<reader::Read, String> + Sync,
) -> (KeptCalls, Notes) {
    let progress = Progress::over(&found.inputs);
    let mut notes = Notes::of(&progress, found);
    let mut calls = KeptCalls::new(asked.clone());
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
    let at_once = NonZero::new(found.inputs.len()).map_or(at_once, |count| at_once.min(count));
    let mut taken = found.inputs.iter();
    parallel::in_order(found.inputs.iter(), at_once, read, |read| {
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
    progress.clear();
    progress.say(&format!("Read {}.", notes.summary.scope()));
    (calls, notes)
}

/// Prints the story of the caller that was asked for as `name`, and draws it if a `report` is wanted.
///
/// # Errors
/// If standard output takes no more.
pub fn show(
    name: &str,
    calls: &KeptCalls,
    found: &Inputs,
    notes: &mut Notes,
    report: Option<&Path>,
    is_json: bool,
) -> io::Result<()> {
    let story = CallerStory::new(name, calls, notes.summary.unread());
    if let Some(file) = report {
        let drawn = caller_page::page(&story, calls, &page::examined(&notes.summary, found));
        page::write(file, &drawn, &notes.progress, &mut notes.summary);
    }
    let text =
        if is_json { story.document() + "\n" } else { story.text(columns().unwrap_or(PRINTED_COLUMNS)) };
    io::stdout().write_all(text.as_bytes())
}

/// How wide the story is in a file or pipe.
const PRINTED_COLUMNS: usize = 80;
