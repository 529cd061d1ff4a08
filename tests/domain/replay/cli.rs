//! The built `replay` as a user meets it: standard output, standard error, exit status.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::depth;

const LOGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/events/logs");
const EXPECTED: &str = include_str!("../../../events/expected.jsonl");
const EXPECTED_OF_ALL: &str = include_str!("../../../events/expected-all.jsonl");

fn replay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_replay"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("replay runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// Runs with `arguments` and checks the status and a part of standard error.
#[track_caller]
fn check(arguments: &[&str], status: i32, told: &str) {
    let output = replay(arguments);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(stderr.contains(told), "{stderr}");
}

/// Runs with `arguments` and checks all of standard error.
#[track_caller]
fn check_summary(arguments: &[&str], told: &str) {
    assert_eq!(text(&replay(&[&["--format", "json"], arguments].concat()).stderr), told);
}

fn burst(count: usize) -> String {
    (0..count).fold(String::new(), |log, number| {
        log + &format!(
            "{{\"timestamp\":\"2025-06-01T10:00:00Z\",\"requestId\":\"r{number}\",\"errorCode\":\"AccessDeniedException\"}}\n"
        )
    })
}

fn write(folder: &Path, name: &str, contents: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    fs::write(&path, contents).expect("writable");
    path.to_str().expect("text").to_owned()
}

/// The alerts that `replay` prints, in the form of the independent count.
fn counted_alerts(output: &Output) -> Vec<Value> {
    let counted = |alert: Value| {
        let total =
            ["models", "sessions", "regions", "addresses", "operations", "denials", "requests", "tokens"]
                .map(|name| format!("total_{name}"))
                .into_iter()
                .find(|total| alert.get(total).is_some_and(|_| alert[format!("{total}_at_least")] != true))
                .expect("a total");
        serde_json::json!({
            "rule": alert["rule"]["id"],
            "@timestamp": alert["@timestamp"],
            "account": alert["cloud"]["account"]["id"],
            "user": alert["user"]["id"],
            "model": alert["gen_ai"]["request"]["model"]["id"],
            &total: alert[&total],
            "first_seen": alert["first_seen"],
            "last_seen": alert["last_seen"],
        })
    };
    text(&output.stdout).lines().map(parsed).map(counted).collect()
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).expect("JSON")
}

#[test]
fn the_samples_fire_with_every_rule_on_what_an_independent_count_expects() {
    let sorted = |mut alerts: Vec<Value>| {
        alerts.sort_by_key(ToString::to_string);
        alerts
    };
    let expected: Vec<Value> = EXPECTED_OF_ALL.lines().map(parsed).collect();
    let rules: BTreeSet<&str> = expected.iter().filter_map(|alert| alert["rule"].as_str()).collect();
    assert_eq!((expected.len(), rules.len()), (43, 22), "a story for every rule");
    let output = replay(&["--format", "json", "--rules", "all", LOGS]);
    assert_eq!(sorted(counted_alerts(&output)), sorted(expected));
}

#[test]
fn the_samples_fire_what_an_independent_count_expects() {
    let output = replay(&["--format", "json", LOGS]);
    assert_eq!(output.status.code(), Some(0));
    // The keys of one object are worked on in another order than that of time.
    let by_time = |mut alerts: Vec<Value>| {
        alerts.sort_by_key(|alert| alert["@timestamp"].to_string());
        alerts
    };
    let got = by_time(counted_alerts(&output));
    let expected = by_time(EXPECTED.lines().map(parsed).collect());
    assert_eq!(expected.len(), 17);
    assert_eq!(got, expected);
    let summary = "Read 53 files: 443 records, 123 denials, 17 alerts.\n\
                   15 calls failed because identity policies do not allow the call.\n\
                   5 calls failed because the account has no AWS Marketplace subscription to the model.\n\
                   5 calls failed because the token limit is below one.\n\
                   2 calls failed because AWS has quarantined the access key.\n\
                   4 files skipped:\n  \
                   Bedrock's permission check (1)\n  \
                   a request or response body under data/ (1)\n  \
                   a signature over log files under CloudTrail-Digest/ (1)\n  \
                   zero bytes (1)\n";
    assert!(text(&output.stderr).ends_with(summary), "{}", text(&output.stderr));
}

/// What `--expect` says of `lines`, with the exit status.
#[track_caller]
fn check_expected(lines: &str, status: i32, said: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("expected.jsonl");
    fs::write(&file, lines).expect("writable");
    let case = "tests/golden/a-role-whose-setup-is-missing/input";
    let output = replay(&["--format", "json", "--expect", file.to_str().expect("text"), case]);
    let stderr = text(&output.stderr);
    for words in said {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
    assert_eq!(output.status.code(), Some(status), "{stderr}");
}

#[test]
fn a_run_is_compared_with_what_was_expected() {
    let whole =
        fs::read_to_string("tests/golden/a-role-whose-setup-is-missing/alerts.jsonl").expect("alerts");
    check_expected(&whole, 0, &["Expected alerts: 4 found, 0 missing"]);
    check_expected(
        &whole.replace("\"severity\":47", "\"severity\":73"),
        1,
        &["different, line 1: ", "event: expected {"],
    );
    let rules = "{\"rule\":\"denied-model\"}\n".repeat(3)
        + "{\"rule\":\"role-denials\",\"event\":{\"severity\":21}}\n";
    check_expected(&rules, 0, &["4 found"]);
    check_expected(
        &rules.replace("role-denials", "model-sweep"),
        1,
        &["missing, line 4: {", "unexpected: {"],
    );
    check_expected("{", 2, &["--expect: ", "expected.jsonl:1: "]);
}

#[test]
fn a_file_that_is_named_itself_is_read_whatever_its_name_ends_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bedrock-stream-1-2026-02-20-09-00-05-4e5f6a7b");
    let denial =
        r#"{"timestamp":"2025-06-01T10:00:00Z","requestId":"a","errorCode":"AccessDeniedException"}"#;
    fs::write(&file, denial).expect("writable");
    let output = replay(&[file.to_str().expect("text")]);
    assert!(text(&output.stderr).contains("Read 1 file: 1 record, 1 denial"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
    let output = replay(&[folder.path().to_str().expect("text")]);
    assert!(
        text(&output.stderr).contains("(exit status 2): there was nothing to read."),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn an_example_on_which_another_rule_fires_must_say_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let rule = fs::read_to_string("rules/validation-burst.toml").expect("a rule");
    let silent = rule.replace("also = [\"denied-model\"]\n", "");
    let stale = rule.replace("also = [\"denied-model\"]", "also = [\"denied-model\", \"model-sweep\"]");
    for (text_of_rule, status, said) in [
        (rule.clone(), 0, "3 of 3 examples as expected"),
        (silent, 1, r#"expected also = [], fired also ["denied-model"]"#),
        (stale, 1, r#"expected also = ["denied-model", "model-sweep"], fired also ["denied-model"]"#),
    ] {
        fs::write(folder.path().join("validation-burst.toml"), text_of_rule).expect("writable");
        let output = replay(&["--test-rules", "--rules-dir", folder.path().to_str().expect("text")]);
        assert!(text(&output.stdout).contains(said), "{}", text(&output.stdout));
        assert_eq!(output.status.code(), Some(status));
    }
}

#[test]
fn the_messages_are_what_people_and_programs_receive() {
    let burst = &format!(
        "{LOGS}/AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/2025/06/02/09/\
         20250602T091503066Z_591e09182f98e28c.json.gz"
    );
    let printed = |format| text(&replay(&["--format", format, burst]).stdout).to_owned();
    let email = printed("email");
    assert!(email.starts_with("Subject: [high] Bedrock 111122223333: ") && email.contains("\n\n"), "{email}");
    assert_eq!(printed("sms").lines().count(), 1);
    let chat = parsed(printed("chat").trim_end());
    assert_eq!(chat["source"], "custom");
    let notice = parsed(printed("notice-json").trim_end());
    assert_eq!((&notice["incident"]["alerts"], &notice["rule"]["id"]), (&1.into(), &"denied-model".into()));
}

#[test]
fn a_preview_shows_every_text_of_a_rule() {
    let shown = replay(&["--preview", "key-quarantined"]);
    let shown = text(&shown.stdout);
    for heading in ["email", "SMS", "chat", "programs", "terminal", "pipe"] {
        assert!(shown.contains(&format!("--- {heading} ---\n")), "{heading}: {shown}");
    }
    let unknown = replay(&["--preview", "x"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("x: expected the id of a rule"), "{}", text(&unknown.stderr));
}

#[test]
fn a_sweep_that_only_cloudtrail_tells_carries_its_evidence() {
    let output = replay(&["--format", "json", "--rules", "model-sweep", LOGS]);
    let alert: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one alert");
    for (field, told) in [
        ("/event/dataset", "aws.cloudtrail"),
        ("/source/ip", "198.51.100.23"),
        ("/cloud/region", "us-west-2"),
        ("/access_key_ids", "AKIAP6KUPFACNEXAMPLE"),
        ("/denied_by", "IAM identity policy"),
    ] {
        assert_eq!(alert.pointer(field), Some(&serde_json::json!([told])), "{field}");
    }
    let client = alert["user_agent"]["original"][0].as_str().expect("a client");
    assert!(client.starts_with("Boto3/1.38.27 "), "{client}");
    let models = alert["models"].as_array().expect("models");
    assert_eq!(models.len(), 6);
}

#[test]
fn in_a_pipe_each_alert_is_a_line_that_grep_finds_with_ids_in_whole() {
    let output = replay(&[LOGS]);
    let stdout = text(&output.stdout);
    let lines: Vec<&str> = stdout.lines().collect();
    let lines_of = |kind: &str| -> Vec<&str> {
        lines.iter().copied().filter(|line| line.split(' ').next() == Some(kind)).collect()
    };
    let (denied, incidents, alerts) = (lines_of("denied"), lines_of("incident"), lines_of("alert"));
    assert_eq!((denied.len(), incidents.len(), alerts.len(), lines.len()), (10, 11, 17, 38), "{stdout}");
    // The most denied first.
    assert!(denied[0].starts_with("denied denials=40 at_least=true user=arn:aws:iam::444455556666:user/ci/"));
    let user = "arn:aws:sts::111122223333:assumed-role/SupportChatbot/i-0a1b2c3d4e5f67890";
    let expected = format!(
        "alert time=2025-06-02T09:14:48Z severity=high rule=denied-model user={user} \
         model=anthropic.claude-3-opus-20240229-v1:0 account=111122223333 denials=4 \
         first_seen=2025-06-02T09:14:07Z last_seen=2025-06-02T09:14:48Z served=3 served_tokens=101 \
         file={LOGS}/AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/2025/06/02/09/\
         20250602T091503066Z_591e09182f98e28c.json.gz"
    );
    assert_eq!(alerts[0], expected);
    assert_eq!(lines[11], alerts[0], "alerts come last");
    // Each below its caller's line.
    assert_eq!(
        incidents[0],
        "incident id=e3efd698f09142ecdaded54354003006 severity=high \
         caller=arn:aws:sts::111122223333:assumed-role/SupportChatbot account=111122223333 alerts=1"
    );
    let last = lines.len() - 2;
    assert!(lines[last].starts_with("incident ") && lines[last].ends_with(" alerts=1"), "{}", lines[last]);
    assert!(!stdout.contains('\u{1b}') && !stdout.contains('…'), "{stdout}");
}

#[test]
fn without_an_alert_it_says_what_it_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let quiet = write(folder.path(), "quiet.json", burst(3));
    let none = |scope: &str| {
        format!(
            "No alerts from api-key-escape, denied-model, impossible-request, key-quarantined, key-recon, \
             model-access-changed, model-probe, model-sweep, region-sweep, role-denials, served-after-denial, \
             session-rotation, slow-denials.\nLooked at {scope}\n"
        )
    };
    let stdout = |arguments: &[&str]| text(&replay(arguments).stdout).to_owned();
    let expected = none("3 records in 1 file, 3 denials among them.");
    assert!(stdout(&[&quiet]).ends_with(&expected), "{}", stdout(&[&quiet]));
    let expected = none("no records in 1 file, no denials among them. Not everything could be read.");
    assert_eq!(stdout(&["nowhere.json"]), expected);
    let expected =
        "No alerts from validation-burst.\nLooked at no records in no files, no denials among them.\n";
    assert_eq!(
        stdout(&["--rules", "validation-burst", folder.path().join("none").to_str().expect("text")]),
        expected.replace("no files", "1 file").replace("them.", "them. Not everything could be read.")
    );
}

#[test]
fn the_exit_status_tells_what_happened() {
    let folder = tempfile::tempdir().expect("a folder");
    let quiet = write(folder.path(), "quiet.json", burst(3));
    let loud = write(folder.path(), "loud.json", burst(4));
    let corrupt = write(folder.path(), "corrupt.json.gz", b"\x1f\x8b\x08\x00broken");
    check(&[&quiet], 0, ", no alerts.");
    check(&[&loud], 0, ", 1 alert.");
    check(&["--fail-on-alert", &quiet], 0, ", no alerts.");
    check(&["--fail-on-alert", &loud], 1, ", 1 alert.");
    check(&["--fail-on-alert", &loud, &corrupt], 2, ", 1 alert.");
    check(&[&corrupt], 2, "corrupt.json.gz: truncated gzip");
    check(&[&loud, "nowhere.json"], 2, "error: nowhere.json: No such file or directory");
    check(
        &["nowhere.json"],
        2,
        "Read no files: no records, no denials, no alerts.\n1 input could not be read,",
    );
}

#[test]
fn bad_usage_says_what_was_expected() {
    check(&[], 2, "<PATH>");
    check(&["--threshold", "many", LOGS], 2, "expected a whole number from 0 to 1000");
    check(&["--window", "90s", LOGS], 2, "expected whole minutes from 1m to 24h");
    check(&["--cooldown", "0m", LOGS], 2, "expected whole minutes from 1m to 24h");
    check(
        &["--window", "24h", "--cooldown", "59m", LOGS],
        2,
        "expected a cooldown of at least a 24th of the window, 60 minutes or more",
    );
    check(&["--exempt-user", "[", LOGS], 2, "expected a glob on the user's ARN");
    check(
        &["--format", "yaml", LOGS],
        2,
        "[possible values: text, json, ocsf, email, sms, chat, notice-json]",
    );
}

#[test]
fn help_shows_examples() {
    let output = replay(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("Examples:"));
}

#[test]
fn options_change_the_rule() {
    let folder = tempfile::tempdir().expect("a folder");
    let loud = write(folder.path(), "loud.json", burst(4));
    check(&["--threshold", "4", &loud], 0, ", no alerts.");
    check(&["--threshold", "0", &loud], 0, ", 1 alert.");
    check_summary(
        &["--exempt-user", "*", &loud],
        "warning: --exempt-user * matches no user; no call that the rules look for names a user\n\
         Read 1 file: 4 records, 4 denials, 1 alert.\n",
    );
    check(&["--exempt-user", "*:role/*", "--exempt-user", "*", LOGS], 0, ", no alerts.");
}

#[test]
fn an_exemption_that_a_path_could_match_is_warned_about() {
    let folder = tempfile::tempdir().expect("a folder");
    let loud = write(folder.path(), "loud.json", burst(4));
    check(&["--exempt-user", "*:assumed-role/x/*", &loud], 0, "warning: exempt users: *:assumed-role/x/*: ");
    check(
        &["--set", "session-rotation.exempt=*:assumed-role/x/*", &loud],
        0,
        "warning: exempt users: session-rotation.exempt=*:assumed-role/x/*: ",
    );
    let anchored = "arn:aws:sts::*:assumed-role/x/*";
    let rule = format!("session-rotation.exempt={anchored}");
    let output = replay(&["--exempt-user", anchored, "--set", &rule, &loud]);
    assert!(!text(&output.stderr).contains("an IAM user whose path"), "{}", text(&output.stderr));
    let output = replay(&["--format", "json", "--exempt-user", "*:x", &loud]);
    assert!(text(&output.stdout).lines().all(|line| line.starts_with('{')), "{}", text(&output.stdout));
}

#[test]
fn the_examples_of_help_warn_about_nothing() {
    let output = replay(&["--help"]);
    // Wherever a terminal wraps it.
    let help = text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    for (behind, anchor) in
        [("--exempt-user '", "arn:aws:sts::*:assumed-role/"), ("such as arn:", "aws:iam::111122223333:user/")]
    {
        let (_, glob) = help.split_once(behind).expect("an example");
        assert!(glob.starts_with(anchor), "{glob}");
    }
}

/// Runs with `log` on a pipe as standard input; the path names it.
fn replay_pipe(path: &str, log: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_replay"))
        .args(["--format", "json", path])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("replay runs");
    child.stdin.take().expect("a pipe").write_all(log.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

#[test]
fn standard_input_is_one_object() {
    let output = replay_pipe("-", &burst(4));
    assert_eq!(text(&output.stdout).lines().count(), 1);
    assert!(text(&output.stdout).contains("\"objects\":[\"-\"]"));
}

/// A CloudTrail log file of `count` denials.
fn trail(count: usize) -> String {
    let records: Vec<String> = (0..count)
        .map(|number| format!(
            "{{\"eventVersion\":\"1.11\",\"eventTime\":\"2025-06-01T10:00:00Z\",\"eventSource\":\"bedrock.amazonaws.com\",\"eventName\":\"Converse\",\"errorCode\":\"AccessDenied\",\"requestID\":\"r{number}\"}}"
        ))
        .collect();
    format!("{{\"Records\":[{}]}}", records.join(","))
}

#[test]
fn a_trail_file_is_read_from_a_file_and_from_what_can_be_read_but_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "a.json", trail(4));
    check_summary(&[&path], "Read 1 file: 4 records, 4 denials, 1 alert.\n");
    let output = replay_pipe("-", &trail(4));
    assert!(text(&output.stderr).contains("4 denials,"), "{}", text(&output.stderr));
    let piped = folder.path().join("b.json");
    let made = Command::new("mkfifo").arg(&piped).status().expect("mkfifo runs");
    assert!(made.success());
    let log = trail(4);
    let writer = std::thread::spawn({
        let piped = piped.clone();
        move || fs::write(piped, log).expect("it reads")
    });
    check(&[piped.to_str().expect("text")], 0, "4 denials,");
    writer.join().expect("written");
}

#[test]
fn files_are_taken_in_delivery_order_and_a_data_folder_above_means_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let denied = |at: &str, id: &str| {
        format!(
            "{{\"timestamp\":\"2025-06-01T{at}Z\",\"requestId\":\"{id}\",\"errorCode\":\"AccessDeniedException\"}}\n"
        )
    };
    // By path the later object would come first, and the alert would name another denial.
    let early = denied("10:00:00", "a")
        + &denied("10:00:01", "b")
        + &denied("10:00:02", "c")
        + &denied("10:00:03", "d");
    write(&data, "z/20250601T100100000Z_0000000000000000.json", early);
    write(&data, "a/20250601T111000000Z_0000000000000000.json", denied("11:00:04", "e"));
    let output = replay(&["--format", "json", data.to_str().expect("text")]);
    let stdout = text(&output.stdout);
    assert!(stdout.contains("\"@timestamp\":\"2025-06-01T10:00:03Z\""), "{stdout}{}", text(&output.stderr));
}

#[test]
fn any_number_of_cores_finds_the_same_in_the_same_order() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in 0..40_u32 {
        // Long and short files whose denials belong together, and some that cannot be read.
        let denials = if file.is_multiple_of(5) { depth::pick(3000, 500) } else { 1 };
        let log: String = (0..denials)
            .map(|number| {
                format!(
                    "{{\"timestamp\":\"2025-06-01T10:{file:02}:00Z\",\"requestId\":\"{file}-{number}\",\"identity\":{{\"arn\":\"u{}\"}},\"modelId\":\"m\",\"errorCode\":\"AccessDeniedException\"}}\n",
                    file % 3
                )
            })
            .collect();
        write(folder.path(), &format!("{file:02}.json"), log);
        if file.is_multiple_of(9) {
            write(folder.path(), &format!("{file:02}-no-gzip.json.gz"), b"\x1f\x8b\x08\x00broken");
        }
    }
    let logs = folder.path().to_str().expect("text");
    for format in ["json", "text"] {
        let [one, all, three] =
            ["1", "2", "3"].map(|jobs| replay(&["--format", format, "--jobs", jobs, logs]));
        assert!(text(&one.stdout).lines().count() > 3, "{}", text(&one.stdout));
        for other in [all, three, replay(&["--format", format, logs])] {
            assert_eq!(text(&other.stdout), text(&one.stdout));
            assert_eq!(text(&other.stderr), text(&one.stderr));
            assert_eq!(other.status.code(), one.status.code());
        }
    }
    check(&["--jobs", "0", logs], 2, "--jobs");
}

#[test]
fn a_body_beside_the_logs_is_skipped_wherever_in_the_tree_the_replay_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let denied = "{\"timestamp\":\"2025-06-01T10:00:00Z\",\"errorCode\":\"AccessDeniedException\"}\n";
    let path = write(folder.path(), "AWSLogs/1/hour/data/a_input.json", denied);
    let hour = folder.path().join("AWSLogs/1/hour");
    for start in [folder.path(), &hour, &hour.join("data"), Path::new(&path)] {
        check(
            &[start.to_str().expect("text")],
            2,
            "1 file skipped:\n  a request or response body under data/ (1)",
        );
    }
}

/// Runs with standard output closed.
#[track_caller]
fn check_closed(arguments: &[&str], status: i32) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_replay"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("replay runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(status), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("standard output"), "{}", text(&output.stderr));
}

#[test]
fn a_closed_pipe_is_no_error_and_hides_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let loud = write(folder.path(), "loud.json", burst(4));
    check_closed(&["--format", "json", &loud], 0);
    check_closed(&[&loud], 0);
    check_closed(&["--format", "json", "--fail-on-alert", &loud], 1);
    check_closed(&["--format", "json", LOGS], 0);
    check_closed(&["--format", "json", LOGS, "nowhere.json"], 2);
}

#[test]
fn one_file_by_two_names_is_one_object() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = "{\"timestamp\":\"2025-06-01T10:00:00Z\",\"errorCode\":\"AccessDeniedException\"}\n".repeat(2);
    let path = write(folder.path(), "a.json", log);
    let other = write(folder.path(), "b/../a.json", fs::read(&path).expect("readable"));
    check(&[&path, &other, folder.path().to_str().expect("text")], 0, " 2 denials,");
}

#[test]
fn what_is_no_log_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "a.json", "no JSON at all");
    check(&[&path], 2, "no JSON record in it");
}

/// Writes each text to its own file, and checks the exit status and the last line of standard error.
#[track_caller]
fn check_end(texts: &[&str], status: i32, last: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, text) in texts.iter().enumerate() {
        write(folder.path(), &format!("{number}.json"), text);
    }
    let output = replay(&["--format", "json", folder.path().to_str().expect("text")]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert_eq!(stderr.lines().last(), Some(last), "{stderr}");
}

#[test]
fn only_what_was_read_may_look_clean() {
    let good = r#"{"timestamp":"2025-06-01T10:00:00Z","requestId":"r","modelId":"m","input":{}}"#;
    let read = |files: &str, records: &str| format!("Read {files}: {records}, no denials, no alerts.");
    let incomplete = |why: &str| format!("Incomplete (exit status 2): {why}.");
    check_end(&[good], 0, &read("1 file", "1 record"));
    check_end(&[r#"{"Records":[]}"#], 0, &read("1 file", "no records"));
    check_end(&[r#"{"Events":[]}"#, good], 0, &read("2 files", "1 record"));
    // What CloudWatch Logs writes to see whether anyone is there.
    let control = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1748772000000,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}"#;
    check_end(&[control], 0, &read("1 file", "1 record"));
    check_end(&[], 2, &incomplete("there was nothing to read"));
    check_end(&["", ""], 2, &incomplete("there was nothing to read"));
    for nothing in
        ["no JSON at all", r#"{"x":1}"#, "[]", r#"{"messageType":"m","logEvents":[{"message":"hello"}]}"#]
    {
        check_end(&[nothing, good], 2, &incomplete("1 file without any record of a known log"));
    }
    let stray = "1 file with the error code of a denial outside every recognised record";
    let uncounted = "1 record that may be a denial could not be counted";
    check_end(
        &[&format!("{good}\n{{\"ts\":1,\"event\":{{\"errorCode\":\"AccessDenied\"}}}}")],
        2,
        &incomplete(stray),
    );
    for one in [
        r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException","x":"#,
        r#"{"timestamp":"later","errorCode":"AccessDeniedException"}"#,
        r#"{"timestamp":"2025-06-01T10:00:00Z","modelId":"m","errorCode":"AccessDeniedByMoon"}"#,
        r#"{"eventSource":"bedrock.amazonaws.com","eventName":"Converse","eventTime":"2025-06-01T10:00:00Z","errorCode":"Client.AccessDenied"}"#,
    ] {
        check_end(&[&format!("{good}\n{one}\n{good}\n")], 2, &incomplete(uncounted));
    }
    // What is read is clean, whatever it quotes.
    for one in [
        r#"{"timestamp":"2025-06-01T10:00:00Z","modelId":"m","input":{"inputBodyJson":{"errorCode":"AccessDeniedException"}}}"#,
        r#"{"eventSource":"bedrock.amazonaws.com","eventName":"CountTokens","eventTime":"2025-06-01T10:00:00Z","errorCode":"AccessDenied"}"#,
    ] {
        check_end(&[one], 0, &read("1 file", "1 record"));
    }
    let other = r#"{"eventSource":"s3.amazonaws.com","eventName":"GetObject","eventTime":"2025-06-01T10:00:00Z","errorCode":"AccessDenied"}"#;
    let question = "1 CloudTrail record, no Bedrock calls among them: does this trail cover Bedrock?";
    check_end(&[other], 0, question);
}

#[test]
fn every_rule_is_listed_as_it_is_set_and_by_whom() {
    let output = replay(&["--list-rules", "--set", "model-sweep.threshold=5", "--window", "30m"]);
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    for line in [
        "on   denied-model                     high      fires above 3 within 30 minutes, at most once in 30 \
         minutes; set: window by --window",
        "on   model-sweep                      high      fires above 5 within 60 minutes, at most once in 60 \
         minutes; set: threshold by --set",
    ] {
        assert!(lines.contains(&line), "{line}\nin\n{}", lines.join("\n"));
    }
    assert!(lines.iter().any(|line| line.starts_with("off  validation-burst ") && !line.contains("set:")));
}

#[test]
fn nothing_in_a_file_s_name_acts_on_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = "\u{1b}]0;title\u{7}\u{202e}\n.json";
    let loud = write(folder.path(), name, burst(4));
    let odd = write(folder.path(), &format!("odd{name}"), "AccessDeniedException\n".repeat(2));
    let corrupt = write(folder.path(), &format!("corrupt{name}.gz"), b"\x1f\x8b\x08\x00broken");
    let nowhere = folder.path().join(format!("nowhere{name}"));
    let option = format!("--{name}");
    let threshold = format!("--threshold={name}");
    for arguments in
        [&[&*loud, &odd, &corrupt, nowhere.to_str().expect("text")][..], &[&option], &[&threshold, &loud]]
    {
        let output = replay(arguments);
        for shown in [text(&output.stdout), text(&output.stderr)] {
            let harmless =
                |character: char| character == '\n' || !character.is_control() && character != '\u{202e}';
            assert!(shown.chars().all(harmless), "{shown:?}");
        }
    }
}

#[test]
fn what_an_option_does_not_match_is_said_with_what_may_be_meant() {
    let unmatched = |arguments: &[&str]| {
        let output = replay(&[arguments, &["--format", "json", LOGS]].concat());
        text(&output.stderr).lines().filter(|line| line.contains("matches no user")).collect::<String>()
    };
    for (glob, told) in [
        ("report-export", "did you mean arn:aws:iam::444455556666:user/ci/report-export?"),
        ("reprot-export", "did you mean arn:aws:iam::444455556666:user/ci/report-export?"),
        ("SupportChatbot", "did you mean 'arn:aws:sts::111122223333:assumed-role/SupportChatbot/*'?"),
        ("zzz", "users seen: arn:aws:iam::111122223333:user/BedrockAPIKey-x7k2, "),
    ] {
        let told = format!("it must match the whole ARN; {told}");
        let said = unmatched(&["--exempt-user", glob]);
        assert!(
            said.starts_with(&format!("warning: --exempt-user {glob} matches no user; {told}")),
            "{said}"
        );
        let set = format!("denied-model.exempt={glob}");
        let said = unmatched(&["--set", &set]);
        assert!(said.starts_with(&format!("warning: --set {set} matches no user; {told}")), "{said}");
    }
    assert_eq!(unmatched(&["--exempt-user", "arn:aws:iam::444455556666:user/ci/report-export"]), "");
    check(&["--rules", "denied-modle", LOGS], 2, ", or all; did you mean denied-model?");
    check(&["--set", "denied-model.treshold=4", LOGS], 2, "did you mean threshold?");
    check(&["--preview", "model-swep"], 2, "did you mean model-sweep?");
}

#[test]
fn without_a_rule_nothing_is_read() {
    check(&["--rules", "denied-model", "--set", "denied-model.on=false", LOGS], 2, "error: no rule is on");
}

#[test]
fn a_trail_without_bedrock_is_asked_about() {
    let folder = tempfile::tempdir().expect("a folder");
    let record = |source: &str| {
        format!(
            r#"{{"eventSource":"{source}.amazonaws.com","eventName":"X","eventTime":"2025-06-01T10:00:00Z"}}"#
        )
    };
    let trail = |sources: &[&str]| {
        let records: Vec<String> = sources.iter().map(|source| record(source)).collect();
        format!(r#"{{"Records":[{}]}}"#, records.join(","))
    };
    let question = "2 CloudTrail records, no Bedrock calls among them: does this trail cover Bedrock?";
    let other = write(folder.path(), "other.json", trail(&["s3", "iam"]));
    let bedrock = write(folder.path(), "bedrock.json", trail(&["s3", "iam", "bedrock", "s3"]));
    check(&[&other], 0, question);
    for known in [&[&*bedrock][..], &[&bedrock, &other], &[&write(folder.path(), "log.json", burst(1))]] {
        assert!(!text(&replay(known).stderr).contains("does this trail"), "{known:?}");
    }
}

#[test]
fn a_run_that_is_told_to_end_says_how_far_it_got() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_replay"))
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("replay runs");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let begun = said.next().expect("a line").expect("text");
    assert_eq!(begun, "Reading standard input.");
    let end = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(end.success());
    let last = said.last().expect("a line").expect("text");
    assert!(last.starts_with("Interrupted (exit status 143): 0 of 1 file read to the end; "), "{last}");
    assert_eq!(child.wait().expect("it ends").code(), Some(143));
}

#[test]
fn help_reads_well_in_80_columns() {
    for option in ["-h", "--help"] {
        let help = replay(&[option]);
        for line in text(&help.stdout).lines().filter(|line| !line.trim_start().starts_with('{')) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
