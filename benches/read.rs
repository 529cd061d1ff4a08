//! `make bench`: what reading an object costs beside its bare decompression, as ratios of
//! medians within one run, since machines are noisy. Seeded; no files.

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use bedrock_denial_watch::count::tally::Tally;
use bedrock_denial_watch::reader::{Finished, Limits, Reader};
use bedrock_denial_watch::rule::catalogue::{ALL, DENIED_MODEL};
use bedrock_denial_watch::rule::definition::Rule;
use flate2::write::GzEncoder;
use flate2::{Compression, Decompress, FlushDecompress};

const ROUNDS: usize = 9;
const CHUNK_BYTES: usize = 64 * 1024;
const SEED: u64 = 20_250_601;

/// A linear congruential generator. Source: Knuth's MMIX.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn words(&mut self, bytes: usize) -> String {
        let mut text = String::new();
        while text.len() < bytes {
            for _ in 0..=self.below(8) {
                // Squared, so that some letters are much more frequent than others, as in prose.
                let letter = self.below(26) * self.below(26) / 26;
                text.push(char::from(b'a' + u8::try_from(letter).unwrap_or_default()));
            }
            text.push(' ');
        }
        text
    }
}

/// Records of 15 KB, of which one in 250 is denied and one in 70 only mentions the error.
fn honest() -> Vec<u8> {
    let mut random = Random(SEED);
    let bodies: Vec<String> = (0..200).map(|_| random.words(7_000)).collect();
    let mut log = Vec::new();
    for number in 0..7_000 {
        let mut body = |marker: &str| {
            format!("{marker}{}", bodies[usize::try_from(random.below(200)).unwrap_or_default()])
        };
        let marker = if number % 70 == 0 { "AccessDeniedException " } else { "" };
        let rest = if number % 250 == 0 {
            r#""errorCode":"AccessDeniedException","input":{},"output":{}"#.to_owned()
        } else {
            format!(
                r#""input":{{"inputBodyJson":"{}"}},"output":{{"outputBodyJson":"{}"}}"#,
                body(marker),
                body("")
            )
        };
        record(&mut log, number, &rest);
    }
    log
}

fn denied() -> Vec<u8> {
    let mut log = Vec::new();
    for number in 0..130_000 {
        record(
            &mut log,
            number,
            r#""errorCode":"AccessDeniedException","input":{"inputContentType":"application/json"},"output":{}"#,
        );
    }
    log
}

fn record(log: &mut Vec<u8>, number: u64, rest: &str) {
    let (minute, second) = (number / 300 % 60, number / 5 % 60);
    let spread = number.wrapping_mul(2_654_435_761) % (1 << 32);
    let line = format!(
        r#"{{"schemaType":"ModelInvocationLog","schemaVersion":"1.0","timestamp":"2025-06-01T10:{minute:02}:{second:02}Z","accountId":"111122223333","identity":{{"arn":"arn:aws:sts::111122223333:assumed-role/app/s{}"}},"region":"us-east-1","requestId":"{spread:08x}-0000-4000-8000-{number:012x}","operation":"InvokeModel","modelId":"anthropic.claude-3-sonnet-20240229-v1:0",{rest}}}"#,
        number % 7,
    );
    log.extend_from_slice(line.as_bytes());
    log.push(b'\n');
}

/// A CloudTrail log file on one line, as AWS writes it. Of calls to other services one in a hundred
/// is refused; Bedrock's own succeed, but for `refusals` in the last tenth.
fn trail(refusals: u64) -> Vec<u8> {
    const BYTES: usize = 200_000_000;
    let mut random = Random(SEED);
    let mut log = br#"{"Records":["#.to_vec();
    let mut number = 0;
    let mut left = refusals;
    while log.len() < BYTES {
        if number > 0 {
            log.push(b',');
        }
        let refused = left > 0 && log.len() > BYTES / 10 * 9 && number % 100 == 0;
        left -= u64::from(refused);
        let call = if refused { MODEL_CALL } else { random.below(CALLS.len() as u64 * 4) / 4 };
        trail_record(&mut log, &mut random, number, call, refused);
        number += 1;
    }
    log.extend_from_slice(b"]}");
    log
}

fn trail_with_refusals() -> Vec<u8> {
    trail(12)
}

fn trail_without_refusals() -> Vec<u8> {
    trail(0)
}

/// Service, call, what was asked for and what was answered; `$` stands for a name, `^` for an id.
const CALLS: [(&str, &str, &str, &str); 8] = [
    (
        "s3",
        "GetObject",
        r#"{"bucketName":"$-data-$","Host":"$-data-$.s3.us-east-1.amazonaws.com","key":"$/$/part-^.parquet"}"#,
        "null",
    ),
    (
        "sts",
        "AssumeRole",
        r#"{"roleArn":"arn:aws:iam::111122223333:role/$-$","roleSessionName":"$-^","durationSeconds":3600}"#,
        r#"{"credentials":{"accessKeyId":"ASIA^","sessionToken":"IQoJb3JpZ2luX2Vj^^^^","expiration":"Jun 1, 2025, 11:00:00 AM"},"assumedRoleUser":{"assumedRoleId":"AROA^:$-^","arn":"arn:aws:sts::111122223333:assumed-role/$-$/$-^"}}"#,
    ),
    (
        "kms",
        "Decrypt",
        r#"{"encryptionContext":{"aws:s3:arn":"arn:aws:s3:::$-data-$/$"},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}"#,
        "null",
    ),
    (
        "ec2",
        "DescribeInstances",
        r#"{"instancesSet":{"items":[{"instanceId":"i-^"},{"instanceId":"i-^"}]},"filterSet":{"items":[{"name":"tag:$","valueSet":{"items":[{"value":"$"}]}}]}}"#,
        "null",
    ),
    ("bedrock", "InvokeModel", r#"{"modelId":"anthropic.claude-3-sonnet-20240229-v1:0"}"#, "null"),
    ("dynamodb", "DescribeTable", r#"{"tableName":"$-$"}"#, "null"),
    (
        "logs",
        "CreateLogStream",
        r#"{"logGroupName":"/aws/lambda/$-$","logStreamName":"2025/06/01/[$LATEST]^"}"#,
        "null",
    ),
    ("iam", "GetRolePolicy", r#"{"roleName":"$-$","policyName":"$"}"#, "null"),
];
const MODEL_CALL: u64 = 4;

const NAMES: [&str; 12] = [
    "orders", "billing", "search", "ingest", "reports", "etl", "web", "audit", "metrics", "images", "jobs",
    "prod",
];

fn trail_record(log: &mut Vec<u8>, random: &mut Random, number: u64, call: u64, refused: bool) {
    let (service, name, asked, answered) = CALLS[usize::try_from(call).unwrap_or_default()];
    let mut filled = |text: &str| {
        let mut filled = String::new();
        for character in text.chars() {
            match character {
                '$' => filled += NAMES[usize::try_from(random.below(12)).unwrap_or_default()],
                '^' => filled += &format!("{:08x}{:08x}", random.below(1 << 32), random.below(1 << 31)),
                other => filled.push(other),
            }
        }
        filled
    };
    let other_refused = call != MODEL_CALL && number % 100 == 17;
    let error = if refused || other_refused {
        filled(&format!(
            r#""errorCode":"AccessDenied","errorMessage":"User: arn:aws:sts::111122223333:assumed-role/$-$/$ is not authorized to perform: {service}:{name} on resource: arn:aws:{service}:us-east-1:111122223333:$/$ because no identity-based policy allows the {service}:{name} action","#
        ))
    } else {
        String::new()
    };
    let (minute, second) = (number / 60 % 60, number % 60);
    let record = filled(&format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole","principalId":"AROA^:$-$","arn":"arn:aws:sts::111122223333:assumed-role/$-$/$-$","accountId":"111122223333","accessKeyId":"ASIA^","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROA^","arn":"arn:aws:iam::111122223333:role/$-$","accountId":"111122223333","userName":"$-$"}},"attributes":{{"creationDate":"2025-06-01T09:{minute:02}:{second:02}Z","mfaAuthenticated":"false"}}}}}},"eventTime":"2025-06-01T10:{minute:02}:{second:02}Z","eventSource":"{service}.amazonaws.com","eventName":"{name}","awsRegion":"us-east-1","sourceIPAddress":"10.0.{}.{}","userAgent":"[aws-sdk-java/2.20.{} Linux/5.10.{}-amzn2.x86_64 OpenJDK_64-Bit_Server_VM/17.0.7+7-LTS Java/17.0.7 vendor/Amazon.com_Inc. io/sync http/Apache cfg/retry-mode/standard]",{error}"requestParameters":{asked},"responseElements":{answered},"requestID":"^-^","eventID":"^-^","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{service}.us-east-1.amazonaws.com"}}}}"#,
        number * 7 % 256,
        number * 13 % 256,
        number % 40,
        number % 9,
    ));
    log.extend_from_slice(record.as_bytes());
}

/// Builds a log when it is its turn: one at a time is in memory.
type Log = fn() -> Vec<u8>;
type Read = fn(&[u8]) -> u64;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(text).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn inflate(stored: &[u8]) -> u64 {
    let mut decoder = Decompress::new_gzip(15);
    let mut output = vec![0; 256 * 1024];
    for chunk in stored.chunks(CHUNK_BYTES) {
        let mut rest = chunk;
        loop {
            let (before, written) = (decoder.total_in(), decoder.total_out());
            if decoder.decompress(rest, &mut output, FlushDecompress::None).is_err() {
                return 0;
            }
            rest = &rest[usize::try_from(decoder.total_in() - before).unwrap_or_default()..];
            if rest.is_empty() && decoder.total_out() - written < output.len() as u64 {
                break;
            }
        }
    }
    decoder.total_out()
}

fn read(stored: &[u8]) -> u64 {
    read_by(stored, vec![DENIED_MODEL.clone()])
}

/// Rules that only name `succeeded` look at every record; all others are found by a few words.
fn looks_at_every_record(rule: &Rule) -> bool {
    rule.record.needs_every_record()
}

fn read_by_needles(stored: &[u8]) -> u64 {
    read_by(stored, ALL.iter().filter(|rule| !looks_at_every_record(rule)).cloned().collect())
}

fn read_by_all(stored: &[u8]) -> u64 {
    read_by(stored, ALL.clone())
}

fn read_by(stored: &[u8], rules: Vec<Rule>) -> u64 {
    let mut reader = Reader::new("bench", Tally::new(rules, Vec::new()), Limits::default());
    loop {
        for chunk in stored.chunks(CHUNK_BYTES) {
            if !reader.push(chunk) {
                break;
            }
        }
        match reader.finish() {
            Finished::Read(read) => return read.statistics.denials,
            Finished::Again(thorough) => reader = thorough,
        }
    }
}

fn timed(work: fn(&[u8]) -> u64, stored: &[u8]) -> Duration {
    let start = Instant::now();
    black_box(work(black_box(stored)));
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() {
    println!("seed {SEED}, medians of {ROUNDS} rounds");
    let logs: [(&str, Log, Read); 6] = [
        ("honest log", honest, read),
        ("honest log, all rules that sweep for words", honest, read_by_needles),
        ("honest log, every rule", honest, read_by_all),
        ("all denied", denied, read),
        ("CloudTrail", trail_without_refusals, read),
        ("CloudTrail, with refusals", trail_with_refusals, read),
    ];
    for (name, log, read) in logs {
        let text = log();
        let (stored, bytes) = (gzip(&text), text.len());
        drop(text);
        let (mut bare, mut whole) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(timed(inflate, &stored));
            whole.push(timed(read, &stored));
        }
        let (bare, whole) = (median(bare), median(whole));
        println!(
            "{name}: {} MB, {} MB stored, {} denials; inflate {:.0} ms, read {:.0} ms, ratio {:.3}",
            bytes / 1_000_000,
            stored.len() / 1_000_000,
            read(&stored),
            bare.as_secs_f64() * 1e3,
            whole.as_secs_f64() * 1e3,
            whole.as_secs_f64() / bare.as_secs_f64(),
        );
    }
}
