//! What each cause means to people: why calls failed, and what to set up so that they succeed.

use super::Class;

/// A cause's name, the words after "failed because", and for a missing setup the step that adds it.
///
/// Sources of the steps: "Access Amazon Bedrock foundation models" and "Model lifecycle" in the Amazon Bedrock user
/// guide.
const WORDS: [(&str, &str, Option<&str>); 23] = [
    ("identity policy", "identity policies do not allow the call", None),
    ("service control policy", "a service control policy does not allow the call", None),
    ("resource control policy", "a resource control policy does not allow the call", None),
    ("permissions boundary", "a permissions boundary does not allow the call", None),
    ("session policy", "a session policy does not allow the call", None),
    ("resource policy", "a resource policy does not allow the call", None),
    ("VPC endpoint policy", "a VPC endpoint policy does not allow the call", None),
    ("quarantine", "AWS has quarantined the access key", None),
    (
        "Marketplace subscription",
        "the account has no AWS Marketplace subscription to the model",
        Some(
            "Set up: subscribe the account to the model in AWS Marketplace. One call by an identity that is allowed \
             aws-marketplace:ViewSubscriptions and aws-marketplace:Subscribe does it.",
        ),
    ),
    (
        "payment instrument",
        "the account has no valid payment method",
        Some("Set up: add a valid payment method to the account. AWS Marketplace needs one for this model."),
    ),
    (
        "use-case form",
        "the use-case form for Anthropic models has not been submitted",
        Some(
            "Set up: submit the use-case form for Anthropic models in the Bedrock console, once for the account.",
        ),
    ),
    (
        "model access never requested",
        "the account has no access to the model",
        Some(
            "Set up: look in the model catalog of the Bedrock console whether this account and Region can use the \
             model, and request access if it asks for that.",
        ),
    ),
    (
        "legacy model",
        "the model is legacy",
        Some("Set up: name an active model. AWS serves a legacy one only to accounts that still use it."),
    ),
    ("account not authorized", "AWS has not authorized the account for the operation", None),
    ("operation not allowed", "AWS does not allow the account the operation", None),
    ("data retention", "the account's data retention mode does not allow the model", None),
    ("country or region not served", "Anthropic does not serve this country", None),
    ("impossible", "the token limit is below one", None),
    ("wrong model id", "the model id is wrong", None),
    ("prompt caching", "the model does not support prompt caching", None),
    ("on-demand use", "the model does not support on-demand use", None),
    ("prompt resource", "the account may not call prompt resources", None),
    ("other validation", "the request is not valid", None),
];

/// Why calls failed, after "failed because".
#[must_use]
pub fn because(cause: &str) -> &'static str {
    known(cause).unwrap_or("of something that this version does not know")
}

/// The same; `None` for what is no cause that this version knows.
#[must_use]
pub fn known(cause: &str) -> Option<&'static str> {
    found(cause).map(|(_, because, _)| *because)
}

/// Whether it is the name of a class of causes, beside which the cause itself is named.
#[must_use]
pub fn is_class(name: &str) -> bool {
    Class::named(name).is_some_and(|class| class != Class::Unknown)
}

/// What to set up where this cause is known; `None` if there is nothing to.
#[must_use]
pub fn setup(cause: &str) -> Option<&'static str> {
    found(cause).and_then(|(_, _, setup)| *setup)
}

fn found(cause: &str) -> Option<&'static (&'static str, &'static str, Option<&'static str>)> {
    WORDS.iter().find(|(name, ..)| *name == cause)
}
