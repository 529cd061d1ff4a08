//! Batches whose parts are answered one by one: SQS, pipes, S3 Batch Operations.

use super::*;

#[test]
fn an_sqs_batch_is_resolved_message_by_message() {
    check(
        json!({"Records":[
            sqs("1", &notification("a+b")),
            sqs("2", &event_bridge("a+b")),
            sqs("3", &sns_envelope(&notification("c"))),
            sqs("4", &on_failure(&event_bridge("d"))),
            sqs("5", &json!({"Records":[record("e"), record("f")]})),
        ]}),
        "1=[s3://b/a b] 2=[s3://b/a+b] 3=[s3://b/c] 4=[s3://b/d] 5=[s3://b/e | s3://b/f]",
    );
}

#[test]
fn a_bad_message_or_record_stops_no_other() {
    check(
        json!({"Records":[{"messageId":"1","body":"not JSON"}, sqs("2", &notification("k"))]}),
        "1=[error: SQS body: expected an event as JSON text: expected ident at line 1 column 2] 2=[s3://b/k]",
    );
    check(
        json!({"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{}}}, record("k")]}),
        "error: S3 notification: expected s3.bucket.name and s3.object.key | s3://b/k",
    );
    check(
        json!({"Records":[{"s3":7,"eventName":"ObjectCreated:Put"}, record("k"), {"s3":{}}]}),
        "error: S3 notification: expected s3.bucket.name and s3.object.key | s3://b/k | error: S3 notification: expected s3.bucket.name and s3.object.key",
    );
}

#[test]
fn a_pipe_sends_messages_as_a_list_or_one_alone() {
    let message = |id: &str| sqs(id, &notification("k"));
    check(json!([message("1"), message("2")]), "1=[s3://b/k] 2=[s3://b/k]");
    check(json!([message("1")]), "1=[s3://b/k]");
    check(message("1"), "1=[s3://b/k]");
    check(json!([sqs("1", &json!({"a":1}))]), "1=[error: unknown event: expected…");
    // What the pipe cut down to has no ids to answer with.
    check(json!([notification("1"), event_bridge("2")]), "s3://b/1 | s3://b/2");
    check(json!([message("1"), event_bridge("2")]), "s3://b/k | s3://b/2");
    check(json!([message("1"), {"body":"{}"}]), "s3://b/k | error: unknown event: expected…");
    check(on_failure(&json!([message("1"), message("2")])), "s3://b/k | s3://b/k");
    check(on_failure(&message("1")), "s3://b/k");
}

#[test]
fn a_job_names_objects_in_either_version() {
    check(
        job(&json!([
            {"taskId":"1","s3Key":"a+b%2Bc%2Fd","s3VersionId":null,"s3BucketArn":"arn:aws:s3:::b"},
            {"taskId":"2","s3Key":"k","s3VersionId":"v1","s3BucketArn":"arn:aws:s3:us-east-1:1:b"},
        ])),
        "1.0 i 1:(s3://b/a b+c/d) 2:(s3://b/k v=v1)",
    );
    let second = json!([{"taskId":"1","s3Key":"k","s3VersionId":"","s3Bucket":"b--use1-az4--x-s3"}]);
    let mut event = job(&second);
    event["invocationSchemaVersion"] = json!("2.0");
    event["job"]["userArguments"] = json!({"a":"b"});
    check(event, "2.0 i 1:(s3://b--use1-az4--x-s3/k)");
    check(
        job(&json!([{"taskId":"1","s3Key":"k","s3BucketArn":"arn:aws:s3:eu-west-1:1:accesspoint/p"}])),
        "1.0 i 1:(s3://arn:aws:s3:eu-west-1:1:accesspoint/p/k)",
    );
}

#[test]
fn a_task_that_names_nothing_fails_alone_and_one_without_an_id_fails_the_job() {
    let bucket = "arn:aws:s3:::b";
    check(
        job(&json!([
            {"taskId":"1","s3Key":"%ff","s3BucketArn":bucket},
            {"taskId":"2","s3BucketArn":bucket},
            {"taskId":"3","s3Key":"k","s3BucketArn":bucket},
        ])),
        "1.0 i 1:(error: S3 Batch Operations: expected s3Key, form-encoded UTF-8) 2:(error: S3 Batch Operations: expected s3Key, and s3BucketArn or s3Bucket) 3:(s3://b/k)",
    );
    let incomplete = "error: S3 Batch Operations: expected invocationId, and tasks, each with a taskId";
    for tasks in [json!(null), json!([]), json!({}), json!([1]), json!([{"s3Key":"k","s3BucketArn":bucket}])]
    {
        check(job(&tasks), incomplete);
    }
    check(json!({"invocationSchemaVersion":"1.0","tasks":[{"taskId":"1"}]}), incomplete);
    // No one waits for an answer about tasks behind an on-failure record.
    check(on_failure(&job(&json!([{"taskId":"1","s3Key":"k","s3BucketArn":bucket}]))), "s3://b/k");
    check(on_failure(&job(&json!([]))), incomplete);
}
