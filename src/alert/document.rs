//! The alert as one JSON document, in the field names of the Elastic Common Schema.

use std::net::IpAddr;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Alert;
use super::display::{DOCUMENT_BYTES, TEXT_BYTES, minutes, plain, shown};
use super::notice::Rest;
use super::queries::Queries;
use crate::call::api_key::KEY_TYPE_UNKNOWN;
use crate::call::cause::ACCESS_DENIED;
use crate::count::evidence::Kind;
use crate::count::window::Figures;
use crate::rule::definition::{Rule, Technique, Weight};
use crate::rule::field::Field;
use crate::source::text::MAX_KEPT_BYTES;
use crate::source::time::EventTime;

impl Alert<'_> {
    /// The document on one line. This is what the topic's `default` message and `replay
    /// --format json` carry.
    ///
    /// # Panics
    /// Never: texts, numbers and lists always serialise.
    #[must_use]
    pub fn document(&self) -> String {
        self.document_with(None)
    }

    #[expect(clippy::expect_used, reason = "texts, numbers and lists always serialise")]
    pub(super) fn document_with(&self, rest: Option<Rest<'_>>) -> String {
        let id = |value: Option<&str>| Id { id: value.map(|text| plain(text, MAX_KEPT_BYTES)) };
        let (rule, figures) = (self.rule, &self.figures);
        let counts = |field: Field| rule.distinct == field;
        let listed = |field: Field| {
            let values = || self.newest().map(|value| value.map(|value| plain(value, MAX_KEPT_BYTES)));
            counts(field).then(|| values().collect())
        };
        let addresses = self.plain_evidence(Kind::SourceIp);
        let key_types = self.plain_evidence(Kind::ApiKey);
        let document = Document {
            timestamp: self.at,
            event: Event {
                kind: "alert",
                category: ["api"],
                r#type: [if rule.record.succeeded { "allowed" } else { "denied" }],
                outcome: if rule.record.succeeded { "success" } else { "failure" },
                action: rule.action,
                dataset: figures.logs().iter().map(|log| log.dataset()).collect(),
                start: figures.first_seen,
                end: figures.last_seen,
                severity: rule.risk_score,
                risk_score: rule.risk_score,
                reason: self.reason(),
            },
            rule: RuleFields {
                id: rule.id,
                name: rule.name,
                version: rule.version,
                reference: rule.references.first().copied().unwrap_or_default(),
                uuid: rule.elastic.map(|elastic| elastic.uuid),
            },
            user: id(self.caller()),
            cloud: Cloud {
                provider: "aws",
                account: id(self.account()),
                region: self.plain_evidence(Kind::Region),
                service: Service { name: "bedrock" },
            },
            gen_ai: GenAi {
                request: Request { model: id(self.model()) },
                response: rule.record.error_codes.first().map(|code| Response { error_code: code }),
                guardrail_id: self.plain_evidence(Kind::Guardrail),
                policy: named_policy(self.plain_evidence(Kind::Policy)),
                compliance: compliance(self.plain_evidence(Kind::Violation)),
            },
            threat: Threat { framework: "MITRE ATLAS", technique: rule.techniques },
            source: SourceFields { address: addresses.clone(), ip: ips(&addresses) },
            user_agent: UserAgent { original: self.plain_evidence(Kind::UserAgent) },
            access_key_ids: self.plain_evidence(Kind::AccessKeyId),
            denied_by: self.plain_evidence(Kind::Refusal),
            models_called: self.plain_evidence(Kind::ModelCalled),
            bearer_token: (!key_types.is_empty()).then_some(true),
            bearer_token_types: key_types.into_iter().filter(|name| name != KEY_TYPE_UNKNOWN).collect(),
            caller_account_ids: self.plain_evidence(Kind::CallerAccount),
            vpc_endpoint_ids: self.plain_evidence(Kind::VpcEndpoint),
            totals: self.totals(),
            threshold: rule.threshold,
            window_minutes: self.window_minutes(),
            first_seen: figures.first_seen,
            last_seen: figures.last_seen,
            request_ids: listed(Field::RequestId),
            models: listed(Field::Model),
            sessions: listed(Field::Session),
            objects: [plain(self.object, DOCUMENT_BYTES)],
            triage: rule.triage,
            investigate: self.queries(),
            incident: IncidentFields {
                id: self.incident.id,
                caller: self.incident.caller.map(|arn| plain(arn, MAX_KEPT_BYTES)),
                number: self.incident.number,
                notice: self.incident.notice,
                rest,
            },
            id: self.id(),
        };
        serde_json::to_string(&document).expect("text, numbers and lists always serialise")
    }

    /// What happened, in one sentence.
    pub(super) fn reason(&self) -> String {
        format!(
            "{reason} in account {account} from {first} to {last}; \
             the rule fires above {threshold} within {window}.",
            reason = self.phrase(self.rule.wording.reason, shown),
            account = shown(self.account()),
            first = self.figures.first_seen,
            last = self.figures.last_seen,
            threshold = self.rule.threshold,
            window = minutes(self.window_minutes()),
        )
    }

    /// The totals, each named for what it counts.
    fn totals(&self) -> Totals {
        let Figures { total, at_least, .. } = self.figures;
        let named = |name, at_least| Total { name, count: total, at_least };
        let Rule { record, weight, distinct, .. } = self.rule;
        let calls = if record.error_codes.is_empty() { "total_requests" } else { "total_denials" };
        Totals(match (weight, distinct) {
            (Weight::Tokens, _) => vec![named("total_tokens", at_least)],
            // Each was called at least once.
            (Weight::One, Field::Model) => vec![named(calls, true), named("total_models", at_least)],
            (Weight::One, Field::Session) => vec![named(calls, true), named("total_sessions", at_least)],
            // An invalid request is not a denial; the older name stays for existing consumers.
            _ if calls == "total_denials" && !record.error_codes.contains(&ACCESS_DENIED) => {
                vec![named(calls, at_least), named("total_requests", at_least)]
            }
            _ => vec![named(calls, at_least)],
        })
    }

    fn plain_evidence(&self, kind: Kind) -> Vec<String> {
        self.evidence(kind).iter().map(|value| plain(value, TEXT_BYTES)).collect()
    }
}

/// Those that are IP addresses: if a service made the call, CloudTrail gives its name, which a field
/// of type `ip` would reject.
fn ips(addresses: &[String]) -> Vec<String> {
    addresses.iter().filter(|address| address.parse::<IpAddr>().is_ok()).cloned().collect()
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: EventTime,
    event: Event<'a>,
    rule: RuleFields<'a>,
    user: Id,
    cloud: Cloud<'a>,
    gen_ai: GenAi<'a>,
    threat: Threat<'a>,
    #[serde(skip_serializing_if = "SourceFields::is_empty")]
    source: SourceFields,
    #[serde(skip_serializing_if = "UserAgent::is_empty")]
    user_agent: UserAgent,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    access_key_ids: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    denied_by: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models_called: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bearer_token: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bearer_token_types: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    caller_account_ids: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vpc_endpoint_ids: Vec<String>,
    #[serde(flatten)]
    totals: Totals,
    threshold: usize,
    window_minutes: u64,
    first_seen: EventTime,
    last_seen: EventTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_ids: Option<Vec<Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<Vec<Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<Vec<Option<String>>>,
    objects: [String; 1],
    triage: &'a [&'a str],
    #[serde(skip_serializing_if = "Queries::is_empty")]
    investigate: Queries,
    incident: IncidentFields<'a>,
    id: String,
}

/// Figures at the top level of the document, each under its own name.
struct Totals(Vec<Total>);

struct Total {
    name: &'static str,
    count: u64,
    /// It is a lower bound, as `<name>_at_least` says.
    at_least: bool,
}

impl Serialize for Totals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for Total { name, count, at_least } in &self.0 {
            map.serialize_entry(name, count)?;
            if *at_least {
                map.serialize_entry(&format!("{name}_at_least"), &true)?;
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct IncidentFields<'a> {
    id: &'a str,
    caller: Option<String>,
    number: u64,
    notice: Option<&'a str>,
    #[serde(flatten)]
    rest: Option<Rest<'a>>,
}

#[derive(Serialize)]
struct Event<'a> {
    kind: &'a str,
    category: [&'a str; 1],
    r#type: [&'a str; 1],
    outcome: &'a str,
    action: &'a str,
    dataset: Vec<&'a str>,
    start: EventTime,
    end: EventTime,
    severity: u8,
    risk_score: u8,
    reason: String,
}

#[derive(Serialize)]
struct RuleFields<'a> {
    id: &'a str,
    name: &'a str,
    version: &'a str,
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<&'a str>,
}

#[derive(Serialize)]
struct SourceFields {
    address: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ip: Vec<String>,
}

impl SourceFields {
    const fn is_empty(&self) -> bool {
        self.address.is_empty()
    }
}

#[derive(Serialize)]
struct UserAgent {
    original: Vec<String>,
}

impl UserAgent {
    const fn is_empty(&self) -> bool {
        self.original.is_empty()
    }
}

#[derive(Serialize)]
struct Id {
    id: Option<String>,
}

#[derive(Serialize)]
struct Cloud<'a> {
    provider: &'a str,
    account: Id,
    region: Vec<String>,
    service: Service<'a>,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct GenAi<'a> {
    request: Request,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Response<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guardrail_id: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compliance: Option<Compliance>,
}

#[derive(Serialize)]
struct PolicyFields {
    name: Vec<String>,
}

#[derive(Serialize)]
struct Compliance {
    violation_code: Vec<String>,
}

fn named_policy(name: Vec<String>) -> Option<PolicyFields> {
    (!name.is_empty()).then_some(PolicyFields { name })
}

fn compliance(violation_code: Vec<String>) -> Option<Compliance> {
    (!violation_code.is_empty()).then_some(Compliance { violation_code })
}

#[derive(Serialize)]
struct Request {
    model: Id,
}

#[derive(Serialize)]
struct Response<'a> {
    error_code: &'a str,
}

#[derive(Serialize)]
struct Threat<'a> {
    framework: &'a str,
    technique: &'a [Technique],
}
