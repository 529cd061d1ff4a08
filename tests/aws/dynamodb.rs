//! What only DynamoDB has: the layout of items, a limit on their size, lost answers, errors.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bedrock_denial_watch::call::Source;
use bedrock_denial_watch::count::alerts::{self, AlertLog, AlertRecord, ArchivedDay};
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::counter::Slot;
use bedrock_denial_watch::count::document::{Change, DocumentId, Versioned};
use bedrock_denial_watch::count::incident::IncidentSlot;
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::lease::Lease;
use bedrock_denial_watch::count::store::{Mute, Store, StoreError, load};
use bedrock_denial_watch::lambda::aws::DynamoDbStore;
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;

use crate::handler::Recorder;
use crate::http::{Reply, Request, Server};
use crate::oracle::{Denied, deliver, pipeline, rule};
use crate::support::{TABLE, contribution, dynamodb, key, nowhere, sdk, slot, time};

const NOON: &str = "2025-06-01T12:00:00Z";

fn store(config: &SdkConfig) -> DynamoDbStore {
    DynamoDbStore::new(config, TABLE.to_owned())
}

fn eve() -> Key {
    key(&[Some("123456789012"), None, Some("m")])
}

async fn add(store: &DynamoDbStore, key: &Key, hash: &str, values: &[String]) {
    let contribution = contribution(hash, time(NOON), values);
    let added = store.add(&DENIED_MODEL, key, slot(time(NOON)), &contribution, 1_750_000_000);
    added.await.expect("added");
}

/// All items, each as its attributes in order, written as `name=value`.
async fn items(config: &SdkConfig) -> Vec<Vec<String>> {
    let response = Client::new(config).scan().table_name(TABLE).send().await;
    let shown = |(name, value): (&String, &AttributeValue)| match value {
        AttributeValue::S(text) => format!("{name}={text}"),
        AttributeValue::N(number) => format!("{name}=N {number}"),
        AttributeValue::Ss(set) => format!("{name}=SS {set:?}"),
        AttributeValue::L(list) => format!("{name}=L of {}", list.len()),
        other => format!("{name}={other:?}"),
    };
    let attributes = |item: &HashMap<String, AttributeValue>| {
        let mut attributes: Vec<String> = item.iter().map(shown).collect();
        attributes.sort();
        attributes
    };
    response.expect("a scan").items().iter().map(attributes).collect()
}

async fn alerts(store: &DynamoDbStore) -> Result<Versioned<AlertLog>, StoreError> {
    load(store, &alerts::document(&eve())).await
}

/// Writes the first version of a key's alerts.
async fn replace(store: &DynamoDbStore, log: &AlertLog) -> Result<bool, StoreError> {
    let log = Versioned { version: 0, value: log.clone() };
    store.write(&[log.change(alerts::document(&eve())).expect("a change")], 9).await
}

#[tokio::test]
async fn items_have_the_documented_attributes() {
    let config = dynamodb().await;
    let store = store(&config);
    add(&store, &eve(), "ab12", &["q-1".to_owned()]).await;
    let place = Some(IncidentSlot { begin: time(NOON), number: 1 });
    let lease = Some(Lease { owner: "o".to_owned(), until: 7 });
    let record = AlertRecord { place, lease, ..AlertRecord::new("i".to_owned()) };
    let log = AlertLog { alerts: [(time(NOON), record)].into(), ..AlertLog::default() };
    assert!(replace(&store, &log).await.expect("written"));
    let day = ArchivedDay { published: [time(NOON).epoch_ms()].into() };
    let day = Versioned { version: 0, value: day }.change(alerts::archive_document(&eve(), time(NOON)));
    assert!(store.write(&[day.expect("a change")], 9).await.expect("written"));
    let pk = r#"pk=["denied-model","123456789012",null,"m"]"#;
    let mut told = contribution("cd34", time(NOON), &["q-1".to_owned()]);
    told.evidence.insert("source_ip|192.0.2.7".parse().expect("evidence"));
    let trail = Slot { source: Source::CloudTrail, ..slot(time(NOON)) };
    store.add(&DENIED_MODEL, &eve(), trail, &told, 1_750_000_000).await.expect("added");
    let mut found = items(&config).await;
    found.sort();
    assert_eq!(
        found,
        [
            vec![
                "account=123456789012",
                r#"contributions=SS ["ab12:1:1"]"#,
                "denials=N 1",
                "expires_at=N 1750000000",
                "model=m",
                pk,
                r#"samples=SS ["1748779200000|q-1"]"#,
                "sk=count#2025-06-01T12:00:00Z#10#9",
            ],
            vec![
                "account=123456789012",
                r#"contributions=SS ["cd34:1:1"]"#,
                "denials=N 1",
                r#"evidence=SS ["source_ip|192.0.2.7"]"#,
                "expires_at=N 1750000000",
                "model=m",
                pk,
                r#"samples=SS ["1748779200000|q-1"]"#,
                "sk=count#2025-06-01T12:00:00Z#10#cloudtrail#8",
            ],
            vec!["alerts=L of 1", "expires_at=N 9", pk, "sk=alerts", "version=N 1"],
            vec!["expires_at=N 9", pk, "published=L of 1", "sk=alerts#2025-06-01T00:00:00Z", "version=N 1"],
        ]
    );
}

#[tokio::test]
async fn the_number_in_the_table_counts_a_redelivery_once() {
    let config = dynamodb().await;
    let store = store(&config);
    for _ in 0..3 {
        add(&store, &eve(), "ab12", &["r1".to_owned(), "r2".to_owned()]).await;
    }
    let items = items(&config).await;
    assert_eq!(items.len(), 1);
    assert!(items[0].contains(&"denials=N 2".to_owned()), "{items:?}");
}

#[tokio::test]
async fn long_values_are_cut_where_people_read_them_and_keys_stay_short() {
    let config = dynamodb().await;
    let long = "é".repeat(1024);
    let key = key(&[Some(&long), Some(&long), Some(&long)]);
    add(&store(&config), &key, "one", &["q".to_owned()]).await;
    let found = items(&config).await;
    assert!(found[0][0].starts_with("account=é"), "{found:?}");
    assert_eq!(found[0][0].len(), "account=".len() + 512);
    let pk = found[0].iter().find(|shown| shown.starts_with("pk=")).expect("a key");
    assert!(pk.len() <= 1503, "{}", pk.len());
}

#[tokio::test]
async fn what_finds_no_room_goes_to_the_next_item_and_is_found_there_again() {
    let config = dynamodb().await;
    let store = store(&config);
    for _ in 0..2 {
        // These three fall into one shard.
        for object in [0, 8, 26] {
            let values: Vec<String> = (0..2000).map(|value| format!("{object}-{value:0>150}")).collect();
            add(&store, &eve(), &format!("object-{object}"), &values).await;
        }
    }
    let found = items(&config).await;
    let sort_keys: Vec<&String> =
        found.iter().filter_map(|item| item.iter().find(|shown| shown.starts_with("sk="))).collect();
    assert_eq!(
        sort_keys,
        [
            "sk=count#2025-06-01T12:00:00Z#10#9",
            "sk=count#2025-06-01T12:00:00Z#10#9#1",
            "sk=count#2025-06-01T12:00:00Z#10#9#2"
        ]
    );
    for item in &found {
        assert!(item.contains(&"denials=N 2000".to_owned()));
    }
}

/// Hands a request on to `endpoint` and returns the answer's status and body.
pub fn forward(endpoint: &str, request: &Request) -> Reply {
    let address = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the engine");
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    for (name, value) in &request.headers {
        head = format!("{head}{name}: {value}\r\n");
    }
    head += "connection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(&request.body).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let status = String::from_utf8_lossy(&answer[9..12]).parse().expect("a status");
    Reply::new(status, &answer[end + 4..])
}

/// The first attempt of each write takes effect, but its answer is lost.
fn lossy(config: &SdkConfig) -> Server {
    let endpoint = config.endpoint_url().expect("set").to_owned();
    Server::start(move |number, request| {
        let reply = forward(&endpoint, request);
        (number % 2 == 1).then_some(reply)
    })
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_counts_once() {
    let config = dynamodb().await;
    let proxy = lossy(&config);
    let behind = store(&sdk(&proxy.url));
    add(&behind, &eve(), "one", &["q".to_owned()]).await;
    assert_eq!(proxy.requests().len(), 2);
    let found = store(&config).counters(&eve(), 10, time(NOON)..=time(NOON)).await;
    assert_eq!(found.expect("read")[0].contributions().map(|one| one.amount).sum::<u64>(), 1);
    // The claim stands, and the next read shows it to its owner.
    assert!(!replace(&behind, &AlertLog::default()).await.expect("answered"));
    assert_eq!(alerts(&store(&config)).await.expect("read").version, 1);
}

#[tokio::test]
async fn throttling_is_tried_again() {
    let server = Server::start(|number, _| {
        let throttled = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}"#;
        Some(if number < 3 { Reply::new(400, throttled) } else { Reply::new(200, "{}") })
    });
    add(&store(&sdk(&server.url)), &eve(), "one", &["q".to_owned()]).await;
    assert_eq!(server.requests().len(), 4);
}

#[track_caller]
fn check_error(result: Result<impl Sized, StoreError>, parts: &[&str]) {
    let error = result.err().expect("an error").to_string();
    for part in parts {
        assert!(error.contains(part), "{part:?} in {error}");
    }
    assert!(!error.contains('\n') && error.len() < 1000, "{error}");
}

#[tokio::test]
async fn errors_name_operation_table_and_cause() {
    let config = dynamodb().await;
    let store = DynamoDbStore::new(&config, "nope".to_owned());
    let missing = ["on table nope", "ResourceNotFoundException", "request id"];
    let contribution = contribution("one", time(NOON), &["q".to_owned()]);
    let added = store.add(&DENIED_MODEL, &eve(), slot(time(NOON)), &contribution, 9).await;
    check_error(added, &[&["DynamoDB UpdateItem"], &missing[..]].concat());
    let counters = store.counters(&eve(), 10, time(NOON)..=time(NOON)).await;
    check_error(counters, &[&["DynamoDB Query"], &missing[..]].concat());
    check_error(alerts(&store).await, &[&["DynamoDB GetItem"], &missing[..]].concat());
    let written = replace(&store, &AlertLog::default()).await;
    check_error(written, &[&["DynamoDB PutItem"], &missing[..]].concat());
    let absent =
        ["a", "b"].map(|sort| Change::absent(DocumentId { partition: eve(), sort: sort.to_owned() }));
    let written = store.write(&absent, 9).await;
    check_error(written, &[&["DynamoDB TransactWriteItems"], &missing[..]].concat());
}

#[tokio::test]
async fn an_unreachable_service_is_told_by_the_last_cause() {
    let alerts = alerts(&DynamoDbStore::new(&nowhere(), TABLE.to_owned())).await;
    check_error(alerts, &["DynamoDB GetItem on table denials: dispatch failure", "Connection refused"]);
}

#[tokio::test]
async fn an_item_that_holds_what_it_should_not_is_an_error_not_a_guess() {
    let config = dynamodb().await;
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let put = async |sk: &str, attributes: &[(&str, AttributeValue)]| {
        let mut request = Client::new(&config)
            .put_item()
            .table_name(TABLE)
            .item("pk", text(&eve().text()))
            .item("sk", text(sk));
        for (name, value) in attributes {
            request = request.item(*name, value.clone());
        }
        request.send().await.expect("put");
    };
    let store = store(&config);
    let counters = async || store.counters(&eve(), 10, time(NOON)..=time(NOON)).await;
    let slot = format!("count#{NOON}#10#0");
    put(&slot, &[("denials", text("7"))]).await;
    check_error(counters().await, &["DynamoDB Query on table denials: denials: expected a whole number"]);
    let number = AttributeValue::N("1".to_owned());
    let odd = AttributeValue::Ss(vec!["odd".to_owned()]);
    put(&slot, &[("denials", number.clone()), ("contributions", odd)]).await;
    check_error(counters().await, &["contribution \"odd\": expected"]);
    put("alerts", &[("version", number.clone())]).await;
    check_error(alerts(&store).await, &["document alerts: missing field `alerts`"]);
    let odd = AttributeValue::Ss(vec!["odd".to_owned()]);
    put("alerts", &[("version", number), ("alerts", odd)]).await;
    check_error(alerts(&store).await, &["DynamoDB GetItem on table denials: alerts: expected what JSON has"]);
}

#[tokio::test]
async fn an_operator_mutes_a_caller_by_an_item_beside_its_incidents() {
    let config = dynamodb().await;
    let caller = Caller { account: Some("1".to_owned()), arn: Some("arn:aws:iam::1:user/eve".to_owned()) };
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = |until: &str| {
        Client::new(&config)
            .put_item()
            .table_name(TABLE)
            .item("pk", text(r##"["#caller","1","arn:aws:iam::1:user/eve"]"##))
            .item("sk", text("mute"))
            .item("until", AttributeValue::N(until.to_owned()))
            .item("why", text("load test"))
            .send()
    };
    put("1750000000").await.expect("put");
    let store = store(&config);
    let mute: Versioned<Mute> = load(&store, &Mute::document(&caller)).await.expect("read");
    assert_eq!(mute.value.why, "load test");
    assert!(mute.value.is_on(1_749_999_999) && !mute.value.is_on(1_750_000_000));
    put("soon").await.expect_err("no number");
}

/// Moves all counters to where versions before slots had a length kept them.
async fn move_counters_back(config: &SdkConfig) {
    let client = Client::new(config);
    let all = client.scan().table_name(TABLE).send().await.expect("a scan");
    for mut item in all.items.unwrap_or_default() {
        let sk = item["sk"].as_s().expect("text").clone();
        if sk.starts_with("count#") && sk.contains("Z#10#") {
            let (pk, earlier) = (item["pk"].clone(), sk.replacen("Z#10#", "Z#", 1));
            item.insert("sk".to_owned(), AttributeValue::S(earlier));
            client.put_item().table_name(TABLE).set_item(Some(item)).send().await.expect("put");
            let delete =
                client.delete_item().table_name(TABLE).key("pk", pk).key("sk", AttributeValue::S(sk));
            delete.send().await.expect("deleted");
        }
    }
}

#[tokio::test]
async fn after_the_upgrade_earlier_counters_are_forgotten_and_no_alert_fires_again() {
    let config = dynamodb().await;
    let pipeline = pipeline(rule(3, 3600, 3600), store(&config), Recorder::default());
    let burst = |key| (0..4).map(|value| Denied { at: value.into(), key, value }).collect::<Vec<_>>();
    let check = async |batch: &[Denied], expected: (usize, u64, u64)| {
        let outcome = deliver(&pipeline, batch, "a", 1_000).await;
        assert_eq!(outcome.failed, 0);
        assert_eq!((outcome.published.len(), outcome.incidents, outcome.notices), expected);
    };
    check(&burst(1), (1, 1, 1)).await;
    check(&burst(2)[..3], (0, 0, 0)).await;
    move_counters_back(&config).await;
    check(&burst(1), (0, 0, 0)).await;
    check(&burst(2)[3..], (0, 0, 0)).await;
    // What is delivered again is counted again, and belongs to the incident that was there.
    check(&burst(2), (1, 0, 0)).await;
}

#[tokio::test]
async fn alerts_that_an_earlier_version_archived_still_cover() {
    let config = dynamodb().await;
    let at = time("2025-06-01T10:00:03Z");
    let eve = key(&[Some("1"), Some("u"), Some("m1")]);
    let log = AlertLog { archived_to: Some(at), ..AlertLog::default() };
    let log = Versioned { version: 0, value: log }.change(alerts::document(&eve)).expect("a change");
    assert!(store(&config).write(&[log], 9).await.expect("written"));
    let put = Client::new(&config).put_item().table_name(TABLE).item("pk", AttributeValue::S(eve.text()));
    let put = put.item("sk", AttributeValue::S(alerts::archive_document(&eve, at).sort));
    let put = put.item("published", AttributeValue::Ns(vec![at.epoch_ms().to_string()]));
    put.send().await.expect("put");
    let pipeline = pipeline(rule(3, 3600, 3600), store(&config), Recorder::default());
    let burst: Vec<_> = (0..4).map(|value| Denied { at: value.into(), key: 1, value }).collect();
    let outcome = deliver(&pipeline, &burst, "a", 1_000).await;
    assert_eq!((outcome.failed, outcome.published.len()), (0, 0));
}
