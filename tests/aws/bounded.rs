//! State is bounded by the number of objects, never by the size of an attack.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bedrock_denial_watch::count::claims::Claimant;
use bedrock_denial_watch::lambda::aws::DynamoDbStore;
use bedrock_denial_watch::pipeline::Delivery;
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;

use crate::handler::Recorder;
use crate::oracle::pipeline;
use crate::support::{TABLE, dynamodb, time};

const OBJECTS: usize = 100;
/// DynamoDB's limit for an item, which would make a key silent.
const ITEM_BYTES: usize = 400 * 1024;

/// As DynamoDB counts: names and values in UTF-8, and a few bytes for each element.
fn size(name: &str, value: &AttributeValue) -> usize {
    name.len()
        + match value {
            AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
            AttributeValue::Ss(set) => set.iter().map(|text| text.len() + 1).sum::<usize>() + 3,
            AttributeValue::L(list) => list.iter().map(|value| size("", value) + 1).sum::<usize>() + 3,
            AttributeValue::M(map) => {
                map.iter().map(|(name, value)| size(name, value) + 1).sum::<usize>() + 3
            }
            AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
            other => panic!("{other:?} is not stored"),
        }
}

/// One hour of one key's denials, `each` in each object: sort key and size of the items, and the alerts.
async fn attack(each: usize) -> (Vec<(String, usize)>, usize) {
    let config = dynamodb().await;
    let store = DynamoDbStore::new(&config, TABLE.to_owned());
    let pipeline = pipeline(DENIED_MODEL.clone(), store, Recorder::default());
    let start = time("2025-06-01T10:00:00Z").epoch_ms();
    for object in 0..OBJECTS {
        let mut reader = pipeline.read("object");
        for number in 0..each {
            // Each object reaches over the whole hour, which is the worst for the number of items.
            let at = start + i64::try_from(number * 3_600_000 / each).expect("small");
            let at = bedrock_denial_watch::source::time::EventTime::from_epoch_ms(at);
            reader.push(
                format!(
                    r#"{{"timestamp":"{at}","accountId":"123456789012","identity":{{"arn":"arn:aws:iam::123456789012:user/eve"}},"modelId":"anthropic.claude-v2","requestId":"{object:08x}-0000-4000-8000-{number:012x}","errorCode":"AccessDeniedException"}}{}"#,
                    "\n"
                )
                .as_bytes(),
            );
        }
        let read = reader.finish();
        assert_eq!(read.statistics.denials, each as u64);
        let owner = format!("request-{object}");
        let claimant = Claimant { owner: &owner, now: 1_748_775_600, lease: Duration::from_secs(60) };
        let outcome = pipeline.commit(read.tally, Delivery { object: "object", claimant }).await;
        assert_eq!(outcome.failed, 0, "{:?}", outcome.failures);
    }
    let client = Client::new(&config);
    let mut pages = client.scan().table_name(TABLE).into_paginator().send();
    let mut items = Vec::new();
    while let Some(page) = pages.next().await {
        for item in page.expect("a page").items() {
            let Some(AttributeValue::S(sort_key)) = item.get("sk") else { panic!("{item:?}") };
            items.push((sort_key.clone(), item.iter().map(|(name, value)| size(name, value)).sum()));
        }
    }
    let alerts = pipeline.sink.published.lock().expect("no panic").len();
    (items, alerts)
}

#[tokio::test]
async fn ten_times_the_denials_take_the_same_state() {
    // 10_000 in each object, a million in all, take minutes in a debug build.
    let most = std::env::var("DENIALS_AN_OBJECT").map_or(560, |text| text.parse().expect("a number"));
    let (few, _) = attack(56).await;
    let (many, alerts) = attack(most).await;
    let largest = |items: &[(String, usize)]| items.iter().map(|(_, bytes)| *bytes).max().expect("items");
    let all = |items: &[(String, usize)]| items.iter().map(|(_, bytes)| bytes).sum::<usize>();
    println!(
        "{} denials in {OBJECTS} objects: {} items, {} bytes, the largest {}; of {}: {} items, {} bytes, the largest {}",
        56 * OBJECTS,
        few.len(),
        all(&few),
        largest(&few),
        most * OBJECTS,
        many.len(),
        all(&many),
        largest(&many),
    );
    // The shard of an object is random, and larger figures have more digits.
    assert!(largest(&many) < ITEM_BYTES / 16);
    assert!(all(&many) <= all(&few) + all(&few) / 20 && many.len() <= few.len() + few.len() / 10);
    assert_eq!(alerts, 1);
}
