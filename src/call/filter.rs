//! Which records the rules need.

use memchr::memmem::Finder;

use crate::call::cause::{ACCESS_DENIED, DENIED};
use crate::call::guardrail::{Facts, INTERVENED};
use crate::source::family::WordFamily;

/// Which records the rules need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// Calls that failed with one of these error codes, as Bedrock spells them.
    pub error_codes: Vec<&'static str>,
    /// All calls that failed.
    pub failures: bool,
    /// Calls that a guardrail intervened in.
    pub interventions: bool,
    /// Calls in which a guardrail found something and took one of these actions.
    pub actions: Vec<&'static str>,
    /// All calls that succeeded.
    pub successes: bool,
    /// Calls that succeeded of users whose ARN begins with one of these.
    pub watched: Vec<String>,
    /// What only CloudTrail's records can show.
    pub trail: TrailFilter,
    /// Records of other logs that contain one of these words: [`Source::markers`](crate::call::Source::markers).
    pub markers: Vec<&'static str>,
}

/// Which records of CloudTrail the rules need, beside those that have an error code of [`RecordFilter::error_codes`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrailFilter {
    /// Records of Bedrock that contain one of these words; the empty word is in all of them.
    pub bedrock: Vec<&'static str>,
    /// Records of any service that contain one of these.
    pub any: Vec<&'static str>,
}

/// What every record of CloudTrail contains.
const TRAIL: &str = "eventSource";
/// What every record of Bedrock in CloudTrail contains.
const BEDROCK: &str = "\"bedrock";

impl TrailFilter {
    fn is_empty(&self) -> bool {
        self.bedrock.is_empty() && self.any.is_empty()
    }

    /// Whether a record of this event source by this user may be needed.
    pub(crate) fn wants(&self, is_bedrock: bool, user: Option<&str>) -> bool {
        (is_bedrock && !self.bedrock.is_empty())
            || self.any.iter().any(|word| user.is_some_and(|user| user.contains(word)))
    }
}

/// Finds out which pieces of JSON that contain one of [`RecordFilter::words`] may hold a record that is needed.
pub struct Selector {
    /// Any of them may.
    all: bool,
    any: Vec<WordFamily>,
    /// Only together with the name of Bedrock.
    with_bedrock: Vec<WordFamily>,
    bedrock: Finder<'static>,
}

impl Selector {
    /// Whether a record may be one of Bedrock in CloudTrail.
    #[must_use]
    pub fn names_bedrock(&self, json: &[u8]) -> bool {
        self.bedrock.find(json).is_some()
    }

    /// Whether `json`, which contains one of the words, may hold such a record.
    #[must_use]
    pub fn selects(&self, json: &[u8]) -> bool {
        let any = |words: &[WordFamily]| words.iter().any(|family| family.find(json).is_some());
        self.all
            || any(&self.any)
            || (!self.with_bedrock.is_empty() && self.names_bedrock(json) && any(&self.with_bedrock))
    }
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
    pub(crate) fn wants(&self, facts: &Facts<'_>, succeeded: bool) -> bool {
        let acted = || facts.findings.iter().filter_map(|finding| finding.action.as_deref());
        (if succeeded { self.successes } else { self.failures })
            || (self.interventions && facts.intervened)
            || acted().any(|action| self.actions.contains(&action))
    }

    /// Whether the successful calls of `user` are needed.
    pub(crate) fn watches(&self, user: &str) -> bool {
        self.watched.iter().any(|arn| user.starts_with(arn.as_str()))
    }

    /// Words of which the JSON of every such record contains one, whether or not it is escaped. Nearly every record
    /// has a time, so a rule about successful calls reads every record. Most of those that contain only the name of
    /// Bedrock are not needed: [`Selector`].
    ///
    /// JSON escapes within a word (`\u0041ccessDenied`) are not matched; AWS writes none.
    #[must_use]
    pub fn words(&self) -> Vec<&str> {
        let bedrock = (!self.trail.bedrock.is_empty()).then_some(BEDROCK);
        let any = self.trail.any.iter().map(|word| if word.is_empty() { TRAIL } else { word });
        self.own_words().chain(bedrock).chain(any).collect()
    }

    fn own_words(&self) -> impl Iterator<Item = &str> {
        let codes = self.error_codes.iter().map(|code| if *code == ACCESS_DENIED { DENIED } else { code });
        let interventions: &[&str] = if self.interventions { &INTERVENED } else { &[] };
        codes
            .chain(self.failures.then_some("errorCode"))
            .chain(interventions.iter().copied())
            .chain(self.actions.iter().copied())
            .chain(self.successes.then_some("timestamp"))
            .chain(self.watched.iter().map(String::as_str))
            .chain(self.markers.iter().copied())
    }

    /// Which of the pieces that contain one of [`Self::words`] may hold a record that is needed.
    #[must_use]
    pub fn selector(&self) -> Selector {
        let all = self.trail.is_empty();
        // Where all may hold one, nothing is searched for.
        let any: Vec<&str> =
            self.own_words().chain(self.trail.any.iter().copied()).filter(|_| !all).collect();
        Selector {
            all,
            any: WordFamily::of(&any),
            with_bedrock: WordFamily::of(&self.trail.bedrock),
            bedrock: Finder::new(BEDROCK).into_owned(),
        }
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
            failures: true,
            interventions: true,
            actions: vec!["BLOCKED"],
            successes: true,
            trail: TrailFilter { bedrock: vec!["ListFoundationModels"], any: vec![] },
            markers: vec!["resultSignature"],
            ..RecordFilter::default()
        };
        let expected = [
            "errorCode",
            "INTERVENED",
            "guardrail_intervened",
            "BLOCKED",
            "timestamp",
            "resultSignature",
            "\"bedrock",
        ];
        assert_eq!(filter.words(), expected);
    }

    #[test]
    fn of_cloudtrails_records_those_are_selected_that_a_rule_may_be_about() {
        let trail = TrailFilter { bedrock: vec!["ListFoundationModels"], any: vec!["BedrockAPIKey-"] };
        let filter = RecordFilter { trail, ..RecordFilter::errors(&["AccessDeniedException"]) };
        for (json, expected) in [
            (r#"{"eventSource":"bedrock.amazonaws.com","eventName":"ListFoundationModels"}"#, true),
            (r#"{"eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel"}"#, false),
            (r#"{"eventSource":"s3.amazonaws.com","eventName":"ListFoundationModels"}"#, false),
            (r#"{"eventSource":"s3.amazonaws.com","userIdentity":"user/BedrockAPIKey-1"}"#, true),
            (r#"{"eventSource":"s3.amazonaws.com","errorCode":"AccessDenied"}"#, true),
        ] {
            assert_eq!(filter.selector().selects(json.as_bytes()), expected, "{json}");
        }
        assert!(RecordFilter::errors(&["AccessDeniedException"]).selector().selects(b"whatever was found"));
    }
}
