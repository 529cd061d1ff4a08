//! Inputs through the pipeline: read on several cores, committed one after the other.

use std::future::ready;
use std::num::NonZero;
use std::thread;
use std::time::{Duration, SystemTime};

use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::store::Store;
use bedrock_denial_watch::count::tally::Tally;
use bedrock_denial_watch::deliver::{Again, Delivery, Pipeline, TimeLeft};
use bedrock_denial_watch::reader::{self, Reader};
use bedrock_denial_watch::source::object::Skip;

use futures_util::FutureExt;
use tokio::runtime::{Builder, Runtime};

use crate::exempt::Exemptions;
use crate::inputs::{Input, Inputs};
use crate::interrupt;
use crate::notes::Notes;
use crate::parallel;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::summary::RunSummary;

/// Reads all inputs by `open`, so many at once, commits what they hold in their order, and says how it went.
pub fn all<S: Store>(
    pipeline: &Pipeline<S, Printer>,
    exemptions: &Exemptions,
    found: &Inputs,
    at_once: NonZero<usize>,
    open: impl Fn(&Input, Reader<'_>, &Progress) -> Result<reader::Read, String> + Sync,
) -> (Progress, RunSummary) {
    let progress = Progress::over(&found.inputs);
    let mut run = Run { pipeline, exemptions, notes: Notes::of(&progress, found) };
    match Builder::new_current_thread().build() {
        Ok(runtime) => run.inputs(&found.inputs, at_once, &runtime, open),
        Err(error) => run.notes.fail("replay", &format!("cannot start: {error}")),
    }
    interrupt::release();
    progress.clear();
    let mut summary = run.notes.summary;
    if summary.read > 0 {
        exemptions.unmatched().iter().for_each(|warning| progress.say(&format!("warning: {warning}")));
    }
    summary.alerts = pipeline.sink.count();
    // On a terminal the alerts come last, nearest the prompt.
    progress.say(&summary.to_string());
    (progress, summary)
}

/// A run over many inputs.
struct Run<'p, S> {
    pipeline: &'p Pipeline<S, Printer>,
    exemptions: &'p Exemptions,
    notes: Notes,
}

impl<S: Store> Run<'_, S> {
    fn inputs(
        &mut self,
        inputs: &[Input],
        at_once: NonZero<usize>,
        runtime: &Runtime,
        open: impl Fn(&Input, Reader<'_>, &Progress) -> Result<reader::Read, String> + Sync,
    ) {
        let (pipeline, exemptions, progress) = (self.pipeline, self.exemptions, self.notes.progress.clone());
        let watched = || runtime.block_on(pipeline.watch_list()).unwrap_or_default();
        let begun = inputs.iter().map(|input| {
            let reader = input.skip.is_none().then(|| {
                let reader = pipeline.read_watching(&input.name, watched());
                if exemptions.is_empty() { reader } else { reader.shown_to(|call| exemptions.see(call)) }
            });
            (input, reader)
        });
        let read = |(input, reader): (&'_ Input, Option<Reader<'_>>)| {
            let read = reader.map(|reader| open(input, reader, &progress));
            progress.done();
            (input.skip, read)
        };
        let quiet = progress.silent();
        // One input needs no second thread, whose memory would lie beside that of the first.
        let at_once = NonZero::new(inputs.len()).map_or(at_once, |count| at_once.min(count));
        let mut taken = inputs.iter();
        parallel::in_order(begun, at_once, read, |(skip, read)| {
            let Some(input) = taken.next() else { return };
            let is_again = !input.is_stdin();
            let again = |tally: Tally| {
                // On a thread of its own: what reads from S3 waits in a runtime, and none may wait in another.
                let reader = pipeline.reader(&input.name, tally);
                let read = || thread::scope(|scope| scope.spawn(|| open(input, reader, &quiet)).join());
                let read = if is_again { read().ok().and_then(Result::ok) } else { None };
                ready(read).boxed_local()
            };
            // What was read ahead was read by an older list.
            let list = watched();
            let read = match read {
                Some(Ok(read)) if is_again && !interrupt::is_requested() && *read.tally.watched() != list => {
                    Some(open(input, pipeline.read_watching(&input.name, list), &quiet))
                }
                read => read,
            };
            match (skip, read) {
                (Some(skip), _) => self.notes.skip(skip, input),
                (None, Some(Ok(read))) if read.statistics.bytes == 0 => self.notes.skip(Skip::Empty, input),
                (None, Some(Ok(read))) => {
                    runtime.block_on(self.take(&input.name, read, &again));
                }
                // As in the cloud, nothing is committed of an object that did not arrive whole.
                (None, Some(Err(error))) => self.notes.fail(&input.name, &error),
                (None, None) => {}
            }
        });
    }

    /// Commits what one input holds.
    async fn take(&mut self, name: &str, read: reader::Read, again: Again<'_>) {
        self.notes.take(name, &read);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        // No one else uses the store.
        let claimant = Claimant { owner: "replay", now, lease: Duration::ZERO };
        let delivery = Delivery { object: name, claimant };
        let outcome = self.pipeline.commit_with(TimeLeft::UNLIMITED, read.tally, delivery, Some(again)).await;
        if let Some(damage) = read.damage {
            self.notes.fail(name, &damage.to_string());
        } else if let Some(failure) = outcome.failures.first() {
            self.notes.fail(name, &failure.to_string());
        } else {
            self.notes.done();
        }
    }
}
