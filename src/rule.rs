//! A detection rule is data: what it looks for, how it groups and counts, and what to do about it.

use std::time::Duration;

use crate::denial::Denial;

/// How much an alert of a rule matters, in Elastic's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Look when there is time.
    Low,
    /// Look today.
    Medium,
    /// Look now.
    High,
    /// Wake somebody.
    Critical,
}

impl Severity {
    /// The word as alerts and filter policies carry it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A part of a denial that a rule can group by or count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `accountId` of the record.
    Account,
    /// `identity.arn` of the record.
    User,
    /// `modelId` of the record.
    Model,
    /// `requestId` of the record, or its place where that is missing.
    RequestId,
}

impl Field {
    /// The value of this field, `None` where the record has none.
    #[must_use]
    pub fn of<'a>(self, denial: &'a Denial<'_>) -> Option<&'a str> {
        match self {
            Self::Account => denial.account.as_deref(),
            Self::User => denial.user.as_deref(),
            Self::Model => denial.model.as_deref(),
            Self::RequestId => Some(&denial.request_id),
        }
    }
}

/// A technique of a threat framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Technique {
    /// The framework's id.
    pub id: &'static str,
    /// The framework's name for it.
    pub name: &'static str,
    /// Where it is described.
    pub reference: &'static str,
}

/// A threshold rule: it fires when more than `threshold` distinct values of `distinct`
/// are denied in one `window` for one combination of `group_by`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Stable id; part of every key and alert.
    pub id: &'static str,
    /// The id of the Elastic rule that this one makes real-time.
    pub uuid: &'static str,
    /// The title.
    pub name: &'static str,
    /// Version of the rule's logic.
    pub version: &'static str,
    /// How much an alert matters.
    pub severity: Severity,
    /// Elastic's risk score, 0 to 100.
    pub risk_score: u8,
    /// `event.action` of the alerts.
    pub action: &'static str,
    /// The top-level error codes that make a record a denial.
    pub error_codes: &'static [&'static str],
    /// What makes a key.
    pub group_by: &'static [Field],
    /// What is counted, each value once.
    pub distinct: Field,
    /// The rule fires when more than this many distinct values lie in one window.
    pub threshold: usize,
    /// Length of the window in event time, both ends included.
    pub window: Duration,
    /// At most one alert a key in this span of event time.
    pub cooldown: Duration,
    /// Where the rule comes from.
    pub reference: &'static str,
    /// What an attacker does, in a framework's words.
    pub techniques: &'static [Technique],
    /// What the analyst does: to find out first, then to respond.
    pub triage: &'static [&'static str],
    /// Honest reasons for an alert.
    pub false_positives: &'static [&'static str],
}

/// Counters are kept in slots no longer than this.
pub const MAX_SLOT: Duration = Duration::from_secs(600);

impl Rule {
    /// Length of a counter's slot: never longer than the window or the cooldown, so that
    /// a window cuts a slot from one side only and one slot never holds two alerts.
    #[must_use]
    pub fn slot(&self) -> Duration {
        MAX_SLOT.min(self.window).min(self.cooldown)
    }

    /// How many of an object's earliest, and of its latest, distinct values a slot keeps.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.threshold.saturating_add(1)
    }
}

/// The first rule, after Elastic's "AWS Bedrock Detected Multiple Attempts to use Denied
/// Models by a Single User".
///
/// Source: elastic/detection-rules, rule `17261da3-a6d0-463c-aac8-ea1718afcd20`
/// (severity high, risk score 73, more than three denials by one user of one model in
/// one account within an hour).
pub const DENIED_MODEL: Rule = Rule {
    id: "denied-model",
    uuid: "17261da3-a6d0-463c-aac8-ea1718afcd20",
    name: "AWS Bedrock Detected Multiple Attempts to use Denied Models by a Single User",
    version: "1",
    severity: Severity::High,
    risk_score: 73,
    action: "bedrock-model-invocation-denied",
    error_codes: &["AccessDeniedException"],
    group_by: &[Field::Account, Field::User, Field::Model],
    distinct: Field::RequestId,
    threshold: 3,
    window: Duration::from_secs(3600),
    cooldown: Duration::from_secs(3600),
    reference: "https://www.elastic.co/guide/en/security/current/aws-bedrock-detected-multiple-attempts-to-use-denied-models-by-a-single-user.html",
    techniques: &[
        Technique {
            id: "AML.T0015",
            name: "Evade AI Model",
            reference: "https://atlas.mitre.org/techniques/AML.T0015",
        },
        Technique {
            id: "AML.T0034",
            name: "Cost Harvesting",
            reference: "https://atlas.mitre.org/techniques/AML.T0034",
        },
    ],
    triage: &[
        "Ask the owner of the identity whether they made these calls and why they need this model.",
        "In CloudTrail, look at the same identity over the last 48 hours: source addresses, user agents, new access keys, calls to other models or regions.",
        "Check whether any Bedrock call of this identity succeeded in the same period, and what it cost.",
        "If nobody owns the calls, deactivate the access key or revoke the role's sessions now, then rotate the credential.",
        "If the work is honest, request access to the model or correct the policy, and tell the owner which models are approved.",
        "If a policy was being worked around, raise it with the account's owner and keep this alert with the case.",
    ],
    false_positives: &[
        "A deployment that names a model the account has no access to.",
        "A policy change that took away a model that honest work still uses.",
    ],
};
