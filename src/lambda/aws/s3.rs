//! Streams objects from S3: bytes are passed on as they arrive, and nothing is collected.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::get_object::GetObjectOutput;

use super::cause::{cause, chain};
use super::meter::Meter;
use super::{retries, timeouts};
use crate::reader::Reader;
use crate::source::object::Object;

/// S3 answers within 100 to 200 ms, and within seconds if a key has just become hot.
const ATTEMPT: Duration = Duration::from_secs(10);
const OPERATION: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 5;
/// A body that brings less than one byte a second for this long is abandoned. No time-out bounds a
/// whole body: a large one may legitimately take minutes.
const STALLED: Duration = Duration::from_secs(10);

/// Where objects are read from.
pub struct S3Source {
    client: Client,
}

/// An object could not be read to its end. Nothing of it may be counted.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// S3 refused or did not answer.
    #[error("S3 GetObject of {object}: {cause}{advice}")]
    Get {
        /// The object, and the version if one was asked for.
        object: String,
        /// What S3 said.
        cause: String,
        /// What to do about it, or nothing.
        advice: &'static str,
        /// Retrying does not help until someone changes something.
        permanent: bool,
    },
    /// The body broke off.
    #[error("S3 GetObject of {object}: the body broke off after {arrived} bytes: {cause}")]
    Body {
        /// The object.
        object: String,
        /// Bytes that had arrived.
        arrived: u64,
        /// The cause.
        cause: String,
    },
    /// The body ended early without saying so.
    #[error("S3 GetObject of {object}: {arrived} bytes arrived of the {expected} that were announced")]
    Short {
        /// The object.
        object: String,
        /// Bytes that arrived.
        arrived: u64,
        /// The response's Content-Length.
        expected: u64,
    },
}

impl SourceError {
    /// Whether retrying is pointless until someone changes something.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Get { permanent: true, .. })
    }
}

impl S3Source {
    /// Region, credentials and endpoint are those of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self::metered(config, &Meter::default())
    }

    /// The same, with its requests counted by `meter`.
    #[must_use]
    pub fn metered(config: &SdkConfig, meter: &Meter) -> Self {
        let stalled = StalledStreamProtectionConfig::enabled().grace_period(STALLED).build();
        let config = aws_sdk_s3::config::Builder::from(config)
            .timeout_config(timeouts(ATTEMPT, OPERATION))
            .retry_config(retries(ATTEMPTS))
            .stalled_stream_protection(stalled)
            .interceptor(meter.clone())
            .build();
        Self { client: Client::from_conf(config) }
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Pushes the bytes of `object` into `reader`, until the end or until it wants no more.
    ///
    /// # Errors
    /// When not all bytes arrived. Retrying a broken body is left to the next delivery: what
    /// the reader holds by then cannot be taken back.
    pub async fn read(&self, object: &Object, reader: &mut Reader<'_>) -> Result<(), SourceError> {
        self.open(object).await?.read(reader).await
    }

    /// Asks for `object`; its bytes are read later.
    ///
    /// # Errors
    /// When S3 refuses it or does not answer.
    pub async fn open<'o>(&self, object: &'o Object) -> Result<OpenObject<'o>, SourceError> {
        let request = self
            .client
            .get_object()
            .bucket(&object.bucket)
            .key(&object.key)
            .set_version_id(object.version_id.clone());
        let response = request.send().await.map_err(|error| SourceError::Get {
            object: name(object),
            cause: cause(&error),
            advice: advice(error.code(), error.message()),
            permanent: error.code().is_some_and(is_permanent),
        })?;
        Ok(OpenObject { object, response })
    }
}

/// An object whose bytes are on their way.
pub struct OpenObject<'o> {
    object: &'o Object,
    response: GetObjectOutput,
}

impl OpenObject<'_> {
    /// Pushes its bytes into `reader`, until the end or until it wants no more.
    ///
    /// # Errors
    /// When not all bytes arrived.
    pub async fn read(self, reader: &mut Reader<'_>) -> Result<(), SourceError> {
        let Self { object, response } = self;
        let expected = response.content_length.and_then(|length| length.try_into().ok());
        let mut body = response.body;
        let mut arrived = 0;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| SourceError::Body {
                object: name(object),
                arrived,
                cause: chain(&error),
            })?;
            arrived = arrived.saturating_add(chunk.len() as u64);
            if !reader.push(&chunk) {
                return Ok(());
            }
        }
        all_arrived(object, arrived, expected)
    }
}

/// The HTTP client notices a short body by itself; a decoder would not notice a cut between
/// two gzip members, so this is not left to it alone.
fn all_arrived(object: &Object, arrived: u64, expected: Option<u64>) -> Result<(), SourceError> {
    match expected {
        Some(expected) if arrived < expected => {
            Err(SourceError::Short { object: name(object), arrived, expected })
        }
        _ => Ok(()),
    }
}

fn name(object: &Object) -> String {
    match &object.version_id {
        Some(version) => format!("{object} (version {version})"),
        None => object.to_string(),
    }
}

/// Whether S3 gives this error until someone changes the object, the bucket, a key or a policy. An
/// unknown error is assumed to pass.
///
/// Source: "Error responses" in the Amazon S3 API reference.
const PERMANENT: [&str; 10] = [
    "AccessDenied",
    "InvalidBucketName",
    "InvalidObjectState",
    "KMS.DisabledException",
    "KMS.NotFoundException",
    "MethodNotAllowed",
    "NoSuchBucket",
    "NoSuchKey",
    "NoSuchVersion",
    "PermanentRedirect",
];

fn is_permanent(code: &str) -> bool {
    PERMANENT.contains(&code)
}

/// What an operator does about an error of S3.
///
/// Source: "Error responses" in the Amazon S3 API reference; S3 answers `AccessDenied` for a
/// missing object too when the caller may not list the bucket.
fn advice(code: Option<&str>, message: Option<&str>) -> &'static str {
    let about_key = message.is_some_and(|message| message.contains("kms"));
    match code.unwrap_or_default() {
        "NoSuchKey" => "; was it deleted, by hand or by a lifecycle rule, before it was read?",
        "NoSuchVersion" => "; that version was deleted before it was read",
        "NoSuchBucket" => "; was the bucket deleted, or is it in another partition?",
        "AccessDenied" if about_key => {
            "; the function's role needs kms:Decrypt on the key of the bucket, and the key's policy must allow it"
        }
        "AccessDenied" => {
            "; the function's role needs s3:GetObject on the object (s3:GetObjectVersion for a version) and kms:Decrypt where the bucket has its own key; without s3:ListBucket a missing object looks the same"
        }
        "InvalidObjectState" => "; it is archived and must be restored first",
        code if code.starts_with("KMS.") => {
            "; the key that encrypted it is disabled, deleted or out of reach: enable it, then feed the event back"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_bytes_than_announced_are_an_error() {
        let object = Object { bucket: "b".to_owned(), key: "k".to_owned(), version_id: None, size: None };
        let shown = |arrived, expected| {
            let result = all_arrived(&object, arrived, expected);
            result.map_err(|error| error.to_string())
        };
        assert_eq!(shown(7, Some(7)), Ok(()));
        assert_eq!(shown(7, None), Ok(()));
        let error = shown(6, Some(7)).expect_err("short");
        assert_eq!(error, "S3 GetObject of s3://b/k: 6 bytes arrived of the 7 that were announced");
    }
}
