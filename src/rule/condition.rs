//! What a record must show for a rule to count it.

use super::field::AssumedRole;
use crate::log::denial::Denial;
use crate::log::facts::{Finding, Policy};

/// What a record must show: everything that is named here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// One of these error codes; any or none where there is nothing.
    pub error_codes: &'static [&'static str],
    /// What a guardrail did.
    pub guardrail: Option<Guardrail>,
    /// One finding of a guardrail that is all of this.
    pub finding: Option<FindingCondition>,
    /// So many policies of guardrails that blocked something.
    pub min_policies_blocked: usize,
    /// No error.
    pub succeeded: bool,
    /// The answer itself.
    pub has_body: bool,
    /// No assumed role whose name begins so.
    pub except_roles: &'static [&'static str],
}

/// What a guardrail did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guardrail {
    /// It intervened.
    Intervened,
    /// There is no sign of one.
    Absent,
}

/// What one finding must be. An empty list means any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindingCondition {
    /// The policy that found it.
    pub policy: Policy,
    /// What the guardrail did.
    pub action: &'static str,
    /// How sure it was.
    pub confidence: &'static [&'static str],
    /// What it found.
    pub kinds: &'static [&'static str],
}

impl FindingCondition {
    fn holds(&self, finding: &Finding<'_>) -> bool {
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
    /// Whether `denial` shows all of it.
    #[must_use]
    pub fn holds(&self, denial: &Denial<'_>) -> bool {
        let facts = &denial.facts;
        (self.error_codes.is_empty() || self.error_codes.contains(&denial.error_code.as_ref()))
            && self.guardrail.is_none_or(|guardrail| match guardrail {
                Guardrail::Intervened => facts.intervened,
                Guardrail::Absent => !facts.guarded,
            })
            && self.finding.is_none_or(|wanted| facts.findings.iter().any(|finding| wanted.holds(finding)))
            && (self.min_policies_blocked == 0 || facts.policies_blocked() >= self.min_policies_blocked)
            && (!self.succeeded || facts.succeeded)
            && (!self.has_body || facts.has_body)
            && !self.excepts(denial)
    }

    fn excepts(&self, denial: &Denial<'_>) -> bool {
        !self.except_roles.is_empty()
            && denial
                .user
                .as_deref()
                .and_then(AssumedRole::parse)
                .is_some_and(|role| self.except_roles.iter().any(|prefix| role.name.starts_with(prefix)))
    }

    /// Whether it names anything that few records show; else every record must be looked at.
    #[must_use]
    pub fn needs_every_record(&self) -> bool {
        self.error_codes.is_empty() && !self.needs_intervention() && self.needs_action().is_none()
    }

    /// Whether only records that a guardrail intervened in can show it.
    #[must_use]
    pub fn needs_intervention(&self) -> bool {
        self.guardrail == Some(Guardrail::Intervened)
    }

    /// The action of a guardrail without which no record can show it.
    #[must_use]
    pub fn needs_action(&self) -> Option<&'static str> {
        let blocked = (self.min_policies_blocked > 0).then_some("BLOCKED");
        self.finding.map(|finding| finding.action).or(blocked)
    }
}
