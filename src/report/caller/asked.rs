//! Whose story is asked for.

use glob::{Pattern, PatternError};

use crate::rule::identity::Identity;

/// What a user's or a caller's ARN must match.
#[derive(Clone, Debug)]
pub struct Asked(How);

#[derive(Clone, Debug)]
enum How {
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
        Ok(Self(if text.is_empty() {
            return Err("expected an ARN, part of one, or a pattern such as *:user/ci/*".to_owned());
        } else if text.contains(['*', '?', '[']) {
            How::Glob(Pattern::new(text).map_err(|PatternError { msg, .. }| msg.to_owned())?)
        } else if text.starts_with("arn:") {
            How::Arn(text.to_owned())
        } else {
            How::Part(text.to_owned())
        }))
    }

    /// Whether a user, or the caller behind it, is asked for.
    #[must_use]
    pub fn is_about(&self, user: &str) -> bool {
        // A caller is the beginning of its user, so a part of the caller is one of the user.
        match &self.0 {
            How::Part(part) => user.contains(part.as_str()),
            How::Arn(arn) => user == arn || Identity::of(user).caller == arn,
            How::Glob(glob) => glob.matches(user) || glob.matches(Identity::of(user).caller),
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
    fn nothing_and_a_broken_pattern_are_refused() {
        assert!(Asked::parse("").is_err());
        assert!(Asked::parse("a[").is_err());
    }
}
