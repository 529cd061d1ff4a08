//! Data flows one way: a station of `src/` knows only those before it.

use std::fs;
use std::path::{Path, PathBuf};

/// In the order of the data flow.
const STATIONS: [&str; 9] =
    ["source", "call", "rule", "count", "alert", "reader", "pipeline", "report", "lambda"];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The place of the station that begins `path`, which is written as in code or relative to `src/`.
fn station(path: &str) -> Option<usize> {
    let name = path.split(['/', ':', '.', ';']).next()?;
    STATIONS.iter().position(|station| *station == name)
}

/// What `text`, the code of a file of `own`, imports from behind its own station.
fn imported_from_behind(own: usize, text: &str) -> Vec<&str> {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or(line));
    let paths = code.flat_map(|line| line.split("crate::").skip(1));
    paths.filter(|path| station(path).is_none_or(|other| other > own)).collect()
}

#[test]
fn each_station_knows_only_those_before_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut seen = [0; STATIONS.len()];
    for path in files {
        let relative = path.strip_prefix(&source).expect("below src").to_string_lossy().into_owned();
        // The binaries are shells, and the map holds no code.
        if relative.starts_with("bin/") || relative == "lib.rs" {
            continue;
        }
        let own = station(&relative).unwrap_or_else(|| panic!("src/{relative} belongs to no station"));
        seen[own] += 1;
        let text = fs::read_to_string(&path).expect("text");
        assert_eq!(imported_from_behind(own, &text), [""; 0], "src/{relative}");
    }
    assert!(seen.iter().all(|files| *files > 0), "{seen:?}");
}

/// What can panic on data: the release aborts then, and the object comes back until it is given up.
const NO_PANIC: [&str; 6] =
    ["arithmetic_side_effects", "expect_used", "indexing_slicing", "panic", "string_slice", "unwrap_used"];

/// What the `allow` attributes of `text` stand before, where they switch off one of [`NO_PANIC`].
fn exempted(text: &str) -> Vec<&str> {
    let attributes = text.split("allow(").skip(1).filter_map(|rest| rest.split_once(")]"));
    let lints = attributes.filter(|(lints, _)| NO_PANIC.iter().any(|lint| lints.contains(lint)));
    lints.map(|(_, item)| item.trim_start().lines().next().unwrap_or_default()).collect()
}

#[test]
fn every_program_is_checked_for_panics_and_no_module_is_exempt() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for root in ["lib.rs", "bin/bootstrap.rs", "bin/denial_watch.rs", "bin/replay/main.rs"] {
        let text = fs::read_to_string(source.join(root)).expect("text");
        let (_, lints) = text.split_once("#![cfg_attr(\n    not(test),\n    warn(").expect("lints");
        let (lints, _) = lints.split_once(')').expect("their end");
        let missing: Vec<&str> = NO_PANIC.into_iter().filter(|lint| !lints.contains(lint)).collect();
        assert_eq!(missing, [""; 0], "src/{root}");
    }
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    for path in files {
        let text = fs::read_to_string(&path).expect("text");
        let found = exempted(&text);
        assert_eq!(found, [""; 0], "{}", path.display());
    }
    let blanket = "#[allow(\n    clippy::string_slice,\n    reason = \"x\"\n)]\nmod text;";
    assert_eq!((exempted(blanket), exempted("#[allow(dead_code)]\nmod text;")), (vec!["mod text;"], vec![]));
}

#[test]
fn an_import_from_behind_is_noticed() {
    let own = station("count/window.rs").expect("a station");
    for good in ["use crate::source::time::EventTime;", "use crate::rule::field::Field;", "// crate::alert"] {
        assert_eq!(imported_from_behind(own, good), [""; 0]);
    }
    for bad in ["use crate::alert::Alert;", "fn x(a: &crate::pipeline::Delivery) {}", "use crate::{source};"]
    {
        assert_eq!(imported_from_behind(own, bad).len(), 1, "{bad}");
    }
}
