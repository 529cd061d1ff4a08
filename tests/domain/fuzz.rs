//! What a fuzzer found once, and what it starts from: each target takes it without a fuzzer too.

use std::fs;
use std::path::Path;

use crate::fuzz_targets::DOMAIN;

#[test]
fn every_input_that_a_fuzzer_ever_broke_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fuzz");
    for (name, target) in DOMAIN {
        let files = fs::read_dir(folder.join(name)).expect(name);
        let mut paths: Vec<_> = files.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{name}");
        for path in paths {
            println!("{}", path.display());
            target(&fs::read(&path).expect("a file"));
        }
    }
}
