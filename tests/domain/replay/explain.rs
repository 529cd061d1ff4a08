//! `replay --explain`: the rule's arithmetic in words.

use std::process::Command;

/// What `replay --explain asked` prints about the sample logs, with further `arguments`.
fn explained(asked: &str, arguments: &[&str]) -> String {
    let mut replay = Command::new(env!("CARGO_BIN_EXE_replay"));
    let output =
        replay.args(["--explain", asked]).args(arguments).arg("events/logs").output().expect("replay runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The paragraph of one rule.
#[track_caller]
fn check(asked: &str, arguments: &[&str], rule: &str, expected: &str) {
    let text = explained(asked, arguments);
    let paragraph = text.split("\n\n").find(|paragraph| paragraph.starts_with(&format!("{rule}:")));
    assert_eq!(paragraph.map(str::trim_end), Some(expected.trim()), "{text}");
}

const ALERT: &str = "
denied-model: account 111122223333, user arn:aws:sts::111122223333:assumed-role/SupportChatbot/i-0a1b2c3d4e5f67890, model anthropic.claude-3-opus-20240229-v1:0
  Known: 4 denials, from 2025-06-02 09:14:07 to 2025-06-02 09:14:48 UTC.
  The rule fires above 3 within 60 minutes.
  Alert d269d02a89f40fd9f7f70bb2f17e3df2, at 2025-06-02 09:14:48 UTC:
    4 denials from 2025-06-02 09:14:07 to 2025-06-02 09:14:48 UTC, which is above 3.
    No other alert of this key before 2025-06-02 10:14:48 UTC.
    It belongs to incident e3efd698f09142ecdaded54354003006 of arn:aws:sts::111122223333:assumed-role/SupportChatbot: 1 alert, one notification would have been sent, about 1.
    Successful calls seen since the first denial: 40 (claude-3-haiku; 1,298 tokens).
  Known denials:
    2025-06-02 09:14:07 UTC  request 3a04aa3c-676e-4831-9270-b6432c7153c9
    2025-06-02 09:14:19 UTC  request 1637dce1-00fb-469a-8ee3-eed819f03994
    2025-06-02 09:14:31 UTC  request 7bc659e1-5acc-4908-ad05-b20ef153d18b
    2025-06-02 09:14:48 UTC  request 482cc76a-f4a1-422a-8cf4-38a5a8c6e461";

#[test]
fn an_alert_is_found_by_its_id_and_explained() {
    check("d269d02a89f40fd9f7f70bb2f17e3df2", &[], "denied-model", ALERT);
}

#[test]
fn a_key_that_did_not_fire_says_what_was_missing() {
    let sweep = "
model-sweep: account 444455556666, caller arn:aws:sts::444455556666:assumed-role/ResearchNotebook
  Known: 1 model, from 2025-06-02 14:08:05 to 2025-06-02 14:08:21 UTC.
  The rule fires above 3 within 60 minutes.
  It did not fire: the busiest window holds 1 model, at 2025-06-02 14:08:05 UTC; 3 more within the window would have fired.
  Known denials:
    2025-06-02 14:08:05 UTC  model anthropic.claude-3-opus-20240229-v1:0
    2025-06-02 14:08:12 UTC  model anthropic.claude-3-opus-20240229-v1:0
    2025-06-02 14:08:21 UTC  model anthropic.claude-3-opus-20240229-v1:0";
    check("ResearchNotebook", &[], "model-sweep", sweep);
    // Whoever asks has the user as logged.
    let user = "arn:aws:sts::444455556666:assumed-role/ResearchNotebook/researcher-3@example.com";
    check(user, &[], "model-sweep", sweep);
}

#[test]
fn the_denials_after_an_alert_belong_to_it_until_the_cooldown_ends() {
    let text = explained("report-export", &["--rules", "denied-model"]);
    for line in [
        "  Known: at least 40 denials, from 2025-06-03 02:10:04 to 2025-06-03 02:35:02 UTC.",
        "    No other alert of this key before 2025-06-03 03:10:22 UTC; 35 more denials until then belong to this one.",
        "    and 19 more",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
}

#[test]
fn the_nearest_to_their_threshold_come_first_and_the_rest_are_counted() {
    let text = explained("444455556666", &[]);
    let first = text.lines().next().unwrap_or_default();
    assert!(first.starts_with("denied-model: ") && first.contains("report-export"), "{text}");
    assert!(
        text.lines().last().is_some_and(|line| line.ends_with("name the user and the model more exactly."))
    );
}

#[test]
fn what_nobody_counted_is_said_with_the_reasons_there_may_be() {
    let text = explained("nobody", &["--rules", "denied-model"]);
    assert!(text.starts_with("Nothing counted by denied-model is about nobody.\n"), "{text}");
    assert!(
        text.contains("exempt users") && text.contains("not looked at: api-key-escape, empty-answers, "),
        "{text}"
    );
    let user = "arn:aws:iam::444455556666:user/ci/report-export";
    for exempt in [&["--exempt-user", "*report-export"][..], &["--set", "denied-model.exempt=*report-export"]]
    {
        let text = explained(user, &[exempt, &["--rules", "denied-model"]].concat());
        assert!(text.contains("It is exempt from denied-model."), "{text}");
    }
    assert!(!explained("nobody\u{1b}[31m", &[]).contains('\u{1b}'));
}
