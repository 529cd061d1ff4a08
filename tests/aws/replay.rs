//! `replay` over S3: the built program against a stand-in for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use serde_json::Value;

use crate::http::{Reply, Request, Server};
use crate::support::{gzip, log, program};

/// Few enough that every folder of the samples has several pages.
const PAGE: usize = 2;

pub type Bucket = Arc<BTreeMap<String, Vec<u8>>>;

/// The sample logs as a bucket.
pub fn samples() -> Bucket {
    let root = Path::new("events/logs");
    let files = walkdir::WalkDir::new(root).into_iter().map(|entry| entry.expect("an entry"));
    let files = files.filter(|entry| entry.file_type().is_file()).map(|entry| {
        let key = entry.path().strip_prefix(root).expect("below").to_string_lossy().into_owned();
        (key, fs::read(entry.path()).expect("read"))
    });
    Arc::new(files.collect())
}

fn query(request: &Request) -> BTreeMap<String, String> {
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let decoded =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().expect("UTF-8").into_owned();
    let fields = query.split('&').filter_map(|field| field.split_once('='));
    fields.map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

/// The answer to `ListObjectsV2`: keys and folders below a prefix, page by page.
fn list(bucket: &Bucket, request: &Request) -> Reply {
    let query = query(request);
    let (prefix, after) = (&query["prefix"], query.get("continuation-token").cloned().unwrap_or_default());
    let mut entries = BTreeMap::new();
    for (key, body) in bucket.iter().filter(|(key, _)| key.starts_with(prefix.as_str())) {
        match key[prefix.len()..].find('/') {
            Some(end) => entries.insert(key[..=prefix.len() + end].to_owned(), None),
            None => entries.insert(key.clone(), Some(body.len())),
        };
    }
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let mut left = entries.into_iter().filter(|(name, _)| *name > after).peekable();
    let (mut xml, mut last) = (String::new(), String::new());
    for (name, size) in left.by_ref().take(PAGE) {
        let key = escaped(&name);
        xml += &match size {
            Some(size) => format!("<Contents><Key>{key}</Key><Size>{size}</Size></Contents>"),
            None => format!("<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"),
        };
        last = name;
    }
    if left.peek().is_some() {
        xml += &format!(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>",
            escaped(&last)
        );
    }
    Reply::new(200, format!("<ListBucketResult>{xml}</ListBucketResult>"))
}

pub fn key(request: &Request) -> String {
    let path = request.target.split('?').next().unwrap_or_default().trim_start_matches("/logs/");
    percent_encoding::percent_decode_str(path).decode_utf8().expect("UTF-8").into_owned()
}

fn is_list(request: &Request) -> bool {
    request.target.contains("list-type=2")
}

/// S3 with one bucket, `logs`; `broken` answers in its place where it wants to.
pub fn s3(bucket: Bucket, broken: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Server {
    Server::start(move |_, request| {
        Some(broken(request).unwrap_or_else(|| match bucket.get(&key(request)) {
            _ if is_list(request) => list(&bucket, request),
            Some(body) => Reply::new(200, body.clone()),
            None => Reply::s3_error(404, "NoSuchKey", "not there"),
        }))
    })
}

pub fn replay(s3: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let variables = [&[("AWS_ENDPOINT_URL_S3", s3)], variables].concat();
    program(env!("CARGO_BIN_EXE_replay"), arguments, &variables).output().expect("replay runs")
}

#[track_caller]
pub fn text(output: &Output, status: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    (stdout, stderr)
}

/// Alerts without what names the place that they were read from.
fn alerts(stdout: &str) -> Vec<Value> {
    let alert = |line: &str| {
        let mut alert: Value = serde_json::from_str(line).expect("JSON");
        for place in ["objects", "investigate"] {
            alert.as_object_mut().expect("an object").remove(place);
        }
        alert
    };
    stdout.lines().map(alert).collect()
}

#[test]
fn a_bucket_gives_the_alerts_of_the_same_files_on_disk() {
    let server = s3(samples(), |_| None);
    let (from_s3, summary) = text(&replay(&server.url, &["--format", "json", "s3://logs/"], &[]), 0);
    let (from_disk, same) = text(&replay(&server.url, &["--format", "json", "events/logs"], &[]), 0);
    assert_eq!(alerts(&from_s3), alerts(&from_disk));
    assert_eq!(alerts(&from_s3).len(), 17);
    // What lies under data/ and CloudTrail-Digest/ is not even listed.
    let first = |text: &str| text.lines().find(|line| line.starts_with("Read ")).map(str::to_owned);
    assert_eq!(first(&summary), first(&same));
    let alert: Value = serde_json::from_str(from_s3.lines().next().expect("an alert")).expect("JSON");
    let object = alert["objects"][0].as_str().expect("text");
    assert!(object.starts_with("s3://logs/AWSLogs/111122223333/BedrockModelInvocationLogs/"), "{object}");
}

#[test]
fn only_folders_that_can_hold_what_is_wanted_are_listed() {
    let server = s3(samples(), |_| None);
    let wanted = ["--account", "111122223333,444455556666", "--region", "us-east-1"];
    let times = ["--since", "2025-06-03T02:00:00Z", "--until", "2025-06-03T02:15:00Z"];
    let arguments = [&["--format", "json", "s3://logs/AWSLogs/"][..], &wanted, &times].concat();
    let (stdout, _) = text(&replay(&server.url, &arguments, &[]), 0);
    let rules: Vec<Value> = alerts(&stdout).iter().map(|alert| alert["rule"]["id"].clone()).collect();
    assert_eq!(rules, ["denied-model", "slow-denials"]);
    for request in server.requests() {
        let asked = if is_list(&request) { query(&request)["prefix"].clone() } else { key(&request) };
        let parts: Vec<&str> = asked.split('/').collect();
        let has = |at: usize, allowed: &[&str]| {
            parts.get(at).is_none_or(|part| part.is_empty() || allowed.contains(part))
        };
        assert!(has(1, &["111122223333", "444455556666"]) && has(3, &["us-east-1"]), "{asked}");
        assert!(
            has(5, &["06"]) && has(6, &["03"]) && has(7, &["02", "03"])
                || !has(2, &["BedrockModelInvocationLogs"]),
            "{asked}"
        );
    }
}

#[test]
fn an_object_or_folder_that_cannot_be_read_is_named_and_the_rest_counts() {
    let bucket: Bucket = Arc::new(BTreeMap::from([
        ("a/1.json.gz".to_owned(), gzip(&log(&["1", "2"]))),
        ("b/2.json.gz".to_owned(), gzip(&log(&["1", "2", "3", "4"]))),
        ("c/3.json".to_owned(), log(&["5"]).into_bytes()),
    ]));
    let server = s3(bucket, |request| {
        let denied =
            if is_list(request) { query(request)["prefix"] == "c/" } else { key(request).starts_with("a/") };
        denied.then(|| Reply::s3_error(403, "AccessDenied", "no"))
    });
    let (stdout, stderr) = text(&replay(&server.url, &["--format", "json", "s3://logs"], &[]), 2);
    assert!(alerts(&stdout).iter().any(|alert| alert["rule"]["id"] == "denied-model"), "{stdout}");
    assert!(
        stderr.contains("error: s3://logs/a/1.json.gz: S3 GetObject of s3://logs/a/1.json.gz: "),
        "{stderr}"
    );
    assert!(
        stderr.contains("S3 ListObjectsV2 of s3://logs/c/: ") && stderr.contains("you need s3:ListBucket"),
        "{stderr}"
    );
}

#[test]
fn bad_usage_is_refused_before_anything_is_read() {
    let server = s3(samples(), |_| None);
    for (arguments, expected) in [
        (&["s3://"][..], "expected s3://bucket/prefix"),
        (
            &["s3://logs/", "--since", "yesterday"],
            "invalid value 'yesterday' for '--since <TIME>': expected a time such as",
        ),
        (&["events/logs", "--since", "7d"], "select objects below s3://bucket/prefix"),
    ] {
        let (stdout, stderr) = text(&replay(&server.url, arguments, &[]), 2);
        assert!(stdout.is_empty() && stderr.contains(expected), "{stderr}");
    }
    assert!(server.requests().iter().all(is_list));
}
