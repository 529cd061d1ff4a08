//! The samples under `events/`, each alone and from an empty store, against what its README says.

use std::fs;
use std::path::Path;

use bedrock_denial_watch::rule::catalogue::ALL;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::handler::{deliver, published, recording};
use crate::http::{Reply, Server};

/// The bucket that `events/logs` is a copy of.
fn logs() -> Server {
    Server::start(|_, request| {
        let path = request.target.split('?').next().unwrap_or_default();
        let path = percent_decode_str(path).decode_utf8().expect("UTF-8");
        let key = path.strip_prefix("/example-bedrock-logs/").expect("the samples' bucket");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("events/logs").join(key);
        Some(match fs::read(file) {
            Ok(body) => Reply::new(200, body),
            Err(_) => Reply::s3_error(404, "NoSuchKey", "The specified key does not exist."),
        })
    })
}

/// `names` are delivered in turn; `expected` has the rule of each alert and the count that fired it.
async fn check(names: &[&str], expected: &[(&str, u64)], answer: Value) {
    let s3 = logs();
    let mut handler = recording(&s3);
    handler.pipeline.rules = ALL.iter().filter(|rule| rule.on).cloned().collect();
    let mut last = Value::Null;
    for name in names {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("events/{name}.json"));
        let event: Value = serde_json::from_str(&fs::read_to_string(path).expect(name)).expect("JSON");
        let delivered = deliver(&handler, &event).await;
        last = serde_json::to_value(delivered.answer.expect(name)).expect("JSON");
    }
    let alerts = handler.pipeline.sink.published.lock().expect("no panic").clone();
    let found: Vec<(&str, u64)> = alerts
        .iter()
        .map(|alert| {
            let total = ["total_models", "total_denials"].iter().find_map(|name| alert[*name].as_u64());
            (alert["rule"]["id"].as_str().expect("a rule"), total.expect("a total"))
        })
        .collect();
    assert_eq!(found, expected, "{names:?}");
    assert_eq!(last, answer, "{names:?}");
    assert_eq!(published(&handler), expected.len());
}

#[tokio::test]
async fn each_sample_does_what_its_readme_says() {
    let none: &[(&str, u64)] = &[];
    let (burst, stolen_key) = (&[("denied-model", 4)][..], &[("denied-model", 9)][..]);
    let batch = || json!({"batchItemFailures":[]});
    for (name, expected, answer) in [
        ("s3-put", burst, json!(null)),
        ("s3-multipart-complete", burst, json!(null)),
        ("s3-key-with-space-and-plus", none, json!(null)),
        ("eventbridge-object-created", none, json!(null)),
        ("s3-test-event", none, json!(null)),
        ("sqs-s3-test-event", none, batch()),
        ("sqs-s3-put", &[("denied-model", 6)], batch()),
        ("pipe-sqs-s3-put", &[("denied-model", 6)], batch()),
        ("sns-s3-put", none, json!(null)),
        ("lambda-on-failure", burst, json!(null)),
        ("sqs-lambda-on-failure", stolen_key, batch()),
        ("sns-cloudtrail-notification", &[("denied-model", 9), ("model-sweep", 6)], json!(null)),
        ("sns-cloudtrail-validation", none, json!(null)),
        ("sqs-sns-confirmation", none, batch()),
        ("eventbridge-api-call", none, json!(null)),
        ("eventbridge-api-call-without-model", none, json!(null)),
        ("sqs-eventbridge-api-calls", &[("model-sweep", 6)], batch()),
    ] {
        check(&[name], expected, answer).await;
    }
    check(&["s3-put", "s3-multipart-complete"], burst, json!(null)).await;
    check(&["sqs-lambda-on-failure", "eventbridge-api-call"], stolen_key, json!(null)).await;
}

#[tokio::test]
async fn each_sample_of_a_job_is_answered_task_by_task() {
    for (name, alert, results) in [
        (
            "s3-batch-operations",
            ("denied-model", 4),
            &["records: 10, denials: 4, alerts: 1", "records: 10, denials: 4, alerts: 0"][..],
        ),
        ("s3-batch-operations-2.0", ("denied-model", 9), &["records: 11, denials: 9, alerts: 1"]),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("events/{name}.json"));
        let mut answer: Value = serde_json::from_str(&fs::read_to_string(path).expect(name)).expect("JSON");
        let tasks = answer["tasks"].as_array().expect("tasks").clone();
        let result = |(task, text): (&Value, &&str)| json!({"taskId":task["taskId"],"resultCode":"Succeeded","resultString":text});
        answer["results"] = tasks.iter().zip(results).map(result).collect();
        answer["treatMissingKeysAs"] = json!("PermanentFailure");
        for request_only in ["job", "tasks"] {
            answer.as_object_mut().expect("an object").remove(request_only);
        }
        check(&[name], &[alert], answer).await;
    }
}
