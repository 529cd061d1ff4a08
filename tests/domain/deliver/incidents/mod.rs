//! Who is notified of what: incidents, notices and floods, through store and sink.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::count::store::{Mute, Store};
use bedrock_denial_watch::deliver::{Delivery, Outcome, Pipeline};
use bedrock_denial_watch::rule::catalogue::{DENIED_MODEL, built_in};
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::source::time::EventTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::invariants::config;
use crate::depth::Sample;
use crate::support::*;

mod crowds;
mod faults;

const ROLE: &str = "arn:aws:sts::1:assumed-role/App";

/// One denied call.
#[derive(Clone, Debug, PartialEq)]
struct Call {
    account: String,
    user: String,
    model: String,
    /// Seconds after [`TEN`].
    at: i64,
    request: u64,
}

type Object = Vec<Call>;

/// `times` denials of one model, a second apart.
fn refused(user: &str, model: &str, at: i64, times: u64) -> Object {
    let call = |number: u64| Call {
        account: "1".to_owned(),
        user: user.to_owned(),
        model: model.to_owned(),
        at: at + i64::try_from(number).expect("small"),
        request: number,
    };
    (0..times).map(call).collect()
}

fn log(object: &[Call]) -> String {
    let lines = object.iter().map(|Call { account, user, model, at, request }| {
        let record = json!({
            "timestamp": EventTime::from_epoch_ms((TEN + at) * 1000),
            "accountId": account,
            "identity": {"arn": user},
            "modelId": model,
            "requestId": format!("{account} {user} {model} {at} {request}"),
            "errorCode": "AccessDeniedException",
        });
        record.to_string() + "\n"
    });
    lines.collect()
}

fn rules() -> Vec<Rule> {
    ["denied-model", "model-sweep", "session-rotation"].map(|id| built_in(id).clone()).to_vec()
}

/// Keeps the documents of notices and alerts.
#[derive(Default)]
struct Board {
    notices: RefCell<Vec<Value>>,
    alerts: RefCell<Vec<Value>>,
    /// How many notices it is still to refuse.
    refuses: Cell<usize>,
    /// Notices it was handed, accepted or not.
    asked: Cell<usize>,
    /// No one wants each alert.
    notices_only: Cell<bool>,
    /// Callers that have an alert at the end.
    keys: RefCell<BTreeSet<Key>>,
}

impl AlertSink for &Board {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        self.asked.set(self.asked.get() + 1);
        if let Some(left) = self.refuses.get().checked_sub(1) {
            self.refuses.set(left);
            return Err(SinkError { operation: "injected".to_owned(), cause: "no answer".into() });
        }
        let document: Value = serde_json::from_str(&notice.document()).expect("JSON");
        assert_eq!(document["incident"]["notice"], notice.id);
        self.notices.borrow_mut().push(document);
        Ok(())
    }

    fn wants_alerts(&self) -> bool {
        !self.notices_only.get()
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        self.alerts.borrow_mut().push(serde_json::from_str(&alert.document()).expect("JSON"));
        Ok(())
    }
}

impl Board {
    /// How many alerts each notice covers, or `<callers>!` for one about a flood.
    fn told(&self) -> Vec<String> {
        let told = |notice: &Value| match notice["incident"]["callers"].as_u64() {
            Some(callers) => format!("{callers}!"),
            None => notice["incident"]["alerts"].to_string(),
        };
        self.notices.borrow().iter().map(told).collect()
    }

    fn notice_ids(&self) -> BTreeSet<String> {
        self.notices.borrow().iter().map(|notice| text(&notice["incident"]["notice"])).collect()
    }

    /// The callers that people were notified of.
    fn callers(&self) -> BTreeSet<String> {
        self.notices.borrow().iter().map(|notice| text(&notice["incident"]["caller"])).collect()
    }

    fn alert_ids(&self) -> BTreeSet<String> {
        self.alerts.borrow().iter().map(|alert| text(&alert["id"])).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

async fn deliver_calls<S: Store, K: AlertSink>(
    pipeline: &Pipeline<S, K>,
    object: &[Call],
    owner: &str,
    now: u64,
) -> Outcome {
    let read = read(pipeline, &log(object));
    let claimant = Claimant { owner, now, lease: LEASE };
    pipeline.commit(read.tally, Delivery { object: "object", claimant }).await
}

/// Delivers everything in turn; each delivery succeeds.
fn run(objects: &[Object]) -> Board {
    run_by(&rules(), objects)
}

fn run_by(rules: &[Rule], objects: &[Object]) -> Board {
    let board = Board::default();
    let mut pipeline = pipeline(rules[0].clone(), MemoryStore::default(), &board);
    pipeline.rules = rules.to_vec();
    for (number, object) in objects.iter().enumerate() {
        let outcome = block_on(deliver_calls(&pipeline, object, &format!("delivery {number}"), 1_000));
        assert_eq!(outcome.failed, 0, "{:?}", outcome.failures);
    }
    assert_quiet_and_told(&board);
    board
}

/// Checks the invariants of incidents over what the sink received.
#[track_caller]
fn assert_quiet_and_told(board: &Board) {
    let (notices, alerts) = (board.notices.borrow(), board.alerts.borrow());
    let mut incidents: BTreeMap<String, BTreeMap<String, &Value>> = BTreeMap::new();
    for alert in alerts.iter() {
        incidents.entry(text(&alert["incident"]["id"])).or_default().insert(text(&alert["id"]), alert);
    }
    for (id, alerts) in &incidents {
        // Apart.
        let who =
            |alert: &Value| (alert["cloud"]["account"]["id"].clone(), alert["incident"]["caller"].clone());
        let callers: BTreeSet<String> = alerts.values().map(|alert| format!("{:?}", who(alert))).collect();
        assert_eq!(callers.len(), 1, "{id}: {callers:?}");
        let at = |alert: &&Value| EventTime::parse(&text(&alert["@timestamp"])).expect("a time").epoch_ms();
        let times: Vec<i64> = alerts.values().map(at).collect();
        let reach = times.iter().max().expect("one") - times.iter().min().expect("one");
        assert!(reach <= 2 * 3_600_000, "{id} reaches over {reach} ms");
        let numbers: BTreeSet<u64> =
            alerts.values().map(|alert| alert["incident"]["number"].as_u64().expect("a number")).collect();
        assert_eq!(numbers.len(), alerts.len(), "{id}: numbers {numbers:?}");
        // Reported, unless it is one of a flood.
        let own: BTreeMap<String, &Value> = notices
            .iter()
            .filter(|notice| notice["incident"]["id"] == **id && notice["incident"]["callers"].is_null())
            .map(|notice| (text(&notice["incident"]["notice"]), notice))
            .collect();
        let count = |notice: &Value| notice["incident"]["alerts"].as_u64().expect("a number");
        let total = alerts.len() as u64;
        if let Some(last) = own.values().map(|notice| count(notice)).max() {
            assert!(4 * last > total, "{id}: told of {last} of {total}");
        }
        // Quiet.
        let severities: BTreeSet<u64> =
            alerts.values().map(|alert| alert["event"]["severity"].as_u64().expect("a number")).collect();
        let most = 2 + u64::from(total.ilog(4)) + severities.len() as u64 - 1;
        assert!(own.len() as u64 <= most, "{id}: {} notices of {total} alerts", own.len());
    }
    // Every incident is reported, or belongs to a flood that ten others began.
    let account = |document: &Value| document["cloud"]["account"]["id"].to_string();
    let single = notices.iter().filter(|notice| notice["incident"]["callers"].is_null());
    let single: BTreeSet<(String, String)> =
        single.map(|notice| (account(notice), text(&notice["incident"]["id"]))).collect();
    for (id, alerts) in incidents {
        let account = account(alerts.values().next().expect("one"));
        let told = single.iter().filter(|(other, _)| *other == account).count();
        assert!(told >= 10 || single.contains(&(account, id)), "an incident is untold beside {told}");
    }
}

#[test]
fn a_probe_of_twenty_models_is_at_most_four_messages() {
    let model = |number: i64| refused("eve", &format!("m{number}"), number * 10, 5);
    let one: Object = (0..20).flat_map(model).collect();
    assert_eq!(run(std::slice::from_ref(&one)).told(), ["21"]);
    let each: Vec<Object> = (0..20).map(model).collect();
    assert_eq!(run(&each).told(), ["1", "5", "20"]);
    // Model by model, round after round, in small objects.
    let rounds: Vec<Object> = (0..5)
        .flat_map(|round| (0..20).map(move |number| (round, number)))
        .map(|(round, number)| refused("eve", &format!("m{number}"), round * 300 + number, 1))
        .collect();
    assert_eq!(run(&rounds).told(), ["1", "4", "16"]);
}

#[test]
fn a_flood_in_one_object_is_one_message() {
    let flood: Object =
        (0..1000).flat_map(|number| refused("eve", &format!("m{number}"), number, 4)).collect();
    let board = run(std::slice::from_ref(&flood));
    assert_eq!(board.told(), ["1001"]);
    assert_eq!(board.alerts.borrow().len(), 1001);
    let notice = &board.notices.borrow()[0]["incident"];
    assert_eq!(notice["others"].as_array().map(Vec::len), Some(10));
    assert_eq!((&notice["more"], &notice["rules"]), (&json!(990), &json!(["denied-model", "model-sweep"])));
}

#[test]
fn a_flood_over_a_hundred_objects_is_at_most_eight_messages_and_the_last_tells_of_a_quarter() {
    let objects: Vec<Object> = (0..100)
        .map(|object| {
            let models = object * 10..(object + 1) * 10;
            models.flat_map(|number| refused("eve", &format!("m{number}"), object, 4)).collect()
        })
        .collect();
    assert_eq!(run(&objects).told(), ["11", "51", "211", "851"]);
}

#[test]
fn invented_sessions_of_a_role_are_one_caller() {
    let objects: Vec<Object> =
        (0..200).map(|number| refused(&format!("{ROLE}/s{number}"), "m", number, 4)).collect();
    let board = run(&objects);
    assert_eq!(board.told(), ["1", "5", "20", "80"]);
    assert!(board.notices.borrow().iter().all(|notice| notice["incident"]["caller"] == ROLE));
    // A person's session is the person.
    let person = "arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_0123456789abcdef";
    let people: Vec<Object> =
        (0..3).map(|number| refused(&format!("{person}/p{number}"), "m", number, 4)).collect();
    assert_eq!(run(&people).told(), ["1", "1", "1"]);
}

#[test]
fn invented_federated_users_of_an_account_are_one_caller() {
    let all = "arn:aws:sts::1:federated-user";
    let objects: Vec<Object> =
        (0..200).map(|number| refused(&format!("{all}/x{number}"), "m", number, 4)).collect();
    let board = run(&objects);
    assert_eq!(board.told(), ["1", "5", "20", "80"]);
    assert_eq!(board.callers(), BTreeSet::from([all.to_owned()]));
    // So is a role that is only named like those of people.
    let posing = format!("{ROLE}/AWSReservedSSO_x").replace("App/", "");
    let objects: Vec<Object> =
        (0..200).map(|number| refused(&format!("{posing}/x{number}"), "m", number, 4)).collect();
    let board = run(&objects);
    assert_eq!(board.told(), ["1", "5", "20", "80"]);
    assert_eq!(board.callers(), BTreeSet::from([posing]));
}

#[test]
fn many_users_are_a_flood_of_callers() {
    let user = |number: i64| format!("arn:aws:iam::1:user/x{number}");
    let mut expected = vec!["1".to_owned(); 10];
    let one: Object = (0..300).flat_map(|number| refused(&user(number), "m", number, 4)).collect();
    expected.push("300!".to_owned());
    assert_eq!(run(&[one]).told(), expected);
    let each: Vec<Object> = (0..300).map(|number| refused(&user(number), "m", number, 4)).collect();
    expected.truncate(10);
    expected.extend(["11!", "16!", "64!", "256!"].map(str::to_owned));
    assert_eq!(run(&each).told(), expected);
}

#[test]
fn a_flood_in_one_account_hides_no_other_account() {
    let mut object: Object =
        (0..50).flat_map(|number| refused(&format!("x{number}"), "m", number, 4)).collect();
    object
        .extend(refused("eve", "m", 60, 4).into_iter().map(|call| Call { account: "2".to_owned(), ..call }));
    let board = run(&[object]);
    assert_eq!(board.told().len(), 12);
    let notices = board.notices.borrow();
    assert!(notices.iter().any(|notice| notice["cloud"]["account"]["id"] == "2"));
}

#[test]
fn two_waves_three_hours_apart_are_two_incidents() {
    let wave = |at: i64| -> Object {
        (0..9).flat_map(|number| refused("eve", &format!("m{number}"), at + number, 4)).collect()
    };
    let board = run(&[wave(0), wave(3 * 3600)]);
    assert_eq!(board.told(), ["10", "10"]);
    let ids: BTreeSet<String> =
        board.notices.borrow().iter().map(|notice| text(&notice["incident"]["id"])).collect();
    assert_eq!(ids.len(), 2);
}

#[test]
fn two_callers_at_once_are_told_one_by_one() {
    let both = [refused("eve", "m", 0, 4), refused("mallory", "m", 1, 4)].concat();
    let board = run(&[both]);
    assert_eq!(board.told(), ["1", "1"]);
    let callers: BTreeSet<String> =
        board.notices.borrow().iter().map(|notice| text(&notice["incident"]["caller"])).collect();
    assert_eq!(callers, BTreeSet::from(["eve".to_owned(), "mallory".to_owned()]));
}

#[test]
fn a_higher_severity_is_told_at_once() {
    // Four sessions, each below the threshold of `denied-model`.
    let rotation: Object =
        (0..4).flat_map(|number| refused(&format!("{ROLE}/s{number}"), "m", number, 1)).collect();
    let burst = refused(&format!("{ROLE}/s9"), "m", 100, 4);
    let board = run(&[rotation, burst]);
    assert_eq!(board.told(), ["1", "2"]);
    let severities: Vec<u64> =
        board.notices.borrow().iter().filter_map(|notice| notice["event"]["severity"].as_u64()).collect();
    assert_eq!(severities, [47, 73]);
}

#[test]
fn a_muted_caller_is_recorded_and_not_told() {
    let (store, board) = (MemoryStore::default(), Board::default());
    let weather = Weather::default();
    let pipeline = in_weather(DENIED_MODEL.clone(), &store, &board, &weather);
    let eve = Caller { account: Some("1".to_owned()), arn: Some("eve".to_owned()) };
    store.mute(&eve, Mute { until: 2_000, why: "a test of ours".to_owned() });
    block_on(async {
        let both = [refused("eve", "m", 0, 4), refused("mallory", "m", 1, 4)].concat();
        let outcome = deliver_calls(&pipeline, &both, "one", 1_999).await;
        assert_eq!((outcome.published.len(), outcome.notices, outcome.incidents), (2, 1, 2));
        assert_eq!(board.notices.borrow()[0]["incident"]["caller"], "mallory");
        // The mute has ended, and the caller goes on.
        deliver_calls(&pipeline, &refused("eve", "n", 60, 4), "two", 2_000).await;
    });
    assert_eq!(board.told(), ["1", "2"]);
    let (_, state) = store.callers().into_iter().find(|(caller, _)| *caller == eve).expect("recorded");
    assert_eq!(state.log.incidents.values().map(|incident| incident.alerts).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_notice_that_was_refused_counts_nothing_twice() {
    let board = Board::default();
    let mut pipeline = pipeline(DENIED_MODEL.clone(), MemoryStore::default(), &board);
    pipeline.rules = rules();
    let object: Object =
        (0..30).flat_map(|number| refused("eve", &format!("m{number}"), number, 4)).collect();
    block_on(async {
        board.refuses.set(usize::MAX);
        for owner in ["one", "one", "one"] {
            let outcome = deliver_calls(&pipeline, &object, owner, 1_000).await;
            assert_eq!((outcome.failed, outcome.published.len(), outcome.notices), (1, 0, 0));
        }
        board.refuses.set(0);
        // Redriven from the on-failure queue at once: it waits for no lease.
        assert_eq!(deliver_calls(&pipeline, &object, "redrive", 1_000).await.notices, 1);
    });
    assert_eq!(board.told(), ["31"]);
    assert_eq!(board.alert_ids().len(), 31);
}

#[test]
fn two_deliveries_at_once_send_one_notice() {
    for seed in Sample::new().one_in(4, 1..200_u64) {
        let (store, board) = (MemoryStore::default(), Board::default());
        let weather = Weather { seed: (seed * 7919).into(), ..Weather::default() };
        let mut pipeline = in_weather(DENIED_MODEL.clone(), &store, &board, &weather);
        pipeline.rules = rules();
        let object: Object =
            (0..3).flat_map(|number| refused("eve", &format!("m{number}"), number, 4)).collect();
        let other = refused("eve", "n", 9, 4);
        block_on(async {
            let twins = [("a", &object), ("b", &object), ("c", &other)];
            let all = twins.map(|(owner, object)| deliver_calls(&pipeline, object, owner, 1_000));
            // One that has waited long enough for another comes back.
            let outcomes = futures_util::future::join_all(all).await;
            for ((owner, object), outcome) in twins.into_iter().zip(outcomes) {
                if outcome.failed > 0 {
                    assert_eq!(deliver_calls(&pipeline, object, owner, 1_000).await.failed, 0, "seed {seed}");
                }
            }
        });
        assert_quiet_and_told(&board);
        let told = board.told();
        assert_eq!(board.notice_ids().len(), told.len(), "seed {seed}: a notice was sent twice: {told:?}");
        assert!(told.len() <= 2, "seed {seed}: {told:?}");
        assert_eq!(board.alert_ids().len(), 5, "seed {seed}");
    }
}

/// Calls of a few callers of any kind, over some hours.
fn calls() -> impl Strategy<Value = Vec<Call>> {
    let user = prop_oneof![
        4 => (0..3_u8).prop_map(|number| format!("arn:aws:iam::1:user/u{number}")),
        4 => (0..2_u8, 0..9_u8).prop_map(|(role, session)| format!("arn:aws:sts::1:assumed-role/R{role}/s{session}")),
        2 => (0..30_u8).prop_map(|number| format!("arn:aws:sts::1:federated-user/f{number}")),
        1 => Just("arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/ann".to_owned()),
    ];
    let burst = (prop::sample::select(vec!["1", "2"]), user, 0..12_u8, 0..20_000_i64, 1..7_u64);
    prop::collection::vec(burst, 0..70).prop_map(|bursts| {
        let calls = bursts.into_iter().flat_map(|(account, user, model, at, times)| {
            let calls = refused(&user, &format!("m{model}"), at, times);
            calls.into_iter().map(move |call| Call { account: account.to_owned(), ..call })
        });
        let mut calls: Vec<Call> = calls.collect();
        calls.sort_by_key(|call| call.at);
        calls
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: config().cases / 2, ..config() })]

    #[test]
    fn any_flood_in_any_order_is_told_quiet_and_apart(
        calls in calls(),
        cut in 1..80_usize,
        order in prop::collection::vec(any::<u32>(), 1..50),
        again in any::<bool>(),
    ) {
        let mut objects: Vec<Object> = calls.chunks(cut).map(<[Call]>::to_vec).collect();
        if again {
            objects.extend(objects.clone());
        }
        let mut keyed: Vec<(u32, Object)> = order.iter().copied().cycle().zip(objects).collect();
        keyed.sort_by_key(|(key, _)| *key);
        let objects: Vec<Object> = keyed.into_iter().map(|(_, object)| object).collect();
        let board = run(&objects);
        prop_assert_eq!(board.notice_ids().len(), board.told().len(), "a notice was sent twice");
        prop_assert_eq!(board.alert_ids().len(), board.alerts.borrow().len(), "an alert was sent twice");
    }

    #[test]
    fn any_flood_at_once_is_told_quiet_and_apart(
        calls in calls(),
        cut in 1..80_usize,
        seed in 1..u64::MAX,
    ) {
        let objects: Vec<Object> = calls.chunks(cut).map(<[Call]>::to_vec).collect();
        let (store, board) = (MemoryStore::default(), Board::default());
        let weather = Weather { seed: seed.into(), ..Weather::default() };
        let mut pipeline = in_weather(DENIED_MODEL.clone(), &store, &board, &weather);
        pipeline.rules = rules();
        let owners: Vec<String> = (0..2 * objects.len()).map(|number| format!("delivery {number}")).collect();
        block_on(futures_util::future::join_all(
            owners.iter().zip(objects.iter().cycle()).map(|(owner, object)| {
                deliver_calls(&pipeline, object, owner, 1_000)
            }),
        ));
        assert_quiet_and_told(&board);
        prop_assert_eq!(board.notice_ids().len(), board.told().len(), "a notice was sent twice");
    }
}
