//! The alert as one JSON document, in the field names of the Elastic Common Schema.

use serde::Serialize;

use super::Alert;
use super::display::{DOCUMENT_BYTES, TEXT_BYTES, plain, shown};
use crate::rule::Technique;
use crate::time::EventTime;

impl Alert<'_> {
    /// The document on one line. This is what the topic's `default` message and `replay
    /// --format json` carry.
    ///
    /// # Panics
    /// Never: texts, numbers and lists always serialise.
    #[must_use]
    pub fn document(&self) -> String {
        let id = |value: Option<&str>| Id { id: value.map(|text| plain(text, DOCUMENT_BYTES)) };
        let (rule, figures) = (self.rule, &self.figures);
        let document = Document {
            timestamp: self.at,
            event: Event {
                kind: "alert",
                category: ["api"],
                r#type: ["denied"],
                outcome: "failure",
                action: rule.action,
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
                reference: rule.reference,
                uuid: rule.uuid,
            },
            user: id(self.user()),
            cloud: Cloud {
                provider: "aws",
                account: id(self.account()),
                region: self.regions.iter().map(|region| plain(region, TEXT_BYTES)).collect(),
                service: Service { name: "bedrock" },
            },
            gen_ai: GenAi {
                request: Request { model: id(self.model()) },
                response: Response { error_code: rule.error_codes[0] },
            },
            threat: Threat { framework: "MITRE ATLAS", technique: rule.techniques },
            total_denials: figures.total,
            total_denials_at_least: figures.at_least,
            threshold: rule.threshold,
            window_minutes: self.window_minutes(),
            first_seen: figures.first_seen,
            last_seen: figures.last_seen,
            request_ids: figures.newest.iter().map(|value| plain(value, DOCUMENT_BYTES)).collect(),
            objects: [plain(self.object, DOCUMENT_BYTES)],
            triage: rule.triage,
            id: self.id(),
        };
        serde_json::to_string(&document).expect("text, numbers and lists always serialise")
    }

    /// What happened, in one sentence.
    pub(super) fn reason(&self) -> String {
        format!(
            "{user} was denied model {model} {how_many} times in account {account} from {first} to {last}; \
             the rule fires above {threshold} within {window} minutes.",
            user = shown(self.user()),
            model = shown(self.model()),
            how_many = self.how_many(),
            account = shown(self.account()),
            first = self.figures.first_seen,
            last = self.figures.last_seen,
            threshold = self.rule.threshold,
            window = self.window_minutes(),
        )
    }
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
    total_denials: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    total_denials_at_least: bool,
    threshold: usize,
    window_minutes: u64,
    first_seen: EventTime,
    last_seen: EventTime,
    request_ids: Vec<String>,
    objects: [String; 1],
    triage: &'a [&'a str],
    id: String,
}

#[derive(Serialize)]
struct Event<'a> {
    kind: &'a str,
    category: [&'a str; 1],
    r#type: [&'a str; 1],
    outcome: &'a str,
    action: &'a str,
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
    uuid: &'a str,
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
    response: Response<'a>,
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
