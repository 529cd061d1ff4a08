//! S3 notifications, and EventBridge events of S3.

use super::*;

#[test]
fn a_notification_names_its_objects_in_order() {
    check(notification("k.gz"), "s3://b/k.gz");
    check(json!({"Records":[record("1"), record("2"), record("1")]}), "s3://b/1 | s3://b/2 | s3://b/1");
    check(json!({"Records":[]}), "");
}

#[test]
fn version_and_size_are_used_when_present() {
    let object = |fields: Value| json!({"Records":[{"eventName":"ObjectCreated:Copy","s3":{"bucket":{"name":"b"},"object":fields}}]});
    check(
        object(json!({"key":"k","size":12,"versionId":"x.Y_z","eTag":"e","sequencer":"0A"})),
        "s3://b/k v=x.Y_z size=12",
    );
    check(object(json!({"key":"k","size":0,"versionId":""})), "s3://b/k size=0");
    check(object(json!({"key":"k","size":-1,"versionId":null})), "s3://b/k");
    let mut event = event_bridge("k");
    event["detail"]["object"] = json!({"key":"k","size":7,"version-id":"v1","etag":"e"});
    check(event, "s3://b/k v=v1 size=7");
}

#[test]
fn a_size_may_be_text_and_nothing_depends_on_it() {
    let sized =
        |size: Value| json!({"Records":[{"s3":{"bucket":{"name":"b"},"object":{"key":"k","size":size}}}]});
    check(sized(json!("12")), "s3://b/k size=12");
    for odd in [json!("many"), json!(1.5), json!(null), json!([1])] {
        check(sized(odd), "s3://b/k");
    }
}

#[test]
fn notification_keys_are_form_decoded_and_event_bridge_keys_are_not() {
    check(notification("a+b%2Bc%20d"), "s3://b/a b+c d");
    check(notification("year%3D2025/%C3%BC%26%F0%9F%99%82.gz"), "s3://b/year=2025/ü&🙂.gz");
    check(notification("100%"), "s3://b/100%");
    check(event_bridge("a+b%2Bc d"), "s3://b/a+b%2Bc d");
    check(notification("%ff"), "error: S3 notification: expected s3.object.key, form-encoded…");
}

#[test]
fn only_created_objects_are_deliveries() {
    let named = |name: &str| {
        let mut event = notification("k");
        event["Records"][0]["eventName"] = json!(name);
        event
    };
    for name in ["ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload", "s3:ObjectCreated:Copy"] {
        check(named(name), "s3://b/k");
    }
    for name in ["ObjectRemoved:Delete", "LifecycleExpiration:Delete", "ObjectRestore:Completed", ""] {
        check(named(name), "");
    }
    let mut bare = notification("k");
    bare["Records"][0].as_object_mut().expect("a record").remove("eventName");
    check(bare, "s3://b/k");
    let mut untyped = event_bridge("k");
    untyped.as_object_mut().expect("an event").remove("detail-type");
    check(untyped, "error: EventBridge event: expected detail-type");
    let mut deleted = event_bridge("k");
    deleted["detail-type"] = json!("Object Deleted");
    check(deleted, "");
}

#[test]
fn the_detail_of_a_new_object_alone_is_enough() {
    let detail = |field: &str| {
        let mut detail = event_bridge("a+b%2B")["detail"].clone();
        detail[field] = json!("x");
        detail
    };
    check(detail("reason"), "s3://b/a+b%2B");
    check(json!({"Records":[sqs("m", &detail("reason"))]}), "m=[s3://b/a+b%2B]");
    check(json!([detail("reason"), detail("requester")]), "s3://b/a+b%2B | s3://b/a+b%2B");
    for no_new_object in ["deletion-type", "source-storage-class", "destination-storage-class"] {
        check(detail(no_new_object), "");
    }
    check(
        json!({"bucket":{},"object":{}}),
        "error: EventBridge event: expected detail.bucket.name and detail.object.key",
    );
}

#[test]
fn the_test_event_names_nothing() {
    let test =
        json!({"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2025-06-01T10:00:00.000Z","Bucket":"b"});
    check(test.clone(), "");
    check(sns(&test), "");
    check(json!({"Records":[sqs("m", &test)]}), "m=[]");
}
