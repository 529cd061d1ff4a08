//! The values a rule may have, in its file and in settings alike. Errors say what was expected.

use std::time::Duration;

use glob::Pattern;

use super::definition::{Severity, Weight};

/// Upper bound of the threshold: an object then samples at most 2,002 values per slot.
pub const MAX_THRESHOLD: usize = 1000;
/// Upper bound of window and cooldown, in minutes: one day.
pub const MAX_MINUTES: u64 = 24 * 60;

/// Upper bound of the threshold of a rule that sums.
pub const MAX_SUM: usize = 1_000_000_000_000;

/// Reads the threshold of a rule that counts by `weight`.
///
/// # Errors
/// What was expected.
pub fn threshold(weight: Weight, text: &str) -> Result<usize, String> {
    let most = if weight == Weight::One { MAX_THRESHOLD } else { MAX_SUM };
    let number = text.trim().parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| format!("expected a whole number from 0 to {most}"))
}

/// Reads a number of minutes.
///
/// # Errors
/// What was expected.
pub fn minutes(text: &str) -> Result<Duration, String> {
    let number = text.trim().parse().ok().filter(|number| (1..=MAX_MINUTES).contains(number));
    number
        .map(|number: u64| Duration::from_secs(number.saturating_mul(60)))
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

/// Reads a severity.
///
/// # Errors
/// What was expected.
pub fn severity(text: &str) -> Result<Severity, String> {
    let text = text.trim();
    let known = Severity::ALL.into_iter().find(|severity| severity.name() == text);
    known.ok_or_else(|| "expected low, medium, high or critical".to_owned())
}

/// Reads whether a rule is enabled.
///
/// # Errors
/// What was expected.
pub fn on(text: &str) -> Result<bool, String> {
    text.trim().parse().map_err(|_| "expected true or false".to_owned())
}

/// Reads a glob on user ARNs, such as `arn:aws:sts::*:assumed-role/load-test/*`.
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
        let (count, sum) =
            (|text: &str| threshold(Weight::One, text), |text: &str| threshold(Weight::Tokens, text));
        check(count, &[("0", 0), ("3", 3), ("1000", 1000)], &["", "-1", "1001", "three", "3.5"]);
        check(sum, &[("0", 0), ("1000000000000", MAX_SUM)], &["", "-1", "1000000000001"]);
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
        check(severity, &[("low", Severity::Low), (" critical ", Severity::Critical)], &["", "High", "73"]);
        check(on, &[("true", true), (" false", false)], &["", "yes", "1", "True"]);
        check(user_glob, &[("*", Pattern::new("*").expect("a glob"))], &["[", "a***"]);
    }
}
