//! Every call to store and sink interrupted, before and after its effect, then repaired.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use bedrock_denial_watch::count::alerts::AlertState;
use bedrock_denial_watch::count::counter::{Contribution, Counter, Slot};
use bedrock_denial_watch::count::document::{Body, Change, Versioned};
use bedrock_denial_watch::count::store::StoreError;

use super::*;
use crate::depth::{self, Sample};

/// How a failed delivery is retried.
#[derive(Clone, Copy, Debug)]
enum Repair {
    /// Lambda's own retry: the same request id, at once.
    Retry,
    /// Redriven from the on-failure queue: another request id, after the lease has expired.
    Redrive,
    /// Not at first: the caller goes on after the lease has expired, and only then is it redriven.
    NextAlertThenRedrive,
}

/// Objects to deliver, and those delivered before anything failed.
struct Story {
    before: Vec<Object>,
    objects: Vec<Object>,
    rules: Vec<Rule>,
    notices_only: bool,
}

impl Story {
    /// One caller who goes on, and one whose severity rises.
    fn of_two_callers() -> Self {
        let models = |numbers: std::ops::Range<i64>| -> Object {
            numbers.flat_map(|number| refused("eve", &format!("m{number}"), number, 4)).collect()
        };
        let session = |session: i64, times| refused(&format!("{ROLE}/s{session}"), "m", session, times);
        let rotation = Rule { threshold: 0, ..built_in("session-rotation").clone() };
        Self {
            before: Vec::new(),
            objects: vec![models(0..1), models(1..4), session(1, 1), session(2, 4)],
            rules: vec![DENIED_MODEL.clone(), rotation],
            notices_only: false,
        }
    }

    /// Nine callers, then more than are reported one by one; the last is the first of a
    /// higher severity.
    fn of_a_flood() -> Self {
        let caller =
            |number: i64| refused(&format!("arn:aws:sts::1:assumed-role/R{number}/s"), "m", number, 1);
        let rotation = Rule { threshold: 0, ..built_in("session-rotation").clone() };
        Self {
            before: vec![(0..9).flat_map(caller).collect()],
            objects: vec![
                (9..12).flat_map(caller).collect(),
                (12..16).flat_map(caller).collect(),
                refused("arn:aws:sts::1:assumed-role/R17/s", "m", 17, 4),
            ],
            rules: vec![DENIED_MODEL.clone(), rotation],
            notices_only: true,
        }
    }

    /// Delivers everything with call number `fails` failing, then repairs. `None` if there are
    /// fewer calls than that.
    fn interrupted(&self, fails: Option<usize>, after: bool, fatal: bool, repair: Repair) -> Option<Board> {
        let (store, board) = (MemoryStore::default(), Board::default());
        let weather = Weather::default();
        weather.after.set(after);
        weather.fatal.set(fatal);
        let mut pipeline = in_weather(DENIED_MODEL.clone(), &store, &board, &weather);
        pipeline.rules.clone_from(&self.rules);
        board.notices_only.set(self.notices_only);
        let late = 1_001 + LEASE.as_secs();
        let mut failed = Vec::new();
        block_on(async {
            for object in &self.before {
                assert_eq!(deliver_calls(&pipeline, object, "before", 1_000).await.failed, 0);
            }
            weather.calls.set(0);
            weather.fails.set(fails);
            for (number, object) in self.objects.iter().enumerate() {
                let owner = format!("delivery {number}");
                if deliver_calls(&pipeline, object, &owner, 1_000).await.failed == 0 {
                    continue;
                }
                failed.push(number);
                weather.fails.set(None);
                let (owner, now) = match repair {
                    Repair::Retry => (owner, 1_000),
                    Repair::Redrive => (format!("redrive {number}"), late),
                    Repair::NextAlertThenRedrive => continue,
                };
                assert_eq!(deliver_calls(&pipeline, object, &owner, now).await.failed, 0);
            }
            if !failed.is_empty() && matches!(repair, Repair::NextAlertThenRedrive) {
                // Besides the one that was interrupted, those that found its lease.
                let failed = failed.iter().map(|number| &self.objects[*number]);
                let callers: BTreeSet<&String> = failed.clone().flatten().map(|call| &call.user).collect();
                let next = callers.into_iter().flat_map(|user| refused(user, "next", 40, 4));
                assert_eq!(deliver_calls(&pipeline, &next.collect::<Object>(), "next", late).await.failed, 0);
                for object in failed {
                    assert_eq!(deliver_calls(&pipeline, object, "redrive", late).await.failed, 0);
                }
            }
        });
        let keys = store.into_keys().filter(|(_, item)| !item.alerts.alerts.is_empty()).map(|(key, item)| {
            // Nothing waits for a delivery that may never come.
            assert!(item.alerts.alerts.values().all(|alert| alert.state == AlertState::Published), "{key:?}");
            key
        });
        board.keys.replace(keys.collect());
        (!failed.is_empty() || fails.is_none()).then_some(board)
    }

    /// Interrupts each call in turn; `check` gets the result without faults, and the result with one.
    fn interrupt_all(&self, step: usize, check: impl Fn(&Board, &Board, &str)) {
        let whole = self.interrupted(None, false, false, Repair::Retry).expect("fair weather");
        let (mut interruptions, mut sample) = (0, Sample::new());
        for repair in [Repair::Retry, Repair::Redrive, Repair::NextAlertThenRedrive] {
            for (after, fatal) in [(false, false), (false, true), (true, false), (true, true)] {
                for fails in sample.one_in(step, 0..) {
                    let Some(board) = self.interrupted(Some(fails), after, fatal, repair) else { break };
                    interruptions += 1;
                    let context = format!("{repair:?}, call {fails}, after {after}, fatal {fatal}");
                    println!("{context}");
                    assert_quiet_and_told(&board);
                    let (all, found) = (whole.keys.borrow(), board.keys.borrow());
                    assert!(all.is_subset(&found), "{context}: lost {:?}", all.difference(&found));
                    // A notice repeats only if its mark was lost.
                    let (sent, distinct) = (board.told().len(), board.notice_ids().len());
                    assert!(sent - distinct <= 1, "{context}: {:?}", board.told());
                    check(&whole, &board, &context);
                }
            }
        }
        assert!(
            interruptions > depth::pick(900, 800 / step),
            "only {interruptions} interruptions were tried"
        );
    }
}

#[test]
fn every_interruption_leaves_each_caller_told() {
    Story::of_two_callers().interrupt_all(10, |whole, board, context| {
        assert_eq!(whole.told(), ["1", "4", "1", "2"]);
        assert_eq!(board.callers(), whole.callers(), "{context}");
    });
}

#[test]
fn every_interruption_leaves_a_flood_told() {
    Story::of_a_flood().interrupt_all(20, |whole, board, context| {
        assert_eq!(whole.told()[9..], ["1", "12!", "16!", "2"]);
        // Which callers are the first ten depends on what failed; that the flood is reported does not.
        let told = board.told();
        let floods = told.iter().filter(|told| told.ends_with('!')).count();
        assert!((1..=4).contains(&floods), "{context}: {told:?}");
        assert!(told.len() - floods >= 10, "{context}: {told:?}");
        let highest =
            board.notices.borrow().iter().filter_map(|notice| notice["event"]["severity"].as_u64()).max();
        assert_eq!(highest, Some(73), "{context}");
    });
}

/// A store that loses its answers to writes of documents: the SDK tries again, and the second try finds another
/// version.
struct LostAnswers<'a>(&'a MemoryStore);

impl Store for LostAnswers<'_> {
    async fn add(
        &self,
        rule: &Rule,
        key: &Key,
        slot: Slot,
        contribution: &Contribution,
        expires_at: u64,
    ) -> Result<(), StoreError> {
        self.0.add(rule, key, slot, contribution, expires_at).await
    }

    async fn counters(
        &self,
        key: &Key,
        minutes: u16,
        starts: RangeInclusive<EventTime>,
    ) -> Result<Vec<Counter>, StoreError> {
        self.0.counters(key, minutes, starts).await
    }

    async fn documents(
        &self,
        partition: &Key,
        first: &str,
        last: &str,
    ) -> Result<Vec<(String, Versioned<Body>)>, StoreError> {
        self.0.documents(partition, first, last).await
    }

    async fn write(&self, changes: &[Change], expires_at: u64) -> Result<bool, StoreError> {
        self.0.write(changes, expires_at).await.map(|_| false)
    }

    async fn pause(&self) {}
}

#[test]
fn a_lost_answer_of_the_store_counts_nothing_twice() {
    let (store, board) = (MemoryStore::default(), Board::default());
    let mut pipeline = pipeline(DENIED_MODEL.clone(), LostAnswers(&store), &board);
    pipeline.rules = rules();
    let models = (0..30).flat_map(|number| refused("eve", &format!("m{number}"), number, 4));
    let callers = (0..40).flat_map(|number| refused(&format!("x{number}"), "m", 60 + number, 4));
    let object: Object = models.chain(callers).collect();
    assert_eq!(block_on(deliver_calls(&pipeline, &object, "one", 1_000)).failed, 0);
    let mut told = vec!["31".to_owned()];
    told.extend(vec!["1".to_owned(); 9]);
    told.push("41!".to_owned());
    assert_eq!(board.told(), told);
}

#[test]
fn a_topic_that_is_down_is_not_asked_for_every_notice() {
    let board = Board::default();
    let pipeline = pipeline(DENIED_MODEL.clone(), MemoryStore::default(), &board);
    let object: Object = (0..9).flat_map(|number| refused(&format!("x{number}"), "m", number, 4)).collect();
    board.refuses.set(usize::MAX);
    let outcome = block_on(deliver_calls(&pipeline, &object, "one", 1_000));
    assert_eq!((outcome.failed, board.asked.get()), (9, 3));
    let last = outcome.failures.last().expect("a failure").to_string();
    assert!(last.starts_with("the topic accepted none of 3 notices in a row"), "{last}");
    board.refuses.set(0);
    assert_eq!(block_on(deliver_calls(&pipeline, &object, "one", 1_000)).notices, 9);
}

/// Two incidents of one caller. The first one's notice is refused; the second one's delivery takes it over, and call
/// number `fails` of it fails, or it ends there. The first is retried, then the second, whose first notice is
/// refused when it ended. What was reported before the second was retried; `None` if there are fewer calls than that.
fn taken_over(fails: usize, ends: bool) -> Option<Vec<String>> {
    let (morning, evening) = (refused("eve", "m", 0, 4), refused("eve", "n", 20_000, 4));
    let (store, board, weather) = (MemoryStore::default(), Board::default(), Weather::default());
    let pipeline = in_weather(DENIED_MODEL.clone(), &store, &board, &weather);
    let deliver = |object: &Object, owner: &'static str, refused: usize| {
        board.refuses.set(refused);
        block_on(deliver_calls(&pipeline, object, owner, 1_000)).failed
    };
    assert_eq!(deliver(&morning, "one", 1), 1);
    weather.calls.set(0);
    weather.fails.set(Some(fails));
    weather.fatal.set(ends);
    let mut failed = deliver(&evening, "two", usize::from(!ends));
    weather.fails.set(None);
    if weather.calls.get() <= fails {
        return None;
    }
    assert_eq!(deliver(&morning, "one", 0), 0);
    let told = board.told();
    if failed > 0 && ends {
        failed = deliver(&evening, "two", 1);
    }
    if failed > 0 {
        assert_eq!(deliver(&evening, "two", 0), 0);
    }
    let incidents: BTreeSet<String> =
        board.notices.borrow().iter().map(|notice| notice["incident"]["id"].to_string()).collect();
    assert_eq!(incidents.len(), 2, "call {fails}, ends {ends}: {:?}", board.told());
    Some(told)
}

#[test]
fn a_notice_taken_over_and_not_sent_brings_its_delivery_back() {
    for ends in [false, true] {
        let told: Vec<_> = (0..).map_while(|fails| taken_over(fails, ends)).collect();
        assert!(told.len() > 15 && told.iter().any(|told| told.len() < 2), "{told:?}");
    }
}

#[test]
fn a_flood_is_told_whatever_the_delivery_that_makes_it_due_knows_of_its_writes() {
    let caller = |number: i64| refused(&format!("x{number}"), "m", number, 4);
    let (fifteen, sixteenth): (Object, Object) = ((0..15).flat_map(caller).collect(), caller(15));
    let goes_on = refused("x15", "n", 200, 4);
    let mut sample = Sample::new();
    for after in [false, true] {
        for (fails, refused) in sample.one_in(3, 0..).flat_map(|fails| [(fails, 0), (fails, 1)]) {
            let (store, board, weather) = (MemoryStore::default(), Board::default(), Weather::default());
            let pipeline = in_weather(DENIED_MODEL.clone(), &store, &board, &weather);
            let deliver = |object: &Object, owner: &'static str| {
                block_on(deliver_calls(&pipeline, object, owner, 1_000)).failed
            };
            assert_eq!(deliver(&fifteen, "before"), 0);
            board.refuses.set(refused);
            weather.calls.set(0);
            weather.after.set(after);
            weather.fails.set(Some(fails));
            let failed = deliver(&sixteenth, "one") > 0;
            weather.fails.set(None);
            if weather.calls.get() <= fails {
                break;
            }
            board.refuses.set(0);
            // The caller goes on before the delivery is tried again.
            let waits = deliver(&goes_on, "two") > 0;
            assert!(failed || !waits, "what nobody holds is sent");
            if failed {
                assert_eq!(deliver(&sixteenth, "one"), 0);
            }
            if waits {
                assert_eq!(deliver(&goes_on, "two"), 0);
            }
            let told = board.told();
            assert!(
                told.iter().any(|told| told.ends_with('!')),
                "call {fails}, after {after}, refused {refused}: {told:?}"
            );
        }
    }
}
