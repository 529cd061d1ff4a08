//! A detection rule is data: what it looks for, how it groups and counts, and what to do about it.

use std::time::Duration;

use crate::denial::Denial;

/// How much an alert of a rule matters, in Elastic's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Look when there is time.
    Low,
    /// Look today.
    Medium,
    /// Look now.
    High,
    /// Wake somebody.
    Critical,
}

impl Severity {
    /// The word as alerts and filter policies carry it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A part of a denial that a rule can group by or count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The account.
    Account,
    /// The ARN of the caller.
    User,
    /// The ARN of an assumed role without its session, `arn:aws:sts::…:assumed-role/NAME`.
    Role,
    /// The session of an assumed role.
    Session,
    /// The model as the caller spelled it.
    Model,
    /// The request id, or the record's place where that is missing.
    RequestId,
}

impl Field {
    /// The value of this field, `None` where the record has none.
    #[must_use]
    pub fn of<'a>(self, denial: &'a Denial<'_>) -> Option<&'a str> {
        let user = denial.user.as_deref();
        match self {
            Self::Account => denial.account.as_deref(),
            Self::User => user,
            Self::Role => Some(AssumedRole::parse(user?)?.arn),
            Self::Session => Some(AssumedRole::parse(user?)?.session),
            Self::Model => denial.model.as_deref(),
            Self::RequestId => Some(&denial.request_id),
        }
    }

    /// Whether a record that lacks this field is none that the rule is about. Every other
    /// missing value is a value of its own.
    #[must_use]
    pub const fn is_required(self) -> bool {
        matches!(self, Self::Role | Self::Session)
    }

    /// The field's name in words that people read.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Account => "Account",
            Self::User => "User",
            Self::Role => "Role",
            Self::Session => "Session",
            Self::Model => "Model",
            Self::RequestId => "Request",
        }
    }
}

/// Stands for a missing value among those that a rule counts; no id can hold it.
pub const MISSING: &str = "\u{0}";

/// The parts of `arn:aws:sts::111122223333:assumed-role/NAME/SESSION`.
struct AssumedRole<'a> {
    /// All but the session.
    arn: &'a str,
    name: &'a str,
    session: &'a str,
}

impl<'a> AssumedRole<'a> {
    /// Source: "IAM identifiers" in the AWS IAM user guide; neither name nor session holds a slash.
    fn parse(user: &'a str) -> Option<Self> {
        let mut parts = user.splitn(6, ':');
        let arn = parts.next() == Some("arn") && parts.nth(1) == Some("sts");
        let resource = parts.nth(2).filter(|_| arn)?;
        let (name, session) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
        let whole = !name.is_empty() && !session.is_empty();
        whole.then(|| Self { arn: &user[..user.len() - session.len() - 1], name, session })
    }
}

/// A technique of a threat framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Technique {
    /// The framework's id.
    pub id: &'static str,
    /// The framework's name for it.
    pub name: &'static str,
    /// Where it is described.
    pub reference: &'static str,
}

/// A threshold rule: it fires when more than `threshold` distinct values of `distinct`
/// are denied in one `window` for one combination of `group_by`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Stable id; part of every key and alert.
    pub id: &'static str,
    /// The id of the Elastic rule that this one makes real-time, where there is one.
    pub uuid: Option<&'static str>,
    /// The title.
    pub name: &'static str,
    /// Version of the rule's logic.
    pub version: &'static str,
    /// How much an alert matters.
    pub severity: Severity,
    /// Elastic's risk score, 0 to 100.
    pub risk_score: u8,
    /// `event.action` of the alerts.
    pub action: &'static str,
    /// The error codes that the rule is about.
    pub error_codes: &'static [&'static str],
    /// What makes a key.
    pub group_by: &'static [Field],
    /// What is counted, each value once.
    pub distinct: Field,
    /// Assumed roles whose name begins so are not counted.
    pub excepted_roles: &'static [&'static str],
    /// The rule fires when more than this many distinct values lie in one window.
    pub threshold: usize,
    /// Length of the window in event time, both ends included.
    pub window: Duration,
    /// At most one alert a key in this span of event time.
    pub cooldown: Duration,
    /// Where the rule comes from.
    pub reference: &'static str,
    /// What an attacker does, in a framework's words.
    pub techniques: &'static [Technique],
    /// How its alerts are worded.
    pub wording: Wording,
    /// What the analyst does: to find out first, then to respond.
    pub triage: &'static [&'static str],
    /// Honest reasons for an alert.
    pub false_positives: &'static [&'static str],
}

/// How a rule's alerts are worded. In the phrases, `{count}` stands for how many distinct values
/// there were, and `{user}`, `{role}` and `{model}` for what the rule groups by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wording {
    /// What is counted, in the plural.
    pub noun: &'static str,
    /// The shortest form, for subjects: who did what.
    pub headline: &'static str,
    /// A whole clause, for sentences: who did what.
    pub reason: &'static str,
    /// The chat message's title.
    pub title: &'static str,
    /// The first sentence of the e-mail.
    pub opening: &'static str,
    /// What an alert means, in lines of an e-mail.
    pub meaning: &'static str,
}

/// Counters are kept in slots no longer than this.
pub const MAX_SLOT: Duration = Duration::from_secs(600);

impl Rule {
    /// Length of a counter's slot: never longer than the window or the cooldown, so that
    /// a window cuts a slot from one side only and one slot never holds two alerts.
    #[must_use]
    pub fn slot(&self) -> Duration {
        MAX_SLOT.min(self.window).min(self.cooldown)
    }

    /// How many of an object's earliest, and of its latest, distinct values a slot keeps.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.threshold.saturating_add(1)
    }

    /// Whether the rule counts this denial.
    #[must_use]
    pub fn counts(&self, denial: &Denial<'_>) -> bool {
        self.error_codes.contains(&denial.error_code.as_ref())
            && self
                .group_by
                .iter()
                .chain([&self.distinct])
                .all(|field| !field.is_required() || field.of(denial).is_some())
            && !self.is_excepted(denial)
    }

    fn is_excepted(&self, denial: &Denial<'_>) -> bool {
        !self.excepted_roles.is_empty()
            && denial
                .user
                .as_deref()
                .and_then(AssumedRole::parse)
                .is_some_and(|role| self.excepted_roles.iter().any(|prefix| role.name.starts_with(prefix)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(user: &str, expected: Option<(&str, &str)>) {
        assert_eq!(AssumedRole::parse(user).map(|role| (role.arn, role.session)), expected, "{user}");
    }

    #[test]
    fn an_assumed_role_is_told_by_its_arn() {
        let role = "arn:aws:sts::111122223333:assumed-role/App";
        check("arn:aws:sts::111122223333:assumed-role/App/i-0a1b", Some((role, "i-0a1b")));
        check(
            "arn:aws-us-gov:sts::1:assumed-role/A/b:c",
            Some(("arn:aws-us-gov:sts::1:assumed-role/A", "b:c")),
        );
        check("arn:aws:sts::111122223333:assumed-role/App", None);
        check("arn:aws:sts::111122223333:assumed-role/App/", None);
        check("arn:aws:sts::111122223333:assumed-role//s", None);
        check("arn:aws:sts::111122223333:federated-user/App/s", None);
        check("arn:aws:iam::111122223333:assumed-role/App/s", None);
        check("assumed-role/App/s", None);
        check("", None);
    }
}
