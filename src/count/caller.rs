//! Who is behind a key, regardless of session name.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::count::key::Key;
use crate::rule::definition::Rule;
use crate::rule::field::Field;
use crate::rule::identity::Identity;

/// An account and an identity that its owner cannot rename at will. People get one message per caller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller {
    /// The account as logged; `None` counts as its own group.
    pub account: Option<String>,
    /// [`Identity::caller`], or the resource if the rule groups by that alone; `None` if the records name no user or the
    /// rule groups by none.
    pub arn: Option<String>,
}

impl Caller {
    /// The caller behind `key`, a key of `rule`.
    #[must_use]
    pub fn of(rule: &Rule, key: &Key) -> Self {
        let arn = key.identity(rule).map(|identity| Identity::of(identity).caller);
        let arn = arn.or_else(|| key.get(rule, Field::Resource));
        Self { account: key.get(rule, Field::Account).map(str::to_owned), arn: arn.map(str::to_owned) }
    }

    /// The key under which the store keeps the caller's state. No rule can have this id.
    #[must_use]
    pub fn key(&self) -> Key {
        Key {
            rule: CALLER,
            values: [&self.account, &self.arn].map(|value| value.as_deref().map(Into::into)).into(),
        }
    }

    /// The caller whose [`Self::key`] it is.
    #[must_use]
    pub fn of_key(key: &Key) -> Option<Self> {
        let Key { rule: CALLER, values } = key else { return None };
        let [account, arn] = &values[..] else { return None };
        let text = |value: &Option<Arc<str>>| value.as_deref().map(str::to_owned);
        Some(Self { account: text(account), arn: text(arn) })
    }
}

const CALLER: &str = "#caller";

/// The key under which the store keeps an account's state. No rule can have this id.
#[must_use]
pub fn account_key(account: Option<&str>) -> Key {
    Key { rule: "#account", values: vec![account.map(Into::into)] }
}

/// 128 bits in hexadecimal.
pub(crate) fn digest(parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.join("\n").as_bytes());
    hex::encode(digest.first_chunk::<16>().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::catalogue::{DENIED_MODEL, built_in};

    #[track_caller]
    fn check(rule: &Rule, values: &[Option<&str>], account: Option<&str>, arn: Option<&str>) {
        let key = Key { rule: rule.id, values: values.iter().map(|value| value.map(Into::into)).collect() };
        let caller = Caller::of(rule, &key);
        assert_eq!((caller.account.as_deref(), caller.arn.as_deref()), (account, arn), "{key:?}");
    }

    #[test]
    fn a_role_is_one_caller_whatever_its_sessions_are_called_and_a_person_is_one_each() {
        let (account, role) = (Some("1"), "arn:aws:sts::1:assumed-role/App");
        let session = format!("{role}/i-0a1b");
        let [sweep, slow, rotation] = ["model-sweep", "slow-denials", "session-rotation"].map(built_in);
        check(&DENIED_MODEL, &[account, Some(&session), Some("m")], account, Some(role));
        check(rotation, &[account, Some(role), Some("m")], account, Some(role));
        check(slow, &[account, Some(role), Some("m")], account, Some(role));
        check(built_in("role-denials"), &[account, Some(role), Some("m")], account, Some(role));
        let person = "arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/ann@example.com";
        check(&DENIED_MODEL, &[account, Some(person), Some("m")], account, Some(person));
        check(sweep, &[account, Some(person)], account, Some(person));
        let posing = "arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin";
        check(&DENIED_MODEL, &[account, Some(&format!("{posing}/ann")), Some("m")], account, Some(posing));
        let all = "arn:aws:sts::1:federated-user";
        check(&DENIED_MODEL, &[account, Some(&format!("{all}/eve")), Some("m")], account, Some(all));
        check(rotation, &[account, Some(all), Some("m")], account, Some(all));
        let user = "arn:aws:iam::1:user/eve";
        check(sweep, &[account, Some(user)], account, Some(user));
        // Keys that were stored when this rule still counted by user.
        check(sweep, &[account, Some(&session)], account, Some(role));
    }

    #[test]
    fn a_missing_value_is_a_value_of_its_own() {
        check(built_in("model-sweep"), &[None, None], None, None);
        check(built_in("model-sweep"), &[None, Some("")], None, Some(""));
        let by_user =
            Rule { group_by: &[Field::Account, Field::User, Field::Resource], ..DENIED_MODEL.clone() };
        check(&by_user, &[Some("1"), Some("u"), Some("chat-1")], Some("1"), Some("u"));
        let empty = built_in("empty-answers");
        check(empty, &[Some("1"), Some("chat-1")], Some("1"), Some("chat-1"));
        check(empty, &[Some("1"), None], Some("1"), None);
        let by_account = Rule { group_by: &[Field::Account], ..built_in("model-sweep").clone() };
        check(&by_account, &[Some("1")], Some("1"), None);
    }
}
