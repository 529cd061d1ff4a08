//! The mistakes that `make mutants` makes can still be made, and the tests that must notice them are there.

use std::fs;
use std::path::Path;

use toml::Table;

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
                [format!("fn {function}("), format!("        {function},")]
                    .iter()
                    .any(|line| code.contains(line))
            });
            assert!(is_there, "{name}: there is no test {path}");
        }
    }
}
