//! `denial-watch` over a real table: the built program against a real engine.

use std::process::{Command, Output};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use crate::http::Server;
use crate::replay::{CUT_OFF, TOPIC, replay, text};
use crate::sns::accepted;
use crate::support::{TABLE, dynamodb, nowhere};

/// A table with the sample logs counted.
async fn counted() -> SdkConfig {
    let config = dynamodb().await;
    let sns = Server::start(|_, _| Some(accepted()));
    let endpoints = [
        ("AWS_ENDPOINT_URL_DYNAMODB", config.endpoint_url().expect("set")),
        ("AWS_ENDPOINT_URL_SNS", &*sns.url),
    ];
    let arguments = ["--apply", "--yes", "--table", TABLE, "--topic", TOPIC, "events/logs"];
    text(&replay("http://127.0.0.1:9", &arguments, &endpoints), CUT_OFF);
    config
}

fn watch(config: &SdkConfig, arguments: &[&str]) -> Output {
    let (verb, rest) = arguments.split_first().expect("a verb");
    Command::new(env!("CARGO_BIN_EXE_denial-watch"))
        .args([verb, "--table", TABLE])
        .args(rest)
        .env_clear()
        .envs([
            ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_ENDPOINT_URL_DYNAMODB", config.endpoint_url().expect("set")),
        ])
        .output()
        .expect("it runs")
}

#[tokio::test]
async fn status_shows_who_is_near_a_threshold_what_is_open_and_who_is_muted() {
    let config = counted().await;
    let caller = r##"["#caller","444455556666","arn:aws:iam::444455556666:user/ci/report-export"]"##;
    let put = Client::new(&config).put_item().table_name(TABLE);
    let text_of = |value: &str| AttributeValue::S(value.to_owned());
    let put = put.item("pk", text_of(caller)).item("sk", text_of("mute")).item("why", text_of("load test"));
    put.item("until", AttributeValue::N("1748920000".to_owned())).send().await.expect("put");

    let at = ["status", "--at", "2025-06-03T02:36:00Z"];
    let (shown, _) = text(&watch(&config, &at), 0);
    assert!(
        shown.starts_with(
            "At 2025-06-03 02:36:00 UTC\n\nKeys with denials, the nearest to their threshold first\n"
        ),
        "{shown}"
    );
    assert!(shown.contains("denied-model  last 2025-06-03 02:35:02  alerted\n            user/ci/report-export  anthropic.claude-opus-4-20250514-v1:0\n"), "{shown}");
    assert!(
        shown.contains("\nOpen incidents\n  HIGH      user/ci/report-export  account 444455556666\n"),
        "{shown}"
    );
    assert!(
        shown.contains("2 alerts since 2025-06-03 02:10:22, 1 notice, the last about 1, muted\n"),
        "{shown}"
    );
    assert!(
        shown.ends_with("\nMuted callers\n  user/ci/report-export until 2025-06-03 03:06:40: load test\n"),
        "{shown}"
    );

    let (json, _) = text(&watch(&config, &[&at[..], &["--format", "json"]].concat()), 0);
    let status: Value = serde_json::from_str(&json).expect("JSON");
    let keys = status["keys"].as_array().expect("keys");
    assert!(keys.iter().all(|key| key["last_seen"].as_str() <= Some("2025-06-03T02:36:00Z")), "{json}");
    let share = |key: &Value| {
        key["counted"].as_u64().map(|counted| counted * 1000 / (key["threshold"].as_u64().unwrap_or(0) + 1))
    };
    assert!(keys.windows(2).all(|pair| share(&pair[0]) >= share(&pair[1])), "{json}");
    assert_eq!(status["incidents"][0]["muted"], true);
    assert_eq!(status["mutes"][0]["why"], "load test");

    let (quiet, _) = text(&watch(&config, &["status", "--at", "2025-06-10"]), 0);
    assert_eq!(quiet.matches("  none\n").count(), 3, "{quiet}");
}

#[tokio::test]
async fn explain_says_of_the_table_what_replay_says_of_the_files() {
    let config = counted().await;
    for asked in ["d269d02a89f40fd9f7f70bb2f17e3df2", "researcher-3"] {
        let (of_table, _) = text(&watch(&config, &["explain", asked]), 0);
        let (of_files, _) =
            text(&replay("http://127.0.0.1:9", &["--explain", asked, "events/logs"], &[]), CUT_OFF);
        assert_eq!(of_table.trim_end(), of_files.trim_end());
        assert!(of_table.starts_with("denied-model: "), "{of_table}");
    }
    let (nothing, _) = text(&watch(&config, &["explain", "nobody"]), 0);
    assert!(nothing.starts_with("Nothing counted by "), "{nothing}");
}

#[tokio::test]
async fn what_goes_wrong_is_said_with_its_place() {
    let (_, error) = text(&watch(&nowhere(), &["status"]), 2);
    assert!(error.starts_with(&format!("error: DynamoDB Scan on table {TABLE}: ")), "{error}");
    let config = dynamodb().await;
    let bad = |arguments: &[&str], expected: &str| {
        let (_, error) = text(&watch(&config, arguments), 2);
        assert!(error.starts_with("error: ") && error.contains(expected), "{error}");
    };
    bad(&["status", "--set", "denied-model.threshold=x"], "--set denied-model.threshold=x: ");
    bad(&["status", "--rules", "sweep"], "--rules sweep: expected one or more of");
    bad(&["status", "--at", "soon"], "--at soon: expected a time such as");
}
