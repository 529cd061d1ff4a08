//! Every field of every event, and of every object it names, holds a canary of its own. The function's log,
//! metrics and answer contain none of them; its messages and items contain only those the contract names.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use bedrock_denial_watch::rule::catalogue::ALL;
use serde_json::{Value, json};

use crate::bootstrap::run;
use crate::every_field::{canaries, canary, check, inputs, trail};
use crate::handler::bucket;
use crate::sns::form;
use crate::support::TABLE;

/// An S3 notification with all its members; object names are ours.
fn notification(keys: &[String]) -> Value {
    let record = |key: &String| {
        json!({"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": canary("event-region"), "eventName": "ObjectCreated:Put",
            "userIdentity": {"principalId": canary("event-principal")},
            "requestParameters": {"sourceIPAddress": canary("event-address")},
            "responseElements": {"x-amz-request-id": canary("event-request")},
            "s3": {"s3SchemaVersion": "1.0", "configurationId": canary("event-configuration"),
                "bucket": {"name": "b", "ownerIdentity": {"principalId": canary("event-owner")}, "arn": "arn:aws:s3:::b"},
                "object": {"key": key, "size": 1024, "eTag": canary("event-tag"), "sequencer": canary("event-sequencer")}}})
    };
    json!({"Records": keys.iter().map(record).collect::<Vec<_>>()})
}

fn message(body: &Value) -> Value {
    json!({"messageId": "m", "receiptHandle": canary("receipt"), "body": body.to_string(),
        "attributes": {"SenderId": canary("sender")}, "messageAttributes": {canary("attribute"): {"stringValue": canary("attribute-value")}},
        "eventSource": "aws:sqs", "eventSourceARN": canary("queue"), "awsRegion": canary("queue-region")})
}

fn inline(number: usize) -> Value {
    json!({"version": "0", "id": format!("e-{number}"), "detail-type": "AWS API Call via CloudTrail", "source": "aws.bedrock",
        "account": canary("bus-account"), "region": canary("bus-region"), "resources": [canary("bus-resource")],
        "detail": trail(&canary, number, false)})
}

/// Runs the binary for `event` and checks everything it writes. Returns the canaries in its messages.
async fn published(event: &Value, objects: &[(&str, Vec<u8>)]) -> BTreeSet<String> {
    let ids: Vec<&str> = ALL.iter().map(|rule| rule.id).collect();
    let settings: Vec<String> =
        ids.iter().filter(|id| **id != "denied-model").map(|id| format!("{id}.threshold=0")).collect();
    let variables = [("RULES", ids.join(",")), ("RULE_SETTINGS", settings.join(","))];
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
    let every = ("EVERY_ALERT_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:every");
    let s3 = bucket(objects);
    let run = run(&event.to_string(), &s3, &[&variables[..], &[every]].concat()).await;
    for line in &run.lines {
        assert_eq!(canaries(&line.to_string()), BTreeSet::new(), "{line}");
    }
    let answer = String::from_utf8_lossy(&run.answer.body);
    assert_eq!(canaries(&answer), BTreeSet::new(), "{answer}");
    let response = Client::new(&run.dynamodb).scan().table_name(TABLE).send().await.expect("a scan");
    check("items", &format!("{:?}", response.items()));
    let messages: String = run.published.iter().map(|request| format!("{:?}", form(request))).collect();
    check("messages", &messages);
    canaries(&messages)
}

#[tokio::test]
async fn log_and_answer_name_no_caller_and_messages_and_items_only_what_the_contract_names() {
    // Whole, cut in the middle, without its times, and with a member of another type.
    let texts: Vec<String> = inputs(&canary)
        .into_iter()
        .flat_map(|(_, log)| {
            [
                log[..log.len() / 2].to_owned(),
                log.replace("2025-06-01T10", "canarytime"),
                log.replace("\"userIdentity\":{", "\"userIdentity\":7,\"x\":{"),
                log,
            ]
        })
        .collect();
    let keys: Vec<String> = (0..texts.len()).map(|number| format!("{number:03}.json")).collect();
    let objects: Vec<(&str, Vec<u8>)> =
        keys.iter().zip(&texts).map(|(key, text)| (&**key, text.clone().into_bytes())).collect();
    // As many as one invocation has time for.
    let mut shown = BTreeSet::new();
    for keys in keys.chunks(28) {
        shown.extend(published(&notification(keys), &objects).await);
    }
    for name in ["account", "role", "session", "model", "address", "client"] {
        assert!(shown.contains(name), "{name}: {shown:?}");
    }
    let missing = notification(&["none.json".to_owned()]);
    assert_eq!(published(&missing, &[]).await, BTreeSet::new());
}

#[tokio::test]
async fn records_in_the_event_are_as_private() {
    let events: Vec<Value> = (0..5).map(|number| message(&inline(number))).collect();
    let shown = published(&json!({"Records": events}), &[]).await;
    assert!(shown.contains("accesskey") && shown.contains("model"), "{shown:?}");
    // An unknown shape is described by the names of its members alone.
    let unknown = json!({"unknown": canary("value"), "Other": {canary("inner"): canary("inner-value")}});
    assert_eq!(published(&unknown, &[]).await, BTreeSet::new());
    assert_eq!(published(&json!({"Records": [message(&unknown)]}), &[]).await, BTreeSet::new());
}
