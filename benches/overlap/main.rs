//! Whether a large object is decompressed while it arrives: the Lambda's own S3 source, over a local link of a
//! certain speed, beside the download alone and the decompression alone. By the clock on the wall, to which other
//! work on the machine can only add: the best round counts.

#[expect(dead_code, reason = "the other benchmark has more logs")]
#[path = "../logs/mod.rs"]
mod logs;

mod link;

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_config::{Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use bedrock_denial_watch::count::tally::Tally;
use bedrock_denial_watch::lambda::aws::{S3Source, behavior};
use bedrock_denial_watch::reader::{Limits, Reader};
use bedrock_denial_watch::rule::catalogue::ALL;
use bedrock_denial_watch::rule::settings::Settings;
use bedrock_denial_watch::source::inflate::Inflate;
use bedrock_denial_watch::source::object::Object;
use tokio::runtime::{Builder, Runtime};

use crate::link::Link;
use crate::logs::{gzip, invocations};

const ROUNDS: usize = 9;
/// About 50 MB as stored.
const TEXT_BYTES: usize = 225_000_000;
/// What one connection to S3 gives a function at best, in bytes a second.
const LINK: f64 = 90e6;

fn sdk(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("AKIDTEST", "secret", None, None, "bench");
    SdkConfig::builder()
        .behavior_version(behavior())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}

/// Bare decompression, from memory.
fn inflate(stored: &[u8]) {
    let mut decoder = Inflate::default();
    let mut output = vec![0; Limits::default().block_bytes];
    for mut rest in stored.chunks(64 * 1024) {
        while decoder.decode(&mut rest, &mut output).expect("our own gzip") == output.len()
            || !rest.is_empty()
        {}
    }
    black_box(&output[0]);
}

/// The same client, and no one who reads what arrives.
async fn download(client: &Client, key: &str) -> usize {
    let answer = client.get_object().bucket("logs").key(key).send().await.expect("an answer");
    let mut body = answer.body;
    let mut bytes = 0;
    while let Some(chunk) = body.next().await {
        bytes += chunk.expect("a chunk").len();
    }
    bytes
}

/// How many denials the Lambda finds.
async fn whole(source: &S3Source, object: &Object) -> u64 {
    let tally = Tally::new(Settings::new(ALL.clone()).rules_on(), Vec::new());
    let mut reader = Reader::new("bench", tally, Limits::default());
    source.read(object, &mut reader).await.expect("it arrives");
    reader.finish().statistics.denials
}

fn timed<T>(best: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *best = start.elapsed().min(*best);
    result
}

fn measure(runtime: &Runtime, stored: &[u8], bytes_a_second: f64) {
    let link = Link::start(stored.to_vec(), bytes_a_second);
    let config = sdk(&link.url);
    let (client, source) = (Client::new(&config), S3Source::new(&config));
    let object = Object { bucket: "logs".into(), key: "k.json.gz".into(), version_id: None, size: None };
    let [mut alone, mut bare, mut both] = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        let arrived = timed(&mut alone, || runtime.block_on(download(&client, &object.key)));
        assert_eq!(arrived, stored.len());
        timed(&mut bare, || inflate(stored));
        let denials = timed(&mut both, || runtime.block_on(whole(&source, &object)));
        assert!(denials > 0);
    }
    let [alone, bare, both] = [alone, bare, both].map(|time| time.as_secs_f64());
    println!(
        "| {:.0} MB/s | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} |",
        bytes_a_second / 1e6,
        alone * 1e3,
        bare * 1e3,
        both * 1e3,
        both / alone.max(bare),
        both / (alone + bare),
    );
}

fn main() {
    let stored = gzip(invocations::mixed(TEXT_BYTES).as_bytes());
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let size = f64::from(u32::try_from(stored.len()).unwrap_or(u32::MAX));
    println!("### Download and decompression of one object of {:.1} MB\n", size / 1e6);
    println!("Best of {ROUNDS} rounds that take turns, in ms by the clock on the wall.\n");
    println!("| link | download alone | inflate alone | the Lambda's reading | of the slower | of the sum |");
    println!("|---|---|---|---|---|---|");
    measure(&runtime, &stored, LINK);
    // The hardest case: both take as long as each other.
    let mut bare = Duration::MAX;
    for _ in 0..ROUNDS {
        timed(&mut bare, || inflate(&stored));
    }
    measure(&runtime, &stored, size / bare.as_secs_f64());
    println!();
}
