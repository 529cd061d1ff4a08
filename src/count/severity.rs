//! How severe one alert is: as its rule says, or less where a class of causes explains all that is known of it.

use std::collections::BTreeSet;

use crate::call::cause::Class;
use crate::count::evidence::{Evidence, Kind, MAX_EVIDENCE};
use crate::count::key::Key;
use crate::rule::definition::{Rule, Severity};
use crate::rule::identity::Identity;

/// The severity of an alert of `key` that shows this evidence. It is recorded with the alert, so that whoever
/// reports it later says the same, whatever is known by then.
#[must_use]
pub fn of(rule: &Rule, key: &Key, evidence: &BTreeSet<Evidence>) -> Severity {
    let lower = rule.severity_if.filter(|lower| applies(lower.causes, rule, key, evidence));
    lower.map_or(rule.severity, |lower| rule.severity.min(lower.severity))
}

/// Whether a cause is known, all are of `class`, and no credential that lasts until someone revokes it was used:
/// someone who tries a stolen key sees those causes too.
#[must_use]
pub fn applies(class: Class, rule: &Rule, key: &Key, evidence: &BTreeSet<Evidence>) -> bool {
    let values = |kind| evidence.iter().filter(move |one| one.kind == kind).map(|one| &*one.value);
    let mut classes = values(Kind::Cause).filter_map(Class::named).peekable();
    let is_known = classes.peek().is_some() && classes.all(|known| known == class);
    is_known
        && values(Kind::ApiKey).next().is_none()
        && !may_be_long_term(rule, key, values(Kind::AccessKeyId))
}

/// Whether a long-term access key is among `keys`, or may be beyond those that are kept. Roles have none.
///
/// Source: "Understanding unique ID prefixes" in the AWS IAM user guide.
fn may_be_long_term<'e>(rule: &Rule, key: &Key, keys: impl Iterator<Item = &'e str>) -> bool {
    let identity = key.identity(rule);
    let is_role = identity.is_some_and(|arn| Identity::of(arn).role.is_some() || Identity::has_members(arn));
    let (mut count, mut is_known) = (0_usize, false);
    for key in keys {
        count = count.saturating_add(1);
        is_known |= key.starts_with("AKIA");
    }
    is_known || (count >= MAX_EVIDENCE && !is_role)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::catalogue::{DENIED_MODEL, built_in};

    const ROLE: &str = "arn:aws:sts::1:assumed-role/App/one";
    const EVE: &str = "arn:aws:iam::1:user/eve";

    /// `shown` names causes, access keys, and `bearer` for a Bedrock API key.
    #[track_caller]
    fn check(rule: &Rule, user: &str, shown: &str, expected: Severity) {
        let of_word = |word: &str| match word {
            "bearer" => vec![(Kind::ApiKey, "long-term".to_owned())],
            "marketplace" => {
                vec![(Kind::Cause, "setup".to_owned()), (Kind::Cause, "Marketplace subscription".to_owned())]
            }
            "legacy" => vec![(Kind::Cause, "setup".to_owned()), (Kind::Cause, "legacy model".to_owned())],
            "policy" => vec![(Kind::Cause, "policy".to_owned()), (Kind::Cause, "identity policy".to_owned())],
            "unknown" => vec![(Kind::Cause, "unknown".to_owned())],
            "keys" => (0..MAX_EVIDENCE).map(|number| (Kind::AccessKeyId, format!("ASIA{number}"))).collect(),
            key => vec![(Kind::AccessKeyId, key.to_owned())],
        };
        let evidence = shown.split_whitespace().flat_map(of_word);
        let evidence = evidence.map(|(kind, value)| Evidence::new(kind, &value)).collect();
        let values = ["1", user, "m"].map(|value| Some(value.into())).to_vec();
        assert_eq!(of(rule, &Key { rule: rule.id, values }, &evidence), expected, "{user}: {shown}");
    }

    #[test]
    fn a_missing_setup_lowers_the_severity_of_temporary_credentials() {
        check(&DENIED_MODEL, ROLE, "marketplace ASIA1", Severity::Medium);
        check(&DENIED_MODEL, ROLE, "marketplace legacy", Severity::Medium);
        check(&DENIED_MODEL, ROLE, "marketplace keys", Severity::Medium);
        check(&DENIED_MODEL, EVE, "marketplace ASIA1", Severity::Medium);
        check(built_in("role-denials"), "arn:aws:sts::1:assumed-role/App", "legacy keys", Severity::Low);
    }

    #[test]
    fn anything_else_known_keeps_it() {
        for shown in ["", "ASIA1", "unknown", "policy", "policy marketplace", "unknown marketplace"] {
            check(&DENIED_MODEL, ROLE, shown, Severity::High);
        }
    }

    #[test]
    fn a_key_that_lasts_keeps_it() {
        check(&DENIED_MODEL, EVE, "marketplace AKIA1", Severity::High);
        check(&DENIED_MODEL, EVE, "marketplace ASIA1 AKIA1", Severity::High);
        check(&DENIED_MODEL, ROLE, "marketplace bearer", Severity::High);
        // Beyond those kept may be another.
        check(&DENIED_MODEL, EVE, "marketplace keys", Severity::High);
    }

    #[test]
    fn a_rule_without_such_a_table_and_one_that_is_set_lower_keep_theirs() {
        check(built_in("model-sweep"), ROLE, "marketplace", Severity::High);
        let low = Rule { severity: Severity::Low, ..DENIED_MODEL.clone() };
        check(&low, ROLE, "marketplace", Severity::Low);
    }
}
