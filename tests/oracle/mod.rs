//! What alerts and notices must be: a scenario of one rule, and a recount of it from scratch. The tests of the domain
//! and those against AWS share it.
#![allow(dead_code, reason = "each test uses its own part")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::time::Duration;

use bedrock_denial_watch::alert::sink::AlertSink;
use bedrock_denial_watch::call::Source;
use bedrock_denial_watch::call::credential::Credential;
use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::store::Store;
use bedrock_denial_watch::deliver::{Delivery, Outcome, Pipeline};
use bedrock_denial_watch::reader::{Limits, Read};
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use bedrock_denial_watch::rule::condition::CallOutcome;
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::rule::field::Field;
use bedrock_denial_watch::source::time::EventTime;
use serde_json::{Value, json};

/// 2025-06-01T10:00:00Z in epoch seconds.
pub const TEN: i64 = 1_748_772_000;

/// Knuth's MMIX generator; its high bits are good.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides.max(1)
    }

    pub fn pick(&mut self, length: usize) -> usize {
        usize::try_from(self.roll(length as u64)).expect("small")
    }
}

/// What an environment variable says, such as a seed.
pub fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{variable}={text}: expected a number"))
    })
}

/// One denial, of one of a rule's keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    /// Seconds after [`TEN`].
    pub at: i64,
    /// Keys from 100 on are another caller's, where the rule groups by model.
    pub key: u8,
    /// Which of the distinct values that the rule counts.
    pub value: u32,
}

/// The denials that one object holds.
pub type Batch = Vec<Denied>;

/// What a rule's keys and values look like in a record: user, model and request id of a denial.
fn fields(rule: &Rule, Denied { at, key, value }: &Denied) -> [String; 3] {
    // A model of Bedrock is its own resource.
    let by_model = [Field::Model, Field::Resource].iter().any(|field| rule.group_by.contains(field));
    let is_key_user = rule.records.iter().any(|record| !record.users.is_empty());
    let (session, model, request) = match rule.distinct {
        Field::Session => (value_name(rule, *value), String::new(), format!("r{at}-{key}-{value}")),
        Field::Model => (String::new(), value_name(rule, *value), format!("r{at}-{key}-{value}")),
        Field::Region | Field::Address => ("s".to_owned(), "m".to_owned(), format!("r{at}-{key}-{value}")),
        _ => ("s".to_owned(), "m".to_owned(), value_name(rule, *value)),
    };
    let user = if rule.distinct == Field::Session || rule.group_by.contains(&Field::Role) {
        format!("arn:aws:sts::1:assumed-role/R/{session}")
    } else if is_key_user {
        format!("arn:aws:iam::1:user/BedrockAPIKey-{key}")
    } else if by_model {
        caller_of(*key).to_owned()
    } else {
        format!("u{key}")
    };
    [user, if by_model { format!("m{key}") } else { model }, request]
}

/// Whose key it is, of a rule that groups by model.
pub fn caller_of(key: u8) -> &'static str {
    match key {
        ..100 => "u",
        100..200 => "v",
        200.. => "w",
    }
}

/// Whether a log can be made for it: there are not enough operations to count.
pub fn has_log(rule: &Rule) -> bool {
    rule.distinct != Field::Operation
}

/// A record of CloudTrail that the rule counts.
fn trail(rule: &Rule, denied: &Denied) -> Value {
    let time = EventTime::from_epoch_ms((TEN + denied.at) * 1000);
    let [user, model, request] = fields(rule, denied);
    let value = value_name(rule, denied.value);
    let record = &rule.records[0];
    let is_long_term = record.credentials.contains(&Credential::LongTerm);
    let mut made = json!({
        "eventVersion": "1.11",
        "userIdentity": {"arn": user, "accessKeyId": if is_long_term { "AKIA1" } else { "ASIA1" }},
        "eventTime": time.to_string(),
        "eventSource": if record.services_not.is_empty() { "bedrock.amazonaws.com" } else { "iam.amazonaws.com" },
        "eventName": record.operations.first().unwrap_or(&"InvokeModel"),
        "sourceIPAddress": if rule.distinct == Field::Address { &value } else { "192.0.2.1" },
        "requestParameters": {"modelId": model},
        "requestID": request,
        "recipientAccountId": "1",
    });
    if rule.distinct == Field::Region {
        made["awsRegion"] = json!(value);
    }
    let (code, message) = match record.causes {
        ["quarantine"] => (
            Some("AccessDenied"),
            "User: u is not authorized to perform: bedrock:InvokeModel with an explicit deny in an identity-based policy: \
             arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3",
        ),
        ["impossible"] => (Some("ValidationException"), "max_tokens: range: 1..10"),
        _ => (
            rule.error_code().map(|code| if code == "AccessDeniedException" { "AccessDenied" } else { code }),
            "",
        ),
    };
    if let Some(code) = code {
        (made["errorCode"], made["errorMessage"]) = (json!(code), json!(message));
    }
    made
}

/// What a record of the invocation log must show for the rule to count it, as members.
fn shown(rule: &Rule) -> String {
    match rule.error_code() {
        Some(code) => format!(r#""errorCode":"{code}""#),
        None if rule.records.iter().any(|record| record.empty_answer) => r#""output":{"outputBodyJson":{}}"#.to_owned(),
        None if rule.outcome() == CallOutcome::Succeeded => r#""output":{"outputBodyJson":{"content":[]}}"#.to_owned(),
        None => concat!(
            r#""output":{"outputBodyJson":{"stopReason":"guardrail_intervened","trace":{"guardrail":{"inputAssessment":{"g":{"#,
            r#""topicPolicy":{"topics":[{"type":"DENY","action":"BLOCKED"}]},"#,
            r#""contentPolicy":{"filters":[{"type":"HATE","confidence":"HIGH","action":"BLOCKED"}]},"#,
            r#""wordPolicy":{"customWords":[{"match":"w","action":"BLOCKED"}]},"#,
            r#""sensitiveInformationPolicy":{"piiEntities":[{"type":"EMAIL","action":"BLOCKED"}]}}}}}}}"#
        )
        .to_owned(),
    }
}

/// The log that holds `batch`, as Bedrock or CloudTrail writes it, or as a copy that came through CloudWatch.
pub fn log(rule: &Rule, source: Source, batch: &[Denied]) -> String {
    let shown = shown(rule);
    // CloudTrail has no bodies, and the invocation log no messages.
    let source = if rule.is_only_in_cloudtrail() {
        Source::CloudTrail
    } else if rule.error_code().is_none()
        || (source == Source::AzureOpenAi && rule.error_code() != Some("AccessDeniedException"))
    {
        Source::InvocationLog
    } else {
        source
    };
    let records = batch.iter().map(|denied| {
        let time = EventTime::from_epoch_ms((TEN + denied.at) * 1000);
        let [user, model, request] = fields(rule, denied);
        let region = match rule.distinct {
            Field::Region => format!(r#""region":"{}","#, value_name(rule, denied.value)),
            _ => String::new(),
        };
        match source {
            Source::InvocationLog | Source::CloudWatch => format!(
                r#"{{"timestamp":"{time}","accountId":"1","identity":{{"arn":"{user}"}},{region}"modelId":"{model}","requestId":"{request}",{shown}}}"#
            ),
            Source::CloudTrail => trail(rule, denied).to_string(),
            Source::AzureOpenAi => {
                let location = if rule.distinct == Field::Region { value_name(rule, denied.value) } else { "r".to_owned() };
                json!({"time": time.to_string(), "category": "RequestResponse", "operationName": "ChatCompletions_Create",
                    "resultSignature": "403", "correlationId": request, "location": location,
                    "resourceId": "/SUBSCRIPTIONS/1/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.COGNITIVESERVICES/ACCOUNTS/A",
                    "properties": {"objectId": user, "modelName": model}})
                .to_string()
            }
        }
    });
    let records: Vec<String> = records.collect();
    match source {
        Source::InvocationLog | Source::AzureOpenAi => records.join("\n"),
        Source::CloudTrail => format!(r#"{{"Records":[{}]}}"#, records.join(",")),
        Source::CloudWatch => subscription(&records),
    }
}

/// What CloudWatch Logs writes through Firehose.
pub fn subscription(records: &[String]) -> String {
    let events: Vec<_> =
        records.iter().map(|record| serde_json::json!({"id": "1", "message": record})).collect();
    serde_json::json!({"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logEvents": events})
        .to_string()
}

pub fn rule(threshold: usize, window_s: u64, cooldown_s: u64) -> Rule {
    tuned(&DENIED_MODEL, threshold, window_s, cooldown_s)
}

pub fn tuned(rule: &Rule, threshold: usize, window_s: u64, cooldown_s: u64) -> Rule {
    Rule {
        threshold,
        window: Duration::from_secs(window_s),
        cooldown: Duration::from_secs(cooldown_s),
        ..rule.clone()
    }
}

pub fn pipeline<S, K>(rule: Rule, store: S, sink: K) -> Pipeline<S, K> {
    Pipeline { store, sink, rules: vec![rule], exempt_users: Vec::new(), limits: Limits::default() }
}

pub const LEASE: Duration = Duration::from_secs(60);

/// Delivers an invocation log at `now` (epoch seconds) for `owner`.
pub async fn deliver<S: Store, K: AlertSink>(
    pipeline: &Pipeline<S, K>,
    batch: &[Denied],
    owner: &str,
    now: u64,
) -> Outcome {
    deliver_from(Source::InvocationLog, pipeline, batch, owner, now).await
}

/// Delivers one object at `now` (epoch seconds) for `owner`.
pub async fn deliver_from<S: Store, K: AlertSink>(
    source: Source,
    pipeline: &Pipeline<S, K>,
    batch: &[Denied],
    owner: &str,
    now: u64,
) -> Outcome {
    let read = read(pipeline, &log(&pipeline.rules[0], source, batch));
    let claimant = Claimant { owner, now, lease: LEASE };
    pipeline.commit(read.tally, Delivery { object: "object", claimant }).await
}

/// Reads one object.
pub fn read<S: Store, K: AlertSink>(pipeline: &Pipeline<S, K>, log: &str) -> Read {
    let mut reader = pipeline.read("object");
    reader.push(log.as_bytes());
    reader.finish()
}

// Recount ----------------------------------------------------------------------------------

/// All distinct denials of one key, sorted by time.
pub fn of_key(batches: &[Batch], key: u8) -> Vec<(i64, u32)> {
    let all: BTreeSet<(i64, u32)> =
        batches.iter().flatten().filter(|one| one.key == key).map(|one| (one.at, one.value)).collect();
    all.into_iter().collect()
}

/// A distinct value as the rule's alerts list it.
fn value_name(rule: &Rule, value: u32) -> String {
    match rule.distinct {
        Field::Model => format!("m{value}"),
        // Half of the others are UUIDs, in another order than their numbers, and sort among the rest.
        _ if value.is_multiple_of(2) => {
            format!("{:08x}-0000-4000-8000-{value:012x}", value.wrapping_mul(0x9e37_79b9))
        }
        Field::Session => format!("{:x}s{value}", value % 16),
        _ => format!("{:x}r{value}", value % 16),
    }
}

/// The times at which a denial is hot, by definition.
pub fn hot(denials: &[(i64, u32)], rule: &Rule) -> Vec<i64> {
    let window = i64::try_from(rule.window.as_secs()).expect("small");
    let is_hot = |at: i64| {
        let inside = denials.iter().filter(|(other, _)| (at - window..=at).contains(other));
        inside.map(|(_, request)| request).collect::<BTreeSet<_>>().len() > rule.threshold
    };
    denials.iter().map(|(at, _)| *at).filter(|at| is_hot(*at)).collect()
}

/// The scan: alert at t when hot and t > last alert + cooldown.
pub fn greedy(denials: &[(i64, u32)], rule: &Rule) -> Vec<i64> {
    let cooldown = i64::try_from(rule.cooldown.as_secs()).expect("small");
    let mut alerts: Vec<i64> = Vec::new();
    for at in hot(denials, rule) {
        if alerts.last().is_none_or(|last| at > last + cooldown) {
            alerts.push(at);
        }
    }
    alerts
}

/// An alert as the sink got it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    pub key: u8,
    pub at: i64,
    pub id: String,
    pub first: i64,
    pub last: i64,
    pub total: u64,
    pub at_least: bool,
    pub newest: Vec<String>,
}

impl Told {
    /// Reads an alert's document.
    pub fn of(rule: &Rule, document: &Value) -> Self {
        let time = |field: &str| {
            let text = document[field].as_str().expect("a time");
            EventTime::parse(text).expect("a time").epoch_ms() / 1000 - TEN
        };
        let model = &document["gen_ai"]["request"]["model"]["id"];
        let key = match rule.group_by {
            by if by.contains(&Field::Model) => model,
            by if by.contains(&Field::Resource) => &document["resource"]["id"],
            _ => &document["user"]["id"],
        };
        let key = key.as_str().expect("a key").rsplit(|part: char| !part.is_ascii_digit()).next();
        let (total, values) = match rule.distinct {
            Field::Model => ("total_models", "models"),
            Field::Session => ("total_sessions", "sessions"),
            Field::Region => ("total_regions", "regions"),
            Field::Address => ("total_addresses", "addresses"),
            _ if rule.error_code().is_none() => ("total_requests", "request_ids"),
            _ => ("total_denials", "request_ids"),
        };
        Self {
            key: key.and_then(|digits| digits.parse().ok()).expect("a number"),
            at: time("@timestamp"),
            id: document["id"].as_str().expect("an id").to_owned(),
            first: time("first_seen"),
            last: time("last_seen"),
            total: document[total].as_u64().expect("a number"),
            at_least: document[format!("{total}_at_least")].as_bool().unwrap_or(false),
            newest: serde_json::from_value(document[values].clone()).expect("texts"),
        }
    }
}

/// Asserts that an alert's figures are those of what had been `delivered` when it was published.
/// Where an object held more than its samples, only the total is known, if it is not a lower bound.
#[track_caller]
pub fn assert_figures(delivered: &[Batch], rule: &Rule, alert: &Told) {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).expect("small");
    let (window, cooldown) = (seconds(rule.window), seconds(rule.cooldown));
    let denials = of_key(delivered, alert.key);
    let inside = |first: i64, last: i64| {
        denials.iter().filter(move |(at, _)| (first..=last).contains(at)).copied().collect::<Vec<_>>()
    };
    let distinct: BTreeSet<u32> =
        inside(alert.first, alert.last).into_iter().map(|(_, request)| request).collect();
    if !alert.at_least {
        assert_eq!(alert.total, distinct.len() as u64, "{alert:?}");
    }
    if delivered.iter().all(|batch| batch.len() <= 2 * rule.samples()) {
        let first = inside(alert.at - window, alert.at).first().map(|(at, _)| *at);
        let last = inside(alert.at, alert.at + cooldown).last().map(|(at, _)| *at);
        assert_eq!((Some(alert.first), Some(alert.last)), (first, last), "{alert:?}");
        let last: BTreeMap<u32, i64> =
            inside(alert.first, alert.last).into_iter().map(|(at, value)| (value, at)).collect();
        let mut newest: Vec<(i64, String)> =
            last.into_iter().map(|(value, at)| (at, value_name(rule, value))).collect();
        newest.sort();
        let newest: Vec<String> =
            newest.into_iter().rev().take(10).rev().map(|(_, request)| request).collect();
        assert_eq!(alert.newest, newest, "{alert:?}");
    }
}

/// Asserts sound, complete, spaced, and figures never above the truth; returns the alert times by key.
#[track_caller]
pub fn assert_invariants(batches: &[Batch], rule: &Rule, told: &[Told]) -> BTreeMap<u8, Vec<i64>> {
    assert_invariants_between(batches, rule, Some(rule), told)
}

/// The same where settings changed on the way: alerts must be sound by the `loosest` rule and complete by the
/// `strictest`, if anything must be.
#[track_caller]
pub fn assert_invariants_between(
    batches: &[Batch],
    loosest: &Rule,
    strictest: Option<&Rule>,
    told: &[Told],
) -> BTreeMap<u8, Vec<i64>> {
    let cooldown = |rule: &Rule| i64::try_from(rule.cooldown.as_secs()).expect("small");
    let mut by_key: BTreeMap<u8, Vec<i64>> = BTreeMap::new();
    let distinct: BTreeMap<&String, &Told> = told.iter().map(|alert| (&alert.id, alert)).collect();
    for alert in distinct.values() {
        by_key.entry(alert.key).or_default().push(alert.at);
    }
    for alert in told {
        let denials = of_key(batches, alert.key);
        let inside = denials.iter().filter(|(at, _)| (alert.first..=alert.last).contains(at));
        let truth = inside.map(|(_, request)| request).collect::<BTreeSet<_>>().len() as u64;
        assert!(alert.total <= truth, "figure above the truth {truth}: {alert:?}");
    }
    for times in by_key.values_mut() {
        times.sort_unstable();
        for pair in times.windows(2) {
            assert!(pair[1] - pair[0] > cooldown(loosest), "not spaced: {times:?}");
        }
    }
    let keys: BTreeSet<u8> = batches.iter().flatten().map(|one| one.key).collect();
    for key in keys {
        let denials = of_key(batches, key);
        let sound = hot(&denials, loosest);
        let alerts = by_key.get(&key).map(Vec::as_slice).unwrap_or_default();
        for alert in alerts {
            assert!(sound.contains(alert), "not sound: key {key} at {alert}, hot {sound:?}");
        }
        let Some(strictest) = strictest else { continue };
        for at in hot(&denials, strictest) {
            let covered = alerts.iter().any(|alert| (alert - at).abs() <= cooldown(strictest));
            assert!(covered, "not complete: key {key} at {at}, alerts {alerts:?}");
        }
    }
    by_key
}

/// Asserts quiet alone, where a mute came or went on the way.
#[track_caller]
pub fn assert_quiet(alerts: &[Value], notices: &[Value]) {
    let id = |document: &Value| document["incident"]["id"].as_str().expect("text").to_owned();
    let (mut totals, mut sent) = (BTreeMap::new(), BTreeMap::new());
    for alert in alerts {
        totals.entry(id(alert)).or_insert_with(BTreeSet::new).insert(alert["id"].to_string());
    }
    for notice in notices {
        sent.entry(id(notice)).or_insert_with(BTreeSet::new).insert(notice["incident"]["notice"].to_string());
    }
    for (id, sent) in sent {
        let total = totals.get(&id).unwrap_or_else(|| panic!("a notice without an alert: {id}")).len() as u64;
        assert!(sent.len() as u64 <= 2 + u64::from(total.ilog(4)), "incident {id}: {sent:?} of {total}");
    }
}

/// Asserts reported and quiet, of the documents of all alerts and notices: each incident is reported once it is whole, with few
/// notices, and those of the callers in `muted` never.
#[track_caller]
pub fn assert_told_and_quiet(alerts: &[Value], notices: &[Value], muted: &[&str]) {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let mut incidents: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut silent = BTreeSet::new();
    for alert in alerts {
        let id = text(&alert["incident"]["id"]);
        if muted.contains(&&*text(&alert["incident"]["caller"])) {
            silent.insert(id);
        } else {
            incidents.entry(id).or_default().insert(text(&alert["id"]));
        }
    }
    let mut told: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for notice in notices {
        let incident = &notice["incident"];
        let alerts = incident["alerts"].as_u64().expect("a number");
        told.entry(text(&incident["id"])).or_default().insert(text(&incident["notice"]), alerts);
    }
    for (id, alerts) in &incidents {
        let total = alerts.len() as u64;
        let told = told.get(id).unwrap_or_else(|| panic!("incident {id} was never told"));
        let last = told.values().max().expect("one");
        assert!(4 * last > total, "incident {id}: told of {last} of {total}");
        assert!(told.len() as u64 <= 2 + u64::from(total.ilog(4)), "incident {id}: {told:?} of {total}");
    }
    for id in told.keys() {
        assert!(!silent.contains(id), "a muted caller was told: {id}");
        assert!(incidents.contains_key(id), "a notice without an alert: {id}");
    }
}
