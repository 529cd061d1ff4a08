//! The binary itself, between a Lambda runtime API played by the local server and loopback
//! stand-ins for the three services.

use std::io::Read;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use serde_json::{Value, json};

use crate::http::{Reply, Request, Server};
use crate::sns::accepted;
use crate::support::{TABLE, dynamodb, gzip, log, program};

const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:alerts";

fn bootstrap(variables: &[(&str, &str)]) -> Command {
    let ours = [
        ("AWS_LAMBDA_FUNCTION_NAME", "watch"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("TABLE_NAME", TABLE),
        ("TOPIC_ARN", TOPIC),
    ];
    let mut command = program(env!("CARGO_BIN_EXE_bootstrap"), &[], &[&ours, variables].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn lines(output: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(output);
    let lines = text.lines();
    lines.map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn a_bad_variable_stops_the_start_and_is_named_in_the_log() {
    let run = |name, value| -> (Output, String) {
        let output = bootstrap(&[(name, value)]).output().expect("it runs");
        let lines = lines(&output.stdout);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["level"], "ERROR");
        let message = lines[0]["message"].as_str().expect("a message").to_owned();
        (output, message)
    };
    let (output, message) = run("THRESHOLD", "many");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        message,
        r#"the function cannot start: THRESHOLD="many": expected a whole number from 0 to 1000"#
    );
    let (output, message) = run("TABLE_NAME", "");
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains("TABLE_NAME is not set: expected the name"), "{message}");
}

/// What the binary did with one event.
pub struct Run {
    /// Path and body of its answer.
    pub answer: Request,
    /// Its output.
    pub lines: Vec<Value>,
    /// What it published, as forms.
    pub published: Vec<Request>,
    /// Where its table is.
    pub dynamodb: SdkConfig,
}

/// Runs the binary for one event, with objects from `s3` and further `variables`.
pub async fn run(event: &str, s3: &Server, variables: &[(&str, &str)]) -> Run {
    run_for(Duration::from_mins(1), event, s3, variables).await
}

/// The same, with so much time.
async fn run_for(time: Duration, event: &str, s3: &Server, variables: &[(&str, &str)]) -> Run {
    let dynamodb = dynamodb().await;
    let sns = Server::start(|_, _| Some(accepted()));
    let (answered, answer) = mpsc::channel();
    let event = event.to_owned();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let deadline = now + time;
    let runtime = Server::start(move |number, request| {
        let mut reply = Reply::new(202, "");
        if number == 0 {
            reply = Reply::new(200, event.clone());
            reply.headers = vec![
                ("Lambda-Runtime-Aws-Request-Id", "request-1".to_owned()),
                ("Lambda-Runtime-Deadline-Ms", deadline.as_millis().to_string()),
                (
                    "Lambda-Runtime-Invoked-Function-Arn",
                    "arn:aws:lambda:us-east-1:1:function:watch".to_owned(),
                ),
            ];
        } else if request.method == "POST" {
            answered.send(request.clone()).expect("the test waits");
        } else {
            // The next event never comes.
            reply.announced = Some(1);
            reply.hold = true;
        }
        Some(reply)
    });
    let address = runtime.url.trim_start_matches("http://");
    let mut child = bootstrap(&[
        ("AWS_LAMBDA_RUNTIME_API", address),
        ("AWS_ENDPOINT_URL_S3", &s3.url),
        ("AWS_ENDPOINT_URL_SNS", &sns.url),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint_url().expect("set")),
        // Even at the lowest level nothing of a caller may be logged.
        ("LOG_LEVEL", "trace"),
    ])
    .envs(variables.iter().copied())
    .spawn()
    .expect("it runs");
    // Read while it runs: a full pipe would stop it.
    let mut stdout = child.stdout.take().expect("piped");
    let output = thread::spawn(move || {
        let mut output = Vec::new();
        stdout.read_to_end(&mut output).map(|_| output)
    });
    let answer = answer.recv_timeout(Duration::from_mins(1)).expect("an answer");
    child.kill().expect("it waits for the next event");
    let output = output.join().expect("no panic").expect("read");
    child.wait().expect("ended");
    Run { answer, lines: lines(&output), published: sns.requests(), dynamodb }
}

/// Runs the binary for one event. Returns what it answered (path and body) and its output lines.
async fn invoke(
    event: &str,
    objects: &'static [(&'static str, &'static [&'static str])],
) -> (Request, Vec<Value>) {
    let s3 = Server::start(move |_, request| {
        let found = objects.iter().find(|(key, _)| request.target.starts_with(&format!("/b/{key}")));
        Some(match found {
            Some((_, ids)) => Reply::new(200, gzip(&log(ids))),
            None => Reply::s3_error(404, "NoSuchKey", "The specified key does not exist."),
        })
    });
    let run = run(event, &s3, &[]).await;
    (run.answer, run.lines)
}

fn notification(keys: &[&str]) -> Value {
    let record = |key: &&str| json!({"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":key}}});
    json!({"Records": keys.iter().map(record).collect::<Vec<_>>()})
}

#[track_caller]
fn check_silence(lines: &[Value]) {
    let text: String = lines.iter().map(ToString::to_string).collect();
    for secret in ["user/eve", "q-1", "modelId"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn an_invocation_answers_null_and_prints_one_line_of_metrics() {
    let event = notification(&["a.json.gz", "AWSLogs/1/data/a.json.gz"]);
    let (answer, lines) = invoke(&event.to_string(), &[("a.json.gz", &["q-1", "q-2", "q-3", "q-4"])]).await;
    assert_eq!(answer.target, "/2018-06-01/runtime/invocation/request-1/response");
    assert_eq!(answer.body, b"null");
    let metrics: Vec<&Value> = lines.iter().filter(|line| line.get("_aws").is_some()).collect();
    let [metrics] = metrics[..] else { panic!("{lines:?}") };
    assert_eq!(metrics["function"], "watch");
    assert_eq!(metrics["requestId"], "request-1");
    for (name, value) in [("objects", 1), ("skipped", 1), ("denials", 4), ("alerts", 1), ("failures", 0)] {
        assert_eq!(metrics[name], value, "{name}");
    }
    assert!(metrics["lag"][0].as_u64() > Some(1_000_000), "{metrics}");
    let skipped = lines.iter().find(|line| line["level"] == "DEBUG").expect("a skipped object");
    assert_eq!(skipped["object"], "s3://b/AWSLogs/1/data/a.json.gz");
    check_silence(&lines);
}

#[tokio::test]
async fn a_failure_is_answered_as_one_and_logged_once_with_the_request_id() {
    let event = notification(&["gone.json.gz", "a.json.gz"]);
    let (answer, lines) = invoke(&event.to_string(), &[("a.json.gz", &["q-1", "q-2", "q-3", "q-4"])]).await;
    assert_eq!(answer.target, "/2018-06-01/runtime/invocation/request-1/error");
    let error: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(error["errorType"], "DeliveryFailed");
    let message = error["errorMessage"].as_str().expect("a message");
    assert!(
        message.starts_with("1 of 2 failed: S3 GetObject of s3://b/gone.json.gz: NoSuchKey"),
        "{message}"
    );
    let errors: Vec<&Value> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    let [error] = errors[..] else { panic!("{lines:?}") };
    assert!(error["message"].as_str().is_some_and(|text| text.contains("s3://b/gone.json.gz")));
    assert_eq!(error["span"]["requestId"], "request-1");
    let metrics = lines.iter().find(|line| line.get("_aws").is_some()).expect("metrics");
    assert_eq!((&metrics["failures"], &metrics["alerts"]), (&json!(1), &json!(1)));
    check_silence(&lines);
}

#[tokio::test]
async fn an_exemption_that_a_path_could_match_is_in_the_log_at_the_start() {
    let s3 = Server::start(|_, _| Some(Reply::s3_error(404, "NoSuchKey", "none")));
    let settings =
        "model-sweep.exempt=*:assumed-role/y/*,slow-denials.exempt=arn:aws:sts::*:assumed-role/z/*";
    let variables = [("EXEMPT_USERS", "*:assumed-role/x/*"), ("RULE_SETTINGS", settings)];
    let run = run(r#"{"Event":"s3:TestEvent","Bucket":"b"}"#, &s3, &variables).await;
    let messages =
        run.lines.iter().filter(|line| line["level"] == "WARN").map(|line| line["message"].as_str());
    let messages: Vec<&str> = messages.map(Option::unwrap_or_default).collect();
    let [everywhere, of_rule] = messages[..] else { panic!("{messages:?}") };
    assert!(everywhere.starts_with("exempt users: *:assumed-role/x/*: "), "{everywhere}");
    assert!(of_rule.starts_with("exempt users: model-sweep.exempt=*:assumed-role/y/*: "), "{of_rule}");
}

/// One denied call as an EventBridge event, with half a surrogate pair in a value the caller chose.
fn api_call(number: usize) -> String {
    format!(
        r#"{{"detail-type":"AWS API Call via CloudTrail","source":"aws.bedrock","id":"b-{number}","detail":{{"eventVersion":"1.11","eventTime":"2025-06-01T10:00:0{number}Z","eventSource":"bedrock.amazonaws.com","eventName":"Converse","errorCode":"AccessDenied","userAgent":"boto3 \ud83d","userIdentity":{{"arn":"arn:aws:iam::123456789012:user/eve"}},"requestID":"q-{number}"}}}}"#
    )
}

#[tokio::test]
async fn records_in_the_event_reach_the_detector_whatever_their_caller_wrote() {
    let calls: Vec<String> = (1..=4).map(api_call).collect();
    let (answer, lines) = invoke(&format!("[{}]", calls.join(",")), &[]).await;
    assert_eq!(answer.target, "/2018-06-01/runtime/invocation/request-1/response");
    assert_eq!(answer.body, b"null");
    let metrics = lines.iter().find(|line| line.get("_aws").is_some()).expect("metrics");
    for (name, value) in
        [("event_records", 4), ("objects", 0), ("denials", 4), ("malformed", 0), ("alerts", 1)]
    {
        assert_eq!(metrics[name], value, "{name}");
    }
    check_silence(&lines);
}

#[tokio::test]
async fn without_time_a_batch_comes_back_whole_and_the_metrics_go_out() {
    let silent = Server::start(|_, _| {
        thread::sleep(Duration::from_mins(1));
        None
    });
    let messages: Vec<Value> =
        (1..=4).map(|number| json!({"messageId": format!("m-{number}"), "body": api_call(number)})).collect();
    let event = json!({"Records": messages}).to_string();
    let begun = SystemTime::now();
    let time = Duration::from_secs(10);
    let run = run_for(time, &event, &silent, &[("AWS_ENDPOINT_URL_DYNAMODB", &silent.url)]).await;
    assert!(begun.elapsed().expect("time goes on") < time);
    let answer: Value = serde_json::from_slice(&run.answer.body).expect("JSON");
    assert_eq!(answer["batchItemFailures"].as_array().expect("a list").len(), 4);
    let metrics = run.lines.iter().find(|line| line.get("_aws").is_some()).expect("metrics");
    assert_eq!((&metrics["failures"], &metrics["event_records"]), (&json!(4), &json!(0)));
    check_silence(&run.lines);
}

#[tokio::test]
async fn a_job_is_answered_task_by_task() {
    let task = |id: &str, key: &str| json!({"taskId":id,"s3Key":key,"s3VersionId":null,"s3BucketArn":"arn:aws:s3:::b"});
    let event = json!({"invocationSchemaVersion":"1.0","invocationId":"i","job":{"id":"j"},"tasks":[task("1", "a.json.gz"), task("2", "gone.json.gz")]});
    let (answer, lines) = invoke(&event.to_string(), &[("a.json.gz", &["q-1", "q-2", "q-3", "q-4"])]).await;
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(answer["invocationId"], "i");
    let codes: Vec<&Value> =
        answer["results"].as_array().expect("results").iter().map(|result| &result["resultCode"]).collect();
    assert_eq!(codes, ["Succeeded", "PermanentFailure"]);
    check_silence(&lines);
}
