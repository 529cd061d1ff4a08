//! What a user may set, with its bounds: the same for `replay` and the Lambda.

use std::time::Duration;

use glob::Pattern;

use crate::rule::{DENIED_MODEL, Rule};

/// Upper bound of the threshold: an object then samples at most 2,002 values a slot.
pub const MAX_THRESHOLD: usize = 1000;
/// Upper bound of window and cooldown, in minutes: one day.
pub const MAX_MINUTES: u64 = 24 * 60;

/// The settings of a detector.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The rule with the user's threshold, window and cooldown.
    pub rule: Rule,
    /// Users that are counted but never alerted.
    pub exempt_users: Vec<Pattern>,
}

impl Settings {
    /// The first rule with some of its values replaced; the cooldown follows the window.
    #[must_use]
    pub fn new(
        threshold: Option<usize>,
        window: Option<Duration>,
        cooldown: Option<Duration>,
        exempt_users: Vec<Pattern>,
    ) -> Self {
        let window = window.unwrap_or(DENIED_MODEL.window);
        let rule = Rule {
            threshold: threshold.unwrap_or(DENIED_MODEL.threshold),
            window,
            cooldown: cooldown.unwrap_or(window),
            ..DENIED_MODEL
        };
        Self { rule, exempt_users }
    }
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
        check(user_glob, &[("*", Pattern::new("*").expect("a glob"))], &["[", "a***"]);
    }
}
