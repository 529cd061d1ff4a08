//! How a caller's incidents and an account's floods are laid out in DynamoDB.
//!
//! | pk | sk | attributes |
//! |---|---|---|
//! | `["#caller",account,ARN]` | `incidents` | `version`, `writer`, `incidents` (a list of maps), `account`, `user` |
//! | the same | `mute` | `until` (epoch seconds), `why`; written by an operator |
//! | `["#account",account]` | `floods` | `version`, `writer`, `floods` (a list of maps), `account` |

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{Item, integer, number, string, text};
use crate::count::flood::{Flood, FloodLog};
use crate::count::incident::{Admission, Finding, Incident, IncidentLog, RuleFigures};
use crate::count::pending::Pending;
use crate::count::store::Mute;
use crate::log::time::EventTime;
use crate::rule::definition::Severity;

/// Sort key of a caller's incidents.
pub const INCIDENTS: &str = "incidents";
/// Sort key of the order not to tell people of a caller.
pub const MUTE: &str = "mute";
/// Sort key of an account's floods.
pub const FLOODS: &str = "floods";

/// The list `incidents`.
pub fn from_incidents(log: &IncidentLog) -> AttributeValue {
    let incidents = log.incidents.iter().map(|(begin, incident)| {
        let rules = incident.rules.iter().map(|(rule, figures)| (rule.clone(), from_figures(*figures)));
        let mut map = HashMap::from([
            ("begin".to_owned(), time(*begin)),
            ("alerts".to_owned(), number(incident.alerts)),
            ("told".to_owned(), number(incident.told)),
            ("notices".to_owned(), number(incident.notices)),
            ("admission".to_owned(), text(admission_name(incident.admission))),
            ("first_seen".to_owned(), time(incident.first_seen)),
            ("last_seen".to_owned(), time(incident.last_seen)),
            ("rules".to_owned(), AttributeValue::M(rules.collect())),
            ("top".to_owned(), AttributeValue::L(incident.top.iter().map(from_finding).collect())),
            ("changed_at".to_owned(), number(incident.changed_at)),
        ]);
        put_severity(&mut map, "told_severity", incident.told_severity);
        put_pending(&mut map, incident.pending.as_ref());
        AttributeValue::M(map)
    });
    AttributeValue::L(incidents.collect())
}

/// Reads an incidents item.
///
/// # Errors
/// Which attribute holds what it should not.
pub fn to_incidents(item: &Item) -> Result<IncidentLog, String> {
    let mut incidents = BTreeMap::new();
    for map in maps(item, INCIDENTS)? {
        let figures = submap(map, "rules")?.iter().map(|(rule, figures)| {
            let figures = figures.as_m().map_err(|_| "rules: expected maps")?;
            Ok((rule.clone(), to_figures(figures)?))
        });
        let incident = Incident {
            alerts: integer(map, "alerts")?,
            told: integer(map, "told")?,
            told_severity: to_severity(map, "told_severity")?,
            notices: integer(map, "notices")?,
            admission: to_admission(string(map, "admission")?)?,
            first_seen: to_time(map, "first_seen")?,
            last_seen: to_time(map, "last_seen")?,
            rules: figures.collect::<Result<_, String>>()?,
            top: maps(map, "top")?.map(to_finding).collect::<Result<_, String>>()?,
            pending: to_pending(map)?,
            changed_at: integer(map, "changed_at")?,
        };
        incidents.insert(to_time(map, "begin")?, incident);
    }
    Ok(IncidentLog {
        version: integer(item, "version")?,
        writer: string(item, "writer")?.to_owned(),
        incidents,
    })
}

/// Reads a mute item.
///
/// # Errors
/// Which attribute holds what it should not.
pub fn to_mute(item: &Item) -> Result<Mute, String> {
    let why = if item.contains_key("why") { string(item, "why")? } else { "" };
    Ok(Mute { until: integer(item, "until")?, why: why.to_owned() })
}

/// The list `floods`.
pub fn from_floods(log: &FloodLog) -> AttributeValue {
    let floods = log.floods.iter().map(|(begin, flood)| {
        let latest = flood.latest.iter().map(|caller| optional(caller.as_deref()));
        let mut map = HashMap::from([
            ("begin".to_owned(), time(*begin)),
            ("callers".to_owned(), number(flood.callers)),
            ("single".to_owned(), AttributeValue::L(flood.single.iter().map(text).collect())),
            ("told".to_owned(), number(flood.told)),
            ("notices".to_owned(), number(flood.notices)),
            ("latest".to_owned(), AttributeValue::L(latest.collect())),
            ("changed_at".to_owned(), number(flood.changed_at)),
        ]);
        put_severity(&mut map, "severity", flood.severity);
        put_severity(&mut map, "told_severity", flood.told_severity);
        put_pending(&mut map, flood.pending.as_ref());
        AttributeValue::M(map)
    });
    AttributeValue::L(floods.collect())
}

/// Reads a floods item.
///
/// # Errors
/// Which attribute holds what it should not.
pub fn to_floods(item: &Item) -> Result<FloodLog, String> {
    let mut floods = BTreeMap::new();
    for map in maps(item, FLOODS)? {
        let single = to_optionals(map, "single")?.into_iter().flatten().collect();
        let flood = Flood {
            callers: integer(map, "callers")?,
            single,
            told: integer(map, "told")?,
            severity: to_severity(map, "severity")?,
            told_severity: to_severity(map, "told_severity")?,
            notices: integer(map, "notices")?,
            latest: to_optionals(map, "latest")?,
            pending: to_pending(map)?,
            changed_at: integer(map, "changed_at")?,
        };
        floods.insert(to_time(map, "begin")?, flood);
    }
    Ok(FloodLog { version: integer(item, "version")?, writer: string(item, "writer")?.to_owned(), floods })
}

fn from_finding(finding: &Finding) -> AttributeValue {
    let values = finding.values.iter().map(|value| optional(value.as_deref()));
    AttributeValue::M(HashMap::from([
        ("rule".to_owned(), text(&finding.rule)),
        ("values".to_owned(), AttributeValue::L(values.collect())),
        ("at".to_owned(), time(finding.at)),
        ("severity".to_owned(), text(finding.severity.name())),
        ("total".to_owned(), number(finding.total)),
        ("at_least".to_owned(), AttributeValue::Bool(finding.at_least)),
        ("number".to_owned(), number(finding.number)),
    ]))
}

fn to_finding(map: &Item) -> Result<Finding, String> {
    let severity = to_severity(map, "severity")?;
    Ok(Finding {
        rule: string(map, "rule")?.to_owned(),
        values: to_optionals(map, "values")?,
        at: to_time(map, "at")?,
        severity: severity.ok_or("severity: expected one")?,
        total: integer(map, "total")?,
        at_least: map.get("at_least").and_then(|value| value.as_bool().ok()).copied().unwrap_or_default(),
        number: integer(map, "number")?,
    })
}

fn from_figures(figures: RuleFigures) -> AttributeValue {
    AttributeValue::M(HashMap::from([
        ("alerts".to_owned(), number(figures.alerts)),
        ("total".to_owned(), number(figures.total)),
        ("most".to_owned(), number(figures.most)),
        ("models".to_owned(), number(figures.models)),
    ]))
}

fn to_figures(map: &Item) -> Result<RuleFigures, String> {
    Ok(RuleFigures {
        alerts: integer(map, "alerts")?,
        total: integer(map, "total")?,
        most: integer(map, "most")?,
        models: integer(map, "models")?,
    })
}

fn put_pending(map: &mut Item, pending: Option<&Pending>) {
    if let Some(Pending { number: which, owner, leased_until }) = pending {
        let pending = HashMap::from([
            ("number".to_owned(), number(*which)),
            ("owner".to_owned(), text(owner)),
            ("leased_until".to_owned(), number(*leased_until)),
        ]);
        map.insert("pending".to_owned(), AttributeValue::M(pending));
    }
}

fn to_pending(map: &Item) -> Result<Option<Pending>, String> {
    if !map.contains_key("pending") {
        return Ok(None);
    }
    let map = submap(map, "pending")?;
    Ok(Some(Pending {
        number: integer(map, "number")?,
        owner: string(map, "owner")?.to_owned(),
        leased_until: integer(map, "leased_until")?,
    }))
}

const fn admission_name(admission: Admission) -> &'static str {
    match admission {
        Admission::New => "new",
        Admission::Single => "single",
        Admission::Flooded => "flooded",
    }
}

fn to_admission(name: &str) -> Result<Admission, String> {
    [Admission::New, Admission::Single, Admission::Flooded]
        .into_iter()
        .find(|admission| admission_name(*admission) == name)
        .ok_or_else(|| format!("admission {name:?}: expected new, single or flooded"))
}

fn put_severity(map: &mut Item, name: &str, severity: Option<Severity>) {
    if let Some(severity) = severity {
        map.insert(name.to_owned(), text(severity.name()));
    }
}

fn to_severity(map: &Item, name: &str) -> Result<Option<Severity>, String> {
    if !map.contains_key(name) {
        return Ok(None);
    }
    let word = string(map, name)?;
    let severity = Severity::ALL.into_iter().find(|severity| severity.name() == word);
    severity.map(Some).ok_or_else(|| format!("{name} {word:?}: expected low, medium, high or critical"))
}

fn time(at: EventTime) -> AttributeValue {
    text(at.to_string())
}

fn to_time(map: &Item, name: &str) -> Result<EventTime, String> {
    let value = string(map, name)?;
    EventTime::parse(value).ok_or_else(|| format!("{name} {value:?}: expected a time"))
}

fn optional(value: Option<&str>) -> AttributeValue {
    value.map_or(AttributeValue::Null(true), text)
}

fn to_optionals(map: &Item, name: &str) -> Result<Vec<Option<String>>, String> {
    let expected = || format!("{name}: expected a list of strings and nulls");
    let list = map.get(name).and_then(|value| value.as_l().ok()).ok_or_else(expected)?;
    let value = |value: &AttributeValue| match value {
        AttributeValue::Null(_) => Ok(None),
        AttributeValue::S(text) => Ok(Some(text.clone())),
        _ => Err(expected()),
    };
    list.iter().map(value).collect()
}

fn maps<'i>(item: &'i Item, name: &str) -> Result<impl Iterator<Item = &'i Item>, String> {
    let list = item.get(name).and_then(|value| value.as_l().ok());
    let list = list.ok_or_else(|| format!("{name}: expected a list of maps"))?;
    let maps: Vec<&Item> = list.iter().filter_map(|value| value.as_m().ok()).collect();
    if maps.len() == list.len() { Ok(maps.into_iter()) } else { Err(format!("{name}: expected maps")) }
}

fn submap<'i>(item: &'i Item, name: &str) -> Result<&'i Item, String> {
    let map = item.get(name).and_then(|value| value.as_m().ok());
    map.ok_or_else(|| format!("{name}: expected a map"))
}
