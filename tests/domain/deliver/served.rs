//! What callers were served since their first denial, whoever reads what, in whichever order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::ready;

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::count::tally::Tally;
use bedrock_denial_watch::deliver::{Delivery, Outcome, Pipeline, TimeLeft};
use bedrock_denial_watch::reader::{Limits, Read};
use bedrock_denial_watch::rule::catalogue::{ALL, built_in};
use futures_util::FutureExt;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::*;

/// What notices say, and the alerts.
#[derive(Default)]
struct Told {
    notices: RefCell<Vec<Value>>,
    alerts: RefCell<Vec<Value>>,
    refuses: Cell<bool>,
}

impl AlertSink for &Told {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        if self.refuses.get() {
            return Err(SinkError { operation: "injected".to_owned(), cause: "fault".into() });
        }
        self.notices.borrow_mut().push(serde_json::from_str(&notice.document()).expect("JSON"));
        Ok(())
    }

    fn wants_alerts(&self) -> bool {
        true
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        self.alerts.borrow_mut().push(serde_json::from_str(&alert.document()).expect("JSON"));
        Ok(())
    }
}

const EVE: &str = "arn:aws:iam::1:user/eve";

/// A call of `model` in second `at`; it was served unless it is denied.
fn call(at: u32, model: &str, is_denied: bool) -> String {
    let time = format!("2025-06-01T10:{:02}:{:02}Z", at / 60, at % 60);
    let mut record = json!({
        "timestamp": time, "accountId": "1", "identity": {"arn": EVE}, "region": "us-east-1",
        "requestId": format!("r{at}{model}"), "operation": "Converse", "modelId": model,
        "input": {"inputTokenCount": 10, "inputBodyJson": {"prompt": "canary"}},
    });
    if is_denied {
        record["errorCode"] = json!("AccessDeniedException");
    } else {
        record["output"] = json!({"outputTokenCount": 5, "outputBodyJson": {"answer": "canary"}});
    }
    record.to_string() + "\n"
}

fn denials(from: u32, model: &str) -> String {
    (from..from + 4).map(|at| call(at, model, true)).collect()
}

fn served(times: &[u32], model: &str) -> String {
    times.iter().map(|at| call(*at, model, false)).collect()
}

/// Delivers one object, as the function does; `again` says whether it can be read once more.
fn deliver(pipeline: &Pipeline<MemoryStore, &Told>, log: &str, again: bool) -> Outcome {
    let list = block_on(pipeline.watch_list()).expect("a list");
    let mut reader = pipeline.read_watching("object", list);
    reader.push(log.as_bytes());
    let read_again = |tally: Tally| {
        let mut reader = pipeline.reader("object", tally);
        reader.push(log.as_bytes());
        let read: Option<Read> = again.then(|| reader.finish());
        ready(read).boxed_local()
    };
    let claimant = Claimant { owner: "one", now: 1_748_772_060, lease: LEASE };
    let delivery = Delivery { object: "object", claimant };
    let tally = reader.finish().tally;
    block_on(pipeline.commit_with(TimeLeft::UNLIMITED, tally, delivery, Some(&read_again)))
}

fn pipeline(told: &Told) -> Pipeline<MemoryStore, &Told> {
    Pipeline {
        store: MemoryStore::default(),
        sink: told,
        rules: ALL.iter().filter(|rule| rule.on).cloned().collect(),
        exempt_users: Vec::new(),
        limits: Limits::default(),
    }
}

/// Delivers objects; returns each alert with the calls and tokens that it says were served.
fn all(objects: &[String], again: bool) -> (Vec<String>, Vec<Value>) {
    let told = Told::default();
    let pipeline = pipeline(&told);
    for object in objects {
        assert_eq!(deliver(&pipeline, object, again).failed, 0);
    }
    // What callers wrote is not kept.
    for (_, document) in pipeline.store.all_documents() {
        assert!(!json!(document.value).to_string().contains("canary"));
    }
    let said = |alert: &Value| {
        assert!(!alert.to_string().contains("canary"));
        let served = &alert["served"];
        let bound = if served["calls_at_least"] == true { "+" } else { "" };
        let id = alert["rule"]["id"].as_str().expect("an id");
        format!("{id} {}{bound} {}", served["calls"], served["tokens"])
    };
    (told.alerts.borrow().iter().map(said).collect(), told.notices.take())
}

#[test]
fn the_object_in_which_an_incident_begins_is_read_again() {
    let log = denials(0, "m") + &served(&[30, 40], "n");
    assert_eq!(all(std::slice::from_ref(&log), true).0, ["denied-model 2 30"]);
    // Where that is not possible, no one says that there were none.
    assert_eq!(all(&[log], false).0, ["denied-model null null"]);
    // Then whatever is read later is a lower bound, whoever says it.
    let later = [denials(0, "m"), served(&[30], "n"), denials(60, "n")];
    assert_eq!(all(&later, true).0, ["denied-model 0 0", "denied-model 1 15"]);
    assert_eq!(all(&later, false).0, ["denied-model null null", "denied-model 1+ 15"]);
}

#[test]
fn the_first_call_that_is_served_after_a_denial_is_told_at_once_and_others_are_not() {
    let objects =
        [denials(0, "m") + &denials(10, "n"), served(&[30], "m"), served(&[40], "m"), served(&[50], "n")];
    let (alerts, notices) = all(&objects, true);
    assert_eq!(alerts.last().map(String::as_str), Some("served-after-denial 3 45"));
    let served: Vec<&str> =
        alerts.iter().filter_map(|alert| alert.strip_prefix("served-after-denial ")).collect();
    assert_eq!(served, ["1 15", "3 45"], "one for each model");
    let rules: Vec<&Value> = notices.iter().map(|notice| &notice["rule"]["id"]).collect();
    assert_eq!(rules, ["denied-model", "served-after-denial"]);
}

#[test]
fn a_delivery_that_died_before_its_notice_tells_it_when_it_comes_again() {
    let told = Told::default();
    let pipeline = pipeline(&told);
    let log = denials(0, "m") + &served(&[30], "n");
    told.refuses.set(true);
    assert!(deliver(&pipeline, &log, false).failed > 0);
    assert_eq!(block_on(pipeline.watch_list()).expect("a list").callers.len(), 1, "it is watched already");
    told.refuses.set(false);
    assert_eq!(deliver(&pipeline, &log, false).failed, 0);
    assert_eq!(told.notices.borrow()[0]["served"]["calls"], 1);
}

#[test]
fn an_incident_of_served_calls_alone_watches_nobody() {
    assert!(built_in("served-after-denial").is_about_watched());
    assert!(!built_in("served-after-denial").is_about_failures());
    for rule in ALL.iter().filter(|rule| rule.id != "served-after-denial") {
        assert!(!rule.is_about_watched(), "{}", rule.id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Objects in any order, some twice: never more than there was, and all of it once everything came.
    #[test]
    fn what_is_told_is_never_above_the_truth(
        objects in prop::collection::vec(prop::collection::btree_set(20..200_u32, 0..12), 1..6),
        order in prop::collection::vec(0..6_usize, 1..12),
    ) {
        let mut all_calls = BTreeMap::new();
        let mut deliveries = vec![denials(0, "m")];
        for (number, times) in objects.iter().enumerate() {
            // Each call is in one object.
            let own: Vec<u32> = times.iter().copied().filter(|at| all_calls.insert(*at, number).is_none()).collect();
            all_calls.extend(own.iter().map(|at| (*at, number)));
            deliveries.push(served(&own, "n"));
        }
        let repeats: Vec<String> = order.iter().filter_map(|at| deliveries.get(*at).cloned()).collect();
        deliveries.extend(repeats);
        deliveries.push(denials(300, "o"));
        let (alerts, notices) = all(&deliveries, true);
        let truth = all_calls.len() as u64;
        let last = alerts.iter().rfind(|alert| alert.starts_with("denied-model")).expect("an alert");
        let mut words = last.split(' ').skip(1);
        let calls = words.next().expect("calls");
        let tokens: u64 = words.next().expect("tokens").parse().expect("a number");
        let known: u64 = calls.trim_end_matches('+').parse().expect("a number");
        prop_assert!(known <= truth && (calls.ends_with('+') || known == truth), "{calls} of {truth}");
        prop_assert_eq!(tokens, 15 * truth);
        prop_assert!(notices.iter().all(|notice| notice["served"]["calls"].as_u64().unwrap_or(0) <= truth));
    }
}
