//! `RULES.md` says what the rules are: it is written from them. `BLESS=1 cargo test --test domain rule`
//! writes it anew.

use std::fmt::Write as _;
use std::fs;

use bedrock_denial_watch::rule::catalogue::{ALL, DEFAULT};
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::rule::field::Field;

const PREFACE: &str = "\
# Rules

Which of them are on is one setting: `DetectionRules` of the stack, `RULES` of the function,
`--rules` of `replay`. One reading of an object serves all; a rule that is off costs nothing.
`Threshold`, `WindowMinutes` and `CooldownMinutes` are those of `denied-model`; the other rules
have the figures below. Users that match `ExemptUsers` raise no alert of any rule.

A value that a record lacks is a value of its own, but for roles and sessions: a caller without
them is not counted by a rule about them. Written from `src/rule/catalogue.rs`.
";

fn words(fields: impl Iterator<Item = Field>) -> String {
    fields.map(|field| field.label().to_lowercase()).collect::<Vec<_>>().join(", ")
}

fn section(rule: &Rule) -> String {
    let Rule { id, name, severity, risk_score, threshold, wording, .. } = rule;
    let minutes = |span: std::time::Duration| span.as_secs() / 60;
    let on = if DEFAULT.contains(rule) { "on by default" } else { "off by default" };
    let mut text = format!(
        "\n## {id}\n\n{name}; {severity}, risk score {risk_score}; {on}.\n\n{meaning}\n\n\
         - For each {group}: more than {threshold} different {distinct}s failing with `{code}` within {window} min,\n  \
         one alert in {cooldown} min\n",
        severity = severity.name(),
        meaning = wording.meaning,
        group = words(rule.group_by.iter().copied()),
        distinct = words([rule.distinct].into_iter()),
        code = rule.error_codes.join("` or `"),
        window = minutes(rule.window),
        cooldown = minutes(rule.cooldown),
    );
    for role in rule.excepted_roles {
        let _ = writeln!(text, "- Not counted: roles named `{role}*`");
    }
    if let Some(uuid) = rule.uuid {
        let _ = writeln!(text, "- Elastic's rule `{uuid}`");
    }
    for technique in rule.techniques {
        let _ =
            writeln!(text, "- MITRE ATLAS [{} {}]({})", technique.id, technique.name, technique.reference);
    }
    let _ = writeln!(text, "- [Reference]({})\n\nWhat to do first\n", rule.reference);
    for (number, step) in (1..).zip(rule.triage) {
        let _ = writeln!(text, "{number}. {step}");
    }
    text += "\nIt may be honest\n\n";
    for honest in rule.false_positives {
        let _ = writeln!(text, "- {honest}");
    }
    text
}

#[test]
fn the_document_is_written_from_the_rules() {
    let expected = ALL.iter().fold(PREFACE.to_owned(), |text, rule| text + &section(rule));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/RULES.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, &expected).expect("writable");
    }
    let found = fs::read_to_string(path).expect("RULES.md");
    assert!(found == expected, "RULES.md is not what the rules say: BLESS=1 cargo test --test domain rule");
}
