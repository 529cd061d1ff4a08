//! The rules: data only.

use std::time::Duration;

use crate::log::denial::{ACCESS_DENIED, MODEL_NOT_FOUND, VALIDATION_FAILED};
use crate::rule::definition::{Rule, Severity, Technique, Wording};
use crate::rule::field::Field;

/// All rules there are.
pub const ALL: [Rule; 4] = [DENIED_MODEL, MODEL_SWEEP, SESSION_ROTATION, VALIDATION_BURST];

/// The rules that are on unless somebody chooses others.
pub const DEFAULT: [Rule; 3] = [DENIED_MODEL, MODEL_SWEEP, SESSION_ROTATION];

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

const EVASION: Technique = Technique {
    id: "AML.T0015",
    name: "Evade AI Model",
    reference: "https://atlas.mitre.org/techniques/AML.T0015",
};
const COST_HARVESTING: Technique = Technique {
    id: "AML.T0034",
    name: "Cost Harvesting",
    reference: "https://atlas.mitre.org/techniques/AML.T0034",
};
const INFERENCE_API_ACCESS: Technique = Technique {
    id: "AML.T0040",
    name: "AI Model Inference API Access",
    reference: "https://atlas.mitre.org/techniques/AML.T0040",
};
const CHAFF: Technique = Technique {
    id: "AML.T0046",
    name: "Spamming AI System with Chaff Data",
    reference: "https://atlas.mitre.org/techniques/AML.T0046",
};

/// A description of the attack that `model-sweep` and `session-rotation` look for.
const LLMJACKING: &str = "https://sysdig.com/blog/llmjacking-stolen-cloud-credentials-used-in-new-ai-attack/";

/// One user is refused one model again and again.
///
/// Source: elastic/detection-rules, rule `17261da3-a6d0-463c-aac8-ea1718afcd20` "AWS Bedrock
/// Detected Multiple Attempts to use Denied Models by a Single User" (severity high, risk score
/// 73, more than three denials by one user of one model in one account within an hour).
pub const DENIED_MODEL: Rule = Rule {
    id: "denied-model",
    uuid: Some("17261da3-a6d0-463c-aac8-ea1718afcd20"),
    name: "AWS Bedrock Detected Multiple Attempts to use Denied Models by a Single User",
    version: "1",
    severity: Severity::High,
    risk_score: 73,
    action: "bedrock-model-invocation-denied",
    error_codes: &[ACCESS_DENIED],
    group_by: &[Field::Account, Field::User, Field::Model],
    distinct: Field::RequestId,
    excepted_roles: &[],
    threshold: 3,
    window: HOUR,
    cooldown: HOUR,
    reference: "https://www.elastic.co/guide/en/security/current/aws-bedrock-detected-multiple-attempts-to-use-denied-models-by-a-single-user.html",
    techniques: &[EVASION, COST_HARVESTING],
    wording: Wording {
        noun: "denials",
        headline: "{user} denied {count} times for {model}",
        reason: "{user} was denied model {model} {count} times",
        title: "Bedrock model denied {count} times to one user",
        opening: "Somebody keeps trying an Amazon Bedrock model they are denied.",
        meaning: "This is a stolen key that probes for expensive models, somebody working around\n\
                  the model policy, or a policy that blocks honest work.",
    },
    triage: &[
        "Ask the owner of the identity whether they made these calls and why they need this model.",
        "In CloudTrail, look at the same identity over the last 48 hours: source addresses, user agents, new access keys, calls to other models or regions.",
        "Check whether any Bedrock call of this identity succeeded in the same period, and what it cost.",
        "If nobody owns the calls, deactivate the access key or revoke the role's sessions now, then rotate the credential.",
        "If the work is honest, request access to the model or correct the policy, and tell the owner which models are approved.",
        "If a policy was being worked around, raise it with the account's owner and keep this alert with the case.",
    ],
    false_positives: &[
        "A deployment that names a model the account has no access to.",
        "A policy change that took away a model that honest work still uses.",
    ],
};

/// One user is refused many models, each perhaps only once: a stolen key finds out what it can
/// reach.
pub const MODEL_SWEEP: Rule = Rule {
    id: "model-sweep",
    uuid: None,
    name: "Amazon Bedrock: One User Denied Many Models",
    version: "1",
    severity: Severity::High,
    risk_score: 73,
    action: "bedrock-model-sweep-denied",
    // Bedrock answers the second of a model that the account never asked for, and of a legacy one.
    error_codes: &[ACCESS_DENIED, MODEL_NOT_FOUND],
    group_by: &[Field::Account, Field::User],
    distinct: Field::Model,
    excepted_roles: &[],
    threshold: 3,
    window: HOUR,
    cooldown: HOUR,
    reference: LLMJACKING,
    techniques: &[INFERENCE_API_ACCESS, COST_HARVESTING],
    wording: Wording {
        noun: "models",
        headline: "{user} denied {count} different models",
        reason: "{user} was denied {count} different models",
        title: "{count} Bedrock models denied to one user",
        opening: "Somebody tries one Amazon Bedrock model after another and is denied.",
        meaning: "This is how a stolen key finds out which models it can reach. It may also be a\n\
                  tool that looks for what it can use.",
    },
    triage: &[
        "Ask the owner of the identity whether they, or a tool of theirs, went through these models.",
        "Look at the source addresses and user agents below and, in CloudTrail, at the same identity over the last 48 hours: ListFoundationModels, GetFoundationModelAvailability, calls in regions you do not use, new access keys.",
        "Check which models of the list, or others, did answer this identity, and what that cost.",
        "If nobody owns the calls, deactivate the access key or revoke the role's sessions now, then rotate the credential.",
        "If it is a tool that looks for what it can use, give it the list of approved models, or exempt its identity.",
    ],
    false_positives: &[
        "A gateway, playground or test suite that goes through a list of models.",
        "An application that falls back from model to model after a policy change.",
    ],
};

/// One role is refused one model under many session names, so that no single user stands out.
pub const SESSION_ROTATION: Rule = Rule {
    id: "session-rotation",
    uuid: None,
    name: "Amazon Bedrock: One Model Denied to Many Sessions of a Role",
    version: "1",
    severity: Severity::Medium,
    risk_score: 47,
    action: "bedrock-session-rotation-denied",
    error_codes: &[ACCESS_DENIED],
    group_by: &[Field::Account, Field::Role, Field::Model],
    distinct: Field::Session,
    // IAM Identity Center names the roles of people so, and one session a person.
    excepted_roles: &["AWSReservedSSO_"],
    threshold: 3,
    window: HOUR,
    cooldown: HOUR,
    reference: LLMJACKING,
    techniques: &[EVASION, COST_HARVESTING],
    wording: Wording {
        noun: "sessions",
        headline: "{role} denied in {count} sessions for {model}",
        reason: "{role} was denied model {model} in {count} different sessions",
        title: "Bedrock model denied to {count} sessions of one role",
        opening: "One role keeps trying an Amazon Bedrock model it is denied, under many session names.",
        meaning: "This is somebody who takes a new session for every few tries so as not to be\n\
                  counted, or many copies of one workload that name a model they may not use.",
    },
    triage: &[
        "Find out what uses this role. Sessions named after instances, pods or functions are copies of one workload; names that look random or new are not.",
        "In CloudTrail, look for the AssumeRole calls behind these sessions: who made them, from where, and whether they are new.",
        "Check whether any Bedrock call of this role succeeded in the same period, and what it cost.",
        "If nobody owns the calls, revoke the role's sessions now, and take away what lets the caller assume it.",
        "If it is a workload, correct the model it names or its policy; one mistake shows in every copy.",
    ],
    false_positives: &[
        "A fleet (instances, pods, functions) whose copies all name a model that the role may not use.",
        "A role that people assume themselves, each under a name of their own, outside IAM Identity Center.",
    ],
};

/// One user sends one invalid request after the other.
///
/// Source: elastic/detection-rules, rule `725a048a-88c5-4fc7-8677-a44fc0031822` "AWS Bedrock
/// Detected Multiple Validation Exception Errors by a Single User" (severity high, risk score
/// 73, more than three by one user in one account within a minute). The cooldown is ours: a
/// client that repeats its mistake all night is one alert an hour.
pub const VALIDATION_BURST: Rule = Rule {
    id: "validation-burst",
    uuid: Some("725a048a-88c5-4fc7-8677-a44fc0031822"),
    name: "AWS Bedrock Detected Multiple Validation Exception Errors by a Single User",
    version: "1",
    severity: Severity::High,
    risk_score: 73,
    action: "bedrock-model-invocation-invalid",
    error_codes: &[VALIDATION_FAILED],
    group_by: &[Field::Account, Field::User],
    distinct: Field::RequestId,
    excepted_roles: &[],
    threshold: 3,
    window: MINUTE,
    cooldown: HOUR,
    reference: "https://www.elastic.co/guide/en/security/current/aws-bedrock-detected-multiple-validation-exception-errors-by-a-single-user.html",
    techniques: &[EVASION, COST_HARVESTING, CHAFF],
    wording: Wording {
        noun: "requests",
        headline: "{user} sent {count} invalid requests",
        reason: "{user} sent {count} requests that failed validation",
        title: "{count} invalid Bedrock requests of one user",
        opening: "Somebody sends Amazon Bedrock one invalid request after another.",
        meaning: "An invalid request tells a stolen key whether it may use a model, at no cost and\n\
                  without a refusal. It may also be a client with a wrong parameter.",
    },
    triage: &[
        "Ask the owner of the identity whether they made these calls.",
        "In CloudTrail, look at the requests of this identity: parameters that no client would send, such as a negative number of tokens, and one model after the other are probes.",
        "Look at the same identity over the last 48 hours: source addresses, user agents, new access keys, calls that succeeded and what they cost.",
        "If nobody owns the calls, deactivate the access key or revoke the role's sessions now, then rotate the credential.",
        "If it is a client with a wrong parameter, have it corrected.",
    ],
    false_positives: &[
        "A client that sends one model the parameters of another.",
        "Prompts that are longer than the model takes.",
    ],
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_phrases_name_only_what_the_rule_groups_by() {
        let ids: HashSet<&str> = ALL.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), ALL.len());
        for rule in &ALL {
            let Wording { headline, reason, title, .. } = rule.wording;
            for phrase in [headline, reason, title] {
                assert!(phrase.contains("{count}"), "{phrase}");
                for (name, field) in
                    [("{user}", Field::User), ("{role}", Field::Role), ("{model}", Field::Model)]
                {
                    assert!(
                        !phrase.contains(name) || rule.group_by.contains(&field),
                        "{}: {phrase}",
                        rule.id
                    );
                }
            }
            assert!(!rule.triage.is_empty() && !rule.false_positives.is_empty(), "{}", rule.id);
        }
    }

    #[test]
    fn the_denied_model_rule_is_elastics() {
        assert_eq!((DENIED_MODEL.threshold, DENIED_MODEL.window), (3, HOUR));
        assert_eq!((DENIED_MODEL.severity, DENIED_MODEL.risk_score), (Severity::High, 73));
    }
}
