//! A rule as its author writes it: the text of `rules/<id>.toml` → a [`Rule`] and its examples.
//!
//! Rules live as long as the process: they are loaded once, and everything else borrows from them.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::bounds;
use super::closest::did_you_mean;
use super::condition::{CallOutcome, Condition, FindingCondition, Guardrail};
use super::definition::{Elastic, Rule, Severity, SeverityIf, Technique, Weight, Wording};
use super::field::Field;
use super::value::{
    CauseClass, CauseName, ErrorCode, Glob, List, NonBlank, Noun, OperationName, Policies, RiskScore, Span,
    Threshold, Url, Word,
};
use crate::call::credential::Credential;
use crate::call::guardrail::Policy;

/// What is wrong with a rule file, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {}{problem}", self.shown_field())]
pub struct RuleError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The field, such as `wording.title`; empty if the text is not TOML.
    pub field: String,
    /// What was found, or what was expected.
    pub problem: String,
}

impl RuleError {
    fn shown_field(&self) -> String {
        if self.field.is_empty() { String::new() } else { format!("{}: ", self.field) }
    }
}

/// A few records, and how many alerts the rule raises of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows, as a sentence.
    pub name: String,
    /// The alerts that the rule must raise.
    pub alerts: usize,
    /// The other rules that are on by default and fire as well.
    #[serde(default)]
    pub also: Vec<String>,
    /// A log object as Bedrock or CloudTrail writes it.
    records: String,
    /// How often each line is repeated; `{n}` in it becomes a number from 1.
    #[serde(default = "once")]
    times: usize,
}

const fn once() -> usize {
    1
}

impl Example {
    /// The log object, with every line repeated.
    #[must_use]
    pub fn log(&self) -> String {
        let lines = self.records.lines().filter(|line| !line.trim().is_empty());
        let given = lines.flat_map(|line| {
            (1..=self.times).map(move |number| line.replace("{n}", &number.to_string()) + "\n")
        });
        given.collect()
    }
}

/// Reads the rule but not its examples, which come last in a file, so the detector starts faster.
///
/// # Errors
/// The first thing that is wrong with the file.
pub fn rule(file: &str, text: &str) -> Result<Rule, RuleError> {
    let without_examples = text.find("\n[[example]]").and_then(|at| text.get(..=at)).unwrap_or(text);
    parse(file, without_examples).map(|(rule, _)| rule)
}

/// Reads the rule and its examples.
///
/// # Errors
/// The first thing that is wrong with the file.
pub fn rule_and_examples(file: &str, text: &str) -> Result<(Rule, Vec<Example>), RuleError> {
    parse(file, text)
}

fn parse(file: &str, text: &str) -> Result<(Rule, Vec<Example>), RuleError> {
    let error = |span: Option<Range<usize>>, field: String, problem: String| {
        let before = text.bytes().take(span.map_or(0, |span| span.start));
        let line = before.filter(|byte| *byte == b'\n').count().saturating_add(1);
        RuleError { file: file.to_owned(), line, field, problem }
    };
    let syntax =
        |found: &toml::de::Error, field: String| error(found.span(), field, explained(found.message()));
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Err(error(
            None,
            String::new(),
            "the file is empty: expected a rule, as docs/rules.md shows".to_owned(),
        ));
    }
    let document = toml::Deserializer::parse(text).map_err(|found| syntax(&found, String::new()))?;
    let mut written: Written = serde_path_to_error::deserialize(document).map_err(|found| {
        // The toml crate adds this to a field's path when it records its position.
        let path = found.path().to_string().replace(".$__serde_spanned_private_value", "");
        syntax(found.inner(), if path == "." { String::new() } else { path })
    })?;
    let examples = std::mem::take(&mut written.example);
    written
        .rule(Path::new(file).file_stem().unwrap_or_default().to_string_lossy().as_ref())
        .map(|rule| (rule, examples))
        .map_err(|Misfit { at, field, expected }| error(Some(at), field.to_owned(), expected))
}

/// What the parser says of a field, and what may be meant.
fn explained(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let field = quoted.next().unwrap_or_default();
    let hint = if message.starts_with("missing field") {
        match table(field) {
            Some((table, fields)) => format!(": expected {table} with {}", fields.join(", ")),
            None => String::new(),
        }
    } else if message.starts_with("unknown field")
        && let Some((table, _)) = TABLES.iter().find(|(_, fields)| fields.contains(&field))
    {
        format!("; it belongs below {table}: is that line missing?")
    } else if message.starts_with("unknown ") {
        did_you_mean(field, quoted)
    } else {
        String::new()
    };
    format!("{message}{hint}")
}

/// The tables that every rule has, and their fields; of `[[record]]`, those of which one must be there.
const TABLES: [(&str, &[&str]); 2] = [
    ("[wording]", &["noun", "headline", "reason", "title", "opening", "meaning"]),
    (
        "[[record]]",
        &[
            "error_codes",
            "causes",
            "operations",
            "services",
            "outcome",
            "credential",
            "users",
            "guardrail",
            "finding",
        ],
    ),
];

fn table(field: &str) -> Option<(&'static str, &'static [&'static str])> {
    TABLES.into_iter().find(|(table, _)| table.trim_matches(['[', ']']) == field)
}

/// A field that does not fit the others.
struct Misfit {
    at: Range<usize>,
    field: &'static str,
    expected: String,
}

/// A key of more would not fit.
const MAX_FIELDS: usize = 5;

/// The file, field by field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: Spanned<String>,
    title: NonBlank,
    version: NonBlank,
    on: bool,
    severity: Severity,
    risk_score: Spanned<RiskScore>,
    severity_if: Option<WrittenSeverityIf>,
    action: NonBlank,
    group_by: Spanned<Vec<Field>>,
    count: Option<Spanned<Field>>,
    sum: Option<Spanned<NonBlank>>,
    threshold: Spanned<Threshold>,
    window: Span,
    cooldown: Option<Span>,
    references: List<Url>,
    #[serde(default)]
    techniques: Vec<WrittenTechnique>,
    triage: List<NonBlank>,
    false_positives: List<NonBlank>,
    record: Spanned<List<RecordTable>>,
    elastic: Option<WrittenElastic>,
    wording: WrittenWording,
    #[serde(default)]
    example: Vec<Example>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent conditions")]
struct RecordTable {
    error_codes: Option<List<ErrorCode>>,
    causes: Option<List<CauseName>>,
    operations: Option<List<OperationName>>,
    services: Option<List<Glob>>,
    services_not: Option<List<Glob>>,
    #[serde(default)]
    served_after_denial: bool,
    #[serde(default)]
    outcome: CallOutcome,
    credential: Option<List<Credential>>,
    users: Option<List<Glob>>,
    on_behalf: Option<bool>,
    guardrail: Option<Guardrail>,
    finding: Option<WrittenFinding>,
    min_policies_blocked: Option<Policies>,
    #[serde(default)]
    has_body: bool,
    #[serde(default)]
    empty_answer: bool,
    #[serde(default)]
    except_people: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFinding {
    policy: Policy,
    action: Word,
    confidence: Option<List<Word>>,
    r#type: Option<List<Word>>,
}

/// What stands in a list that may be left out.
fn leaked<T, R>(list: Option<List<T>>, take: impl FnMut(T) -> R) -> &'static [R] {
    list.map_or(&[], |list| list.leak(take))
}

impl RecordTable {
    /// What is wrong with it as a whole.
    fn check(&self) -> Result<(), &'static str> {
        let fails = self.error_codes.is_some() || self.causes.is_some();
        let shows = fails
            || self.operations.is_some()
            || self.services.is_some()
            || self.services_not.is_some()
            || self.outcome != CallOutcome::Any
            || self.credential.is_some()
            || self.users.is_some()
            || self.guardrail == Some(Guardrail::Intervened)
            || self.finding.is_some()
            || self.min_policies_blocked.is_some();
        if !shows {
            return Err(
                "expected one or more of error_codes, causes, operations, services, services_not, outcome, \
                        credential, users, guardrail = \"intervened\", finding and min_policies_blocked",
            );
        }
        if self.served_after_denial && self.outcome != CallOutcome::Succeeded {
            return Err("expected outcome = \"succeeded\" with served_after_denial");
        }
        if self.empty_answer && self.outcome != CallOutcome::Succeeded {
            return Err("expected outcome = \"succeeded\" with empty_answer");
        }
        if fails && self.outcome == CallOutcome::Succeeded {
            return Err("expected either error_codes or causes, or outcome = \"succeeded\"");
        }
        Ok(())
    }

    fn condition(self) -> Condition {
        let words = |list: Option<List<Word>>| leaked(list, |word| word.0);
        let globs = |list: Option<List<Glob>>| leaked(list, |glob| glob.0);
        Condition {
            error_codes: leaked(self.error_codes, |code| code.0),
            causes: leaked(self.causes, |cause| cause.0),
            operations: leaked(self.operations, |operation| operation.0),
            services: globs(self.services),
            services_not: globs(self.services_not),
            served_after_denial: self.served_after_denial,
            outcome: self.outcome,
            credentials: leaked(self.credential, |credential| credential),
            users: globs(self.users),
            on_behalf: self.on_behalf,
            guardrail: self.guardrail,
            finding: self.finding.map(|finding| FindingCondition {
                policy: finding.policy,
                action: finding.action.0,
                confidence: words(finding.confidence),
                kinds: words(finding.r#type),
            }),
            min_policies_blocked: self.min_policies_blocked.map_or(0, |number| number.0),
            has_body: self.has_body,
            empty_answer: self.empty_answer,
            except_people: self.except_people,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSeverityIf {
    causes: CauseClass,
    severity: Spanned<Severity>,
    risk_score: Spanned<RiskScore>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTechnique {
    id: NonBlank,
    name: NonBlank,
    reference: Url,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenElastic {
    rule: NonBlank,
    differs: List<NonBlank>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenWording {
    noun: Noun,
    headline: Spanned<NonBlank>,
    reason: Spanned<NonBlank>,
    title: Spanned<NonBlank>,
    opening: NonBlank,
    meaning: NonBlank,
}

impl Written {
    fn rule(self, file: &str) -> Result<Rule, Misfit> {
        self.check(file)?;
        let weight = if self.sum.is_some() { Weight::Tokens } else { Weight::One };
        let Threshold(given) = self.threshold.get_ref();
        let threshold = given.as_integer().map(|number| number.to_string()).unwrap_or_default();
        let threshold = bounds::threshold(weight, &threshold).map_err(|expected| Misfit {
            at: self.threshold.span(),
            field: "threshold",
            expected,
        })?;
        let window = self.window.0;
        let (uuid, differs) = match self.elastic {
            Some(elastic) => (Some(elastic.rule.0), elastic.differs.leak(|text| text.0)),
            None => (None, &[][..]),
        };
        let techniques = self.techniques.into_iter().map(|technique| Technique {
            id: technique.id.0,
            name: technique.name.0,
            reference: technique.reference.0,
        });
        Ok(Rule {
            id: self.id.into_inner().leak(),
            elastic: uuid.map(|uuid| Elastic { uuid, differs }),
            name: self.title.0,
            version: self.version.0,
            on: self.on,
            severity: self.severity,
            risk_score: self.risk_score.into_inner().0,
            severity_if: self.severity_if.map(|lower| SeverityIf {
                causes: lower.causes.0,
                severity: lower.severity.into_inner(),
                risk_score: lower.risk_score.into_inner().0,
            }),
            action: self.action.0,
            records: self.record.into_inner().leak(RecordTable::condition),
            weight,
            group_by: self.group_by.into_inner().leak(),
            distinct: self.count.map_or(Field::RequestId, Spanned::into_inner),
            threshold,
            window,
            cooldown: self.cooldown.map_or(window, |span| span.0),
            exempt_users: Vec::new(),
            references: self.references.leak(|url| url.0),
            techniques: techniques.collect::<Vec<_>>().leak(),
            wording: Wording {
                noun: self.wording.noun.0,
                headline: self.wording.headline.into_inner().0,
                reason: self.wording.reason.into_inner().0,
                title: self.wording.title.into_inner().0,
                opening: self.wording.opening.0,
                meaning: self.wording.meaning.0,
            },
            triage: self.triage.leak(|text| text.0),
            false_positives: self.false_positives.leak(|text| text.0),
        })
    }

    fn check(&self, file: &str) -> Result<(), Misfit> {
        let misfit = |at, field, expected: &str| Err(Misfit { at, field, expected: expected.to_owned() });
        if !is_id(self.id.get_ref()) || self.id.get_ref() != file {
            let expected =
                "expected the file's name without .toml: lower-case letters, digits and hyphens, at most 64";
            return misfit(self.id.span(), "id", expected);
        }
        self.check_severities()?;
        let group_by = self.group_by.get_ref();
        let has = |field| group_by.contains(&field);
        let repeated =
            group_by.iter().any(|field| group_by.iter().filter(|other| *other == field).count() > 1);
        let identities = Field::IDENTITIES.into_iter().filter(|field| has(*field)).count();
        let is_allowed = |field: &Field| !matches!(field, Field::RequestId | Field::Session);
        if repeated || !has(Field::Account) || identities > 1 || !group_by.iter().all(is_allowed) {
            let expected = "expected \"account\", and perhaps one of \"user\", \"caller\" and \"role\", and \"model\", \
                            \"region\", \"address\", \"operation\", \"access_key\" and \"resource\", each once";
            return misfit(self.group_by.span(), "group_by", expected);
        }
        if group_by.len() > MAX_FIELDS {
            return misfit(self.group_by.span(), "group_by", "expected at most five fields");
        }
        match (&self.count, &self.sum) {
            (Some(count), None) => {
                let field = *count.get_ref();
                let is_counted = !matches!(field, Field::Account | Field::User | Field::Caller | Field::Role);
                if !is_counted || has(field) {
                    let expected = "expected \"request\", \"model\", \"session\", \"region\", \"address\", \"operation\", \
                                    \"access_key\" or \"resource\", and not what the rule groups by";
                    return misfit(count.span(), "count", expected);
                }
            }
            (None, Some(sum)) if sum.get_ref().0 == "tokens" => {}
            (None, Some(sum)) => return misfit(sum.span(), "sum", "expected \"tokens\""),
            (Some(count), Some(_)) => return misfit(count.span(), "count", "expected either count or sum"),
            (None, None) => {
                return misfit(
                    self.id.span(),
                    "count",
                    "expected count = \"request\" or the like, or sum = \"tokens\"",
                );
            }
        }
        for record in &self.record.get_ref().0 {
            if let Err(expected) = record.check() {
                return misfit(self.record.span(), "record", expected);
            }
        }
        let WrittenWording { headline, reason, title, .. } = &self.wording;
        for (field, phrase) in
            [("wording.headline", headline), ("wording.reason", reason), ("wording.title", title)]
        {
            if let Err(expected) = check_phrase(phrase.get_ref().0, group_by) {
                return Err(Misfit { at: phrase.span(), field, expected });
            }
        }
        Ok(())
    }
}

impl Written {
    fn check_severities(&self) -> Result<(), Misfit> {
        agrees("risk_score", self.severity, &self.risk_score)?;
        let Some(lower) = &self.severity_if else { return Ok(()) };
        let below: Vec<&str> = Severity::ALL
            .into_iter()
            .filter(|severity| *severity < self.severity)
            .map(Severity::name)
            .collect();
        if *lower.severity.get_ref() >= self.severity {
            let expected = match below.as_slice() {
                [] => "expected no such table: no severity is below low".to_owned(),
                below => format!("expected one below the rule's: {}", below.join(" or ")),
            };
            return Err(Misfit { at: lower.severity.span(), field: "severity_if.severity", expected });
        }
        agrees("severity_if.risk_score", *lower.severity.get_ref(), &lower.risk_score)
    }
}

/// Checks that a risk score does not contradict its severity.
fn agrees(field: &'static str, severity: Severity, score: &Spanned<RiskScore>) -> Result<(), Misfit> {
    let scores = severity.risk_scores();
    if scores.contains(&score.get_ref().0) {
        return Ok(());
    }
    let expected = format!(
        "expected {} to {} for severity {}, such as {}",
        scores.start(),
        scores.end(),
        severity.name(),
        severity.risk_score()
    );
    Err(Misfit { at: score.span(), field, expected })
}

fn is_id(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 64 && text.bytes().all(good)
}

/// Checks that a phrase says how many, and names only what the rule groups by.
fn check_phrase(phrase: &str, group_by: &[Field]) -> Result<(), String> {
    let names = [
        ("user", Field::User),
        ("caller", Field::Caller),
        ("role", Field::Role),
        ("model", Field::Model),
        ("resource", Field::Resource),
    ];
    let named: Vec<&str> =
        names.iter().filter(|(_, field)| group_by.contains(field)).map(|(name, _)| *name).collect();
    let places = phrase.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or_default());
    let unknown = places.clone().any(|place| place != "count" && !named.contains(&place));
    if unknown || !places.clone().any(|place| place == "count") {
        let named: String = named.iter().map(|name| format!(" or {{{name}}}")).collect();
        return Err(format!("expected {{count}} in it, and no place but {{count}}{named}"));
    }
    Ok(())
}
