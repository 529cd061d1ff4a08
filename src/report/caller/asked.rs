//! Whose story is asked for, and of which time.

use glob::{Pattern, PatternError};

use crate::rule::identity::Identity;
use crate::source::time::EventTime;

/// What a user's or a caller's ARN must match, and from when to when its calls are wanted.
#[derive(Clone, Debug)]
pub struct Asked {
    who: CallerMatch,
    /// No call before this; `None` leaves nothing out.
    pub since: Option<EventTime>,
    /// No call after this; `None` leaves nothing out.
    pub until: Option<EventTime>,
}

#[derive(Clone, Debug)]
enum CallerMatch {
    /// A pattern with wildcards, of all of the ARN.
    Glob(Pattern),
    /// The ARN itself.
    Arn(String),
    /// Part of it.
    Part(String),
}

impl Asked {
    /// A glob, an ARN, or part of one.
    ///
    /// # Errors
    /// If `text` is empty or no pattern.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::about(if text.is_empty() {
            return Err("expected an ARN, part of one, or a pattern such as *:user/ci/*".to_owned());
        } else if text.contains(['*', '?', '[']) {
            CallerMatch::Glob(Pattern::new(text).map_err(|PatternError { msg, .. }| msg.to_owned())?)
        } else if text.starts_with("arn:") {
            CallerMatch::Arn(text.to_owned())
        } else {
            CallerMatch::Part(text.to_owned())
        }))
    }

    /// Exactly this user or caller, whatever characters its owner chose.
    #[must_use]
    pub fn exactly(arn: &str) -> Self {
        Self::about(CallerMatch::Arn(arn.to_owned()))
    }

    const fn about(who: CallerMatch) -> Self {
        Self { who, since: None, until: None }
    }

    /// The same, of this time alone.
    #[must_use]
    pub fn within(self, since: Option<EventTime>, until: Option<EventTime>) -> Self {
        Self { since, until, ..self }
    }

    /// Whether a call at `at` is wanted.
    #[must_use]
    pub fn covers(&self, at: EventTime) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at <= until)
    }

    /// Whether a user, or the caller behind it, is asked for.
    #[must_use]
    pub fn is_about(&self, user: &str) -> bool {
        // A caller is the beginning of its user, so a part of the caller is one of the user.
        match &self.who {
            CallerMatch::Part(part) => user.contains(part.as_str()),
            CallerMatch::Arn(arn) => user == arn || Identity::of(user).caller == arn,
            CallerMatch::Glob(glob) => glob.matches(user) || glob.matches(Identity::of(user).caller),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(asked: &str, expected: [bool; 3]) {
        let asked = Asked::parse(asked).expect("a pattern");
        let users = [
            "arn:aws:sts::111122223333:assumed-role/App/i-0a1b",
            "arn:aws:iam::111122223333:user/ci/App",
            "arn:aws:sts::111122223333:assumed-role/Application/x",
        ];
        assert_eq!(users.map(|user| asked.is_about(user)), expected, "{asked:?}");
    }

    #[test]
    fn a_user_a_caller_a_part_or_a_pattern_finds_it() {
        check("arn:aws:sts::111122223333:assumed-role/App/i-0a1b", [true, false, false]);
        check("arn:aws:sts::111122223333:assumed-role/App", [true, false, false]);
        check("arn:aws:sts::111122223333:assumed-role", [false; 3]);
        check("App", [true; 3]);
        check("App/", [true, false, false]);
        check("*/App", [true, true, false]);
        check("*:user/ci/*", [false, true, false]);
        check("arn:aws:iam::*", [false, true, false]);
    }

    #[test]
    fn an_arn_that_looks_like_a_pattern_can_be_meant_itself() {
        let odd = "arn:aws:iam::111122223333:user/*";
        assert!(Asked::exactly(odd).is_about(odd));
        assert!(!Asked::exactly(odd).is_about("arn:aws:iam::111122223333:user/eve"));
    }

    #[test]
    fn both_ends_of_the_time_are_wanted() {
        let at = EventTime::from_epoch_seconds;
        let asked = Asked::exactly("x").within(Some(at(10)), Some(at(20)));
        assert_eq!([9, 10, 20, 21].map(|second| asked.covers(at(second))), [false, true, true, false]);
        assert!(Asked::exactly("x").covers(at(0)));
    }

    #[test]
    fn nothing_and_a_broken_pattern_are_refused() {
        assert!(Asked::parse("").is_err());
        assert!(Asked::parse("a[").is_err());
    }
}
