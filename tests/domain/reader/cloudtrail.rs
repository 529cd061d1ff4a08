//! CloudTrail log files and their forms.

use bedrock_denial_watch::reader::Limits;
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use bedrock_denial_watch::rule::condition::Condition;
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::source::inflate::Damage;

use crate::depth;

use super::{blocks, check, expand, gzip, read, read_by, reader, shown, trail};

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
    // A home-made export: one record per line.
    check("&a\n~x\n&b\n%y\n$c", "a b c");
}

#[test]
fn what_is_no_wrapper_is_no_file_of_records() {
    check("{\"RECORDS\":[&a]}", "");
    // Azure's Event Hubs write it so; a record counts alike in any framing.
    check("{\"records\":[&a]}", "a");
    check("{\"x\":{\"Records\":[&a]}}", "");
    check("{\"Records\":{\"x\":&a}}", "");
    check("{\"Records\":\"AccessDeniedException\"}", "");
    check("{\"Records\":[[&a]]}", "a");
    // AWS writes nothing before the records, but whatever it is, they count.
    check("{\"x\":1,\"Records\":[&a]}\n$b", "a b");
    check("{\"x\":{\"y\":[{}]},\"z\":[],\"Records\":[&a],\"Records\":[&c]}\n$b", "a b c");
    check(&format!("{{\"Records\"{}:[&a]}}\n$b", " ".repeat(1100)), "a b");
    check("{\"Records\":[&a]}}}\n$b", "a b");
    check("$a\n}\n$b", "a b");
    check("$a}$b\n$c", "a b c");
    check("{\"Records\":[&a]}}$b\n$c", "a b c");
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
fn what_stands_around_a_trail_file_s_records_is_no_matter() {
    check(" { \"Records\" : [\n ~a ,\n &b\n,&c\n]\r\n}\n", "b c");
    check("{\"Records\":[~a,&b],\"x\":[]}", "b");
    check("{\"Records\":[~a,&b]}\n$c", "b c");
    check("{\"Records\":[~a,&b]]}", "b");
    check("{\"Records\":[~a,&b}", "b");
    check("{\"Records\":[~a,{\"Records\":[~b,&c]},~d]}", "c");
    for cut in ["[~a,&b,~c]", "[~a,&b,~c", "[~a,&b,", "[~a,&b"] {
        check(&format!("{{\"Records\":{cut}"), "b");
    }
}

#[test]
fn a_rule_may_ask_for_another_code() {
    let records = vec![Condition { error_codes: &["ValidationException"], ..Condition::default() }].leak();
    let validation = Rule { records, ..DENIED_MODEL.clone() };
    let failed = expand("&v").replace("AccessDenied", "ValidationException");
    let other = failed.replace("bedrock", "kms");
    for block in [1, 7, 1000] {
        let text = expand(&format!("{{\"Records\":[&a,{other},{failed}]}}"));
        let read = read_by(reader(validation.clone(), blocks(block)), text.as_bytes(), 100);
        // Denials are counted whatever the rules look for.
        assert_eq!((read.statistics.denials, shown(read).as_str()), (1, "v"));
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
    // The line ends within the block that takes it over the limit, and far beyond it.
    for (count, last, expected) in
        [(1_000, "&c", "a b c"), (1_000, "{}", "a b"), (3_000, "&c", "a b c"), (3_000, "{}", "a b")]
    {
        let text = format!("$a\n%x\n{{\"Records\":[{}{last}]}}\n$b", honest.repeat(count));
        let read = read(expand(&text).as_bytes(), 1000, limits);
        assert_eq!((read.statistics.oversized, shown(read).as_str()), (0, expected));
    }
}

#[test]
fn one_line_of_64_mb_is_read_piece_by_piece() {
    for refusals in [0, 1] {
        let mut reader = reader(DENIED_MODEL.clone(), Limits::default());
        let record = expand("~x").replace("null", &format!("{{\"key\":\"{}\"}}", "k\\\"}".repeat(200)));
        let part = format!("{record},").repeat(1000);
        // A sample is still longer than a record may be.
        let parts = depth::pick(64 << 20, 17 << 20) / part.len() + 1;
        let begin = std::iter::once("{\"Records\":[");
        let middle = std::iter::repeat_n(part.as_str(), parts);
        let last = expand(if refusals == 1 { "&z]}" } else { "~z]}" });
        for piece in begin.chain(middle).chain([last.as_str()]) {
            assert!(reader.push(piece.as_bytes()));
        }
        let read = reader.finish();
        assert_eq!(read.statistics.denials, refusals);
        assert_eq!(
            read.statistics.text_bytes,
            (12 + parts * part.len() + expand("~z]}").len() + usize::try_from(refusals).expect("small") * 5)
                as u64
        );
        assert_eq!(read.statistics.records, parts as u64 * 1000 + 1);
    }
}

#[test]
fn failed_calls_are_counted_by_cause_even_if_no_rule_counts_them() {
    let failed = |code: &str, message: &str| {
        let record = trail("bedrock", 'a', "null").replace(
            r#""errorCode":"AccessDenied""#,
            &format!(r#""errorCode":"{code}","errorMessage":"{message}""#),
        );
        format!("{record}\n")
    };
    let country =
        "Access to Anthropic models is not allowed from unsupported countries, regions, or territories.";
    let quoted = serde_json::json!({"timestamp": "2025-06-01T10:00:00Z", "requestId": "q", "input": failed("ValidationException", country)});
    let text = [
        failed("ValidationException", country),
        failed("ValidationException", country),
        failed("ValidationException", "max_tokens: range: 1..4096"),
        failed("ResourceNotFoundException", "Access denied. This Model is marked by provider as Legacy."),
        failed("AccessDenied", "What no one has seen."),
        // Without a message nothing is known, and a prompt may quote anything.
        failed("AccessDenied", ""),
        failed("ThrottlingException", "Too many requests."),
        quoted.to_string(),
        r#"{"timestamp":"2025-06-01T10:00:00Z","requestId":"v","errorCode":"ValidationException"}"#
            .to_owned(),
    ];
    let read = read(text.concat().as_bytes(), 1 << 20, Limits::default());
    let causes: Vec<_> = read.statistics.causes.into_iter().collect();
    let expected =
        [("country or region not served", 2), ("impossible", 1), ("legacy model", 1), ("unknown", 1)];
    assert_eq!(causes, expected);
    assert_eq!(read.statistics.denials, 2);
}
