//! How work grows with its input: four times as much input takes at most six times as many steps,
//! however it is made. Steps are counted where the work is done, so the machine does not matter.

use std::cell::Cell;
use std::time::Duration;

use super::claims::{self, AlertLog};
use super::counter::{Contribution, Counter, Slot};
use super::tally::Tally;
use super::window::Window;
use crate::call::filter::RecordFilter;
use crate::call::members::Members;
use crate::call::record::{Reading, read};
use crate::rule::catalogue::{DENIED_MODEL, built_in};
use crate::rule::definition::Rule;
use crate::source::time::EventTime;

thread_local! {
    pub static STEPS: Cell<usize> = const { Cell::new(0) };
}

#[track_caller]
fn check(size: usize, work: impl Fn(usize)) {
    let steps = |size: usize| {
        STEPS.set(0);
        work(size);
        STEPS.get()
    };
    let (once, four_times) = (steps(size), steps(4 * size));
    assert!(once >= size, "{once} steps for {size}: the work is not counted");
    assert!(four_times <= 6 * once, "{once} steps for {size}, {four_times} for four times as much");
}

/// One denial: seconds, model and request.
fn tally(rule: &Rule, denials: impl Iterator<Item = (usize, usize, usize)>) -> Tally {
    let mut tally = Tally::new(vec![rule.clone()], Vec::new());
    for (second, model, request) in denials {
        let time = EventTime::from_epoch_ms(i64::try_from(second).expect("small") * 1000);
        let record = format!(
            r#"{{"timestamp":"{time}","modelId":"m{model}","requestId":"r{request}","errorCode":"AccessDeniedException"}}"#
        );
        let fields = Members::read(&record).expect("JSON");
        let reading = read(&fields, &RecordFilter::errors(&["AccessDeniedException"]), String::new);
        let Reading::Call(denial) = reading else { panic!("{record}") };
        tally.add(&denial);
    }
    tally
}

fn contributions(tally: Tally) -> Vec<(Slot, Contribution)> {
    tally.into_summaries().flat_map(|summary| summary.contributions().collect::<Vec<_>>()).collect()
}

#[test]
fn reading_one_object() {
    // Slots of one key, newest first and oldest first.
    check(200, |size| drop(tally(&DENIED_MODEL, (0..size).map(|at| ((size - at) * 1320, 0, at)))));
    check(200, |size| drop(tally(&DENIED_MODEL, (0..size).map(|at| (at * 1320, 0, at)))));
    // One slot, in order, backwards, and all at once.
    check(200, |size| drop(tally(&DENIED_MODEL, (0..size).map(|at| (at * 600 / size, 0, at)))));
    check(200, |size| drop(tally(&DENIED_MODEL, (0..size).map(|at| (599 - at * 599 / size, 0, at)))));
    check(200, |size| drop(tally(&DENIED_MODEL, (0..size).map(|at| (0, 0, at)))));
    // Keys, one denial each, and a few recurring models.
    check(200, |size| drop(tally(&DENIED_MODEL, (0..size).map(|at| (0, at, at)))));
    check(200, |size| drop(tally(built_in("model-sweep"), (0..size).map(|at| (at % 600, at % 40, at)))));
    check(200, |size| drop(tally(built_in("model-sweep"), (0..size).map(|at| (at % 600, at, at)))));
    // The highest threshold, from when its samples are full.
    let thousand = Rule { threshold: 1000, ..DENIED_MODEL.clone() };
    check(2_500, |size| drop(tally(&thousand, (0..size).map(|at| (at * 600 / size, 0, at)))));
}

/// The counters that `objects` leave, each with `denials` a minute for an hour; then every alert of
/// the stretch with its figures.
fn alert(rule: &Rule, objects: usize, denials: usize, seconds: usize) {
    let mut counters: Vec<Counter> = Vec::new();
    for object in 0..objects {
        let at = object * seconds;
        let one = (0..denials).map(|number| (at + number * seconds / denials, 0, object * denials + number));
        for (slot, contribution) in contributions(tally(rule, one)) {
            if counters.last().is_none_or(|last| last.slot != slot) {
                counters.push(Counter::new(slot));
            }
            counters.last_mut().expect("just pushed").add(&contribution);
        }
    }
    STEPS.set(0);
    let mut window = Window::new(rule, &counters);
    let hot = window.hot(EventTime::from_epoch_ms(0), EventTime::from_epoch_ms(i64::MAX / 2));
    let mut log = AlertLog::default();
    let (mut done, mut alerts) = (0, 0);
    while done < hot.len() {
        done += claims::claim(&mut log, &hot[done..], rule.cooldown, |_| String::new());
        let claimed: Vec<EventTime> = log.unrecorded().collect();
        for at in &claimed {
            window.figures(*at).expect("figures");
        }
        alerts += claims::publish(&mut log, &claimed).len();
        claims::archive(&mut log);
    }
    assert!(alerts > 0);
}

#[test]
fn reading_a_window_and_claiming_its_alerts() {
    let minutes = |threshold, window: u64, cooldown: u64| Rule {
        threshold,
        window: Duration::from_secs(window * 60),
        cooldown: Duration::from_secs(cooldown * 60),
        ..DENIED_MODEL.clone()
    };
    // Alerts every minute within one window of a day, from slots that are full and from slots that are not.
    check(60, |size| alert(&minutes(3, 1440, 1), size, 20, 61));
    check(60, |size| alert(&minutes(3, 1440, 1), size, 4, 61));
    // Over many windows.
    check(60, |size| alert(&minutes(3, 60, 60), size, 20, 600));
    // Many objects in one slot, one after the other and each over the whole slot.
    check(60, |size| alert(&minutes(3, 60, 60), size, 20, 1));
    check(60, |size| alert(&minutes(0, 60, 60), size, 1, 0));
    // Recurring models.
    let sweep = Rule { threshold: 0, ..built_in("model-sweep").clone() };
    check(60, |size| alert(&sweep, size, 20, 600));
}
