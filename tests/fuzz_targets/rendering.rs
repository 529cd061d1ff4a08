//! A log whose callers chose their ids → every alert and notice of it, held against the limits of every channel.

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::deliver::{Delivery, Pipeline};
use bedrock_denial_watch::reader::Limits;
use bedrock_denial_watch::rule::catalogue::{ALL, DENIED_MODEL};
use bedrock_denial_watch::rule::definition::Rule;
use futures_util::FutureExt;
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::Duration;

use super::harmless::{check_alert, check_message};

/// Each fires at the first denial; the first of them at any.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let others = ALL.iter().filter(|rule| rule.id != DENIED_MODEL.id);
    std::iter::once(&*DENIED_MODEL).chain(others).map(|rule| Rule { threshold: 0, ..rule.clone() }).collect()
});

/// Checks whatever it receives.
struct Checking;

impl AlertSink for Checking {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        check_message(&notice.message(), notice.worst.rule.references);
        Ok(())
    }

    fn wants_alerts(&self) -> bool {
        true
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        check_alert(alert);
        Ok(())
    }
}

/// The input's texts are the ids in records, in the order of [`record`]; the last ones are used for those that are
/// missing.
pub fn check(input: &[u8]) {
    let texts = super::texts(input);
    let pipeline = Pipeline {
        store: MemoryStore::default(),
        sink: Checking,
        // One alert makes another notice than many.
        rules: RULES[..if texts.len().is_multiple_of(2) { RULES.len() } else { 1 }].to_vec(),
        exempt_users: Vec::new(),
        limits: Limits::default(),
    };
    let object = format!("s3://logs/{}", texts[0]);
    let log: String = texts.chunks(FIELDS).take(3).map(|texts| record(texts) + "\n").collect();
    let mut reader = pipeline.read(&object);
    reader.push(log.as_bytes());
    let read = reader.finish();
    assert_eq!((read.statistics.malformed, read.statistics.unrecognised), (0, 0), "{log}");
    let claimant = Claimant { owner: "owner", now: 1_748_800_000, lease: Duration::from_secs(60) };
    let delivered = pipeline.commit(read.tally, Delivery { object: &object, claimant }).now_or_never();
    let outcome = delivered.expect("nothing waits");
    assert!(outcome.failures.is_empty() && outcome.notices > 0, "{:?}", outcome.failures);
}

const FIELDS: usize = 8;

/// A denied call, in CloudTrail where its first text begins with `t`.
fn record(texts: &[String]) -> String {
    let text = |number: usize| texts.get(number).or(texts.last()).map_or("", String::as_str);
    let time = format!("2025-06-01T10:00:{:02}Z", text(0).len() % 60);
    let user = |text: &str| match text.strip_prefix('r') {
        Some(name) => format!("arn:aws:sts::1:assumed-role/{name}"),
        None => text.to_owned(),
    };
    let record = if text(0).starts_with('t') {
        json!({"eventVersion": "1.11", "eventTime": time, "eventSource": "bedrock.amazonaws.com",
            "eventName": "InvokeModel", "errorCode": "AccessDenied", "recipientAccountId": text(1),
            "userIdentity": {"arn": user(text(2)), "accessKeyId": text(3)},
            "requestParameters": {"modelId": text(4)}, "requestID": text(5), "sourceIPAddress": text(6),
            "userAgent": text(7), "awsRegion": text(6), "vpcEndpointId": text(3),
            "errorMessage": text(0)})
    } else {
        json!({"timestamp": time, "accountId": text(1), "identity": {"arn": user(text(2))}, "region": text(3),
            "modelId": text(4), "requestId": text(5), "errorCode": "AccessDeniedException",
            "output": {"outputBodyJson": {"stopReason": "guardrail_intervened", "trace": {"guardrail": {
                "inputAssessment": {text(6): {"topicPolicy": {"topics": [
                    {"name": text(7), "type": text(7), "action": "BLOCKED"}]}}}}}}}})
    };
    Value::to_string(&record)
}
