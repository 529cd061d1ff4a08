//! Why a call failed: its error code, and what AWS's message says.
//!
//! AWS writes the text of `errorMessage`, but the caller chooses the ids in it. So AWS's phrases are
//! matched only where no id can appear.

use std::collections::BTreeSet;

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

/// A class of causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A policy of the customer denies the call, or none allows it.
    Policy,
    /// AWS has found the key in public and attached its quarantine policy to the user.
    Quarantine,
    /// Something has to be set up before anyone in the account may use the model.
    Setup,
    /// AWS does not serve the account, or not there.
    Account,
    /// The request itself is wrong.
    Request,
    /// AWS gave a message that is not in the table.
    Unknown,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Policy, Self::Quarantine, Self::Setup, Self::Account, Self::Request, Self::Unknown];

    /// The class with this [name](Self::name).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// The word in alerts and rule files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Quarantine => "quarantine",
            Self::Setup => "setup",
            Self::Account => "account",
            Self::Request => "request",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a call failed: one entry of a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cause {
    /// The class that it belongs to.
    pub class: Class,
    /// Its name in alerts and rule files.
    pub name: &'static str,
    /// A short description of what denied the call.
    denied_by: Option<&'static str>,
}

impl Cause {
    const fn new(class: Class, name: &'static str) -> Self {
        Self { class, name, denied_by: Some(name) }
    }

    const fn described(class: Class, name: &'static str, denied_by: &'static str) -> Self {
        Self { class, name, denied_by: Some(denied_by) }
    }
}

/// The error code of a call that a VPC endpoint's policy denied. Its message is always the same.
///
/// Source: "Logging network activity events" in the AWS CloudTrail user guide.
pub const VPCE_ACCESS_DENIED: &str = "VpceAccessDenied";

const ENDPOINT_POLICY: Cause = Cause::new(Class::Policy, "VPC endpoint policy");
const QUARANTINE: Cause = Cause::described(Class::Quarantine, "quarantine", "AWS's quarantine policy");
const MARKETPLACE: Cause = Cause::described(Class::Setup, "Marketplace subscription", NO_ACCESS);
const NEVER_REQUESTED: Cause = Cause::described(Class::Setup, "model access never requested", NO_ACCESS);
const USE_CASE: Cause = Cause::described(Class::Setup, "use-case form", NO_ACCESS);
const IMPOSSIBLE: Cause = Cause::new(Class::Request, "impossible");
const OTHER_VALIDATION: Cause = Cause { class: Class::Request, name: "other validation", denied_by: None };
const UNKNOWN: Cause = Cause { class: Class::Unknown, name: "unknown", denied_by: None };
const NO_ACCESS: &str = "no model access";

/// The words before the kind of policy: for an explicit deny, and for a missing allow.
///
/// Source: "Troubleshoot access denied error messages" in the AWS IAM user guide.
const REASONS: [&str; 2] = ["explicit deny in ", "because no "];

/// The kinds of policy as AWS writes them. Source: as above.
const POLICIES: [(&str, Cause); 7] = [
    ("identity-based policy", Cause::described(Class::Policy, "identity policy", "IAM identity policy")),
    ("service control policy", Cause::new(Class::Policy, "service control policy")),
    ("resource control policy", Cause::new(Class::Policy, "resource control policy")),
    ("permissions boundary", Cause::new(Class::Policy, "permissions boundary")),
    ("session policy", Cause::new(Class::Policy, "session policy")),
    ("VPC endpoint policy", ENDPOINT_POLICY),
    ("resource-based policy", Cause::new(Class::Policy, "resource policy")),
];

/// The name of the policy that AWS attaches to a user whose key it found exposed; a version follows it.
///
/// Source: "AWSCompromisedKeyQuarantineV3" in the AWS managed policy reference guide.
const QUARANTINE_POLICY: &str = "AWSCompromisedKeyQuarantine";

/// How Bedrock's own messages begin. The longest match wins. A `*` is one word without a space, such as the id of a
/// model.
///
/// Sources: "Resolve InvokeModel API errors in Amazon Bedrock" in the AWS Knowledge Center; messages that users of
/// public projects report.
const MESSAGES: [(&str, Cause); 17] = [
    ("You don't have access to the model with the specified model ID", NEVER_REQUESTED),
    ("* is not available for this account", NEVER_REQUESTED),
    // The account has no AWS Marketplace subscription, and the caller may not create one.
    ("Model access is denied due to ", MARKETPLACE),
    (
        "Model access is denied due to INVALID_PAYMENT_INSTRUMENT",
        Cause::described(Class::Setup, "payment instrument", NO_ACCESS),
    ),
    ("Model use case details have not been submitted for this account", USE_CASE),
    ("You have not filled out the required use-case form for this model", USE_CASE),
    // The model serves only accounts that have used it within the last 30 days.
    ("This Model is marked by provider as Legacy", Cause::new(Class::Setup, "legacy model")),
    (
        "Your account is not authorized to invoke this API operation",
        Cause::described(Class::Account, "account not authorized", NO_ACCESS),
    ),
    (
        "Your account is not authorized to invoke this API operation with a prompt resource",
        Cause::new(Class::Request, "prompt resource"),
    ),
    ("Operation not allowed", Cause::new(Class::Account, "operation not allowed")),
    ("data retention mode * is not available for this model", Cause::new(Class::Account, "data retention")),
    (
        "Access to Anthropic models is not allowed from unsupported countries, regions, or territories",
        Cause::new(Class::Account, "country or region not served"),
    ),
    ("The provided model identifier is invalid", Cause::new(Class::Request, "wrong model id")),
    ("Could not resolve ", Cause::new(Class::Request, "wrong model id")),
    (
        "You invoked an unsupported model or your request did not allow prompt caching",
        Cause::new(Class::Request, "prompt caching"),
    ),
    ("Invocation of model ID * with on-demand throughput isn", Cause::new(Class::Request, "on-demand use")),
    ("The request was denied due to a VPC endpoint policy", ENDPOINT_POLICY),
];

/// The names of all classes, then of all causes.
pub fn names() -> impl Iterator<Item = &'static str> {
    let classes =
        [Class::Policy, Class::Quarantine, Class::Setup, Class::Account, Class::Request, Class::Unknown];
    let causes = POLICIES.iter().chain(&MESSAGES).map(|(_, cause)| *cause);
    let others = [QUARANTINE, IMPOSSIBLE, OTHER_VALIDATION, UNKNOWN];
    let causes: BTreeSet<&str> = causes.chain(others).map(|cause| cause.name).collect();
    let classes = classes.map(Class::name);
    classes.into_iter().chain(causes.into_iter().filter(move |name| !classes.contains(name)))
}

/// Why a call failed; `None` if its error code has no causes, or if the record has no message.
#[must_use]
pub fn cause(error_code: &str, message: Option<&str>) -> Option<Cause> {
    if error_code == VPCE_ACCESS_DENIED {
        return Some(ENDPOINT_POLICY);
    }
    let message = message.filter(|message| !message.trim().is_empty())?;
    let unmatched = match error_code {
        ACCESS_DENIED | MODEL_NOT_FOUND => UNKNOWN,
        VALIDATION_FAILED => OTHER_VALIDATION,
        _ => return None,
    };
    Some(of_policy(message).or_else(|| of_answer(message)).unwrap_or(unmatched))
}

/// A short description of what denied a call, as far as its error code and its [`cause`] show.
#[must_use]
pub fn denied_by(error_code: &str, cause: Option<Cause>) -> Option<&'static str> {
    cause
        .and_then(|cause| cause.denied_by)
        .or_else(|| (error_code == MODEL_NOT_FOUND).then_some("model not found"))
}

/// The ARN of the policy that denied a call, where AWS names it: within the same account or organization.
#[must_use]
pub fn denying_policy(message: &str) -> Option<&str> {
    policy_arn(reason(message)?.1)
}

/// The ARN in what follows the kind of policy: nothing else does, and no ARN contains a space.
fn policy_arn(behind_kind: &str) -> Option<&str> {
    let (_, arn) = behind_kind.rsplit_once(": ")?;
    let arn = arn.trim_end().trim_end_matches('.');
    (arn.starts_with("arn:") && !arn.contains(char::is_whitespace)).then_some(arn)
}

/// The kind of policy that a message names, and what follows it. The last reason counts: all ids but the policy's
/// ARN stand before it.
fn reason(message: &str) -> Option<(Cause, &str)> {
    let at = REASONS.iter().filter_map(|words| message.rfind(words)?.checked_add(words.len())).max()?;
    let kind = message.get(at..)?;
    let kind = ["a ", "an ", "the "].iter().find_map(|article| kind.strip_prefix(article)).unwrap_or(kind);
    POLICIES.iter().find_map(|(words, cause)| {
        let (begin, rest) = kind.split_at_checked(words.len())?;
        begin.eq_ignore_ascii_case(words).then_some((*cause, rest))
    })
}

fn of_policy(message: &str) -> Option<Cause> {
    let is_of_iam = message.contains(ACTION);
    // AWS's own policies belong to the account `aws`.
    let is_quarantine = |arn: &str| {
        let mut parts = arn.splitn(6, ':');
        let is_aws = parts.nth(2) == Some("iam") && parts.nth(1) == Some("aws");
        let name = parts.next().and_then(|resource| resource.strip_prefix("policy/"));
        is_aws && name.is_some_and(|name| name.starts_with(QUARANTINE_POLICY))
    };
    let reason = reason(message);
    if reason.and_then(|(_, rest)| policy_arn(rest)).is_some_and(is_quarantine) {
        return Some(QUARANTINE);
    }
    // Behind the last of these words stands what the caller asked for, which IAM has parsed.
    let action = message.rsplit_once(ACTION).map(|(_, action)| action);
    if action.is_some_and(|action| action.starts_with("aws-marketplace:")) {
        return Some(MARKETPLACE);
    }
    match reason {
        Some((cause, _)) => Some(cause),
        // Its ids must not be taken for an answer of Bedrock.
        None if is_of_iam => Some(UNKNOWN),
        None => None,
    }
}

fn of_answer(message: &str) -> Option<Cause> {
    let message = message.strip_prefix("Access denied. ").unwrap_or(message);
    let matching = MESSAGES.iter().filter(|(begin, _)| begins(message, begin));
    let longest = matching.max_by_key(|(begin, _)| begin.len()).map(|(_, cause)| *cause);
    longest.or_else(|| asks_for_no_tokens(message).then_some(IMPOSSIBLE)).or_else(|| {
        message
            .to_ascii_lowercase()
            .contains("fill out the anthropic use case details form")
            .then_some(USE_CASE)
    })
}

/// Whether `message` begins so; a `*` is one word.
fn begins(message: &str, begin: &str) -> bool {
    match begin.split_once('*') {
        None => message.starts_with(begin),
        Some((before, after)) => message.strip_prefix(before).is_some_and(|rest| {
            let end = rest.find(after).filter(|end| *end > 0);
            end.and_then(|end| rest.get(..end)).is_some_and(|word| !word.contains(' '))
        }),
    }
}

/// Whether Bedrock rejected a limit of tokens below one, as the schema of one model or another says it:
/// `max_tokens_to_sample: range: 1..1,000,000`, `max_tokens: -1 is less than the minimum 1`, `Malformed input request:
/// #/maxTokens: -1 is not greater or equal to 0`, or `Value '-1' at 'inferenceConfig.maxTokens' failed to satisfy
/// constraint: Member must have value greater …`. Programs that check stolen keys ask for this, so that an answer
/// costs nothing.
fn asks_for_no_tokens(message: &str) -> bool {
    let is_below_one = |value: &str| value.parse::<i64>().is_ok_and(|value| value < 1);
    let is_limit = |name: &str| {
        let name = name.to_ascii_lowercase();
        !name.contains(' ') && (name.contains("token") || name.ends_with("max_gen_len"))
    };
    let message = message.strip_prefix("Malformed input request: ").unwrap_or(message);
    if let Some((_, rest)) = message.split_once("validation error detected: Value '")
        && let Some((value, rest)) = rest.split_once("' at '")
    {
        return is_below_one(value) && rest.split('\'').next().is_some_and(is_limit);
    }
    let Some((name, rest)) = message.split_once(": ") else { return false };
    let is_rejected = rest.starts_with("range: 1..")
        || rest.split_once(' ').is_some_and(|(value, rest)| {
            let is_minimum = rest.starts_with("is less than the minimum ")
                || rest.starts_with("is not greater or equal to ");
            is_minimum && is_below_one(value)
        });
    is_limit(name) && is_rejected
}

pub mod words;

#[cfg(test)]
mod tests;
