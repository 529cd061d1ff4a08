//! The kind of Bedrock API key that made a call.

/// The kind of Bedrock API key that made a call, if one did: from its `user`, whether the call is
/// `marked` as using a bearer token, and the token's type.
///
/// A long-term key (`ABSK…`) belongs to a dedicated IAM user, which the console names
/// `BedrockAPIKey-…`; that user name is evidence enough in a log that does not mark calls. Source: "How
/// Amazon Bedrock API keys work" in the Amazon Bedrock user guide.
#[must_use]
pub fn api_key(user: Option<&str>, marked: Option<bool>, token_type: Option<&str>) -> Option<&'static str> {
    let is_key_user = user.is_some_and(is_key_user);
    if !marked.unwrap_or(is_key_user || token_type.is_some()) {
        return None;
    }
    Some(match token_type {
        Some(token_type) if token_type.starts_with("ABSK") => LONG_TERM,
        _ if is_key_user => LONG_TERM,
        Some(_) => SHORT_TERM,
        None => KEY_TYPE_UNKNOWN,
    })
}

/// Whether this is the IAM user that a long-term API key belongs to.
#[must_use]
pub fn is_key_user(user: &str) -> bool {
    let names = user.rsplit_once('/');
    names.is_some_and(|(path, name)| name.starts_with(KEY_USER) && path.contains(":user"))
}

/// How the name of such a user begins.
pub const KEY_USER: &str = "BedrockAPIKey-";
const LONG_TERM: &str = "long-term";
const SHORT_TERM: &str = "short-term";
/// CloudTrail marks the call without naming the type of key.
pub const KEY_TYPE_UNKNOWN: &str = "type not logged";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_an_api_key_follows_from_its_user_or_its_prefix() {
        let key_user = Some("arn:aws:iam::111122223333:user/BedrockAPIKey-a1b2");
        let role = Some("arn:aws:sts::111122223333:assumed-role/app/BedrockAPIKey-a1b2");
        for (user, marked, token_type, expected) in [
            (None, None, None, None),
            (role, None, None, None),
            (role, Some(false), None, None),
            (role, Some(true), None, Some("type not logged")),
            (role, Some(true), Some("bedrock-api-key"), Some("short-term")),
            (role, Some(true), Some("ABSK"), Some("long-term")),
            (role, None, Some("ABSK"), Some("long-term")),
            (key_user, None, None, Some("long-term")),
            (key_user, Some(true), None, Some("long-term")),
            (key_user, Some(false), None, None),
        ] {
            assert_eq!(api_key(user, marked, token_type), expected, "{user:?} {marked:?} {token_type:?}");
        }
    }
}
