//! What a user may set, with its bounds: the same for `replay` and the Lambda.

use std::time::Duration;

use glob::Pattern;

use super::catalogue::{self, DENIED_MODEL};
use crate::rule::definition::Rule;

/// Upper bound of the threshold: an object then samples at most 2,002 values a slot.
pub const MAX_THRESHOLD: usize = 1000;
/// Upper bound of window and cooldown, in minutes: one day.
pub const MAX_MINUTES: u64 = 24 * 60;

/// The settings of a detector.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The rules that are on.
    pub rules: Vec<Rule>,
    /// Users that are counted but never alerted.
    pub exempt_users: Vec<Pattern>,
}

impl Settings {
    /// `rules`, or those that are on by default. Threshold, window and cooldown are those of
    /// `denied-model`, whose cooldown follows the window; the other rules have their own.
    #[must_use]
    pub fn new(
        rules: Option<Vec<Rule>>,
        threshold: Option<usize>,
        window: Option<Duration>,
        cooldown: Option<Duration>,
        exempt_users: Vec<Pattern>,
    ) -> Self {
        let mut rules = rules.unwrap_or_else(|| catalogue::DEFAULT.to_vec());
        for rule in rules.iter_mut().filter(|rule| rule.id == DENIED_MODEL.id) {
            rule.threshold = threshold.unwrap_or(rule.threshold);
            rule.window = window.unwrap_or(rule.window);
            rule.cooldown = cooldown.unwrap_or(rule.window);
        }
        Self { rules, exempt_users }
    }
}

/// Reads the ids of rules, separated by commas.
///
/// # Errors
/// What was expected.
pub fn rules(text: &str) -> Result<Vec<Rule>, String> {
    let mut chosen: Vec<Rule> = Vec::new();
    for id in text.split(',').map(str::trim).filter(|id| !id.is_empty()) {
        let rule = rule(id)?;
        if !chosen.contains(&rule) {
            chosen.push(rule);
        }
    }
    if chosen.is_empty() { Err(expected_rules()) } else { Ok(chosen) }
}

fn rule(id: &str) -> Result<Rule, String> {
    catalogue::ALL.into_iter().find(|rule| rule.id == id).ok_or_else(expected_rules)
}

fn expected_rules() -> String {
    let ids: Vec<&str> = catalogue::ALL.iter().map(|rule| rule.id).collect();
    format!("expected one or more of {}, separated by commas", ids.join(", "))
}

/// Reads a threshold.
///
/// # Errors
/// What was expected.
pub fn threshold(text: &str) -> Result<usize, String> {
    let expected = || format!("expected a whole number from 0 to {MAX_THRESHOLD}");
    text.trim().parse().ok().filter(|number| *number <= MAX_THRESHOLD).ok_or_else(expected)
}

/// Reads a number of minutes.
///
/// # Errors
/// What was expected.
pub fn minutes(text: &str) -> Result<Duration, String> {
    let number = text.trim().parse().ok().filter(|number| (1..=MAX_MINUTES).contains(number));
    number
        .map(|number: u64| Duration::from_secs(number * 60))
        .ok_or_else(|| format!("expected a whole number of minutes from 1 to {MAX_MINUTES}"))
}

/// Reads a span such as `60m` or `1h 30m`.
///
/// # Errors
/// What was expected.
pub fn span(text: &str) -> Result<Duration, String> {
    let whole = |span: &Duration| span.subsec_nanos() == 0 && span.as_secs().is_multiple_of(60);
    let in_range = |span: &Duration| (1..=MAX_MINUTES).contains(&(span.as_secs() / 60));
    let span = humantime::parse_duration(text).ok().filter(whole).filter(in_range);
    span.ok_or_else(|| "expected whole minutes from 1m to 24h, such as 60m or 1h".to_owned())
}

/// Reads a glob on user ARNs, such as `*:assumed-role/load-test/*`.
///
/// # Errors
/// What was expected.
pub fn user_glob(text: &str) -> Result<Pattern, String> {
    Pattern::new(text)
        .map_err(|error| format!("expected a glob on the user's ARN with *, ? and [..]: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: std::fmt::Debug + PartialEq>(
        read: impl Fn(&str) -> Result<T, String>,
        good: &[(&str, T)],
        bad: &[&str],
    ) {
        for (text, expected) in good {
            assert_eq!(read(text).as_ref(), Ok(expected), "{text:?}");
        }
        for text in bad {
            let error = read(text).expect_err(text);
            assert!(error.starts_with("expected"), "{text:?}: {error}");
        }
    }

    #[test]
    fn values_out_of_bounds_are_refused_with_what_was_expected() {
        let minute = Duration::from_secs(60);
        check(threshold, &[("0", 0), ("3", 3), ("1000", 1000)], &["", "-1", "1001", "three", "3.5"]);
        check(
            minutes,
            &[("1", minute), ("60", 60 * minute), ("1440", 1440 * minute)],
            &["0", "1441", "1h", ""],
        );
        check(
            span,
            &[
                ("1m", minute),
                ("60m", 60 * minute),
                ("1h 30m", 90 * minute),
                ("1d", 1440 * minute),
                ("120s", 2 * minute),
            ],
            &["", "60", "0m", "30s", "90s", "25h", "60 bananas"],
        );
        check(
            |text| rules(text).map(|rules| rules.iter().map(|rule| rule.id).collect::<Vec<_>>()),
            &[
                ("model-sweep", vec!["model-sweep"]),
                (" denied-model ,,model-sweep,denied-model", vec!["denied-model", "model-sweep"]),
            ],
            &["", ",", "denied_model", "all"],
        );
        check(user_glob, &[("*", Pattern::new("*").expect("a glob"))], &["[", "a***"]);
    }
}
