//! The alert as an OCSF Detection Finding, for Security Lake, Security Hub and whatever else reads that
//! schema.
//!
//! Source: class 2004 of the Open Cybersecurity Schema Framework, version 1.8.0, with the cloud profile. It
//! uses nothing that is not in 1.1.0 as well, but for `is_alert` (1.4.0).

use serde_json::{Value, json};

use super::Alert;
use super::display::{DOCUMENT_BYTES, TEXT_BYTES, plain};
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
        let (rule, figures) = (self.rule, &self.figures);
        let id = self.id();
        let kept = |value: &str| plain(value, MAX_KEPT_BYTES);
        let regions: Vec<String> = self.all(Kind::Region);
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
            "severity_id": severity_id(rule.severity),
            "severity": severity(rule.severity),
            "risk_score": rule.risk_score,
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
            "evidences": self.evidences(),
            "remediation": { "desc": rule.triage.join("\n"), "references": rule.references },
            // What the schema has no place for.
            "unmapped": {
                "threshold": rule.threshold,
                "window_minutes": self.window_minutes(),
                "count_at_least": figures.at_least,
                "objects": [plain(self.object, DOCUMENT_BYTES)],
                "models_called": self.all(Kind::ModelCalled),
                "denied_by": self.all(Kind::Refusal),
                "access_key_ids": self.all(Kind::AccessKeyId),
                "guardrail_ids": self.all(Kind::Guardrail),
                "policies": self.all(Kind::Policy),
                "counted": self.newest().map(|value| value.map(kept)).collect::<Vec<_>>(),
                "counted_as": rule.distinct.label(),
                "investigate": self.queries(),
            },
        });
        let mut cloud = json!({ "provider": "AWS" });
        if let Some(account) = self.account() {
            let account = json!({ "uid": kept(account), "type_id": 10, "type": "AWS Account" });
            insert(&mut cloud, "account", account);
        }
        if let Some(region) = regions.first() {
            insert(&mut cloud, "region", json!(region));
        }
        insert(&mut finding, "cloud", cloud);
        let models = if rule.distinct == Field::Model {
            self.newest().flatten().map(kept).collect()
        } else {
            self.model().map(kept).into_iter().collect::<Vec<_>>()
        };
        let resource =
            |model: &String| json!({ "uid": model, "name": model, "type": "Amazon Bedrock model" });
        if !models.is_empty() {
            insert(&mut finding, "resources", models.iter().map(resource).collect());
        }
        finding.to_string()
    }

    /// One piece of evidence for each source address, or one if none is known. Each names the caller, or
    /// else what was counted.
    fn evidences(&self) -> Vec<Value> {
        let mut common = match self.caller() {
            Some(arn) => json!({ "actor": { "user": { "uid": plain(arn, MAX_KEPT_BYTES) } } }),
            None => {
                json!({ "data": { "account": self.account().map(|account| plain(account, MAX_KEPT_BYTES)) } })
            }
        };
        if let [client] = &self.all(Kind::UserAgent)[..] {
            insert(&mut common, "http_request", json!({ "user_agent": client }));
        }
        let addresses = self.all(Kind::SourceIp);
        if addresses.is_empty() {
            return vec![common];
        }
        let from = |address: String| {
            let is_ip = address.parse::<std::net::IpAddr>().is_ok();
            let mut evidence = common.clone();
            // CloudTrail names a service that made the call in place of an address.
            let endpoint = json!({ if is_ip { "ip" } else { "svc_name" }: address });
            insert(&mut evidence, "src_endpoint", endpoint);
            evidence
        };
        addresses.into_iter().map(from).collect()
    }

    fn all(&self, kind: Kind) -> Vec<String> {
        self.evidence(kind).iter().map(|value| plain(value, TEXT_BYTES)).collect()
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

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "Low",
        Severity::Medium => "Medium",
        Severity::High => "High",
        Severity::Critical => "Critical",
    }
}

/// Adds a member to an object.
fn insert(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
