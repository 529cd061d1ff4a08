//! The S3 source over the wire.

use bedrock_denial_watch::count::tally::Tally;
use bedrock_denial_watch::lambda::aws::S3Source;
use bedrock_denial_watch::reader::{Limits, Read, Reader};
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use bedrock_denial_watch::source::object::Object;

use crate::http::{Reply, Server};
use crate::support::{gzip, log, nowhere, sdk};

fn object(key: &str, version: Option<&str>) -> Object {
    Object {
        bucket: "logs".to_owned(),
        key: key.to_owned(),
        version_id: version.map(str::to_owned),
        size: None,
    }
}

async fn read(url: &str, object: &Object) -> Result<Read, String> {
    let tally = Tally::new(vec![DENIED_MODEL.clone()], Vec::new());
    let mut reader = Reader::new("o", tally, Limits::default());
    let source = S3Source::new(&sdk(url));
    let result = source.read(object, &mut reader).await;
    let read = reader.finish();
    result.map(|()| read).map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_whole_body_is_read_and_the_key_goes_out_encoded() {
    let body = gzip(&log(&["1", "2", "3"]));
    let length = body.len() as u64;
    let server = Server::start(move |_, _| Some(Reply::new(200, body.clone())));
    let read = read(&server.url, &object("a b/ü+&=%.json.gz", None)).await.expect("read");
    assert_eq!((read.statistics.denials, read.statistics.bytes), (3, length));
    assert_eq!(read.damage, None);
    let request = &server.requests()[0];
    assert_eq!(request.method, "GET");
    assert_eq!(request.target, "/logs/a%20b/%C3%BC%2B%26%3D%25.json.gz?x-id=GetObject");
}

#[tokio::test]
async fn a_version_is_asked_for_by_its_id() {
    let server = Server::start(|_, _| Some(Reply::new(200, log(&["1"]))));
    let read = read(&server.url, &object("k.json", Some("v+1"))).await.expect("read");
    assert_eq!(read.statistics.denials, 1);
    assert!(server.requests()[0].target.contains("versionId=v%2B1"));
}

#[tokio::test]
async fn the_body_is_pushed_on_while_it_arrives() {
    // A terabyte is announced, little is sent, and the connection stays open: only a reader
    // that sees the first bytes at once can find them corrupt and stop.
    let server = Server::start(|_, _| {
        let mut reply = Reply::new(200, [gzip(&log(&["1", "2"])), b"no gzip".to_vec()].concat());
        reply.announced = Some(1 << 40);
        reply.hold = true;
        Some(reply)
    });
    let read = read(&server.url, &object("k.json.gz", None)).await.expect("read");
    assert_eq!(read.statistics.denials, 2);
    assert!(read.damage.is_some());
}

#[tokio::test]
async fn a_body_that_ends_early_is_an_error_even_between_two_members() {
    let whole = [gzip(&log(&["1"])), gzip(&log(&["2"]))].concat();
    let first = gzip(&log(&["1"])).len();
    let server = Server::start(move |_, _| {
        let mut reply = Reply::new(200, &whole[..first]);
        reply.announced = Some(whole.len() as u64);
        Some(reply)
    });
    let error = read(&server.url, &object("k.json.gz", None)).await.err().expect("short");
    assert!(error.starts_with("S3 GetObject of s3://logs/k.json.gz: the body broke off after"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_empty_body_holds_nothing() {
    let server = Server::start(|_, _| Some(Reply::new(200, "")));
    let read = read(&server.url, &object("k.json", None)).await.expect("read");
    assert_eq!((read.statistics.records, read.damage), (0, None));
}

#[tokio::test]
async fn a_failing_service_is_asked_again() {
    let server = Server::start(|number, _| {
        Some(match number {
            0 => Reply::s3_error(503, "SlowDown", "Please reduce your request rate."),
            1 => Reply::new(500, ""),
            _ => Reply::new(200, log(&["1"])),
        })
    });
    let read = read(&server.url, &object("k.json", None)).await.expect("read");
    assert_eq!(read.statistics.denials, 1);
    assert_eq!(server.requests().len(), 3);
}

async fn check_refusal(status: u16, code: &'static str, message: &'static str, expected: &str) {
    let server = Server::start(move |_, _| Some(Reply::s3_error(status, code, message)));
    let error = read(&server.url, &object("a/k.json", Some("v7"))).await.err().expect("refused");
    let start =
        format!("S3 GetObject of s3://logs/a/k.json (version v7): {code}: {message} (request id r-1)");
    assert!(error.starts_with(&start), "{error}");
    assert!(error.contains(expected), "{error}");
    assert_eq!(server.requests().len(), 1, "not retried");
}

#[tokio::test]
async fn a_refusal_names_the_object_its_cause_and_what_to_do() {
    check_refusal(404, "NoSuchKey", "The specified key does not exist.", "was it deleted").await;
    check_refusal(404, "NoSuchVersion", "The specified version does not exist.", "that version").await;
    check_refusal(404, "NoSuchBucket", "The specified bucket does not exist", "the bucket").await;
    check_refusal(403, "AccessDenied", "Access Denied", "needs s3:GetObject").await;
    check_refusal(
        403,
        "AccessDenied",
        "User: arn:aws:sts::1:assumed-role/f/f is not authorized to perform: kms:Decrypt on this resource",
        "needs kms:Decrypt on the key",
    )
    .await;
    check_refusal(400, "KMS.DisabledException", "arn:aws:kms:… is disabled.", "enable it").await;
    check_refusal(403, "InvalidObjectState", "The operation is not valid", "restored first").await;
}

#[tokio::test]
async fn an_unreachable_service_is_told_by_the_last_cause() {
    let url = nowhere().endpoint_url().expect("set").to_owned();
    let error = read(&url, &object("k.json", None)).await.err().expect("nobody listens");
    assert!(error.contains("s3://logs/k.json: dispatch failure"), "{error}");
    assert!(error.contains("Connection refused"), "{error}");
}
