//! The parts of a denial that a rule can group by or count.

use crate::log::denial::Denial;

/// A part of a denial that a rule can group by or count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    /// The account.
    Account,
    /// The ARN of the caller.
    User,
    /// The ARN of an assumed role without its session, `arn:aws:sts::…:assumed-role/NAME`.
    Role,
    /// The session of an assumed role.
    Session,
    /// The model, however the caller spelled it.
    Model,
    /// The request id, or the record's place if it is missing.
    #[serde(rename = "request")]
    RequestId,
}

impl Field {
    /// Its place among all fields.
    const fn index(self) -> usize {
        self as usize
    }

    /// Whether a rule ignores records without this field. Any other missing value is a value of its own.
    #[must_use]
    pub const fn is_required(self) -> bool {
        matches!(self, Self::Role | Self::Session)
    }

    /// Whether values recur in many slots and objects. Request ids do not.
    #[must_use]
    pub const fn recurs(self) -> bool {
        !matches!(self, Self::RequestId)
    }

    /// The field's name for people.
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

const FIELDS: usize = Field::RequestId as usize + 1;

/// The values of all fields of one denial, found once for all rules.
#[derive(Clone, Copy)]
pub struct Values<'d> {
    fields: [Option<&'d str>; FIELDS],
    role_name: Option<&'d str>,
}

impl<'d> Values<'d> {
    /// Those of `denial`.
    #[must_use]
    pub fn of(denial: &'d Denial<'_>) -> Self {
        let user = denial.user.as_deref();
        let role = user.and_then(AssumedRole::parse);
        let mut fields = [None; FIELDS];
        fields[Field::Account.index()] = denial.account.as_deref();
        fields[Field::User.index()] = user;
        fields[Field::Role.index()] = role.as_ref().map(|role| role.arn);
        fields[Field::Session.index()] = role.as_ref().map(|role| role.session);
        fields[Field::Model.index()] = denial.model.as_deref();
        fields[Field::RequestId.index()] = Some(&denial.request_id);
        Self { fields, role_name: role.map(|role| role.name) }
    }

    /// The value of `field`, `None` if the record has none.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&'d str> {
        self.fields[field.index()]
    }

    /// The name of the role that the caller assumed, if one did.
    #[must_use]
    pub fn role_name(&self) -> Option<&'d str> {
        self.role_name
    }
}

/// Something that is made of a field's value when it is first asked for.
pub struct PerField<T>([Option<T>; FIELDS]);

impl<T> Default for PerField<T> {
    fn default() -> Self {
        Self([const { None }; FIELDS])
    }
}

impl<T> PerField<T> {
    /// What was made of `field`.
    pub fn get(&mut self, field: Field, make: impl FnOnce() -> T) -> &T {
        self.0[field.index()].get_or_insert_with(make)
    }
}

/// IAM Identity Center's roles for people begin with this; each session is one person.
pub const PERSONAL_ROLES: &str = "AWSReservedSSO_";

/// The ARN of an assumed role without its session, which whoever assumes it may choose freely; a
/// person's role, and every other user, as it is.
#[must_use]
pub fn without_session(user: &str) -> &str {
    match AssumedRole::parse(user) {
        Some(role) if !role.name.starts_with(PERSONAL_ROLES) => role.arn,
        _ => user,
    }
}

/// Stands for a missing value among counted ones; no id can contain it.
pub const MISSING: &str = "\u{0}";

/// The parts of `arn:aws:sts::111122223333:assumed-role/NAME/SESSION`.
pub(super) struct AssumedRole<'a> {
    /// All but the session.
    arn: &'a str,
    pub(super) name: &'a str,
    session: &'a str,
}

impl<'a> AssumedRole<'a> {
    /// Source: "IAM identifiers" in the AWS IAM user guide; neither name nor session holds a slash.
    pub(super) fn parse(user: &'a str) -> Option<Self> {
        // Every record passes here: the parts are short, and a loop over bytes is the fastest search.
        let behind = |text: &'a str| text.bytes().position(|byte| byte == b':').map(|at| &text[at + 1..]);
        let region = behind(user.strip_prefix("arn:")?)?.strip_prefix("sts:")?;
        let resource = behind(behind(region)?)?;
        let (name, session) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
        let whole = !name.is_empty() && !session.is_empty();
        whole.then(|| Self { arn: &user[..user.len() - session.len() - 1], name, session })
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
