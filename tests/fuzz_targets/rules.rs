//! Rule files and settings: what is wrong is said with its place and what was expected, and what is accepted can
//! be used.

use bedrock_denial_watch::rule::bounds::{MAX_MINUTES, MAX_SUM, MAX_THRESHOLD};
use bedrock_denial_watch::rule::catalogue::ALL;
use bedrock_denial_watch::rule::definition::{Rule, Weight};
use bedrock_denial_watch::rule::file;
use bedrock_denial_watch::rule::settings::Settings;

use super::SEPARATOR;

/// The input is a rule file and, behind a separator, settings.
pub fn check(input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    let (text, settings) = input.split_once(SEPARATOR).unwrap_or((&input, ""));
    let mut rules = ALL.clone();
    rules.extend(rule(text));
    apply(rules, settings);
}

/// Reads a file that has the name which its id asks for.
fn rule(text: &str) -> Option<Rule> {
    let id = text.split("id = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("x");
    let name = format!("rules/{}.toml", id.replace('/', "-"));
    let read = file::rule_and_examples(&name, text);
    let without_examples = file::rule(&name, text);
    match read {
        Ok((rule, examples)) => {
            check_rule(&rule);
            if text.matches("[[example]]").count() == text.matches("\n[[example]]").count() {
                assert_eq!(without_examples.as_ref(), Ok(&rule), "the examples change the rule");
            }
            for example in examples {
                assert!(example.log().len() <= 16 << 20, "{} bytes of examples", example.log().len());
            }
            Some(rule)
        }
        Err(error) => {
            assert_eq!(error.file, name);
            assert!((1..=1 + text.matches('\n').count()).contains(&error.line), "{error}");
            assert!(!error.problem.is_empty() && !error.problem.contains("$__"), "{error}");
            assert!(!error.field.contains("$__"), "{error}");
            assert!(error.to_string().starts_with(&format!("{name}:{}: ", error.line)), "{error}");
            None
        }
    }
}

fn check_rule(rule: &Rule) {
    let minutes = 1..=MAX_MINUTES;
    for span in [rule.window, rule.cooldown] {
        assert!(span.subsec_nanos() == 0 && span.as_secs().is_multiple_of(60), "{span:?}");
        assert!(minutes.contains(&(span.as_secs() / 60)), "{span:?}");
    }
    let slot = rule.slot();
    assert!(!slot.is_zero() && slot <= rule.window && slot <= rule.cooldown, "{slot:?}");
    assert!(rule.threshold <= if rule.weight == Weight::One { MAX_THRESHOLD } else { MAX_SUM });
    assert!(rule.risk_score <= 100 && rule.samples() <= MAX_THRESHOLD + 1);
    for phrase in [rule.wording.headline, rule.wording.reason, rule.wording.title] {
        assert!(phrase.contains("{count}"), "{phrase}");
    }
}

fn apply(rules: Vec<Rule>, text: &str) {
    let mut settings = Settings::new(rules);
    let (chosen, set) = text.split_once('\n').unwrap_or((text, ""));
    for result in [settings.choose("RULES", chosen), settings.apply("RULE_SETTINGS", set), settings.check()] {
        if let Err(error) = result {
            assert!(error.contains("expected"), "{error}");
        }
    }
    settings.rules.iter().for_each(check_rule);
}
