//! What is said of each input on the way, and counted for the summary.

use bedrock_denial_watch::alert::sanitize;
use bedrock_denial_watch::reader::{Read, UNRECOGNISED};
use bedrock_denial_watch::source::object::Skip;

use crate::inputs::{Input, Inputs};
use crate::progress::Progress;
use crate::summary::RunSummary;

/// What is said and counted.
pub struct Notes {
    pub progress: Progress,
    pub summary: RunSummary,
}

impl Notes {
    /// Of what was not found.
    pub fn of(progress: &Progress, found: &Inputs) -> Self {
        let of = found.inputs.iter().filter(|input| input.skip.is_none()).count() as u64;
        let mut notes = Self { progress: progress.clone(), summary: RunSummary::over(of) };
        for note in &found.notes {
            progress.say(&format!("warning: {}", shown(note)));
        }
        for (name, why) in &found.missing {
            notes.fail(name, why);
        }
        notes
    }

    /// Notes what was read of an input.
    pub fn take(&mut self, name: &str, read: &Read) {
        for fault in &read.faults {
            self.warn(name, &format!("byte {}: {}", fault.offset, fault.kind.advice()));
        }
        let statistics = &read.statistics;
        if statistics.stray > 0 {
            self.warn(name, UNRECOGNISED);
        } else if statistics.without_records > 0 && read.damage.is_none() {
            let what = if statistics.records == 0 { "JSON record" } else { "record of a known log" };
            self.warn(name, &format!("no {what} in it; is it a log?"));
        }
        self.summary.add(statistics);
    }

    /// Notes that an input was read to its end.
    pub fn done(&mut self) {
        self.summary.read = self.summary.read.saturating_add(1);
    }

    /// Notes that an input could not be read, or not to its end.
    pub fn fail(&mut self, name: &str, why: &str) {
        self.summary.failed = self.summary.failed.saturating_add(1);
        self.progress.say(&format!("error: {}: {why}", shown(name)));
    }

    /// Only what you named yourself is worth a warning.
    pub fn skip(&mut self, skip: Skip, input: &Input) {
        self.summary.skip(skip);
        if input.explicit {
            self.warn(&input.name, &format!("skipped: {skip}"));
        }
    }

    fn warn(&self, name: &str, what: &str) {
        self.progress.say(&format!("warning: {}: {what}", shown(name)));
    }
}

/// On one line, whatever the name.
fn shown(name: &str) -> String {
    sanitize::plain(name, sanitize::DOCUMENT_BYTES)
}
