//! Random documents, read in random blocks and by a parser that builds everything.

use bedrock_denial_watch::reader::Limits;

use serde_json::{Value, json};

use super::{blocks, expand, gzip, read, shown, trail};
use crate::depth;

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
    for _ in 0..depth::pick(3000, 750) {
        let text: String = (0..next() % 40).map(|_| pieces[next() % pieces.len()].as_str()).collect();
        let whole = shown(read(text.as_bytes(), text.len(), Limits::default()));
        let blocks = blocks(1 + next() % 90);
        assert_eq!(shown(read(text.as_bytes(), text.len(), blocks)), whole, "{blocks:?}: {text:?}");
    }
}

/// Valid JSON with white space wherever JSON allows it, against a parser that builds everything.
#[test]
fn valid_json_reads_as_a_whole_parser_reads_it() {
    let mut next = random(20_250_602);
    for _ in 0..depth::pick(4000, 1000) {
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
    for _ in 0..depth::pick(3000, 750) {
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
        let document: Value = serde_json::from_str(&text).expect("valid JSON");
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
    let text = Value::from(nested.clone()).to_string();
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

/// The ids of the denials in a document, found by a parser that builds everything.
fn refused(document: &Value, ids: &mut Vec<String>) {
    let inner = |text: &Value, ids: &mut Vec<String>| {
        let inner: Option<Value> = text.as_str().and_then(|text| serde_json::from_str(text).ok());
        for record in inner.iter().flat_map(|inner| [Some(inner), sent_by_aws(inner)]).flatten() {
            ids.extend(refusal(record));
        }
    };
    for event in document["logEvents"].as_array().into_iter().flatten() {
        inner(&event["message"], ids);
    }
    for event in document["Events"].as_array().into_iter().flatten() {
        inner(&event["CloudTrailEvent"], ids);
    }
    for record in document["Records"].as_array().into_iter().flatten() {
        ids.extend(refusal(record));
    }
    ids.extend(sent_by_aws(document).and_then(refusal));
    ids.extend(refusal(document));
}

fn sent_by_aws(event: &Value) -> Option<&Value> {
    let is_event = event["source"].as_str().is_some_and(|source| source.starts_with("aws."));
    event.get("detail").filter(|_| is_event && event.get("detail-type").is_some())
}

fn refusal(record: &Value) -> Option<String> {
    let is_trail = record.get("eventSource").is_some();
    let is_call = record["eventSource"] == "bedrock.amazonaws.com" && record["eventName"] == "InvokeModel";
    let code = record["errorCode"].as_str()?;
    let is_refused = code == "AccessDeniedException" || (is_trail && code == "AccessDenied");
    let id = &record[if is_trail { "requestID" } else { "requestId" }];
    (is_refused && (is_call || !is_trail)).then(|| id.as_str().expect("an id").to_owned())
}

/// A record of either log whose caller wrote `quoted`.
fn quoting_record(next: &mut dyn FnMut() -> usize, quoted: &Value) -> Value {
    let id = format!("r{}", next() % 1000);
    let refused = next().is_multiple_of(2);
    let mut record = if next().is_multiple_of(2) {
        json!({"timestamp": "2025-06-01T10:00:00Z", "requestId": id, "modelId": "m",
            "input": {"inputBodyJson": quoted}})
    } else {
        let source = ["bedrock", "bedrock", "s3"][next() % 3];
        json!({"eventVersion": "1.11", "eventTime": "2025-06-01T10:00:00Z",
            "eventSource": format!("{source}.amazonaws.com"), "eventName": "InvokeModel", "requestID": id,
            "requestParameters": {"x": quoted}})
    };
    if refused {
        let is_trail = record.get("eventSource").is_some();
        record["errorCode"] = json!(if is_trail && next().is_multiple_of(2) {
            "AccessDenied"
        } else {
            "AccessDeniedException"
        });
    }
    record
}

/// A record, or an envelope around some; `depth` bounds what callers quote.
fn random_document(next: &mut dyn FnMut() -> usize, depth: usize) -> Value {
    let quoted = match (depth, next() % 4) {
        (0, _) | (_, 0) => json!("what is an AccessDeniedException?"),
        (_, 1) => random_document(next, depth - 1),
        (_, 2) => json!(random_document(next, depth - 1).to_string()),
        _ => json!(format!("]}}\n2025-06-04T16:00:00.000Z {}\n", random_document(next, depth - 1))),
    };
    let kind = next() % 7;
    let sender = ["aws.bedrock", "my.app"][next() % 2];
    let mut records: Vec<Value> = (0..next() % 4).map(|_| quoting_record(next, &quoted)).collect();
    match kind {
        0 => json!({"messageType": "DATA_MESSAGE", "owner": "]", "subscriptionFilters": ["f"],
            "logEvents": records.iter().map(|record| json!({"id": "1", "message": record.to_string()})).collect::<Vec<_>>()}),
        1 => json!({"NextToken": "}",
            "Events": records.iter().map(|record| json!({"EventId": "1", "CloudTrailEvent": record.to_string(), "Resources": [{}]})).collect::<Vec<_>>()}),
        2 => json!({ "Records": records }),
        3 => json!({"version": "0", "detail-type": "AWS API Call via CloudTrail",
            "source": sender, "detail": records.pop()}),
        4 => {
            let event = json!({"detail-type": "x", "source": "aws.bedrock", "detail": records.pop()});
            json!({"logEvents": [{"message": event.to_string()}, {"message": quoted}]})
        }
        5 => json!({"Events": {"Records": records}, "x": [quoted]}),
        _ => quoting_record(next, &quoted),
    }
}

#[test]
fn random_envelopes_read_as_a_whole_parser_reads_them() {
    let mut next = random(20_250_604);
    let (mut refusals, mut inside) = (0, 0);
    for _ in 0..depth::pick(1500, 375) {
        let mut expected = Vec::new();
        let mut text = String::new();
        let form = next() % 4;
        for _ in 0..=next() % 4 {
            let document = random_document(&mut next, 2);
            let before = expected.len();
            refused(&document, &mut expected);
            inside += if refusal(&document).is_none() { expected.len() - before } else { 0 };
            text += &match form {
                0 => document.to_string(),
                1 => format!("{document}\n"),
                2 => format!("2025-06-04T16:00:00.{:03}Z {document}\n", next() % 1000),
                _ => serde_json::to_string_pretty(&document).expect("JSON") + "\n",
            };
        }
        refusals += expected.len();
        expected.sort_unstable();
        expected.dedup();
        let stored = if next().is_multiple_of(2) { gzip(text.as_bytes()) } else { text.clone().into_bytes() };
        for blocks in [blocks(1 + next() % 40), blocks(1 + next() % 2000), blocks(256 << 10)] {
            let read = read(&stored, 1 + next() % stored.len(), blocks);
            assert_eq!(read.faults, [], "{blocks:?}: {text}");
            assert_eq!(shown(read), expected.join(" "), "{blocks:?}: {text}");
        }
    }
    println!("{refusals} refusals, {inside} of them in envelopes");
    let few = depth::pick(500, 125);
    assert!(refusals > 2 * few && inside > few, "{refusals}, {inside}");
}
