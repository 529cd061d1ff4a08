//! What several tests share: ports, an SDK configuration, an engine, and pieces of the domain.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use aws_config::{Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use bedrock_denial_watch::call::Source;
use bedrock_denial_watch::count::counter::{Contribution, Digest, Sample, Slot};
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::value::DistinctValue;
use bedrock_denial_watch::lambda::aws::behavior;
use bedrock_denial_watch::source::time::EventTime;
use flate2::Compression;
use flate2::write::GzEncoder;

pub const TABLE: &str = "denials";

/// A program with credentials, and nothing else of this environment.
pub fn program(path: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(path);
    command
        .args(arguments)
        .env_clear()
        .envs([
            ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ])
        .envs(variables.iter().copied());
    command
}

/// A free loopback port, below the range the system hands out by itself.
pub fn listener() -> TcpListener {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 6000).expect("small");
    for _ in 0..12_000 {
        let offset = start + NEXT.fetch_add(1, Ordering::Relaxed);
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", 20_000 + offset % 12_000)) {
            return listener;
        }
    }
    panic!("no free port");
}

/// A configuration whose every service is at `endpoint`.
pub fn sdk(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("AKIDTEST", "secret", None, None, "test");
    let builder = SdkConfig::builder()
        .behavior_version(behavior())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint);
    #[cfg(not(feature = "https"))]
    let builder = builder.http_client(bedrock_denial_watch::lambda::aws::plain_http());
    builder.build()
}

/// A configuration whose every service refuses connections.
pub fn nowhere() -> SdkConfig {
    let listener = listener();
    sdk(&format!("http://{}", listener.local_addr().expect("bound")))
}

/// A DynamoDB engine of its own with one empty table; ends with the process.
pub async fn dynamodb() -> SdkConfig {
    let listener = listener();
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        listener.set_nonblocking(true).expect("a socket");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            let database = dynoxide::Database::memory().expect("memory");
            dynoxide::server::serve_on(listener, database).await;
        });
    });
    let config = sdk(&format!("http://{address}"));
    let string = |name| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .expect("complete")
    };
    let part = |name, kind| {
        KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("complete")
    };
    Client::new(&config)
        .create_table()
        .table_name(TABLE)
        .attribute_definitions(string("pk"))
        .attribute_definitions(string("sk"))
        .key_schema(part("pk", KeyType::Hash))
        .key_schema(part("sk", KeyType::Range))
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .expect("a table");
    config
}

pub fn time(text: &str) -> EventTime {
    EventTime::parse(text).expect(text)
}

pub fn key(values: &[Option<&str>]) -> Key {
    Key { rule: "denied-model", values: values.iter().map(|value| value.map(Into::into)).collect() }
}

/// A slot of ten minutes of the invocation log.
pub fn slot(start: EventTime) -> Slot {
    Slot { start, minutes: 10, source: Source::InvocationLog }
}

/// What one object adds, with one sample for each of `values` at `at`.
pub fn contribution(hash: &str, at: EventTime, values: &[String]) -> Contribution {
    let samples: BTreeSet<Sample> =
        values.iter().map(|value| Sample { at, value: DistinctValue::new(value) }).collect();
    let digest = Digest {
        hash: hash.to_owned(),
        amount: samples.len() as u64,
        sampled: samples.len() as u64,
        at_least: false,
        span: None,
    };
    Contribution { digest, samples, evidence: BTreeSet::new() }
}

/// A log with one denial per request id, one second apart, from ten o'clock on.
pub fn log(request_ids: &[&str]) -> String {
    let line = |(second, id): (usize, &&str)| {
        format!(
            r#"{{"timestamp":"2025-06-01T10:00:{second:02}Z","accountId":"123456789012","region":"us-east-1","identity":{{"arn":"arn:aws:iam::123456789012:user/eve"}},"modelId":"m","requestId":"{id}","errorCode":"AccessDeniedException"}}"#
        ) + "\n"
    };
    request_ids.iter().enumerate().map(line).collect()
}

pub fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).expect("in memory")
}
