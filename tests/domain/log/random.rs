//! Random documents, read in random blocks and by a parser that builds everything.

use bedrock_denial_watch::reader::Limits;

use super::{blocks, expand, read, shown, trail};

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
