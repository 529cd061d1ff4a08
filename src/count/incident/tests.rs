use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::rule::catalogue::{DENIED_MODEL, built_in};

const EVE: &str = "arn:aws:iam::1:user/eve";

fn minute(at: i64) -> EventTime {
    EventTime::from_epoch_ms(at * 60_000)
}

fn values(values: &[&str]) -> Vec<Option<Arc<str>>> {
    values.iter().map(|value| Some((*value).into())).collect()
}

/// An alert of `denied-model`.
fn denied(at: i64, model: &str, total: u64) -> NewAlert<'static> {
    NewAlert {
        rule: &DENIED_MODEL,
        key: Key { rule: DENIED_MODEL.id, values: values(&["1", EVE, model]) },
        at: minute(at),
        severity: DENIED_MODEL.severity,
        first_seen: minute(at - 1),
        last_seen: minute(at),
        total,
        is_lower_bound: false,
        alone: true,
    }
}

/// `<minute>` for an alert of high severity, `<minute>m` for one of medium; each of another model.
fn found(words: &str, from: usize) -> Vec<NewAlert<'static>> {
    let one = |(number, word): (usize, &str)| {
        let (at, medium) = word.strip_suffix('m').map_or((word, false), |at| (at, true));
        let alert = denied(at.parse().expect("a minute"), &format!("m{number}"), 4);
        let values = values(&["1", "arn:aws:sts::1:assumed-role/r", &format!("m{number}")]);
        let medium_alert = NewAlert {
            rule: built_in("session-rotation"),
            key: Key { rule: "session-rotation", values },
            severity: Severity::Medium,
            ..alert.clone()
        };
        if medium { medium_alert } else { alert }
    };
    words.split_whitespace().enumerate().map(|(number, word)| one((from + number, word))).collect()
}

/// The severities for which it is not decided which notices it gets.
fn asks(incident: &Incident) -> Vec<Severity> {
    incident.admitted(Admission::Ask).collect()
}

/// Records alerts; those incidents that ask get the admission `answer`. Sends what is due, and returns
/// `<beginning>:<alerts reported>` for each notice.
fn deliver(log: &mut IncidentLog, alerts: &[NewAlert<'_>], answer: Admission) -> String {
    let recorded = record(log, alerts, false);
    let begins: BTreeSet<EventTime> = recorded.places.iter().map(|place| place.begin).collect();
    let mut sent = Vec::new();
    for begin in begins {
        let incident = log.incidents.get_mut(&begin).expect("recorded");
        for severity in asks(incident) {
            incident.admissions.insert(severity, answer);
        }
        while incident.is_due() {
            let (number, count) = (incident.notices + 1, incident.alerts);
            sent.push(format!("{}:{count}", begin.epoch_ms() / 60_000));
            let (severity, served) = (incident.highest.expect("an alert"), incident.served);
            let told = NoticeOutcome { number, count, severity, served };
            assert!(mark(incident, told, "a"));
        }
    }
    sent.join(" ")
}

/// Each delivery's alerts, and the notices that it sends.
#[track_caller]
fn check(deliveries: &[(&str, &str)]) {
    let mut log = IncidentLog::default();
    let mut from = 0;
    for (words, expected) in deliveries {
        let mut alerts = found(words, from);
        from += alerts.len();
        alerts.sort_by_key(|alert| alert.at);
        assert_eq!(deliver(&mut log, &alerts, Admission::Ticket), *expected, "{words}: {log:#?}");
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
fn the_first_call_that_is_served_after_a_denial_is_told_at_once_and_comes_first() {
    let rule = built_in("served-after-denial");
    let served = |at: i64, model: &str| {
        let key = Key { rule: rule.id, values: values(&["1", EVE, model]) };
        NewAlert { rule, key, severity: rule.severity, total: 1, ..denied(at, "", 0) }
    };
    let mut log = IncidentLog::default();
    assert_eq!(deliver(&mut log, &found("0 1", 0), Admission::Ticket), "0:2");
    assert_eq!(deliver(&mut log, &[served(2, "m0")], Admission::Ticket), "0:3");
    assert_eq!(deliver(&mut log, &[served(3, "m1")], Admission::Ticket), "", "the second is no news");
    let rules: Vec<&str> = log.incidents[&minute(0)].top.iter().map(|one| one.rule.as_str()).collect();
    assert_eq!(rules, ["served-after-denial", "served-after-denial", "denied-model", "denied-model"]);
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
    let recorded = record(&mut log, &found("70 0 5", 0), false);
    let places: Vec<(i64, u64)> =
        recorded.places.iter().map(|place| (place.begin.epoch_ms() / 60_000, place.number)).collect();
    assert_eq!((places.as_slice(), recorded.begun.len()), (&[(70, 1), (0, 1), (0, 2)][..], 2));
}

#[test]
fn a_notice_that_was_marked_is_not_marked_again() {
    let mut log = IncidentLog::default();
    record(&mut log, &found("0 1 2", 0), false);
    let incident = log.incidents.get_mut(&minute(0)).expect("recorded");
    let told = NoticeOutcome { number: 1, count: 1, severity: Severity::High, served: false };
    incident.lease = Some(Lease { owner: "b".to_owned(), until: 9 });
    assert!(mark(incident, told, "a"));
    assert!(!mark(incident, NoticeOutcome { count: 3, ..told }, "a"), "its number is there");
    assert_eq!((incident.told, incident.notices), (1, 1));
    assert!(incident.lease.is_some(), "another delivery's");
    assert!(mark(incident, told, "b") && incident.lease.is_none());
}

#[test]
fn a_muted_callers_alerts_are_recorded_and_ask_for_nothing() {
    let mut log = IncidentLog::default();
    record(&mut log, &found("0 1 2", 0), true);
    assert_eq!(log.incidents[&minute(0)].alerts, 3);
    assert_eq!(asks(&log.incidents[&minute(0)]), []);
    // Once it is heard again: what goes on is reported with all of it, what is over is not.
    let mut other = log.clone();
    assert_eq!(deliver(&mut other, &found("500", 3), Admission::Ticket), "500:1");
    assert_eq!(deliver(&mut log, &found("5", 3), Admission::Ticket), "0:4");
}

#[test]
fn an_incident_asks_again_only_when_its_severity_rises() {
    let mut log = IncidentLog::default();
    assert_eq!(deliver(&mut log, &found("0m", 0), Admission::Member), "");
    assert_eq!(deliver(&mut log, &found("1m 2m 3m 4m 5m", 1), Admission::Ticket), "", "it asks no more");
    assert_eq!(deliver(&mut log, &found("6", 6), Admission::Ticket), "0:7");
    // Without a ticket of the higher severity, it is reported when it has grown.
    let mut log = IncidentLog::default();
    assert_eq!(deliver(&mut log, &found("0m", 0), Admission::Ticket), "0:1");
    assert_eq!(deliver(&mut log, &found("1", 1), Admission::Member), "");
    assert_eq!(deliver(&mut log, &found("2 3", 2), Admission::Ticket), "0:4");
    assert_eq!(log.incidents[&minute(0)].memberships().collect::<Vec<_>>(), [Severity::High]);
}

#[test]
fn the_worst_are_remembered_worst_first_and_the_figures_stay_below_the_truth() {
    let mut log = IncidentLog::default();
    let mut alerts: Vec<NewAlert<'_>> =
        (0..1000).map(|number| denied(number % 60, &format!("m{number}"), 4)).collect();
    alerts[700].total = 9;
    let sweep = Key { rule: "model-sweep", values: values(&["1", EVE]) };
    alerts.push(NewAlert {
        rule: built_in("model-sweep"),
        key: sweep,
        total: 32,
        is_lower_bound: true,
        ..denied(3, "", 0)
    });
    // A second alert of one key may report the same denials.
    alerts.push(NewAlert { alone: false, ..denied(59, "m0", 500) });
    record(&mut log, &alerts, false);
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
        NewAlert { key, ..denied(number, "", 4) }
    };
    let alerts: Vec<NewAlert<'_>> = (0..40).map(alert).collect();
    let mut log = IncidentLog::default();
    for part in alerts.chunks(10) {
        record(&mut log, part, false);
    }
    let figures = log.incidents[&minute(0)].rules["denied-model"];
    assert_eq!(figures, RuleFigures { alerts: 40, total: 160, most: 4, models: 1 });
}

#[test]
fn the_largest_incident_is_a_small_document() {
    let long = Arc::<str>::from(crate::source::text::truncate_with_hash("\u{1}".repeat(20_000).into()));
    let alert = |number: i64| {
        let values = vec![Some(long.clone()); 4];
        let at = minute(number % 60);
        NewAlert { key: Key { rule: DENIED_MODEL.id, values }, at, ..denied(0, "", 4) }
    };
    let alerts: Vec<NewAlert<'_>> = (0..1000).map(alert).collect();
    let mut log = IncidentLog::default();
    record(&mut log, &alerts, false);
    let incident = &log.incidents[&minute(0)];
    // DynamoDB counts the bytes of the texts, not of their escapes.
    let texts: usize = incident
        .top
        .iter()
        .flat_map(|one| &one.values)
        .map(|value| value.as_ref().map_or(0, |text| text.len()))
        .sum();
    assert!(texts < 40_000, "{texts}");
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
