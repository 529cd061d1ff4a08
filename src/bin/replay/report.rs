//! `--report`: the page, written to a file.

use std::fs;
use std::io;
use std::path::Path;

use bedrock_denial_watch::alert::display;
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::memory::Item;
use bedrock_denial_watch::count::store::CallerState;
use bedrock_denial_watch::report::{Counted, Report};
use bedrock_denial_watch::rule::definition::Rule;

use crate::printer::Kept;

/// Writes the page of a whole run.
pub fn write(
    file: &Path,
    rules: &[Rule],
    keys: &[(Key, Item)],
    callers: &[(Caller, CallerState)],
    kept: &Kept,
    scope: &str,
) -> io::Result<()> {
    let incidents: Vec<_> =
        callers.iter().map(|(caller, state)| (caller.clone(), state.log.clone())).collect();
    let (alerts, notices) = (&kept.alerts[..], &kept.notices[..]);
    let report = Report::new(&Counted { scope, rules, keys, incidents: &incidents, alerts, notices });
    fs::write(file, report.page())
}

/// `text` on one line, without anything that acts on a terminal.
pub fn plain(text: &str) -> String {
    display::plain(text, display::DOCUMENT_BYTES)
}
