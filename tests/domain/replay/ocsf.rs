//! `replay --format ocsf` against what the published schema requires.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Schema {
    required: BTreeMap<String, Vec<String>>,
    at_least_one: BTreeMap<String, Vec<String>>,
    enumerations: BTreeMap<String, Vec<i64>>,
    milliseconds: Vec<String>,
}

fn schema() -> Schema {
    serde_json::from_str(include_str!("../../fixtures/ocsf-detection-finding.json")).expect("a schema")
}

/// The values at `path`, whose steps are parted by dots; lists are walked.
fn at<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    let mut found = vec![value];
    for step in path.split('.').filter(|step| !step.is_empty()) {
        found = found.into_iter().filter_map(|one| one.get(step)).collect();
        found = found
            .into_iter()
            .flat_map(|one| one.as_array().map_or(vec![one], |list| list.iter().collect()))
            .collect();
    }
    found
}

#[track_caller]
fn check_valid(finding: &Value) {
    let Schema { required, at_least_one, enumerations, milliseconds } = schema();
    for (path, names) in required {
        for object in at(finding, &path) {
            for name in &names {
                let is_there = object.get(name).is_some_and(|value| !value.is_null());
                assert!(is_there, "{path}.{name}: {finding}");
            }
        }
    }
    for (path, names) in at_least_one {
        for object in at(finding, &path) {
            assert!(
                names.iter().any(|name| object.get(name).is_some()),
                "{path} has none of {names:?}: {finding}"
            );
        }
    }
    for (path, values) in enumerations {
        for value in at(finding, &path) {
            assert!(
                value.as_i64().is_some_and(|value| values.contains(&value)),
                "{path} is {value}: {finding}"
            );
        }
    }
    for path in milliseconds {
        let times = at(finding, &path);
        assert!(
            times.iter().all(|time| time.as_i64().is_some_and(|time| time > 1_500_000_000_000)),
            "{path}: {finding}"
        );
        assert_eq!(times.len(), 1, "{path}");
    }
    let type_uid = finding["class_uid"]
        .as_i64()
        .zip(finding["activity_id"].as_i64())
        .map(|(class, activity)| class * 100 + activity);
    assert_eq!(finding["type_uid"].as_i64(), type_uid);
}

fn replay(format: &str, arguments: &[&str]) -> Vec<Value> {
    let mut replay = Command::new(env!("CARGO_BIN_EXE_replay"));
    let output =
        replay.args(["--format", format]).args(arguments).arg("events/logs").output().expect("replay runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn every_alert_of_every_rule_is_a_valid_finding() {
    let (findings, documents) = (replay("ocsf", &["--rules", "all"]), replay("json", &["--rules", "all"]));
    assert_eq!(findings.len(), documents.len());
    assert!(findings.len() > 20);
    for (finding, document) in findings.iter().zip(&documents) {
        check_valid(finding);
        assert_eq!(finding["finding_info"]["uid"], document["id"]);
        assert_eq!(finding["metadata"]["correlation_uid"], document["incident"]["id"]);
        assert_eq!(finding["message"], document["event"]["reason"]);
        assert_eq!(finding["cloud"]["account"]["uid"], document["cloud"]["account"]["id"]);
        assert_eq!(finding["severity"].as_str().map(str::to_lowercase), severity(document));
        let named = at(finding, "evidences.actor.user.uid");
        let role = document["incident"]["caller"].as_str();
        assert!(named.iter().all(|arn| arn == &&document["user"]["id"] || arn.as_str() == role), "{finding}");
    }
}

/// As the rule files name it, from Elastic's risk score.
fn severity(document: &Value) -> Option<String> {
    let names = BTreeMap::from([(21, "low"), (47, "medium"), (73, "high"), (99, "critical")]);
    Some((*names.get(&document["event"]["severity"].as_i64()?)?).to_owned())
}

#[test]
fn a_finding_lacking_what_is_required_is_noticed() {
    let finding = replay("ocsf", &["--rules", "denied-model"]).remove(0);
    for path in ["/time", "/finding_info/uid", "/metadata/product", "/cloud/provider", "/severity_id"] {
        let mut broken = finding.clone();
        *broken.pointer_mut(path).expect("it is there") = Value::Null;
        assert!(std::panic::catch_unwind(|| check_valid(&broken)).is_err(), "{path}");
    }
}

#[test]
fn a_finding_with_an_unknown_caller_or_a_service_as_source_is_valid_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let record = |second: usize, identity: &str, address: &str| {
        format!(
            r#"{{"eventVersion":"1.09","eventTime":"2025-06-02T09:00:0{second}Z","eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel","awsRegion":"us-east-1","sourceIPAddress":"{address}","errorCode":"AccessDenied","userIdentity":{identity},"requestParameters":{{"modelId":"m"}},"requestID":"{address}{second}","recipientAccountId":"1"}}"#
        )
    };
    let user = r#"{"type":"IAMUser","arn":"arn:aws:iam::1:user/a"}"#;
    let records: Vec<String> = (0..4)
        .flat_map(|second| [record(second, "{}", "192.0.2.1"), record(second, user, "batch.amazonaws.com")])
        .collect();
    let log = folder.path().join("trail.json");
    std::fs::write(&log, format!(r#"{{"Records":[{}]}}"#, records.join(","))).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_replay"))
        .args(["--rules", "denied-model", "--format", "ocsf"])
        .arg(&log)
        .output()
        .expect("replay runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let findings: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(findings.len(), 2, "{text}");
    findings.iter().for_each(check_valid);
    assert!(
        text.contains(r#""svc_name":"batch.amazonaws.com""#) && text.contains(r#""ip":"192.0.2.1""#),
        "{text}"
    );
}
