//! `denial-watch investigate`: the built program against stand-ins for S3 and DynamoDB.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use aws_config::SdkConfig;
use serde_json::Value;

use crate::http::{Reply, Server};
use crate::replay::{key, replay, s3, samples, text};
use crate::status::counted;
use crate::support::{TABLE, gzip, log, nowhere, program};

const EXPORT: &str = "arn:aws:iam::444455556666:user/ci/report-export";
/// All of the samples.
const TIME: [&str; 4] = ["--since", "2025-06-01", "--until", "2025-06-07"];

fn investigate(s3: &Server, table: &SdkConfig, arguments: &[&str]) -> Output {
    let arguments = [&["investigate", "--table", TABLE], arguments].concat();
    let table = table.endpoint_url().expect("set");
    let places = [("AWS_ENDPOINT_URL_S3", s3.url.as_str()), ("AWS_ENDPOINT_URL_DYNAMODB", table)];
    program(env!("CARGO_BIN_EXE_denial-watch"), &arguments, &places).output().expect("it runs")
}

/// The alerts of the samples, read from S3.
fn alerts(s3: &Server) -> Vec<Value> {
    let (printed, _) = text(&replay(&s3.url, &["--format", "json", "s3://logs/"], &[]), 0);
    printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn the_story_is_that_of_replay_however_many_objects_are_read_at_once() {
    let server = s3(samples(), |_| None);
    for format in ["text", "json"] {
        let same = ["--caller", "report-export", "--format", format];
        let (expected, _) = text(&replay(&server.url, &[&same[..], &TIME, &["s3://logs/"]].concat(), &[]), 0);
        for jobs in ["1", "16"] {
            let rest = ["--logs", "s3://logs/", "--jobs", jobs];
            let told = investigate(&server, &nowhere(), &[&same[..], &TIME, &rest].concat());
            let (told, said) = text(&told, 0);
            assert_eq!(told, expected);
            assert!(said.contains("Read 443 records"), "{said}");
        }
    }
}

#[test]
fn of_several_places_and_a_shorter_time_only_that_is_read() {
    let server = s3(samples(), |_| None);
    let logs = "s3://logs/AWSLogs/444455556666/BedrockModelInvocationLogs/";
    let trail = "s3://logs/AWSLogs/444455556666/CloudTrail/";
    let time = ["--since", "2025-06-03T02:00:00Z", "--until", "2025-06-03T02:20:00Z"];
    let arguments =
        [&["--caller", EXPORT, "--logs", logs, "--logs", trail, "--region", "us-east-1"][..], &time];
    let (told, _) = text(&investigate(&server, &nowhere(), &arguments.concat()), 0);
    assert!(told.contains(" from 2025-06-03 02:10:04 to 2025-06-03 02:"), "{told}");
    let days: Vec<&str> = told.split_whitespace().filter(|word| word.starts_with("2025-06-0")).collect();
    assert!(days.iter().all(|day| day.starts_with("2025-06-03")), "{told}");
    for request in server.requests() {
        assert!(
            !request.target.contains("2025/06/02") && !request.target.contains("2025%2F06%2F02"),
            "{request:?}"
        );
    }
}

#[tokio::test]
async fn the_id_of_an_alert_an_incident_or_a_notification_finds_the_caller() {
    let table = counted().await;
    let server = s3(samples(), |_| None);
    let alert = alerts(&server).into_iter().find(|alert| alert["user"]["id"] == EXPORT).expect("an alert");
    let [id, incident, notice] = [&alert["id"], &alert["incident"]["id"], &alert["incident"]["notice"]]
        .map(|id| id.as_str().expect("text").to_owned());
    let by_id = |id: &str| {
        let told =
            investigate(&server, &table, &["--alert", id, "--logs", "s3://logs/", "--until", "2025-06-07"]);
        text(&told, 0)
    };
    let account = "(account 444455556666).\n";
    let (by_alert, said) = by_id(&id);
    assert!(said.starts_with(&format!("The alert {id} is about {EXPORT} {account}")), "{said}");
    assert!(by_alert.starts_with("No model was served after its denial, but others since "), "{by_alert}");
    // 48 hours before the window of the alert at 02:10:22 begins.
    assert!(
        by_alert.contains("Asked for: from 2025-06-01 01:10:22 to 2025-06-07 00:00:00 UTC\n"),
        "{by_alert}"
    );
    assert_eq!(by_id(&id[..8]).0, by_alert);
    assert_eq!(by_id(&id.to_uppercase()).0, by_alert);
    for (kind, id) in [("incident", &incident), ("notification", &notice)] {
        let (told, said) = by_id(id);
        // Before its first denial.
        assert!(told.contains("Asked for: from 2025-06-01 02:10:04 to "), "{told}");
        assert_eq!(told.lines().next(), by_alert.lines().next());
        assert!(said.starts_with(&format!("The {kind} {id} is about {EXPORT} {account}")), "{said}");
    }
    let unknown = ["--alert", "0123456789abcdef", "--logs", "s3://logs/"];
    let (told, said) = text(&investigate(&server, &table, &unknown), 2);
    assert!(
        told.is_empty() && said.contains("no alert, incident or notification about one caller with the id"),
        "{said}"
    );
}

#[test]
fn an_alert_s_command_works_as_a_shell_reads_it() {
    let server = s3(samples(), |_| None);
    let folder = Path::new(env!("CARGO_BIN_EXE_replay")).parent().expect("a folder");
    let mut commands = BTreeMap::new();
    for alert in alerts(&server) {
        let Some(command) = alert["investigate"]["caller"].as_str() else {
            assert_eq!(alert["user"]["id"], Value::Null, "{alert}");
            continue;
        };
        commands.insert(command.to_owned(), alert["cloud"]["account"]["id"].clone());
    }
    assert!(commands.len() > 5, "{commands:?}");
    for (command, account) in commands {
        let variables =
            [("PATH", folder.to_str().expect("UTF-8")), ("AWS_ENDPOINT_URL_S3", server.url.as_str())];
        let run = program("/bin/sh", &["-c", &command], &variables).output().expect("it runs");
        let (told, said) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        let sections = ["Denied", "Failed otherwise", "Other operations"];
        let has_calls = sections.iter().any(|section| told.contains(&format!("\n{section}\n")));
        assert!(has_calls, "{command}\n{told}{said}");
        assert!(told.contains(account.as_str().expect("text")), "{command}\n{told}");
    }
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_told() {
    let bucket = Arc::new(BTreeMap::from([
        ("a/1.json.gz".to_owned(), gzip(&log(&["1", "2"]))),
        ("b/2.json.gz".to_owned(), gzip(&log(&["3"]))),
    ]));
    let server = s3(bucket, |request| {
        key(request).starts_with("a/").then(|| Reply::s3_error(403, "AccessDenied", "no"))
    });
    let time = ["--since", "2025-06-01", "--until", "2025-06-02"];
    let arguments = [&["--caller", "eve", "--logs", "s3://logs"][..], &time].concat();
    let (told, said) = text(&investigate(&server, &nowhere(), &arguments), 2);
    assert!(
        told.starts_with("No call succeeded after the first denial.\n1 call at 2025-06-01 10:00:00 UTC"),
        "{told}"
    );
    assert!(told.contains("\n  1 input could not be read, or not to the end.\n"), "{told}");
    assert!(said.contains("error: s3://logs/a/1.json.gz: S3 GetObject of s3://logs/a/1.json.gz: "), "{said}");
    assert!(
        told.contains("No invocation log from 2025-06-01 00:00:00 to 2025-06-01 10:00:00 UTC."),
        "{told}"
    );
}

#[test]
fn bad_usage_is_refused_before_anything_is_read() {
    let server = s3(samples(), |_| None);
    let logs = ["--logs", "s3://logs/"];
    for (arguments, expected) in [
        (&["--caller", "a["][..], "--caller a[: "),
        (&["--caller", "a", "--since", "yesterday"], "--since yesterday: expected a time such as"),
        (
            &["--caller", "a", "--since", "2025-06-02", "--until", "2025-06-01"],
            "is not before 2025-06-01 00:00:00 UTC",
        ),
        (&["--caller", "a", "--logs", "logs"], "logs: expected s3://bucket/prefix"),
        (&["--caller", "a", "--alert", "01234567"], "cannot be used with"),
        (&["--alert", "01234"], "expected an id as the message has it, 8 to 32 hexadecimal digits"),
        (&["--alert", "report-export"], "hexadecimal digits"),
        (&[], "--caller"),
    ] {
        let (told, said) = text(&investigate(&server, &nowhere(), &[arguments, &logs].concat()), 2);
        assert!(told.is_empty() && said.contains(expected), "{arguments:?}: {said}");
    }
    assert!(server.requests().is_empty());
}
