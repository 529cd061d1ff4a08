//! The notice as JSON: the document of its worst alert, so that consumers of one alert need no change,
//! with the rest under `incident`.

use std::ops::Not;

use serde::Serialize;
use serde_json::Value;

use super::{LISTED_BYTES, Notice};
use crate::alert::display::plain;

/// What a notice adds to `incident`.
#[derive(Serialize)]
pub(in super::super) struct Rest<'a> {
    alerts: u64,
    rules: Vec<&'a str>,
    others: Vec<OtherFields<'a>>,
    more: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    callers: Option<u64>,
}

#[derive(Serialize)]
struct OtherFields<'a> {
    rule: &'a str,
    /// `null` for a call that names none; left out if the rule does not group by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    total: u64,
    #[serde(skip_serializing_if = "Not::not")]
    total_at_least: bool,
}

impl Notice<'_> {
    /// The document on one line.
    #[must_use]
    pub fn document(&self) -> String {
        let others = self.others().map(|other| OtherFields {
            rule: &other.finding.rule,
            model: other
                .is_of_one_model()
                .then(|| Value::from(other.model().map(|model| plain(model, LISTED_BYTES)))),
            session: other.session.map(|session| plain(session, LISTED_BYTES)),
            total: other.finding.total,
            total_at_least: other.finding.at_least,
        });
        self.worst.document_with(Some(Rest {
            alerts: self.incident.alerts,
            rules: self.incident.rules.keys().map(String::as_str).collect(),
            others: others.collect(),
            more: self.more(),
            callers: self.crowd.map(|crowd| crowd.callers),
        }))
    }
}
