//! The event bus over the wire: what `PutEvents` sends, and what it answers.

use serde_json::{Value, json};

use crate::http::{Reply, Request, Server};
use crate::sns::{accepted, publish_to};
use crate::support::key;

const BUS: &str = "arn:aws:events:us-east-1:123456789012:event-bus/security";

fn is_put(request: &Request) -> bool {
    request.headers.iter().any(|(name, value)| name == "x-amz-target" && value == "AWSEvents.PutEvents")
}

/// A server whose bus gives `answer`.
fn server(status: u16, answer: Value) -> Server {
    Server::start(move |_, request| {
        Some(if is_put(request) { Reply::new(status, answer.to_string()) } else { accepted() })
    })
}

#[tokio::test]
async fn each_alert_is_put_on_the_bus_as_a_finding() {
    let server = server(200, json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "e-1" }] }));
    let eve = key(&[Some("123456789012"), Some("arn:aws:iam::123456789012:user/eve"), Some("m")]);
    publish_to(&server.url, &eve, None, Some(BUS)).await.expect("put");
    let puts: Vec<Request> = server.requests().into_iter().filter(is_put).collect();
    let [put] = &puts[..] else { panic!("{} puts", puts.len()) };
    let body: Value = serde_json::from_slice(&put.body).expect("JSON");
    let entry = &body["Entries"][0];
    assert_eq!(entry["EventBusName"], BUS);
    assert_eq!(
        (&entry["Source"], &entry["DetailType"]),
        (&json!("bedrock-denial-watch"), &json!("Detection Finding"))
    );
    let detail: Value = serde_json::from_str(entry["Detail"].as_str().expect("text")).expect("JSON");
    assert_eq!(detail["class_uid"], 2004);
    assert_eq!(detail["evidences"][0]["actor"]["user"]["uid"], "arn:aws:iam::123456789012:user/eve");
}

async fn check_failed(status: u16, answer: Value, expected: &str) {
    let server = server(status, answer);
    let error =
        publish_to(&server.url, &key(&[None, None, None]), None, Some(BUS)).await.expect_err("failed");
    assert!(
        error.starts_with(&format!("EventBridge PutEvents to {BUS}: ")) && error.contains(expected),
        "{error}"
    );
}

#[tokio::test]
async fn an_entry_that_the_bus_refused_fails_the_alert_though_the_request_succeeded() {
    let refused = json!({ "ErrorCode": "AccessDenied", "ErrorMessage": "no policy lets you" });
    check_failed(
        200,
        json!({ "FailedEntryCount": 1, "Entries": [refused] }),
        "AccessDenied: no policy lets you",
    )
    .await;
    check_failed(200, json!({ "FailedEntryCount": 1, "Entries": [] }), "no given reason").await;
}

#[tokio::test]
async fn a_bus_that_does_not_exist_fails_the_alert_with_its_reason() {
    let answer =
        json!({ "__type": "ResourceNotFoundException", "message": "Event bus security does not exist." });
    check_failed(400, answer, "does not exist").await;
}
