//! Objects at and beyond the limits.

use std::process::Command;

use bedrock_denial_watch::reader::{FaultKind, Limits};
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use bedrock_denial_watch::source::inflate::Damage;
use bedrock_denial_watch::source::text::MAX_TEXT_BYTES;

use crate::depth;

use super::{blocks, expand, gzip, read, reader, shown};

#[test]
fn an_over_long_record_is_skipped_to_its_end() {
    let limits = Limits { record_bytes: 300_000, ..Limits::default() };
    let long = |inside: &str| format!("{{\"x\":[{}\"{}\"]}}", inside, "y".repeat(1_200_000));
    let nested = format!("\n{},\n", expand("$n"));
    for (text, expected) in [
        (format!("$a\n{}\n$b", long("")), "a b"),
        (format!("{}\n$b", long("")), "b"),
        (format!("[$a,{},$b]", long("")), "a b"),
        (format!("$a{}$b", long("")), "a b"),
        (format!("$a\n{}\n$b", long(&nested)), "a b"),
        (format!("$a\n{{\"x\":[\"{}\"\n$b\n$c\n", "y".repeat(1_200_000)), "a b c"),
        (format!("$a\n{{\"errorCode\":\"AccessDeniedException\",{}\n$b", &long("")[1..]), "a b"),
    ] {
        let text = expand(&text);
        for chunk in [1000, text.len()] {
            let read = read(text.as_bytes(), chunk, limits);
            assert_eq!(read.statistics.oversized, 1, "chunk {chunk} {} {:?}", &text[..100], read.statistics);
            assert_eq!(read.faults[0].kind, FaultKind::Oversized);
            let offset = read.faults[0].offset;
            assert_eq!(shown(read), format!("{expected} !{offset}"));
            assert_eq!(text.as_bytes()[usize::try_from(offset).expect("small")], b'{');
        }
    }
}

#[test]
fn endless_nesting_is_a_fault_and_costs_no_memory() {
    let deep = "[".repeat(1_200_000);
    check_once(&format!("$a\n{{\"x\":{deep}\n$b\n"), "a b");
    check_once(&format!("[$a,{{\"x\":{deep}\n,$b]"), "a b");
}

#[track_caller]
fn check_once(text: &str, expected: &str) {
    let text = expand(text);
    assert_eq!(shown(read(text.as_bytes(), text.len(), Limits::default())), expected);
}

#[test]
fn too_many_pairs_fail_the_object_with_that_reason() {
    let log = (0..200).fold(String::new(), |log, number| {
        log + &expand("$a").replace("\"requestId\"", &format!("\"modelId\":\"m{number}\",\"requestId\""))
            + "\n"
    });
    let limits = |pairs| Limits { pairs, ..blocks(1000) };
    assert_eq!(read(log.as_bytes(), 1000, limits(200)).damage, None);
    let damaged = read(log.as_bytes(), 1000, limits(100));
    assert_eq!(damaged.damage, Some(Damage::TooManyPairs { limit: 100 }));
    assert!(damaged.statistics.denials > 100 && damaged.statistics.denials < 130);
}

#[test]
fn a_bomb_fails_with_its_reason_and_keeps_what_stands_before_it() {
    let limits = Limits { text_bytes: 1 << 20, ..Limits::default() };
    let stored = [gzip(expand("$a\n").as_bytes()), gzip(&vec![b' '; 8 << 20])].concat();
    let read = read(&stored, 1000, limits);
    assert_eq!(read.damage, Some(Damage::TooLarge { limit: 1 << 20 }));
    assert!(read.statistics.text_bytes < (2 << 20));
    assert_eq!(read.statistics.denials, 1);
}

#[test]
fn one_more_than_two_hundred_thousand_invented_models_is_said() {
    let pairs = Limits::default().pairs;
    let limits = Limits { pairs: depth::pick(pairs, pairs / 8), ..Limits::default() };
    let log = (0..=limits.pairs).fold(String::new(), |log, number| {
        log + &format!(
            r#"{{"timestamp":"2025-06-01T10:00:00Z","modelId":"m{number}","requestId":"r","errorCode":"AccessDeniedException"}}{}"#,
            "\n"
        )
    });
    let read = read(log.as_bytes(), 1 << 20, limits);
    assert_eq!(read.damage, Some(Damage::TooManyPairs { limit: limits.pairs }));
    assert!(read.tally.bytes() < 500 * limits.pairs, "{} bytes", read.tally.bytes());
}

/// However long an id is, only its head and its hash are kept.
#[test]
fn long_ids_take_no_more_memory_than_their_heads() {
    let log = (0..2000).fold(String::new(), |log, number| {
        let model = format!("\"modelId\":\"m{number}{}\",\"requestId\"", "x".repeat(2048));
        log + &expand("$a").replace("\"requestId\"", &model) + "\n"
    });
    let read = read(log.as_bytes(), log.len(), Limits::default());
    assert_eq!(read.statistics.denials, 2000);
    assert!(read.tally.bytes() < 2000 * 1300, "{} bytes", read.tally.bytes());
}

// In a sample, `long_ids_take_no_more_memory_than_their_heads` bounds the memory of 2,000 such pairs.
#[test]
#[ignore = "at full depth only: make test-all"]
fn the_most_pairs_fit_into_memory_even_with_the_longest_models() {
    let limits = Limits::default();
    let mut reader = reader(DENIED_MODEL.clone(), limits);
    for number in 0..limits.pairs {
        // The beginnings differ, so that all evidence does.
        let model = format!("{number}{}", "x".repeat(MAX_TEXT_BYTES));
        let record = format!(
            r#"{{"timestamp":"2025-06-01T10:00:00Z","modelId":"{model}","requestId":"00000000-0000-4000-8000-{number:012}","errorCode":"AccessDeniedException"}}"#
        );
        assert!(reader.push(format!("{record}\n").as_bytes()), "after {number}");
    }
    let read = reader.finish();
    assert_eq!((read.damage, read.tally.pairs()), (None, limits.pairs));
}

#[test]
fn gzip_inside_gzip_never_looks_like_a_clean_log() {
    let twice = gzip(&gzip(expand("$a\n").as_bytes()));
    assert_eq!(read(&twice, 7, Limits::default()).damage, Some(Damage::Nested));
}

#[test]
fn utf_16_never_looks_like_a_clean_log() {
    for text in ["{\"a\":1}", "[{}]", "\u{feff}{}"] {
        for encode in [u16::to_le_bytes, u16::to_be_bytes] {
            let utf_16: Vec<u8> = text.encode_utf16().flat_map(encode).collect();
            for bytes in [gzip(&utf_16), utf_16] {
                assert_eq!(read(&bytes, 7, Limits::default()).damage, Some(Damage::Utf16), "{text}");
            }
        }
    }
}

/// Once, an envelope that did not begin with its array was read as a whole, and each empty element took 39 times its
/// text: 16 KB of gzip took 623 MB.
#[test]
fn an_envelope_of_empty_elements_takes_no_more_memory_than_its_text() {
    let (folder, elements) = (tempfile::tempdir().expect("a folder"), depth::pick(5_500_000, 1_000_000));
    let log = format!("{{\"x\":{{}},\"Events\":[{}{{}}]}}", "{},".repeat(elements));
    std::fs::write(folder.path().join("events.json.gz"), gzip(log.as_bytes())).expect("written");
    // Kilobytes of address space.
    let limited = format!("ulimit -v {} && exec \"$0\" --format json \"$1\"", 128 << 10);
    let output =
        Command::new("sh").args(["-c", &limited, env!("CARGO_BIN_EXE_replay")]).arg(folder.path()).output();
    let output = output.expect("replay runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.stdout.is_empty() && said.contains("no denials, no alerts"), "{said}");
}
