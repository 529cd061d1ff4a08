//! Whom an alert is about, by its id.

use serde_json::Value;

use crate::alert;
use crate::count::alerts::{self, AlertLog};
use crate::count::caller::Caller;
use crate::count::document::{Body, Versioned};
use crate::count::incident::{self, Incident, RememberedAlert};
use crate::count::key::Key;
use crate::rule::catalogue::ALL;
use crate::source::time::EventTime;

/// The fewest characters of an id that are looked for: as many as a text message shows.
pub const MIN_ID_CHARACTERS: usize = 8;
/// Those of a whole id.
pub const ID_CHARACTERS: usize = 32;

/// What an id names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundId {
    /// The whole id.
    pub id: String,
    /// None of its denials is older.
    pub since: EventTime,
    /// `alert`, `incident` or `notification`.
    pub kind: &'static str,
    /// Whom it is about.
    pub caller: Caller,
}

/// What `id`, or an id that begins so, names in a document: an alert, an incident, or a notification about one caller.
/// `partition` is the text of the document's partition. A document that cannot be read names nothing.
#[must_use]
pub fn named(partition: &str, sort: &str, document: Versioned<Body>, id: &str) -> Option<FoundId> {
    let parts: Vec<Value> = serde_json::from_str(partition).ok()?;
    let (first, values) = parts.split_first()?;
    let mut values = values.iter().map(|value| value.as_str().map(str::to_owned));
    match first.as_str()? {
        "#caller" => {
            let caller = Caller { account: values.next()?, arn: values.next()? };
            let incident = document.read::<Incident>(sort).ok()?.value;
            let (id, kind, since) = ids(&caller, &incident).find(|(known, ..)| known.starts_with(id))?;
            Some(FoundId { id, since, kind, caller })
        }
        rule => {
            let rule = ALL.iter().find(|known| known.id == rule)?;
            let key = Key { rule: rule.id, values: values.map(|value| value.map(Into::into)).collect() };
            let known: Vec<(String, EventTime)> = if sort == alerts::SORT_KEY {
                let log = document.read::<AlertLog>(sort).ok()?.value;
                log.alerts.into_iter().map(|(at, record)| (record.id, at)).collect()
            } else {
                let archived = alerts::archived(sort, document).ok()?;
                archived.into_iter().map(|at| (alert::id(&key, at), at)).collect()
            };
            let (id, at) = known.into_iter().find(|(known, _)| known.starts_with(id))?;
            let caller = Caller::of(rule, &key);
            Some(FoundId { id, since: at.minus(rule.window), kind: "alert", caller })
        }
    }
}

/// The ids of an incident, of its notifications, and of the alerts that it remembers, each with a time that none of its
/// denials lies before.
fn ids(caller: &Caller, incident: &Incident) -> impl Iterator<Item = (String, &'static str, EventTime)> {
    let (own, since) = (incident::id(caller, incident.begin), incident.first_seen);
    let notices = (1..=incident.notices).map({
        let own = own.clone();
        move |number| (incident::notice_id(&own, number), "notification", since)
    });
    let of_alert = |alert: &RememberedAlert| {
        let rule = ALL.iter().find(|rule| rule.id == alert.rule)?;
        let key = Key { rule: rule.id, values: alert.values.clone() };
        Some((alert::id(&key, alert.at), "alert", alert.at.minus(rule.window)))
    };
    let alerts = incident.top.iter().filter_map(of_alert);
    [(own, "incident", since)].into_iter().chain(notices).chain(alerts)
}

/// Each of them once: an incident and its alerts are kept side by side.
#[must_use]
pub fn distinct(mut found: Vec<FoundId>) -> Vec<FoundId> {
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EVE: &str = "arn:aws:iam::111122223333:user/eve";

    fn at(text: &str) -> EventTime {
        EventTime::parse(text).expect("a time")
    }

    fn document(value: &Value) -> Versioned<Body> {
        Versioned { version: 1, value: value.as_object().expect("an object").clone() }
    }

    #[track_caller]
    fn check(partition: &Value, sort: &str, held: &Value, id: &str, expected: Option<(&str, &str)>) {
        let found = named(&partition.to_string(), sort, document(held), id);
        let found = found.as_ref().map(|one| (one.kind, one.caller.arn.as_deref().unwrap_or_default()));
        assert_eq!(found, expected, "{id} {held}");
    }

    #[test]
    fn an_incident_names_itself_its_notifications_and_its_worst_alerts() {
        let caller = Caller { account: Some("111122223333".to_owned()), arn: Some(EVE.to_owned()) };
        let begin = at("2025-06-01T10:00:03Z");
        let values: Vec<_> = ["111122223333", EVE, "m"].iter().map(|value| Some((*value).into())).collect();
        let held = json!({
            "begin": begin, "alerts": 1, "highest": null, "told": 1, "told_severity": null, "notices": 2,
            "admissions": {}, "first_seen": "2025-06-01T10:00:00Z", "last_seen": "2025-06-01T10:00:03Z", "rules": {},
            "top": [{"rule": "denied-model", "values": values, "at": begin, "severity": "high", "total": 4,
                     "at_least": false, "number": 1}],
            "lease": null, "renewed_at": 0,
        });
        let partition = json!(["#caller", "111122223333", EVE]);
        let of_key = alert::id(&Key { rule: "denied-model", values }, begin);
        let own = incident::id(&caller, begin);
        let sort = incident::sort_key(begin);
        check(&partition, &sort, &held, &own, Some(("incident", EVE)));
        check(&partition, &sort, &held, &own[..8], Some(("incident", EVE)));
        check(&partition, &sort, &held, &incident::notice_id(&own, 2), Some(("notification", EVE)));
        check(&partition, &sort, &held, &incident::notice_id(&own, 3), None);
        check(&partition, &sort, &held, &of_key, Some(("alert", EVE)));
        check(&partition, &sort, &json!({"begin": 1}), &own, None);
        check(&json!(["#account", "111122223333"]), &sort, &held, &own, None);
        let found = named(&partition.to_string(), &sort, document(&held), &own).expect("found");
        assert_eq!((found.id.as_str(), found.since), (own.as_str(), at("2025-06-01T10:00:00Z")));
        // The incident and the key know the same alert.
        let of_key = |sort: &str, partition: &Value, held: &Value| {
            named(&partition.to_string(), sort, document(held), &of_key).expect("found")
        };
        let by_key = json!(["denied-model", "111122223333", EVE, "m"]);
        let archived = json!({"published": [begin.epoch_ms()]});
        let both =
            [of_key(&sort, &partition, &held), of_key("alerts#2025-06-01T00:00:00Z", &by_key, &archived)];
        assert_eq!(distinct(both.to_vec()), both[..1]);
    }

    #[test]
    fn a_key_names_its_recent_and_its_archived_alerts() {
        let fired = at("2025-06-01T10:00:03Z");
        let values = ["111122223333", EVE, "m"].map(|value| Some(value.into())).to_vec();
        let id = alert::id(&Key { rule: "denied-model", values }, fired);
        let partition = json!(["denied-model", "111122223333", EVE, "m"]);
        let mut log = AlertLog::default();
        log.alerts.insert(fired, alerts::AlertRecord::new(id.clone()));
        let recent = serde_json::to_value(log).expect("JSON");
        check(&partition, alerts::SORT_KEY, &recent, &id, Some(("alert", EVE)));
        check(&partition, alerts::SORT_KEY, &recent, "0123456789", None);
        let archived = json!({"published": [fired.epoch_ms()]});
        check(&partition, "alerts#2025-06-01T00:00:00Z", &archived, &id, Some(("alert", EVE)));
        check(&json!(["no-rule", "1"]), alerts::SORT_KEY, &recent, &id, None);
    }
}
