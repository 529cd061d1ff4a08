//! CloudTrail's records: which calls use a model, and what they say of a call.

use std::borrow::Cow;

use crate::call::api_key::{api_key, is_key_user};
use crate::call::cause;
use crate::call::credential::Credential;
use crate::call::guardrail::Facts;
use crate::call::members::{Member, Members};
use crate::call::{Call, Source, model};
use crate::source::text::truncate_with_hash;
use crate::source::time::EventTime;

const BEDROCK: &str = "bedrock.amazonaws.com";
/// `eventSource` of the endpoint that speaks OpenAI's and Anthropic's native protocols.
pub const MANTLE: &str = "bedrock-mantle.amazonaws.com";

/// The calls that use a model, by `eventSource`. Sources: "Monitor Amazon Bedrock API calls using
/// CloudTrail" and "Monitor bedrock-mantle API calls using CloudTrail" in the Amazon Bedrock user
/// guide. All but the last go to `bedrock-runtime`, whose source is also `bedrock`.
pub const MODEL_CALLS: [(&str, &[&str]); 2] = [
    (
        BEDROCK,
        &[
            "InvokeModel",
            "InvokeModelWithResponseStream",
            "InvokeModelWithBidirectionalStream",
            "Converse",
            "ConverseStream",
            "StartAsyncInvoke",
        ],
    ),
    (MANTLE, &["CreateInference"]),
];

/// CloudTrail's own spellings of error codes, and Bedrock's spelling of each.
pub const SPELLINGS: [(&str, &str); 2] =
    [("AccessDenied", cause::ACCESS_DENIED), (cause::VPCE_ACCESS_DENIED, cause::ACCESS_DENIED)];

/// Whether a record describes a call that uses a model.
#[must_use]
pub fn is_model_call(source: &str, name: &str) -> bool {
    MODEL_CALLS.iter().any(|(known, names)| *known == source && names.contains(&name))
}

/// The service that wrote a record with this `eventSource`.
#[must_use]
pub fn service(event_source: &str) -> &str {
    event_source.strip_suffix(".amazonaws.com").unwrap_or(event_source)
}

/// Whether it is one of Bedrock's services: `bedrock`, `bedrock-mantle`, `bedrock-agent` and others.
#[must_use]
pub fn is_bedrock(event_source: &str) -> bool {
    event_source.starts_with("bedrock")
}

/// Whether a rule may be about a record with this `eventSource` and user ARN: an operation of Bedrock, or anything that
/// the user behind an API key of Bedrock does.
#[must_use]
pub fn is_watched(event_source: &str, user: Option<&str>) -> bool {
    is_bedrock(event_source) || user.is_some_and(is_key_user)
}

/// The error code as Bedrock spells it, whatever CloudTrail wrote.
#[must_use]
pub fn error_code(written: Cow<'_, str>) -> Cow<'_, str> {
    match SPELLINGS.iter().find(|(trail, _)| *trail == written) {
        Some((_, bedrock)) => Cow::Borrowed(bedrock),
        None => written,
    }
}

/// What a record shows of a call that succeeded: its tokens. Records of some operations have none; those calls are
/// left to the invocation log.
///
/// Source: "Monitor Amazon Bedrock API calls using CloudTrail" in the Amazon Bedrock user guide.
#[must_use]
pub fn facts(members: &Members<'_>) -> Facts<'static> {
    let added = members.below(Member::AdditionalEventData);
    let (input, output) = (added.number(Member::InputTokens), added.number(Member::OutputTokens));
    Facts {
        input_tokens: input.unwrap_or_default(),
        output_tokens: output.unwrap_or_default(),
        ..Facts::default()
    }
}

/// The call that `members` record. A missing request id is empty.
pub fn call<'a>(
    members: &Members<'a>,
    at: EventTime,
    error_code: Cow<'a, str>,
    facts: Facts<'a>,
    succeeded: bool,
) -> Call<'a> {
    let given = |text: &Cow<'_, str>| !text.is_empty();
    let kept = |field| members.text(field).map(truncate_with_hash);
    let asked = members.below(Member::RequestParameters);
    let caller = members.below(Member::UserIdentity);
    let user = caller.text(Member::Arn);
    let message = members.text(Member::ErrorMessage);
    let event_source = members.text(Member::EventSource);
    let is_mantle = event_source.as_deref() == Some(MANTLE);
    let operation = kept(Member::EventName);
    let is_model_call = event_source
        .as_deref()
        .zip(operation.as_deref())
        .is_some_and(|(source, operation)| is_model_call(source, operation));
    let service = event_source.map(|source| match source {
        Cow::Borrowed(source) => Cow::Borrowed(service(source)),
        Cow::Owned(source) => Cow::Owned(service(&source).to_owned()),
    });
    // Only on this endpoint does AWS itself write the bearer-token marks among the request parameters.
    let added = if is_mantle { &asked } else { &members.below(Member::AdditionalEventData) };
    let written = members.text(Member::ErrorCode);
    let as_written =
        written.as_deref().filter(|code| *code == cause::VPCE_ACCESS_DENIED).unwrap_or(&error_code);
    let cause = cause::cause(as_written, message.as_deref());
    let named = || cause::denied_model(message.as_deref()?).map(|model| Cow::Owned(model.to_owned()));
    let model = asked.text(if is_mantle { Member::Model } else { Member::ModelId });
    let model = model.filter(given).or_else(named);
    let access_key_id = caller.text(Member::AccessKeyId).map(truncate_with_hash);
    let api_key = api_key(
        user.as_deref(),
        added.flag(Member::CallWithBearerToken),
        added.text(Member::BearerTokenType).as_deref(),
    );
    Call {
        source: Source::CloudTrail,
        is_model_call,
        service: service.map(truncate_with_hash),
        operation,
        succeeded,
        credential: Credential::of(api_key.is_some(), user.as_deref(), access_key_id.as_deref()),
        on_behalf: caller.text(Member::InvokedBy).is_some(),
        at,
        account: kept(Member::RecipientAccountId),
        api_key,
        caller_account: if user.is_none() {
            caller.text(Member::AccountId).map(truncate_with_hash)
        } else {
            None
        },
        user: user.map(truncate_with_hash),
        model: model::identity_of(&model),
        model_called: model.map(truncate_with_hash),
        resource: None,
        region: kept(Member::AwsRegion),
        request_id: kept(Member::TrailRequestId)
            .filter(given)
            .or_else(|| kept(Member::EventId))
            .unwrap_or_default(),
        denied_by: cause::denied_by(&error_code, cause),
        cause,
        denying_policy: message
            .as_deref()
            .and_then(cause::denying_policy)
            .map(|arn| truncate_with_hash(arn.to_owned().into())),
        error_code,
        source_ip: kept(Member::SourceIp),
        user_agent: kept(Member::UserAgent),
        access_key_id,
        vpc_endpoint: kept(Member::VpcEndpointId),
        facts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_that_uses_a_model_is_known_by_its_source() {
        for (source, name, expected) in [
            ("bedrock.amazonaws.com", "InvokeModel", true),
            ("bedrock.amazonaws.com", "StartAsyncInvoke", true),
            ("bedrock-mantle.amazonaws.com", "CreateInference", true),
            ("bedrock.amazonaws.com", "CreateInference", false),
            ("bedrock-mantle.amazonaws.com", "InvokeModel", false),
            ("bedrock-mantle.amazonaws.com", "ListModels", false),
            ("bedrock-agentcore.amazonaws.com", "InvokeModel", false),
            ("bedrock.amazonaws.com", "GetAsyncInvoke", false),
        ] {
            assert_eq!(is_model_call(source, name), expected, "{source} {name}");
        }
    }

    #[test]
    fn one_denial_has_one_code() {
        assert_eq!(error_code("AccessDenied".into()), "AccessDeniedException");
        assert_eq!(error_code("VpceAccessDenied".into()), "AccessDeniedException");
        assert_eq!(error_code("AccessDeniedException".into()), "AccessDeniedException");
        assert_eq!(error_code("ValidationException".into()), "ValidationException");
    }
}
