//! Data flows one way: a station of `src/` knows only those before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// In the order of the data flow.
const STATIONS: [&str; 10] =
    ["source", "call", "rule", "count", "alert", "reader", "deliver", "report", "lambda", "inputs"];

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

/// Files that are in a cycle with another. The list may only shrink.
const IN_CYCLES: [&str; 21] = [
    // An alert and its message; a notice, its story and its document; an incident and how alerts are recorded in it.
    "alert/document.rs",
    "alert/message.rs",
    "alert/mod.rs",
    "alert/notice.rs",
    "alert/story.rs",
    "count/incident/mod.rs",
    "count/incident/record.rs",
    // The shells share helpers that their `mod.rs` holds.
    "lambda/aws/dynamodb.rs",
    "lambda/aws/eventbridge.rs",
    "lambda/aws/listing.rs",
    "lambda/aws/mod.rs",
    "lambda/aws/s3.rs",
    "lambda/aws/scan.rs",
    "lambda/aws/sns.rs",
    "lambda/event/batch_operations.rs",
    "lambda/event/cloudtrail.rs",
    "lambda/event/mod.rs",
    "lambda/event/s3.rs",
    "lambda/event/sqs.rs",
    "report/lane.rs",
    "report/mod.rs",
];

/// Reads the paths that `code` begins with, below `base`: `a::{b, c::d}` are two. Returns what follows them.
fn read_paths<'c>(mut code: &'c str, mut base: Vec<String>, found: &mut Vec<Vec<String>>) -> &'c str {
    loop {
        code = code.trim_start();
        if let Some(mut list) = code.strip_prefix('{') {
            loop {
                list = read_paths(list, base.clone(), found).trim_start();
                match list.strip_prefix(',') {
                    Some(more) => list = more,
                    None => return list.strip_prefix('}').unwrap_or(list),
                }
            }
        }
        let end = code.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(code.len());
        match &code[..end] {
            "" | "crate" | "self" => {}
            "super" => drop(base.pop()),
            name => base.push(name.to_owned()),
        }
        code = &code[end..];
        match code.strip_prefix("::") {
            Some(more) => code = more,
            None => break,
        }
    }
    found.push(base);
    // A name that is given instead.
    code.find([',', '}', ';', '\n']).map_or("", |end| &code[end..])
}

/// The modules that the code of `module` names, from the root.
fn named_paths(module: &[String], text: &str) -> Vec<Vec<String>> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code: String =
        code.lines().map(|line| line.split("//").next().unwrap_or(line).to_owned() + "\n").collect();
    let mut found = Vec::new();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            let before = &code[..at];
            if before.ends_with("super::")
                || before.ends_with("self::")
                || before.ends_with(char::is_alphanumeric)
            {
                continue;
            }
            let base = if root == "crate::" { Vec::new() } else { module.to_vec() };
            read_paths(&code[at..], base, &mut found);
        }
    }
    found
}

#[test]
fn no_file_is_in_a_cycle_with_another() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut modules = BTreeMap::new();
    for path in files {
        let relative = path.strip_prefix(&source).expect("below src").to_string_lossy().into_owned();
        if relative.starts_with("bin/") || relative.ends_with("tests.rs") {
            continue;
        }
        let mut module: Vec<String> =
            relative.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        modules.insert(module, (relative, fs::read_to_string(&path).expect("text")));
    }
    let file_of = |path: &[String]| (1..=path.len()).rev().find_map(|end| modules.get(&path[..end]));
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (module, (file, text)) in &modules {
        let named = named_paths(module, text);
        let others = named.iter().filter_map(|path| file_of(path)).map(|(other, _)| other.as_str());
        uses.insert(file, others.filter(|other| other != file).collect());
    }
    let reaches_itself = |file: &&&str| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![**file]);
        while let Some(next) = open.pop() {
            open.extend(uses[next].iter().filter(|other| reached.insert(**other)));
        }
        reached.contains(**file)
    };
    let found: Vec<&str> = uses.keys().filter(reaches_itself).copied().collect();
    let new: Vec<&&str> = found.iter().filter(|file| !IN_CYCLES.contains(file)).collect();
    assert!(new.is_empty(), "in a cycle with another file: {new:?}");
    let gone: Vec<&&str> = IN_CYCLES.iter().filter(|file| !found.contains(file)).collect();
    assert!(gone.is_empty(), "in no cycle any more, so strike them off the list: {gone:?}");
}

#[test]
fn every_path_in_the_code_is_followed() {
    let module = ["count", "key"].map(str::to_owned);
    let text = "use crate::{a::{B, c as d},\n e};\nuse super::f::G;\nuse self::h;\nx(super::super::i::J); // crate::k\n\
        #[cfg(test)]\nmod tests { use crate::l; }";
    let named: BTreeSet<String> = named_paths(&module, text).iter().map(|path| path.join("/")).collect();
    let expected = ["a/B", "a/c", "count/f/G", "count/key/h", "e", "i/J"];
    assert_eq!(named, expected.map(str::to_owned).into());
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
    for root in ["lib.rs", "bin/bootstrap.rs", "bin/denial_watch/main.rs", "bin/replay/main.rs"] {
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
    for bad in ["use crate::alert::Alert;", "fn x(a: &crate::deliver::Delivery) {}", "use crate::{source};"] {
        assert_eq!(imported_from_behind(own, bad).len(), 1, "{bad}");
    }
}
