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
async fn each_notice_is_put_on_the_bus_as_a_finding() {
    let server = server(200, json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "e-1" }] }));
    let eve = key(&[Some("123456789012"), Some("arn:aws:iam::123456789012:user/eve"), Some("m")]);
    assert_eq!(publish_to(&server.url, &eve, None, Some(BUS)).await, Ok(0));
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

async fn check_lost(status: u16, answer: Value) {
    let server = server(status, answer);
    let lost = publish_to(&server.url, &key(&[None, None, None]), None, Some(BUS)).await;
    assert_eq!(lost, Ok(1), "people are notified once, whatever becomes of the bus");
    assert_eq!(server.requests().iter().filter(|request| !is_put(request)).count(), 1);
}

#[tokio::test]
async fn an_entry_that_the_bus_refused_is_counted_as_lost_though_the_request_succeeded() {
    let refused = json!({ "ErrorCode": "AccessDenied", "ErrorMessage": "no policy lets you" });
    check_lost(200, json!({ "FailedEntryCount": 1, "Entries": [refused] })).await;
    check_lost(200, json!({ "FailedEntryCount": 1, "Entries": [] })).await;
}

#[tokio::test]
async fn a_bus_that_does_not_exist_holds_up_no_notice() {
    let answer =
        json!({ "__type": "ResourceNotFoundException", "message": "Event bus security does not exist." });
    check_lost(400, answer).await;
}
