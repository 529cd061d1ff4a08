use super::*;
use crate::count::recent;
use crate::rule::catalogue::{DENIED_MODEL, built_in};

const EVE: &str = "arn:aws:iam::1:user/eve";

fn minute(at: i64) -> EventTime {
    EventTime::from_epoch_ms(at * 60_000)
}

fn claimant(owner: &str) -> Claimant<'_> {
    Claimant { owner, now: 1_000, lease: Duration::from_secs(60) }
}

fn values(values: &[&str]) -> Vec<Option<Arc<str>>> {
    values.iter().map(|value| Some((*value).into())).collect()
}

/// An alert of `denied-model`.
fn denied(at: i64, model: &str, total: u64) -> Found<'static> {
    Found {
        rule: &DENIED_MODEL,
        key: Key { rule: DENIED_MODEL.id, values: values(&["1", EVE, model]) },
        at: minute(at),
        first_seen: minute(at - 1),
        last_seen: minute(at),
        total,
        at_least: false,
        alone: true,
        number: None,
    }
}

/// `<minute>` for an alert of high severity, `<minute>m` for one of medium; each of another model.
fn found(words: &str, from: usize) -> Vec<Found<'static>> {
    let one = |(number, word): (usize, &str)| {
        let (at, medium) = word.strip_suffix('m').map_or((word, false), |at| (at, true));
        let alert = denied(at.parse().expect("a minute"), &format!("m{number}"), 4);
        let values = values(&["1", "arn:aws:sts::1:assumed-role/r", &format!("m{number}")]);
        let medium_alert = Found {
            rule: built_in("session-rotation"),
            key: Key { rule: "session-rotation", values },
            ..alert.clone()
        };
        if medium { medium_alert } else { alert }
    };
    words.split_whitespace().enumerate().map(|(number, word)| one((from + number, word))).collect()
}

/// Sends what is held, and looks again; `<beginning>:<alerts told>` for each notice.
fn send(log: &mut IncidentLog, held: Vec<EventTime>, claimant: &Claimant<'_>) -> String {
    let mut sent = Vec::new();
    for begin in held {
        loop {
            let incident = &log.incidents[&begin];
            let number = incident.pending.as_ref().expect("held").number;
            let (count, severity) = (incident.alerts, incident.severity().expect("an alert"));
            sent.push(format!("{}:{count}", begin.epoch_ms() / 60_000));
            if !mark(log, begin, Sent::Notice(Told { number, count, severity }), claimant) {
                break;
            }
        }
    }
    sent.join(" ")
}

/// Each delivery's alerts, and the notices that it sends.
#[track_caller]
fn check(deliveries: &[(&str, &str)]) {
    let mut log = IncidentLog::default();
    let mut from = 0;
    for (number, (words, expected)) in deliveries.iter().enumerate() {
        let owner = format!("delivery {number}");
        let alerts = found(words, from);
        from += alerts.len();
        let recorded = record(&mut log, &alerts, false, &claimant(&owner));
        assert_eq!(send(&mut log, recorded.held, &claimant(&owner)), *expected, "{words}: {log:#?}");
    }
}

#[test]
fn the_first_alert_is_told_and_then_four_times_as_many() {
    check(&[("0", "0:1"), ("1 2", ""), ("3", "0:4"), ("4 5 6 7 8 9 10 11 12 13 14", ""), ("15", "0:16")]);
    check(&[("0 1 2 3 4", "0:5"), ("5 6 7 8 9 10 11 12 13 14 15 16 17 18", ""), ("19", "0:20")]);
}

#[test]
fn a_rise_of_severity_is_told_at_once() {
    check(&[("0m", "0:1"), ("1m", ""), ("2", "0:3"), ("3m 4 5", "")]);
    check(&[("0m 1", "0:2"), ("2", "")]);
}

#[test]
fn an_incident_reaches_an_hour_to_either_side_of_its_first_alert() {
    check(&[("100", "100:1"), ("160", ""), ("40", ""), ("161", "161:1"), ("39", "39:1")]);
    // Between two, the nearer one; in the middle, the earlier one.
    check(&[("0", "0:1"), ("100", "100:1"), ("51", ""), ("49 50", ""), ("51", ""), ("52", "100:4")]);
    // In one delivery, in the order of time.
    check(&[("61 0 60", "0:2 61:1")]);
}

#[test]
fn each_alert_is_numbered_and_placed_in_the_order_given() {
    let mut log = IncidentLog::default();
    let recorded = record(&mut log, &found("70 0 5", 0), false, &claimant("a"));
    let places: Vec<(i64, u64)> =
        recorded.places.iter().map(|place| (place.begin.epoch_ms() / 60_000, place.number)).collect();
    assert_eq!((places.as_slice(), recorded.begun), (&[(70, 1), (0, 1), (0, 2)][..], 2));
}

#[test]
fn a_retry_counts_no_alert_again_that_is_remembered() {
    let mut log = IncidentLog::default();
    let alerts = found("0 1 2", 0);
    let first = record(&mut log, &alerts, false, &claimant("a"));
    // It dies; its retry holds the same notice.
    let retry = record(&mut log, &alerts, false, &claimant("a"));
    assert_eq!((retry.places, retry.begun, retry.held), (first.places, 0, first.held));
    assert_eq!(log.incidents[&minute(0)].alerts, 3);
    // What was recorded and not told comes back with its number, however many there are.
    let many: Vec<Found<'_>> = (0..100).map(|number| denied(number % 50, &number.to_string(), 9)).collect();
    let recorded = record(&mut log, &many, false, &claimant("b"));
    let again: Vec<Found<'_>> = many
        .iter()
        .zip(&recorded.places)
        .map(|(alert, place)| Found { number: Some(place.number), ..alert.clone() })
        .collect();
    assert_eq!(record(&mut log, &again, false, &claimant("b")).places, recorded.places);
    assert_eq!(log.incidents[&minute(0)].alerts, 103);
}

#[test]
fn a_notice_under_a_live_lease_is_left_to_its_owner_and_taken_over_later() {
    let mut log = IncidentLog::default();
    let live = claimant("a");
    assert_eq!(record(&mut log, &found("0", 0), false, &live).held, [minute(0)]);
    assert_eq!(record(&mut log, &found("1 2 3", 1), false, &claimant("b")).held, []);
    // The holder of the notice looks again, and reports what others recorded meanwhile.
    let mut told = log.clone();
    let one = Told { number: 1, count: 1, severity: Severity::High };
    assert!(mark(&mut told, minute(0), Sent::Notice(one), &live));
    assert_eq!(told.incidents[&minute(0)].pending.as_ref().map(|held| held.number), Some(2));
    // Its lease expires: the caller's next alert, in any incident, finds it.
    let late = Claimant { now: 1_061, ..claimant("c") };
    let mut lost = log.clone();
    assert_eq!(record(&mut lost, &found("500", 9), false, &late).held, [minute(0), minute(500)]);
    assert_eq!(lost.incidents[&minute(0)].pending.as_ref().map(|held| held.number), Some(1));
    // It was refused: nobody need wait.
    assert!(!mark(&mut log, minute(0), Sent::Not, &live));
    assert_eq!(record(&mut log, &found("4", 4), false, &claimant("b")).held, [minute(0)]);
}

#[test]
fn a_muted_callers_alerts_are_recorded_and_not_told() {
    let mut log = IncidentLog::default();
    assert_eq!(record(&mut log, &found("0 1 2", 0), true, &claimant("a")).held, []);
    assert_eq!(log.incidents[&minute(0)].alerts, 3);
    // Once it is heard again: what goes on is told with all of it, what is over is not.
    let mut other = log.clone();
    assert_eq!(record(&mut other, &found("500", 3), false, &claimant("b")).held, [minute(500)]);
    assert_eq!(record(&mut log, &found("5", 3), false, &claimant("b")).held, [minute(0)]);
}

#[test]
fn an_incident_in_a_flood_asks_again_only_when_its_severity_rises() {
    let mut log = IncidentLog::default();
    let mine = claimant("a");
    assert_eq!(record(&mut log, &found("0m", 0), false, &mine).held, [minute(0)]);
    assert!(!mark(&mut log, minute(0), Sent::ToFlood(Severity::Medium), &mine));
    assert_eq!(record(&mut log, &found("1m 2m 3m 4m 5m", 1), false, &mine).held, []);
    assert_eq!(record(&mut log, &found("6", 6), false, &mine).held, [minute(0)]);
    assert_eq!(log.incidents[&minute(0)].admission, Admission::Flooded);
}

#[test]
fn the_worst_are_remembered_worst_first_and_the_figures_stay_below_the_truth() {
    let mut log = IncidentLog::default();
    let mut alerts: Vec<Found<'_>> =
        (0..1000).map(|number| denied(number % 60, &format!("m{number}"), 4)).collect();
    alerts[700].total = 9;
    let sweep = Key { rule: "model-sweep", values: values(&["1", EVE]) };
    alerts.push(Found {
        rule: built_in("model-sweep"),
        key: sweep,
        total: 32,
        at_least: true,
        ..denied(3, "", 0)
    });
    // A second alert of one key may report the same denials.
    alerts.push(Found { alone: false, ..denied(59, "m0", 500) });
    record(&mut log, &alerts, false, &claimant("a"));
    let incident = &log.incidents[&minute(0)];
    assert_eq!(incident.alerts, 1002);
    let top: Vec<(&str, u64)> = incident.top.iter().map(|one| (one.rule.as_str(), one.total)).collect();
    assert_eq!(top.len(), MAX_TOP);
    assert_eq!(
        top[..4],
        [("denied-model", 500), ("model-sweep", 32), ("denied-model", 9), ("denied-model", 4)]
    );
    let figures = incident.rules["denied-model"];
    assert_eq!(figures, RuleFigures { alerts: 1001, total: 4 * 999 + 9, most: 500, models: 1000 });
    assert_eq!((incident.first_seen, incident.last_seen), (minute(-1), minute(59)));
}

#[test]
fn one_model_in_many_sessions_is_one_model() {
    let alert = |number: i64| {
        let user = format!("arn:aws:sts::1:assumed-role/r/s{number}");
        let key = Key { rule: DENIED_MODEL.id, values: values(&["1", &user, "m"]) };
        Found { key, ..denied(number, "", 4) }
    };
    let alerts: Vec<Found<'_>> = (0..40).map(alert).collect();
    let mut log = IncidentLog::default();
    for part in alerts.chunks(10) {
        record(&mut log, part, false, &claimant("a"));
    }
    let figures = log.incidents[&minute(0)].rules["denied-model"];
    assert_eq!(figures, RuleFigures { alerts: 40, total: 160, most: 4, models: 1 });
}

#[test]
fn the_past_is_kept_as_bare_counts_and_forgotten_after_the_longest_redrive() {
    let mut log = IncidentLog::default();
    let hour = 3_600;
    let hours = i64::try_from(recent::MAX_ENTRIES).expect("small") + 50;
    for number in 0..hours {
        let now = 1_000 + number.unsigned_abs();
        let mine = Claimant { now, ..claimant("a") };
        let recorded = record(&mut log, &found(&format!("{}", number * 61), 0), false, &mine);
        send(&mut log, recorded.held, &mine);
    }
    assert_eq!(log.incidents.len(), recent::MAX_ENTRIES);
    let detailed = log.incidents.values().filter(|incident| !incident.top.is_empty()).count();
    assert_eq!(detailed, recent::MAX_DETAILED);
    assert!(log.incidents.values().all(|incident| incident.alerts == 1 && incident.notices == 1));
    // An incident that goes on is remembered, however long ago it was; so is what is pending.
    let now = 1_000 + recent::KEPT.as_secs() + 10 * hour;
    let mine = Claimant { now, ..claimant("b") };
    let oldest = log.incidents.keys().next().map(|begin| begin.epoch_ms() / 60_000).expect("one");
    assert_eq!(record(&mut log, &found(&oldest.to_string(), 7), false, &mine).begun, 0);
    assert_eq!(log.incidents.len(), 1);
}

#[test]
fn an_old_notice_that_is_pending_keeps_what_it_needs() {
    let mut log = IncidentLog::default();
    for number in 0..10 {
        // Nobody is told: the topic is down.
        let mine = Claimant { now: 1_000 + number, ..claimant("a") };
        let words = format!("{0} {0}m {0}", number * 61);
        record(&mut log, &found(&words, 0), false, &mine);
    }
    let kept: Vec<usize> = log.incidents.values().map(|incident| incident.top.len()).collect();
    assert_eq!(kept, [1, 1, 1, 1, 1, 1, 1, 1, 3, 3]);
    assert!(log.incidents.values().all(|incident| incident.severity() == Some(Severity::High)));
}

#[test]
fn ids_depend_on_caller_beginning_and_number_alone() {
    let caller = |arn: Option<&str>| Caller { account: Some("1".to_owned()), arn: arn.map(str::to_owned) };
    let eve = id(&caller(Some(EVE)), minute(0));
    assert_eq!(eve, id(&caller(Some(EVE)), minute(0)));
    for other in [
        id(&caller(None), minute(0)),
        id(&caller(Some("null")), minute(0)),
        id(&caller(Some(EVE)), minute(1)),
    ] {
        assert_ne!(other, eve);
    }
    assert_ne!(notice_id(&eve, 1), notice_id(&eve, 2));
}
