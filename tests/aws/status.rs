//! `denial-watch` over a real table: the built program against a real engine.

use std::fs;
use std::future::ready;
use std::process::Output;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bedrock_denial_watch::alert::sink::DiscardSink;
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::document::Versioned;
use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::store::{self, Mute, Store};
use bedrock_denial_watch::count::tally::Tally;
use bedrock_denial_watch::deliver::{Delivery, Pipeline, TimeLeft};
use bedrock_denial_watch::lambda::aws::DynamoDbStore;
use bedrock_denial_watch::reader::Limits;
use bedrock_denial_watch::rule::catalogue::ALL;
use bedrock_denial_watch::rule::settings::Settings;
use bedrock_denial_watch::source::object::{delivery_stamp, skip_by_name};
use futures_util::FutureExt;
use serde_json::Value;

use crate::replay::{replay, text};
use crate::support::{TABLE, dynamodb, nowhere, program};

/// A table with the sample logs counted, in the order in which they were delivered.
pub async fn counted() -> SdkConfig {
    let config = dynamodb().await;
    let pipeline = Pipeline {
        store: DynamoDbStore::new(&config, TABLE.to_owned()),
        sink: DiscardSink,
        rules: Settings::new(ALL.clone()).rules_on(),
        exempt_users: Vec::new(),
        limits: Limits::default(),
    };
    let files = walkdir::WalkDir::new("events/logs").into_iter().map(|entry| entry.expect("an entry"));
    let names = files
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().to_str().expect("UTF-8").to_owned())
        .filter(|name| skip_by_name(name).is_none());
    let mut names: Vec<String> = names.collect();
    names.sort_by_key(|name| delivery_stamp(name).map(str::to_owned));
    for name in &names {
        let bytes = fs::read(name).expect("read");
        let mut reader = pipeline.read_watching(name, pipeline.watch_list().await.expect("a list"));
        reader.push(&bytes);
        let again = |tally: Tally| {
            let mut reader = pipeline.reader(name, tally);
            reader.push(&bytes);
            ready(Some(reader.finish())).boxed_local()
        };
        let claimant = Claimant { owner: "test", now: 1_748_900_000, lease: Duration::ZERO };
        let delivery = Delivery { object: name, claimant };
        let tally = reader.finish().tally;
        let outcome = pipeline.commit_with(TimeLeft::UNLIMITED, tally, delivery, Some(&again)).await;
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    }
    config
}

fn watch(config: &SdkConfig, arguments: &[&str]) -> Output {
    let (verb, rest) = arguments.split_first().expect("a verb");
    let arguments = [&[*verb, "--table", TABLE], rest].concat();
    let table = config.endpoint_url().expect("set");
    program(env!("CARGO_BIN_EXE_denial-watch"), &arguments, &[("AWS_ENDPOINT_URL_DYNAMODB", table)])
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
        shown.contains(
            "2 alerts since 2025-06-03 02:10:22, 1 notification, the last about 1, muted\n            \
             served: 6 (nova-lite; 204 tokens) since the first denial\n"
        ),
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
    assert_eq!(status["incidents"][0]["served"]["calls"], 6);
    assert_eq!(status["mutes"][0]["why"], "load test");

    let (quiet, _) = text(&watch(&config, &["status", "--at", "2025-06-10"]), 0);
    assert_eq!(quiet.matches("  none\n").count(), 3, "{quiet}");
}

#[tokio::test]
async fn a_rule_that_nothing_connected_can_show_is_named_with_what_would_show_it() {
    let config = dynamodb().await;
    let status = |connected| text(&watch(&config, &["status", "--connected", connected]), 0).0;
    let log = status("invocation-log");
    assert!(log.contains("\nRules that are on, and that nothing connected can show\n  api-key-escape: connect CloudTrail events or CloudTrail files\n"), "{log}");
    assert!(!log.contains("denied-model"), "{log}");
    let events = status("events");
    assert!(
        events.contains("  served-after-denial: connect the invocation log or CloudTrail files\n"),
        "{events}"
    );
    for (all, arguments) in [(status("invocation-log,events"), ""), (status("files"), "files")] {
        assert!(!all.contains("nothing connected"), "{arguments}: {all}");
    }
    let (json, _) = text(&watch(&config, &["status", "--connected", "none", "--format", "json"]), 0);
    let status: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(status["unseen"].as_array().map(Vec::len), Some(ALL.iter().filter(|rule| rule.on).count()));
}

#[tokio::test]
async fn explain_says_of_the_table_what_replay_says_of_the_files() {
    let config = counted().await;
    for asked in ["d269d02a89f40fd9f7f70bb2f17e3df2", "researcher-3"] {
        let (of_table, _) = text(&watch(&config, &["explain", asked]), 0);
        let (of_files, _) = text(&replay("http://127.0.0.1:9", &["--explain", asked, "events/logs"], &[]), 0);
        // A replay sends nothing.
        assert_eq!(of_table.trim_end(), of_files.trim_end().replace("would have been sent", "was sent"));
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
    bad(&["status", "--connected", "s3"], "--connected s3: expected invocation-log, events, files or none");
}

async fn muted(store: &DynamoDbStore, caller: &Caller) -> Mute {
    store::load::<Mute>(store, &Mute::document(caller)).await.expect("read").value
}

#[tokio::test]
async fn a_mute_is_an_item_with_an_end_and_can_be_undone() {
    let config = dynamodb().await;
    let store = DynamoDbStore::new(&config, TABLE.to_owned());
    let role = "arn:aws:sts::111122223333:assumed-role/App";
    let session = format!("{role}/i-0a1b");
    let mute = ["mute", "--caller", &session, "--for", "7d", "--why", "load test"];
    let (shown, _) = text(&watch(&config, &mute), 0);
    assert!(shown.starts_with(&format!("{role} (account 111122223333) is muted until ")), "{shown}");
    let caller = Caller { account: Some("111122223333".to_owned()), arn: Some(role.to_owned()) };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let kept = muted(&store, &caller).await;
    assert_eq!(kept.why, "load test");
    assert!((now + 604_700..=now + 604_800).contains(&kept.until), "{} at {now}", kept.until);
    assert!(kept.is_on(kept.until - 1) && !kept.is_on(kept.until));
    let item = Client::new(&config).scan().table_name(TABLE).send().await.expect("scanned");
    let [item] = item.items() else { panic!("{item:?}") };
    assert_eq!(item["expires_at"], item["until"], "it is deleted once it has ended");

    let (listed, _) = text(&watch(&config, &["mutes"]), 0);
    assert!(listed.starts_with(&format!("{role} (account 111122223333) until ")), "{listed}");
    assert!(listed.ends_with(" UTC: load test\n"), "{listed}");

    // The account that was called is another one.
    let outside = ["unmute", "--caller", role, "--account", "444455556666"];
    let (nothing, _) = text(&watch(&config, &outside), 1);
    assert_eq!(nothing, format!("{role} (account 444455556666) was not muted\n"));
    let (ended, _) = text(&watch(&config, &["unmute", "--caller", role]), 0);
    assert_eq!(ended, format!("{role} (account 111122223333) is no longer muted\n"));
    assert!(!muted(&store, &caller).await.is_on(now));
    let (none, _) = text(&watch(&config, &["mutes"]), 0);
    assert_eq!(none, "No caller is muted.\n");
}

#[tokio::test]
async fn a_mute_that_has_ended_is_not_listed() {
    let config = dynamodb().await;
    let store = DynamoDbStore::new(&config, TABLE.to_owned());
    let caller =
        |name: &str| Caller { account: None, arn: Some(format!("arn:aws:iam::111122223333:user/{name}")) };
    for (name, until) in [("past", 1), ("later", 4_000_000_000), ("soon", 3_900_000_000)] {
        let mute = Versioned { value: Mute { until, why: "a\u{1b}[2Jb".to_owned() }, ..Versioned::default() };
        let change = mute.change(Mute::document(&caller(name))).expect("JSON");
        assert!(store.write(&[change], until).await.expect("written"));
    }
    let (listed, _) = text(&watch(&config, &["mutes"]), 0);
    let users: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    let user = |name: &str| format!("arn:aws:iam::111122223333:user/{name}");
    assert_eq!(users, [user("soon"), user("later")]);
    assert!(!listed.contains('\u{1b}'), "{listed:?}");
}

#[tokio::test]
async fn a_bad_mute_is_refused_before_the_table_is_asked() {
    let config = nowhere();
    let user = "arn:aws:iam::111122223333:user/eve";
    for (caller, span, why, expected) in [
        ("eve", "7d", "x", "expected the caller's ARN as the notice has it"),
        ("arn:aws:iam::1:user/eve", "7d", "x", "expected the caller's ARN"),
        ("arn:aws:s3::111122223333:bucket", "7d", "x", "expected the caller's ARN"),
        (user, "91d", "x", "such as 90m, 8h, 7d or 2w"),
        (user, "0s", "x", "such as 90m"),
        (user, "", "x", "such as 90m"),
        (user, "-1d", "x", "such as 90m"),
        (user, "7", "x", "such as 90m"),
        (user, "7d", "", "--why"),
    ] {
        let mute = ["mute", "--caller", caller, &format!("--for={span}"), "--why", why];
        let (_, error) = text(&watch(&config, &mute), 2);
        assert!(error.contains(expected), "{caller} {span} {why}: {error}");
    }
    let mute = ["mute", "--caller", user, "--for", "2w", "--why", "load test"];
    let (_, error) = text(&watch(&config, &mute), 2);
    assert!(error.starts_with(&format!("error: DynamoDB GetItem on table {TABLE}: ")), "{error}");
}
