//! Which records the rules need.

use crate::call::cause::{ACCESS_DENIED, DENIED};
use crate::call::guardrail::{Facts, INTERVENED};

/// What CloudTrail's records of calls with tokens contain.
const CLOUDTRAIL_TOKENS: &str = "putTokens";

/// Which records the rules need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// Calls that failed with one of these error codes, as Bedrock spells them.
    pub error_codes: Vec<&'static str>,
    /// Calls that a guardrail intervened in.
    pub interventions: bool,
    /// Calls in which a guardrail found something and took one of these actions.
    pub actions: Vec<&'static str>,
    /// All calls that succeeded.
    pub successes: bool,
}

impl RecordFilter {
    /// Calls that failed with one of `error_codes`.
    #[must_use]
    pub fn errors(error_codes: &[&'static str]) -> Self {
        Self { error_codes: error_codes.to_vec(), ..Self::default() }
    }

    /// Whether the bodies of a call must be read.
    pub(crate) fn has_facts(&self) -> bool {
        self.interventions || self.successes || !self.actions.is_empty()
    }

    /// Whether a call without a matching error is needed for what its bodies show.
    pub(crate) fn wants(&self, facts: &Facts<'_>) -> bool {
        let acted = || facts.findings.iter().filter_map(|finding| finding.action.as_deref());
        (self.successes && facts.succeeded)
            || (self.interventions && facts.intervened)
            || acted().any(|action| self.actions.contains(&action))
    }

    /// Words of which the JSON of every such record contains one, whether or not it is escaped. Nearly every record
    /// of the invocation log has a time, so a rule about successful calls reads every one; of CloudTrail's, those with tokens.
    ///
    /// JSON escapes within a word (`\u0041ccessDenied`) are not matched; AWS writes none.
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        let codes = self.error_codes.iter().map(|code| if *code == ACCESS_DENIED { DENIED } else { code });
        let interventions: &[&str] = if self.interventions { &INTERVENED } else { &[] };
        let every: &[&str] = if self.successes { &["timestamp", CLOUDTRAIL_TOKENS] } else { &[] };
        codes
            .chain(interventions.iter().copied())
            .chain(self.actions.iter().copied())
            .chain(every.iter().copied())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_in_every_spelling_of_what_is_asked() {
        let codes = ["AccessDeniedException", "ValidationException"];
        assert_eq!(RecordFilter::errors(&codes).words(), ["AccessDenied", "ValidationException"]);
        let filter = RecordFilter {
            interventions: true,
            actions: vec!["BLOCKED"],
            successes: true,
            ..RecordFilter::default()
        };
        assert_eq!(
            filter.words(),
            ["INTERVENED", "guardrail_intervened", "BLOCKED", "timestamp", "putTokens"]
        );
    }
}
