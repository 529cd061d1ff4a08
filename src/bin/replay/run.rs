//! Inputs through the pipeline: read on several cores, committed one after the other.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZero;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bedrock_denial_watch::alert::display;
use bedrock_denial_watch::count::claims::Claimant;
use bedrock_denial_watch::count::embedded::EmbeddedStore;
use bedrock_denial_watch::log::object::Skip;
use bedrock_denial_watch::pipeline::{Delivery, Pipeline};
use bedrock_denial_watch::reader::{self, Finished, Reader, UNRECOGNISED};

use tokio::runtime::Runtime;

use crate::inputs::Input;
use crate::parallel;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::summary::Summary;

const CHUNK_BYTES: usize = 64 * 1024;

/// A run over many inputs.
pub struct Run<'p> {
    pipeline: &'p Pipeline<EmbeddedStore, Printer>,
    progress: Progress,
    summary: Summary,
}

impl<'p> Run<'p> {
    pub fn new(pipeline: &'p Pipeline<EmbeddedStore, Printer>, progress: Progress) -> Self {
        Self { pipeline, progress, summary: Summary::default() }
    }

    /// Reads all inputs, on so many cores, and commits what they hold in their order.
    pub fn all(&mut self, inputs: &[Input], cores: NonZero<usize>, runtime: &Runtime) {
        let (pipeline, progress) = (self.pipeline, self.progress.clone());
        let begun = inputs.iter().map(|input| {
            let reader = input.skip.is_none().then(|| pipeline.read(&input.name));
            (input, reader)
        });
        let read = |(input, reader): (&'_ Input, Option<Reader<'_>>)| {
            (input.skip, reader.map(|reader| read(reader, &input.path, &progress)))
        };
        let mut taken = inputs.iter();
        parallel::in_order(begun, cores, read, |(skip, read)| {
            let Some(input) = taken.next() else { return };
            match (skip, read) {
                (Some(skip), _) => self.skip(skip, input),
                (None, Some(Ok(read))) if read.statistics.bytes == 0 => self.skip(Skip::Empty, input),
                (None, Some(Ok(read))) => runtime.block_on(self.take(&input.name, read)),
                // As in the cloud, nothing is committed of an object that did not arrive whole.
                (None, Some(Err(error))) => self.fail(&input.name, &error.to_string()),
                (None, None) => {}
            }
        });
    }

    /// Commits what one input holds.
    async fn take(&mut self, name: &str, read: reader::Read) {
        for fault in &read.faults {
            self.warn(name, &format!("byte {}: {}", fault.offset, fault.kind.advice()));
        }
        if read.statistics.records == 0 && read.statistics.text_bytes > 0 && read.damage.is_none() {
            self.warn(name, "no JSON record in it; is it a log?");
        } else if read.statistics.unrecognised > 0 {
            self.warn(name, UNRECOGNISED);
        }
        self.summary.add(&read.statistics);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let claimant = Claimant { owner: "replay", now, lease: Duration::ZERO };
        let outcome = self.pipeline.commit(read.tally, Delivery { object: name, claimant }).await;
        if let Some(damage) = read.damage {
            self.fail(name, &damage.to_string());
        } else if let Some(failure) = outcome.failures.first() {
            self.fail(name, &failure.to_string());
        } else {
            self.summary.read += 1;
        }
    }

    /// Notes that an input could not be read, or not to its end.
    pub fn fail(&mut self, name: &str, why: &str) {
        self.summary.failed += 1;
        self.progress.say(&format!("error: {}: {why}", shown(name)));
    }

    /// Ends the run, which raised so many alerts.
    pub fn finish(mut self, alerts: u64) -> (Progress, Summary) {
        self.progress.clear();
        self.summary.alerts = alerts;
        (self.progress, self.summary)
    }

    /// Only what you named yourself is worth a warning.
    fn skip(&mut self, skip: Skip, input: &Input) {
        self.summary.skip(skip);
        if input.explicit {
            let advice = if skip == Skip::Suffix { "; to read it anyway: replay - < FILE" } else { "" };
            self.warn(&input.name, &format!("skipped: {skip}{advice}"));
        }
    }

    fn warn(&self, name: &str, what: &str) {
        self.progress.say(&format!("warning: {}: {what}", shown(name)));
    }
}

/// On one line, whatever the name.
fn shown(name: &str) -> String {
    display::plain(name, display::DOCUMENT_BYTES)
}

fn read(mut reader: Reader<'_>, path: &Path, progress: &Progress) -> io::Result<reader::Read> {
    // A pipe is empty when it is opened again.
    if is_stdin(path) || !path.is_file() {
        reader = reader.thorough();
    }
    loop {
        let mut pushed = 0;
        push(path, |chunk| {
            pushed += chunk.len();
            progress.advance(chunk.len());
            reader.push(chunk)
        })?;
        match reader.finish() {
            Finished::Read(read) => return Ok(read),
            Finished::Again(thorough) => reader = thorough,
        }
        progress.rewind(pushed);
    }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn push(path: &Path, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut file: Box<dyn Read> =
        if is_stdin(path) { Box::new(io::stdin().lock()) } else { Box::new(File::open(path)?) };
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) if !take(&chunk[..count]) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
