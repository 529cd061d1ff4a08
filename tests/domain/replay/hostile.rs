//! Inputs made to hang `replay`, to fill the memory, or to pass for another account's.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::depth;

/// The most memory the Lambda may need, in kilobytes.
const MEMORY_KB: u32 = 256 * 1024;

/// How long a line is: a gigabyte, in a sample still more than the memory.
fn length() -> usize {
    depth::pick(1 << 30, 320 << 20)
}

/// The most processor time a run here may need, in seconds: each needs a few, and one whose cost grew faster than its
/// input would need minutes.
const PROCESSOR_S: u32 = 120;

/// `replay` with `arguments`, limited to that much memory and time; `write` feeds standard input.
fn replay(
    arguments: &[&str],
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Output {
    replay_within(MEMORY_KB, arguments, write)
}

fn replay_within(
    memory_kb: u32,
    arguments: &[&str],
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Output {
    let mut child = Command::new("sh")
        .args([
            "-c",
            // One limit at a time: dash takes no two, and would go on without any.
            &format!("ulimit -v {memory_kb} && ulimit -t {PROCESSOR_S} && exec \"$@\""),
            "sh",
            env!("CARGO_BIN_EXE_replay"),
        ])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("replay runs");
    let mut input = child.stdin.take().expect("piped");
    let writer = thread::spawn(move || write(&mut input));
    let output = child.wait_with_output().expect("it ends");
    // A reader that has seen enough closes the pipe.
    let written = writer.join().expect("no panic");
    assert!(written.is_ok() || written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe));
    output
}

fn denied(account: &str, user: &str, number: usize) -> Value {
    json!({"timestamp": format!("2025-06-01T10:00:{number:02}Z"), "accountId": account, "identity": {"arn": user},
        "modelId": "m", "requestId": format!("{account}-{number}"), "errorCode": "AccessDeniedException"})
}

/// A denial; then `begin`, very much of `byte` and `end`; then another denial.
fn long_line(out: &mut dyn Write, begin: &str, byte: u8, end: &str) -> io::Result<()> {
    write!(out, "{}\n{begin}", denied("1", "u", 1))?;
    let block = vec![byte; 1 << 20];
    for _ in 0..length() / block.len() {
        out.write_all(&block)?;
    }
    writeln!(out, "{end}\n{}", denied("1", "u", 2))
}

/// The same in many gzip members.
fn packed(begin: &str, byte: u8, end: &str) -> Vec<u8> {
    let member = |text: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).and_then(|()| encoder.finish()).expect("in memory")
    };
    let begin = format!("{}\n{begin}", denied("1", "u", 1));
    let end = format!("{end}\n{}\n", denied("1", "u", 2));
    let block = 64 << 20;
    let line = member(&vec![byte; block]).repeat(length() / block);
    [member(begin.as_bytes()), line, member(end.as_bytes())].concat()
}

#[test]
fn a_line_of_a_gigabyte_takes_no_memory_and_hides_no_denial() {
    for (begin, byte, end, oversized, status) in [
        ("{\"x\":\"", b'y', "\"}", true, 0),
        ("{\"errorCode\":\"AccessDeniedException\",\"x\":\"", b'y', "\"}", true, 2),
        ("{\"x\":\"", b'y', "\",\"errorCode\":\"AccessDeniedException\"}", true, 2),
        ("{\"Records\":[{\"x\":\"", b'y', "\"}]}", true, 0),
        ("{\"x\":\"", b'y', "", true, 0),
        ("{\"x\":", b'[', "", false, 0),
        ("", b'y', "", false, 0),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json.gz");
        fs::write(&path, packed(begin, byte, end)).expect("written");
        let piped = replay(&["-"], move |out| long_line(out, begin, byte, end));
        let packed = replay(&[path.to_str().expect("text")], |_| Ok(()));
        for output in [piped, packed] {
            let told = String::from_utf8_lossy(&output.stderr);
            // Only what may be a denial makes the result incomplete.
            assert_eq!(output.status.code(), Some(status), "{begin}: {told}");
            assert!(told.contains(", 2 denials"), "{begin}: {told}");
            assert_eq!(told.contains("over the size limit"), oversized, "{begin}: {told}");
        }
    }
}

/// A caller may ask for anything, also for what looks like an error code in a quoted envelope.
#[test]
fn a_trail_file_full_of_quoted_error_codes_costs_no_more_than_its_size_explains() {
    for key in [r#"\"errorCode"#, r#"\"errorCode\":"#, r#"\"errorCode\":\"Access"#, r#"\"errorCode\" \\"#] {
        let asked = key.repeat(depth::pick(40_000_000, 10_000_000) / key.len() / 100);
        let record = format!(
            r#"{{"eventVersion":"1.11","eventTime":"2025-06-01T10:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","requestParameters":{{"x":"{asked}"}},"requestID":"r"}}"#
        );
        let text = format!("{{\"Records\":[{}{record}]}}", format!("{record},").repeat(99));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        fs::write(&path, text).expect("written");
        let output = replay(&[path.to_str().expect("text")], |_| Ok(()));
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{key}: {told}");
        assert!(told.contains("Read 1 file: 100 records, no denials"), "{key}: {told}");
    }
}

/// What a caller can invent, longer than what is kept whole: models, each of which is a key of two rules; and all parts
/// of a record at once, until the limit of pairs ends the reading. In a sample a fifth of them, in less memory.
#[test]
fn an_object_of_long_ids_fits_into_memory() {
    let check = |records: usize, all: bool, status: i32, expected: &'static str| {
        let memory_kb = depth::pick(MEMORY_KB, 96 * 1024);
        let output = replay_within(memory_kb, &["--format", "json", "-"], move |out| {
            let long = "x".repeat(600);
            let (account, user) = if all { (&long[..500], &*long) } else { ("", "") };
            for number in 0..records {
                let other = if all { number } else { 0 };
                writeln!(
                    out,
                    r#"{{"timestamp":"2025-06-01T10:00:00Z","accountId":"{other}{account}","identity":{{"arn":"{other}{user}"}},"modelId":"{number}{long}","requestId":"00000000-0000-4000-8000-{number:012}","errorCode":"AccessDeniedException"}}"#
                )?;
            }
            Ok(())
        });
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(expected), "{said}");
    };
    let (keys, pairs) = depth::pick(
        (
            (99_000, 0, "Read 1 file: 99,000 records, 99,000 denials, 2 alerts."),
            (70_000, 2, "1 input could not be read, or not to the end"),
        ),
        (
            (20_000, 0, "Read 1 file: 20,000 records, 20,000 denials, 2 alerts."),
            (14_000, 0, "Read 1 file: 14,000 records, 14,000 denials, no alerts."),
        ),
    );
    thread::scope(|threads| {
        threads.spawn(|| check(keys.0, false, keys.1, keys.2));
        threads.spawn(|| check(pairs.0, true, pairs.1, pairs.2));
    });
}

#[test]
fn a_record_counts_for_the_account_that_it_names_whosever_folder_it_is_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("AWSLogs/111111111111/BedrockModelInvocationLogs/us-east-1");
    fs::create_dir_all(&path).expect("writable");
    // Two of each account: together they would fire.
    let mixed: Vec<Value> = (0..4)
        .map(|number| denied(["111111111111", "222222222222"][number % 2], "mallory", number))
        .collect();
    let forged: Vec<Value> = (4..8).map(|number| denied("333333333333", "mallory", number)).collect();
    for (name, records) in [("mixed.json", mixed), ("forged.json", forged)] {
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        fs::write(path.join(name), lines).expect("writable");
    }
    let output = replay(
        &["--rules", "denied-model", "--format", "json", folder.path().to_str().expect("text")],
        |_| Ok(()),
    );
    let alert: Value = serde_json::from_slice(&output.stdout).expect("one alert");
    assert_eq!(alert["cloud"]["account"]["id"], "333333333333");
    // The object is named, so that its folder shows.
    assert!(
        alert["objects"][0].as_str().is_some_and(|object| object.contains("AWSLogs/111111111111/")),
        "{alert}"
    );
}

/// A rule folder with a file of `contents`, or whatever `make` puts in its place.
#[track_caller]
fn check_rules(make: impl FnOnce(&std::path::Path) -> io::Result<()>, told: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    make(&folder.path().join("denied-model.toml")).expect("writable");
    let output = replay(&["--rules-dir", folder.path().to_str().expect("text"), "-"], |_| Ok(()));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("denied-model.toml") && error.contains(told), "{error}");
    assert!(error.len() < 4096 && !error.contains(|one: char| one.is_control() && one != '\n'), "{error:?}");
}

#[test]
fn a_poisoned_rule_file_is_refused_by_its_name_and_costs_nothing() {
    let good = include_str!("../../../rules/denied-model.toml");
    let bytes = |bytes: Vec<u8>| move |path: &std::path::Path| fs::write(path, bytes);
    let text = |text: String| bytes(text.into_bytes());
    check_rules(bytes([good.as_bytes(), b"\0"].concat()), "toml:");
    check_rules(bytes([good.as_bytes(), b"\xff"].concat()), "UTF-8");
    check_rules(text(format!("{good}\nx = {}", "[".repeat(100_000))), "recurs");
    check_rules(text(format!("{good}\nx = {}", "{a=".repeat(50_000))), "recurs");
    check_rules(text(format!("{}a = 1\n{good}", "a.".repeat(100_000))), "recurs");
    check_rules(text(format!("{good}\nx = \"{}\"\n", "y".repeat(50_000_000))), "at most 262144 bytes");
    check_rules(text(format!("{good}\n{}", "[[x]]\n".repeat(20_000))), "unknown field `x`");
    check_rules(text(format!("{good}\n{}", "[record]\n")), "duplicate key");
    check_rules(text(good.replacen("threshold = 3", "threshold = 99999999999999999999", 1)), "threshold");
    check_rules(text(good.replacen("threshold = 3", "threshold = nan", 1)), "threshold");
    check_rules(text(good.replacen("title = \"", "title = \"\\u001b]0;x\\u0007", 1)), "control characters");
    check_rules(text(format!("\"\\u001b[2J\" = 1\n{good}")), "unknown field");
    check_rules(text(format!("x = \u{1b}[2J\n{good}")), "toml:1");
    check_rules(|path| symlink("/dev/zero", path), "expected a file");
    check_rules(|path| symlink("/nowhere", path), "No such file");
    check_rules(|path| fs::create_dir(path), "expected a file");
    check_rules(
        |path| Command::new("mkfifo").arg(path).status().map(|status| assert!(status.success())),
        "expected a file",
    );
}
