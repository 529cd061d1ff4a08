//! Bytes → denials: every form a log can have, and every way it can be broken.

use std::io::Write;

use bedrock_denial_watch::inflate::Damage;
use bedrock_denial_watch::reader::{FaultKind, Finished, Limits, Read, Reader};
use bedrock_denial_watch::rule::Rule;
use bedrock_denial_watch::rules::DENIED_MODEL;
use bedrock_denial_watch::tally::Tally;
use flate2::Compression;
use flate2::write::GzEncoder;

fn read(stored: &[u8], chunk: usize, limits: Limits) -> Read {
    read_by(reader(DENIED_MODEL, limits), stored, chunk).0
}

fn reader(rule: Rule, limits: Limits) -> Reader<'static> {
    Reader::new("o", Tally::new(vec![rule], Vec::new()), limits)
}

/// What was read, and whether it took two readings.
fn read_by(mut reader: Reader<'_>, stored: &[u8], chunk: usize) -> (Read, bool) {
    let mut twice = false;
    loop {
        for piece in stored.chunks(chunk.max(1)) {
            if !reader.push(piece) {
                break;
            }
        }
        match reader.finish() {
            Finished::Read(read) => return (read, twice),
            Finished::Again(_) if twice => panic!("a third reading"),
            Finished::Again(thorough) => reader = thorough,
        }
        twice = true;
    }
}

/// The request ids of all denials, in order, and behind `!` the offsets of all faults.
fn shown(read: Read) -> String {
    let faults: String = read.faults.iter().map(|fault| format!(" !{}", fault.offset)).collect();
    let summaries = read.tally.into_summaries().collect::<Vec<_>>();
    let samples = summaries.iter().flat_map(|summary| summary.slots.values()).flat_map(|slot| &slot.samples);
    let mut ids: Vec<&str> = samples.map(|sample| sample.value.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.join(" ") + &faults
}

/// `$a` stands for a denied record with request id `a`, `%a` for an honest one; `&a` for a refusal
/// in CloudTrail, `~a` for another service's.
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

/// A refusal as CloudTrail writes it, by a service and of what was asked for.
fn trail(service: &str, id: char, asked: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"arn":"u"}},"eventTime":"2025-06-01T10:00:00Z","eventSource":"{service}.amazonaws.com","eventName":"InvokeModel","errorCode":"AccessDenied","requestParameters":{asked},"requestID":"{id}"}}"#
    )
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

// CloudTrail -------------------------------------------------------------------------------

#[test]
fn every_form_of_a_trail_file_is_read() {
    check(r#"{"Records":[]}"#, "");
    check(r#"{"Records":[&a]}"#, "a");
    check(r#"{"Records":[~x,&a,~y,&b]}"#, "a b");
    check("\u{feff}{\"Records\":[&a]}\n", "a");
    check("\r\n { \"Records\"\t:\n [ &a , ~x\n,&b ]\n } \n", "a b");
    check("{\"Records\":[\n&a,\n&b\n]}\n", "a b");
    check("{\"Records\":[\n&a\n,\n&b\n,\n~x\n]\n}\n", "a b");
    let pretty =
        expand("{\"Records\":[&p,~x]}").replace('{', "{\n  ").replace(',', ",\n  ").replace('}', "\n}");
    check(&pretty, "p");
    check(&format!("{pretty}\n{pretty}$a"), "a p");
}

#[test]
fn trail_files_may_follow_each_other_and_other_logs() {
    check(r#"{"Records":[&a]}{"Records":[]}{"Records":[&b]}"#, "a b");
    check("{\"Records\":[~a]}\n{\"Records\":[&b]}\n", "b");
    check("[{\"Records\":[&a]},{\"Records\":[~x,&b]}]", "a b");
    check("$a\n%x\n{\"Records\":[~y,&b]}\n$c\n{\"Records\":[&d]}", "a b c d");
    check("$a\n%x\n{\"Records\":[~y]}\n$c\n", "a c");
    check("{\"Records\":[&a]}\n$b\n%x\n$c", "a b c");
    check("{\"Records\":[~a]}\n%x\n$b\n", "b");
    check("{\"Records\":[{\"Records\":[&a]},&b]}", "a b");
    // Somebody's own export: a record a line.
    check("&a\n~x\n&b\n%y\n$c", "a b c");
}

#[test]
fn what_is_no_wrapper_is_no_file_of_records() {
    check("{\"records\":[&a]}", "");
    check("{\"x\":{\"Records\":[&a]}}", "");
    check("{\"Records\":{\"x\":&a}}", "");
    check("{\"Records\":\"AccessDeniedException\"}", "");
    // Records behind anything else are none that AWS wrote; they are reported, not lost in silence.
    check("{\"x\":1,\"Records\":[&a]}\n$b", "b !0");
    check(&format!("{{\"Records\"{}:[&a]}}\n$b", " ".repeat(1100)), "b !0");
    check("{\"Records\":[&a]}}}\n$b", "a b");
    check("$a\n}\n$b", "a b");
    check("$a}$b\n$c", "a c !$");
    let file = "{\"Records\":[&a]}";
    check(&format!("{file}}}$b\n$c"), &format!("a c !{}", expand(file).len()));
}

#[test]
fn nothing_nested_is_a_refusal() {
    let refusal = expand("&n");
    let text = serde_json::Value::from(refusal.clone()).to_string();
    let twice = serde_json::Value::from(text.clone()).to_string();
    let quotes = r#""\\\",\"errorCode\":\"AccessDenied\"},{\"""#;
    for asked in [
        refusal.clone(),
        format!("[{refusal},{{\"Records\":[{refusal}]}}]"),
        format!("{{\"errorCode\":\"AccessDenied\",\"x\":{refusal}}}"),
        text,
        twice,
        quotes.to_owned(),
    ] {
        let outer = trail("s3", 'o', &asked);
        check(&format!("{{\"Records\":[{outer},~y,{outer}]}}"), "");
        check(&format!("{{\"Records\":[{outer},&a,{outer}]}}"), "a");
        let refused = trail("bedrock", 'r', &asked);
        check(&format!("{{\"Records\":[{refused},{outer}]}}"), "r");
    }
}

#[test]
fn a_cut_trail_file_keeps_what_stands_before_the_cut() {
    check("{\"Records\":[&a,~x,&b", "a b");
    check("{\"Records\":[&a,", "a");
    check("{\"Records\":[&a]", "a");
    check("{\"Records\"", "");
    let whole = "{\"Records\":[~x,&a,".to_owned();
    let at = expand(&whole).len();
    check(&format!("{whole}{}", &expand("&b")[..expand("&b").len() - 3]), &format!("a !{at}"));
    check(&format!("{whole}{{\"errorCode\":\"AccessDenied\" 1,]\n&b"), &format!("a b !{at}"));
}

#[test]
fn every_truncation_of_a_trail_file_is_told_with_and_without_a_refusal() {
    for (text, denials) in [("{\"Records\":[~x,~y]}", 0), ("{\"Records\":[~x,&y]}", 1)] {
        let stored = gzip(expand(text).as_bytes());
        for cut in 2..stored.len() {
            let read = read(&stored[..cut], 7, blocks(64));
            assert_eq!(read.damage, Some(Damage::Truncated { at: cut as u64 }), "cut {cut}");
        }
        assert_eq!(read(&stored, 7, blocks(64)).statistics.denials, denials);
    }
    let limits = Limits { text_bytes: 1 << 20, ..Limits::default() };
    let bomb = gzip(&[expand("{\"Records\":[~x,").as_bytes(), &vec![b' '; 8 << 20]].concat());
    assert_eq!(read(&bomb, 1000, limits).damage, Some(Damage::TooLarge { limit: 1 << 20 }));
}

#[test]
fn a_second_reading_is_asked_for_only_where_a_refusal_may_be() {
    let honest = expand("&x").replace("\"errorCode\":\"AccessDenied\",", "");
    let listing = expand("&x").replace("InvokeModel", "ListFoundationModels");
    for (text, expected) in [
        (format!("{{\"Records\":[{honest},~a,{listing},{honest}]}}"), false),
        ("{\"Records\":[~a,&b,~c]}".to_owned(), true),
        ("{\"Records\":[~a]}{\"Records\":[&b]}".to_owned(), true),
        ("{\"Records\":[~a]}\n$b".to_owned(), true),
        ("$a\n%b".to_owned(), false),
        ("$a\n{\"Records\":[&b]}".to_owned(), false),
        // No record has the key that they are counted by.
        ("{\"Records\":[]}".to_owned(), true),
    ] {
        let text = expand(&text);
        for block in [1, 5, 64, 1000, 256 << 10] {
            let (quick, twice) = read_by(reader(DENIED_MODEL, blocks(block)), text.as_bytes(), 100);
            assert_eq!(twice, expected, "blocks of {block}: {text}");
            let (thorough, twice) =
                read_by(reader(DENIED_MODEL, blocks(block)).thorough(), text.as_bytes(), 100);
            assert!(!twice, "{text}");
            assert_eq!(quick.statistics, thorough.statistics, "blocks of {block}: {text}");
            assert_eq!(shown(quick), shown(thorough), "blocks of {block}: {text}");
        }
    }
}

#[test]
fn a_rule_may_ask_for_another_code() {
    const VALIDATION: Rule = Rule { error_codes: &["ValidationException"], ..DENIED_MODEL };
    let failed = expand("&v").replace("AccessDenied", "ValidationException");
    let other = failed.replace("bedrock", "kms");
    for block in [1, 7, 1000] {
        let text = expand(&format!("{{\"Records\":[&a,{other},{failed}]}}"));
        let (read, twice) = read_by(reader(VALIDATION, blocks(block)), text.as_bytes(), 100);
        assert!(twice);
        assert_eq!(shown(read), "v");
        let text = expand(&format!("{{\"Records\":[&a,{other}]}}"));
        assert!(!read_by(reader(VALIDATION, blocks(block)), text.as_bytes(), 100).1);
    }
}

#[test]
fn a_refusal_far_from_its_record_s_begin_is_found() {
    for before in [10, 16_000, 17_000, 300_000, 3_000_000] {
        let far = format!("{{\"x\":[\"{}\"],{}", "y\\\"".repeat(before / 3), &expand("&f")[1..]);
        let behind = format!("{},\"x\":\"{}\"}}", expand("&g").trim_end_matches('}'), "{".repeat(before));
        for text in [format!("{{\"Records\":[~a,{far},~b]}}"), format!("{{\"Records\":[~a,{behind},~b]}}")] {
            let text = expand(&text);
            for limits in [Limits::default(), blocks(1000), blocks(4099)] {
                if before < 1_000_000 || limits.block_bytes > 4096 {
                    assert_eq!(
                        read(text.as_bytes(), 100_000, limits).statistics.denials,
                        1,
                        "{before} {limits:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_over_long_trail_record_is_reported() {
    let limits = Limits { record_bytes: 300_000, ..Limits::default() };
    for (text, expected) in [("[~a,*,~b]", ""), ("[*,&b]", "b"), ("[&a,*]", "a")] {
        let long = format!("{{\"eventVersion\":\"1\",\"x\":\"{}\"}}", "y".repeat(1_200_000));
        let text = expand(&format!("{{\"Records\":{text}}}")).replace('*', &long);
        let read = read(text.as_bytes(), 1000, limits);
        assert_eq!(read.statistics.oversized, 1, "{expected}");
        let offset = read.faults[0].offset;
        assert_eq!(shown(read), format!("{expected} !{offset}"));
    }
}

#[test]
fn a_trail_file_behind_an_invocation_log_may_be_longer_than_a_record() {
    let limits = Limits { record_bytes: 200_000, ..Limits::default() };
    let honest = expand("~x,").replace("AccessDenied", "NoSuchKey");
    // The line ends within the block that brings it over the limit, and far behind it.
    for (count, last, expected) in
        [(1_000, "&c", "a b c"), (1_000, "{}", "a b"), (3_000, "&c", "a b c"), (3_000, "{}", "a b")]
    {
        let text = format!("$a\n%x\n{{\"Records\":[{}{last}]}}\n$b", honest.repeat(count));
        let read = read(expand(&text).as_bytes(), 1000, limits);
        assert_eq!((read.statistics.oversized, shown(read).as_str()), (0, expected));
    }
}

#[test]
fn dense_codes_of_others_cost_no_more_than_a_thorough_reading() {
    // Each level holds a code behind the level below: every walk backward passes all that is below.
    let mut deep = "{}".to_owned();
    for _ in 0..300 {
        deep = format!("{{\"a\":{deep},\"errorCode\":\"AccessDenied\"}}");
    }
    let outer = expand("~o").replace("null", &deep);
    let text = format!("{{\"Records\":[{outer}{}]}}", format!(",{outer}").repeat(200));
    let start = std::time::Instant::now();
    assert_eq!(read(text.as_bytes(), text.len(), Limits::default()).statistics.denials, 0);
    let text = text.replace("]}", &expand(",&a]}"));
    assert_eq!(read(text.as_bytes(), text.len(), Limits::default()).statistics.denials, 1);
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn one_line_of_64_mb_is_read_piece_by_piece() {
    for refusals in [0, 1] {
        let mut reader = reader(DENIED_MODEL, Limits::default());
        let record = expand("~x").replace("null", &format!("{{\"key\":\"{}\"}}", "k\\\"}".repeat(200)));
        let part = format!("{record},").repeat(1000);
        let parts = (64 << 20) / part.len() + 1;
        let mut twice = false;
        let read = loop {
            let begin = std::iter::once("{\"Records\":[");
            let middle = std::iter::repeat_n(part.as_str(), parts);
            let last = expand(if refusals == 1 { "&z]}" } else { "~z]}" });
            for piece in begin.chain(middle).chain([last.as_str()]) {
                if !reader.push(piece.as_bytes()) {
                    break;
                }
            }
            match reader.finish() {
                Finished::Read(read) => break read,
                Finished::Again(thorough) => reader = thorough,
            }
            twice = true;
        };
        assert_eq!((read.statistics.denials, twice), (refusals, refusals == 1));
        assert_eq!(
            read.statistics.text_bytes,
            (12 + parts * part.len() + expand("~z]}").len() + usize::try_from(refusals).expect("small") * 5)
                as u64
        );
        let records = parts as u64 * 1000 + 1;
        assert!(
            read.statistics.records.abs_diff(records) * 100 <= records,
            "{} of {records}",
            read.statistics.records
        );
    }
}

/// Random documents against a parser that builds everything.
#[test]
fn a_random_trail_file_reads_as_a_whole_parser_reads_it() {
    let mut next = random(20_250_603);
    for _ in 0..3000 {
        let records: Vec<String> = (0..next() % 6).map(|number| random_record(&mut next, number)).collect();
        let spaces: &[&str] = [&[""][..], &["", " ", "\n", "\r\n\t"]][next() % 2];
        let mut space = || spaces[next() % spaces.len()];
        let text = format!(
            "{}{{{}\"Records\"{}:{}[{}{}{}]{}}}{}",
            space(),
            space(),
            space(),
            space(),
            space(),
            records.join(&format!("{},{}", space(), space())),
            space(),
            space(),
            space()
        );
        let document: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
        let records = document["Records"].as_array().expect("records").iter();
        let refused = records.filter(|record| {
            record["eventSource"] == "bedrock.amazonaws.com"
                && record["eventName"] == "InvokeModel"
                && (record["errorCode"] == "AccessDenied" || record["errorCode"] == "AccessDeniedException")
        });
        let mut expected: Vec<&str> =
            refused.map(|record| record["requestID"].as_str().expect("an id")).collect();
        expected.sort_unstable();
        for block in [1 + next() % 40, 1 + next() % 2000] {
            let read = read(text.as_bytes(), 1 + next() % text.len(), blocks(block));
            assert_eq!(shown(read), expected.join(" "), "blocks of {block}: {text}");
        }
    }
}

/// A record with its keys in random order, mostly refused, and hostile values.
fn random_record(next: &mut dyn FnMut() -> usize, number: usize) -> String {
    let nested = trail("bedrock", 'n', "null");
    let text = serde_json::Value::from(nested.clone()).to_string();
    let nasty = [
        "null",
        r#""""#,
        r#""},{\"""#,
        r#""\\""#,
        r#""\\\\\",\"errorCode\":\"AccessDenied\",\"\\""#,
        r#""\\\"errorCode\\\":\\\"AccessDenied""#,
        r#"["errorCode","AccessDenied",{"errorCode":"AccessDenied"}]"#,
        r#"{"errorCode":"AccessDenied","eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel"}"#,
        "\"é\u{2028}\u{1f600}]}\"",
        &nested,
        &text,
    ];
    let mut value = || nasty[next() % nasty.len()].to_owned();
    let mut fields = vec![
        ("requestParameters", value()),
        ("responseElements", value()),
        ("additionalEventData", value()),
        ("userAgent", value()),
    ];
    let mut one_of = |values: &[&str]| values[next() % values.len()].to_owned();
    fields.extend([
        (
            "eventSource",
            one_of(&["\"bedrock.amazonaws.com\"", "\"bedrock.amazonaws.com\"", "\"s3.amazonaws.com\""]),
        ),
        (
            "eventName",
            one_of(&["\"InvokeModel\"", "\"InvokeModel\"", "\"InvokeModel\"", "\"GetObject\"", "null"]),
        ),
        (
            "errorCode",
            one_of(&[
                "\"AccessDenied\"",
                "\"AccessDenied\"",
                "\"AccessDeniedException\"",
                "\"NoSuchKey\"",
                "null",
            ]),
        ),
        ("eventTime", "\"2025-06-01T10:00:00Z\"".to_owned()),
        ("requestID", format!("\"r{number}\"")),
    ]);
    if !next().is_multiple_of(4) {
        fields.push(("eventVersion", "\"1.11\"".to_owned()));
    }
    if next().is_multiple_of(5) {
        fields.push(("errorCode", "\"AccessDenied\"".to_owned()));
    }
    for last in (1..fields.len()).rev() {
        fields.swap(last, next() % (last + 1));
    }
    let spaces = ["", "", " ", "\n"];
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\"{}:{}{value}", spaces[next() % 4], spaces[next() % 4]))
        .collect();
    format!("{{{}}}", fields.join(","))
}
