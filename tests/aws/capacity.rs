//! What counting costs in DynamoDB: units of each write and of the Query beside it, as a slot fills.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bedrock_denial_watch::alert::sink::DiscardSink;
use bedrock_denial_watch::count::counter::{Contribution, SHARDS, Slot};
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::count::store::Store;
use bedrock_denial_watch::deliver::{Delivery, Outcome};
use bedrock_denial_watch::lambda::aws::{DynamoDbStore, Meter};
use bedrock_denial_watch::rule::catalogue::{ALL, DENIED_MODEL};
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::rule::field::Field;
use bedrock_denial_watch::source::time::EventTime;
use futures_util::StreamExt;
use futures_util::stream;

use crate::depth::Sample;
use crate::handler::Recorder;
use crate::oracle::{pipeline, read};
use crate::support::{TABLE, dynamodb, time};

/// Models as AWS names them, for a sweep.
const MODELS: [&str; 8] = [
    "anthropic.claude-opus-4-20250514-v1:0",
    "anthropic.claude-3-7-sonnet-20250219-v1:0",
    "anthropic.claude-3-opus-20240229-v1:0",
    "meta.llama3-1-405b-instruct-v1:0",
    "mistral.mistral-large-2407-v1:0",
    "amazon.nova-premier-v1:0",
    "deepseek.r1-v1:0",
    "cohere.command-r-plus-v1:0",
];
const ROLE: &str = "arn:aws:sts::111122223333:assumed-role/DataPlatformExecutionRole";
const START: &str = "2025-06-01T12:00:00Z";
const EXPIRES_AT: u64 = 1_750_000_000;

/// Where records come from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Log,
    Trail,
}

/// Who names a role's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sessions {
    /// EC2, after the instance: 19 characters.
    Instances,
    /// EKS, after cluster, service account and a UUID: 61 characters.
    Pods,
}

/// Where objects come from, how many denials each holds, and who names the sessions.
type Objects = (Source, usize, Sessions);

/// The denials of one object of one slot, as the rule counts them: new requests, one model after the
/// other, or new sessions.
fn object(source: Source, rule: &Rule, object: usize, denials: usize, sessions: Sessions) -> String {
    let record = |number: usize| {
        // Files come every 30 seconds or less, so those of a slot are spread over it.
        let second = object * 5 % 570 + number * 30 / denials.max(1);
        let at =
            EventTime::from_epoch_ms(time(START).epoch_ms() + i64::try_from(second).expect("small") * 1000);
        let sequence = object * 1000 + number;
        let request = format!("0f8b1f2e-6f0b-4f3a-9c3d-{sequence:012x}");
        let session = match rule.id {
            "session-rotation" | "role-denials" => {
                let session = object * 1000 + number;
                match sessions {
                    Sessions::Instances => format!("i-{session:017x}"),
                    Sessions::Pods => {
                        format!("eks-prod-eu1-report-exp-7b1d0c42-5e1a-4e0c-8d36-{session:012x}a")
                    }
                }
            }
            _ => "i-0a1b2c3d4e5f67890".to_owned(),
        };
        let model = if rule.distinct == Field::Model { MODELS[number % MODELS.len()] } else { MODELS[0] };
        match source {
            Source::Log => format!(
                r#"{{"timestamp":"{at}","accountId":"111122223333","region":"us-east-1","identity":{{"arn":"{ROLE}/{session}"}},"modelId":"us.{model}","requestId":"{request}","operation":"Converse","errorCode":"AccessDeniedException"}}"#
            ),
            Source::Trail => format!(
                r#"{{"eventVersion":"1.11","eventTime":"{at}","eventSource":"bedrock.amazonaws.com","eventName":"Converse","awsRegion":"us-east-1","sourceIPAddress":"198.51.100.23","userAgent":"Boto3/1.38.27 md/Botocore#1.38.27 ua/2.1 os/linux#6.1.0 md/arch#x86_64 lang/python#3.11.9 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.38.27","errorCode":"AccessDenied","errorMessage":"User: {ROLE}/{session} is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:us-east-1::foundation-model/{model} because no identity-based policy allows the bedrock:InvokeModel action","userIdentity":{{"type":"AssumedRole","arn":"{ROLE}/{session}","accessKeyId":"ASIAP6KUPFACNEXAMPLE"}},"requestParameters":{{"modelId":"us.{model}"}},"requestID":"{request}","recipientAccountId":"111122223333"}}"#
            ),
        }
    };
    let records: Vec<String> = (0..denials).map(record).collect();
    match source {
        Source::Log => records.join("\n"),
        Source::Trail => format!(r#"{{"Records":[{}]}}"#, records.join(",")),
    }
}

fn counted(rule: &Rule, text: &str) -> (Key, Vec<(Slot, Contribution)>) {
    let read = read(&pipeline(rule.clone(), MemoryStore::default(), DiscardSink), text);
    let mut summaries: Vec<_> = read.tally.into_summaries().collect();
    let summary = summaries.pop().expect("a key");
    assert!(summaries.is_empty(), "one key");
    let contributions = summary.contributions().collect();
    (summary.key, contributions)
}

/// As DynamoDB counts: "DynamoDB item sizes and formats" in the Amazon DynamoDB developer guide. It says
/// nothing of sets; they are taken as their elements.
fn size(name: &str, value: &AttributeValue) -> usize {
    name.len()
        + match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(digits) => 1 + digits.trim_end_matches('0').len().div_ceil(2),
            AttributeValue::Ss(set) => set.iter().map(String::len).sum(),
            other => panic!("{other:?} is in no counter"),
        }
}

/// The sizes of all items, by sort key.
async fn sizes(config: &SdkConfig) -> BTreeMap<String, usize> {
    let client = Client::new(config);
    let mut pages = client.scan().table_name(TABLE).into_paginator().send();
    let mut sizes = BTreeMap::new();
    while let Some(page) = pages.next().await {
        for item in page.expect("a page").items() {
            let Some(AttributeValue::S(sort_key)) = item.get("sk") else { panic!("{item:?}") };
            sizes.insert(sort_key.clone(), item.iter().map(|(name, value)| size(name, value)).sum());
        }
    }
    sizes
}

/// Rounded up, and never nothing.
fn units(bytes: usize, unit: usize) -> f64 {
    float(bytes.div_ceil(unit).max(1))
}

/// What one slot has cost so far.
#[derive(Clone, Copy, Debug)]
struct Cost {
    objects: usize,
    /// Units of a write, on the average of all so far.
    write: f64,
    /// Of the next one, on the average over the shards.
    next: f64,
    /// Of one Query of the slot.
    query: f64,
    /// Bytes in the slot.
    bytes: usize,
}

/// How large a counter is: what each of its items holds beside the contributions, and a contribution.
#[derive(Clone, Copy, Debug)]
struct Weight {
    item: usize,
    contribution: usize,
}

/// How many writes' units are compared with the sizes of the items.
const CHECKED: usize = 20;

/// Fills one slot and says what it costs at each number of objects, as the engine reports it.
async fn fill(rule: &Rule, (source, denials, sessions): Objects, at: &[usize]) -> (Weight, Vec<Cost>) {
    let config = dynamodb().await;
    let meter = Meter::default();
    let store = DynamoDbStore::metered(&config, TABLE.to_owned(), &meter);
    let (mut before, mut costs, mut written) = (BTreeMap::new(), Vec::new(), 0.0);
    let (mut weight, mut first_item) = (Weight { item: 0, contribution: 0 }, 0);
    for number in 1..=*at.last().expect("a number of objects") {
        let (key, contributions) = counted(rule, &object(source, rule, number, denials, sessions));
        let [(slot, contribution)] = &contributions[..] else { panic!("one slot: {contributions:?}") };
        store.add(rule, &key, *slot, contribution, EXPIRES_AT).await.expect("added");
        let usage = meter.take();
        assert_eq!(usage.of("DynamoDB", "UpdateItem"), 1);
        written += usage.write_units;
        if number <= CHECKED || at.contains(&number) {
            let after = sizes(&config).await;
            if number <= CHECKED {
                let grown = after.iter().find(|(sort_key, size)| before.get(*sort_key) != Some(*size));
                let (sort_key, size) = grown.expect("one item has grown");
                assert_eq!(usage.write_units.to_bits(), units(*size, 1024).to_bits(), "{size} bytes");
                let grew = size - before.get(sort_key).copied().unwrap_or_default();
                match before.get(sort_key) {
                    None => first_item = grew,
                    // A second object adds nothing but its contribution.
                    Some(_) => weight = Weight { item: first_item - grew, contribution: grew },
                }
            }
            before = after;
        }
        if at.contains(&number) {
            let found = store.counters(&key, slot.minutes, slot.start..=slot.start).await.expect("read");
            assert_eq!(found.len(), 1);
            let query = meter.take().read_units;
            let bytes = before.values().sum();
            // Each page is rounded up by itself.
            let pages = float(bytes >> 20);
            assert!((0.0..=pages).contains(&(query - units(bytes, 4096))), "{query} units, {bytes} bytes");
            let shards: Vec<usize> = before.values().copied().collect();
            costs.push((
                shards,
                Cost { objects: number, write: written / float(number), next: 0.0, query, bytes },
            ));
        }
    }
    let with_next = |(shards, cost): (Vec<usize>, Cost)| {
        let shards = shards.into_iter().chain(std::iter::repeat(weight.item)).take(usize::from(SHARDS));
        let next = shards.map(|size| units(size + weight.contribution, 1024)).sum::<f64>();
        Cost { next: next / f64::from(SHARDS), ..cost }
    };
    (weight, costs.into_iter().map(with_next).collect())
}

fn rules() -> impl Iterator<Item = &'static Rule> {
    // No object is about watched callers.
    ALL.iter().filter(|rule| rule.on && !rule.is_only_in_cloudtrail() && !rule.is_about_watched())
}

#[tokio::test]
async fn writes_stay_small_as_a_slot_fills() {
    for rule in Sample::new().one_in(3, rules()) {
        // CloudTrail's events come in batches of five seconds, so that one holds fewer denials of a key.
        for (source, denials) in [(Source::Log, 8), (Source::Trail, 4)] {
            let objects = (source, denials, Sessions::Instances);
            let (weight, costs) = fill(rule, objects, &[1, 20, 100]).await;
            for (cost, limit) in costs.iter().zip([2.0, 2.0, 4.0]) {
                assert!(cost.write <= limit, "{} {objects:?}: {cost:?}, {weight:?}", rule.id);
            }
        }
    }
}

#[tokio::test]
#[ignore = "a measurement: make capacity"]
async fn the_table_of_units() {
    println!("units a write (average so far, next one) and a Query of the slot");
    println!("{:18}{:6}{:>8}{:>9}{:>9}", "rule", "source", "denials", "an item", "an object");
    for rule in rules() {
        for source in [Source::Log, Source::Trail] {
            let full = 2 * rule.samples();
            let mut kinds: Vec<_> = [1, 4, 8, full].map(|denials| (denials, Sessions::Instances)).into();
            if rule.id == "session-rotation" {
                kinds.extend([8, full].map(|denials| (denials, Sessions::Pods)));
            }
            kinds.dedup();
            for (denials, sessions) in kinds {
                let (weight, costs) = fill(rule, (source, denials, sessions), &[1, 20, 100]).await;
                let Weight { item, contribution } = weight;
                let name = if sessions == Sessions::Pods { "pods" } else { rule.id };
                print!("{name:18}{:6}{denials:8}{item:9}{contribution:9}", format!("{source:?}"));
                for Cost { objects, write, next, query, bytes } in costs {
                    print!(" | {objects:3}: {write:5.2} {next:5.2} {query:3} {bytes:6}");
                }
                println!();
            }
        }
    }
}

#[tokio::test]
#[ignore = "a measurement: make capacity"]
async fn a_threshold_of_a_thousand() {
    let rule = Rule { threshold: 1000, ..DENIED_MODEL.clone() };
    for denials in [8, 200, 2002, 10_000] {
        let (weight, costs) = fill(&rule, (Source::Log, denials, Sessions::Instances), &[1, 20]).await;
        println!("Threshold 1000, {denials} denials an object: {weight:?}");
        for cost in costs {
            println!("  {cost:?}");
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn float(number: usize) -> f64 {
    number as f64
}

/// How many deliveries of one key a second one partition bears, when they come evenly: all items of a key
/// share it, and DynamoDB gives a partition 1,000 write and 3,000 read units a second.
///
/// Source: "Best practices for designing and using partition keys effectively" in the Amazon DynamoDB
/// developer guide.
fn sustained(weight: Weight, slots: usize) -> (f64, f64) {
    let (item, contribution, shards) = (float(weight.item), float(weight.contribution), f64::from(SHARDS));
    let per_second = |cost: &dyn Fn(f64) -> f64, limit: f64| {
        let tenths = (1..100_000).map(|tenth| f64::from(tenth) / 10.0);
        tenths.take_while(|rate| rate * cost(*rate) <= limit).last().unwrap_or_default()
    };
    let a_slot = |rate: f64| 600.0 * rate;
    let write = |rate: f64| ((item + contribution * (1.0 + a_slot(rate) / shards)) / 1024.0).ceil();
    let read = |rate: f64| {
        (float(slots) * (shards.min(a_slot(rate)) * item + a_slot(rate) * contribution) / 4096.0).ceil()
    };
    (per_second(&write, 1000.0), per_second(&read, 3000.0))
}

#[tokio::test]
#[ignore = "a measurement: make capacity"]
async fn the_hottest_key_by_the_model() {
    println!("deliveries of one key a second that one partition bears: by writes, by reads");
    // The window and the slot in which the denial lies.
    for (attack, slots) in [("first 10 minutes", 1), ("an hour", 7)] {
        for denials in [1, 8] {
            let (weight, _) = fill(&DENIED_MODEL, (Source::Log, denials, Sessions::Instances), &[20]).await;
            let (writes, reads) = sustained(weight, slots);
            println!("  after {attack:16} {denials} denials an object: {writes:6.1} {reads:6.1}");
        }
    }
}

#[tokio::test]
#[ignore = "a measurement: make capacity"]
async fn the_hottest_key_on_the_local_engine() {
    const DELIVERIES: usize = 320;
    const AT_ONCE: usize = 32;
    let config = dynamodb().await;
    let store = DynamoDbStore::new(&config, TABLE.to_owned());
    let pipeline = pipeline(DENIED_MODEL.clone(), store, Recorder::default());
    let began = Instant::now();
    let deliveries = (0..DELIVERIES).map(async |number| {
        let read = read(&pipeline, &object(Source::Log, &DENIED_MODEL, number, 8, Sessions::Instances));
        let owner = format!("request-{number}");
        let claimant = Claimant { owner: &owner, now: 1_748_775_600, lease: Duration::from_secs(60) };
        pipeline.commit(read.tally, Delivery { object: "object", claimant }).await
    });
    let outcomes: Vec<Outcome> = stream::iter(deliveries).buffer_unordered(AT_ONCE).collect().await;
    let seconds = began.elapsed().as_secs_f64();
    let failed: usize = outcomes.iter().map(|outcome| outcome.failed).sum();
    let notices: u64 = outcomes.iter().map(|outcome| outcome.notices).sum();
    assert_eq!((failed, notices), (0, 1));
    println!(
        "{DELIVERIES} deliveries of one key, {AT_ONCE} at once: {:.0} a second, {notices} notice, {failed} failures",
        float(DELIVERIES) / seconds
    );
}
