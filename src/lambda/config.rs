//! The Lambda's environment → one value, read once at the start.

use lambda_runtime::tracing::Level;

use crate::rule::bounds;
use crate::rule::catalogue::{ALL, DENIED_MODEL};
use crate::rule::settings::{Setting, Settings};

/// The Lambda's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `TABLE_NAME`: the DynamoDB table of counters and alerts.
    pub table_name: String,
    /// `TOPIC_ARN`: the SNS topic for people.
    pub topic_arn: String,
    /// `EVERY_ALERT_TOPIC_ARN`: the SNS topic that gets each alert as its own message.
    pub every_alert_topic_arn: Option<String>,
    /// `EVENT_BUS_ARN`: the EventBridge bus that gets each notice as an OCSF finding.
    pub event_bus_arn: Option<String>,
    /// `RULES`, `RULE_SETTINGS`, `THRESHOLD`, `WINDOW_MINUTES`, `COOLDOWN_MINUTES`, `EXEMPT_USERS`.
    pub settings: Settings,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

/// A variable that keeps the Lambda from starting.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is required and not set.
    #[error("{name} is not set: expected {expected}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// Its value is bad.
    #[error("{name}={value:?}: {expected}")]
    Bad {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What was expected, as a sentence.
        expected: String,
    },
    /// A rule's settings are valid one by one, but not together.
    #[error("{0}")]
    TooCostly(String),
}

const TABLE: &str = "the name or ARN of the DynamoDB table";
const BUS: &str =
    "the ARN of an EventBridge event bus, such as arn:aws:events:us-east-1:123456789012:event-bus/security";
const TOPIC: &str = "the ARN of a standard SNS topic, such as arn:aws:sns:us-east-1:123456789012:alerts";

impl Config {
    /// Reads every variable through `variable`; one that is empty counts as not set.
    ///
    /// # Errors
    /// The first variable that is missing or bad.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let get = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let required = |name, expected| get(name).ok_or(ConfigError::Missing { name, expected });
        let table_name = required("TABLE_NAME", TABLE)?;
        let topic_arn = required("TOPIC_ARN", TOPIC)?;
        let topic_arn = parsed("TOPIC_ARN", Some(topic_arn), standard_topic)?.unwrap_or_default();
        let mut settings = Settings::new(ALL.clone());
        parsed("RULES", get("RULES"), |text| settings.choose("RULES", text))?;
        let mut denied_model =
            |name, setting, value: &str| settings.set(name, DENIED_MODEL.id, setting, value);
        parsed("THRESHOLD", get("THRESHOLD"), |text| denied_model("THRESHOLD", Setting::Threshold, text))?;
        parsed("WINDOW_MINUTES", get("WINDOW_MINUTES"), |text| {
            denied_model("WINDOW_MINUTES", Setting::Window, &span(text)?)
        })?;
        parsed("COOLDOWN_MINUTES", get("COOLDOWN_MINUTES"), |text| {
            denied_model("COOLDOWN_MINUTES", Setting::Cooldown, &span(text)?)
        })?;
        parsed("RULE_SETTINGS", get("RULE_SETTINGS"), |text| settings.apply("RULE_SETTINGS", text))?;
        settings.check().map_err(ConfigError::TooCostly)?;
        settings.exempt_users = parsed("EXEMPT_USERS", get("EXEMPT_USERS"), user_globs)?.unwrap_or_default();
        Ok(Self {
            table_name,
            topic_arn,
            every_alert_topic_arn: parsed(
                "EVERY_ALERT_TOPIC_ARN",
                get("EVERY_ALERT_TOPIC_ARN"),
                standard_topic,
            )?,
            event_bus_arn: parsed("EVENT_BUS_ARN", get("EVENT_BUS_ARN"), event_bus)?,
            settings,
            log_level: parsed("LOG_LEVEL", get("LOG_LEVEL"), log_level)?.unwrap_or(Level::INFO),
        })
    }
}

fn parsed<T>(
    name: &'static str,
    value: Option<String>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    let Some(value) = value else { return Ok(None) };
    match parse(&value) {
        Ok(parsed) => Ok(Some(parsed)),
        Err(expected) => Err(ConfigError::Bad { name, value, expected }),
    }
}

/// A FIFO topic, the only kind with a dot in its name, is refused: it wants a group for each
/// message and has no email or chat subscribers.
fn standard_topic(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.trim().split(':').collect();
    match parts[..] {
        ["arn", _, "sns", _, _, name] if !name.is_empty() && !name.contains('.') => {
            Ok(text.trim().to_owned())
        }
        _ => Err(format!("expected {TOPIC}")),
    }
}

fn event_bus(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.trim().split(':').collect();
    match parts[..] {
        ["arn", _, "events", _, _, bus]
            if bus.strip_prefix("event-bus/").is_some_and(|name| !name.is_empty()) =>
        {
            Ok(text.trim().to_owned())
        }
        _ => Err(format!("expected {BUS}")),
    }
}

/// A number of minutes as a span.
fn span(text: &str) -> Result<String, String> {
    Ok(format!("{}s", bounds::minutes(text)?.as_secs()))
}

/// IAM names may hold a comma; a glob writes it as `?`.
fn user_globs(text: &str) -> Result<Vec<glob::Pattern>, String> {
    let globs = text.split(',').map(str::trim).filter(|glob| !glob.is_empty());
    globs.map(bounds::user_glob).collect()
}

fn log_level(text: &str) -> Result<Level, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "error" => Ok(Level::ERROR),
        "warn" => Ok(Level::WARN),
        "info" => Ok(Level::INFO),
        "debug" => Ok(Level::DEBUG),
        "trace" => Ok(Level::TRACE),
        _ => Err("expected error, warn, info, debug or trace".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rule::definition::Rule;

    const GOOD: [(&str, &str); 2] =
        [("TABLE_NAME", "denials"), ("TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:alerts")];

    fn read(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(|name| {
            let all = changes.iter().chain(&GOOD);
            let mut named = all.filter(|(variable, _)| *variable == name);
            named.next().map(|(_, value)| (*value).to_owned())
        })
    }

    #[track_caller]
    fn check_refused(name: &str, value: &str, expected: &str) {
        let error = read(&[(name, value)]).expect_err("refused").to_string();
        assert!(error.starts_with(name) && error.contains(expected), "{error}");
        if !value.is_empty() {
            assert!(error.contains(value), "{error}");
        }
    }

    #[test]
    fn what_is_not_set_follows_the_rule() {
        let config = read(&[("THRESHOLD", " "), ("EXEMPT_USERS", " "), ("LOG_LEVEL", "")]);
        let config = config.expect("good");
        assert_eq!(config.table_name, "denials");
        assert_eq!(config.settings.rules, *ALL);
        assert!(config.settings.exempt_users.is_empty());
        assert_eq!(config.log_level, Level::INFO);
    }

    #[test]
    fn what_is_set_is_used_and_the_cooldown_follows_the_window() {
        let config = read(&[
            ("THRESHOLD", "5"),
            ("WINDOW_MINUTES", "30"),
            ("EXEMPT_USERS", "arn:aws:iam::*:role/a, ,*b*"),
            ("LOG_LEVEL", "Debug"),
        ]);
        let config = config.expect("good");
        let rule = config.settings.rules.iter().find(|rule| rule.id == "denied-model").expect("there");
        assert_eq!(rule.threshold, 5);
        assert_eq!(rule.window, Duration::from_mins(30));
        assert_eq!(rule.cooldown, Duration::from_mins(30));
        assert_eq!(config.settings.exempt_users.len(), 2);
        assert_eq!(config.log_level, Level::DEBUG);
        let config = read(&[("COOLDOWN_MINUTES", "90")]).expect("good");
        let denied_model = config.settings.rules.iter().find(|rule| rule.id == "denied-model");
        assert_eq!(denied_model.expect("there").cooldown, Duration::from_mins(90));
        // They are those of one rule.
        let others = |rules: &[Rule]| -> Vec<Rule> {
            rules.iter().filter(|rule| rule.id != "denied-model").cloned().collect()
        };
        assert_eq!(others(&config.settings.rules), others(&ALL));
    }

    #[test]
    fn rules_are_chosen_and_every_one_can_be_set() {
        let config = read(&[
            ("RULES", "validation-burst,denied-model"),
            ("THRESHOLD", "5"),
            ("RULE_SETTINGS", "validation-burst.threshold=9,denied-model.threshold=7,model-sweep.on=true"),
        ]);
        let on = config.expect("good").settings.rules_on();
        let shown: Vec<(&str, usize)> = on.iter().map(|rule| (rule.id, rule.threshold)).collect();
        assert_eq!(shown, [("denied-model", 7), ("model-sweep", 3), ("validation-burst", 9)]);
    }

    #[test]
    fn a_bad_value_is_named_with_what_was_expected() {
        check_refused("TABLE_NAME", "", "the DynamoDB table");
        check_refused("TOPIC_ARN", "", "a standard SNS topic");
        check_refused("TOPIC_ARN", "alerts", "expected the ARN");
        check_refused("EVERY_ALERT_TOPIC_ARN", "alerts", "expected the ARN");
        check_refused("EVENT_BUS_ARN", "security", "expected the ARN of an EventBridge event bus");
        check_refused("EVENT_BUS_ARN", "arn:aws:events:us-east-1:1:rule/security", "expected the ARN");
        check_refused("TOPIC_ARN", "arn:aws:sqs:us-east-1:1:alerts", "expected the ARN");
        check_refused("TOPIC_ARN", "arn:aws:sns:us-east-1:1:alerts.fifo", "standard");
        check_refused(
            "RULES",
            "denied-model,sweep",
            "expected one or more of api-key-escape, denied-model, empty-answers",
        );
        check_refused("RULE_SETTINGS", "denied-model.threshold", "expected <rule>.<setting>=<value>");
        check_refused(
            "RULE_SETTINGS",
            "denied-model.window=0m",
            "denied-model.window=0m: expected whole minutes",
        );
        check_refused("THRESHOLD", "three", "expected a whole number");
        check_refused("WINDOW_MINUTES", "0", "expected");
        check_refused("COOLDOWN_MINUTES", "1h", "expected");
        check_refused("EXEMPT_USERS", "a,[", "expected a glob");
        check_refused("LOG_LEVEL", "loud", "expected error, warn");
    }

    #[test]
    fn settings_that_are_too_costly_together_are_refused_with_the_reason() {
        let costly = [("WINDOW_MINUTES", "1440"), ("COOLDOWN_MINUTES", "59")];
        let error = read(&costly).expect_err("refused").to_string();
        assert!(error.starts_with("denied-model: a cooldown of 59 minutes"), "{error}");
        assert!(error.ends_with("60 minutes or more"), "{error}");
        let off = [&costly[..], &[("RULES", "model-sweep")]].concat();
        assert!(read(&off).is_ok(), "a rule that is off costs nothing");
    }
}
