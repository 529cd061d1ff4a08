//! A detection rule is data: what it looks for, how it groups and counts, and what to do about it.

use std::ops::RangeInclusive;
use std::time::Duration;

use glob::Pattern;

use super::condition::{CallOutcome, Condition};
use super::field::{Field, Values};
use crate::call::Call;
use crate::call::cause::Class;

/// How much an alert of a rule matters, in Elastic's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Look when you have time.
    Low,
    /// Look today.
    Medium,
    /// Look now.
    High,
    /// Wake someone.
    Critical,
}

impl Severity {
    /// All of them, lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The risk score that Elastic gives a rule of this severity.
    ///
    /// Source: "Create a detection rule" in Elastic's security guide.
    #[must_use]
    pub const fn risk_score(self) -> u8 {
        match self {
            Self::Low => 21,
            Self::Medium => 47,
            Self::High => 73,
            Self::Critical => 99,
        }
    }

    /// The risk scores that agree with it: none is nearer to what Elastic gives another severity.
    #[must_use]
    pub const fn risk_scores(self) -> RangeInclusive<u8> {
        match self {
            Self::Low => 0..=21,
            Self::Medium => 22..=47,
            Self::High => 48..=73,
            Self::Critical => 74..=100,
        }
    }

    /// The severity that a risk score agrees with.
    #[must_use]
    pub fn of_risk_score(score: u8) -> Self {
        let found = Self::ALL.into_iter().find(|severity| severity.risk_scores().contains(&score));
        found.unwrap_or(Self::Critical)
    }

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

/// The severity of an alert whose calls all failed for one class of causes, as far as is known. It only lowers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeverityIf {
    /// The class.
    pub causes: Class,
    /// How much such an alert matters.
    pub severity: Severity,
    /// Its risk score.
    pub risk_score: u8,
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

/// The Elastic rule that a rule makes real-time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elastic {
    /// Its id.
    pub uuid: &'static str,
    /// How ours deliberately differs.
    pub differs: &'static [&'static str],
}

/// A threshold rule: it fires when one combination of `group_by` has more than `threshold` distinct
/// values of `distinct`, or a larger sum of weights, in one `window`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Stable id; part of every key and alert.
    pub id: &'static str,
    /// The Elastic rule that this one makes real-time, if any.
    pub elastic: Option<Elastic>,
    /// The title.
    pub name: &'static str,
    /// Version of the rule's logic.
    pub version: &'static str,
    /// Whether it is enabled.
    pub on: bool,
    /// How much an alert matters.
    pub severity: Severity,
    /// Elastic's risk score, 0 to 100.
    pub risk_score: u8,
    /// When an alert matters less.
    pub severity_if: Option<SeverityIf>,
    /// `event.action` of the alerts.
    pub action: &'static str,
    /// What a record must show to be counted: one of these.
    pub records: &'static [Condition],
    /// What makes a key.
    pub group_by: &'static [Field],
    /// What is counted, each value once.
    pub distinct: Field,
    /// How much each of them weighs.
    pub weight: Weight,
    /// The rule fires when more than this many distinct values lie in one window.
    pub threshold: usize,
    /// Length of the window in event time, both ends included.
    pub window: Duration,
    /// At most one alert per key in this span of event time.
    pub cooldown: Duration,
    /// Users that this rule never alerts on.
    pub exempt_users: Vec<Pattern>,
    /// Where the rule comes from, and what it is about.
    pub references: &'static [&'static str],
    /// What an attacker does, in a framework's words.
    pub techniques: &'static [Technique],
    /// How its alerts are worded.
    pub wording: Wording,
    /// What the analyst does: to find out first, then to respond.
    pub triage: &'static [&'static str],
    /// Legitimate reasons for an alert.
    pub false_positives: &'static [&'static str],
}

/// How much one value adds to the figure that is compared with the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// One.
    One,
    /// All billed tokens of its call. Such a rule sums whole slots.
    Tokens,
}

/// How a rule's alerts are worded. In phrases, `{count}` is the number of distinct values, and
/// `{user}`, `{caller}`, `{role}` and `{model}` for what the rule groups by.
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
    /// The first sentence of the email.
    pub opening: &'static str,
    /// What an alert means, in lines of an email.
    pub meaning: &'static str,
}

/// The shortest slot, if window and cooldown allow it.
const MIN_SLOT: Duration = Duration::from_secs(600);
const SLOTS_PER_WINDOW: u32 = 6;

/// Counts of request ids can be summed over slots, counts of recurring values cannot: only sampled
/// ones can be compared. Up to twice this many models or sessions per object are exact.
const RECURRING_SAMPLES: usize = 16;

/// How many cooldowns a window may hold. As many slots at most, and as many alerts, for each of which all that lies in
/// the window is read through.
const COOLDOWNS_PER_WINDOW: u32 = 24;

impl Rule {
    /// Checks that a delivery reads a bounded amount per window.
    ///
    /// # Errors
    /// Which settings are too much together, and what to change.
    pub fn check_cost(&self) -> Result<(), String> {
        if self.cooldown.saturating_mul(COOLDOWNS_PER_WINDOW) >= self.window {
            return Ok(());
        }
        let minutes = |span: Duration| span.as_secs() / 60;
        Err(format!(
            "{}: a cooldown of {} minutes in a window of {}: expected a cooldown of at least a {COOLDOWNS_PER_WINDOW}th \
             of the window, {} minutes or more",
            self.id,
            minutes(self.cooldown),
            minutes(self.window),
            self.window.as_secs().div_ceil(u64::from(COOLDOWNS_PER_WINDOW).saturating_mul(60)),
        ))
    }

    /// The risk score of an alert of this severity.
    #[must_use]
    pub fn risk_score_of(&self, severity: Severity) -> u8 {
        let lower = self.severity_if.filter(|lower| lower.severity == severity);
        match lower {
            _ if severity == self.severity => self.risk_score,
            Some(lower) => lower.risk_score,
            // As it was recorded under other settings.
            None => severity.risk_score(),
        }
    }

    /// Length of a counter's slot: a sixth of the window, at least ten minutes, and never longer than
    /// the window or the cooldown, so that a window cuts a slot from one side only and one slot never
    /// holds two alerts.
    #[must_use]
    pub fn slot(&self) -> Duration {
        Duration::from_secs(u64::from(self.slot_minutes()).saturating_mul(60))
    }

    /// The same in whole minutes.
    #[must_use]
    pub fn slot_minutes(&self) -> u16 {
        let sixth = self.window.checked_div(SLOTS_PER_WINDOW).unwrap_or(self.window).max(MIN_SLOT);
        u16::try_from(sixth.min(self.window).min(self.cooldown).as_secs() / 60).unwrap_or(u16::MAX).max(1)
    }

    /// How many of an object's earliest and of its latest distinct values a slot keeps. Of recurring values
    /// it keeps every time, up to both numbers together.
    #[must_use]
    pub fn samples(&self) -> usize {
        // A sum needs no values, only the time span they cover.
        if self.weight == Weight::Tokens {
            return 1;
        }
        let enough = self.threshold.saturating_add(1);
        if self.distinct.recurs() { enough.max(RECURRING_SAMPLES) } else { enough }
    }

    /// Whether the rule never alerts on `user`.
    #[must_use]
    pub fn exempts(&self, user: Option<&str>) -> bool {
        user.is_some_and(|user| self.exempt_users.iter().any(|glob| glob.matches(user)))
    }

    /// Whether only CloudTrail's records can make it fire.
    #[must_use]
    pub fn is_only_in_cloudtrail(&self) -> bool {
        self.records.iter().all(Condition::is_only_in_cloudtrail)
            || self.group_by.iter().chain([&self.distinct]).any(|field| field.is_only_in_cloudtrail())
    }

    /// The error code that its records have, or the first of several; `None` if they need not have one.
    #[must_use]
    pub fn error_code(&self) -> Option<&'static str> {
        self.records.iter().find_map(|record| record.error_codes.first()).copied()
    }

    /// Whether it is about calls that failed.
    #[must_use]
    pub fn is_about_failures(&self) -> bool {
        self.records.iter().any(Condition::is_about_failures)
    }

    /// Whether it counts calls of watched callers alone.
    #[must_use]
    pub fn is_about_watched(&self) -> bool {
        self.records.iter().all(|record| record.served_after_denial)
    }

    /// How the calls that it counts ended: [`CallOutcome::Any`] if some may have succeeded and others failed.
    #[must_use]
    pub fn outcome(&self) -> CallOutcome {
        if self.records.iter().all(|record| record.outcome == CallOutcome::Succeeded) {
            CallOutcome::Succeeded
        } else if self.records.iter().any(Condition::is_about_any_outcome) {
            CallOutcome::Any
        } else {
            CallOutcome::Failed
        }
    }

    /// Whether the rule counts this denial, whose fields have these values.
    #[must_use]
    pub fn counts(&self, denial: &Call<'_>, values: &Values<'_>) -> bool {
        // Calls whose tokens a log does not record are left to the others.
        let has_amount =
            self.weight == Weight::One || denial.source.has_tokens() || denial.facts.tokens() > 0;
        has_amount
            && self.records.iter().any(|record| record.holds(denial, values))
            && self
                .group_by
                .iter()
                .chain([&self.distinct])
                .all(|field| !field.is_required() || values.get(*field).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::bounds::MAX_MINUTES;
    use crate::rule::catalogue::DENIED_MODEL;

    /// All in minutes.
    #[track_caller]
    fn check_slot(window: u64, cooldown: u64, expected: u64) {
        let minutes = |number: u64| Duration::from_secs(number * 60);
        let rule = Rule { window: minutes(window), cooldown: minutes(cooldown), ..DENIED_MODEL.clone() };
        assert_eq!(rule.slot(), minutes(expected));
    }

    #[test]
    fn a_slot_is_a_sixth_of_the_window_within_its_bounds() {
        check_slot(60, 60, 10);
        check_slot(120, 120, 20);
        check_slot(MAX_MINUTES, MAX_MINUTES, 240);
        check_slot(MAX_MINUTES, 60, 60);
        check_slot(30, 60, 10);
        check_slot(5, 60, 5);
        check_slot(60, 1, 1);
        check_slot(1, 1, 1);
        check_slot(65, 65, 10);
    }

    #[track_caller]
    fn check_cost(window: u64, cooldown: u64, refused: bool) {
        let minutes = |number: u64| Duration::from_secs(number * 60);
        let rule = Rule { window: minutes(window), cooldown: minutes(cooldown), ..DENIED_MODEL.clone() };
        assert_eq!(rule.check_cost().is_err(), refused, "{:?}", rule.check_cost());
    }

    #[test]
    fn a_cooldown_under_a_24th_of_the_window_is_refused() {
        check_cost(60, 60, false);
        check_cost(1, MAX_MINUTES, false);
        check_cost(24, 1, false);
        check_cost(25, 1, true);
        check_cost(60, 3, false);
        check_cost(60, 2, true);
        check_cost(MAX_MINUTES, 60, false);
        check_cost(MAX_MINUTES, 59, true);
    }
}
