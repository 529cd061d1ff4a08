//! The alert as one JSON document, in the field names of the Elastic Common Schema.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Value, json};

use super::Alert;
use super::sanitize::{DOCUMENT_BYTES, Shown, TEXT_BYTES};
use crate::call::api_key::KEY_TYPE_UNKNOWN;
use crate::call::cause::ACCESS_DENIED;
use crate::count::evidence::Kind;
use crate::count::window::Figures;
use crate::rule::condition::CallOutcome;
use crate::rule::definition::{Rule, Weight};
use crate::rule::field::Field;
use crate::source::text::MAX_KEPT_BYTES;

impl Alert<'_> {
    /// The document on one line. This is what the topic's `default` message and `replay
    /// --format json` carry.
    #[must_use]
    pub fn document(&self) -> String {
        self.json().to_string()
    }

    pub(super) fn json(&self) -> Value {
        let kept = |value: Shown<'_>| value.program(MAX_KEPT_BYTES);
        let id = |value: Option<&str>| json!({ "id": kept(Shown::id(value)) });
        let (rule, figures, incident) = (self.rule, &self.figures, &self.incident);
        let (kind, outcome) = match rule.outcome() {
            CallOutcome::Succeeded => ("allowed", "success"),
            CallOutcome::Any => ("info", "unknown"),
            CallOutcome::Failed | CallOutcome::Refused => ("denied", "failure"),
        };
        let (provider, service) = figures.cloud().names();
        let mut document = json!({
            "@timestamp": self.at,
            "event": {
                "kind": "alert",
                "category": ["api"],
                "type": [kind],
                "outcome": outcome,
                "action": rule.action,
                "dataset": figures.logs().iter().map(|log| log.dataset()).collect::<Vec<_>>(),
                "start": figures.first_seen,
                "end": figures.last_seen,
                "severity": self.risk_score(),
                "risk_score": self.risk_score(),
                "reason": self.reason(),
            },
            "rule": {
                "id": rule.id,
                "name": rule.name,
                "version": rule.version,
                "reference": rule.references.first().copied().unwrap_or_default(),
            },
            "user": id(self.caller()),
            "cloud": {
                "provider": provider,
                "account": id(self.account()),
                "region": [],
                "service": { "name": service },
            },
            "gen_ai": { "request": { "model": id(self.model()) } },
            "threat": { "framework": "MITRE ATLAS", "technique": rule.techniques },
        });
        if rule.group_by.contains(&Field::Resource) {
            put(&mut document, "resource", id(self.key.get(rule, Field::Resource)));
        }
        if let Some(elastic) = rule.elastic {
            put(&mut document, "rule.uuid", elastic.uuid);
        }
        if let Some(code) = rule.error_code() {
            put(&mut document, "gen_ai.response.error_code", code);
        }
        self.put_evidence(&mut document);
        for (name, count, is_lower_bound) in self.totals() {
            put(&mut document, name, count);
            if is_lower_bound {
                put(&mut document, &format!("{name}_at_least"), true);
            }
        }
        put(&mut document, "served", self.served_json());
        put(&mut document, "threshold", rule.threshold);
        put(&mut document, "window_minutes", self.window_minutes());
        put(&mut document, "first_seen", figures.first_seen);
        put(&mut document, "last_seen", figures.last_seen);
        let counted = match rule.distinct {
            Field::RequestId => Some("request_ids"),
            Field::Model => Some("models"),
            Field::Session => Some("sessions"),
            Field::Region => Some("regions"),
            Field::Address => Some("addresses"),
            Field::Operation => Some("operations"),
            Field::Resource => Some("resources"),
            _ => None,
        };
        if let Some(name) = counted {
            put(&mut document, name, self.newest().map(kept).collect::<Vec<_>>());
        }
        put(&mut document, "objects", [Shown::object(self.object).program(DOCUMENT_BYTES)]);
        put(&mut document, "triage", self.triage());
        let queries = self.queries();
        if !queries.is_empty() {
            put(&mut document, "investigate", queries);
        }
        let incident = json!({
            "id": incident.id,
            "caller": kept(Shown::id(incident.caller)),
            "number": incident.number,
            "notice": incident.notice,
        });
        put(&mut document, "incident", incident);
        put(&mut document, "id", self.id());
        document
    }

    /// Each kind in the field that [`Kind::names`] gives it; kinds without values are left out.
    fn put_evidence(&self, document: &mut Value) {
        let mut kinds = Kind::ALL;
        kinds.sort_unstable();
        for kind in kinds {
            let mut values = self.plain_evidence(kind);
            if values.is_empty() {
                continue;
            }
            // A token was used even if its type is unknown.
            if kind == Kind::ApiKey {
                put(document, "bearer_token", true);
                values.retain(|name| name != KEY_TYPE_UNKNOWN);
                if values.is_empty() {
                    continue;
                }
            }
            // If a service made the call, CloudTrail gives its name, which a field of type `ip` would reject.
            let ips: Vec<&String> = values.iter().filter(|value| value.parse::<IpAddr>().is_ok()).collect();
            put(document, kind.names().field, &values);
            if kind == Kind::SourceIp && !ips.is_empty() {
                put(document, "source.ip", ips);
            }
        }
    }

    /// What happened, in one sentence.
    pub(super) fn reason(&self) -> String {
        format!(
            "{reason} in account {account} from {first} to {last}; the rule {fires}.",
            reason = super::story::said(&self.phrase(self.rule.wording.reason), Shown::whole),
            account = Shown::id(self.account()).whole(),
            first = self.figures.first_seen,
            last = self.figures.last_seen,
            fires = self.fires(),
        )
    }

    /// The totals, each named for what it counts, and whether it is a lower bound.
    fn totals(&self) -> Vec<(&'static str, u64, bool)> {
        let Figures { total, is_lower_bound, .. } = self.figures;
        let Rule { weight, distinct, .. } = *self.rule;
        let is_failure = self.rule.error_code().is_some();
        let is_denial = self.rule.records.iter().any(|record| record.error_codes.contains(&ACCESS_DENIED));
        let calls = if is_failure { "total_denials" } else { "total_requests" };
        match (weight, distinct) {
            (Weight::Tokens, _) => vec![("total_tokens", total, is_lower_bound)],
            // Each was called at least once.
            (Weight::One, Field::Model) => {
                vec![(calls, total, true), ("total_models", total, is_lower_bound)]
            }
            (Weight::One, Field::Session) => {
                vec![(calls, total, true), ("total_sessions", total, is_lower_bound)]
            }
            (Weight::One, Field::Region) => {
                vec![(calls, total, true), ("total_regions", total, is_lower_bound)]
            }
            (Weight::One, Field::Address) => {
                vec![(calls, total, true), ("total_addresses", total, is_lower_bound)]
            }
            (Weight::One, Field::Operation) => {
                vec![(calls, total, true), ("total_operations", total, is_lower_bound)]
            }
            (Weight::One, Field::Resource) => {
                vec![(calls, total, true), ("total_resources", total, is_lower_bound)]
            }
            // An invalid request is not a denial; the older name stays for existing consumers.
            _ if is_failure && !is_denial => {
                vec![(calls, total, is_lower_bound), ("total_requests", total, is_lower_bound)]
            }
            _ => vec![(calls, total, is_lower_bound)],
        }
    }

    /// As logged, for programs.
    pub(super) fn plain_evidence(&self, kind: Kind) -> Vec<String> {
        self.evidence(kind).iter().filter_map(|value| value.program(TEXT_BYTES)).collect()
    }
}

/// Puts `value` at `path`, whose steps are parted by dots, and makes the objects on the way.
pub(super) fn put(mut place: &mut Value, path: &str, value: impl Serialize) {
    for name in path.split('.') {
        let Some(members) = place.as_object_mut() else { return };
        place = members.entry(name).or_insert_with(|| json!({}));
    }
    *place = json!(value);
}
