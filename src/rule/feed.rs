//! The ways in that can show what a rule counts, as its records say.

use super::condition::{CallOutcome, Condition};
use super::definition::Rule;

/// A way in that a stack may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Bedrock's invocation log, from its bucket.
    InvocationLog,
    /// CloudTrail's records as `EventBridge` brings them: the calls that failed, and what the rules ask for besides.
    Events,
    /// CloudTrail's log files, from their bucket: the calls that succeeded, too.
    Files,
}

impl Feed {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::InvocationLog, Self::Events, Self::Files];

    /// Its name on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvocationLog => "invocation-log",
            Self::Events => "events",
            Self::Files => "files",
        }
    }

    /// Its name for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::InvocationLog => "the invocation log",
            Self::Events => "CloudTrail events",
            Self::Files => "CloudTrail files",
        }
    }

    /// The feeds that a list of names, with commas between, means.
    ///
    /// # Errors
    /// What was expected.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let named = |name: &str| Self::ALL.into_iter().find(|feed| feed.name() == name);
        let names = text.split(',').map(str::trim).filter(|name| !matches!(*name, "" | "none"));
        let feeds = names.map(|name| {
            named(name).ok_or_else(|| format!("{name}: expected invocation-log, events, files or none"))
        });
        feeds.collect()
    }

    /// Whether a call that `rule` counts can come this way.
    #[must_use]
    pub fn shows(self, rule: &Rule) -> bool {
        match self {
            Self::InvocationLog => !rule.is_only_in_cloudtrail(),
            Self::Files => rule.records.iter().any(is_in_trail),
            // The event rule leaves out the calls that succeeded: they would be all calls of a model.
            Self::Events => rule.records.iter().any(|record| {
                is_in_trail(record) && !record.served_after_denial && record.outcome != CallOutcome::Succeeded
            }),
        }
    }
}

/// Whether CloudTrail's records can meet it: they hold no bodies and nothing of guardrails.
fn is_in_trail(record: &Condition) -> bool {
    record.guardrail.is_none()
        && record.finding.is_none()
        && record.min_policies_blocked == 0
        && !record.has_body
        && !record.empty_answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::catalogue::{ALL, built_in};

    #[track_caller]
    fn check(rule: &str, expected: &str) {
        let shown = Feed::ALL.into_iter().filter(|feed| feed.shows(built_in(rule)));
        assert_eq!(shown.map(Feed::name).collect::<Vec<_>>().join(","), expected, "{rule}");
    }

    #[test]
    fn what_a_rule_looks_for_says_where_it_can_be_seen() {
        check("denied-model", "invocation-log,events,files");
        check("validation-burst", "invocation-log,events,files");
        // AWS's message names the policy, and only CloudTrail has messages.
        check("key-quarantined", "events,files");
        check("api-key-escape", "events,files");
        check("key-recon", "events,files");
        check("served-after-denial", "invocation-log,files");
        check("token-spike", "invocation-log,files");
        check("key-addresses", "files");
        check("no-guardrail", "invocation-log");
        check("empty-answers", "invocation-log");
        check("guardrail-word", "invocation-log");
        for rule in ALL.iter() {
            assert!(Feed::ALL.into_iter().any(|feed| feed.shows(rule)), "{} is never seen", rule.id);
        }
    }

    #[test]
    fn a_list_of_feeds_is_read_by_their_names() {
        assert_eq!(Feed::list("files, events"), Ok(vec![Feed::Files, Feed::Events]));
        assert_eq!(Feed::list("none"), Ok(Vec::new()));
        let error = Feed::list("s3").expect_err("unknown");
        assert!(error.contains("s3: expected invocation-log"), "{error}");
    }
}
