//! What records show besides what the rules count: where calls came from, and how.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::call::Call;

/// The kind of a piece of evidence, in the order of the fields in documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The AWS region.
    Region,
    /// The caller's address, or the AWS service that called.
    SourceIp,
    /// The caller's client, by its own account.
    UserAgent,
    /// The id of the caller's access key; no secret.
    AccessKeyId,
    /// What refused the call.
    Refusal,
    /// The ARN of the policy that denied the call.
    DenyingPolicy,
    /// Why the call failed: its class, and the cause.
    Cause,
    /// What was called, if it was no model: as in IAM policies, such as `bedrock:ListFoundationModels`.
    Operation,
    /// The model as it was spelled.
    ModelCalled,
    /// The type of the Bedrock API key that made the call.
    ApiKey,
    /// The caller's own account, if the log has no ARN of the caller.
    CallerAccount,
    /// The VPC endpoint through which the call came.
    VpcEndpoint,
    /// The id of a guardrail that found something.
    Guardrail,
    /// The policy of a guardrail that acted.
    Policy,
    /// What it acted on: the type of a finding, such as `HATE` or `EMAIL`; never the words themselves.
    Violation,
}

/// How a kind of evidence is called everywhere.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// In the store.
    pub stored: &'static str,
    /// To people: at most nine letters.
    pub label: &'static str,
    /// The field of the JSON document, below which objects.
    pub field: &'static str,
    /// The member of `unmapped` in an OCSF finding; `None` where the schema has a place for all values.
    pub ocsf: Option<&'static str>,
}

impl Kind {
    /// All kinds, in the order in which people see them.
    pub const ALL: [Self; 15] = [
        Self::Region,
        Self::SourceIp,
        Self::UserAgent,
        Self::AccessKeyId,
        Self::ApiKey,
        Self::CallerAccount,
        Self::VpcEndpoint,
        Self::Operation,
        Self::ModelCalled,
        Self::Refusal,
        Self::DenyingPolicy,
        Self::Cause,
        Self::Guardrail,
        Self::Policy,
        Self::Violation,
    ];

    /// The one table of names: whatever shows evidence takes them from here.
    #[must_use]
    pub const fn names(self) -> Names {
        let (stored, label, field, ocsf) = match self {
            Self::Region => ("region", "Region", "cloud.region", Some("regions")),
            Self::SourceIp => ("source_ip", "Source IP", "source.address", None),
            Self::UserAgent => ("user_agent", "Client", "user_agent.original", Some("user_agents")),
            Self::AccessKeyId => ("access_key_id", "Key id", "access_key_ids", Some("access_key_ids")),
            Self::Refusal => ("refusal", "Denied by", "denied_by", Some("denied_by")),
            Self::DenyingPolicy => ("policy_arn", "By policy", "policies", Some("policy_arns")),
            Self::Cause => ("cause", "Cause", "causes", Some("causes")),
            Self::Operation => ("operation", "Operation", "operations", Some("operations")),
            Self::ModelCalled => ("model_called", "Called as", "models_called", Some("models_called")),
            Self::ApiKey => ("api_key", "API key", "bearer_token_types", Some("bearer_token_types")),
            Self::CallerAccount => {
                ("caller_account", "From acct", "caller_account_ids", Some("caller_account_ids"))
            }
            Self::VpcEndpoint => ("vpc_endpoint", "Endpoint", "vpc_endpoint_ids", Some("vpc_endpoint_ids")),
            Self::Guardrail => ("guardrail", "Guardrail", "gen_ai.guardrail_id", Some("guardrail_ids")),
            Self::Policy => ("policy", "Policy", "gen_ai.policy.name", Some("policies")),
            Self::Violation => {
                ("violation", "Found", "gen_ai.compliance.violation_code", Some("violation_codes"))
            }
        };
        Names { stored, label, field, ocsf }
    }

    /// The longest value that is kept and shown, in bytes. What the caller writes may be long, such as a
    /// user agent of a kilobyte; what AWS writes is not.
    const fn max_bytes(self) -> usize {
        match self {
            Self::UserAgent => MAX_EVIDENCE_BYTES / 4 * 3,
            Self::ModelCalled | Self::DenyingPolicy => MAX_EVIDENCE_BYTES / 2,
            // One of a closed list.
            Self::Cause => MAX_EVIDENCE_BYTES / 8,
            _ => MAX_EVIDENCE_BYTES / 4,
        }
    }

    /// The most different values that are kept and shown. Causes are a closed list, and one of them may decide the
    /// severity.
    #[must_use]
    pub const fn most(self) -> usize {
        if matches!(self, Self::Cause) { usize::MAX } else { MAX_EVIDENCE }
    }

    /// `value`, cut to the length kept for this kind.
    #[must_use]
    pub fn cut(self, value: &str) -> &str {
        value.get(..value.floor_char_boundary(self.max_bytes())).unwrap_or(value)
    }
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    /// Its kind.
    pub kind: Kind,
    /// Its text, which for some kinds the caller chose; at most [`MAX_EVIDENCE_BYTES`].
    pub value: Arc<str>,
}

/// The most different values of one kind that an object keeps for a slot, and that an alert shows, but for causes.
pub const MAX_EVIDENCE: usize = 10;
/// The longest value kept, of any kind, in bytes.
pub const MAX_EVIDENCE_BYTES: usize = 256;

impl Evidence {
    /// Cuts `value` to [`MAX_EVIDENCE_BYTES`].
    #[must_use]
    pub fn new(kind: Kind, value: &str) -> Self {
        let cut = value.get(..value.floor_char_boundary(MAX_EVIDENCE_BYTES)).unwrap_or(value);
        Self { kind, value: cut.into() }
    }
}

/// As stored: `<kind>|<value>`.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}", self.kind.names().stored, self.value)
    }
}

impl FromStr for Evidence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('|').and_then(|(name, value)| {
            Some((Kind::ALL.into_iter().find(|kind| kind.names().stored == name)?, value))
        });
        parts
            .map(|(kind, value)| Self { kind, value: value.into() })
            .ok_or_else(|| format!("evidence {text:?}: expected <kind>|<value>"))
    }
}

/// What `denial` shows, each value [`Kind::cut`].
pub fn shown<'d>(denial: &'d Call<'_>) -> impl Iterator<Item = (Kind, Cow<'d, str>)> {
    let operation = denial.operation.as_deref().filter(|_| !denial.is_model_call);
    let operation = operation.map(|operation| {
        let action = format!("{}:{operation}", denial.service.as_deref().unwrap_or_default());
        (Kind::Operation, Cow::Owned(Kind::Operation.cut(&action).to_owned()))
    });
    let fields = [
        (Kind::Region, denial.region.as_deref()),
        (Kind::SourceIp, denial.source_ip.as_deref()),
        (Kind::UserAgent, denial.user_agent.as_deref()),
        (Kind::AccessKeyId, denial.access_key_id.as_deref()),
        (Kind::Refusal, denial.denied_by),
        (Kind::DenyingPolicy, denial.denying_policy.as_deref()),
        (Kind::Cause, denial.cause.map(|cause| cause.class.name())),
        (Kind::Cause, denial.cause.map(|cause| cause.name)),
        (Kind::ModelCalled, denial.model_called.as_deref()),
        (Kind::ApiKey, denial.api_key),
        (Kind::CallerAccount, denial.caller_account.as_deref()),
        (Kind::VpcEndpoint, denial.vpc_endpoint.as_deref()),
    ];
    let facts = &denial.facts;
    let guardrails = facts.guardrails.iter().map(|id| (Kind::Guardrail, Some(id.as_ref())));
    let acted = facts.findings.iter().filter(|finding| finding.acted());
    let found = acted.flat_map(|finding| {
        [(Kind::Policy, Some(finding.policy.name())), (Kind::Violation, finding.kind.as_deref())]
    });
    let borrowed = fields.into_iter().chain(guardrails).chain(found).filter_map(|(kind, value)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some((kind, Cow::Borrowed(kind.cut(value))))
    });
    operation.into_iter().chain(borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back() {
        for kind in Kind::ALL {
            let evidence = Evidence { kind, value: "a|b".into() };
            assert_eq!(evidence.to_string().parse(), Ok(evidence));
        }
        assert!("colour|red".parse::<Evidence>().is_err());
    }
}
