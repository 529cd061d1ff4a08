//! Every field of every input holds a canary of its own. An output may contain those the contract
//! names, and no others.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::alert::terminal::Layout;
use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::deliver::Delivery;
use bedrock_denial_watch::reader::{Limits, Reader};
use bedrock_denial_watch::report::caller::asked::Asked;
use bedrock_denial_watch::report::caller::calls::KeptCalls;
use bedrock_denial_watch::report::caller::story::CallerStory;
use bedrock_denial_watch::rule::catalogue::ALL;
use bedrock_denial_watch::rule::definition::Rule;

use crate::every_field::{canaries, canary, check, inputs};
use crate::support::{LEASE, block_on, pipeline, read};

/// The canaries in every alert from CloudTrail, so that a test that loses its canaries fails.
const SHOWN: &[&str] =
    &["account", "role", "session", "region", "request", "model", "address", "client", "accesskey"];

/// Every rendering of alerts and notices.
#[derive(Default)]
struct All {
    texts: RefCell<Vec<String>>,
}

impl All {
    fn keep(&self, message: &bedrock_denial_watch::alert::Message) {
        let attributes = format!("{:?}", message.attributes);
        self.texts.borrow_mut().extend([message.subject.clone(), message.body.clone(), attributes]);
    }
}

impl AlertSink for &All {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        self.keep(&notice.message());
        Ok(())
    }

    fn wants_alerts(&self) -> bool {
        true
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        self.keep(&alert.message());
        let block = alert.block(Layout { columns: 80, colour: false });
        self.texts.borrow_mut().extend([block, alert.line(), alert.document()]);
        Ok(())
    }
}

/// All rules, each of which fires at once.
fn rules() -> Vec<Rule> {
    ALL.iter().map(|rule| Rule { threshold: 0, on: true, ..rule.clone() }).collect()
}

#[test]
fn no_alert_notice_or_state_holds_what_the_contract_does_not_name() {
    let mut seen = BTreeSet::new();
    let mut fired = BTreeSet::new();
    for (form, log) in inputs(&canary) {
        let sink = All::default();
        let mut pipeline = pipeline(rules()[0].clone(), MemoryStore::default(), &sink);
        pipeline.rules = rules();
        let read = read(&pipeline, &log);
        assert_eq!(read.faults, [], "{form}");
        check(form, &format!("{:?}", read.statistics));
        let claimant = Claimant { owner: "owner", now: 1_000, lease: LEASE };
        let outcome = block_on(pipeline.commit(read.tally, Delivery { object: "object", claimant }));
        assert_eq!(outcome.failed, 0, "{form}");
        let texts = sink.texts.take();
        for text in &texts {
            check(form, text);
            seen.extend(canaries(text));
            fired.extend(ALL.iter().filter(|rule| text.contains(rule.id)).map(|rule| rule.id));
        }
        check(form, &format!("{:?}", pipeline.store.callers()));
        let state: Vec<_> = pipeline.store.into_keys().collect();
        check(form, &format!("{state:?}"));
    }
    assert!(SHOWN.iter().all(|name| seen.contains(*name)), "{seen:?}");
    // No answer comes without a guardrail, and no one is watched yet.
    let silent = ["no-guardrail", "served-after-denial"];
    let loud = ALL.iter().map(|rule| rule.id).filter(|id| !silent.contains(id));
    assert_eq!(fired, loud.collect(), "every other rule told something");
}

#[test]
fn a_callers_story_holds_nothing_else_either() {
    let mut seen = BTreeSet::new();
    for (form, log) in inputs(&canary) {
        let asked = Asked::parse("*").expect("a pattern");
        let mut calls = KeptCalls::new(asked);
        let mut reader =
            Reader::of_calls("object", Limits::default(), KeptCalls::filter(), |call| calls.add(call));
        assert!(reader.push(log.as_bytes()), "{form}");
        assert_eq!(reader.finish().faults, [], "{form}");
        let story = CallerStory::new("*", &calls, Vec::new());
        for text in [story.text(80), story.text(2_000), story.document()] {
            check(form, &text);
            seen.extend(canaries(&text));
        }
    }
    let expected = SHOWN.iter().filter(|name| **name != "request");
    assert!(expected.clone().all(|name| seen.contains(*name)), "{seen:?}");
}

#[test]
fn replay_prints_nothing_else_either_whatever_is_wrong_with_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, (_, log)) in inputs(&canary).into_iter().enumerate() {
        // Whole, cut, with a field of another type, without its time, and as one faulty line among good ones.
        let texts = [
            log.clone(),
            log[..log.len() / 2].to_owned(),
            log.replace("\"identity\":{", "\"identity\":[{")
                .replace("\"userIdentity\":{", "\"userIdentity\":7,\"x\":{"),
            log.replace("2025-06-01T10", "canarytime"),
            format!("canaryline {log}\n{{\"canaryname\":\"AccessDeniedException\n{log}"),
        ];
        for (variant, text) in texts.iter().enumerate() {
            fs::write(folder.path().join(format!("{number:02}-{variant}.json")), text).expect("written");
        }
    }
    let every: Vec<&str> = ALL.iter().map(|rule| rule.id).collect();
    for format in ["text", "json"] {
        let output = Command::new(env!("CARGO_BIN_EXE_replay"))
            .args(["--threshold", "0", "--rules", &every.join(","), "--format", format])
            .arg(folder.path())
            .output()
            .expect("replay runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        check("standard output", &out);
        check("standard error", &err);
        let found = canaries(&out);
        assert!(["account", "role", "model"].iter().all(|name| found.contains(*name)), "{found:?}");
        assert!(err.contains("warning: "), "{err}");
        assert_eq!(canaries(&err), BTreeSet::new(), "{err}");
    }
}
