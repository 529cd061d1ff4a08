//! The HTML report, as a file.

use std::fs;
use std::path::Path;

use crate::alert::sanitize;
use crate::inputs::input::Inputs;
use crate::inputs::progress::Progress;
use crate::inputs::summary::RunSummary;
use crate::report::Examined;
use crate::source::object::delivery_stamp;

/// What was read, for a report.
#[must_use]
pub fn examined(summary: &RunSummary, found: &Inputs) -> Examined {
    // The inputs are in the order of their stamps.
    let read = found.inputs.iter().filter(|input| input.skip.is_none());
    let mut stamps = read.filter_map(|input| delivery_stamp(&input.name).map(str::to_owned));
    let first = stamps.next();
    let last = stamps.next_back().or_else(|| first.clone());
    Examined { scope: summary.scope(), written: first.zip(last), unread: summary.unread() }
}

/// Writes a report, and says where it is.
pub fn write(file: &Path, page: &str, progress: &Progress, summary: &mut RunSummary) {
    let name = sanitize::plain(&file.to_string_lossy(), sanitize::DOCUMENT_BYTES);
    match fs::write(file, page) {
        Ok(()) => progress.say(&format!("Report: {name}")),
        Err(error) => {
            summary.failed = summary.failed.saturating_add(1);
            progress.say(&format!("error: {name}: cannot write the report: {error}"));
        }
    }
}
