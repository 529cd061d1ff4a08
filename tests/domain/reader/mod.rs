//! Bytes → denials.

mod cloudtrail;
mod counts;
mod damage;
mod envelopes;
mod forms;
mod growth;
mod limits;
mod random;
mod texts;

use std::io::Write;

use bedrock_denial_watch::count::tally::Tally;
use bedrock_denial_watch::reader::{Limits, Read, Reader};
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use bedrock_denial_watch::rule::definition::Rule;
use flate2::Compression;
use flate2::write::GzEncoder;

fn read(stored: &[u8], chunk: usize, limits: Limits) -> Read {
    read_by(reader(DENIED_MODEL.clone(), limits), stored, chunk)
}

fn reader(rule: Rule, limits: Limits) -> Reader<'static> {
    Reader::new("o", Tally::new(vec![rule], Vec::new()), limits)
}

fn read_by(mut reader: Reader<'_>, stored: &[u8], chunk: usize) -> Read {
    for piece in stored.chunks(chunk.max(1)) {
        if !reader.push(piece) {
            break;
        }
    }
    reader.finish()
}

/// The request ids of all denials, in order, and after `!` the offsets of all faults.
fn shown(read: Read) -> String {
    let faults: String = read.faults.iter().map(|fault| format!(" !{}", fault.offset)).collect();
    let summaries = read.tally.into_summaries();
    let added = summaries.flat_map(|summary| summary.contributions().collect::<Vec<_>>());
    let samples = added.flat_map(|(_, slot)| slot.samples);
    let mut ids: Vec<String> = samples.map(|sample| sample.value.to_string()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.join(" ") + &faults
}

/// `$a` is a denied record with request id `a`, `%a` a normal one; `&a` for a denial
/// in CloudTrail, `~a` for one of another service.
fn expand(text: &str) -> String {
    let mut expanded = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '$' => {
                let id = characters.next().expect("an id");
                expanded += &format!(
                    r#"{{"timestamp":"2025-06-01T10:00:00Z","requestId":"{id}","errorCode":"AccessDeniedException"}}"#
                );
            }
            '%' => {
                let id = characters.next().expect("an id");
                expanded += &format!(r#"{{"requestId":"{id}","input":"what is an AccessDeniedException?"}}"#);
            }
            '&' => expanded += &trail("bedrock", characters.next().expect("an id"), "null"),
            '~' => expanded += &trail("s3", characters.next().expect("an id"), "null"),
            other => expanded.push(other),
        }
    }
    expanded
}

/// A denial as CloudTrail records it, by a service, with the requested model.
fn trail(service: &str, id: char, asked: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"arn":"u"}},"eventTime":"2025-06-01T10:00:00Z","eventSource":"{service}.amazonaws.com","eventName":"InvokeModel","errorCode":"AccessDenied","requestParameters":{asked},"requestID":"{id}"}}"#
    )
}

/// A record of another service. Each level holds an error code after the level below it, so that every
/// backward walk passes everything below.
fn nested_codes(levels: usize) -> String {
    let deep = (0..levels)
        .fold("{}".to_owned(), |deep, _| format!("{{\"a\":{deep},\"errorCode\":\"AccessDenied\"}}"));
    trail("s3", 'o', &deep)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).and_then(|()| encoder.finish()).expect("in memory")
}

/// Text is read in blocks; small blocks end at every possible place.
fn blocks(block_bytes: usize) -> Limits {
    Limits { block_bytes, ..Limits::default() }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let text = expand(text);
    let offsets = expected.replace('$', &expand("$a").len().to_string());
    for block in (1..70).chain([128, 1000]) {
        let read = read(text.as_bytes(), text.len(), blocks(block));
        assert_eq!(shown(read), offsets, "blocks of {block}: {text}");
    }
    for chunk in [1, 64, text.len()] {
        assert_eq!(
            shown(read(text.as_bytes(), chunk, Limits::default())),
            offsets,
            "plain, chunk {chunk}: {text}"
        );
    }
    let cut = text.len() / 2;
    let members = [gzip(&text.as_bytes()[..cut]), gzip(&text.as_bytes()[cut..])].concat();
    assert_eq!(shown(read(&members, 7, Limits::default())), offsets, "two members: {text}");
}
