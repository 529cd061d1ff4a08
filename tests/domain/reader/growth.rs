//! The cost of any input is at most proportional to its size, measured from outside by the processor's time: of
//! what grows with the square, eight times as much takes 64 times as long.

use std::time::Duration;

use bedrock_denial_watch::reader::Limits;
use rustix::time::{ClockId, clock_gettime};

use crate::depth::{self, Sample};

use super::{blocks, expand, gzip, nested_codes, read, trail};

/// The size of a block, so small that small inputs have many.
const BLOCK: usize = 1024;

/// The time of this thread alone.
fn cost(stored: &[u8], limits: Limits) -> Duration {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let start = now();
    assert_eq!(read(stored, BLOCK, limits).damage, None);
    now().saturating_sub(start)
}

/// `input` builds an object of about that many bytes.
#[track_caller]
fn check_by(limits: Limits, input: impl Fn(usize) -> Vec<u8>) {
    let size = 16 * BLOCK;
    let (small, large) = (input(size), input(8 * size));
    let (mut once, mut eight) = (Duration::MAX, Duration::MAX);
    // The least of a few counts: others use the machine, too.
    for _ in 0..20 {
        once = once.min(cost(&small, limits));
        eight = eight.min(cost(&large, limits));
        if eight <= 14 * once {
            return;
        }
    }
    let shown = String::from_utf8_lossy(&input(200)).into_owned();
    panic!("{once:?} for {size} bytes, {eight:?} for eight times as many, {limits:?}: {shown:?}");
}

#[track_caller]
fn check_all(input: impl Fn(usize) -> Vec<u8>) {
    let all = [blocks(BLOCK), blocks(100), Limits { record_bytes: 3 * BLOCK, ..blocks(BLOCK) }];
    // A sample takes one of them, by how long the input is.
    let one = input(200).len() % all.len();
    for limits in depth::pick(&all[..], &all[one..=one]) {
        check_by(*limits, &input);
    }
}

/// `start`, then `piece` repeatedly, then `end`.
#[track_caller]
fn check(start: &str, piece: &str, end: &str) {
    let (start, piece, end) = (expand(start), expand(piece), expand(end));
    check_all(|size| [&start, &piece.repeat(size / piece.len()), &end].map(String::as_bytes).concat());
}

#[test]
fn blanks_cost_what_they_weigh() {
    for blank in [" ", "\n", "\r\n", "\t", " \n", "\n        "] {
        check("", blank, "$a");
        check("$a\n$b\n", blank, "$c\n$d");
        check("$a\n$b\n$c", blank, "\n$d");
        check("xyz", blank, "$a\n");
        check("xyz\n ,", blank, "$a\n");
        check("{\"x\":\"\n", blank, "$a\n");
        check("{", blank, "}");
        check("{\"Records\"", blank, ":[&a]}");
        check("{\"Records\":[", blank, "&a]}");
        check("{\"Records\":[~x,{\"errorCode\"", blank, ":\"AccessDenied\"}]}");
        check("{\"Records\":[~x,{\"errorCode\":", blank, "\"AccessDenied\"}]}");
        check("{\"Records\":[~x,{\"errorCode\":\"AccessDenied\"", blank, "}]}");
        check("{\"Records\":[~x]}\nxyz\n", blank, "&a");
    }
    check("", &format!("{{}}\n{}", " ".repeat(2000)), "");
    check("", &format!("xyz\n{}", " ".repeat(2000)), "");
    check("", &format!("{{\"errorCode\"{}:\"AccessDenied\"}}", " ".repeat(1000)), "");
    check("{\"Records\":[~x", &format!(",{{\"errorCode\"{}:\"AccessDenied\"}}", " ".repeat(1000)), "]}");
}

#[test]
fn faults_cost_what_they_weigh() {
    let faults = [
        "x",
        "\"",
        "]",
        "}",
        "{",
        "[",
        ":",
        "AccessDeniedException",
        "{\"",
        "{\"x\":",
        "{\"x\":[",
        "{\"x\":\"",
        "\\",
    ];
    let line_ends = ["", "\n", "\n\n", ",\n", "}\n", "]\n", "\n,", "\n$a\n", "\n  "];
    let lines = faults.iter().flat_map(|fault| line_ends.iter().map(move |end| format!("{fault}{end}")));
    // Two divides neither number: a sample has every fault and every line's end.
    for line in Sample::new().one_in(2, lines) {
        check("", &line, "");
        check("$a\n%b\n", &line, "\n$c");
        check("{\"Records\":[~a,", &line, "]}");
    }
    check("", "{\"errorCode\":\"AccessDeniedException\",\n", "$a\n");
    check("", "{\"errorCode\":\"AccessDeniedException\"]\n", "$a\n");
    check("", "{\"x\":[\n{\"y\":0},\n", "$a\n");
    check("", "{\"x\":[{},\n", "");
    check("", "{\"errorCode\":\"AccessDeniedException\",1}\n", "$a\n");
}

#[test]
fn framers_that_take_turns_cost_what_they_weigh() {
    for piece in [
        "{}\n[]\n",
        "{}\n,{}\n",
        "{}\nx\n",
        "{}\n{\n}\n",
        "{}\n{}{}\n",
        "%a\n[%b]\n",
        "$a\n$b$c\n",
        "$a\nx\n",
    ] {
        check("", piece, "");
        check("", &format!("{piece}{}", "{\"y\":0}\n".repeat(40)), "");
    }
    check("", "{\"Records\":[~a]}\n", "");
    check("$a\n", "{\"Records\":[&a]}\n", "");
    check("", "{\"Records\":[", "");
    check("x\n", "{\"Records\":[", "");
    check("x\n", "{\"Records\"", "");
}

#[test]
fn one_record_costs_what_it_weighs() {
    for inside in ["y", "\\\"", "\\\\", "{", "}", "AccessDeniedException", "\"AccessDenied\\\""] {
        for start in [
            "{\"x\":\"",
            "$a\n{\"x\":\"",
            "{\"errorCode\":\"AccessDenied\",\"x\":\"",
            "$a\n{\"errorCode\":\"AccessDeniedException\",\"x\":\"",
            "x{\"x\":\"",
            "{\"Records\":[&a,{\"x\":\"",
            "{\"Records\":[~a,{\"errorCode\":\"AccessDenied\",\"x\":\"",
            "{\"Records\":[~a,{\"x\":\"",
        ] {
            check(start, inside, "\"}");
            check(start, inside, ",\"errorCode\":\"AccessDenied\"}]}");
            check(start, inside, "\"}\n$b\n");
            check(start, inside, "");
        }
    }
    check("{\"x\":[0", ",[{}]", "]}\n$a");
    check("$a\n{\"x\":[0", ",\n0", "]}\n$a");
    check("{\"x\":0", ",\"y\":[]", "}\n$a");
    check("{\n{\n{\n{\n{\"x\":0", ",\"y\":[]", "}\n$a");
}

#[test]
fn dense_codes_cost_what_they_weigh() {
    let code = "\"errorCode\":\"AccessDenied\"";
    for piece in [
        "~x,".to_owned(),
        "&x,".to_owned(),
        format!("{{{code}}},"),
        format!("{{{code},\"bedrock.amazonaws.com\":0}},"),
        format!("{code},"),
        format!("\"x\":{{{code},"),
        format!("{{\"x\":{{{code}}},"),
        format!("{{\"x\":[0,{{{code}}}],{code}}},"),
        format!("{}\"errorCode\":\"AccessDenied\",", "\\".repeat(100)),
        "\"errorCode\":".to_owned(),
        "\"errorCode\":\"AccessDe".to_owned(),
        trail("s3", 'o', &format!("\"{}\"", r#"\"errorCode"#.repeat(30))) + ",",
        trail("s3", 'o', &format!("\"{}\"", r#"\"errorCode\":\"AccessDenied\","#.repeat(30))) + ",",
        format!("{},", nested_codes(30)),
        format!("{},", nested_codes(300)),
    ] {
        check("{\"Records\":[~a,", &piece, "&b]}");
        check("{\"Records\":[~a,{", &piece, "}]}");
        check("{\"Records\":[~a,{\"x\":[", &piece, "0],\"eventVersion\":\"1\"}]}");
        check("", &piece, "");
        check("", &format!("{piece}\n"), "");
    }
    check_all(|size| format!("{{\"Records\":[{}]}}", nested_codes(size / 30)).into_bytes());
}

#[test]
fn members_and_chunks_cost_what_they_weigh() {
    for text in ["", "{", "\n", "%a\n", "$a\n", "x\n"] {
        let member = gzip(expand(text).as_bytes());
        check_all(|size| member.repeat(size / member.len()));
        check_all(|size| [&member[..], &vec![0; size]].concat());
    }
}
