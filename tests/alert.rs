//! What an alert says, to each kind of reader, within every limit.

#![allow(
    clippy::redundant_closure_for_method_calls,
    reason = "a method path is not general enough over the alert's lifetime"
)]

use std::collections::BTreeSet;

use bedrock_denial_watch::alert::{Alert, MAX_MESSAGE_BYTES, id};
use bedrock_denial_watch::denial::Source;
use bedrock_denial_watch::evidence::{Evidence, Kind};
use bedrock_denial_watch::key::Key;
use bedrock_denial_watch::rules::DENIED_MODEL;
use bedrock_denial_watch::time::EventTime;
use bedrock_denial_watch::window::Figures;
use serde_json::Value;

const USER: &str = "arn:aws:sts::111122223333:assumed-role/SupportChatbot/i-0a1b2c3d4e5f67890";
const MODEL: &str = "anthropic.claude-3-opus-20240229-v1:0";

fn time(text: &str) -> EventTime {
    EventTime::parse(text).expect("a time")
}

fn evidence(kind: Kind, value: &str) -> Evidence {
    Evidence { kind, value: value.to_owned() }
}

fn with<T>(values: [Option<&str>; 3], tell: impl FnOnce(&Alert<'_>) -> T) -> T {
    let key = Key { rule: DENIED_MODEL.id, values: values.map(|value| value.map(str::to_owned)).to_vec() };
    tell(&Alert {
        rule: &DENIED_MODEL,
        key: &key,
        at: time("2025-06-02T09:14:48Z"),
        figures: Figures {
            first_seen: time("2025-06-02T09:14:07Z"),
            last_seen: time("2025-06-02T09:14:48Z"),
            total: 4,
            at_least: false,
            newest: ["r1", "r2", "r3", "r4"].map(str::to_owned).to_vec(),
            sources: BTreeSet::from([Source::InvocationLog]),
            evidence: BTreeSet::from([evidence(Kind::Region, "us-east-1")]),
        },
        object: "s3://logs/a.json.gz",
    })
}

fn usual<T>(tell: impl FnOnce(&Alert<'_>) -> T) -> T {
    with([Some("111122223333"), Some(USER), Some(MODEL)], tell)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn the_document_has_every_field_of_the_contract() {
    let document = json(&usual(|alert| alert.document()));
    let fields: BTreeSet<&str> =
        document.as_object().expect("an object").keys().map(String::as_str).collect();
    let expected = BTreeSet::from([
        "@timestamp",
        "event",
        "rule",
        "user",
        "cloud",
        "gen_ai",
        "threat",
        "total_denials",
        "threshold",
        "window_minutes",
        "first_seen",
        "last_seen",
        "request_ids",
        "objects",
        "triage",
        "id",
    ]);
    assert_eq!(fields, expected);
    assert_eq!(document["@timestamp"], "2025-06-02T09:14:48Z");
    assert_eq!(document["event"]["kind"], "alert");
    assert_eq!(document["event"]["category"], json(r#"["api"]"#));
    assert_eq!(document["event"]["type"], json(r#"["denied"]"#));
    assert_eq!(document["event"]["outcome"], "failure");
    assert_eq!(document["event"]["severity"], 73);
    assert_eq!(document["event"]["risk_score"], 73);
    assert_eq!(document["event"]["start"], "2025-06-02T09:14:07Z");
    assert_eq!(document["event"]["end"], "2025-06-02T09:14:48Z");
    assert_eq!(document["rule"]["id"], "denied-model");
    assert_eq!(document["rule"]["uuid"], "17261da3-a6d0-463c-aac8-ea1718afcd20");
    assert_eq!(document["user"]["id"], USER);
    assert_eq!(document["cloud"]["account"]["id"], "111122223333");
    assert_eq!(document["cloud"]["region"], json(r#"["us-east-1"]"#));
    assert_eq!(document["gen_ai"]["request"]["model"]["id"], MODEL);
    assert_eq!(document["gen_ai"]["response"]["error_code"], "AccessDeniedException");
    assert_eq!(document["threat"]["technique"][0]["id"], "AML.T0015");
    assert_eq!(document["threat"]["technique"][1]["id"], "AML.T0034");
    assert_eq!(document["total_denials"], 4);
    assert_eq!(document["threshold"], 3);
    assert_eq!(document["window_minutes"], 60);
    assert_eq!(document["request_ids"], json(r#"["r1","r2","r3","r4"]"#));
    assert_eq!(document["objects"], json(r#"["s3://logs/a.json.gz"]"#));
}

#[test]
fn a_missing_value_is_null_for_programs_and_unknown_for_people() {
    with([None, None, None], |alert| {
        let document = json(&alert.document());
        assert!(document["user"]["id"].is_null() && document["cloud"]["account"]["id"].is_null());
        assert!(document["gen_ai"]["request"]["model"]["id"].is_null());
        assert!(alert.email().contains("User      unknown"));
        assert!(alert.chat().contains("*User* `unknown`"));
        assert!(alert.message().attributes.iter().all(|(_, value)| !value.is_empty()));
    });
}

#[test]
fn the_email_reads_well() {
    let expected = "\
Somebody keeps trying an Amazon Bedrock model they are denied.

User      arn:aws:sts::111122223333:assumed-role/SupportChatbot/i-0a1b2c3d4e5f67890
Model     anthropic.claude-3-opus-20240229-v1:0
Account   111122223333
Region    us-east-1
Denials   4 (the rule fires above 3 within 60 minutes)
First     2025-06-02 09:14:07 UTC
Last      2025-06-02 09:14:48 UTC
Severity  high, risk score 73
Seen in   Bedrock invocation log

This is a stolen key that probes for expensive models, somebody working around
the model policy, or a policy that blocks honest work.

What to do first
  1. ";
    let email = usual(|alert| alert.email());
    assert!(email.starts_with(expected), "{email}");
    assert!(email.contains("Request ids, newest last\n  r1\n  r2\n  r3\n  r4\n"), "{email}");
}

#[test]
fn subject_and_sms_are_short_ascii() {
    usual(|alert| {
        assert_eq!(
            alert.subject(),
            "[high] Bedrock: i-0a1b2c3d4e5f67890 denied 4 times for anthropic.claude-3-opus-20240229-v1:0"
        );
        assert_eq!(
            alert.sms(),
            "Bedrock: i-0a1b2c3d4e5f67890 denied 4 times for anthropic.claude-3-opus-202... in account 111122223333 since 2025-06-02 09:14:07 UTC"
        );
    });
    let long = "ü\n".repeat(3000);
    with([Some(&long), Some(&long), Some(&long)], |alert| {
        for (text, limit) in [(alert.subject(), 99), (alert.sms(), 160)] {
            assert!(text.len() <= limit, "{} bytes: {text}", text.len());
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        }
    });
}

#[test]
fn nothing_in_an_id_acts_in_chat() {
    let evil = "<!channel> <@U1> <https://evil.example|click> `*b* @here &lt;\n\u{202e}";
    with([Some(evil), Some(evil), Some(evil)], |alert| {
        let chat = json(&alert.chat());
        let texts =
            [&chat["content"]["title"], &chat["content"]["description"], &chat["metadata"]["summary"]];
        for text in texts {
            let text = text.as_str().expect("text");
            for trap in ["<", "://", "@here", "\u{202e}", "&lt;\n"] {
                assert!(!text.contains(trap), "{trap:?} in {text}");
            }
        }
        let description = chat["content"]["description"].as_str().expect("text");
        assert_eq!(description.matches('`').count(), 6, "{description}");
        assert_eq!(description.lines().count(), 7, "{description}");
    });
}

#[test]
fn chat_has_the_schema_of_custom_notifications() {
    usual(|alert| {
        let chat = json(&alert.chat());
        assert_eq!((&chat["version"], &chat["source"]), (&json("\"1.0\""), &json("\"custom\"")));
        assert_eq!(chat["content"]["textType"], "client-markdown");
        assert!(chat["content"]["nextSteps"].as_array().is_some_and(|steps| !steps.is_empty()));
        assert!(chat["content"]["keywords"].is_array());
        let thread = chat["metadata"]["threadId"].as_str().expect("a thread").to_owned();
        // The same key later is the same thread; another key is another.
        let later = Alert { at: time("2025-06-03T00:00:00Z"), ..alert.clone() };
        assert_eq!(json(&later.chat())["metadata"]["threadId"], thread);
        assert_ne!(later.id(), alert.id());
        with([None, Some(USER), Some(MODEL)], |other| {
            assert_ne!(json(&other.chat())["metadata"]["threadId"], thread);
        });
    });
}

#[test]
fn the_message_has_a_text_for_every_subscriber_and_attributes_for_filters() {
    usual(|alert| {
        let message = alert.message();
        let body = json(&message.body);
        assert_eq!(body["default"], alert.document());
        assert_eq!(body["email"], alert.email());
        assert_eq!(body["email-json"], alert.email());
        assert_eq!(body["https"], alert.chat());
        assert_eq!(body["sms"], alert.sms());
        let expected = [
            ("rule", "denied-model"),
            ("severity", "high"),
            ("account", "111122223333"),
            ("alert_id", &alert.id()),
        ];
        assert_eq!(message.attributes.each_ref().map(|(name, value)| (*name, value.as_str())), expected);
    });
}

#[test]
fn the_worst_ids_stay_under_the_limit_of_a_message() {
    for unit in ["\"", "\\", "\u{1f525}", "<", "\u{7f}", "&"] {
        let long = unit.repeat(20_000);
        with([Some(&long), Some(&long), Some(&long)], |alert| {
            let mut alert = alert.clone();
            alert.object = &long;
            alert.figures.newest = vec![long.clone(); 10];
            let size = alert.message().body.len();
            assert!(size < MAX_MESSAGE_BYTES, "{unit:?}: {size} bytes");
        });
    }
}

#[test]
fn a_lower_bound_says_so_everywhere() {
    usual(|alert| {
        let mut alert = alert.clone();
        alert.figures.at_least = true;
        assert_eq!(json(&alert.document())["total_denials_at_least"], true);
        for text in [alert.email(), alert.chat(), alert.sms(), alert.subject()] {
            assert!(text.contains("at least 4"), "{text}");
        }
    });
}

#[test]
fn an_id_depends_on_key_and_time_alone() {
    let key = |model: &str| Key { rule: "denied-model", values: vec![None, None, Some(model.to_owned())] };
    let at = time("2025-06-02T09:14:48Z");
    assert_eq!(id(&key("a"), at), id(&key("a"), at));
    assert_ne!(id(&key("a"), at), id(&key("b"), at));
    assert_ne!(id(&key("a"), at), id(&key("a"), at.plus(std::time::Duration::from_millis(1))));
    // Held still: consumers deduplicate by it, across versions too.
    assert_eq!(id(&key("a"), at), "efc589c6bd7891e6ed4dab2e530da33f");
}
