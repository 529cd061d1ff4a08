//! An alert keeps the severity that it was recorded with, whoever reports it and whatever is known by then.

use std::cell::RefCell;

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::count::store::Store;
use bedrock_denial_watch::deliver::{Delivery, Outcome, Pipeline};
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use serde_json::{Value, json};

use crate::support::*;

const SETUP: &str =
    "Model access is denied due to INVALID_PAYMENT_INSTRUMENT:A valid payment instrument must be provided.";
const POLICY: &str = "User: arn:aws:sts::1:assumed-role/App/s is not authorized to perform: bedrock:InvokeModel on \
     resource: arn:aws:bedrock:us-east-1::foundation-model/m because no identity-based policy allows it";

/// The risk scores of notices, and of alerts as their own messages.
#[derive(Default)]
struct Scores {
    notices: RefCell<Vec<Value>>,
    alerts: RefCell<Vec<Value>>,
}

fn score(document: &str) -> Value {
    let document: Value = serde_json::from_str(document).expect("JSON");
    document["event"]["risk_score"].clone()
}

impl AlertSink for &Scores {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        self.notices.borrow_mut().push(score(&notice.document()));
        Ok(())
    }

    fn wants_alerts(&self) -> bool {
        true
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        self.alerts.borrow_mut().push(score(&alert.document()));
        Ok(())
    }
}

/// Delivers four calls of one role, from second `from` on, that failed for `message`.
fn deliver_trail<S: Store, K: AlertSink>(
    pipeline: &Pipeline<S, K>,
    from: u32,
    message: &str,
    now: u64,
) -> Outcome {
    let record = |number: u32| {
        json!({
            "eventTime": format!("2025-06-01T10:00:{:02}Z", from + number),
            "eventSource": "bedrock.amazonaws.com",
            "eventName": "InvokeModel",
            "errorCode": "AccessDenied",
            "errorMessage": message,
            "userIdentity": {"arn": "arn:aws:sts::1:assumed-role/App/s", "accessKeyId": "ASIAEXAMPLE"},
            "requestParameters": {"modelId": "m"},
            "requestID": format!("r{}", from + number),
            "recipientAccountId": "1",
        })
    };
    let records: Vec<Value> = (0..4).map(record).collect();
    let mut reader = pipeline.read("trail");
    reader.push(json!({ "Records": records }).to_string().as_bytes());
    let owner = format!("delivery {from}");
    let claimant = Claimant { owner: &owner, now, lease: LEASE };
    block_on(pipeline.commit(reader.finish().tally, Delivery { object: "trail", claimant }))
}

/// Delivers calls that failed for `first`, while no notice gets through, then those of `second`, then the first again.
#[track_caller]
fn check(first: &str, second: &str, expected: u8) {
    let (store, sink, weather) = (MemoryStore::default(), Scores::default(), Weather::default());
    let pipeline = in_weather(DENIED_MODEL.clone(), &store, &sink, &weather);
    weather.fails.set(Some(FIRST_NOTICE));
    weather.fatal.set(true);
    assert_eq!(deliver_trail(&pipeline, 0, first, 1_000).failed, 1);
    assert_eq!(*sink.notices.borrow(), [] as [Value; 0]);
    weather.fails.set(None);
    for (from, message) in [(20, second), (0, first)] {
        assert_eq!(deliver_trail(&pipeline, from, message, 1_001 + LEASE.as_secs()).failed, 0);
    }
    assert_eq!(*sink.notices.borrow(), [json!(expected)]);
    assert_eq!(*sink.alerts.borrow(), [json!(expected)]);
}

#[test]
fn an_alert_keeps_the_severity_that_it_was_recorded_with() {
    check(SETUP, SETUP, 47);
    check(SETUP, POLICY, 47);
    check(POLICY, SETUP, 73);
}
