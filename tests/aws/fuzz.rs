//! The events that a fuzzer found once, and those of `events/`, without a fuzzer.

use std::fs;
use std::path::Path;

use crate::fuzz_events;

#[test]
fn every_event_that_a_fuzzer_ever_broke_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["tests/fixtures/fuzz/events", "events"] {
        for entry in fs::read_dir(root.join(folder)).expect(folder) {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                println!("{}", path.display());
                fuzz_events::check(&fs::read(&path).expect("a file"));
            }
        }
    }
}
