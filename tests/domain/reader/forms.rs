//! Every form a log can have.

use bedrock_denial_watch::reader::Limits;

use super::{blocks, check, expand, gzip, read, shown};

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
    check("%x\n\u{feff}$a\n[\u{feff}$b]\nxyz\n\u{feff}$c", "a b c");
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

/// Whether a record counts depends on the record alone.
#[test]
fn a_record_counts_however_deep_its_body_and_whatever_precedes_it() {
    let (depth, id) = (5000, "$a");
    let deep = format!("\"input\":{}{},\"timestamp\"", "[".repeat(depth), "]".repeat(depth));
    let record = expand(id).replace("\"timestamp\"", &deep);
    let lines = record.replace(',', ",\n");
    for before in [
        "",
        "%x\n",
        "%x\n%y\n",
        "%x",
        "[",
        "[%x,",
        "{\"Records\":[",
        "{\"Records\":[&b]}\n",
        "%x\n{\n\"x\":1\n}\n",
        "x\n",
    ] {
        let before = expand(before);
        for record in [&record, &lines] {
            let text = format!("{before}{record}");
            for blocks in [blocks(1000), Limits::default()] {
                let shown = shown(read(text.as_bytes(), text.len(), blocks));
                assert_eq!(shown.trim_end_matches(" b"), "a", "{before}");
            }
        }
    }
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
fn a_line_end_inside_a_record_is_none_between_records() {
    let nested = expand("$n");
    check(&format!("{{\"x\":1}}\n{{\"a\":{{}}\n,\"output\":\n{nested}\n}}\n$a"), "a");
    check(&format!("{{\"x\":1}}\n{{\"m\":[{{\"role\":\"u\"}}\n,\n{nested}\n]}}\n$a"), "a");
    check(&format!("$a\n%x\n{{\"m\":[\n{nested}\n,\n{nested}\n]}}\n$b"), "a b");
}

#[test]
fn a_missing_request_id_is_replaced_by_object_and_offset() {
    let denial = r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException"}"#;
    check(&format!("{denial}\n  {denial}"), &format!("o@0 o@{}", denial.len() + 3));
    check(&format!("[{denial},{denial}]"), &format!("o@1 o@{}", denial.len() + 2));
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
    // Several blocks of records of odd lengths, so that a block ends at every kind of place.
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
