//! Who is reported, and with which numbers, when many callers come in a few hours and everything goes wrong: the
//! topic is down for whole deliveries, calls fail before and after their effect, deliveries die, run at the same
//! time, and are redriven under other names.
//!
//! `CROWDS=100000 SEED=7 cargo test crowds` runs others.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bedrock_denial_watch::count::alerts::AlertState;
use bedrock_denial_watch::count::crowd::{Crowd, MAX_TICKETS};
use bedrock_denial_watch::count::incident::Admission;

use super::*;
use crate::deliver::simulation::{Task, failure, seeds, smallest, together};
use crate::depth;

/// What callers do, and what goes wrong.
#[derive(Clone, Debug)]
struct World {
    seed: u64,
    objects: Vec<Object>,
    twice: Vec<usize>,
    /// How many of 256 calls fail.
    odds: u64,
    /// How many of 256 steps end a delivery.
    timeouts: u64,
    /// How many of 16 rounds find the topic down.
    outages: u64,
    /// Alerts of two severities, so that incidents rise.
    rises: bool,
    /// Programs want each alert, too.
    alerts_too: bool,
}

const HOUR: i64 = 3_600;

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        dice.roll(1);
        let rises = dice.roll(3) == 0;
        let mut bursts = Vec::new();
        for hour in 0..=i64::try_from(dice.roll(3)).expect("small") {
            let most = [3, 6, 12, 20][dice.pick(4)];
            for caller in 0..=dice.roll(most) {
                // All of one caller's alerts lie in one clock hour, and belong to one incident.
                let models = if dice.roll(4) == 0 { 1 + dice.roll(5) } else { 1 };
                for model in 0..models {
                    let at = hour * HOUR + i64::try_from(dice.roll(3_000)).expect("small");
                    let user = format!("arn:aws:sts::1:assumed-role/H{hour}C{caller}/s");
                    let times = if rises && dice.roll(2) == 0 { 1 } else { 4 };
                    bursts.push(refused(&user, &format!("m{model}"), at, times));
                }
            }
        }
        for last in (1..bursts.len()).rev() {
            // Some worlds are in order, mostly.
            if dice.roll(3) > 0 {
                bursts.swap(last, dice.pick(last + 1));
            }
        }
        let most = [1, 2, 5, 30][dice.pick(4)];
        let mut objects: Vec<Object> = Vec::new();
        while !bursts.is_empty() {
            let size = (1 + dice.pick(most)).min(bursts.len());
            objects.push(bursts.drain(..size).flatten().collect());
        }
        let twice = (0..objects.len()).filter(|_| dice.roll(5) == 0).collect();
        let (odds, timeouts, outages) = (dice.roll(3) * 8, dice.roll(3), [0, 4, 8, 16][dice.pick(4)]);
        Self { seed, objects, twice, odds, timeouts, outages, rises, alerts_too: dice.roll(4) == 0 }
    }

    fn rules(&self) -> Vec<Rule> {
        let rotation = Rule { threshold: 0, ..built_in("session-rotation").clone() };
        if self.rises { vec![DENIED_MODEL.clone(), rotation] } else { vec![DENIED_MODEL.clone()] }
    }

    fn words(&self) -> String {
        let Self { seed, odds, timeouts, outages, rises, alerts_too, twice, .. } = self;
        let mut text = format!(
            "seed {seed}: {odds} of 256 calls fail, {timeouts} of 256 steps time out, outages {outages} of 16, rises {rises}, alerts too {alerts_too}, twice {twice:?}\n"
        );
        for (number, object) in self.objects.iter().enumerate() {
            _ = write!(text, "  object {number}:");
            for call in object.chunk_by(|one, other| (&one.user, &one.model) == (&other.user, &other.model)) {
                _ = write!(text, " {} {} at {} x{};", call[0].user, call[0].model, call[0].at, call.len());
            }
            text += "\n";
        }
        text
    }
}

/// A delivery that is still to succeed.
#[derive(Clone)]
struct Flight {
    object: usize,
    owner: String,
    attempts: u32,
}

/// Delivers everything until all has succeeded. Returns how many deliveries there were.
fn deliver_all(world: &World, store: &MemoryStore, board: &Board) -> usize {
    let weather = Weather::default();
    weather.seed.set(world.seed | 1);
    board.notices_only.set(!world.alerts_too);
    let mut pipeline = in_weather(DENIED_MODEL.clone(), store, board, &weather);
    pipeline.rules = world.rules();
    let mut dice = Dice(world.seed ^ 0x7ea);
    let flight = |object| Flight { object, owner: String::new(), attempts: 0 };
    let mut waiting: Vec<Flight> =
        (0..world.objects.len()).chain(world.twice.iter().copied()).map(flight).collect();
    let (mut now, mut names, mut rounds, mut deliveries) = (1_000_000, 0, 0, 0);
    while !waiting.is_empty() {
        let calm = rounds > 30 + 2 * world.objects.len();
        rounds += 1;
        assert!(rounds < 2_000, "deliveries go on failing in fair weather");
        weather.odds.set(if calm { 0 } else { world.odds });
        let is_down = !calm && dice.roll(16) < world.outages;
        board.refuses.set(if is_down { usize::MAX } else { 0 });
        let mut flights = Vec::new();
        for _ in 0..=dice.roll(3) {
            if !waiting.is_empty() {
                // Mostly in the order of their objects.
                let number = if dice.roll(2) == 0 { 0 } else { dice.pick(waiting.len()) };
                flights.push(waiting.remove(number));
            }
        }
        for flight in &mut flights {
            if flight.attempts.is_multiple_of(3) {
                // A redrive has another request id. It may come at once, while a lease of a dead delivery holds.
                now += if flight.attempts > 0 { [0, 10, 1_000][dice.pick(3)] } else { 0 };
                names += 1;
                flight.owner = format!("delivery {names}");
            }
            flight.attempts += 1;
        }
        deliveries += flights.len();
        let tasks = flights.iter().map(|flight| {
            let (object, owner, clock) = (&world.objects[flight.object], &flight.owner, now + dice.roll(5));
            let delivery = deliver_calls(&pipeline, object, owner, clock);
            Some(Box::pin(async move { vec![delivery.await.failed > 0] }) as Task<'_>)
        });
        let tasks: Vec<_> = tasks.collect();
        let done = block_on(together(tasks, &mut dice, if calm { 0 } else { world.timeouts }));
        let failed = done.into_iter().map(|returned| returned != Some(vec![false]));
        waiting
            .extend(flights.into_iter().zip(failed).filter(|(_, failed)| *failed).map(|(flight, _)| flight));
        now += dice.roll(30);
    }
    deliveries
}

/// What must be true of an hour and severity.
#[derive(Default)]
struct Expected {
    /// By caller, the alerts that it must have.
    alerts: BTreeMap<String, u64>,
}

/// Recounts who must be reported, from the calls alone.
fn recount(world: &World) -> BTreeMap<i64, Expected> {
    let mut keys: BTreeMap<(String, String), BTreeSet<(i64, u64)>> = BTreeMap::new();
    for call in world.objects.iter().flatten() {
        keys.entry((call.user.clone(), call.model.clone())).or_default().insert((call.at, call.request));
    }
    let mut hours: BTreeMap<i64, Expected> = BTreeMap::new();
    for ((user, _), calls) in keys {
        let hour = calls.first().map_or(0, |(at, _)| at.div_euclid(HOUR));
        let caller = user.trim_end_matches("/s").to_owned();
        let alerts = u64::from(calls.len() > 3) + u64::from(world.rises);
        if alerts > 0 {
            *hours.entry(hour).or_default().alerts.entry(caller).or_default() += alerts;
        }
    }
    hours
}

fn check(world: &World) -> usize {
    let (store, board) = (MemoryStore::default(), Board::default());
    let deliveries = deliver_all(world, &store, &board);
    let notices = board.notices.take();
    let hour_of = |caller: &str| -> i64 {
        let name = caller.rsplit('/').next().and_then(|name| name.strip_prefix('H')).expect("a caller");
        name.split('C').next().and_then(|hour| hour.parse().ok()).expect("an hour")
    };
    for (hour, Expected { alerts }) in recount(world) {
        let of_hour = |notice: &&Value| hour_of(&text(&notice["incident"]["caller"])) == hour;
        let (crowds, single): (Vec<&Value>, Vec<&Value>) =
            notices.iter().filter(of_hour).partition(|notice| notice["incident"]["callers"].is_u64());
        let mut told: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for notice in &single {
            let (caller, count) =
                (text(&notice["incident"]["caller"]), notice["incident"]["alerts"].as_u64());
            let known = told.entry(caller.clone()).or_default();
            let count = count.expect("a number");
            assert!(count <= alerts[&caller], "{caller}: {count} of {}", alerts[&caller]);
            // One whose acceptance was lost is repeated, and may report more by then.
            let known = known.entry(text(&notice["incident"]["notice"])).or_default();
            *known = count.max(*known);
        }
        // Reported, quiet.
        for (caller, told) in &told {
            let (total, last) = (alerts[caller], told.values().max().copied().unwrap_or(0));
            assert!(4 * last > total, "{caller}: told of {last} of {total}");
            let most = 2 + u64::from(total.ilog(4)) + u64::from(world.rises);
            assert!(told.len() as u64 <= most, "{caller}: {told:?} of {total}");
        }
        let callers = alerts.len();
        let tickets = callers.min(usize::from(MAX_TICKETS));
        assert!(told.len() >= tickets, "hour {hour}: {} of {callers} callers reported", told.len());
        let mut levels: BTreeMap<String, u64> = BTreeMap::new();
        for notice in &crowds {
            let count = notice["incident"]["callers"].as_u64().expect("a number");
            assert!(count <= callers as u64, "hour {hour}: a crowd of {count}, and there are {callers}");
            let known = levels.entry(text(&notice["incident"]["notice"])).or_default();
            *known = count.max(*known);
        }
        if world.rises {
            continue;
        }
        assert_eq!(told.len(), tickets, "hour {hour}: reported one by one, of {callers}");
        let crowd = Crowd { members: (callers - tickets) as u64, ..Crowd::default() };
        let last = levels.values().max().copied();
        assert!(last >= crowd.level(), "hour {hour}: a crowd of {last:?}, and there are {callers}");
        let most = if callers > 10 { 2 + (callers / 16).max(1).ilog(4) as usize } else { 0 };
        assert!(levels.len() <= most, "hour {hour}: {levels:?} of {callers}");
    }
    if world.odds == 0 && world.timeouts == 0 {
        let ids: BTreeSet<String> =
            notices.iter().map(|notice| text(&notice["incident"]["notice"])).collect();
        assert_eq!(ids.len(), notices.len(), "a notice was sent twice");
    }
    assert_kept(&store, &recount(world), world.rises);
    deliveries
}

/// Looks at what is left in the store.
fn assert_kept(store: &MemoryStore, expected: &BTreeMap<i64, Expected>, rises: bool) {
    let mut members: BTreeMap<String, u64> = BTreeMap::new();
    let mut holders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut crowds: BTreeMap<String, u64> = BTreeMap::new();
    for (id, document) in store.all_documents() {
        let bytes = Value::Object(document.value.clone()).to_string().len();
        assert!(bytes < 100_000, "{}: {bytes} bytes", id.sort);
        let mut parts = id.sort.split('#');
        let (kind, crowd) =
            (parts.next().unwrap_or_default(), parts.by_ref().take(2).collect::<Vec<_>>().join(" "));
        match kind {
            "ticket" => {
                let new = holders.entry(crowd.clone()).or_default().insert(text(&document.value["incident"]));
                assert!(new, "two tickets of {crowd} for one incident");
            }
            "member" => *members.entry(crowd).or_default() += 1,
            "crowd" => _ = crowds.insert(crowd, document.value["members"].as_u64().expect("a number")),
            _ => {}
        }
    }
    assert_eq!(members, crowds, "counted otherwise than there are");
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for (caller, state) in store.callers() {
        for incident in state.log.incidents.values() {
            assert!(
                !incident.admissions.values().any(|one| *one == Admission::Ask),
                "nobody answered {incident:?}"
            );
            *counted.entry(caller.arn.clone().unwrap_or_default()).or_default() += incident.alerts;
        }
    }
    let alerts: BTreeMap<String, u64> = expected.values().flat_map(|hour| hour.alerts.clone()).collect();
    assert_eq!(counted, alerts, "alerts counted, by caller");
    if !rises {
        for crowd in holders.keys() {
            assert!(holders[crowd].len() == 10 || !crowds.contains_key(crowd), "{crowd} has tickets left");
        }
    }
    let log = store.all_documents().into_iter().filter(|(id, _)| id.sort == "alerts");
    for (_, document) in log {
        let log: bedrock_denial_watch::count::alerts::AlertLog =
            serde_json::from_value(Value::Object(document.value)).expect("a log");
        assert!(log.alerts.values().all(|alert| alert.state == AlertState::Published), "{log:?}");
    }
}

fn fails(world: &World) -> Option<String> {
    failure(|| check(world))
}

/// The worlds that leave out one thing.
fn smaller(world: &World) -> Vec<World> {
    let without = (0..world.objects.len()).map(|number| {
        let mut fewer = World { twice: Vec::new(), ..world.clone() };
        fewer.objects.remove(number);
        fewer
    });
    let calmer = [
        World { twice: Vec::new(), ..world.clone() },
        World { timeouts: 0, ..world.clone() },
        World { odds: 0, ..world.clone() },
        World { outages: 0, ..world.clone() },
        World { alerts_too: false, ..world.clone() },
    ];
    let size = |world: &World| {
        let World { objects, twice, timeouts, odds, outages, alerts_too, .. } = world;
        (objects.len(), twice.len(), *timeouts, *odds, *outages, *alerts_too)
    };
    let is_less = |other: &World| size(other) < size(world) && !other.objects.is_empty();
    without.chain(calmer).filter(is_less).collect()
}

fn check_worlds(first: u64) {
    let (seed, worlds) = (number("SEED", 20_261_130), number("CROWDS", depth::pick(300, 60)));
    let mut deliveries = 0;
    for world in seeds(seed, first, worlds).map(World::new) {
        let Ok(done) = catch_unwind(AssertUnwindSafe(|| check(&world))) else {
            let world = smallest(world, smaller, |world| fails(world).is_some());
            panic!("{}\n{}", fails(&world).unwrap_or_default(), world.words());
        };
        deliveries += done;
    }
    println!("SEED={seed} CROWDS={worlds}: {deliveries} deliveries");
}

#[test]
fn in_crowds_whoever_must_be_reported_is_and_no_number_is_too_high() {
    check_worlds(0);
}

#[test]
#[ignore = "at full depth only: make test-all"]
fn in_crowds_whoever_must_be_reported_is_and_no_number_is_too_high_in_as_many_other_worlds() {
    check_worlds(1);
}

/// Delivers each object in the name of its own message, `attempts` times while the topic is down, and then once more.
fn after_an_outage(objects: &[Object], attempts: u32) -> Board {
    let board = Board::default();
    board.notices_only.set(true);
    let pipeline = pipeline(DENIED_MODEL.clone(), MemoryStore::default(), &board);
    let redriven = |now: u64, refuses: usize, fails: bool, name: &str| {
        board.refuses.set(refuses);
        for (number, object) in objects.iter().enumerate() {
            let outcome = block_on(deliver_calls(&pipeline, object, &format!("{name} {number}"), now));
            assert_eq!(outcome.failed > 0, fails, "{:?}", outcome.failures);
        }
    };
    for attempt in 0..attempts {
        redriven(1_000 + 100 * u64::from(attempt), usize::MAX, true, &format!("invocation {attempt}"));
    }
    redriven(14 * 24 * 3_600, 0, false, "redrive");
    let expected = BTreeMap::from([(0, Expected { alerts: alerts_of(objects) })]);
    assert_kept(&pipeline.store, &expected, false);
    drop(pipeline);
    board
}

/// One alert for each burst.
fn alerts_of(objects: &[Object]) -> BTreeMap<String, u64> {
    let mut alerts = BTreeMap::new();
    for call in objects.iter().flatten().filter(|call| call.request == 0) {
        *alerts.entry(call.user.clone()).or_default() += 1;
    }
    alerts
}

#[test]
fn after_an_outage_of_three_hours_every_caller_is_reported() {
    let burst = |number: i64| refused(&format!("x{number}"), "m", number / 6 * HOUR + number % 6 * 60, 4);
    let objects: Vec<Object> = (0..18).map(burst).collect();
    let board = after_an_outage(&objects, 3);
    assert_eq!(board.told(), vec!["1"; 18]);
    assert_eq!(board.callers().len(), 18);
}

#[test]
fn after_an_outage_crowds_are_reported_with_true_numbers() {
    // Thirteen callers an hour, and all of an hour in one object, or each in its own.
    let burst = |number: i64| refused(&format!("x{number}"), "m", number / 13 * HOUR + number % 13 * 60, 4);
    let apart: Vec<Object> = (0..39).map(burst).collect();
    let together: Vec<Object> = apart.chunks(13).map(<[Object]>::concat).collect();
    for objects in [apart, together] {
        let board = after_an_outage(&objects, 3);
        let told = board.told();
        assert_eq!(told.iter().filter(|one| *one == "1").count(), 30, "{told:?}");
        assert_eq!(
            told.iter().filter(|one| one.ends_with('!')).collect::<Vec<_>>(),
            vec!["13!"; 3],
            "{told:?}"
        );
    }
}

#[test]
fn twenty_callers_in_one_batch_are_twenty_after_any_number_of_attempts() {
    let object: Object = (0..20).flat_map(|number| refused(&format!("x{number}"), "m", number, 4)).collect();
    let told = after_an_outage(&[object], 5).told();
    assert_eq!((told.len(), told.last().map(String::as_str)), (11, Some("20!")));
}

#[test]
fn a_thousand_waiting_incidents_of_one_caller_are_small_documents_and_all_are_reported() {
    let waiting = depth::pick(1_000, 100);
    let burst = |number: i64| refused("eve", &format!("m{}", number % 4), number * 2 * HOUR, 4);
    let objects: Vec<Object> = (0..waiting).map(burst).collect();
    let board = after_an_outage(&objects, 1);
    assert_eq!(board.told(), vec!["1"; objects.len()]);
    let incidents: BTreeSet<String> =
        board.notices.borrow().iter().map(|notice| text(&notice["incident"]["id"])).collect();
    assert_eq!(incidents.len(), objects.len());
}

#[test]
fn what_belongs_to_a_waiting_incident_lives_for_two_weeks_after_each_attempt() {
    const DAY: u64 = 24 * 3_600;
    let (store, board, weather) = (MemoryStore::default(), Board::default(), Weather::default());
    board.notices_only.set(true);
    let pipeline = in_weather(DENIED_MODEL.clone(), &store, &board, &weather);
    let object: Object = (0..13).flat_map(|number| refused(&format!("x{number}"), "m", number, 4)).collect();
    board.refuses.set(usize::MAX);
    for (attempt, day) in [0, 14, 28].into_iter().enumerate() {
        let outcome =
            block_on(deliver_calls(&pipeline, &object, &format!("redrive {attempt}"), day * DAY + 9));
        assert!(outcome.failed > 0 && outcome.notices == 0);
        let expiries = weather.expiries.borrow();
        // The watch list belongs to no incident.
        let own = || expiries.iter().filter(|(id, _)| id.sort != "callers");
        let kinds: BTreeSet<&str> = own().filter_map(|(id, _)| id.sort.split('#').next()).collect();
        assert_eq!(kinds, BTreeSet::from(["alerts", "crowd", "incident", "member", "ticket"]));
        for (id, expires_at) in own() {
            assert!(*expires_at >= (day + 15) * DAY, "day {day}: {} until {}", id.sort, expires_at / DAY);
        }
    }
    board.refuses.set(0);
    assert_eq!(block_on(deliver_calls(&pipeline, &object, "redrive", 42 * DAY)).failed, 0);
    assert_eq!((board.told().len(), board.told().last().map(String::as_str)), (11, Some("13!")));
    let tickets = weather.expiries.borrow().keys().filter(|id| id.sort.starts_with("ticket")).count();
    assert_eq!(tickets, 10);
}

#[test]
fn an_alert_that_joins_a_waiting_incident_renews_what_belongs_to_it() {
    const DAY: u64 = 24 * 3_600;
    let (store, board, weather) = (MemoryStore::default(), Board::default(), Weather::default());
    board.notices_only.set(true);
    let pipeline = in_weather(DENIED_MODEL.clone(), &store, &board, &weather);
    let crowd: Object = (0..12).flat_map(|number| refused(&format!("x{number}"), "m", number, 4)).collect();
    let joins = refused("x11", "n", 60, 4);
    board.refuses.set(usize::MAX);
    assert!(block_on(deliver_calls(&pipeline, &crowd, "first", 9)).failed > 0);
    weather.expiries.borrow_mut().clear();
    assert!(block_on(deliver_calls(&pipeline, &joins, "joins", 14 * DAY)).failed > 0);
    let expiries = weather.expiries.take();
    for kind in ["crowd#", "member#", "incident#", "alerts"] {
        let late = expiries.iter().filter(|(id, until)| id.sort.starts_with(kind) && **until >= 29 * DAY);
        assert!(late.count() > 0, "{kind}: {expiries:?}");
    }
    board.refuses.set(0);
    assert_eq!(block_on(deliver_calls(&pipeline, &crowd, "redrive", 28 * DAY)).failed, 0);
    assert_eq!((board.told().len(), board.told().last().map(String::as_str)), (11, Some("12!")));
}

#[test]
fn the_recount_notices_who_is_missing_and_what_is_too_high() {
    // Without these the simulation could not fail.
    let world = World {
        seed: 1,
        objects: vec![
            (0..12)
                .flat_map(|number| {
                    refused(&format!("arn:aws:sts::1:assumed-role/H0C{number}/s"), "m", number, 4)
                })
                .collect(),
        ],
        twice: Vec::new(),
        odds: 0,
        timeouts: 0,
        outages: 0,
        rises: false,
        alerts_too: false,
    };
    assert_eq!(fails(&world), None);
    let expected = recount(&world);
    assert_eq!((expected.len(), expected[&0].alerts.len()), (1, 12));
    assert!(expected[&0].alerts.values().all(|alerts| *alerts == 1));
}
