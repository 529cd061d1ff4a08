//! `make bench`: what reading an object costs beside its bare decompression, as ratios of
//! medians within one run, since machines are noisy. Seeded; no files.

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use bedrock_denial_watch::reader::{Limits, Reader};
use bedrock_denial_watch::rules::DENIED_MODEL;
use bedrock_denial_watch::tally::Tally;
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
    let mut reader = Reader::new("bench", Tally::new(vec![DENIED_MODEL], Vec::new()), Limits::default());
    for chunk in stored.chunks(CHUNK_BYTES) {
        reader.push(chunk);
    }
    reader.finish().statistics.denials
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
    for (name, text) in [("honest log", honest()), ("all denied", denied())] {
        let stored = gzip(&text);
        let (mut bare, mut whole) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(timed(inflate, &stored));
            whole.push(timed(read, &stored));
        }
        let (bare, whole) = (median(bare), median(whole));
        println!(
            "{name}: {} MB, {} denials; inflate {:.0} ms, read {:.0} ms, ratio {:.3}",
            text.len() / 1_000_000,
            read(&stored),
            bare.as_secs_f64() * 1e3,
            whole.as_secs_f64() * 1e3,
            whole.as_secs_f64() / bare.as_secs_f64(),
        );
    }
}
