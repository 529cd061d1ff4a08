//! The mistakes that `make mutants` makes can still be made, and the tests that must notice them are there, in
//! `make test` too. `BLESS=1 cargo test --test domain breakages` writes `tests/mutants/README.md`, which lists them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use toml::Table;

/// The line in `code` that makes the test, or `None`. It may stand in a macro that makes several.
fn line_of(code: &str, function: &str) -> Option<String> {
    let lines = [format!("fn {function}("), format!("        {function},")];
    lines.into_iter().find(|line| code.contains(line.as_str()))
}

/// What `make test` leaves to `make test-all`: `#[ignore]` stands between the end of the function before and the test.
fn is_left_out(code: &str, line: &str) -> bool {
    let before = code.split(line).next().unwrap_or_default();
    before.rsplit("}\n").next().unwrap_or_default().contains("#[ignore")
}

#[test]
fn each_breakage_still_fits_the_code_and_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |name: &str| fs::read_to_string(root.join(name)).expect(name);
    let listed: Table = text("tests/mutants/breakages.toml").parse().expect("TOML");
    let breakages = listed["breakage"].as_array().expect("a list");
    assert!(breakages.len() >= 8);
    for breakage in breakages {
        let field = |name: &str| breakage[name].as_str().expect("text");
        let (name, file) = (field("name"), field("file"));
        assert_eq!(text(file).matches(field("search")).count(), 1, "{name}: {file}");
        assert_ne!(field("search"), field("replace"), "{name}");
        let tests = breakage["tests"].as_array().expect("a list");
        assert!(!tests.is_empty(), "{name}");
        for test in tests {
            let (suite, path) = test.as_str().and_then(|test| test.split_once(' ')).expect("suite and path");
            let folder = if suite == "lib" { "src".to_owned() } else { format!("tests/{suite}") };
            let function = path.rsplit("::").next().unwrap_or_default();
            let files = walkdir::WalkDir::new(root.join(folder)).into_iter().flatten();
            let mut rust = files.filter(|entry| entry.path().extension().is_some_and(|end| end == "rs"));
            let is_there = rust.any(|entry| {
                let code = fs::read_to_string(entry.path()).expect("code");
                line_of(&code, function).is_some_and(|line| {
                    assert!(!is_left_out(&code, &line), "{name}: `make test` does not run {path}");
                    true
                })
            });
            assert!(is_there, "{name}: there is no test {path}");
        }
    }
}

#[test]
fn the_list_of_mistakes_is_the_one_of_the_breakages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutants");
    let listed: Table =
        fs::read_to_string(folder.join("breakages.toml")).expect("breakages").parse().expect("TOML");
    let mut expected = "# Mistakes, and what notices them\n\nWritten by `BLESS=1 cargo test --test domain breakages` \
         from [breakages.toml](breakages.toml). `make mutants` makes each mistake and sees that each of its tests fails, \
         at the depth at which `make test` runs it.\n\n| mistake | in | tests of `make test` that fail |\n|---|---|---|\n"
        .to_owned();
    for breakage in listed["breakage"].as_array().expect("a list") {
        let field = |name: &str| breakage[name].as_str().expect("text");
        let tests = breakage["tests"].as_array().expect("a list");
        let tests: Vec<String> =
            tests.iter().map(|test| format!("`{}`", test.as_str().expect("text"))).collect();
        let _ = writeln!(expected, "| {} | `{}` | {} |", field("name"), field("file"), tests.join(", "));
    }
    let path = folder.join("README.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &expected).expect("written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "tests/mutants/README.md lists others: BLESS=1 cargo test --test domain breakages"
    );
}
