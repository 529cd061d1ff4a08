//! Why a call failed: its error code, and what AWS's message says.
//!
//! AWS writes the text of `errorMessage`, but the caller chooses the ids in it. So AWS's phrases are
//! matched only where no id can appear.

use memchr::memmem;

/// The error code of a denied call.
pub const ACCESS_DENIED: &str = "AccessDeniedException";
/// What every error code of a denial contains, in either log: also one that AWS may introduce, and one that was
/// cut off.
pub const DENIED: &str = "AccessDenied";
/// The error code for calling a model that the account never requested access to, can no longer
/// use, or that does not exist.
pub const MODEL_NOT_FOUND: &str = "ResourceNotFoundException";
/// The error code of a call with a parameter that the model does not accept.
pub const VALIDATION_FAILED: &str = "ValidationException";

/// Whether the error code of a denial stands in `text`.
#[must_use]
pub fn names_denial(text: &[u8]) -> bool {
    memmem::find(text, DENIED.as_bytes()).is_some()
}

/// How often the error code of a denial stands in `text`.
#[must_use]
pub fn count_denials_named(text: &[u8]) -> usize {
    memmem::find_iter(text, DENIED.as_bytes()).count()
}

/// The ARN of the model that a denial names: `User: … is not authorized to perform: … on resource:
/// <ARN> …`. The policy determines which resource that is: the inference profile that was called, or a
/// foundation model in any region that the profile routes to.
#[must_use]
pub fn denied_model(message: &str) -> Option<&str> {
    let (_, request) = message.split_once(ACTION)?;
    let (_, resource) = request.split_once(RESOURCE)?;
    let arn = resource.split_whitespace().next()?.trim_matches('"');
    let mut parts = arn.splitn(6, ':');
    if parts.next() != Some("arn") {
        return None;
    }
    let (service, resource) = (parts.nth(1)?, parts.nth(2)?);
    let is_model = service != "bedrock-mantle" && !NO_MODEL.iter().any(|kind| resource.starts_with(kind));
    is_model.then_some(arn)
}

/// Other resources a model call may be denied on. On bedrock-mantle it is always a project.
const NO_MODEL: [&str; 2] = ["guardrail/", "guardrail-profile/"];

const ACTION: &str = " is not authorized to perform: ";
const RESOURCE: &str = " on resource: ";

/// The words before the kind of policy: for an explicit deny, and for a missing allow.
///
/// Source: "Troubleshoot access denied error messages" in the AWS IAM user guide.
const REASONS: [&str; 2] = ["explicit deny in ", "because no "];

/// The kinds of policy as AWS writes them, and a short name for each. Source: as above.
const POLICIES: [(&str, &str); 7] = [
    ("identity-based policy", "IAM identity policy"),
    ("service control policy", "service control policy"),
    ("resource control policy", "resource control policy"),
    ("permissions boundary", "permissions boundary"),
    ("session policy", "session policy"),
    ("VPC endpoint policy", "VPC endpoint policy"),
    ("resource-based policy", "resource policy"),
];

/// Bedrock's own messages, and a short meaning for each. Sources: "Resolve InvokeModel API errors in
/// Amazon Bedrock" in the AWS Knowledge Center; responses from the service. The first match wins.
const ANSWERS: [(&str, &str); 7] = [
    ("You don't have access to the model with the specified model ID", NO_ACCESS),
    ("Your account is not authorized to invoke this API operation", NO_ACCESS),
    (" is not available for this account. You can explore other available models", NO_ACCESS),
    // The account has no AWS Marketplace subscription, and the caller may not create one.
    ("Model access is denied due to ", NO_ACCESS),
    ("Model use case details have not been submitted for this account", NO_ACCESS),
    ("fill out the Anthropic use case details form", NO_ACCESS),
    // The model serves only accounts that have used it within the last 30 days.
    ("This Model is marked by provider as Legacy", "legacy model"),
];
const NO_ACCESS: &str = "no model access";

/// A short description of what denied a call, as far as its error code and message show.
#[must_use]
pub fn denied_by(error_code: &str, message: Option<&str>) -> Option<&'static str> {
    message.and_then(worded).or_else(|| (error_code == MODEL_NOT_FOUND).then_some("model not found"))
}

fn worded(message: &str) -> Option<&'static str> {
    // Take the last match: only the policy's ARN follows it, and no ARN contains a space.
    let reason = REASONS.iter().filter_map(|words| message.rfind(words)?.checked_add(words.len())).max();
    if let Some(kind) = reason.and_then(|at| message.get(at..)) {
        let kind =
            ["a ", "an ", "the "].iter().find_map(|article| kind.strip_prefix(article)).unwrap_or(kind);
        let begins =
            |words: &str| kind.get(..words.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(words));
        return POLICIES.iter().find(|(words, _)| begins(words)).map(|(_, short)| *short);
    }
    ANSWERS.iter().find(|(words, _)| message.contains(words)).map(|(_, short)| *short)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: &str = "User: arn:aws:sts::111122223333:assumed-role/app/s1 is not authorized to perform: bedrock:InvokeModel";

    #[track_caller]
    fn check_model(resource: &str, expected: Option<&str>) {
        for rest in ["", " because no identity-based policy allows the bedrock:InvokeModel action", "\n"] {
            let message = format!("{WHO} on resource: {resource}{rest}");
            assert_eq!(denied_model(&message), expected, "{message}");
        }
    }

    #[test]
    fn the_denied_resource_is_named_as_the_message_has_it() {
        for arn in [
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2:1",
            "arn:aws:bedrock:::foundation-model/a.b",
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.a.b-v1:0",
            "arn:aws:bedrock:eu-west-1:1:application-inference-profile/x1",
            "arn:aws:bedrock:eu-west-1:1:provisioned-model/x1",
            "arn:aws:sagemaker:eu-west-1:1:endpoint/a",
        ] {
            check_model(arn, Some(arn));
        }
        check_model(
            "\"arn:aws:bedrock:::foundation-model/a.b\"",
            Some("arn:aws:bedrock:::foundation-model/a.b"),
        );
        for none in [
            "*",
            "",
            "arn:aws:bedrock",
            "anthropic.claude-v2",
            "arn:aws:bedrock:us-east-1:1:guardrail/abc",
            "arn:aws:bedrock-mantle:us-east-1:1:project/default",
        ] {
            check_model(none, None);
        }
        assert_eq!(denied_model("on resource: arn:aws:bedrock:::foundation-model/a"), None);
        assert_eq!(denied_model(WHO), None);
    }

    #[track_caller]
    fn check_cause(message: &str, expected: Option<&str>) {
        assert_eq!(denied_by("AccessDeniedException", Some(message)), expected, "{message}");
    }

    #[test]
    fn every_kind_of_policy_is_named_whether_it_denies_or_does_not_allow() {
        for (words, short) in POLICIES {
            let article = if words.starts_with('i') { "an" } else { "a" };
            for at in ["", " on resource: arn:aws:bedrock:::foundation-model/a"] {
                check_cause(&format!("{WHO}{at} because no {words} allows the x action"), Some(short));
                check_cause(&format!("{WHO}{at} with an explicit deny in {article} {words}"), Some(short));
                check_cause(
                    &format!("{WHO}{at} with an explicit deny in {article} {words}: arn:aws:iam::1:policy/x"),
                    Some(short),
                );
            }
        }
        check_cause("… due to an explicit deny in a Service Control Policy", Some("service control policy"));
    }

    #[test]
    fn a_model_that_the_account_was_not_given_is_named() {
        for message in [
            "You don't have access to the model with the specified model ID.",
            "Your account is not authorized to invoke this API operation.",
            "a.b is not available for this account. You can explore other available models on Amazon Bedrock.",
            "Model access is denied due to IAM user or service role is not authorized to perform the required AWS Marketplace actions (aws-marketplace:ViewSubscriptions, aws-marketplace:Subscribe) to enable access to this model.",
            "Model access is denied due to INVALID_PAYMENT_INSTRUMENT:A valid payment instrument must be provided.",
            "Model use case details have not been submitted for this account. Fill out the Anthropic use case details form before using the model.",
        ] {
            check_cause(message, Some("no model access"));
        }
        let legacy = "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model in the last 30 days.";
        check_cause(legacy, Some("legacy model"));
    }

    #[test]
    fn a_model_that_is_not_there_for_the_account_is_recognized_by_the_code_alone() {
        for (code, message, expected) in [
            ("ResourceNotFoundException", "", Some("model not found")),
            (
                "ResourceNotFoundException",
                "Access denied. This Model is marked by provider as Legacy",
                Some("legacy model"),
            ),
            ("AccessDeniedException", "", None),
            ("ValidationException", "", None),
        ] {
            assert_eq!(denied_by(code, Some(message)), expected, "{code} {message}");
        }
    }

    #[test]
    fn what_no_message_says_is_not_guessed() {
        for message in [
            "",
            "Access Denied",
            WHO,
            "User: x is not authorized to perform: y with an explicit deny",
            "User: x is not authorized to perform: y because no moon shines",
            "User: x is not authorized to perform: y because no ",
            "User: x is not authorized to perform: y because no ü",
        ] {
            check_cause(message, None);
        }
    }

    #[test]
    fn ids_in_the_message_do_not_mislead() {
        check_cause(
            "User: arn:aws:iam::1:role/service control policy because no session policy is not authorized to perform: x on resource: arn:aws:bedrock:::foundation-model/because no VPC endpoint policy with an explicit deny in a permissions boundary",
            Some("permissions boundary"),
        );
        check_cause(
            "User: arn:aws:iam::1:user/service-control-policy is not authorized to perform: x because no session policy allows the x action",
            Some("session policy"),
        );
        check_cause("User: arn:aws:iam::1:user/service control policy is not authorized", None);
        check_cause(
            &format!(
                "{WHO} on resource: because no session policy because no permissions boundary allows it"
            ),
            Some("permissions boundary"),
        );
    }
}
