use super::*;

const WHO: &str =
    "User: arn:aws:sts::111122223333:assumed-role/app/s1 is not authorized to perform: bedrock:InvokeModel";

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
    check_model("\"arn:aws:bedrock:::foundation-model/a.b\"", Some("arn:aws:bedrock:::foundation-model/a.b"));
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

fn denied_for(error_code: &str, message: &str) -> Option<&'static str> {
    denied_by(error_code, cause(error_code, Some(message)))
}

#[track_caller]
fn check_cause(message: &str, expected: Option<&str>) {
    assert_eq!(denied_for("AccessDeniedException", message), expected, "{message}");
}

#[test]
fn every_kind_of_policy_is_named_whether_it_denies_or_does_not_allow() {
    for (words, Cause { denied_by: short, .. }) in POLICIES {
        let article = if words.starts_with('i') { "an" } else { "a" };
        for at in ["", " on resource: arn:aws:bedrock:::foundation-model/a"] {
            check_cause(&format!("{WHO}{at} because no {words} allows the x action"), short);
            check_cause(&format!("{WHO}{at} with an explicit deny in {article} {words}"), short);
            check_cause(
                &format!("{WHO}{at} with an explicit deny in {article} {words}: arn:aws:iam::1:policy/x"),
                short,
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
        assert_eq!(denied_for(code, message), expected, "{code} {message}");
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
        &format!("{WHO} on resource: because no session policy because no permissions boundary allows it"),
        Some("permissions boundary"),
    );
}

#[track_caller]
fn check_class(error_code: &str, message: &str, expected: &str) {
    let found = cause(error_code, Some(message));
    let shown = found.map(|cause| format!("{}: {}", cause.class.name(), cause.name));
    assert_eq!(shown.as_deref().unwrap_or("none"), expected, "{error_code} {message}");
}

#[test]
fn every_message_has_a_cause_of_one_class() {
    let denied = |message: &str, expected: &str| check_class("AccessDeniedException", message, expected);
    denied(
        &format!("{WHO} on resource: x because no session policy allows the x action"),
        "policy: session policy",
    );
    denied(
        "You don't have access to the model with the specified model ID.",
        "setup: model access never requested",
    );
    denied(
        "a.b-v1:0 is not available for this account. You can explore other available models on Amazon Bedrock.",
        "setup: model access never requested",
    );
    denied(
        "Model access is denied due to IAM user or service role is not authorized to perform the required AWS Marketplace actions (aws-marketplace:ViewSubscriptions, aws-marketplace:Subscribe) to enable access to this model.",
        "setup: Marketplace subscription",
    );
    denied(
        "User: arn:aws:iam::1:user/a is not authorized to perform: aws-marketplace:Subscribe because no identity-based policy allows it",
        "setup: Marketplace subscription",
    );
    denied(
        "Model access is denied due to INVALID_PAYMENT_INSTRUMENT:A valid payment instrument must be provided.",
        "setup: payment instrument",
    );
    denied(
        "Model use case details have not been submitted for this account. Fill out the Anthropic use case details form before using the model.",
        "setup: use-case form",
    );
    denied(
        "Access denied. This Model is marked by provider as Legacy and you have not been actively using it",
        "setup: legacy model",
    );
    denied("Your account is not authorized to invoke this API operation.", "account: account not authorized");
    denied(
        "Your account is not authorized to invoke this API operation with a prompt resource.",
        "request: prompt resource",
    );
    denied(
        "You invoked an unsupported model or your request did not allow prompt caching. See the documentation",
        "request: prompt caching",
    );
    denied("Access Denied", "unknown: unknown");
    denied("", "none");
    let invalid = |message: &str, expected: &str| check_class("ValidationException", message, expected);
    invalid("Operation not allowed", "account: operation not allowed");
    invalid("data retention mode 'default' is not available for this model", "account: data retention");
    invalid(
        "Access to Anthropic models is not allowed from unsupported countries, regions, or territories. Please",
        "account: country or region not served",
    );
    invalid("The provided model identifier is invalid.", "request: wrong model id");
    invalid(
        "Invocation of model ID a.b-v1:0 with on-demand throughput isn\u{2019}t supported. Retry",
        "request: on-demand use",
    );
    invalid("Input is too long for requested model.", "request: other validation");
    let absent = "Could not resolve the foundation model from the provided model identifier.";
    check_class("ResourceNotFoundException", absent, "request: wrong model id");
    check_class("ThrottlingException", "Too many requests, please wait before trying again.", "none");
    check_class(
        "VpceAccessDenied",
        "The request was denied due to a VPC endpoint policy",
        "policy: VPC endpoint policy",
    );
    assert_eq!(cause("VpceAccessDenied", None), Some(ENDPOINT_POLICY));
    assert_eq!(cause("AccessDeniedException", None), None);
}

#[test]
fn a_limit_below_one_token_is_impossible_and_nothing_else_is() {
    for message in [
        "max_tokens_to_sample: range: 1..1,000,000",
        "max_tokens: -1 is less than the minimum 1",
        "Malformed input request: #/max_tokens: -1 is not greater or equal to 0, please reformat your input and try again.",
        "Malformed input request: #/textGenerationConfig/maxTokenCount: 0 is not greater or equal to 1",
        "#/max_gen_len: -5 is less than the minimum 1",
        "1 validation error detected: Value '-1' at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value greater than or equal to 1",
    ] {
        check_class("ValidationException", message, "request: impossible");
    }
    for message in [
        "temperature: -1 is less than the minimum 0",
        "top_k: range: 1..500",
        "max_tokens: 9000 is greater than the maximum 4096",
        "max_tokens: 9000 is less than the minimum 9001",
        "Malformed input request: extraneous key [max_tokens: -1 is less than the minimum 1] is not permitted",
        "1 validation error detected: Value '-1' at 'inferenceConfig.topP' failed to satisfy constraint",
        "max_tokens",
        "max_tokens: ",
    ] {
        check_class("ValidationException", message, "request: other validation");
    }
}

#[test]
fn the_quarantine_of_a_key_is_known_by_the_policy_that_aws_owns() {
    let denied = |arn: &str| format!("{WHO} with an explicit deny in an identity-based policy: {arn}");
    for arn in [
        "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantine",
        "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3",
        "arn:aws-us-gov:iam::aws:policy/AWSCompromisedKeyQuarantineV9",
    ] {
        check_class("AccessDeniedException", &denied(arn), "quarantine: quarantine");
        assert_eq!(denying_policy(&denied(arn)), Some(arn));
    }
    for arn in [
        "arn:aws:iam::111122223333:policy/AWSCompromisedKeyQuarantineV3",
        "arn:aws:iam::aws:policy/x/AWSCompromisedKeyQuarantineV3",
        "arn:aws:iam::aws:role/AWSCompromisedKeyQuarantineV3",
    ] {
        check_class("AccessDeniedException", &denied(arn), "policy: identity policy");
    }
    let role = "User: arn:aws:sts::1:assumed-role/arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3 is not authorized to perform: bedrock:InvokeModel because no session policy allows the x action";
    check_class("AccessDeniedException", role, "policy: session policy");
    assert_eq!(denying_policy(role), None);
}

#[test]
fn an_id_is_no_answer_of_bedrock() {
    let role = "User: arn:aws:sts::1:assumed-role/a/b You don't have access to the model with the specified model ID is not authorized to perform: x";
    check_class("AccessDeniedException", role, "unknown: unknown");
    check_class("AccessDeniedException", "a b is not available for this account", "unknown: unknown");
    check_class("AccessDeniedException", " is not available for this account", "unknown: unknown");
}

#[test]
fn people_read_of_each_cause_and_of_what_a_missing_setup_needs() {
    let other = [QUARANTINE, IMPOSSIBLE, OTHER_VALIDATION, MARKETPLACE];
    let all =
        POLICIES.map(|(_, cause)| cause).into_iter().chain(MESSAGES.map(|(_, cause)| cause)).chain(other);
    let unknown = words::because("no cause");
    for Cause { class, name, .. } in all {
        assert_ne!(words::because(name), unknown, "{name}");
        assert_eq!(words::setup(name).is_some(), class == Class::Setup, "{name}");
    }
    assert_eq!(words::because(UNKNOWN.name), unknown);
    assert_eq!(words::setup(UNKNOWN.name), None);
    for class in Class::ALL {
        assert_eq!(Class::named(class.name()), Some(class));
    }
}
