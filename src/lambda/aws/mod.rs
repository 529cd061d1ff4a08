//! The AWS services behind the domain, and their time-outs and retries.
//!
//! Every client has a limit on connecting, on one attempt and on all attempts together, so
//! that a hanging service costs one delivery a retry and never the whole function time-out.
//! The limits are far above what a healthy service needs and far below that time-out.
//!
//! Retries are the SDK's *standard* mode: exponential backoff with jitter, and a budget that
//! stops them when most fail. Not *adaptive*: that one slows down all requests of a client
//! when any is throttled, and here one client serves many keys of which an attacker may heat
//! one. What the standard mode gives up on fails the delivery, and Lambda waits longer.
//! Source: "Retry behavior" in the AWS SDKs and Tools reference guide.

mod cause;
mod dynamodb;
mod eventbridge;
mod item;
mod listing;
mod meter;
mod s3;
mod scan;
mod sns;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
#[cfg(not(feature = "https"))]
use aws_smithy_runtime_api::client::http::SharedHttpClient;

pub use self::dynamodb::DynamoDbStore;
pub use self::eventbridge::EventBus;
pub use self::listing::ListError;
pub use self::meter::{Meter, Usage};
pub use self::s3::{S3Source, SourceError};
pub use self::scan::{Contents, KeyContents};
pub use self::sns::SnsSink;

/// The behaviour of the SDK that was tested; an update must not change it unasked.
#[must_use]
pub fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// Region and credentials from the environment, as Lambda sets them. `AWS_ENDPOINT_URL` redirects the
/// clients.
pub async fn sdk_config() -> SdkConfig {
    let loader = aws_config::defaults(behavior());
    #[cfg(not(feature = "https"))]
    let loader = loader.http_client(plain_http());
    loader.load().await
}

#[cfg(all(not(feature = "https"), not(debug_assertions)))]
compile_error!("AWS is spoken to with TLS: build with the feature `https`, a default one");

/// What the tests speak to their servers with, on 127.0.0.1: a build without TLS, which takes minutes less.
#[cfg(not(feature = "https"))]
#[must_use]
pub fn plain_http() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_http()
}

/// What must be left of an invocation to begin a key, a notice or an object: the time of four requests of the store,
/// each of which needs all the time that one attempt may take. A key is three (add, look around, read its alerts), a
/// notice six, of which no more than one or two are ever slow, and an object begins with a request of S3, whose attempts
/// take twice as long.
///
/// All attempts of four requests would be two minutes, and a function may have 90 s. What needs further attempts may
/// not find the time: it is cut short at the invocation's end by the [`Meter`], and fails.
pub const LONGEST_STEP: Duration = dynamodb::ATTEMPT.saturating_mul(4);

/// A connection within a region takes milliseconds; a lost packet is sent again after one second.
const CONNECT: Duration = Duration::from_secs(2);
/// The first retry comes after 50 ms instead of the SDK's one second: most faults have passed by then,
/// and an alert is waiting.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

fn retries(attempts: u32) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(attempts)
        .with_initial_backoff(INITIAL_BACKOFF)
        .with_max_backoff(MAX_BACKOFF)
}

/// `attempt` bounds the time to the response's head, and with it each read before that.
fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .read_timeout(attempt)
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation)
        .build()
}
