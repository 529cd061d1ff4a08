//! What the words of a CloudTrail record mean: which calls use a model, what was asked for, and
//! what refused it.
//!
//! The text of `errorMessage` is AWS's, but the ids in it are the caller's. So what AWS says
//! is looked for only where no id can stand.

use std::borrow::Cow;

/// `eventSource` of Bedrock's calls.
pub const BEDROCK: &str = "bedrock.amazonaws.com";

/// The calls that use a model. Source: "Monitor Amazon Bedrock API calls using CloudTrail" in the
/// Amazon Bedrock user guide.
const MODEL_CALLS: [&str; 5] = [
    "InvokeModel",
    "InvokeModelWithResponseStream",
    "InvokeModelWithBidirectionalStream",
    "Converse",
    "ConverseStream",
];

/// CloudTrail's own spellings of error codes, and how Bedrock spells the same.
pub const SPELLINGS: [(&str, &str); 1] = [("AccessDenied", "AccessDeniedException")];

/// Tells whether a record speaks of a call that uses a model.
#[must_use]
pub fn is_model_call(source: &str, name: &str) -> bool {
    source == BEDROCK && MODEL_CALLS.contains(&name)
}

/// The error code as Bedrock spells it, whatever CloudTrail wrote.
#[must_use]
pub fn error_code(written: Cow<'_, str>) -> Cow<'_, str> {
    match SPELLINGS.iter().find(|(trail, _)| *trail == written) {
        Some((_, bedrock)) => Cow::Borrowed(bedrock),
        None => written,
    }
}

/// The model that a refusal names: `User: … is not authorized to perform: … on resource: <ARN> …`.
///
/// A foundation model and an inference profile that AWS defines are given by their id, as callers
/// give them and as the invocation log has them. Any other ARN stays whole, an application's
/// inference profile for one, since it is called by its ARN.
#[must_use]
pub fn refused_model(message: &str) -> Option<&str> {
    let (_, request) = message.split_once(ACTION)?;
    let (_, resource) = request.split_once(RESOURCE)?;
    let arn = resource.split_whitespace().next()?.trim_matches('"');
    let mut parts = arn.splitn(6, ':');
    if parts.next() != Some("arn") {
        return None;
    }
    let (service, resource) = (parts.nth(1), parts.nth(2)?);
    let id = ["foundation-model/", "inference-profile/"].iter().find_map(|kind| resource.strip_prefix(kind));
    let id = id.filter(|id| service == Some("bedrock") && !id.is_empty());
    Some(id.unwrap_or(arn))
}

const ACTION: &str = " is not authorized to perform: ";
const RESOURCE: &str = " on resource: ";

/// What stands before the kind of policy: where one denies, and where none allows.
///
/// Source: "Troubleshoot access denied error messages" in the AWS IAM user guide.
const REASONS: [&str; 2] = ["explicit deny in ", "because no "];

/// The kinds of policy as AWS writes them, and in few words. Source: as above.
const POLICIES: [(&str, &str); 7] = [
    ("identity-based policy", "IAM identity policy"),
    ("service control policy", "service control policy"),
    ("resource control policy", "resource control policy"),
    ("permissions boundary", "permissions boundary"),
    ("session policy", "session policy"),
    ("VPC endpoint policy", "VPC endpoint policy"),
    ("resource-based policy", "resource policy"),
];

/// What Bedrock says to an account that was not given the model. Sources: "Resolve InvokeModel API
/// errors in Amazon Bedrock" in AWS's knowledge center; answers of the service.
const NO_ACCESS: [&str; 3] = [
    "You don't have access to the model with the specified model ID",
    "Your account is not authorized to invoke this API operation",
    " is not available for this account. You can explore other available models",
];

/// What refused a call, in a few words, as far as its error message tells.
#[must_use]
pub fn refusal(message: &str) -> Option<&'static str> {
    // The last one: only the policy's ARN follows it, and no ARN holds a space.
    let reason = REASONS.iter().filter_map(|words| message.rfind(words).map(|at| at + words.len())).max();
    if let Some(at) = reason {
        let kind = &message[at..];
        let kind =
            ["a ", "an ", "the "].iter().find_map(|article| kind.strip_prefix(article)).unwrap_or(kind);
        let begins =
            |words: &str| kind.get(..words.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(words));
        return POLICIES.iter().find(|(words, _)| begins(words)).map(|(_, short)| *short);
    }
    NO_ACCESS.iter().any(|words| message.contains(words)).then_some("no model access")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: &str = "User: arn:aws:sts::111122223333:assumed-role/app/s1 is not authorized to perform: bedrock:InvokeModel";

    #[track_caller]
    fn check_model(resource: &str, expected: Option<&str>) {
        for rest in ["", " because no identity-based policy allows the bedrock:InvokeModel action", "\n"] {
            let message = format!("{WHO} on resource: {resource}{rest}");
            assert_eq!(refused_model(&message), expected, "{message}");
        }
    }

    #[test]
    fn a_resource_names_its_model_as_callers_do() {
        for partition in ["aws", "aws-cn", "aws-us-gov"] {
            let arn = format!("arn:{partition}:bedrock:us-east-1::foundation-model/anthropic.claude-v2:1");
            check_model(&arn, Some("anthropic.claude-v2:1"));
        }
        check_model("arn:aws:bedrock:::foundation-model/a.b", Some("a.b"));
        check_model("\"arn:aws:bedrock:::foundation-model/a.b\"", Some("a.b"));
        check_model("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.a.b-v1:0", Some("eu.a.b-v1:0"));
        for whole in [
            "arn:aws:bedrock:eu-west-1:1:application-inference-profile/x1",
            "arn:aws:bedrock:eu-west-1:1:provisioned-model/x1",
            "arn:aws:bedrock:eu-west-1:1:foundation-model/",
            "arn:aws:sagemaker:eu-west-1:1:foundation-model/a",
        ] {
            check_model(whole, Some(whole));
        }
        for none in ["*", "", "arn:aws:bedrock", "anthropic.claude-v2"] {
            check_model(none, None);
        }
        assert_eq!(refused_model("on resource: arn:aws:bedrock:::foundation-model/a"), None);
        assert_eq!(refused_model(WHO), None);
    }

    #[track_caller]
    fn check_refusal(message: &str, expected: Option<&str>) {
        assert_eq!(refusal(message), expected, "{message}");
    }

    #[test]
    fn every_kind_of_policy_is_told_whether_it_denies_or_does_not_allow() {
        for (words, short) in POLICIES {
            let article = if words.starts_with('i') { "an" } else { "a" };
            for at in ["", " on resource: arn:aws:bedrock:::foundation-model/a"] {
                check_refusal(&format!("{WHO}{at} because no {words} allows the x action"), Some(short));
                check_refusal(&format!("{WHO}{at} with an explicit deny in {article} {words}"), Some(short));
                check_refusal(
                    &format!("{WHO}{at} with an explicit deny in {article} {words}: arn:aws:iam::1:policy/x"),
                    Some(short),
                );
            }
        }
        check_refusal(
            "… due to an explicit deny in a Service Control Policy",
            Some("service control policy"),
        );
    }

    #[test]
    fn a_model_that_the_account_was_not_given_is_told() {
        for message in [
            "You don't have access to the model with the specified model ID.",
            "Your account is not authorized to invoke this API operation.",
            "a.b is not available for this account. You can explore other available models on Amazon Bedrock.",
        ] {
            check_refusal(message, Some("no model access"));
        }
    }

    #[test]
    fn what_is_not_told_is_not_guessed() {
        for message in [
            "",
            "Access Denied",
            WHO,
            "User: x is not authorized to perform: y with an explicit deny",
            "User: x is not authorized to perform: y because no moon shines",
            "User: x is not authorized to perform: y because no ",
            "User: x is not authorized to perform: y because no ü",
        ] {
            check_refusal(message, None);
        }
    }

    #[test]
    fn ids_in_the_message_do_not_mislead() {
        check_refusal(
            "User: arn:aws:iam::1:role/service control policy because no session policy is not authorized to perform: x on resource: arn:aws:bedrock:::foundation-model/because no VPC endpoint policy with an explicit deny in a permissions boundary",
            Some("permissions boundary"),
        );
        check_refusal(
            "User: arn:aws:iam::1:user/service-control-policy is not authorized to perform: x because no session policy allows the x action",
            Some("session policy"),
        );
        check_refusal("User: arn:aws:iam::1:user/service control policy is not authorized", None);
        check_refusal(
            &format!(
                "{WHO} on resource: because no session policy because no permissions boundary allows it"
            ),
            Some("permissions boundary"),
        );
    }

    #[test]
    fn one_refusal_has_one_code() {
        assert_eq!(error_code("AccessDenied".into()), "AccessDeniedException");
        assert_eq!(error_code("AccessDeniedException".into()), "AccessDeniedException");
        assert_eq!(error_code("ValidationException".into()), "ValidationException");
    }
}
