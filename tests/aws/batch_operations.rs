//! S3 Batch Operations: every outcome of a task is answered in the job's own format.

use bedrock_denial_watch::lambda::aws::{DynamoDbStore, SnsSink};
use serde_json::{Value, json};

use crate::handler::{Recorder, bucket, burst, deliver, handler, holder, published, recording};
use crate::http::{Reply, Server};
use crate::support::{TABLE, gzip, nowhere};

fn job(keys: &[&str]) -> Value {
    let task = |(number, key): (usize, &&str)| json!({"taskId":number.to_string(),"s3Key":key,"s3VersionId":null,"s3BucketArn":"arn:aws:s3:::b"});
    let tasks: Vec<Value> = keys.iter().enumerate().map(task).collect();
    json!({"invocationSchemaVersion":"1.0","invocationId":"i-1","job":{"id":"j"},"tasks":tasks})
}

/// Each result as `id code text`.
fn results(answer: &Value) -> Vec<String> {
    let results = answer["results"].as_array().expect("results").iter();
    let one = |result: &Value| {
        let [id, code, text] =
            ["taskId", "resultCode", "resultString"].map(|name| result[name].as_str().expect("text"));
        format!("{id} {code} {text}")
    };
    results.map(one).collect()
}

#[tokio::test]
async fn a_job_is_answered_in_its_own_format() {
    let s3 = bucket(&[("a%20b.json.gz", burst())]);
    let handler = recording(&s3);
    let mut event = job(&["a+b.json.gz"]);
    let first = deliver(&handler, &event).await;
    assert_eq!(
        serde_json::to_value(first.answer.expect("success")).expect("JSON"),
        json!({
            "invocationSchemaVersion": "1.0",
            "treatMissingKeysAs": "PermanentFailure",
            "invocationId": "i-1",
            "results": [{"taskId":"0","resultCode":"Succeeded","resultString":"records: 4, denials: 4, alerts: 1"}],
        })
    );
    assert_eq!((first.metrics.objects, first.metrics.alerts), (1, 1));
    event["invocationSchemaVersion"] = json!("2.0");
    event["tasks"][0]["s3Bucket"] = json!("b");
    event["tasks"][0].as_object_mut().expect("a task").remove("s3BucketArn");
    let again = serde_json::to_value(deliver(&handler, &event).await.answer.expect("success")).expect("JSON");
    assert_eq!(again["invocationSchemaVersion"], "2.0");
    assert_eq!(results(&again), ["0 Succeeded records: 4, denials: 4, alerts: 0"]);
    assert_eq!(published(&handler), 1);
}

#[tokio::test]
async fn a_task_that_is_tried_again_goes_on_with_what_it_holds() {
    let s3 = bucket(&[("a.json.gz", burst())]);
    let of_job = |id: &str| {
        let mut job = job(&["a.json.gz"]);
        job["job"]["id"] = json!(id);
        job
    };
    let owner = async |id, request_id| holder(&s3, &[of_job(id)], request_id).await.0;
    let (first, again) = (owner("j-1", "r-1").await, owner("j-1", "r-2").await);
    assert_eq!(first, again);
    assert_ne!(owner("j-2", "r-1").await, first, "another job may be at work on it at the same time");
    assert_eq!(first.len(), 32, "an item holds many");
}

#[tokio::test]
async fn a_task_that_fails_stops_no_other_and_says_whether_to_try_again() {
    let mut cut = burst();
    cut.truncate(cut.len() - 9);
    let s3 = Server::start(move |_, request| {
        let path = request.target.split('?').next().unwrap_or_default();
        Some(match path {
            "/b/good.json.gz" => Reply::new(200, gzip("{}")),
            "/b/empty.json.gz" => Reply::new(200, ""),
            "/b/cut.json.gz" => Reply::new(200, cut.clone()),
            "/b/secret.json.gz" => Reply::s3_error(403, "AccessDenied", "Access Denied"),
            "/b/busy.json.gz" => Reply::s3_error(400, "ThrottlingException", "Rate exceeded"),
            "/b/down.json.gz" => Reply::s3_error(500, "InternalError", "We encountered an internal error."),
            "/b/short.json.gz" => {
                let mut reply = Reply::new(200, burst());
                reply.announced = Some(1_000_000);
                reply
            }
            _ => Reply::s3_error(404, "NoSuchKey", "The specified key does not exist."),
        })
    });
    let delivered = deliver(
        &recording(&s3),
        &job(&[
            "good.json.gz",
            "AWSLogs%2F1%2Fdata%2Fa.json.gz",
            "empty.json.gz",
            "gone.json.gz",
            "secret.json.gz",
            "cut.json.gz",
            "%ff",
            "busy.json.gz",
            "down.json.gz",
            "short.json.gz",
            "good.json.gz",
        ]),
    )
    .await;
    assert_eq!(delivered.metrics.failures, 7);
    let results = results(&serde_json::to_value(delivered.answer.expect("answered")).expect("JSON"));
    let expected = [
        "0 Succeeded records: 1, denials: 0, alerts: 0",
        "1 Succeeded skipped: a request or response body under data/",
        "2 Succeeded skipped: zero bytes",
        "3 PermanentFailure S3 GetObject of s3://b/gone.json.gz: NoSuchKey",
        "4 PermanentFailure S3 GetObject of s3://b/secret.json.gz: AccessDenied",
        "5 PermanentFailure s3://b/cut.json.gz: truncated gzip",
        "6 PermanentFailure S3 Batch Operations: expected s3Key, form-encoded UTF-8",
        "7 TemporaryFailure S3 GetObject of s3://b/busy.json.gz: ThrottlingException",
        "8 TemporaryFailure S3 GetObject of s3://b/down.json.gz: InternalError",
        "9 TemporaryFailure S3 GetObject of s3://b/short.json.gz: ",
        "10 Succeeded records: 1, denials: 0, alerts: 0",
    ];
    assert_eq!(results.len(), expected.len());
    for (result, expected) in results.iter().zip(expected) {
        assert!(result.starts_with(expected), "{result}\n{expected}");
    }
}

#[tokio::test]
async fn a_store_or_a_topic_that_does_not_answer_may_do_so_later() {
    let s3 = bucket(&[("a.json.gz", burst())]);
    let refusing = recording(&s3);
    *refusing.pipeline.sink.refuses.lock().expect("no panic") = true;
    let answer = deliver(&refusing, &job(&["a.json.gz"])).await.answer.expect("answered");
    let answer = serde_json::to_value(answer).expect("JSON");
    assert_eq!(results(&answer), ["0 TemporaryFailure s3://b/a.json.gz: record: refused"]);

    let store = DynamoDbStore::new(&nowhere(), TABLE.to_owned());
    let answer = deliver(&handler(&s3, store, Recorder::default()), &job(&["a.json.gz"])).await.answer;
    let results = results(&serde_json::to_value(answer.expect("answered")).expect("JSON"));
    assert!(results[0].starts_with("0 TemporaryFailure s3://b/a.json.gz: DynamoDB"), "{results:?}");
}

#[tokio::test]
async fn a_result_is_short_and_names_no_caller() {
    let s3 = bucket(&[]);
    let sink = SnsSink::new(&nowhere(), "arn:aws:sns:us-east-1:1:t".to_owned());
    let store = DynamoDbStore::new(&nowhere(), TABLE.to_owned());
    let key = format!("{}.json.gz", "%C3%BC".repeat(2000));
    let answer = deliver(&handler(&s3, store, sink), &job(&[&key])).await.answer.expect("answered");
    let answer = serde_json::to_value(answer).expect("JSON");
    let text = answer["results"][0]["resultString"].as_str().expect("text");
    assert_eq!(text.chars().count(), 1024);
    assert!(text.starts_with("S3 GetObject of s3://b/üü"), "{text}");

    let s3 = bucket(&[("a.json.gz", burst())]);
    let handler = recording(&s3);
    *handler.pipeline.sink.refuses.lock().expect("no panic") = true;
    let answer = deliver(&handler, &job(&["a.json.gz"])).await.answer.expect("answered");
    let text = serde_json::to_string(&answer).expect("JSON");
    assert!(!text.contains("eve") && !text.contains("123456789012"), "{text}");
}

#[tokio::test]
async fn a_job_that_cannot_be_answered_fails() {
    let s3 = bucket(&[]);
    let error = deliver(&recording(&s3), &job(&[])).await.answer.expect_err("no tasks").to_string();
    assert_eq!(
        error,
        "1 of 1 failed: S3 Batch Operations: expected invocationId, and tasks, each with a taskId"
    );
}
