//! The rule files: each is good, its examples hold, and `RULES.md` is written from them. `BLESS=1
//! cargo test --test domain rule` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use bedrock_denial_watch::call::cause;
use bedrock_denial_watch::call::credential::Credential;
use bedrock_denial_watch::rule::catalogue::{ALL, FILES, built_in};
use bedrock_denial_watch::rule::condition::{CallOutcome, Condition, FindingCondition, Guardrail};
use bedrock_denial_watch::rule::definition::{Rule, Severity, SeverityIf, Weight};
use bedrock_denial_watch::rule::feed::Feed;
use bedrock_denial_watch::rule::field::Field;
use bedrock_denial_watch::rule::file;
use glob::Pattern;

const PREFACE: &str = "\
# Rules

Each rule is a file, `rules/<id>.toml`; this page is written from them. Which rules are on is one
setting: `DetectionRules` of the stack, `RULES` of the function, `--rules` of `replay`. Threshold,
window, cooldown, severity and exempt users of every rule are settings too: `RuleSettings`,
`RULE_SETTINGS`, `--set`. Each object is read once for all rules, and a rule that is off costs nothing.

A missing value counts as its own group, unless the rule needs it: a rule about roles, say, ignores
records without one. The *caller* is the user without freely chosen names: a role without its session,
all federated users of an account together, a person's session, or else the user.
";

fn words(fields: impl Iterator<Item = Field>) -> String {
    fields.map(|field| field.label().to_lowercase()).collect::<Vec<_>>().join(", ")
}

fn plural(noun: &str) -> String {
    if noun.ends_with("ss") { format!("{noun}es") } else { format!("{noun}s") }
}

fn listed(words: &[&str]) -> String {
    format!("`{}`", words.join("` or `"))
}

/// What a record must show, as a clause.
fn shown(record: &Condition) -> String {
    let globs = |globs: &[Pattern]| listed(&globs.iter().map(Pattern::as_str).collect::<Vec<_>>());
    let mut shown = vec![match (record.operations, record.services, record.services_not) {
        ([], [], []) => "a model call".to_owned(),
        ([], [], services) => format!("a call of a service other than {}", globs(services)),
        ([], services, _) => format!("a call of a service {}", globs(services)),
        (operations, ..) => format!("a call of {}", listed(operations)),
    }];
    match record.outcome {
        CallOutcome::Any => {}
        CallOutcome::Refused => shown.push("that was denied".to_owned()),
        CallOutcome::Failed => shown.push("that failed".to_owned()),
        CallOutcome::Succeeded => shown.push("that succeeded".to_owned()),
    }
    if !record.error_codes.is_empty() {
        shown.push(format!("that failed with {}", listed(record.error_codes)));
    }
    if !record.causes.is_empty() {
        shown.push(format!("whose cause is {}", listed(record.causes)));
    }
    if !record.credentials.is_empty() {
        let names = record.credentials.iter().map(|one| match one {
            Credential::ApiKey => "a Bedrock API key",
            Credential::LongTerm => "a long-term access key",
            Credential::Temporary => "temporary credentials",
        });
        shown.push(format!("with {}", names.collect::<Vec<_>>().join(" or ")));
    }
    if !record.users.is_empty() {
        shown.push(format!("by a user {}", globs(record.users)));
    }
    match record.on_behalf {
        Some(true) => shown.push("made by AWS on the caller's behalf".to_owned()),
        Some(false) => shown.push("not made by AWS on the caller's behalf".to_owned()),
        None => {}
    }
    if record.empty_answer {
        shown.push("with an empty answer".to_owned());
    }
    if record.has_body {
        shown.push("with the answer in the log".to_owned());
    }
    match record.guardrail {
        Some(Guardrail::Intervened) => shown.push("in which a guardrail intervened".to_owned()),
        Some(Guardrail::Absent) => shown.push("with no trace of a guardrail".to_owned()),
        None => {}
    }
    if let Some(FindingCondition { policy, action, confidence, kinds }) = record.finding {
        let mut all = format!("with a finding of {} that is `{action}`", policy.name());
        if !confidence.is_empty() {
            let _ = write!(all, " with confidence {}", listed(confidence));
        }
        if !kinds.is_empty() {
            let _ = write!(all, " and of type {}", listed(kinds));
        }
        shown.push(all);
    }
    if record.min_policies_blocked > 0 {
        let number = record.min_policies_blocked;
        shown.push(format!("that {number} or more policies of a guardrail blocked"));
    }
    shown.join(", ")
}

/// `60 minutes`, `24 hours`.
fn span(span: std::time::Duration) -> String {
    match span.as_secs() / 60 {
        1 => "1 minute".to_owned(),
        minutes if minutes > 60 && minutes.is_multiple_of(60) => format!("{} hours", minutes / 60),
        minutes => format!("{minutes} minutes"),
    }
}

fn section(rule: &Rule) -> String {
    let Rule { id, name, severity, risk_score, threshold, wording, .. } = rule;
    let mut text = format!(
        "\n## {id}\n\n{name}; {severity}, risk score {risk_score}; {on} by default.\n\n{meaning}\n\n\
         - Counts {shown}\n\
         - For each {group}: fires above {threshold} {counted} within {window}, at most once in {cooldown}\n",
        on = if rule.on { "on" } else { "off" },
        severity = severity.name(),
        meaning = wording.meaning,
        group = words(rule.group_by.iter().copied()),
        counted = match rule.weight {
            Weight::One => format!("different {}", plural(&rule.distinct.label().to_lowercase())),
            Weight::Tokens => "billed tokens".to_owned(),
        },
        shown = rule.records.iter().map(shown).collect::<Vec<_>>().join("\n- Also counts "),
        window = span(rule.window),
        cooldown = span(rule.cooldown),
    );
    let shown: Vec<&str> = Feed::ALL.into_iter().filter(|feed| feed.shows(rule)).map(Feed::label).collect();
    let _ = writeln!(text, "- Shown by {}", shown.join(", "));
    if rule.records.iter().any(|record| record.except_people) {
        let roles = "AWSReservedSSO_<permission set>_<16 hexadecimal digits>";
        let _ = writeln!(text, "- Not counted: people, who are the sessions of roles named\n  `{roles}`");
    }
    if let Some(SeverityIf { causes, severity, risk_score }) = rule.severity_if {
        let _ = writeln!(
            text,
            "- Severity {}, risk score {risk_score}, if every known cause is `{}` and no long-term or API key was used. The\n  \
             invocation log shows no causes: with it alone, nothing is lowered",
            severity.name(),
            causes.name()
        );
    }
    for technique in rule.techniques {
        let _ =
            writeln!(text, "- MITRE ATLAS [{} {}]({})", technique.id, technique.name, technique.reference);
    }
    for reference in rule.references {
        let _ = writeln!(text, "- [Reference]({reference})");
    }
    if let Some(elastic) = rule.elastic {
        let _ = writeln!(text, "\nAfter Elastic's rule `{}`. Deliberate differences:\n", elastic.uuid);
        for point in elastic.differs {
            let _ = writeln!(text, "- {point}");
        }
    }
    text += "\nTriage\n\n";
    for (number, step) in (1..).zip(rule.triage) {
        let _ = writeln!(text, "{number}. {step}");
    }
    text += "\nPossible benign causes\n\n";
    for benign in rule.false_positives {
        let _ = writeln!(text, "- {benign}");
    }
    text
}

/// Elastic's rules about Bedrock: name, id, the rule here with the same aim, and a note. In the public repository
/// elastic/detection-rules, or in its explorer, on 2026-11-30; ids of eight digits are known no further.
const ELASTIC: &str = include_str!("../fixtures/elastic-rules.tsv");

const ELASTIC_PREFACE: &str = "
## Elastic's rules about Bedrock

Elastic's 36 rules about Amazon Bedrock, from its public repository
[detection-rules](https://github.com/elastic/detection-rules) and its rules explorer on 2026-11-30: each with ours, or why we have none.
The last one is about Azure OpenAI.

| Elastic's rule | id | here |
|---|---|---|
";

/// The table of Elastic's rules.
fn elastic() -> String {
    let mut table = ELASTIC_PREFACE.to_owned();
    for line in ELASTIC.lines() {
        let [name, id, ours, note] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}: four columns")
        };
        let rule = ALL.iter().find(|rule| rule.id == ours);
        assert!(ours.is_empty() || rule.is_some(), "{line}: no such rule");
        assert!(!ours.is_empty() || !note.is_empty(), "{line}: neither a rule nor a reason");
        let here = match rule {
            Some(rule) => format!("[`{0}`](#{0}) {note}", rule.id),
            None => note.to_owned(),
        };
        let id = if id.is_empty() { String::new() } else { format!("`{}`", id.get(..8).unwrap_or(id)) };
        let _ = writeln!(table, "| {name} | {id} | {} |", here.trim());
    }
    table
}

#[test]
fn every_rule_that_follows_one_of_elastics_is_in_the_table() {
    for rule in ALL.iter() {
        let Some(elastic) = rule.elastic else { continue };
        let is_row = |line: &str| {
            let mut cells = line.split('\t').skip(1);
            let known = cells.next().is_some_and(|id| !id.is_empty() && elastic.uuid.starts_with(id));
            known && cells.next() == Some(rule.id)
        };
        assert!(ELASTIC.lines().any(is_row), "{}", rule.id);
    }
}

#[test]
fn the_document_is_written_from_the_rules() {
    let expected = ALL.iter().fold(PREFACE.to_owned(), |text, rule| text + &section(rule)) + &elastic();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/RULES.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, &expected).expect("writable");
    }
    let found = fs::read_to_string(path).expect("RULES.md");
    assert!(found == expected, "RULES.md is not what the rules say: BLESS=1 cargo test --test domain rule");
}

#[test]
fn every_file_is_a_rule_whose_examples_stand_last() {
    let quickly: Vec<Rule> = FILES.iter().map(|(name, text)| file::rule(name, text).expect(name)).collect();
    let whole = FILES.iter().map(|(name, text)| file::rule_and_examples(name, text).expect(name).0);
    assert_eq!(quickly, whole.collect::<Vec<_>>());
    assert_eq!(quickly, *ALL);
}

#[test]
fn the_examples_in_the_files_hold() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_replay")).arg("--test-rules").output().expect("replay runs");
    let stdout = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    assert_eq!(stdout.matches("examples as expected").count(), ALL.len(), "{stdout}");
}

/// `id  key  threshold distinct  window/cooldown  severity risk  on`.
#[track_caller]
fn check_table(id: &str, expected: &str) {
    let rule = built_in(id);
    let minutes = |span: std::time::Duration| span.as_secs() / 60;
    let shown = format!(
        "{}  {} {}  {}/{} min  {} {}  {}",
        words(rule.group_by.iter().copied()),
        rule.threshold,
        words([rule.distinct].into_iter()),
        minutes(rule.window),
        minutes(rule.cooldown),
        rule.severity.name(),
        rule.risk_score,
        if rule.on { "on" } else { "off" }
    );
    assert_eq!(shown, expected, "{id}");
    assert_eq!(rule.risk_score, rule.severity.risk_score());
}

#[test]
fn the_figures_are_those_of_the_contract() {
    check_table("denied-model", "account, user, model  3 request  60/60 min  high 73  on");
    check_table("model-sweep", "account, caller  3 model  60/60 min  high 73  on");
    check_table("session-rotation", "account, caller, model  3 session  60/60 min  medium 47  on");
    check_table("key-quarantined", "account, user  0 request  60/1440 min  critical 99  on");
    check_table("impossible-request", "account, user  0 request  60/1440 min  high 73  on");
    check_table("model-probe", "account, caller  5 model  60/60 min  high 73  on");
    check_table("region-sweep", "account, caller  2 region  60/60 min  medium 47  on");
    check_table("key-recon", "account, user, access key  2 operation  15/1440 min  medium 47  on");
    check_table("model-access-changed", "account, user  0 request  60/1440 min  medium 47  on");
    check_table("api-key-escape", "account, user  0 request  60/1440 min  high 73  on");
    check_table("key-addresses", "account, user, access key  5 address  60/60 min  medium 47  off");
    check_table("empty-answers", "account, resource  9 request  60/60 min  low 21  off");
    check_table("role-denials", "account, role, model  6 request  60/60 min  medium 47  on");
    check_table("slow-denials", "account, caller, model  12 request  1440/1440 min  low 21  on");
    check_table("validation-burst", "account, user  3 request  1/60 min  high 73  off");
}

const GOOD: &str = include_str!("../../rules/denied-model.toml");

/// Puts `new` in place of `old` in a good rule file.
#[track_caller]
fn check_refused(old: &str, new: &str, told: &str) {
    check_refused_at(old, new, 0, told);
}

/// The same, for a fault so many lines below the first of `new`.
#[track_caller]
fn check_refused_at(old: &str, new: &str, below: usize, told: &str) {
    assert!(GOOD.contains(old), "{old}");
    let text = GOOD.replacen(old, new, 1);
    let error = file::rule_and_examples("rules/denied-model.toml", &text).expect_err(new).to_string();
    let place = GOOD.find(old).expect("there");
    let line = 1 + below + text[..place].matches('\n').count();
    assert_eq!(error, format!("rules/denied-model.toml:{line}: {told}"));
}

const GROUP_BY: &str = "group_by: expected \"account\", and perhaps one of \"user\", \"caller\" and \"role\", and \"model\", \"region\", \"address\", \"operation\", \"access_key\" and \"resource\", each once";

#[test]
fn a_bad_file_is_refused_with_file_line_field_and_what_was_expected() {
    check_refused("threshold = 3", "threshold = 1001", "threshold: expected a whole number from 0 to 1000");
    check_refused("threshold = 3", "threshold = -1", "threshold: expected a whole number from 0 to 1000");
    check_refused("threshold = 3", "threshold = \"3\"", "threshold: expected a whole number from 0 to 1000");
    let minutes = "expected whole minutes from 1m to 24h, such as 60m or 1h";
    check_refused("window = \"60m\"", "window = \"90s\"", &format!("window: {minutes}"));
    check_refused("window = \"60m\"", "window = 60", &format!("window: {minutes}"));
    check_refused("risk_score = 73", "risk_score = 101", "risk_score: expected a whole number from 0 to 100");
    check_refused(
        "severity = \"high\"",
        "severity = \"High\"",
        "severity: unknown variant `High`, expected one of `low`, `medium`, `high`, `critical`; did you mean high?",
    );
    check_refused("on = true", "on = \"yes\"", "on: invalid type: string \"yes\", expected a boolean");
    check_refused(
        "id = \"denied-model\"",
        "id = \"denied_model\"",
        "id: expected the file's name without .toml: lower-case letters, digits and hyphens, at most 64",
    );
    check_refused(
        "title = \"AWS Bedrock Detected Multiple Attempts to use Denied Models by a Single User\"",
        "title = \" \"",
        "title: expected text",
    );
    check_refused(
        "noun = \"denials\"",
        "noun = \"refused calls\"",
        "wording.noun: expected one word of at most 9 letters, in the plural",
    );
    check_refused("[\"AccessDeniedException\"]", "[]", "record[0].error_codes: expected at least one");
    check_refused(
        "[\"AccessDeniedException\"]",
        "[\"Access\\\"Denied\"]",
        "record[0].error_codes[0]: expected an error code such as AccessDeniedException, of letters and digits",
    );
    check_refused(
        "error_codes = [\"AccessDeniedException\"]",
        "causes = \"set-up\"",
        &format!(
            "record[0].causes: expected a class of causes or a cause: {}",
            cause::names().collect::<Vec<_>>().join(", ")
        ),
    );
    check_refused(
        "error_codes = [\"AccessDeniedException\"]",
        "operations = [\"bedrock:InvokeModel\"]",
        "record[0].operations[0]: expected an operation such as ListFoundationModels, of letters and digits",
    );
    check_refused(
        "error_codes = [\"AccessDeniedException\"]",
        "credential = [\"root\"]",
        "record[0].credential[0]: unknown variant `root`, expected one of `api-key`, `long-term`, `temporary`",
    );
    check_refused(
        "error_codes = [\"AccessDeniedException\"]",
        "outcome = \"success\"",
        "record[0].outcome: unknown variant `success`, expected one of `any`, `refused`, `failed`, `succeeded`; did you mean succeeded?",
    );
    check_refused(
        "error_codes = [\"AccessDeniedException\"]",
        "users = \"[\"",
        "record[0].users: expected a glob such as bedrock* or arn:aws:iam::*:user/app-*",
    );
    check_refused(
        "group_by = [\"account\", \"user\", \"model\"]",
        "group_by = [\"user\", \"model\"]",
        GROUP_BY,
    );
    check_refused(
        "group_by = [\"account\", \"user\", \"model\"]",
        "group_by = [\"account\", \"user\", \"caller\"]",
        GROUP_BY,
    );
    check_refused(
        "count = \"request\"",
        "count = \"model\"",
        "count: expected \"request\", \"model\", \"session\", \"region\", \"address\", \"operation\", \"access_key\" or \"resource\", and not what the rule groups by",
    );
    check_refused(
        "headline = \"{user} denied {model} {count}x\"",
        "headline = \"{role} denied {count} times\"",
        "wording.headline: expected {count} in it, and no place but {count} or {user} or {model}",
    );
    check_refused(
        "title = \"{user} denied {model} {count} times\"",
        "title = \"denied\"",
        "wording.title: expected {count} in it, and no place but {count} or {user} or {model}",
    );
    check_refused(
        "reference = \"https://atlas.mitre.org/techniques/AML.T0015\"",
        "reference = \"atlas\"",
        "techniques[0].reference: expected an address that begins with https://",
    );
}

#[test]
fn severities_that_contradict_their_score_or_would_raise_are_refused() {
    check_refused(
        "risk_score = 73",
        "risk_score = 47",
        "risk_score: expected 48 to 73 for severity high, such as 73",
    );
    check_refused(
        "risk_score = 73",
        "risk_score = 74",
        "risk_score: expected 48 to 73 for severity high, such as 73",
    );
    let lower = "severity = \"medium\"\nrisk_score = 47";
    check_refused_at(
        lower,
        "severity = \"high\"\nrisk_score = 73",
        0,
        "severity_if.severity: expected one below the rule's: low or medium",
    );
    check_refused_at(
        lower,
        "severity = \"low\"\nrisk_score = 22",
        1,
        "severity_if.risk_score: expected 0 to 21 for severity low, such as 21",
    );
    check_refused(
        "causes = \"setup\"",
        "causes = \"Marketplace subscription\"",
        "severity_if.causes: expected a class of causes: policy, quarantine, setup, account, request or unknown",
    );
    let lowest =
        GOOD.replacen("severity = \"high\"\nrisk_score = 73", "severity = \"low\"\nrisk_score = 21", 1);
    let error = file::rule_and_examples("rules/denied-model.toml", &lowest).expect_err("refused").to_string();
    assert!(
        error.ends_with(": severity_if.severity: expected no such table: no severity is below low"),
        "{error}"
    );
}

#[test]
fn a_field_too_many_or_too_few_is_denied() {
    let refused = |text: &str| {
        file::rule_and_examples("rules/denied-model.toml", text).expect_err("refused").to_string()
    };
    let error = refused(&GOOD.replacen("on = true", "on = true\nenabled = true", 1));
    assert!(
        error.starts_with(
            "rules/denied-model.toml:7: enabled: unknown field `enabled`, expected one of `id`, "
        ),
        "{error}"
    );
    let error = refused(&GOOD.replacen("version = \"1\"\n", "", 1));
    assert!(error.ends_with(": missing field `version`"), "{error}");
    let error = refused(&GOOD.replacen("version = \"1\"", "version = 1\"", 1));
    assert!(error.starts_with("rules/denied-model.toml:5: "), "{error}");
    let error = refused("");
    assert_eq!(
        error,
        "rules/denied-model.toml:1: the file is empty: expected a rule, as docs/rules.md shows"
    );
}

#[test]
fn a_missing_table_is_named_rather_than_the_fields_that_went_elsewhere() {
    check_refused_at(
        "[wording]\n",
        "",
        1,
        "severity_if.headline: unknown field `headline`, expected one of `causes`, `severity`, `risk_score`; it belongs \
         below [wording]: is that line missing?",
    );
    let wording = GOOD.find("\n[wording]").expect("a table");
    let example = GOOD.find("\n[[example]]").expect("a table");
    let text = GOOD[..wording].to_owned() + &GOOD[example..];
    let error = file::rule_and_examples("rules/denied-model.toml", &text).expect_err("refused").to_string();
    let told =
        ": missing field `wording`: expected [wording] with noun, headline, reason, title, opening, meaning";
    assert!(error.ends_with(told), "{error}");
    let text = GOOD.replacen("threshold =", "treshold =", 1);
    let error = file::rule_and_examples("rules/denied-model.toml", &text).expect_err("refused").to_string();
    assert!(error.ends_with("; did you mean threshold?"), "{error}");
}

#[test]
fn every_cause_that_a_rule_can_name_is_explained() {
    let page = fs::read_to_string("docs/alerts.md").expect("readable");
    for name in cause::names() {
        assert!(page.contains(&format!("`{name}`")), "docs/alerts.md, Causes: {name} is missing");
    }
}

#[test]
fn severities_rise_and_each_score_agrees_with_one() {
    assert!(Severity::ALL.is_sorted());
    for severity in Severity::ALL {
        assert_eq!(Severity::of_risk_score(severity.risk_score()), severity);
    }
    let agrees = |score: u8| Severity::ALL.into_iter().filter(move |one| one.risk_scores().contains(&score));
    assert!((0..=100).all(|score| agrees(score).eq([Severity::of_risk_score(score)])));
    assert!(Severity::ALL.map(Severity::risk_score).is_sorted());
}

#[test]
fn the_rule_that_the_guide_writes_is_good() {
    let guide = fs::read_to_string("docs/rules.md").expect("readable");
    let (_, behind) = guide.split_once("```toml\n").expect("a rule file");
    let (text, _) = behind.split_once("```").expect("its end");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("throttled.toml"), text).expect("writable");
    let output = Command::new(env!("CARGO_BIN_EXE_replay"))
        .args(["--test-rules", "--rules-dir"])
        .arg(folder.path())
        .output()
        .expect("replay runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("throttled.toml: 2 of 2 examples as expected"), "{stdout}");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
