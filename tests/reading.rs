//! Bytes → denials: every form a log can have, and every way it can be broken.

use std::io::Write;

use bedrock_denial_watch::inflate::Damage;
use bedrock_denial_watch::reader::{FaultKind, Limits, Read, Reader};
use bedrock_denial_watch::rules::DENIED_MODEL;
use bedrock_denial_watch::tally::Tally;
use flate2::Compression;
use flate2::write::GzEncoder;

fn read(stored: &[u8], chunk: usize, limits: Limits) -> Read {
    let mut reader = Reader::new("o", Tally::new(vec![DENIED_MODEL], Vec::new()), limits);
    for piece in stored.chunks(chunk.max(1)) {
        if !reader.push(piece) {
            break;
        }
    }
    reader.finish()
}

/// The request ids of all denials, in order, and behind `!` the offsets of all faults.
fn shown(read: Read) -> String {
    let faults: String = read.faults.iter().map(|fault| format!(" !{}", fault.offset)).collect();
    let summaries = read.tally.into_summaries();
    let samples = summaries.iter().flat_map(|summary| summary.slots.values()).flat_map(|slot| &slot.samples);
    let mut ids: Vec<&str> = samples.map(|sample| sample.value.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.join(" ") + &faults
}

/// `$a` stands for a denied record with request id `a`, `%a` for an honest one.
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
            other => expanded.push(other),
        }
    }
    expanded
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).and_then(|()| encoder.finish()).expect("in memory")
}

/// Text is looked at in blocks; small ones put a block's edge at every place.
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

#[test]
fn every_form_of_json_is_read() {
    check("", "");
    check("\n\n", "");
    check("$a", "a");
    check("$a\n", "a");
    check("$a\n$b\n$c", "a b c");
    check("$a\r\n$b\r\n", "a b");
    check("%x\n$a\n%y\n$b", "a b");
    check("\u{feff}$a\n$b", "a b");
    check("   $a  \n\t$b\t\n", "a b");
    check("\n\n$a\n\n\n$b\n\n", "a b");
    check("$a$b%x$c", "a b c");
    check("$a $b\n$c $d\n$e", "a b c d e");
    check("[$a,$b,%x,$c]", "a b c");
    check("[\n$a,\n$b\n,\n%x,$c\n]\n", "a b c");
    check("[\n  $a,\n  $b\n]", "a b");
    check("[]", "");
    check("[$a][$b]\n$c", "a b c");
}

#[test]
fn pretty_printed_records_are_read_wherever_they_stand() {
    let pretty = expand("$p").replace('{', "{\n  ").replace(',', ",\n  ").replace('}', "\n}");
    let indented = pretty.replace('\n', "\n    ");
    check(&pretty, "p");
    check(&format!("{pretty}\n{pretty}"), "p");
    check(&format!("[\n    {indented},\n    $b\n]"), "b p");
    check(&format!("$a\n%x\n{pretty}\n$b\n"), "a b p");
    check(&format!("$a\n{pretty}\n"), "a p");
    check(&format!("{pretty}\n$a\n%x\n$b"), "a b p");
    let flat = expand("$p").replace('{', "{\n").replace(',', ",\n").replace('}', "\n}");
    check(&format!("{flat}\n{flat}\n$a"), "a p");
}

#[test]
fn nothing_nested_is_a_denial() {
    let inner = expand("$x");
    check(&format!("{{\"output\":{inner}}}\n$a"), "a");
    check(&format!("{{\"output\":[{inner},{inner}]}}"), "");
    check(&format!("{{\n\"output\": [\n{inner}\n]\n}}\n$a"), "a");
    check(&format!("$a\n{{\n  \"output\":\n    {inner}\n}}\n$b"), "a b");
    check(&format!("{{\"text\":{}}}\n", serde_json::Value::from(inner.clone())), "");
    check(&format!("{{\n  \"broken\": [\n    {inner},\n  \"oops\n}}\n$a"), "a !16");
}

#[test]
fn a_broken_candidate_is_reported_at_its_offset_and_costs_nothing_else() {
    let cut = r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException","x":"#;
    check(&format!("{cut}\n$a\n$b"), "a b !0");
    check(&format!("$a\n{cut}\n$b"), &format!("a b !{}", expand("$a").len() + 1));
    check(&format!("$a\n{cut}"), &format!("a !{}", expand("$a").len() + 1));
    check(&format!("$a\n{cut}\"open\n$b"), &format!("a b !{}", expand("$a").len() + 1));
    check("{\"errorCode\":\"AccessDeniedException\" \"x\":1}\n$a", "a !0");
    check("{\"errorCode\":\"AccessDeniedException\"]\n$a", "a !0");
    check("not JSON: AccessDeniedException\n$a", "a !0");
    check(
        "$a\nAccessDeniedException\nAccessDeniedException\n$b",
        &format!("a b !{} !{}", expand("$a").len() + 1, expand("$a").len() + 23),
    );
    check("{\"timestamp\":\"later\",\"errorCode\":\"AccessDeniedException\"}\n$a", "a !0");
    check("$a trailing\n$b", "a b");
}

#[test]
fn what_follows_a_fault_is_read() {
    check("{\"a\":1}\nxyz\n  $a\n", "a");
    check("{\"errorCode\":\"AccessDeniedException\",\"timestamp\":\"2025\n  $a\n$b", "a b !0");
    check("[{\"a\":1}\n,{\"broken\": \"AccessDenied\n,$a\n , $b\n]", "a b");
    check("xyz\n[$a]\nxyz\n\n\n$b", "a b");
}

#[test]
fn a_line_end_inside_a_record_is_none_between_records() {
    let nested = expand("$n");
    check(&format!("{{\"x\":1}}\n{{\"a\":{{}}\n,\"output\":\n{nested}\n}}\n$a"), "a");
    check(&format!("{{\"x\":1}}\n{{\"m\":[{{\"role\":\"u\"}}\n,\n{nested}\n]}}\n$a"), "a");
    check(&format!("$a\n%x\n{{\"m\":[\n{nested}\n,\n{nested}\n]}}\n$b"), "a b");
}

#[test]
fn a_broken_line_that_names_no_denial_is_none_of_our_business() {
    check("{\"broken\n$a\n}}}}\n$b\nxyz\n$c", "a b c");
    check("]]]]\n$a", "a");
    check("{\n{\n{\n$a\n$b", "a b");
    check("\"text\"\n12\nnull\n$a", "a");
}

#[test]
fn a_missing_request_id_is_replaced_by_object_and_offset() {
    let denial = r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException"}"#;
    check(&format!("{denial}\n  {denial}"), &format!("o@0 o@{}", denial.len() + 3));
    check(&format!("[{denial},{denial}]"), &format!("o@1 o@{}", denial.len() + 2));
}

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
fn records_are_counted_in_every_form() {
    for (text, records) in [
        ("$a\n%b\n%c\n", 3),
        ("$a\n%b\n%c", 3),
        ("\n\n%a\n\n%b\n \n", 2),
        ("[%a,%b,$c]", 3),
        ("%a%b", 2),
        ("%a\n$b\n%c\n%d\nbroken\n%e", 5),
    ] {
        let text = expand(text);
        assert_eq!(read(text.as_bytes(), 10, Limits::default()).statistics.records, records, "{text}");
    }
}

#[test]
fn blocks_cut_records_anywhere_without_a_trace() {
    // Several blocks of records of odd lengths, so that every kind of place meets a block's edge.
    let mut text = String::new();
    let mut expected = 0;
    for number in 0..9000 {
        if number % 7 == 0 {
            text += &format!(
                "{{\"timestamp\":\"2025-06-01T10:00:00Z\",\"requestId\":\"r{number}\",\"errorCode\":\"AccessDeniedException\"}}\n"
            );
            expected += 1;
        } else {
            text += &format!("{{\"input\":\"AccessDeniedException {}\"}}\n", "z".repeat(number % 211));
        }
    }
    let array = format!("[{}]", text.trim_end().replace('\n', ","));
    for text in [&text, &array, &text.replace('\n', "\r\n"), &text.replace('\n', "")] {
        for chunk in [1, 4093, text.len()] {
            let read = read(text.as_bytes(), chunk, Limits::default());
            assert_eq!(read.statistics.denials, expected);
            assert_eq!(read.statistics.records, 9000);
            assert_eq!(read.faults, []);
        }
    }
}

#[test]
fn every_truncation_of_a_two_member_gzip_keeps_what_is_readable_and_says_so() {
    let (one, two) = (gzip(expand("$a\n%x\n$b\n").as_bytes()), gzip(expand("$c\n$d").as_bytes()));
    let whole = [&one[..], &two[..]].concat();
    let mut best = 0;
    for cut in 2..=whole.len() {
        for chunk in [1, 13, whole.len()] {
            let read = read(&whole[..cut], chunk, Limits::default());
            let complete = cut == one.len() || cut == whole.len();
            assert_eq!(read.damage.is_none(), complete, "cut {cut}");
            if !complete {
                assert_eq!(read.damage, Some(Damage::Truncated { at: cut as u64 }));
            }
            let denials = read.statistics.denials;
            assert!(denials >= best, "cut {cut}: more bytes, fewer denials");
            best = denials;
        }
        if cut == one.len() {
            assert_eq!(best, 2);
        }
    }
    assert_eq!(best, 4);
}

#[test]
fn too_many_keys_fail_the_object_with_that_reason() {
    let log = (0..200).fold(String::new(), |log, number| {
        log + &expand("$a").replace("\"requestId\"", &format!("\"modelId\":\"m{number}\",\"requestId\""))
            + "\n"
    });
    let limits = |keys| Limits { keys, ..blocks(1000) };
    assert_eq!(read(log.as_bytes(), 1000, limits(200)).damage, None);
    let damaged = read(log.as_bytes(), 1000, limits(100));
    assert_eq!(damaged.damage, Some(Damage::TooManyKeys { limit: 100 }));
    assert!(damaged.statistics.denials > 100 && damaged.statistics.denials < 130);
}

#[test]
fn every_chunk_size_reads_the_same() {
    let stored = [
        gzip(expand("$a\n%x\n$b\n{\"cut\":\"AccessDeniedException").as_bytes()),
        gzip(expand("\n$c").as_bytes()),
    ]
    .concat();
    let whole = shown(read(&stored, stored.len(), Limits::default()));
    assert!(whole.starts_with("a b c !"), "{whole}");
    for chunk in 1..stored.len() {
        assert_eq!(shown(read(&stored, chunk, Limits::default())), whole, "chunk {chunk}");
    }
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

/// A linear congruential generator: the same numbers every time. Source: Knuth's MMIX.
fn random(seed: u64) -> impl FnMut() -> usize {
    println!("seed {seed}");
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits")
    }
}

#[test]
fn random_pieces_read_the_same_in_all_blocks() {
    let mut next = random(20_250_601);
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"",
        "\\",
        "\n",
        " ",
        ":",
        "\n",
        "AccessDeniedException",
        "$a",
        "%b",
        "$c\n",
        "%d\n",
        "{\n",
        "\n{",
        "\"errorCode\":\"AccessDeniedException\"",
    ];
    let pieces: Vec<String> = pieces.iter().map(|piece| expand(piece)).collect();
    for _ in 0..3000 {
        let text: String = (0..next() % 40).map(|_| pieces[next() % pieces.len()].as_str()).collect();
        let whole = shown(read(text.as_bytes(), text.len(), Limits::default()));
        let blocks = blocks(1 + next() % 90);
        assert_eq!(shown(read(text.as_bytes(), text.len(), blocks)), whole, "{blocks:?}: {text:?}");
    }
}

/// Valid JSON with white space wherever it may stand, against a parser that builds everything.
#[test]
fn valid_json_reads_as_a_whole_parser_reads_it() {
    let mut next = random(20_250_602);
    for _ in 0..4000 {
        let mut expected = Vec::new();
        let mut text = String::new();
        let array = next().is_multiple_of(4);
        let records = next() % 6;
        let spaces: &[&str] =
            [&["", "", "\n"][..], &["", " ", "\n", "\r\n", "\n\n", "\t"], &["\n"], &[""]][next() % 4];
        let space = |next: &mut dyn FnMut() -> usize| spaces[next() % spaces.len()];
        text += if array { "[" } else { "" };
        for number in 0..records {
            let id = char::from(b'a' + u8::try_from(number).expect("small"));
            let denial = format!("${id}");
            let nested = expand("$z");
            let kind = next() % 5;
            let record = match kind {
                0 => format!("{{\"x\":{nested}}}"),
                1 => format!("{{\"x\":[{{}},{nested},{nested}],\"y\":{{}}}}"),
                2 => "{\"x\":\"}\\\"{\"}".to_owned(),
                _ => expand(&denial),
            };
            if kind > 2 {
                expected.push(id.to_string());
            }
            // White space around the tokens outside strings.
            let mut in_string = false;
            let mut escaped = false;
            for character in record.chars() {
                let token = !in_string && matches!(character, '{' | '}' | '[' | ']' | ',' | ':');
                if token {
                    text += space(&mut next);
                }
                text.push(character);
                if token {
                    text += space(&mut next);
                }
                if escaped {
                    escaped = false;
                } else if in_string && character == '\\' {
                    escaped = true;
                } else if character == '"' {
                    in_string = !in_string;
                }
            }
            let last = number + 1 == records;
            text += if array && !last { "," } else { "" };
            text += if array || next().is_multiple_of(4) { space(&mut next) } else { "\n" };
        }
        text += if array { "]" } else { "" };
        let blocks = blocks(1 + next() % 200);
        assert_eq!(
            shown(read(text.as_bytes(), text.len(), blocks)),
            expected.join(" "),
            "{blocks:?}: {text:?}"
        );
    }
}
