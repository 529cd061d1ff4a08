//! Storms on a real DynamoDB engine: 32 deliveries at a time, of objects that overlap and come more than once,
//! against the recount that the domain's simulation uses.
//!
//! `SEED=7 STORMS=20 cargo test --test aws storms -- --nocapture` makes others. A seed fixes the objects, their order
//! and how often what fails; which delivery gets ahead is up to the machine.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, DiscardSink, SinkError};
use bedrock_denial_watch::call::Source;
use bedrock_denial_watch::count::alerts::{self, AlertLog, AlertState};
use bedrock_denial_watch::count::counter::Digest;
use bedrock_denial_watch::count::document::Versioned;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::count::store::{Store, load};
use bedrock_denial_watch::deliver::Failure;
use bedrock_denial_watch::lambda::aws::DynamoDbStore;
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::source::time::EventTime;
use futures_util::future::join_all;
use serde_json::Value;

use crate::depth;
use crate::dynamodb::forward;
use crate::http::{Reply, Server};
use crate::oracle::*;
use crate::support::{TABLE, dynamodb, key, sdk};

/// Deliveries at the same time: so many threads, each with a client of its own.
const THREADS: usize = 4;
const DELIVERIES_A_THREAD: usize = 8;
/// The first attempt and Lambda's two retries.
const ATTEMPTS: u32 = 3;
/// Models of three callers; the last one is muted.
const KEYS: [u8; 5] = [0, 1, 100, 101, 200];
const MUTED: &str = "w";

/// What there is to deliver.
struct Storm {
    rule: Rule,
    objects: Vec<(Source, Batch)>,
    /// Objects by number, in the order of their deliveries.
    order: Vec<usize>,
}

impl Storm {
    fn new(dice: &mut Dice) -> Self {
        let gaps = [0, 0, 0, 1, 1, 1, 2, 7, 20, 60, 61, 299, 300, 301, 601, 1_200];
        let (mut at, mut key, mut denials) = (0, KEYS[0], Vec::new());
        for value in 0..64 {
            at += gaps[dice.pick(gaps.len())];
            // Callers try for a while, and each other's attempts stand between.
            let other = KEYS[dice.pick(KEYS.len())];
            let one = if dice.roll(4) == 0 { other } else { key };
            key = if dice.roll(8) == 0 { other } else { key };
            denials.push(Denied { at, key: one, value });
        }
        let mut objects = Vec::new();
        // Each log holds most of them, and some stand in two objects of one log.
        for (source, share) in
            [(Source::InvocationLog, 4), (Source::CloudTrail, 3), (Source::InvocationLog, 2)]
        {
            let mut here: Vec<Denied> = denials.iter().filter(|_| dice.roll(4) < share).cloned().collect();
            while !here.is_empty() {
                let size = (1 + dice.pick(6)).min(here.len());
                objects.push((source, here.drain(..size).collect()));
            }
        }
        let mut order: Vec<usize> = (0..objects.len()).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, dice.pick(last + 1));
        }
        // Twins follow each other, so that they are under way together.
        let twins = |object| {
            let times = [1, 1, 2, 3][dice.pick(4)];
            std::iter::repeat_n(object, times)
        };
        let order = order.into_iter().flat_map(twins).collect();
        Self { rule: rule(3, 600, 600), objects, order }
    }
}

/// What becomes of one request.
#[derive(Clone, Copy)]
enum Fate {
    Works,
    /// Request or answer is lost: the SDK tries again.
    Lost {
        done: bool,
    },
    /// The answer is an error, as where all tries have failed: the delivery fails.
    Fails {
        done: bool,
    },
}

/// Decides by the number of a request, so that order does not matter.
#[derive(Clone, Copy)]
struct Weather {
    seed: u64,
    bad: bool,
}

impl Weather {
    fn fate(self, number: u64) -> Fate {
        let mut dice = Dice(self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.roll(1);
        match dice.roll(100) {
            _ if !self.bad => Fate::Works,
            0 => Fate::Lost { done: false },
            1 => Fate::Lost { done: true },
            2..5 => Fate::Fails { done: false },
            5..8 => Fate::Fails { done: true },
            _ => Fate::Works,
        }
    }

    /// Between the SDK and the engine.
    fn over(self, engine: &SdkConfig) -> Server {
        let endpoint = engine.endpoint_url().expect("set").to_owned();
        let refused = || Reply::new(400, r#"{"__type":"AccessDeniedException","message":"not now"}"#);
        Server::start(move |number, request| match self.fate(number as u64) {
            Fate::Works => Some(forward(&endpoint, request)),
            Fate::Lost { done } => {
                done.then(|| forward(&endpoint, request));
                None
            }
            Fate::Fails { done } => {
                done.then(|| forward(&endpoint, request));
                Some(refused())
            }
        })
    }
}

/// Keeps the documents of everything it accepts.
struct Everything {
    alerts: Mutex<Vec<Value>>,
    notices: Mutex<Vec<Value>>,
    weather: Weather,
    calls: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic")
}

impl Everything {
    fn accept(&self, kept: &Mutex<Vec<Value>>, document: &str) -> Result<(), SinkError> {
        let fate = self.weather.fate(!self.calls.fetch_add(1, Ordering::Relaxed));
        if let Fate::Works | Fate::Lost { done: true } | Fate::Fails { done: true } = fate {
            lock(kept).push(serde_json::from_str(document).expect("JSON"));
        }
        match fate {
            Fate::Works => Ok(()),
            _ => Err(SinkError { operation: "injected".to_owned(), cause: "fault".into() }),
        }
    }
}

impl AlertSink for &Everything {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        self.accept(&self.notices, &notice.document())
    }

    fn wants_alerts(&self) -> bool {
        true
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        self.accept(&self.alerts, &alert.document())
    }
}

/// A delivery that is still to succeed.
struct Flight {
    object: usize,
    owner: String,
    attempts: u32,
}

/// Delivers all that waits, 32 at a time, with Lambda's retries. Returns the objects it gave up.
fn deliver_all(
    storm: &Storm,
    config: &SdkConfig,
    sink: &Everything,
    round: u64,
    objects: &[usize],
) -> Vec<usize> {
    let name = |(number, object): (usize, &usize)| Flight {
        object: *object,
        owner: format!("round {round} delivery {number}"),
        attempts: 0,
    };
    let waiting: Mutex<VecDeque<Flight>> = Mutex::new(objects.iter().enumerate().map(name).collect());
    let given_up = Mutex::new(Vec::new());
    // A redrive comes when every lease has run out.
    let now = 1_000_000 + 1_000 * round;
    // Under normal conditions none fails.
    let attempts = if sink.weather.bad { ATTEMPTS } else { 1 };
    let thread = || {
        // A connection ends with the runtime that made it, so that no two threads may share one.
        let own = sdk(config.endpoint_url().expect("set"));
        let pipeline = pipeline(storm.rule.clone(), DynamoDbStore::new(&own, TABLE.to_owned()), sink);
        let one_after_the_other = async || {
            loop {
                let Some(mut flight) = lock(&waiting).pop_front() else { break };
                let (source, batch) = &storm.objects[flight.object];
                // Clocks differ by seconds.
                let now = now + flight.object as u64 % 5;
                let outcome = deliver_from(*source, &pipeline, batch, &flight.owner, now).await;
                flight.attempts += 1;
                // How many wait too long depends on the machine; nothing but another delivery stops one.
                let by_another = |failure| matches!(failure, &Failure::Held(_) | &Failure::Contended(_));
                assert!(
                    sink.weather.bad || outcome.failures.iter().all(by_another),
                    "{:?}",
                    outcome.failures
                );
                match outcome.failed {
                    0 => {}
                    _ if flight.attempts < attempts => lock(&waiting).push_back(flight),
                    _ => lock(&given_up).push(flight.object),
                }
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(join_all((0..DELIVERIES_A_THREAD).map(|_| one_after_the_other())));
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(thread);
        }
    });
    given_up.into_inner().expect("no panic")
}

/// An operator has muted one caller.
async fn mute(config: &SdkConfig) {
    let put = Client::new(config)
        .put_item()
        .table_name(TABLE)
        .item("pk", AttributeValue::S(format!(r##"["#caller","1","{MUTED}"]"##)))
        .item("sk", AttributeValue::S("mute".to_owned()))
        .item("until", AttributeValue::N("9000000000".to_owned()));
    put.send().await.expect("put");
}

/// The table holds what one undisturbed delivery of each object leaves, nothing waits in it, and its numbers are
/// the sums of what was added.
async fn assert_counted_once(storm: &Storm, config: &SdkConfig) {
    let store = DynamoDbStore::new(config, TABLE.to_owned());
    let undisturbed = pipeline(storm.rule.clone(), MemoryStore::default(), DiscardSink);
    for (number, (source, batch)) in storm.objects.iter().enumerate() {
        let outcome = deliver_from(*source, &undisturbed, batch, &number.to_string(), 1_000_000).await;
        assert_eq!(outcome.failed, 0);
    }
    let always = EventTime::from_epoch_ms(i64::MIN)..=EventTime::from_epoch_ms(i64::MAX);
    for number in KEYS {
        let key = key(&[Some("1"), Some(caller_of(number)), Some(&format!("m{number}"))]);
        let counters = store.counters(&key, storm.rule.slot_minutes(), always.clone()).await.expect("read");
        let expected =
            undisturbed.store.counters(&key, storm.rule.slot_minutes(), always.clone()).await.expect("read");
        assert_eq!(counters, expected, "key {number}");
        let alerts: Versioned<AlertLog> = load(&store, &alerts::document(&key)).await.expect("read");
        let alerts = alerts.value.alerts;
        assert!(
            alerts.values().all(|alert| alert.state == AlertState::Published),
            "key {number}: {alerts:?}"
        );
    }
    let items = Client::new(config).scan().table_name(TABLE).send().await.expect("a scan");
    for item in items.items() {
        if let (Some(AttributeValue::N(denials)), Some(AttributeValue::Ss(contributions))) =
            (item.get("denials"), item.get("contributions"))
        {
            let added = contributions.iter().map(|text| text.parse::<Digest>().expect("a digest").amount);
            assert_eq!(*denials, added.sum::<u64>().to_string(), "{item:?}");
        }
    }
}

/// The ids in the order in which they came.
fn ids(documents: &[Value], id: impl Fn(&Value) -> &Value) -> Vec<String> {
    documents.iter().map(|document| id(document).as_str().expect("an id").to_owned()).collect()
}

async fn check(seed: u64, bad: bool) {
    let mut dice = Dice(seed);
    dice.roll(1);
    let storm = Storm::new(&mut dice);
    let weather = Weather { seed, bad };
    let engine = dynamodb().await;
    mute(&engine).await;
    let proxy = bad.then(|| weather.over(&engine));
    let config = proxy.as_ref().map_or_else(|| engine.clone(), |proxy| sdk(&proxy.url));
    let sink =
        Everything { alerts: Mutex::default(), notices: Mutex::default(), weather, calls: AtomicU64::new(0) };
    let (mut waiting, mut rounds, mut redriven) = (storm.order.clone(), 0, 0);
    while !waiting.is_empty() {
        waiting = deliver_all(&storm, &config, &sink, rounds, &waiting);
        rounds += 1;
        redriven += waiting.len();
        assert!(rounds < 50, "{waiting:?} go on failing");
    }
    let (alerts, notices) =
        (sink.alerts.into_inner().expect("no panic"), sink.notices.into_inner().expect("no panic"));
    println!(
        "seed {seed}: {} objects, {} deliveries, {redriven} redriven; {} alerts, {} notices",
        storm.objects.len(),
        storm.order.len(),
        alerts.len(),
        notices.len()
    );
    let batches: Vec<Batch> = storm.objects.iter().map(|(_, batch)| batch.clone()).collect();
    let told: Vec<Told> = alerts.iter().map(|alert| Told::of(&storm.rule, alert)).collect();
    assert_invariants(&batches, &storm.rule, &told);
    assert_told_and_quiet(&alerts, &notices, &[MUTED]);
    assert_counted_once(&storm, &engine).await;
    if !bad {
        for ids in [ids(&alerts, |alert| &alert["id"]), ids(&notices, |notice| &notice["incident"]["notice"])]
        {
            assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "published twice: {ids:?}");
        }
    }
}

async fn storms(bad: bool) {
    let (seed, storms) = (number("SEED", 20_261_125), number("STORMS", depth::pick(4, 2)));
    println!("SEED={seed} STORMS={storms}");
    for number in 0..storms {
        check(seed.wrapping_add(number), bad).await;
    }
}

#[tokio::test]
async fn thirty_two_deliveries_at_once_alert_and_tell_as_a_recount_does() {
    storms(false).await;
}

#[tokio::test]
async fn and_so_they_do_where_requests_and_answers_are_lost() {
    storms(true).await;
}
