//! Events that tripped other tools, as their users reported them, and the samples of this project.

use std::fs;
use std::path::Path;

use super::{EventRequest, check_text, resolve};

/// A line is a name, what it must resolve to, and the event.
const EVENTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/aws/events.tsv"));

#[test]
fn events_from_real_accounts_resolve_rightly() {
    let mut lines = 0;
    for line in EVENTS.lines() {
        let mut columns = line.splitn(3, '\t');
        let (Some(name), Some(expected), Some(event)) = (columns.next(), columns.next(), columns.next())
        else {
            panic!("three columns: {line}")
        };
        println!("{name}");
        check_text(event, expected);
        lines += 1;
    }
    assert_eq!(lines, 30);
}

#[test]
fn every_sample_resolves_without_an_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("events");
    let mut samples = 0;
    for entry in fs::read_dir(folder).expect("samples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        samples += 1;
        let items = match resolve(&fs::read_to_string(&path).expect("text")) {
            EventRequest::Whole(items) => items,
            EventRequest::Batch(messages) => messages.into_iter().flat_map(|message| message.items).collect(),
            EventRequest::Job(job) => job.tasks.into_iter().map(|task| task.item).collect(),
        };
        assert!(items.iter().all(Result::is_ok), "{}: {items:?}", path.display());
    }
    assert!(samples >= 19, "{samples}");
}
