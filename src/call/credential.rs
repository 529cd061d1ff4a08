//! What kind of credential signed a call.

use crate::call::api_key::is_key_user;

/// What kind of credential signed a call. A rule that asks for one does not count calls whose credential is unknown:
/// the invocation log names no access key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// A Bedrock API key: a bearer token, or the IAM user that a long-term one belongs to.
    ApiKey,
    /// An access key of an IAM user or of the root user.
    LongTerm,
    /// A session: of a role, or federated.
    Temporary,
}

impl Credential {
    /// The one that made a call, as far as the record shows: whether a bearer token was used, the user's ARN, and the
    /// id of the access key.
    ///
    /// Source: "Understanding unique ID prefixes" in the AWS IAM user guide.
    #[must_use]
    pub fn of(is_bearer: bool, user: Option<&str>, access_key: Option<&str>) -> Option<Self> {
        if is_bearer || user.is_some_and(is_key_user) {
            return Some(Self::ApiKey);
        }
        match access_key?.get(..4)? {
            "AKIA" => Some(Self::LongTerm),
            "ASIA" => Some(Self::Temporary),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_known_by_its_token_its_user_or_its_prefix() {
        let key_user = Some("arn:aws:iam::111122223333:user/BedrockAPIKey-a1b2");
        let user = Some("arn:aws:iam::111122223333:user/eve");
        for (bearer, user, key, expected) in [
            (false, user, Some("AKIAIOSFODNN7EXAMPLE"), Some(Credential::LongTerm)),
            (false, user, Some("ASIAIOSFODNN7EXAMPLE"), Some(Credential::Temporary)),
            (true, user, Some("ASIAIOSFODNN7EXAMPLE"), Some(Credential::ApiKey)),
            (false, key_user, Some("AKIAIOSFODNN7EXAMPLE"), Some(Credential::ApiKey)),
            (false, key_user, None, Some(Credential::ApiKey)),
            (false, user, Some("AKI"), None),
            (false, user, Some("AKÍA"), None),
            (false, user, Some("AROA"), None),
            (false, user, None, None),
            (false, None, Some(""), None),
        ] {
            assert_eq!(Credential::of(bearer, user, key), expected, "{bearer} {user:?} {key:?}");
        }
    }
}
