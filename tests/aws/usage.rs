//! What a delivery reports about its own cost, by scenario, with all rules that are on by default.

use bedrock_denial_watch::lambda::aws::{DynamoDbStore, Meter, SnsSink, Usage};
use bedrock_denial_watch::lambda::handler::Handler;
use bedrock_denial_watch::rule::catalogue::ALL;
use serde_json::{Value, json};

use crate::handler::{batch, bucket, deliver, failed, metered, notification};
use crate::http::{Reply, Server};
use crate::sns::accepted;
use crate::support::{TABLE, dynamodb, gzip, sdk};

const USER: &str = "arn:aws:iam::111122223333:user/ci/report-export";
const ROLE: &str = "arn:aws:sts::111122223333:assumed-role/DataPlatformExecutionRole/i-0a1b2c3d4e5f67890";

/// Denials, one a second: request ids from `first` on, and models by number.
fn refusals(arn: &str, first: usize, models: usize, each: usize) -> Vec<u8> {
    let record = |number: usize| {
        let (id, model) = (first + number, number % models);
        let second = id % 600;
        format!(
            r#"{{"timestamp":"2025-06-01T10:{:02}:{:02}Z","accountId":"111122223333","region":"us-east-1","identity":{{"arn":"{arn}"}},"modelId":"anthropic.claude-opus-4-{model:04}-v1:0","requestId":"0f8b1f2e-6f0b-4f3a-9c3d-{id:012x}","errorCode":"AccessDeniedException"}}"#,
            second / 60,
            second % 60
        ) + "\n"
    };
    gzip(&(0..models * each).map(record).collect::<String>())
}

fn topic(sns: &Server, meter: &Meter) -> SnsSink {
    SnsSink::metered(&sdk(&sns.url), "arn:aws:sns:us-east-1:1:alerts".to_owned(), None, None, meter)
}

/// What the delivery of one object after the other reports, in one account.
async fn usages(objects: &[(&str, Vec<u8>)], deliveries: &[&str]) -> Vec<Usage> {
    let s3 = bucket(objects);
    let sns = Server::start(|_, _| Some(accepted()));
    let meter = Meter::default();
    let store = DynamoDbStore::metered(&dynamodb().await, TABLE.to_owned(), &meter);
    let sink = topic(&sns, &meter);
    let mut handler = metered(&s3, store, sink, meter);
    handler.pipeline.rules = ALL.iter().filter(|rule| rule.on).cloned().collect();
    let mut usages = Vec::new();
    for key in deliveries {
        usages.push(usage(&handler, key).await);
    }
    usages
}

async fn usage(handler: &Handler<DynamoDbStore, SnsSink>, key: &str) -> Usage {
    let delivered = deliver(handler, &notification(&[key])).await;
    delivered.answer.expect("success");
    delivered.metrics.usage
}

/// GetObject, UpdateItem, PutItem, TransactWriteItems, Query, GetItem, Publish, write units and read units.
#[track_caller]
fn check(usage: &Usage, requests: [u64; 7], units: (f64, f64)) {
    let of = |operation| usage.of("DynamoDB", operation);
    let found = [
        usage.of("S3", "GetObject"),
        of("UpdateItem"),
        of("PutItem"),
        of("TransactWriteItems"),
        of("Query"),
        of("GetItem"),
        usage.of("SNS", "Publish"),
    ];
    assert_eq!((found, usage.write_units, usage.read_units), (requests, units.0, units.1));
    let all: u64 = usage.requests.values().flat_map(|operations| operations.values()).sum();
    assert_eq!(all, found.iter().sum::<u64>(), "{usage:?}");
}

#[tokio::test]
async fn each_scenario_costs_what_is_documented() {
    let clean = gzip(r#"{"timestamp":"2025-06-01T10:00:00Z","modelId":"m","requestId":"r"}"#);
    let objects = [
        ("clean.json.gz", clean),
        ("user.json.gz", refusals(USER, 0, 1, 1)),
        ("role.json.gz", refusals(ROLE, 100, 1, 1)),
        ("burst.json.gz", refusals(USER, 200, 1, 4)),
        ("more.json.gz", refusals(USER, 300, 1, 4)),
    ];
    let one = async |name| usages(&objects, &[name]).await;
    check(&one("clean.json.gz").await[0], [1, 0, 0, 0, 0, 1, 0], (0.0, 1.0));
    check(&one("user.json.gz").await[0], [1, 5, 0, 0, 5, 6, 0], (5.0, 11.0));
    check(&one("role.json.gz").await[0], [1, 7, 0, 0, 7, 8, 0], (7.0, 15.0));
    let found = usages(&objects, &["burst.json.gz", "more.json.gz", "more.json.gz"]).await;
    check(&found[0], [2, 5, 6, 1, 9, 12, 1], (19.0, 21.0));
    check(&found[1], [1, 5, 0, 0, 5, 6, 0], (5.0, 11.0));
    // Sent a second time, nothing is added: DynamoDB refuses, and does not report what that costs.
    check(&found[2], [1, 5, 0, 0, 5, 6, 0], (0.0, 11.0));
}

/// An SQS batch of events, each a denied call of one model, all within ten minutes.
fn events(numbers: std::ops::Range<usize>) -> Value {
    let ids: Vec<String> = numbers.clone().map(|number| format!("m-{number}")).collect();
    let event = |number: usize| {
        json!({
            "detail-type": "AWS API Call via CloudTrail", "source": "aws.bedrock", "id": format!("b-{number}"),
            "detail": {
                "eventVersion": "1.11", "eventSource": "bedrock.amazonaws.com", "eventName": "Converse",
                "eventTime": format!("2025-06-01T10:{:02}:{:02}Z", number / 200, number / 4 % 50),
                "errorCode": "AccessDenied", "requestID": format!("0f8b1f2e-6f0b-4f3a-9c3d-{number:012x}"),
                "requestParameters": {"modelId": "anthropic.claude-opus-4-v1:0"},
                "recipientAccountId": "111122223333", "userIdentity": {"arn": USER},
            },
        })
    };
    let messages: Vec<(&str, Value)> =
        ids.iter().zip(numbers).map(|(id, number)| (id.as_str(), event(number))).collect();
    batch(&messages)
}

#[tokio::test]
async fn a_batch_of_a_hundred_events_costs_what_an_object_with_them_costs() {
    let (s3, meter) = (bucket(&[]), Meter::default());
    let sns = Server::start(|_, _| Some(accepted()));
    let store = DynamoDbStore::metered(&dynamodb().await, TABLE.to_owned(), &meter);
    let mut handler = metered(&s3, store, topic(&sns, &meter), meter);
    handler.pipeline.rules = ALL.iter().filter(|rule| rule.on).cloned().collect();
    let mut read_units = Vec::new();
    for number in 0..8 {
        let delivered = deliver(&handler, &events(number * 100..(number + 1) * 100)).await;
        assert_eq!(failed(&delivered), [""; 0]);
        assert_eq!(delivered.metrics.event_records, 100);
        let usage = &delivered.metrics.usage;
        println!("batch {number}: {usage:?}");
        let of = |operation| usage.of("DynamoDB", operation);
        let writes = (of("UpdateItem"), of("PutItem"), of("TransactWriteItems"));
        let requests = (writes, of("Query"), of("GetItem"));
        // Four keys; the first batch alerts for two of them, and they are one incident, whose caller is watched.
        let expected = if number == 0 { ((4, 7, 1), 8, 10) } else { ((4, 0, 0), 4, 4) };
        assert_eq!(requests, expected, "batch {number}");
        read_units.push(usage.read_units);
    }
    // A contribution a batch, and no more: 400 KB would be a hundred units.
    assert!(read_units.iter().skip(1).all(|units| *units <= 16.0), "{read_units:?}");
}

#[tokio::test]
async fn attempts_that_the_sdk_repeats_are_counted() {
    let s3 = Server::start(|number, _| {
        let slow = Reply::s3_error(503, "SlowDown", "Please reduce your request rate.");
        Some(if number < 2 { slow } else { Reply::new(200, gzip("{}")) })
    });
    let meter = Meter::default();
    let store = DynamoDbStore::new(&dynamodb().await, TABLE.to_owned());
    let sink = SnsSink::new(&sdk(&s3.url), "arn:aws:sns:us-east-1:1:alerts".to_owned());
    let handler = metered(&s3, store, sink, meter);
    check(&usage(&handler, "a.json.gz").await, [3, 0, 0, 0, 0, 0, 0], (0.0, 0.0));
    // The next delivery begins at nothing.
    check(&usage(&handler, "a.json.gz").await, [1, 0, 0, 0, 0, 0, 0], (0.0, 0.0));
}

#[tokio::test]
async fn an_attack_over_a_thousand_models_is_one_message() {
    // As many as documented take half a minute in a debug build.
    let models = std::env::var("MODELS").map_or(50, |text| text.parse().expect("a number"));
    let objects = [("sweep.json.gz", refusals(USER, 0, models, 4))];
    let found = usages(&objects, &["sweep.json.gz"]).await;
    let usage = &found[0];
    println!("{models} models, four refusals each, in one object: {usage:?}");
    assert_eq!(usage.of("SNS", "Publish"), 1);
    // Two counters and a mark for each model; one write records the alerts of many.
    let many = 2 * models as u64;
    assert!((many..many + 10).contains(&usage.of("DynamoDB", "UpdateItem")), "{usage:?}");
    let many = models as u64;
    assert!((many..many + 10).contains(&usage.of("DynamoDB", "PutItem")), "{usage:?}");
    assert!(usage.of("DynamoDB", "TransactWriteItems") <= 1 + many / 50, "{usage:?}");
}

#[tokio::test]
async fn the_line_tells_it_without_making_it_a_metric() {
    let objects = [("burst.json.gz", refusals(USER, 0, 1, 4))];
    let s3 = bucket(&objects);
    let meter = Meter::default();
    let store = DynamoDbStore::metered(&dynamodb().await, TABLE.to_owned(), &meter);
    let sns = Server::start(|_, _| Some(accepted()));
    let sink = topic(&sns, &meter);
    let handler = metered(&s3, store, sink, meter);
    let delivered = deliver(&handler, &notification(&["burst.json.gz"])).await;
    let line: Value = serde_json::from_str(&delivered.metrics.line("watch", "r-1", 1)).expect("JSON");
    // The object in which the incident begins is fetched twice.
    assert_eq!(line["requests"]["S3"], json!({"GetObject": 2}));
    assert_eq!(line["requests"]["SNS"], json!({"Publish": 1}));
    assert!(line["requests"]["DynamoDB"]["PutItem"].as_u64() > Some(2), "{line}");
    assert!(line["write_units"].as_f64() > Some(2.0) && line["read_units"].as_f64() > Some(1.0), "{line}");
    let directive = line["_aws"]["CloudWatchMetrics"][0].to_string();
    for name in ["requests", "write_units", "read_units"] {
        assert!(!directive.contains(name), "{name} costs as much as a metric: {directive}");
    }
    assert!(!line.to_string().contains("report-export"), "{line}");
}
