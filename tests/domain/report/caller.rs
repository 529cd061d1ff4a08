//! One caller's story, from small logs.

use std::slice::from_ref;

use bedrock_denial_watch::reader::{Limits, Reader};
use bedrock_denial_watch::report::caller::asked::Asked;
use bedrock_denial_watch::report::caller::calls::{KeptCalls, MAX_NAMES};
use bedrock_denial_watch::report::caller::story::CallerStory;
use serde_json::{Value, json};

use crate::fuzz_targets::harmless::{check_characters, check_text};
use crate::hostile_ids;

const EVE: &str = "arn:aws:iam::111122223333:user/eve";
const OPUS: &str = "anthropic.claude-opus-4-20250514-v1:0";
const NOVA: &str = "amazon.nova-lite-v1:0";

/// The calls of `asked` in one object after the other.
fn calls(asked: &str, objects: &[String]) -> KeptCalls {
    let asked = Asked::parse(asked).expect("a pattern");
    let mut calls = KeptCalls::new(asked.clone());
    for (number, object) in objects.iter().enumerate() {
        let name = format!("object-{number}");
        let mut found = KeptCalls::new(asked.clone());
        let mut reader =
            Reader::of_calls(&name, Limits::default(), KeptCalls::filter(), |call| found.add(call));
        assert!(reader.push(object.as_bytes()));
        let read = reader.finish();
        assert_eq!((read.damage, read.faults), (None, Vec::new()), "{object}");
        calls.absorb(found);
    }
    calls
}

fn story(asked: &str, objects: &[String]) -> CallerStory {
    CallerStory::new(asked, &calls(asked, objects), Vec::new())
}

/// A call in the invocation log, `minute` after 10:00.
fn logged(user: &str, minute: u32, model: &str, code: Option<&str>) -> Value {
    let mut record = json!({
        "timestamp": format!("2025-06-01T10:{minute:02}:00Z"), "accountId": "111122223333", "region": "us-east-1",
        "identity": {"arn": user}, "modelId": model, "requestId": id(minute), "schemaType": "ModelInvocationLog",
        "operation": "InvokeModel", "input": {"inputBodyJson": {"prompt": "canary"}}, "output": {},
    });
    if let Some(code) = code {
        record["errorCode"] = json!(code);
    } else {
        record["input"]["inputTokenCount"] = json!(1_000);
        record["input"]["cacheReadInputTokenCount"] = json!(30);
        record["input"]["cacheWriteInputTokenCount"] = json!(4);
        record["output"]["outputTokenCount"] = json!(200);
    }
    record
}

/// The same call in CloudTrail.
fn trailed(user: &str, minute: u32, model: &str, code: Option<&str>) -> Value {
    json!({
        "eventTime": format!("2025-06-01T10:{minute:02}:00Z"), "eventSource": "bedrock.amazonaws.com",
        "eventName": "InvokeModel", "recipientAccountId": "111122223333", "awsRegion": "us-east-1",
        "userIdentity": {"arn": user, "accessKeyId": "AKIAIOSFODNN7EXAMPLE"}, "requestID": id(minute),
        "requestParameters": {"modelId": model}, "sourceIPAddress": "203.0.113.7", "userAgent": "curl/8",
        "additionalEventData": {"inputTokens": 1_000, "outputTokens": 200}, "errorCode": code,
        "errorMessage": code.map(|_| format!("User: {user} is not authorized to perform: bedrock:InvokeModel on resource: \
            arn:aws:bedrock:us-east-1::foundation-model/{model} with an explicit deny in a service control policy: arn:aws:organizations::1:policy/p")),
    })
}

fn id(minute: u32) -> String {
    format!("00000000-0000-4000-8000-0000000000{minute:02}")
}

/// Lines, as Bedrock writes them.
fn lines(records: &[Value]) -> String {
    records.iter().map(|record| record.to_string() + "\n").collect()
}

/// As CloudTrail writes them.
fn file(records: &[Value]) -> String {
    json!({"Records": records}).to_string()
}

/// The same as [`lines`], through a subscription of CloudWatch Logs.
fn copy(records: &[Value]) -> String {
    let events: Vec<Value> = records
        .iter()
        .map(|record| json!({"id": "1", "timestamp": 1, "message": record.to_string()}))
        .collect();
    json!({"messageType": "DATA_MESSAGE", "logEvents": events}).to_string()
}

const DENIED: Option<&str> = Some("AccessDeniedException");

#[track_caller]
fn check(asked: &str, objects: &[String], expected: &str) {
    let document: Value = serde_json::from_str(&story(asked, objects).document()).expect("JSON");
    let served: Vec<String> = document["answer"]["models"]
        .as_array()
        .expect("models")
        .iter()
        .map(|one| {
            format!(
                " {} {}",
                one["model"].as_str().unwrap_or("-"),
                one["served_at"].as_str().expect("a time")
            )
        })
        .collect();
    let kind = document["answer"]["kind"].as_str().expect("text");
    assert_eq!(format!("{kind}{}", served.concat()), expected, "{document:#}");
}

#[test]
fn a_model_served_after_its_denial_is_seen_wherever_the_calls_are() {
    let (denied, served) = (logged(EVE, 10, OPUS, DENIED), logged(EVE, 12, OPUS, None));
    let expected = format!("served-after-denial {OPUS} 2025-06-01T10:12:00Z");
    check("eve", &[lines(&[denied.clone(), served.clone()])], &expected);
    check("eve", &[lines(from_ref(&denied)), lines(from_ref(&served))], &expected);
    check("eve", &[lines(from_ref(&served)), lines(from_ref(&denied))], &expected);
    check("eve", &[file(&[trailed(EVE, 10, OPUS, Some("AccessDenied"))]), lines(&[served])], &expected);
    check(
        "eve",
        &[file(&[trailed(EVE, 10, OPUS, Some("AccessDenied")), trailed(EVE, 12, OPUS, None)])],
        &expected,
    );
    let said = story("eve", &[lines(&[denied, logged(EVE, 12, OPUS, None), logged(EVE, 14, OPUS, None)])])
        .answer
        .text;
    let expected = "Served after denial: anthropic.claude-opus-4-20250514-v1:0, first at 2025-06-01 10:12:00 UTC, 2 min \
                    after the first denial (2 calls, 2,468 tokens).";
    assert_eq!(said, expected);
}

#[test]
fn what_was_served_before_or_to_others_or_of_another_model_is_no_service_of_the_denied_one() {
    let denied = logged(EVE, 10, OPUS, DENIED);
    check("eve", &[lines(&[logged(EVE, 5, OPUS, None), denied.clone()])], "none-served");
    check("eve", &[lines(&[denied.clone(), logged(EVE, 10, NOVA, None)])], "none-served");
    check(
        "eve",
        &[lines(&[denied.clone(), logged(EVE, 11, OPUS, Some("ThrottlingException"))])],
        "none-served",
    );
    let other = lines(&[denied.clone(), logged(EVE, 11, NOVA, None)]);
    check("eve", &[other], &format!("others-served {NOVA} 2025-06-01T10:11:00Z"));
    let bob = "arn:aws:iam::111122223333:user/bob";
    check("*", &[lines(&[denied.clone(), logged(bob, 11, OPUS, None)])], "none-served");
    check("eve", &[file(&[trailed(EVE, 10, OPUS, Some("AccessDenied"))])], "not-known");
    check("eve", &[lines(&[logged(EVE, 11, OPUS, None)])], "not-denied");
    check("mallory", &[lines(&[denied])], "no-calls");
}

#[test]
fn of_several_callers_each_is_named() {
    let bob = "arn:aws:iam::111122223333:user/bob";
    let pair = |user, minute| [logged(user, minute, OPUS, DENIED), logged(user, minute + 1, OPUS, None)];
    let log = lines(&[pair(EVE, 10), pair(bob, 20)].concat());
    let said = story("*", &[log]).answer.text;
    assert!(
        said.contains(&format!("{OPUS} to eve, first at ")) && said.contains(&format!("{OPUS} to bob, ")),
        "{said}"
    );
}

#[test]
fn another_session_of_a_role_is_the_same_caller() {
    let session = |name: &str| format!("arn:aws:sts::111122223333:assumed-role/App/{name}");
    let log = lines(&[logged(&session("a"), 10, OPUS, DENIED), logged(&session("b"), 11, OPUS, None)]);
    check(
        "arn:aws:sts::111122223333:assumed-role/App",
        &[log],
        &format!("served-after-denial {OPUS} 2025-06-01T10:11:00Z"),
    );
}

#[test]
fn a_call_is_one_call_in_whatever_copies_and_logs_and_order() {
    let records = [logged(EVE, 10, OPUS, DENIED), logged(EVE, 12, OPUS, None)];
    let trail = [trailed(EVE, 10, OPUS, Some("AccessDenied")), trailed(EVE, 12, OPUS, None)];
    let both = story("eve", &[lines(&records), file(&trail)]).document();
    for objects in [
        vec![file(&trail), lines(&records)],
        vec![file(&trail), lines(&records), lines(&records), file(&trail), copy(&records)],
        vec![copy(&records), file(&trail), lines(&records)],
        vec![copy(&records), file(&trail)],
        vec![lines(&records[1..]), file(&trail), lines(&records[..1])],
    ] {
        assert_eq!(story("eve", &objects).document(), both);
    }
    let document: Value = serde_json::from_str(&both).expect("JSON");
    assert_eq!(document["seen"]["calls"], 2);
    assert_eq!(
        document["cost"]["tokens"],
        json!({"input": 1_000, "output": 200, "cache_read": 30, "cache_write": 4})
    );
    // CloudTrail adds what the invocation log lacks.
    let denied = &document["denied"]["rows"][0];
    assert_eq!(
        (&denied["calls"], &denied["causes"][0]["cause"]),
        (&json!(1), &json!("service control policy"))
    );
    assert_eq!(denied["policies"]["rows"][0], "arn:aws:organizations::1:policy/p");
    let kinds: Vec<&str> = document["identities"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["kind"].as_str())
        .collect();
    let expected = [
        "callers",
        "users",
        "accounts",
        "credentials",
        "access_key_ids",
        "addresses",
        "user_agents",
        "regions",
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn of_cloudtrail_alone_its_own_tokens_count() {
    let cost = story("eve", &[file(&[trailed(EVE, 12, OPUS, None)])]).cost;
    assert_eq!((cost.tokens.input, cost.tokens.output), (1_000, 200));
    // 1,000 in at 15 and 200 out at 75 USD per million.
    assert!((cost.estimated_usd - 0.03).abs() < 1e-9, "{}", cost.estimated_usd);
}

#[test]
fn failures_and_other_operations_are_named() {
    let mut listed = trailed(EVE, 10, OPUS, None);
    listed["eventName"] = json!("ListFoundationModels");
    let mut refused = listed.clone();
    refused["errorCode"] = json!("AccessDenied");
    refused["requestID"] = json!("another");
    let mut invalid = trailed(EVE, 11, NOVA, Some("ValidationException"));
    invalid["errorMessage"] = json!("The provided model identifier is invalid.");
    let told = story("eve", &[file(&[listed, refused, invalid]), lines(&[logged(EVE, 10, OPUS, None)])]);
    let operation = &told.operations.rows[0];
    // The id of a request that another operation shares is not its own.
    assert_eq!(told.served.rows.len(), 1);
    assert_eq!(operation.operation.as_deref(), Some("bedrock:ListFoundationModels"));
    assert_eq!((operation.seen.calls, operation.failed), (2, 1));
    let failed = &told.failed.rows[0];
    assert_eq!(failed.error_code.as_deref(), Some("ValidationException"));
    assert_eq!(failed.causes[0].cause.as_deref(), Some("wrong model id"));
    assert!(told.denied.rows.is_empty());
}

#[test]
fn what_no_list_prices_is_named() {
    let log = lines(&[logged(EVE, 10, "custom.model", None), logged(EVE, 11, NOVA, None)]);
    let cost = story("eve", &[log]).cost;
    assert_eq!(cost.not_priced, ["custom.model"]);
    assert_eq!(cost.without_cache, [NOVA]);
    assert!(cost.estimated_usd > 0.0);
}

#[test]
fn gaps_are_named() {
    let mut far = trailed(EVE, 12, OPUS, None);
    (far["awsRegion"], far["eventTime"]) = (json!("eu-west-1"), json!("2025-06-04T10:00:00Z"));
    let mut between = logged("arn:aws:iam::111122223333:user/bob", 1, OPUS, None);
    between["timestamp"] = json!("2025-06-03T10:00:00Z");
    let log = logged(EVE, 10, OPUS, None);
    let gaps = |objects: &[String]| story("eve", objects).gaps;
    assert_eq!(
        gaps(&[lines(&[log.clone(), between]), file(&[far])]),
        [
            "No invocation log of eu-west-1 was read.",
            "No CloudTrail record of Bedrock of us-east-1 was read.",
            "No record of anyone on 2025-06-02."
        ]
    );
    let [trail] = &gaps(&[lines(&[log])])[..] else { panic!("one gap") };
    assert!(trail.starts_with("No CloudTrail record of Bedrock was read: "), "{trail}");
    assert_eq!(
        gaps(&[lines(&[logged(EVE, 10, OPUS, None)]), file(&[trailed(EVE, 10, OPUS, None)])]),
        [""; 0]
    );
}

#[test]
fn any_number_of_names_takes_bounded_room() {
    let many = MAX_NAMES + 100;
    let record = |number: usize| {
        let mut record = logged(EVE, 10, &format!("m{number}"), DENIED);
        record["requestId"] = json!(format!("{number}"));
        record
    };
    let log = lines(&(0..many).map(record).collect::<Vec<_>>());
    let told = story("eve", &[log]);
    let document = told.document();
    assert!(document.len() < 400_000, "{} bytes", document.len());
    let shown = told.denied.rows.len() as u64;
    // The last row is all that are not kept apart.
    assert_eq!(shown + told.denied.more, MAX_NAMES as u64 + 1);
    assert_eq!(told.seen.map(|seen| seen.calls), Some(many as u64));
    let text = told.text(80);
    assert!(text.lines().count() < 80, "{text}");
    assert!(text.contains("and 4,991 more (--format json lists more)"), "{text}");
}

#[test]
fn the_text_fits_the_terminal_and_nothing_in_it_acts() {
    for (name, trap) in hostile_ids::all() {
        let user = format!("arn:aws:iam::111122223333:user/{trap}");
        let mut trail = trailed(&user, 10, &trap, Some("AccessDenied"));
        (trail["sourceIPAddress"], trail["userAgent"]) = (json!(trap), json!(trap));
        let mut other = trailed(&user, 14, "m", Some(&trap));
        other["eventName"] = json!(trap);
        let log = lines(&[
            logged(&user, 12, &trap, None),
            logged(&user, 13, "m", Some("X")),
            logged(&user, 11, "m", DENIED),
        ]);
        let told = story("*", &[log, file(&[trail, other])]);
        for columns in [40, 80] {
            for line in told.text(columns).lines() {
                check_text(line, &[]);
                assert!(unicode_width::UnicodeWidthStr::width(line) <= columns, "{name}: {line}");
            }
        }
        for line in told.document().lines() {
            check_characters(line);
        }
    }
}
