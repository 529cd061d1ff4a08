//! Records of Bedrock's model invocation log.

use std::borrow::Cow;

use crate::call::api_key::api_key;
use crate::call::cause;
use crate::call::credential::Credential;
use crate::call::guardrail::Facts;
use crate::call::members::{Member, Members};
use crate::call::{Call, Source, model};
use crate::source::text::truncate_with_hash;
use crate::source::time::EventTime;

/// The call that `members` record. A missing request id is empty.
pub fn call<'a>(
    members: &Members<'a>,
    at: EventTime,
    error_code: Cow<'a, str>,
    facts: Facts<'a>,
    succeeded: bool,
) -> Call<'a> {
    let kept = |field| members.text(field).map(truncate_with_hash);
    let user = members.below(Member::Identity).text(Member::Arn);
    let model = members.text(Member::ModelId);
    let api_key = api_key(user.as_deref(), None, None);
    Call {
        source: Source::InvocationLog,
        is_model_call: true,
        service: Some(Cow::Borrowed("bedrock")),
        operation: kept(Member::Operation),
        succeeded,
        credential: Credential::of(api_key.is_some(), user.as_deref(), None),
        on_behalf: false,
        at,
        account: kept(Member::AccountId),
        api_key,
        user: user.map(truncate_with_hash),
        model: model::identity_of(&model),
        model_called: model.map(truncate_with_hash),
        resource: None,
        region: kept(Member::Region),
        request_id: kept(Member::RequestId).unwrap_or_default(),
        denied_by: cause::denied_by(&error_code, None),
        cause: None,
        denying_policy: None,
        error_code,
        source_ip: None,
        user_agent: None,
        access_key_id: None,
        caller_account: None,
        vpc_endpoint: None,
        facts,
    }
}
