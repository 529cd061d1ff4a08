//! The alert as an OCSF Detection Finding, for Security Lake and whatever else reads that schema; and the notice,
//! as the finding of its worst alert.
//!
//! Source: class 2004 of the Open Cybersecurity Schema Framework, version 1.8.0, with the cloud profile. It
//! uses nothing that is not in 1.1.0 as well, but for `is_alert` and an account's type in Azure (1.4.0).

use std::net::IpAddr;

use serde_json::{Value, json};

use super::Alert;
use super::document::put;
use super::notice::Notice;
use super::sanitize::{DOCUMENT_BYTES, Shown, TEXT_BYTES};
use super::story::said;
use super::words::capitalised;
use crate::call::Cloud;
use crate::count::evidence::Kind;
use crate::rule::definition::Severity;
use crate::rule::field::Field;
use crate::source::text::MAX_KEPT_BYTES;

/// The version of the schema.
const VERSION: &str = "1.8.0";
const PRODUCT: &str = "bedrock-denial-watch";

impl Alert<'_> {
    /// The finding on one line.
    #[must_use]
    pub fn ocsf(&self) -> String {
        self.finding().to_string()
    }

    fn finding(&self) -> Value {
        let (rule, figures) = (self.rule, &self.figures);
        let id = self.id();
        let kept = |value: Shown<'_>| value.program(MAX_KEPT_BYTES);
        let (provider, (type_id, account_type), model_type) = match figures.cloud() {
            Cloud::Aws => ("AWS", (10, "AWS Account"), "Amazon Bedrock model"),
            Cloud::Azure => ("Azure", (13, "Azure Subscription"), "Azure OpenAI model"),
        };
        let mut finding = json!({
            "activity_id": 1,
            "activity_name": "Create",
            "category_uid": 2,
            "category_name": "Findings",
            "class_uid": 2004,
            "class_name": "Detection Finding",
            "type_uid": 200_401,
            "type_name": "Detection Finding: Create",
            "time": self.at.epoch_ms(),
            "start_time": figures.first_seen.epoch_ms(),
            "end_time": figures.last_seen.epoch_ms(),
            "count": figures.total,
            "severity_id": severity_id(self.severity),
            "severity": capitalised(self.severity.name()),
            "risk_score": self.risk_score(),
            "status_id": 1,
            "status": "New",
            "is_alert": true,
            "message": self.reason(),
            "metadata": {
                "version": VERSION,
                "profiles": ["cloud"],
                "uid": id,
                "event_code": rule.id,
                "correlation_uid": self.incident.id,
                "product": { "name": PRODUCT, "vendor_name": PRODUCT, "version": env!("CARGO_PKG_VERSION") },
            },
            "finding_info": {
                "uid": id,
                "title": rule.name,
                "desc": self.reason(),
                "types": [rule.action],
                "created_time": self.at.epoch_ms(),
                "first_seen_time": figures.first_seen.epoch_ms(),
                "last_seen_time": figures.last_seen.epoch_ms(),
                "analytic": { "uid": rule.id, "name": rule.name, "version": rule.version, "type_id": 1, "type": "Rule" },
                "attacks": rule.techniques.iter().map(|one| json!({
                    "technique": { "uid": one.id, "name": one.name, "src_url": one.reference },
                })).collect::<Vec<_>>(),
            },
            "cloud": { "provider": provider },
            "evidences": self.evidences(),
            "remediation": { "desc": self.triage().join("\n"), "references": rule.references },
            // What the schema has no place for.
            "unmapped": {
                "threshold": rule.threshold,
                "window_minutes": self.window_minutes(),
                "count_at_least": figures.is_lower_bound,
                "objects": [Shown::object(self.object).program(DOCUMENT_BYTES)],
                "counted": self.newest().map(kept).collect::<Vec<_>>(),
                "counted_as": rule.distinct.label(),
                "investigate": self.queries(),
                "served": self.served_json(),
            },
        });
        for kind in Kind::ALL {
            if let Some(name) = kind.names().ocsf {
                put(&mut finding, &format!("unmapped.{name}"), self.plain_evidence(kind));
            }
        }
        if let Some(account) = kept(Shown::id(self.account())) {
            let account = json!({ "uid": account, "type_id": type_id, "type": account_type });
            put(&mut finding, "cloud.account", account);
        }
        if let Some(region) = self.plain_evidence(Kind::Region).first() {
            put(&mut finding, "cloud.region", region);
        }
        let models: Vec<String> = if rule.distinct == Field::Model {
            self.newest().filter_map(kept).collect()
        } else {
            kept(Shown::model(self.model())).into_iter().collect()
        };
        let resource = |name, kind| json!({ "uid": name, "name": name, "type": kind });
        let mut resources: Vec<Value> = models.iter().map(|model| resource(model, model_type)).collect();
        if let Some(account) = kept(Shown::id(self.key.get(rule, Field::Resource))) {
            let kind = if figures.cloud() == Cloud::Azure { "Azure OpenAI account" } else { model_type };
            resources.push(resource(&account, kind));
        }
        if !resources.is_empty() {
            put(&mut finding, "resources", resources);
        }
        finding
    }

    /// One piece of evidence for each source address, or one if none is known. Each names the caller, or
    /// else what was counted.
    fn evidences(&self) -> Vec<Value> {
        let kept = |value| Shown::id(value).program(MAX_KEPT_BYTES);
        let mut common = match kept(self.caller()) {
            Some(arn) => json!({ "actor": { "user": { "uid": arn } } }),
            None => json!({ "data": { "account": kept(self.account()) } }),
        };
        if let [client] = &self.plain_evidence(Kind::UserAgent)[..] {
            put(&mut common, "http_request.user_agent", client);
        }
        let addresses = self.plain_evidence(Kind::SourceIp);
        if addresses.is_empty() {
            return vec![common];
        }
        let from = |address: String| {
            // CloudTrail names a service that made the call in place of an address; Azure masks a part of it.
            let name = match self.figures.cloud() {
                _ if address.parse::<IpAddr>().is_ok() => "ip",
                Cloud::Aws => "svc_name",
                Cloud::Azure => "name",
            };
            let mut evidence = common.clone();
            put(&mut evidence, &format!("src_endpoint.{name}"), address);
            evidence
        };
        addresses.into_iter().map(from).collect()
    }
}

impl Notice<'_> {
    /// The finding on one line: one finding for each incident, which its later notices update. A crowd's notices are
    /// findings of their own.
    #[must_use]
    pub fn ocsf(&self) -> String {
        let mut finding = self.worst.finding();
        let story = self.story();
        let is_update = self.incident.notices > 0 && self.crowd.is_none();
        if is_update {
            put(&mut finding, "activity_id", 2);
            put(&mut finding, "activity_name", "Update");
            put(&mut finding, "type_uid", 200_402);
            put(&mut finding, "type_name", "Detection Finding: Update");
            put(&mut finding, "status_id", 2);
            put(&mut finding, "status", "In Progress");
        }
        put(&mut finding, "metadata.uid", self.id);
        let message =
            said(&story.opening, |part| part.program(TEXT_BYTES).unwrap_or_else(|| "unknown".to_owned()));
        put(&mut finding, "message", message);
        let uid = if self.crowd.is_some() { self.id } else { self.worst.incident.id };
        put(&mut finding, "finding_info.uid", uid);
        put(&mut finding, "unmapped.alert", self.worst.id());
        put(&mut finding, "unmapped.alerts", self.incident.alerts);
        put(&mut finding, "unmapped.rules", self.incident.rules.keys().collect::<Vec<_>>());
        if let Some(crowd) = self.crowd {
            put(&mut finding, "unmapped.callers", crowd.callers);
        }
        finding.to_string()
    }
}

/// OCSF's number; 1 is informational, 6 fatal.
const fn severity_id(severity: Severity) -> u8 {
    match severity {
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}
