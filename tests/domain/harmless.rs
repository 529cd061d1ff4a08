//! Whatever a caller writes into an id, it never acts on the person or program that sees it.

use std::fs;
use std::ops::RangeInclusive;
use std::process::Command;
use std::sync::LazyLock;

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::links::unlinked;
use bedrock_denial_watch::alert::sanitize::ascii;
use bedrock_denial_watch::alert::terminal::Layout;
use proptest::prelude::*;
use serde_json::Value;

use crate::depth::Sample;
use crate::every_field::{invocation, trail};
use crate::fuzz_targets::harmless::{check_alert, check_characters, check_chat, check_message, check_text};
use crate::{alert, depth, hostile_ids, notice};

#[track_caller]
fn check_terminal(alert: &Alert<'_>) {
    check_alert(alert);
    let block = block(alert);
    assert!(HONEST[1].contains(&block.lines().count()), "{block}");
}

/// How many lines a normal alert has, in an email and on a terminal. A long id is shortened where it is part of
/// a key, which adds a row with its spelling.
static HONEST: LazyLock<[RangeInclusive<usize>; 2]> = LazyLock::new(|| {
    let long = "x".repeat(2048);
    let texts: [fn(&Alert<'_>) -> String; 2] = [email, block];
    texts.map(|text| {
        let lines = |id: &str| alert::of_a_caller(id, |alert| text(alert).lines().count());
        lines("x")..=lines(&long)
    })
});

/// Without the commands to look further with, which are left out where an id is hostile.
fn email(alert: &Alert<'_>) -> String {
    let email = alert.story().email();
    let without = |email: String, heading: &str| {
        let Some((before, section)) = email.split_once(heading) else { return email };
        let end = section.find("\n\n").map_or(section.len(), |end| end + 1);
        before.to_owned() + &section[end..]
    };
    let stop = "\nStop it now, unless the owner confirms these calls\n";
    without(without(without(email, "\nLook closer\n"), stop), "\nMute ")
}

fn block(alert: &Alert<'_>) -> String {
    alert.block(Layout { columns: 80, colour: false })
}

#[track_caller]
fn check(hostile: &str) {
    check_an_alert(hostile);
    check_notices(hostile);
}

#[track_caller]
fn check_an_alert(hostile: &str) {
    alert::of_a_caller(hostile, |alert| {
        let email = email(alert);
        assert!(HONEST[0].contains(&email.lines().count()), "{email}");
        check_message(&alert.message(), alert.rule.references);
        check_chat(&alert.story().chat(), alert.rule.references);
        check_terminal(alert);
    });
}

#[track_caller]
fn check_notices(hostile: &str) {
    for callers in [None, Some(64)] {
        notice::of_a_caller(hostile, callers, |notice| {
            check_message(&notice.message(), notice.worst.rule.references);
        });
    }
}

#[test]
fn nothing_in_a_known_trap_acts() {
    let traps = hostile_ids::all();
    for (name, trap) in &traps {
        println!("{name}");
        check_an_alert(trap);
    }
    for (name, trap) in Sample::new().one_in(5, traps.iter()) {
        println!("{name}");
        check_notices(trap);
    }
}

/// Every value a caller writes is a trap, in both logs; checks what `replay` prints for people and for programs.
#[test]
fn replay_prints_no_trap_that_acts() {
    let folder = tempfile::tempdir().expect("a folder");
    let traps = hostile_ids::all();
    for (number, trap) in traps.values().enumerate() {
        // Values that the log does not let a caller choose.
        let fill = |name: &str| match name {
            "account" => "111122223333".to_owned(),
            "unknown-name" => "unknown".to_owned(),
            _ => trap.clone(),
        };
        let records: Vec<Value> = (0..8)
            .map(|second| match second {
                0..4 => invocation(&fill, second, true),
                _ => trail(&fill, second, second < 6),
            })
            .collect();
        let lines: String = records.iter().map(|record| record.to_string() + "\n").collect();
        fs::write(folder.path().join(format!("{number:03}.json")), lines).expect("written");
    }
    for format in ["text", "json"] {
        let output = Command::new(env!("CARGO_BIN_EXE_replay"))
            .args(["--format", format])
            .arg(folder.path())
            .output()
            .expect("replay runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let alerts = text.lines().filter(|line| line.contains("denied-model")).count();
        assert!(alerts >= traps.len() - 4, "{alerts} alerts of {} traps", traps.len());
        for line in text.lines() {
            check_characters(line);
            if format == "json" {
                let document: Value = serde_json::from_str(line).expect(line);
                check_text(document["event"]["reason"].as_str().expect("text"), &[]);
            } else {
                assert!(!line.contains("://") && !line.to_lowercase().contains("mailto:"), "{line}");
            }
        }
    }
}

proptest! {
    #![proptest_config(depth::cases(200, 50, 20_261_125))]

    #[test]
    fn nothing_that_a_caller_writes_acts(
        parts in prop::collection::vec(
            prop_oneof![
                any::<String>(),
                any::<char>().prop_map(String::from),
                "[a-z.:/@ -]{0,12}",
                Just("https://evil.example/x".to_owned()),
                Just("www.evil.com".to_owned()),
                Just("evil.io".to_owned()),
                Just("a.org/login".to_owned()),
                Just("alice@example.com".to_owned()),
                Just("MAILTO:a@b.com".to_owned()),
                Just("<!channel> @here <@U1>".to_owned()),
                Just("\u{202e}\u{61c}\u{fffe}\u{ffff}\u{7f}\n\r\u{1b}]0;title\u{7}".to_owned()),
                Just("`*_~".to_owned()),
                Just("\\\\evilhost\\share".to_owned()),
                Just("file:\\\\evilhost\\x".to_owned()),
                Just("tel:5550199".to_owned()),
                Just("+19005550199".to_owned()),
                Just("1-900-555-0199".to_owned()),
                Just("(900) 555 0199".to_owned()),
                Just("a\u{300}\u{301}\u{302}\u{336}\u{336}\u{20dd}".to_owned()),
                Just("\u{2800}".to_owned()),
                Just("1.2.3.4/x".to_owned()),
                (0_usize..80).prop_map(|length| "x".repeat(length)),
            ],
            0..6,
        )
    ) {
        check(&parts.concat());
    }
}

/// Ids whose links take room where they are broken up, so that a text grows while it is cut.
fn growing() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        any::<char>().prop_map(String::from),
        Just("\u{e9}@x".to_owned()),
        (1_usize..20).prop_map(|times| ".co".repeat(times)),
        Just("a.io/".to_owned()),
        Just("tel:".to_owned()),
        Just("\\".to_owned()),
        Just("7".to_owned()),
    ];
    prop::collection::vec(part, 0..80).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(depth::cases(100, 100, 20_261_130))]

    #[test]
    fn a_subject_has_fewer_than_a_hundred_printable_characters_whatever_the_ids(id in growing()) {
        alert::of_a_caller(&id, |alert| {
            let subject = alert.story().subject();
            assert!(subject.len() < 100 && subject.chars().all(|one| matches!(one, ' '..='~')), "{subject}");
            let sms = alert.story().sms();
            assert!(sms.len() <= 160 && sms.chars().all(|one| matches!(one, ' '..='~')), "{sms}");
        });
    }

    #[test]
    fn a_cut_text_fits_whatever_the_limit(id in growing(), limit in 0_usize..120) {
        let cut = ascii(&id, limit);
        assert!(cut.len() <= limit && cut.chars().all(|one| matches!(one, ' '..='~')), "{limit}: {cut}");
        let room = u8::try_from(limit).expect("a byte");
        crate::fuzz_targets::texts::check(&[&[room], id.as_bytes()].concat());
    }

    #[test]
    fn what_is_broken_up_once_stays_so(id in growing()) {
        let once = unlinked(&id);
        assert_eq!(unlinked(&once), once);
    }
}
