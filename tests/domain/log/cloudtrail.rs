//! CloudTrail log files: their forms, and the sweep that most of them end with.

use bedrock_denial_watch::log::inflate::Damage;
use bedrock_denial_watch::reader::{Finished, Limits};
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use bedrock_denial_watch::rule::condition::Condition;
use bedrock_denial_watch::rule::definition::Rule;

use super::{blocks, check, expand, gzip, nested_codes, read, read_by, reader, shown, trail};

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
    check("{\"records\":[&a]}", "");
    check("{\"x\":{\"Records\":[&a]}}", "");
    check("{\"Records\":{\"x\":&a}}", "");
    check("{\"Records\":\"AccessDeniedException\"}", "");
    // Records after anything else were not written by AWS; they are reported, not silently lost.
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
            let (quick, twice) = read_by(reader(DENIED_MODEL.clone(), blocks(block)), text.as_bytes(), 100);
            assert_eq!(twice, expected, "blocks of {block}: {text}");
            let (thorough, twice) =
                read_by(reader(DENIED_MODEL.clone(), blocks(block)).thorough(), text.as_bytes(), 100);
            assert!(!twice, "{text}");
            assert_eq!(quick.statistics, thorough.statistics, "blocks of {block}: {text}");
            assert_eq!(shown(quick), shown(thorough), "blocks of {block}: {text}");
        }
    }
}

/// Whether a file, compressed as AWS does it, is read twice. Either way the result must equal that of a thorough reading.
#[track_caller]
fn check_readings(text: &str, twice: bool) {
    let text = expand(text);
    let stored = gzip(text.as_bytes());
    for block in (1..70).chain([1000, 256 << 10]) {
        let (quick, again) = read_by(reader(DENIED_MODEL.clone(), blocks(block)), &stored, 100);
        let (thorough, _) = read_by(reader(DENIED_MODEL.clone(), blocks(block)).thorough(), &stored, 100);
        assert_eq!(again, twice, "blocks of {block}: {text}");
        assert_eq!(quick.statistics, thorough.statistics, "blocks of {block}: {text}");
        assert_eq!(quick.damage, thorough.damage, "blocks of {block}: {text}");
        assert_eq!(shown(quick), shown(thorough), "blocks of {block}: {text}");
    }
}

#[test]
fn a_refusal_is_read_at_once_where_the_end_of_the_file_proves_that_it_is_one() {
    check_readings("{\"Records\":[~a,&b,~c]}", false);
    check_readings("{\"Records\":[&a]}", false);
    check_readings("{\"Records\":[&a,~b,&c]}\n", false);
    check_readings(" { \"Records\" : [\n ~a ,\n &b\n,&c\n]\r\n}\n", false);
    let untimed = expand("&u").replace("eventTime", "time");
    check_readings(&format!("{{\"Records\":[~a,{untimed},&b]}}"), false);
    check_readings("{\"Records\":[~a,&b,{\"errorCode\":\"AccessDenied\" 1},~c]}", false);
    // What follows may be another file, or no file at all.
    check_readings("{\"Records\":[~a,&b]}{\"Records\":[&c]}", true);
    check_readings("{\"Records\":[~a]}{\"Records\":[&c]}", true);
    check_readings("{\"Records\":[~a,&b],\"x\":[]}", true);
    check_readings("{\"Records\":[~a,&b]}\n$c", true);
    check_readings("{\"Records\":[~a,&b]]}", true);
    check_readings("{\"Records\":[~a,&b}", true);
    check_readings("{\"Records\":[~a,{\"Records\":[~b,&c]},~d]}", true);
    for cut in ["[~a,&b,~c]", "[~a,&b,~c", "[~a,&b,", "[~a,&b"] {
        check_readings(&format!("{{\"Records\":{cut}"), true);
    }
    let refusal = expand("&n");
    for asked in [
        format!("{{\"x\":[{{}},{refusal}]}}"),
        format!("[{refusal},{refusal}]"),
        format!("[[{{}},{refusal}]]"),
        format!("{{\"x\":[{{}},{refusal}],\"y\":[]}}"),
        format!("{{\"x\":{{}},\"y\":{refusal}}}"),
    ] {
        let outer = trail("s3", 'o', &asked);
        check_readings(&format!("{{\"Records\":[~a,{outer},~b]}}"), true);
        check_readings(&format!("{{\"Records\":[~a,{outer}]}}"), true);
        check_readings(&format!("{{\"Records\":[{outer},&b]}}"), true);
        check_readings(&format!("{{\"Records\":[&a,{outer},&b]}}"), false);
    }
}

#[test]
fn a_rule_may_ask_for_another_code() {
    let record = Condition { error_codes: &["ValidationException"], ..Condition::default() };
    let validation = Rule { record, ..DENIED_MODEL.clone() };
    let failed = expand("&v").replace("AccessDenied", "ValidationException");
    let other = failed.replace("bedrock", "kms");
    for block in [1, 7, 1000] {
        let text = expand(&format!("{{\"Records\":[&a,{other},{failed}]}}"));
        let (read, twice) = read_by(reader(validation.clone(), blocks(block)), text.as_bytes(), 100);
        assert!(twice);
        assert_eq!(shown(read), "v");
        let text = expand(&format!("{{\"Records\":[&a,{other}]}}"));
        assert!(!read_by(reader(validation.clone(), blocks(block)), text.as_bytes(), 100).1);
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
fn dense_codes_of_others_cost_no_more_than_a_thorough_reading() {
    let outer = nested_codes(300);
    let text = format!("{{\"Records\":[{outer}{}]}}", format!(",{outer}").repeat(200));
    for (text, denials) in [(text.clone(), 0), (text.replace("]}", &expand(",&a]}")), 1)] {
        let (quick, twice) =
            read_by(reader(DENIED_MODEL.clone(), Limits::default()), text.as_bytes(), text.len());
        let (thorough, _) =
            read_by(reader(DENIED_MODEL.clone(), Limits::default()).thorough(), text.as_bytes(), text.len());
        assert_eq!((quick.statistics.denials, thorough.statistics.denials, twice), (denials, denials, true));
        // The sweep gives way to the thorough reading, and together they cost no more than two readings.
        assert!(quick.work <= 2 * thorough.work, "{} and {}", quick.work, thorough.work);
    }
}

#[test]
fn one_line_of_64_mb_is_read_piece_by_piece() {
    for refusals in [0, 1] {
        let mut reader = reader(DENIED_MODEL.clone(), Limits::default());
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
