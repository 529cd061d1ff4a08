//! Why a call to AWS failed, on one line.

use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;

/// The service's answer (code, message, request id), or the chain of causes if there was none. The SDK's `DisplayErrorContext` would add a dump of the whole response.
pub fn cause<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let Some(response) = error.as_service_error().and(error.raw_response()) else {
        return chain(error);
    };
    let code =
        error.code().map_or_else(|| format!("HTTP status {}", response.status().as_u16()), str::to_owned);
    let message = error.message().unwrap_or("no message");
    let request = error.request_id().unwrap_or("unknown");
    format!("{code}: {message} (request id {request})")
}

/// An error and its causes, each once.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let cause = source.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        next = source.source();
    }
    text
}
