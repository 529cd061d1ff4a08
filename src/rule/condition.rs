//! What a record must show for a rule to count it.

use super::field::Values;
use crate::call::Call;
use crate::call::guardrail::{GuardrailFinding, Policy};

/// What a record must show. Everything named here must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// One of these error codes; if empty, any or none.
    pub error_codes: &'static [&'static str],
    /// What a guardrail did.
    pub guardrail: Option<Guardrail>,
    /// One finding of a guardrail that matches all of this.
    pub finding: Option<FindingCondition>,
    /// At least this many guardrail policies blocked something.
    pub min_policies_blocked: usize,
    /// The call has no error code.
    pub succeeded: bool,
    /// The answer itself is in the record.
    pub has_body: bool,
    /// No person called: sessions of IAM Identity Center's roles are not counted.
    pub except_people: bool,
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
    /// Whether `denial`, whose fields have these values, meets the whole condition.
    #[must_use]
    pub fn holds(&self, denial: &Call<'_>, values: &Values<'_>) -> bool {
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
            && !(self.except_people && values.is_person())
    }

    /// Whether it names nothing that a sweep could find, so that every record must be read.
    #[must_use]
    pub fn needs_every_record(&self) -> bool {
        self.error_codes.is_empty() && !self.needs_intervention() && self.needs_action().is_none()
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
