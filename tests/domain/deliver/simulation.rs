//! A small account in one deterministic run: both logs, S3 and Lambda as they are, and everything that goes
//! wrong on the way, against a recount from scratch.
//!
//! Log objects, CloudTrail files and CloudTrail events arrive in any order, some of them twice; the events in batches. Deliveries
//! overlap step by step. Every call to store and
//! sink may fail before or after its effect, and a delivery may end in the middle, as by a time-out, or find that its time
//! runs out. A failed
//! one is retried twice in its own name, then redriven under another; of a batch, only the messages that failed come back, each
//! time with others and in another name. Clocks differ by seconds. Someone may mute the
//! caller for a while, or change threshold, window and cooldown. Finally faults stop, and what is left is redriven.
//!
//! `SIMULATIONS=100000 SEED=7 cargo test simulation` runs others; a world that fails is made smaller and printed in
//! words. Frameworks (turmoil, madsim, shuttle) simulate threads, networks or clocks; here there are none: two ports
//! and an argument `now`. So the scheduler is the twenty lines of `together`.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::call::Source;
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::count::store::Mute;
use bedrock_denial_watch::deliver::{Delivery, TimeLeft};
use bedrock_denial_watch::rule::definition::Rule;
use serde_json::Value;

use crate::depth;
use crate::support::*;

/// How denials reach the detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Log,
    TrailFile,
    /// A single record, in the event itself.
    TrailEvent,
}

impl Way {
    fn source(self) -> Source {
        if self == Self::Log { Source::InvocationLog } else { Source::CloudTrail }
    }
}

/// Whether people are to hear of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Muted {
    Never,
    Always,
    /// From this round on, until the mute runs out.
    For {
        from: u32,
        seconds: u64,
    },
}

/// What there is to deliver, and how bad the weather is.
#[derive(Clone, Debug)]
struct World {
    seed: u64,
    objects: Vec<(Way, Batch)>,
    /// Objects that are delivered twice.
    twice: Vec<usize>,
    /// How many of 256 calls fail.
    odds: u64,
    /// How many of 256 steps end a delivery in the middle.
    timeouts: u64,
    /// The most calls for which a delivery may have time; 0 for ever.
    hurry: u64,
    muted: Muted,
    /// From this round on, other settings.
    retuned: Option<(u32, Settings)>,
}

/// Window and cooldown in seconds.
#[derive(Clone, Copy, Debug)]
struct Settings {
    threshold: usize,
    window: u64,
    cooldown: u64,
}

impl Settings {
    const FIRST: Self = Self { threshold: 3, window: 600, cooldown: 600 };

    fn rule(self) -> Rule {
        rule(self.threshold, self.window, self.cooldown)
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        dice.roll(1);
        let gaps = [0, 1, 1, 2, 7, 60, 200, 299, 300, 301, 599, 600, 601, 1_200, 4_000];
        let (mut at, mut denials) = (0, Vec::new());
        for value in 0..u32::try_from(4 + dice.roll(22)).expect("small") {
            at += gaps[dice.pick(gaps.len())];
            denials.push(Denied { at, key: u8::from(dice.roll(3) == 0), value });
        }
        let mut objects = Vec::new();
        // Each denial is in one log or in both.
        let most = if dice.roll(6) == 0 { 12 } else { 4 };
        for way in [Way::Log, Way::TrailFile, Way::TrailEvent] {
            let share = dice.roll(if way == Way::TrailEvent { 8 } else { 4 });
            let mut here: Vec<Denied> = denials.iter().filter(|_| dice.roll(4) >= share).cloned().collect();
            let most = if way == Way::TrailEvent { 1 } else { most };
            while !here.is_empty() {
                let size = (1 + dice.pick(most)).min(here.len());
                objects.push((way, here.drain(..size).collect()));
            }
        }
        if objects.is_empty() {
            objects.push((Way::Log, denials));
        }
        let twice = (0..objects.len()).filter(|_| dice.roll(4) == 0).collect();
        let bad = dice.roll(4);
        let timeouts = dice.roll(3) * 2;
        let mut round = || u32::try_from(1 + dice.roll(8)).expect("small");
        let (from, then) = (round(), round());
        let muted = match dice.roll(12) {
            0 => Muted::Always,
            1 => Muted::For { from, seconds: 20 + dice.roll(2_000) },
            _ => Muted::Never,
        };
        let retuned = (dice.roll(6) == 0).then(|| {
            let threshold = 2 + dice.pick(4);
            let mut seconds = || [600, 600, 1_200, 7_200][dice.pick(4)];
            (then, Settings { threshold, window: seconds(), cooldown: seconds() })
        });
        let hurry = if dice.roll(2) == 0 { 0 } else { 4 + dice.roll(60) };
        Self { seed, objects, twice, odds: bad * 12, timeouts, hurry, muted, retuned }
    }

    /// The rule by the settings that find the most, and by those that find the least. `None` where an object may have
    /// kept too few samples for other settings, or what was counted in slots of another length is forgotten.
    fn rules(&self) -> (Rule, Option<Rule>) {
        let (one, other) = (Settings::FIRST, self.retuned.map_or(Settings::FIRST, |(_, settings)| settings));
        let low = one.threshold.min(other.threshold);
        let loosest = rule(low, one.window.max(other.window), one.cooldown.min(other.cooldown));
        let strictest = rule(
            one.threshold.max(other.threshold),
            one.window.min(other.window),
            one.cooldown.max(other.cooldown),
        );
        let (events, files): (Vec<_>, Vec<_>) =
            self.objects.iter().partition(|(way, _)| *way == Way::TrailEvent);
        let all_sampled =
            files.iter().map(|(_, batch)| batch.len()).chain([events.len()]).all(|one| one <= 2 * (low + 1));
        let same_slots = one.rule().slot() == other.rule().slot();
        (loosest, (self.retuned.is_none() || (all_sampled && same_slots)).then_some(strictest))
    }

    fn words(&self) -> String {
        let mut text = format!(
            "seed {}: {} of 256 calls fail, {} of 256 steps time out, time for {} calls{}\n",
            self.seed,
            self.odds,
            self.timeouts,
            self.hurry,
            match (self.muted, self.retuned) {
                (Muted::Never, None) => String::new(),
                (muted, retuned) => format!(", muted: {muted:?}, retuned (round, settings): {retuned:?}"),
            }
        );
        for (number, (way, batch)) in self.objects.iter().enumerate() {
            let times = if self.twice.contains(&number) { ", delivered twice" } else { "" };
            let denials: Vec<String> = batch
                .iter()
                .map(|one| format!("model {} at {} s, request {}", one.key, one.at, one.value))
                .collect();
            _ = writeln!(text, "  object {number} by {way:?}{times}: {}", denials.join("; "));
        }
        text
    }
}

/// Keeps everything it accepts.
#[derive(Default)]
struct Everything {
    alerts: Recording,
    documents: RefCell<Vec<Value>>,
    notices: RefCell<Vec<Value>>,
}

impl AlertSink for &Everything {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        self.notices.borrow_mut().push(serde_json::from_str(&notice.document()).expect("JSON"));
        Ok(())
    }

    fn wants_alerts(&self) -> bool {
        true
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        self.documents.borrow_mut().push(serde_json::from_str(&alert.document()).expect("JSON"));
        (&self.alerts).alert(alert).await
    }
}

/// A delivery that is still to succeed.
#[derive(Clone)]
struct Flight {
    object: usize,
    owner: String,
    attempts: u32,
}

/// Says which of its flights come back.
pub type Task<'t> = Pin<Box<dyn Future<Output = Vec<bool>> + 't>>;

/// Runs all tasks, one step of one at a time as the dice fall; one that `timeouts` hit ends there. What each
/// returned.
pub async fn together(
    mut tasks: Vec<Option<Task<'_>>>,
    dice: &mut Dice,
    timeouts: u64,
) -> Vec<Option<Vec<bool>>> {
    let mut done = vec![None; tasks.len()];
    poll_fn(move |context| {
        let left: Vec<usize> = (0..tasks.len()).filter(|number| tasks[*number].is_some()).collect();
        if left.is_empty() {
            return Poll::Ready(std::mem::take(&mut done));
        }
        let number = left[dice.pick(left.len())];
        if dice.roll(256) < timeouts {
            tasks[number] = None;
        } else if let Some(task) = &mut tasks[number]
            && let Poll::Ready(returned) = task.as_mut().poll(context)
        {
            done[number] = Some(returned);
            tasks[number] = None;
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Takes some of what waits, for a few deliveries; events in batches.
fn boarding(world: &World, waiting: &mut Vec<Flight>, dice: &mut Dice) -> Vec<Vec<Flight>> {
    let is_event = |one: &Flight| world.objects[one.object].0 == Way::TrailEvent;
    let mut flights = Vec::new();
    for _ in 0..=dice.roll(3) {
        if waiting.is_empty() {
            break;
        }
        let mut flight = vec![waiting.swap_remove(dice.pick(waiting.len()))];
        let others = if is_event(&flight[0]) { dice.roll(12) } else { 0 };
        for _ in 0..others {
            let events: Vec<usize> = (0..waiting.len()).filter(|one| is_event(&waiting[*one])).collect();
            if !events.is_empty() {
                flight.push(waiting.swap_remove(events[dice.pick(events.len())]));
            }
        }
        flights.push(flight);
    }
    flights
}

/// Delivers everything until all has succeeded, and compares with a recount.
fn check(world: &World) {
    let (store, sink, weather) = (MemoryStore::default(), Everything::default(), Weather::default());
    weather.seed.set(world.seed | 1);
    let caller = Caller { account: Some("1".to_owned()), arn: Some("u".to_owned()) };
    let mute = |until| store.mute(&caller, Mute { until, why: "simulation".to_owned() });
    if world.muted == Muted::Always {
        mute(u64::MAX);
    }
    let mut pipeline = in_weather(Settings::FIRST.rule(), &store, &sink, &weather);
    let mut dice = Dice(world.seed ^ 0x5eed);
    let flight = |object: &usize| Flight { object: *object, owner: String::new(), attempts: 0 };
    let all: Vec<usize> = (0..world.objects.len()).collect();
    let mut waiting: Vec<Flight> = all.iter().chain(&world.twice).map(flight).collect();
    let (mut now, mut names, mut rounds) = (1_000_000, 0, 0);
    while !waiting.is_empty() {
        // Everything ends: the service comes back.
        let calm = rounds > 40;
        weather.odds.set(if calm { 0 } else { world.odds });
        rounds += 1;
        if let Muted::For { from, seconds } = world.muted
            && from == rounds
        {
            mute(now + seconds);
        }
        if let Some((round, settings)) = world.retuned
            && round == rounds
        {
            pipeline.rules = vec![settings.rule()];
        }
        assert!(rounds < 1_000, "deliveries go on failing in fair weather");
        let mut flights = boarding(world, &mut waiting, &mut dice);
        for flight in &mut flights {
            let is_event = world.objects[flight[0].object].0 == Way::TrailEvent;
            // A batch that comes back is another one, and may do so at once.
            if is_event || flight[0].attempts.is_multiple_of(3) {
                // A redrive has another request id, long after.
                now += if flight[0].attempts > 0 && !is_event { 1_000 } else { 0 };
                names += 1;
                flight[0].owner = format!("delivery {names}");
            }
            for one in flight {
                one.attempts += 1;
            }
        }
        let (pipeline_now, weather_now) = (&pipeline, &weather);
        let tasks = flights.iter().map(|flight| {
            let objects: Vec<&(Way, Batch)> = flight.iter().map(|one| &world.objects[one.object]).collect();
            let batches: Vec<&[Denied]> = objects.iter().map(|(_, batch)| &batch[..]).collect();
            let (way, owner, clock) = (objects[0].0, flight[0].owner.clone(), now + dice.roll(5));
            let hurry = if calm { 0 } else { world.hurry };
            // Every call, of whomever, takes a second.
            let end = weather.calls.get() as u64 + if hurry > 0 { dice.roll(hurry) } else { 0 };
            Some(Box::pin(async move {
                let left = || Duration::from_secs(end.saturating_sub(weather_now.calls.get() as u64));
                let time = if hurry > 0 {
                    TimeLeft::new(&left, Duration::from_secs(4))
                } else {
                    TimeLeft::UNLIMITED
                };
                if way == Way::TrailEvent {
                    let outcome = deliver_batch(pipeline_now, &batches, &owner, clock, time).await;
                    let returned = returned(&outcome, batches.len());
                    let silent = outcome.failed > 0 && outcome.unsettled.is_empty();
                    assert!(!silent, "a failure of no message: {:?}", outcome.failures);
                    returned
                } else {
                    let read = read(pipeline_now, &log(&pipeline_now.rules[0], way.source(), batches[0]));
                    let claimant = Claimant { owner: &owner, now: clock, lease: LEASE };
                    let delivery = Delivery { object: "object", claimant };
                    let outcome = pipeline_now.commit_within(time, read.tally, delivery).await;
                    vec![outcome.failed > 0]
                }
            }) as Task<'_>)
        });
        let tasks: Vec<_> = tasks.collect();
        let timeouts = if calm { 0 } else { world.timeouts };
        let done = block_on(together(tasks, &mut dice, timeouts));
        for (flight, returned) in flights.into_iter().zip(done) {
            let returned = returned.unwrap_or_else(|| vec![true; flight.len()]);
            waiting.extend(flight.into_iter().zip(returned).filter(|(_, back)| *back).map(|(one, _)| one));
        }
        now += dice.roll(30);
    }
    let batches: Vec<Batch> = world.objects.iter().map(|(_, batch)| batch.clone()).collect();
    let (loosest, strictest) = world.rules();
    assert_invariants_between(&batches, &loosest, strictest.as_ref(), &sink.alerts.told.borrow());
    let (alerts, notices) = (sink.documents.borrow(), sink.notices.take());
    match world.muted {
        Muted::Never => assert_told_and_quiet(&alerts, &notices, &[]),
        Muted::Always => assert_told_and_quiet(&alerts, &notices, &["u"]),
        Muted::For { .. } => assert_quiet(&alerts, &notices),
    }
}

/// Why a check fails; `None` if it holds.
pub fn failure<T>(check: impl FnOnce() -> T) -> Option<String> {
    let failed = catch_unwind(AssertUnwindSafe(check)).err()?;
    let why = failed.downcast_ref::<String>().cloned();
    Some(why.or_else(|| failed.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
}

/// The smallest world that still fails, by one step to a `smaller` one after the other.
pub fn smallest<W>(mut world: W, smaller: impl Fn(&W) -> Vec<W>, fails: impl Fn(&W) -> bool) -> W {
    while let Some(other) = smaller(&world).into_iter().find(&fails) {
        world = other;
    }
    world
}

/// The seed of every second of so many worlds, from `first` on: two tests use two cores.
pub fn seeds(seed: u64, first: u64, worlds: u64) -> impl Iterator<Item = u64> {
    let of = move |number: u64| seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (first..worlds).step_by(2).map(of)
}

fn fails(world: &World) -> Option<String> {
    failure(|| check(world))
}

/// The worlds that leave out one thing.
fn smaller(world: &World) -> Vec<World> {
    let without_object = (0..world.objects.len()).map(|number| {
        let mut fewer = world.clone();
        fewer.objects.remove(number);
        fewer.twice = fewer
            .twice
            .into_iter()
            .filter(|twice| *twice != number)
            .map(|twice| twice - usize::from(twice > number))
            .collect();
        fewer
    });
    let calmer = [
        World { twice: Vec::new(), ..world.clone() },
        World { timeouts: 0, ..world.clone() },
        World { hurry: 0, ..world.clone() },
        World { odds: world.odds / 2, ..world.clone() },
        World { muted: Muted::Never, ..world.clone() },
        World { retuned: None, ..world.clone() },
    ];
    let size = |world: &World| {
        let changes = (world.muted != Muted::Never, world.retuned.is_some(), world.hurry);
        (world.objects.len(), world.twice.len(), world.timeouts, world.odds, changes)
    };
    let is_less = |other: &World| size(other) < size(world) && !other.objects.is_empty();
    without_object.chain(calmer).filter(is_less).collect()
}

fn check_worlds(first: u64) {
    let (seed, worlds) = (number("SEED", 20_261_125), number("SIMULATIONS", depth::pick(20_000, 1_000)));
    println!("SEED={seed} SIMULATIONS={worlds}");
    for world in seeds(seed, first, worlds).map(World::new) {
        if let Some(why) = fails(&world) {
            let world = smallest(world, smaller, |world| fails(world).is_some());
            panic!("{why}\n{}{}", world.words(), fails(&world).unwrap_or_default());
        }
    }
}

#[test]
fn whatever_goes_wrong_alerts_and_notices_equal_a_recount() {
    check_worlds(0);
}

#[test]
fn whatever_goes_wrong_alerts_and_notices_equal_a_recount_in_as_many_other_worlds() {
    check_worlds(1);
}

#[test]
fn a_recount_notices_a_lost_and_an_invented_denial() {
    // Without these the simulation could not fail.
    let rule = rule(3, 600, 600);
    let batch: Batch = (0..4).map(|value| Denied { at: i64::from(value), key: 0, value }).collect();
    let lost = catch_unwind(|| assert_invariants(std::slice::from_ref(&batch), &rule, &[]));
    assert!(lost.is_err(), "a hot denial without an alert");
    let sink = Everything::default();
    let pipeline = pipeline(rule.clone(), MemoryStore::default(), &sink);
    assert_eq!(block_on(deliver(&pipeline, &batch, "o", 1)).failed, 0);
    let told = sink.alerts.told.borrow().clone();
    let invented = catch_unwind(|| assert_invariants(&[batch[..3].to_vec()], &rule, &told));
    assert!(invented.is_err(), "an alert without a hot denial");
}
