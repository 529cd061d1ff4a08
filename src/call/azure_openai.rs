//! Records of Azure OpenAI's diagnostic log, as Azure Monitor passes them on: one a line, or in `{"records":[…]}`.
//!
//! A request is counted once, by its correlation id: of the records that share one, only those of the category
//! `RequestResponse` say what the model's service answered. What a gateway before it writes, and the log of who managed
//! the account (`Audit`), are recognised and not counted.
//!
//! Sources: "Azure Monitor resource log schema" and "Monitoring data reference for Azure OpenAI" in Microsoft's
//! documentation; the shapes of records in the public tests of Elastic's `azure_openai` integration.

use std::borrow::Cow;

use memchr::memmem;
use serde_json::value::RawValue;

use crate::call::cause::ACCESS_DENIED;
use crate::call::guardrail::Facts;
use crate::call::members::{Members, named};
use crate::call::{Call, Reading, Source};
use crate::source::text::{Text, truncate_with_hash, unescaped};
use crate::source::time::EventTime;

/// What every record with an answer's status contains.
const SIGNATURE: &str = "resultSignature";

const NAMES: [&str; 9] = [
    "time",
    "resourceId",
    "category",
    "operationName",
    SIGNATURE,
    "callerIpAddress",
    "correlationId",
    "location",
    "properties",
];

/// The category of records of requests that the model's service answered.
const ANSWERED: &str = "RequestResponse";
/// The operation whose answers are texts, so that an empty one is worth a look.
const CHAT: &str = "ChatCompletions_Create";
/// Azure OpenAI's accounts in a resource's id.
const PROVIDER: &str = "Microsoft.CognitiveServices";

/// What the record is; `None` if it is none of this log. The call has an empty id where the record has none.
pub fn read<'a>(record: &Members<'a>) -> Option<Reading<'a>> {
    let [time, resource, category, operation, status, address, correlation, location, properties] =
        record.named(&NAMES);
    let resource = text(resource);
    let category = text(category);
    let provider = resource.as_deref().and_then(|id| segment(id, "providers"));
    let is_answer = category.as_deref() == Some(ANSWERED);
    let is_resource = provider.is_some() && operation.is_some() && time.is_some();
    let is_record = is_resource || (is_answer && status.is_some());
    if !is_record {
        return None;
    }
    // Other services of Azure have such a category too.
    let is_other = provider.is_some_and(|provider| !provider.eq_ignore_ascii_case(PROVIDER));
    let status = status.and_then(|json| http_status(json.get()));
    let Some(status) = status.filter(|_| is_answer && !is_other) else { return Some(Reading::Other) };
    let denied_by = match status {
        401 => Some("HTTP status 401"),
        403 => Some("HTTP status 403"),
        _ => None,
    };
    let succeeded = (200..300).contains(&status);
    let Some(at) = text(time).and_then(|time| EventTime::parse(&time)) else {
        // What no rule counts need not have one.
        return Some(denied_by.map_or(Reading::Other, |_| Reading::NoTimestamp { is_denied: true }));
    };
    let properties = properties.map(Properties::read).unwrap_or_default();
    let operation = text(operation);
    let is_empty = properties.response_length == Some(0);
    let facts = Facts {
        empty_answer: status == 200 && is_empty && operation.as_deref() == Some(CHAT),
        ..Facts::default()
    };
    Some(Reading::Call(Call {
        source: Source::AzureOpenAi,
        is_model_call: true,
        service: Some(Cow::Borrowed(Source::AzureOpenAi.cloud().names().1)),
        operation: operation.map(truncate_with_hash),
        succeeded,
        credential: None,
        on_behalf: false,
        at,
        account: resource.as_ref().and_then(|id| part(id, "subscriptions")),
        user: given(properties.object_id),
        model: given(properties.model),
        model_called: given(properties.deployment),
        resource: resource.as_ref().and_then(|id| part(id, "accounts")),
        region: text(location).map(truncate_with_hash),
        request_id: text(correlation).map(truncate_with_hash).unwrap_or_default(),
        error_code: match denied_by {
            Some(_) => Cow::Borrowed(ACCESS_DENIED),
            None if succeeded => Cow::Borrowed(""),
            None => Cow::Owned(status.to_string()),
        },
        source_ip: text(address).map(truncate_with_hash),
        user_agent: None,
        access_key_id: None,
        caller_account: None,
        vpc_endpoint: None,
        api_key: None,
        facts,
        denied_by,
        cause: None,
        denying_policy: None,
    }))
}

/// How often the status of a denial stands in `text`, also where it is escaped as part of a string.
pub fn count_denials_named(text: &[u8]) -> usize {
    let is_denial = |at: usize| {
        let behind = text.get(at.saturating_add(SIGNATURE.len())..).unwrap_or_default();
        let is_between = |byte: &&u8| matches!(byte, b'"' | b'\\' | b':' | b' ' | b'\t' | b'\r' | b'\n');
        let between = behind.iter().take_while(is_between).count();
        let value = behind.get(between..).and_then(|value| value.first_chunk::<4>());
        value.is_some_and(|[status @ .., next]| {
            matches!(status, b"401" | b"403") && !next.is_ascii_alphanumeric()
        })
    };
    memmem::find_iter(text, SIGNATURE).filter(|at| is_denial(*at)).count()
}

fn text(json: Option<&RawValue>) -> Text<'_> {
    unescaped(json?.get())
}

/// Azure writes an empty text for what it does not know.
fn given(text: Text<'_>) -> Text<'_> {
    text.filter(|text| !text.is_empty()).map(truncate_with_hash)
}

/// The status, a number or text that begins with one.
fn http_status(json: &str) -> Option<u16> {
    let written = json.trim_matches('"').trim();
    let (status, behind) = written.split_at_checked(3)?;
    let is_status = status.bytes().all(|byte| byte.is_ascii_digit());
    let is_longer = behind.starts_with(|next: char| next.is_ascii_alphanumeric());
    status.parse().ok().filter(|_| is_status && !is_longer)
}

/// What follows `name` in a resource's id, `/subscriptions/ID/resourceGroups/NAME/providers/…`. Azure writes its own
/// words in any case, and people name groups as they like: names and values take turns.
fn segment<'t>(id: &'t str, name: &str) -> Option<&'t str> {
    let mut segments = id.trim_start_matches('/').split('/');
    while let (Some(key), Some(value)) = (segments.next(), segments.next()) {
        if key.eq_ignore_ascii_case(name) {
            return Some(value).filter(|value| !value.is_empty());
        }
    }
    None
}

/// The same as a value of the record.
fn part<'a>(id: &Cow<'a, str>, name: &str) -> Text<'a> {
    let part = match id {
        Cow::Borrowed(id) => segment(id, name).map(Cow::Borrowed),
        Cow::Owned(id) => segment(id, name).map(|part| Cow::Owned(part.to_owned())),
    };
    part.map(truncate_with_hash)
}

/// What the member `properties` says: an object, or the same as JSON text.
#[derive(Default)]
struct Properties<'a> {
    object_id: Text<'a>,
    model: Text<'a>,
    deployment: Text<'a>,
    response_length: Option<u64>,
}

impl<'a> Properties<'a> {
    fn read(json: &'a RawValue) -> Self {
        match unescaped(json.get()) {
            None => Self::of(json.get()),
            Some(Cow::Borrowed(text)) => Self::of(text),
            Some(Cow::Owned(text)) => Properties::of(&text).into_owned(),
        }
    }

    /// Empty if it is no object.
    fn of(json: &'a str) -> Self {
        let names = ["objectId", "modelName", "modelDeploymentName", "responseLength"];
        let Some([object_id, model, deployment, response_length]) = named(json, &names) else {
            return Self::default();
        };
        Self {
            object_id: text(object_id),
            model: text(model),
            deployment: text(deployment),
            response_length: response_length.and_then(|length| length.get().trim_matches('"').parse().ok()),
        }
    }

    fn into_owned<'o>(self) -> Properties<'o> {
        let owned = |text: Text<'_>| text.map(|text| Cow::Owned(text.into_owned()));
        Properties {
            object_id: owned(self.object_id),
            model: owned(self.model),
            deployment: owned(self.deployment),
            response_length: self.response_length,
        }
    }
}

#[cfg(test)]
mod tests;
