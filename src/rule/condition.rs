//! What a record must show for a rule to count it.

use glob::Pattern;

use super::field::Values;
use crate::call::Call;
use crate::call::cause::{ACCESS_DENIED, Cause};
use crate::call::cloudtrail::is_bedrock;
use crate::call::credential::Credential;
use crate::call::guardrail::{GuardrailFinding, Policy};

/// What a record must show. Everything named here must hold; an empty list means any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent conditions, as a rule file has them")]
pub struct Condition {
    /// One of these error codes, as Bedrock spells them.
    pub error_codes: &'static [&'static str],
    /// A cause with one of these names, or of a class with one of them.
    pub causes: &'static [&'static str],
    /// One of these operations. If empty: model calls, or any operation if services are named.
    pub operations: &'static [&'static str],
    /// One of these services. If empty, and none is excluded: those of Bedrock, and for model calls Azure OpenAI.
    pub services: &'static [Pattern],
    /// None of these services.
    pub services_not: &'static [Pattern],
    /// The caller was denied its model in an alert, and since then was not.
    pub served_after_denial: bool,
    /// How the call ended.
    pub outcome: CallOutcome,
    /// One of these kinds of credential.
    pub credentials: &'static [Credential],
    /// A user whose ARN matches one of these.
    pub users: &'static [Pattern],
    /// Whether an AWS service made the call with the caller's identity.
    pub on_behalf: Option<bool>,
    /// What a guardrail did.
    pub guardrail: Option<Guardrail>,
    /// One finding of a guardrail that matches all of this.
    pub finding: Option<FindingCondition>,
    /// At least this many guardrail policies blocked something.
    pub min_policies_blocked: usize,
    /// The answer itself is in the record.
    pub has_body: bool,
    /// The answer is empty.
    pub empty_answer: bool,
    /// No person called: sessions of IAM Identity Center's roles are not counted.
    pub except_people: bool,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallOutcome {
    /// However it ended.
    #[default]
    Any,
    /// Access was denied.
    Refused,
    /// It has an error code.
    Failed,
    /// It has none.
    Succeeded,
}

/// What a guardrail did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guardrail {
    /// It intervened.
    Intervened,
    /// Nothing shows one.
    Absent,
}

/// What a single finding must be. An empty list means any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindingCondition {
    /// The policy that found it.
    pub policy: Policy,
    /// What the guardrail did.
    pub action: &'static str,
    /// How confident it was.
    pub confidence: &'static [&'static str],
    /// What it found.
    pub kinds: &'static [&'static str],
}

impl FindingCondition {
    fn holds(&self, finding: &GuardrailFinding<'_>) -> bool {
        let among = |list: &[&str], text: Option<&str>| {
            list.is_empty() || text.is_some_and(|text| list.contains(&text))
        };
        finding.policy == self.policy
            && finding.action.as_deref() == Some(self.action)
            && among(self.confidence, finding.confidence.as_deref())
            && among(self.kinds, finding.kind.as_deref())
    }
}

impl Condition {
    /// Whether `call`, whose fields have these values, meets the whole condition.
    #[must_use]
    pub fn holds(&self, call: &Call<'_>, values: &Values<'_>) -> bool {
        let facts = &call.facts;
        (self.error_codes.is_empty() || self.error_codes.contains(&call.error_code.as_ref()))
            && self.is_about(call)
            && (self.causes.is_empty() || call.cause.is_some_and(|cause| self.names(cause)))
            && match self.outcome {
                CallOutcome::Any => true,
                CallOutcome::Refused => call.error_code == ACCESS_DENIED,
                CallOutcome::Failed => !call.succeeded,
                CallOutcome::Succeeded => call.succeeded,
            }
            && (self.credentials.is_empty()
                || call.credential.is_some_and(|one| self.credentials.contains(&one)))
            && (self.users.is_empty() || call.user.as_deref().is_some_and(|user| matches(self.users, user)))
            && self.on_behalf.is_none_or(|on_behalf| on_behalf == call.on_behalf)
            && self.guardrail.is_none_or(|guardrail| match guardrail {
                Guardrail::Intervened => facts.intervened,
                Guardrail::Absent => !facts.guarded,
            })
            && self.finding.is_none_or(|wanted| facts.findings.iter().any(|finding| wanted.holds(finding)))
            && (self.min_policies_blocked == 0 || facts.policies_blocked() >= self.min_policies_blocked)
            && (!self.has_body || facts.has_body)
            && (!self.empty_answer || facts.empty_answer)
            && !(self.except_people && values.is_person())
            && (!self.served_after_denial || values.is_after_denial())
    }

    /// Whether the call is one of the operations and services that it names.
    fn is_about(&self, call: &Call<'_>) -> bool {
        let service = call.service.as_deref().unwrap_or_default();
        let is_operation = match (self.operations, self.names_services()) {
            ([], false) => call.is_model_call,
            ([], true) => true,
            (operations, _) => call.operation.as_deref().is_some_and(|name| operations.contains(&name)),
        };
        let is_service = match self.services {
            // A model call is one in any cloud.
            [] => self.names_services() || call.is_model_call || is_bedrock(service),
            services => matches(services, service),
        };
        is_operation && is_service && !matches(self.services_not, service)
    }

    /// Whether a call of other operations than model calls meets it however the call ended.
    #[must_use]
    pub fn is_about_any_outcome(&self) -> bool {
        (!self.operations.is_empty() || self.names_services())
            && self.outcome == CallOutcome::Any
            && self.error_codes.is_empty()
            && self.causes.is_empty()
    }

    /// Whether only calls that failed meet it.
    #[must_use]
    pub fn is_about_failures(&self) -> bool {
        !self.error_codes.is_empty()
            || !self.causes.is_empty()
            || matches!(self.outcome, CallOutcome::Refused | CallOutcome::Failed)
    }

    fn names_services(&self) -> bool {
        !self.services.is_empty() || !self.services_not.is_empty()
    }

    fn names(&self, cause: Cause) -> bool {
        self.causes.iter().any(|name| *name == cause.name || *name == cause.class.name())
    }

    /// Whether only CloudTrail's records can meet it: the invocation log holds model calls alone, without messages and
    /// access keys.
    #[must_use]
    pub fn is_only_in_cloudtrail(&self) -> bool {
        !self.causes.is_empty()
            || (!self.operations.is_empty() && !self.operations.iter().any(|name| is_logged(name)))
            || self.on_behalf == Some(true)
            || (!self.credentials.is_empty() && !self.credentials.contains(&Credential::ApiKey))
            || (!self.services.is_empty() && !matches(self.services, "bedrock"))
            || matches(self.services_not, "bedrock")
    }

    /// Words of which every record that meets it contains one. Empty if nothing in such a record can be searched for.
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        if !self.error_codes.is_empty() {
            return self.error_codes.to_vec();
        }
        if !self.operations.is_empty() {
            return self.operations.to_vec();
        }
        match self.outcome {
            CallOutcome::Refused => return vec![ACCESS_DENIED],
            CallOutcome::Failed => return vec![ERROR_CODE],
            CallOutcome::Any | CallOutcome::Succeeded => {}
        }
        if !self.causes.is_empty() {
            return vec![ERROR_CODE];
        }
        let literals = self.users.iter().map(|user| longest_literal(user.as_str()));
        literals.filter(|word| !word.is_empty()).collect()
    }

    /// Whether records of services other than Bedrock's can meet it.
    #[must_use]
    pub fn is_about_other_services(&self) -> bool {
        !self.services_not.is_empty() || self.services.iter().any(|service| !is_bedrock(service.as_str()))
    }

    /// Whether it names nothing that a sweep of the invocation log could find, so that every record must be read.
    #[must_use]
    pub fn needs_every_record(&self) -> bool {
        self.is_found_by_outcome() && matches!(self.outcome, CallOutcome::Any | CallOutcome::Succeeded)
    }

    /// Whether every call that failed must be read, whatever its error code.
    #[must_use]
    pub fn needs_failures(&self) -> bool {
        self.is_found_by_outcome() && matches!(self.outcome, CallOutcome::Any | CallOutcome::Failed)
    }

    /// Whether records of CloudTrail can meet it that have none of its error codes.
    #[must_use]
    pub fn needs_trail(&self) -> bool {
        self.is_found_by_outcome() && self.guardrail.is_none() && !self.has_body && !self.empty_answer
    }

    /// Whether only the outcome of a call in the invocation log shows if it may be met.
    fn is_found_by_outcome(&self) -> bool {
        !self.is_only_in_cloudtrail()
            && self.error_codes.is_empty()
            && !self.needs_intervention()
            && self.needs_action().is_none()
            && !self.served_after_denial
    }

    /// Whether only records with an intervention can meet it.
    #[must_use]
    pub fn needs_intervention(&self) -> bool {
        self.guardrail == Some(Guardrail::Intervened)
    }

    /// The guardrail action that every matching record contains.
    #[must_use]
    pub fn needs_action(&self) -> Option<&'static str> {
        let blocked = (self.min_policies_blocked > 0).then_some("BLOCKED");
        self.finding.map(|finding| finding.action).or(blocked)
    }
}

/// What every record of a call that failed contains, in either log.
const ERROR_CODE: &str = "errorCode";

/// The operations that the invocation log records. Source: "Monitor model invocation using CloudWatch Logs and Amazon
/// S3" in the Amazon Bedrock user guide.
fn is_logged(operation: &str) -> bool {
    ["InvokeModel", "InvokeModelWithResponseStream", "Converse", "ConverseStream"].contains(&operation)
}

fn matches(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

/// The longest part of a glob without wildcards.
fn longest_literal(glob: &'static str) -> &'static str {
    glob.split(['*', '?', '[', ']']).max_by_key(|part| part.len()).unwrap_or_default()
}
