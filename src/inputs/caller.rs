//! One caller's calls, from all inputs.

use std::num::NonZero;

use crate::call::Call;
use crate::inputs::input::{Input, Inputs};
use crate::inputs::notes::Notes;
use crate::inputs::parallel;
use crate::inputs::progress::Progress;
use crate::reader::{self, Limits, Reader};
use crate::report::caller::asked::Asked;
use crate::report::caller::calls::KeptCalls;
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
