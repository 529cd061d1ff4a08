//! The built `replay` on a terminal of its own: a pseudo-terminal of a known width.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use pty_process::Size;
use pty_process::blocking::{Command, open};
use unicode_width::UnicodeWidthStr;

const LOGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/events/logs");

/// The text on a terminal of that many columns, line by line; warnings and summary only if
/// standard error goes there too.
fn screen(columns: u16, environment: &[(&str, &str)], stderr: bool, arguments: &[&str]) -> Vec<String> {
    let (mut terminal, child_end) = open().expect("a pseudo-terminal");
    terminal.resize(Size::new(24, columns)).expect("resized");
    let mut command =
        Command::new(env!("CARGO_BIN_EXE_replay")).args(arguments).env("TERM", "xterm-256color");
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command = command.env_remove(name);
    }
    command = command.envs(environment.iter().copied());
    if !stderr {
        command = command.stderr(Stdio::null());
    }
    let mut child = command.spawn(child_end).expect("replay runs");
    let mut shown = Vec::new();
    // Linux ends a pseudo-terminal that no one writes to any more with an error.
    let _ = terminal.read_to_end(&mut shown);
    assert!(matches!(child.wait().expect("it ends").code(), Some(0 | 2)));
    let shown = String::from_utf8(shown).expect("text");
    shown.lines().map(str::to_owned).collect()
}

/// The blocks, of which each begins behind an empty line.
fn blocks(lines: &[String]) -> Vec<String> {
    lines.join("\n").split("\n\n").map(|block| block.trim().to_owned()).collect()
}

#[test]
fn at_80_columns_each_alert_is_a_block_that_reads_whole_and_comes_last() {
    let lines = screen(80, &[("NO_COLOR", "1")], false, &[LOGS]);
    for line in &lines {
        assert!(line.width() <= 80, "{} columns: {line}", line.width());
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
    let blocks = blocks(&lines);
    assert_eq!(blocks.len(), 20, "{blocks:#?}");
    assert_eq!((&*blocks[0], &*blocks[2]), ("Denied most often, 10 of 30", "17 alerts in 11 incidents"));
    let denied: Vec<&str> = blocks[1].lines().collect();
    assert_eq!(denied.len(), 11);
    assert_eq!(denied[0], "Times  User                          Model                       Account");
    assert_eq!(denied[1], "     40+ user/ci/report-export         …opus-4-20250514-v1:0       444455556666");
    let file = format!("/{}", "2025/06/02/09/20250602T091503066Z_591e09182f98e28c.json.gz");
    let expected = "SupportChatbot  account 111122223333  1 alert\n\
                    2025-06-02 09:14:48 UTC  HIGH  denied-model\n  \
                    User      SupportChatbot/i-0a1b2c3d4e5f67890\n  \
                    Model     anthropic.claude-3-opus-20240229-v1:0\n  \
                    Account   111122223333\n  \
                    Region    us-east-1\n  \
                    Denials   4 (fires above 3 within 60 minutes)\n  \
                    Seen      first 2025-06-02 09:14:07, last 2025-06-02 09:14:48 UTC\n  \
                    Served    3 (claude-3-haiku; 101 tokens) since the first denial\n  \
                    Key kind  temporary credentials of a role\n  \
                    Interval  12 to 17 s\n  \
                    Seen in   Bedrock invocation log\n  \
                    File      ";
    assert!(blocks[3].starts_with(expected) && blocks[3].ends_with(&file), "{}", blocks[3]);
    let last = blocks.last().expect("a block");
    assert!(last.contains("2025-06-06 10:06:40 UTC  HIGH  api-key-escape\n"), "{last}");
    let sweep = "  Newest    cohere.command-r-plus-v1:0";
    let block = blocks.iter().find(|block| block.contains("HIGH  model-sweep")).expect("a sweep");
    assert!(block.contains(sweep) && block.contains("Key id    AKIAP6KUPFACNEXAMPLE"), "{block}");
}

#[test]
fn a_wide_terminal_shows_ids_in_whole() {
    let lines = screen(200, &[("NO_COLOR", "1")], false, &[LOGS]);
    assert!(lines.iter().all(|line| !line.contains('…') || line.starts_with("  File")), "{lines:#?}");
    let user = "  User      arn:aws:sts::111122223333:assumed-role/SupportChatbot/i-0a1b2c3d4e5f67890";
    assert!(lines.iter().any(|line| line == user), "{lines:#?}");
}

#[test]
fn severity_is_in_colour_unless_told_otherwise() {
    let coloured = |environment: &[(&str, &str)]| {
        screen(80, environment, false, &[LOGS]).join("\n").contains("\u{1b}[31m\u{1b}[1mHIGH\u{1b}[0m")
    };
    assert!(coloured(&[]));
    assert!(coloured(&[("NO_COLOR", "")]), "an empty value asks for nothing");
    assert!(!coloured(&[("NO_COLOR", "1")]));
    assert!(!coloured(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("TERM", "dumb")]));
}

#[test]
fn the_summary_stands_before_the_alerts() {
    let lines = screen(120, &[], true, &[LOGS]);
    let at = |part: &str| lines.iter().position(|line| line.contains(part)).expect(part);
    assert!(at("zero bytes (1)") < at("Denied most often"), "{lines:#?}");
    // Far down, it is repeated, before what to type next.
    let summary = "Read 53 files: 443 records, 123 denials, 17 alerts.";
    let read: Vec<usize> = (0..lines.len()).filter(|line| lines[*line].contains(summary)).collect();
    assert_eq!((read.len(), read[1]), (2, lines.len() - 3), "{lines:#?}");
    assert!(lines[lines.len() - 2].starts_with("Next, add: --explain USER"), "{lines:#?}");
}

#[test]
fn a_warning_breaks_between_words_and_keeps_its_path_in_whole() {
    let path = "tests/golden/broken-among-good/input/a.json:";
    let lines = screen(80, &[], true, &[path.trim_end_matches(':')]);
    assert!(lines.iter().any(|line| line.contains(path)), "{lines:#?}");
    let warning = "byte 374: expected one JSON object; the record was skipped";
    assert!(lines.join("\n").replace("\n  ", " ").contains(warning), "{lines:#?}");
}

#[test]
fn standard_input_is_announced_and_an_interrupted_run_says_what_it_counted() {
    let (mut terminal, child_end) = open().expect("a pseudo-terminal");
    terminal.resize(Size::new(24, 120)).expect("resized");
    let mut child = Command::new(env!("CARGO_BIN_EXE_replay"))
        .args(["-"])
        .env("TERM", "xterm-256color")
        .env("NO_COLOR", "1")
        .spawn(child_end)
        .expect("replay runs");
    let mut shown = String::new();
    let mut wait_for = |terminal: &mut pty_process::blocking::Pty, words: &str| {
        let mut some = [0; 4096];
        while !shown.contains(words) {
            let count = terminal.read(&mut some).expect("it still runs");
            shown += &String::from_utf8_lossy(&some[..count]);
        }
        // No one knows how much will come.
        assert!(!shown.contains("/0 B"), "{shown}");
    };
    wait_for(
        &mut terminal,
        "Reading standard input, which is this terminal: paste a log, then press Ctrl-D.",
    );
    let denial = |id: u32| {
        format!(
            r#"{{"timestamp":"2025-06-01T10:00:00Z","requestId":"r{id}","errorCode":"AccessDeniedException"}}"#
        )
    };
    let log: String = (0..4).map(denial).collect::<String>() + "\n";
    terminal.write_all(log.as_bytes()).expect("typed");
    // The bar shows that it was read.
    wait_for(&mut terminal, &format!("{} B ", log.len()));
    terminal.write_all(b"\x03").expect("typed");
    wait_for(&mut terminal, "Interrupted (exit status 130): 0 of 1 file read to the end;");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(shown.contains("4 records, 4 denials, 1 alert."), "{shown}");
}

#[test]
fn a_list_goes_on_behind_a_comma() {
    let lines = screen(80, &[("NO_COLOR", "1")], false, &[LOGS]).join("\n");
    let list = "  Newest    cohere.command-r-plus-v1:0,\n            mistral.mistral-large-2407-v1:0,\n            \
                amazon.nova-premier-v1:0 and 3 more\n";
    assert!(lines.contains(list), "{lines}");
}

#[test]
fn ids_that_act_on_a_terminal_are_printed_plain_and_in_place() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for case in ["markup-in-ids", "missing-values-are-values", "cloudtrail-hostile", "validation-burst"] {
        let input = golden.join(case).join("input");
        for columns in [40, 80] {
            let lines = screen(columns, &[("NO_COLOR", "1")], false, &[input.to_str().expect("text")]);
            for line in &lines {
                assert!(line.width() <= usize::from(columns) || line.contains(' ') && columns < 80, "{line}");
                assert!(!line.contains(|part: char| part.is_control() || part == '\u{202e}'), "{line:?}");
            }
        }
    }
}
