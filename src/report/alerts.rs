//! The alerts on a page: those that fit, and what all of an incident's say about it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::rule::definition::{Rule, Severity};

/// The most JSON text of alerts on one page. Every incident has its first sentence, whatever fits.
pub const MAX_ALERT_BYTES: usize = 2_250_000;

/// Texts of an alert for people, beside its document.
#[derive(Clone, Debug, Default)]
pub struct AlertTexts {
    /// Its first sentence.
    pub opening: String,
    /// Commands that take the credentials away.
    pub stop: Vec<String>,
}

/// What is known of an incident by its alerts, whether or not they fit on a page.
#[derive(Default)]
pub struct IncidentAlerts<'a> {
    /// Risk score and total of the worst.
    worst: (u64, u64),
    /// The first sentence about it.
    pub opening: &'a str,
    /// One is about denials.
    pub is_denied: bool,
    /// The largest figure of successful calls that one has; `null` if none is known.
    pub served: Value,
}

/// By id of the incident.
pub fn by_incident<'a>(documents: &[Value], texts: &'a [AlertTexts]) -> BTreeMap<String, IncidentAlerts<'a>> {
    let mut incidents: BTreeMap<String, IncidentAlerts<'a>> = BTreeMap::new();
    for (number, document) in documents.iter().enumerate() {
        let Some(id) = document.pointer("/incident/id").and_then(Value::as_str) else { continue };
        let one = incidents.entry(id.to_owned()).or_default();
        let totals = document.as_object().into_iter().flatten();
        let totals =
            totals.filter(|(name, _)| name.starts_with("total_")).filter_map(|(_, total)| total.as_u64());
        let rank = (risk(document), totals.max().unwrap_or_default());
        if one.opening.is_empty() || rank > one.worst {
            one.worst = rank;
            one.opening = texts.get(number).map_or("", |texts| &texts.opening);
        }
        one.is_denied |= document.pointer("/event/type/0").is_some_and(|kind| kind == "denied");
        if let Some(served) = document.get("served").filter(|served| calls(served) >= calls(&one.served)) {
            one.served = served.clone();
        }
    }
    incidents
}

/// `None` if unknown.
pub fn calls(served: &Value) -> Option<u64> {
    served.get("calls").and_then(Value::as_u64)
}

fn risk(document: &Value) -> u64 {
    document.pointer("/event/risk_score").and_then(Value::as_u64).unwrap_or_default()
}

/// The alerts that fit on a page, in order: first those that people were notified of, the worst and then the newest.
pub fn fitting(
    documents: Vec<Value>,
    texts: &[AlertTexts],
    noticed: &BTreeSet<&str>,
    rules: &[Rule],
) -> Vec<Value> {
    let none = AlertTexts::default();
    let slim = documents.into_iter().zip(texts.iter().chain(std::iter::repeat(&none))).enumerate();
    let slim = slim.filter_map(|(number, (mut alert, texts))| {
        let of_rule = rules.iter().find(|rule| alert.pointer("/rule/id").is_some_and(|id| id == rule.id));
        let is_same = of_rule.is_some_and(|rule| alert.get("triage") == Some(&json!(rule.triage)));
        let score = risk(&alert);
        let severity = u8::try_from(score).ok().map(|score| Severity::of_risk_score(score).name());
        let members = alert.as_object_mut()?;
        members.remove("threat");
        if is_same {
            members.remove("triage");
        }
        members.insert("severity".to_owned(), json!(severity));
        members.insert("opening".to_owned(), json!(texts.opening));
        members.insert("stop".to_owned(), json!(texts.stop));
        let is_noticed = alert.get("id").and_then(Value::as_str).is_some_and(|id| noticed.contains(id));
        Some((!is_noticed, Reverse(score), Reverse(number), alert))
    });
    let mut slim: Vec<_> = slim.collect();
    slim.sort_by_key(|(unnoticed, score, number, _)| (*unnoticed, *score, *number));
    let mut room = MAX_ALERT_BYTES;
    let fits = |(.., alert): &(bool, Reverse<u64>, Reverse<usize>, Value)| {
        let left = room.checked_sub(alert.to_string().len());
        room = left.unwrap_or(0);
        left.is_some()
    };
    let mut kept: Vec<_> = slim.into_iter().take_while(fits).collect();
    kept.sort_by_key(|(_, _, Reverse(number), _)| *number);
    kept.into_iter().map(|(.., alert)| alert).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(incident: &str, risk: u64, total: u64, kind: &str, served: &Value) -> Value {
        json!({
            "event": { "type": [kind], "risk_score": risk },
            "total_denials": total,
            "total_denials_at_least": true,
            "served": served,
            "incident": { "id": incident },
        })
    }

    #[test]
    fn an_incident_is_named_by_its_worst_alert_and_knows_its_newest_figure() {
        let (none, some) = (json!({ "calls": 0 }), json!({ "calls": 3 }));
        let documents = [
            alert("a", 21, 90, "info", &Value::Null),
            alert("a", 73, 4, "denied", &none),
            alert("b", 47, 1, "info", &Value::Null),
            alert("a", 73, 9, "denied", &some),
            alert("a", 47, 50, "denied", &none),
        ];
        let texts = ["0", "1", "2", "3", "4"]
            .map(|opening| AlertTexts { opening: opening.to_owned(), stop: Vec::new() });
        let incidents = by_incident(&documents, &texts);
        let known = |id: &str| incidents.get(id).map(|one| (one.opening, one.is_denied, &one.served));
        assert_eq!(known("a"), Some(("3", true, &some)));
        assert_eq!(known("b"), Some(("2", false, &Value::Null)));
    }

    #[test]
    fn what_people_were_notified_of_fits_first_then_the_worst_then_the_newest() {
        let long = "x".repeat(MAX_ALERT_BYTES / 4);
        let documents: Vec<Value> = [("0", 21), ("1", 21), ("2", 73), ("3", 21)]
            .map(|(id, risk)| json!({ "id": id, "event": { "risk_score": risk }, "long": long }))
            .into();
        let kept = fitting(documents, &[], &BTreeSet::from(["0"]), &[]);
        let ids: Vec<&str> = kept.iter().filter_map(|alert| alert.get("id")?.as_str()).collect();
        assert_eq!(ids, ["0", "2", "3"]);
        let kept = fitting(
            vec![
                json!({ "id": "0", "event": { "risk_score": 21 } }),
                json!({ "id": "1", "event": { "risk_score": 99 } }),
            ],
            &[],
            &BTreeSet::new(),
            &[],
        );
        let severities: Vec<&Value> = kept.iter().filter_map(|alert| alert.get("severity")).collect();
        assert_eq!(severities, ["low", "critical"]);
    }
}
