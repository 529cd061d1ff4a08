//! Batches of messages that carry records themselves: one delivery, of which each message fails alone.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::count::alerts::AlertState;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::count::window::Window;
use bedrock_denial_watch::deliver::TimeLeft;
use bedrock_denial_watch::rule::definition::Rule;

use crate::depth::Sample;
use crate::support::*;

const FOREVER: TimeLeft<'static> = TimeLeft::UNLIMITED;
const NOW: u64 = 1_000;

fn hourly() -> Rule {
    rule(3, 3600, 3600)
}

fn denied(key: u8, value: u32) -> Denied {
    Denied { at: i64::from(value), key, value }
}

/// `amount` messages with one denial each, of `key`.
fn messages(key: u8, amount: u32) -> Vec<Batch> {
    (0..amount).map(|value| vec![denied(key, value)]).collect()
}

fn slices(messages: &[Batch]) -> Vec<&[Denied]> {
    messages.iter().map(Vec::as_slice).collect()
}

/// Refuses notices about one caller.
#[derive(Default)]
struct Picky {
    refused: &'static str,
    published: RefCell<Vec<String>>,
}

impl AlertSink for &Picky {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        let caller = notice.caller.arn.clone().unwrap_or_default();
        if caller == self.refused {
            return Err(SinkError { operation: "publish".to_owned(), cause: "refused".into() });
        }
        self.published.borrow_mut().push(caller);
        Ok(())
    }

    fn wants_alerts(&self) -> bool {
        false
    }

    async fn alert(&self, _: &Alert<'_>) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn a_batch_asks_as_much_of_the_store_as_one_object_however_many_messages() {
    let calls = |amount, batch: bool| {
        let (store, sink, weather) = (MemoryStore::default(), Recording::default(), Weather::default());
        let pipeline = in_weather(hourly(), &store, &sink, &weather);
        let messages = messages(1, amount);
        if batch {
            let outcome = block_on(deliver_batch(&pipeline, &slices(&messages), "r", NOW, FOREVER));
            assert_eq!(returned(&outcome, messages.len()), vec![false; messages.len()]);
        } else {
            assert_eq!(block_on(deliver(&pipeline, &messages.concat(), "r", NOW)).failed, 0);
        }
        assert_eq!(sink.told.borrow().len(), 1);
        weather.calls.get()
    };
    assert_eq!((calls(4, true), calls(100, true)), (calls(4, false), calls(4, false)));
}

#[test]
fn a_message_fails_exactly_when_a_key_it_counts_toward_does() {
    let (store, sink, weather) = (MemoryStore::default(), Recording::default(), Weather::default());
    let pipeline = in_weather(hourly(), &store, &sink, &weather);
    let batch: [&[Denied]; 5] =
        [&[denied(1, 1)], &[denied(2, 2)], &[denied(2, 3), denied(1, 4)], &[], &[denied(3, 5)]];
    // The first call adds to the first key.
    weather.fails.set(Some(0));
    let outcome = block_on(deliver_batch(&pipeline, &batch, "r", NOW, FOREVER));
    assert_eq!(outcome.failed, 1);
    assert_eq!(returned(&outcome, 5), [true, false, true, false, false]);
}

#[test]
fn a_message_fails_when_the_notice_of_an_alert_it_counts_toward_does() {
    // Keys from 100 on have another caller.
    let sink = Picky { refused: "u", ..Picky::default() };
    let pipeline = pipeline(hourly(), MemoryStore::default(), &sink);
    let mut batch = messages(1, 4);
    batch.extend(messages(100, 4));
    // The same caller without an alert, and both callers.
    batch.push(vec![denied(2, 1)]);
    batch.push(vec![denied(1, 9), denied(100, 9)]);
    let outcome = block_on(deliver_batch(&pipeline, &slices(&batch), "r", NOW, FOREVER));
    let expected = [[true; 4].as_slice(), &[false; 4], &[false, true]].concat();
    assert_eq!(returned(&outcome, batch.len()), expected);
    assert_eq!(*sink.published.borrow(), ["v"]);
}

/// A clock by which each call to the store takes a second, and that ends after so many.
fn after(calls: u64, weather: &Weather) -> impl Fn() -> Duration {
    move || Duration::from_secs(calls.saturating_sub(weather.calls.get() as u64))
}

#[test]
fn what_finds_no_time_is_not_begun_and_fails_alone() {
    let (store, sink, weather) = (MemoryStore::default(), Recording::default(), Weather::default());
    let pipeline = in_weather(hourly(), &store, &sink, &weather);
    let batch: Vec<Batch> = (0..90).map(|key| vec![denied(key, 0)]).collect();
    // A quiet key takes three calls.
    let clock = after(121, &weather);
    let time = TimeLeft::new(&clock, Duration::from_secs(1));
    let outcome = block_on(deliver_batch(&pipeline, &slices(&batch), "r", NOW, time));
    let back = returned(&outcome, 90);
    let done = back.iter().filter(|back| !**back).count();
    assert!((40..=72).contains(&done), "{done} of 90 were done");
    assert_eq!(weather.calls.get(), 3 * done, "what is begun is finished, and nothing else asks");
    let failures: Vec<String> = outcome.failures.iter().map(ToString::to_string).collect();
    let left = 90 - done;
    assert_eq!(
        failures,
        [format!("there was no time left for {left} keys or callers; the delivery will be tried again")]
    );
    // In another mix, in another order.
    let rest: Vec<&[Denied]> =
        slices(&batch).into_iter().zip(back).filter(|(_, back)| *back).map(|(one, _)| one).rev().collect();
    let outcome = block_on(deliver_batch(&pipeline, &rest, "s", NOW, FOREVER));
    assert_eq!((outcome.failed, store.into_keys().count()), (0, 90));
}

#[test]
fn what_is_found_is_reported_though_there_is_more_to_count_than_time() {
    let (store, sink, weather) = (MemoryStore::default(), Recording::default(), Weather::default());
    let pipeline = in_weather(hourly(), &store, &sink, &weather);
    // One key fires, and two hundred are quiet. There is time for a hundred calls.
    let burst: Batch = (0..4).map(|number| denied(0, number)).collect();
    let quiet = (1..=200).map(|key| vec![denied(key, 0)]);
    let batch: Vec<Batch> = std::iter::once(burst).chain(quiet).collect();
    let clock = after(300, &weather);
    let time = TimeLeft::new(&clock, Duration::from_secs(1));
    let outcome = block_on(deliver_batch(&pipeline, &slices(&batch), "r", NOW, time));
    assert_eq!((sink.told.borrow().len(), returned(&outcome, 201)[0]), (1, false));
    assert!(outcome.unsettled.len() > 50, "the rest comes back");
}

#[test]
fn without_time_to_notify_the_claims_are_given_up_for_the_next_mix() {
    let (store, sink, weather) = (MemoryStore::default(), Recording::default(), Weather::default());
    let pipeline = in_weather(hourly(), &store, &sink, &weather);
    let batch = messages(1, 4);
    // Enough to add, look around, read the alerts and claim.
    let clock = after(4, &weather);
    let time = TimeLeft::new(&clock, Duration::from_secs(1));
    let outcome = block_on(deliver_batch(&pipeline, &slices(&batch), "r", NOW, time));
    assert_eq!((returned(&outcome, 4), sink.told.borrow().len()), (vec![true; 4], 0));
    let again: [&[Denied]; 2] = [&batch[2], &batch[0]];
    let outcome = block_on(deliver_batch(&pipeline, &again, "s", NOW, FOREVER));
    assert_eq!((returned(&outcome, 2), sink.told.borrow().len()), (vec![false; 2], 1));
    let (_, item) = store.into_keys().next().expect("a key");
    assert!(item.alerts.alerts.values().all(|alert| alert.state == AlertState::Published));
}

#[test]
fn a_message_is_not_done_while_a_delivery_that_may_be_dead_holds_its_alert() {
    let (store, sink, weather) = (MemoryStore::default(), Recording::default(), Weather::default());
    let pipeline = in_weather(hourly(), &store, &sink, &weather);
    let batch = messages(1, 4);
    weather.fails.set(Some(FIRST_NOTICE));
    weather.fatal.set(true);
    let outcome = block_on(deliver_batch(&pipeline, &slices(&batch), "dead", NOW, FOREVER));
    assert_eq!(returned(&outcome, 4), [true; 4]);
    weather.fails.set(None);
    // A denial that makes nothing hot depends on no alert.
    let late = Denied { at: 9_000, key: 1, value: 99 };
    let mix: [&[Denied]; 2] = [&batch[3], &[late]];
    for (now, held) in [(NOW + LEASE.as_secs(), true), (NOW + LEASE.as_secs() + 1, false)] {
        let outcome = block_on(deliver_batch(&pipeline, &mix[..1], &now.to_string(), now, FOREVER));
        assert_eq!((outcome.failed, returned(&outcome, 1)), (usize::from(held), vec![held]), "{now}");
    }
    let outcome = block_on(deliver_batch(&pipeline, &mix[1..], "late", NOW, FOREVER));
    assert_eq!((returned(&outcome, 1), sink.told.borrow().len()), (vec![false], 1));
}

#[test]
fn totals_stay_below_the_truth_in_whatever_mix_messages_come_back() {
    let (mut ambiguous, seeds) = (0, Sample::new().one_in(4, 1..=200));
    for seed in seeds {
        let mut dice = Dice(seed);
        let sink = Picky::default();
        let pipeline = pipeline(hourly(), MemoryStore::default(), &sink);
        let (mut at, mut all) = (0, Vec::new());
        for value in 0..60 {
            at += [0, 1, 7, 60][dice.pick(4)];
            all.push(vec![Denied { at, key: 1, value }]);
        }
        let mut delivered = BTreeSet::new();
        for number in 0..4 + dice.roll(8) {
            let first = dice.pick(all.len());
            let amount = 1 + dice.pick(40);
            let mix: Vec<usize> = (first..all.len()).take(amount).filter(|_| dice.roll(4) > 0).collect();
            let batch: Vec<&[Denied]> = mix.iter().map(|one| &*all[*one]).collect();
            delivered.extend(mix);
            let outcome = block_on(deliver_batch(&pipeline, &batch, &number.to_string(), NOW, FOREVER));
            assert_eq!(outcome.failed, 0);
        }
        let Some((_, item)) = pipeline.store.into_keys().next() else { continue };
        let counters: Vec<_> = item.counters.all();
        let figures = Window::new(&pipeline.rules[0], &counters).all().expect("figures");
        let truth = delivered.len() as u64;
        assert!(figures.total <= truth, "seed {seed}: {} of {truth}", figures.total);
        assert!(
            figures.is_lower_bound || figures.total == truth,
            "seed {seed}: {} of {truth}",
            figures.total
        );
        ambiguous += u32::from(figures.is_lower_bound);
    }
    assert!(ambiguous > 0, "no mix was ambiguous");
}
