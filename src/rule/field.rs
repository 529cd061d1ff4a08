//! The parts of a denial that a rule can group by or count.

use super::identity::Identity;
use crate::call::Call;

/// A part of a denial that a rule can group by or count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    /// The account.
    Account,
    /// The ARN of the user.
    User,
    /// The ARN of the user without what its owner may choose freely: [`Identity::caller`].
    Caller,
    /// The ARN of an assumed role without its session, `arn:aws:sts::…:assumed-role/NAME`.
    Role,
    /// The session of an assumed role, or the name of a federated user.
    Session,
    /// The model, however the caller spelled it.
    Model,
    /// The region that was called.
    Region,
    /// The caller's address.
    Address,
    /// The operation. All model calls are one: [`MODEL_CALL`].
    Operation,
    /// The id of the access key.
    #[serde(rename = "access_key")]
    AccessKey,
    /// What the model belongs to: the account of Azure OpenAI; in Bedrock, the model itself.
    Resource,
    /// The request id, or the record's place if it is missing.
    #[serde(rename = "request")]
    RequestId,
}

impl Field {
    /// Those that name who called. A rule groups by one of them at most.
    pub const IDENTITIES: [Self; 3] = [Self::User, Self::Caller, Self::Role];

    /// Its place among all fields.
    const fn index(self) -> usize {
        self as usize
    }

    /// Whether a rule ignores records without this field. Any other missing value counts as its own group.
    #[must_use]
    pub const fn is_required(self) -> bool {
        matches!(self, Self::Role | Self::Session | Self::Region | Self::Address | Self::Operation)
    }

    /// Whether the invocation log never shows it.
    #[must_use]
    pub const fn is_only_in_cloudtrail(self) -> bool {
        matches!(self, Self::Address | Self::AccessKey)
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
            Self::Caller => "Caller",
            Self::Role => "Role",
            Self::Session => "Session",
            Self::Model => "Model",
            Self::Region => "Region",
            Self::Address => "Address",
            Self::Operation => "Operation",
            Self::AccessKey => "Access key",
            Self::Resource => "Resource",
            Self::RequestId => "Request",
        }
    }
}

const FIELDS: usize = Field::RequestId as usize + 1;

/// The values of all fields of one denial, found once for all rules.
#[derive(Clone, Copy)]
pub struct Values<'d> {
    fields: [Option<&'d str>; FIELDS],
    is_person: bool,
    is_after_denial: bool,
}

impl<'d> Values<'d> {
    /// Those of `denial`.
    #[must_use]
    pub fn of(denial: &'d Call<'_>) -> Self {
        let user = denial.user.as_deref();
        let identity = user.map(Identity::of);
        let mut fields: [Option<&str>; FIELDS] = [None; FIELDS];
        let mut set = |field: Field, value| {
            if let Some(place) = fields.get_mut(field.index()) {
                *place = value;
            }
        };
        set(Field::Account, denial.account.as_deref());
        set(Field::User, user);
        set(Field::Caller, identity.map(|identity| identity.caller));
        set(Field::Role, identity.and_then(|identity| identity.role));
        set(Field::Session, identity.and_then(|identity| identity.session));
        set(Field::Model, denial.model.as_deref());
        set(Field::Region, denial.region.as_deref());
        set(Field::Address, denial.source_ip.as_deref());
        let operation = if denial.is_model_call { Some(MODEL_CALL) } else { denial.operation.as_deref() };
        set(Field::Operation, operation);
        set(Field::AccessKey, denial.access_key_id.as_deref());
        set(Field::Resource, denial.resource.as_deref().or(denial.model.as_deref()));
        set(Field::RequestId, Some(&denial.request_id));
        Self {
            fields,
            is_person: identity.is_some_and(|identity| identity.is_person),
            is_after_denial: false,
        }
    }

    /// The value of `field`, `None` if the record has none.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&'d str> {
        self.fields.get(field.index()).copied().flatten()
    }

    /// Whether a person called, with a role that IAM Identity Center assigned to them.
    #[must_use]
    pub fn is_person(&self) -> bool {
        self.is_person
    }

    /// Says that the call was served a model that an alert says was denied to its caller.
    #[must_use]
    pub fn after_denial(self, is_after_denial: bool) -> Self {
        Self { is_after_denial, ..self }
    }

    /// Whether it was.
    #[must_use]
    pub fn is_after_denial(&self) -> bool {
        self.is_after_denial
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
    #[expect(clippy::indexing_slicing, reason = "there are as many places as fields")]
    pub fn get(&mut self, field: Field, make: impl FnOnce() -> T) -> &T {
        self.0[field.index()].get_or_insert_with(make)
    }
}

/// The value of every model call among operations.
pub const MODEL_CALL: &str = "model call";

/// Replaces a missing value among counted ones; no id can contain it.
pub const MISSING: &str = "\u{0}";
