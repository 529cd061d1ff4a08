//! What the bodies of a call show besides an error: token counts and guardrail findings.
//!
//! Only the members that AWS writes are read. Matched text (`match`), prompts and responses are
//! skipped without being materialised.
//!
//! Sources: "Monitor model invocation using CloudWatch Logs and Amazon S3" and "Test a guardrail" in
//! the Amazon Bedrock user guide; `GuardrailAssessment` in its API reference. A streamed `Converse` is
//! logged as one merged body, a streamed `InvokeModel` as an array of events.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::call::members::named;
use crate::source::text::{Bytes, Text, truncate_with_hash, unescaped};

/// What the bodies of one call show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one call")]
pub struct Facts<'a> {
    /// `input.inputTokenCount`.
    pub input_tokens: u64,
    /// `output.outputTokenCount`.
    pub output_tokens: u64,
    /// `input.cacheReadInputTokenCount`: read from the prompt cache, and not among the input tokens.
    pub cache_read_tokens: u64,
    /// `input.cacheWriteInputTokenCount`: written to the prompt cache, and not among the input tokens.
    pub cache_write_tokens: u64,
    /// The record contains the response: `output.outputBodyJson` is not empty.
    pub has_body: bool,
    /// The answer is empty: no tokens and nothing in it.
    pub empty_answer: bool,
    /// The record shows that a guardrail was involved, whatever it did.
    pub guarded: bool,
    /// A guardrail intervened.
    pub intervened: bool,
    /// The guardrails that assessed the call.
    pub guardrails: Vec<Cow<'a, str>>,
    /// Their distinct findings.
    pub findings: Vec<GuardrailFinding<'a>>,
}

/// One guardrail finding. `None` for text missing from the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardrailFinding<'a> {
    /// Which policy of the guardrail.
    pub policy: Policy,
    /// `action`: `BLOCKED`, `ANONYMIZED` or `NONE`.
    pub action: Text<'a>,
    /// `type`, such as `HATE` or `EMAIL`.
    pub kind: Text<'a>,
    /// `confidence`: `HIGH`, `MEDIUM`, `LOW` or `NONE`.
    pub confidence: Text<'a>,
}

impl GuardrailFinding<'_> {
    /// Whether the guardrail acted on it.
    #[must_use]
    pub fn acted(&self) -> bool {
        matches!(self.action.as_deref(), Some("BLOCKED" | "ANONYMIZED"))
    }
}

/// A policy of a guardrail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Denied topics.
    #[default]
    Topic,
    /// Harmful content and prompt attacks.
    Content,
    /// Words, managed or custom.
    Word,
    /// Personal data and patterns.
    SensitiveInformation,
    /// Grounding and relevance.
    ContextualGrounding,
    /// Automated reasoning.
    AutomatedReasoning,
}

impl Policy {
    /// Its name in Elastic's integration (`gen_ai.policy.name`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic_policy",
            Self::Content => "content_policy",
            Self::Word => "word_policy",
            Self::SensitiveInformation => "sensitive_information_policy",
            Self::ContextualGrounding => "contextual_grounding_policy",
            Self::AutomatedReasoning => "automated_reasoning_policy",
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"topicPolicy" => Self::Topic,
            b"contentPolicy" => Self::Content,
            b"wordPolicy" => Self::Word,
            b"sensitiveInformationPolicy" => Self::SensitiveInformation,
            b"contextualGroundingPolicy" => Self::ContextualGrounding,
            b"automatedReasoningPolicy" => Self::AutomatedReasoning,
            _ => return None,
        })
    }
}

/// The value that reports a guardrail's intervention in a body.
pub const INTERVENED: [&str; 2] = ["INTERVENED", "guardrail_intervened"];

/// The most distinct findings, and guardrails, kept per call; AWS has far fewer kinds.
const MAX_KEPT: usize = 100;

impl<'a> Facts<'a> {
    /// Reads a record's `input` and `output`. Invalid text where AWS writes valid text hides the rest of
    /// the same member, and nothing else.
    #[must_use]
    pub fn read(input: Option<&'a RawValue>, output: Option<&'a RawValue>) -> Self {
        let mut facts = Self::default();
        for (json, place) in [(input, BodyPath::Input), (output, BodyPath::Output)] {
            if let Some(json) = json {
                let mut deserializer = serde_json::Deserializer::from_str(json.get());
                // The whole record has already been parsed, so the only new fault here is a lone surrogate.
                let _ = BodyReader { facts: &mut facts, place }.deserialize(&mut deserializer);
            }
        }
        let may_be_empty = !facts.has_body && facts.output_tokens == 0;
        facts.empty_answer = may_be_empty && output.is_some_and(|output| is_empty(output.get()));
        facts
    }

    /// All tokens that are billed.
    ///
    /// Source: "Prompt caching for faster model inference" in the Amazon Bedrock user guide.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        let cached = self.cache_read_tokens.saturating_add(self.cache_write_tokens);
        self.input_tokens.saturating_add(self.output_tokens).saturating_add(cached)
    }

    /// How many policies blocked something.
    #[must_use]
    pub fn policies_blocked(&self) -> usize {
        let mut blocked: Vec<Policy> = Vec::new();
        for finding in self.findings.iter().filter(|finding| finding.action.as_deref() == Some("BLOCKED")) {
            if !blocked.contains(&finding.policy) {
                blocked.push(finding.policy);
            }
        }
        blocked.len()
    }

    fn found(&mut self, finding: GuardrailFinding<'a>) {
        if self.findings.len() < MAX_KEPT && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

/// Whether `output`, which has neither tokens nor a body with anything in it, is an empty answer: the empty body is there,
/// or its tokens were counted. A body that is logged elsewhere, or not at all, shows nothing.
fn is_empty(output: &str) -> bool {
    let names = ["outputBodyJson", "outputBodyS3Path", "outputTokenCount"];
    let Some([body, elsewhere, tokens]) = named(output, &names) else { return false };
    let is_elsewhere = elsewhere.is_some_and(|path| path.get() != "null");
    !is_elsewhere && (body.is_some() || tokens.is_some_and(|tokens| tokens.get() == "0"))
}

/// A place in a record.
#[derive(Clone, Copy)]
enum BodyPath {
    /// `input`.
    Input,
    /// `output`.
    Output,
    /// `output.outputBodyJson`: an object, or an array of events.
    Body,
    /// One object of those, or the content of an event.
    Event,
    /// `trace` or `amazon-bedrock-trace`.
    Trace,
    /// `guardrail` in it.
    Guardrail,
    /// Assessments by guardrail id, or a list of such maps.
    Assessments,
    /// One map in that list.
    ById,
    /// One assessment, or a list of them.
    Assessment,
    /// One assessment in a list.
    OneAssessment,
    /// A policy's part of an assessment.
    Of(Policy),
    /// The findings of one kind.
    Findings(Policy),
    /// One finding.
    Finding(Policy),
}

/// Reads the value at a place into `facts`; skips a value of an unexpected type.
struct BodyReader<'f, 'a> {
    facts: &'f mut Facts<'a>,
    place: BodyPath,
}

impl<'a> BodyReader<'_, 'a> {
    fn at(&mut self, place: BodyPath) -> BodyReader<'_, 'a> {
        BodyReader { facts: self.facts, place }
    }
}

impl<'de> DeserializeSeed<'de> for BodyReader<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! passed_over {
    ($($visit:ident($type:ty)),*) => { $(fn $visit<E>(self, _: $type) -> Result<(), E> { Ok(()) })* };
}

impl<'de> Visitor<'de> for BodyReader<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    passed_over!(visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if matches!(self.place, BodyPath::Body) {
            self.facts.has_body |= !text.is_empty();
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut finding = GuardrailFinding::default();
        while let Some(Bytes(name)) = map.next_key()? {
            if matches!(self.place, BodyPath::Body) {
                self.facts.has_body = true;
            }
            match self.step(&name) {
                Visit::Over => {
                    map.next_value::<IgnoredAny>()?;
                }
                Visit::Into(place) => map.next_value_seed(self.at(place))?,
                Visit::Leaf(leaf) => {
                    let value: &RawValue = map.next_value()?;
                    self.leaf(leaf, value, &mut finding);
                }
            }
        }
        if let BodyPath::Finding(policy) = self.place {
            self.facts.found(GuardrailFinding { policy, ..finding });
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let item = match self.place {
            BodyPath::Body => Some(BodyPath::Event),
            BodyPath::Assessments => Some(BodyPath::ById),
            BodyPath::Assessment => Some(BodyPath::OneAssessment),
            BodyPath::Findings(policy) => Some(BodyPath::Finding(policy)),
            _ => None,
        };
        let Some(item) = item else {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        while seq.next_element_seed(self.at(item))?.is_some() {
            if matches!(self.place, BodyPath::Body) {
                self.facts.has_body = true;
            }
        }
        Ok(())
    }
}

/// What to do with a member.
enum Visit {
    Over,
    Into(BodyPath),
    Leaf(Leaf),
}

/// A member that is read directly.
#[derive(Clone, Copy)]
enum Leaf {
    InputTokens,
    OutputTokens,
    CacheReadTokens,
    CacheWriteTokens,
    GuardrailAction,
    StopReason,
    Action,
    Kind,
    Confidence,
}

impl<'de> BodyReader<'_, 'de> {
    fn step(&mut self, name: &[u8]) -> Visit {
        match (self.place, name) {
            (BodyPath::Input, b"inputTokenCount") => Visit::Leaf(Leaf::InputTokens),
            (BodyPath::Input, b"cacheReadInputTokenCount") => Visit::Leaf(Leaf::CacheReadTokens),
            (BodyPath::Input, b"cacheWriteInputTokenCount") => Visit::Leaf(Leaf::CacheWriteTokens),
            (BodyPath::Output, b"outputTokenCount") => Visit::Leaf(Leaf::OutputTokens),
            (BodyPath::Output, b"outputBodyJson") => Visit::Into(BodyPath::Body),
            (BodyPath::Body | BodyPath::Event, b"amazon-bedrock-guardrailAction") => {
                Visit::Leaf(Leaf::GuardrailAction)
            }
            (BodyPath::Body | BodyPath::Event, b"stopReason" | b"stop_reason") => {
                Visit::Leaf(Leaf::StopReason)
            }
            (BodyPath::Body | BodyPath::Event, b"trace" | b"amazon-bedrock-trace") => {
                Visit::Into(BodyPath::Trace)
            }
            // The content of stream events.
            (BodyPath::Body | BodyPath::Event, b"delta" | b"messageStop" | b"metadata") => {
                Visit::Into(BodyPath::Event)
            }
            (BodyPath::Trace, b"guardrail") => {
                self.facts.guarded = true;
                Visit::Into(BodyPath::Guardrail)
            }
            (BodyPath::Guardrail, b"inputAssessment" | b"outputAssessments" | b"input" | b"outputs") => {
                Visit::Into(BodyPath::Assessments)
            }
            (BodyPath::Assessments | BodyPath::ById, id) => {
                if let Some(policy) = Policy::named(id) {
                    return Visit::Into(BodyPath::Of(policy));
                }
                let id = truncate_with_hash(Cow::Owned(String::from_utf8_lossy(id).into_owned()));
                let guardrails = &mut self.facts.guardrails;
                if guardrails.len() < MAX_KEPT && !guardrails.contains(&id) {
                    guardrails.push(id);
                }
                Visit::Into(BodyPath::Assessment)
            }
            (BodyPath::Assessment | BodyPath::OneAssessment, name) => {
                Policy::named(name).map_or(Visit::Over, |policy| Visit::Into(BodyPath::Of(policy)))
            }
            (BodyPath::Of(policy), _) => Visit::Into(BodyPath::Findings(policy)),
            (BodyPath::Finding(_), b"action") => Visit::Leaf(Leaf::Action),
            (BodyPath::Finding(_), b"type") => Visit::Leaf(Leaf::Kind),
            (BodyPath::Finding(_), b"confidence") => Visit::Leaf(Leaf::Confidence),
            _ => Visit::Over,
        }
    }

    fn leaf(&mut self, leaf: Leaf, value: &'de RawValue, finding: &mut GuardrailFinding<'de>) {
        let text = || unescaped(value.get()).map(truncate_with_hash);
        let number = || value.get().parse().unwrap_or_default();
        match leaf {
            Leaf::InputTokens => self.facts.input_tokens = number(),
            Leaf::OutputTokens => self.facts.output_tokens = number(),
            Leaf::CacheReadTokens => self.facts.cache_read_tokens = number(),
            Leaf::CacheWriteTokens => self.facts.cache_write_tokens = number(),
            Leaf::GuardrailAction => {
                let action = text();
                self.facts.guarded |= action.is_some();
                self.facts.intervened |= action.as_deref() == Some(INTERVENED[0]);
            }
            Leaf::StopReason => {
                let intervened = text().as_deref() == Some(INTERVENED[1]);
                self.facts.guarded |= intervened;
                self.facts.intervened |= intervened;
            }
            Leaf::Action => finding.action = text(),
            Leaf::Kind => finding.kind = text(),
            Leaf::Confidence => finding.confidence = text(),
        }
    }
}

#[cfg(test)]
mod tests;
