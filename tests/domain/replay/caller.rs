//! `replay --caller`: one caller's story. `BLESS=1` writes the expected text; read it before you commit it.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

const LOGS: &str = "events/logs";
const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/story-of-report-export.txt");

fn replay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_replay")).args(arguments).output().expect("replay runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn the_samples_tell_what_a_denied_user_spent_the_next_day() {
    let output = replay(&["--caller", "report-export", LOGS]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = text(&output.stdout);
    if std::env::var_os("BLESS").is_some() {
        fs::write(EXPECTED, told).expect("writable");
    }
    assert_eq!(told, fs::read_to_string(EXPECTED).expect("the expected text"));
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
    assert!(text(&output.stderr).contains("Read 443 records in 53 files"), "{output:?}");
}

#[test]
fn it_is_the_same_however_many_files_are_read_at_once() {
    let story = |jobs| replay(&["--caller", "*", "--format", "json", "--jobs", jobs, LOGS]).stdout;
    let one = story("1");
    assert_eq!(text(&story("7")), text(&one));
    let document: Value = serde_json::from_slice(&one).expect("one document");
    assert!(document["seen"]["calls"].as_u64().is_some_and(|calls| calls > 300), "{document:#}");
}

#[test]
fn a_caller_without_calls_and_what_could_not_be_read_are_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("a.json");
    fs::write(
        &log,
        r#"{"timestamp":"2025-06-01T10:00:00Z","modelId":"m","identity":{"arn":"arn:aws:iam::1:user/a"}}"#,
    )
    .expect("written");
    let log = log.to_str().expect("text");
    let output = replay(&["--caller", "nobody", log]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).starts_with("No call of this caller in what was read.\n"), "{output:?}");
    let output = replay(&["--caller", "a", log, "missing.json"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stdout).contains("1 input could not be read, or not to the end."), "{output:?}");
}

#[test]
fn help_names_it_and_what_it_cannot_be_combined_with_is_refused() {
    let help = replay(&["--help"]);
    assert!(text(&help.stdout).contains("--caller <GLOB>"), "{help:?}");
    for arguments in [
        &["--caller", "a[", LOGS][..],
        &["--caller", "", LOGS],
        &["--caller", "a", "--format", "sms", LOGS],
        &["--caller", "a", "--explain", "b", LOGS],
        &["--caller", "a", "--fail-on-alert", LOGS],
    ] {
        let output = replay(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("--caller"), "{output:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
}
