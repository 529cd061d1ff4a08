//! What is reported of one object besides its denials: figures and faults.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// The warning about an object with [`Statistics::stray`].
pub const UNRECOGNISED: &str = "it names the error code of a denial outside every record that was recognised; expected \
     records of Bedrock's invocation log, of CloudTrail or of Azure OpenAI's diagnostics";

/// How many faults of one object are reported one by one; further ones are only counted.
pub const MAX_REPORTED_FAULTS: usize = 20;

/// A record that could not be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Byte offset of the record in the object's text.
    pub offset: u64,
    /// What was wrong with it.
    pub kind: FaultKind,
}

/// What was wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It names a denial's error code but is no valid JSON object.
    NotJson,
    /// It is a denial without an RFC 3339 `timestamp`, `eventTime` or `time`.
    NoTimestamp,
    /// It is longer than [`Limits::record_bytes`](crate::reader::Limits::record_bytes).
    Oversized,
    /// It is a model call that failed with this error code, which looks like that of a denial and is unknown.
    UnknownCode(String),
}

impl FaultKind {
    /// What was expected instead, for a log line.
    #[must_use]
    pub fn advice(&self) -> Cow<'static, str> {
        match self {
            Self::NotJson => "expected one JSON object; the record was skipped".into(),
            Self::NoTimestamp => {
                "expected an RFC 3339 `timestamp` (`eventTime` in CloudTrail, `time` in Azure OpenAI's diagnostics); the denial was skipped".into()
            }
            Self::Oversized => "the record is longer than the limit; it was skipped".into(),
            Self::UnknownCode(code) => {
                format!("a model call failed with the unknown error code {code}; it was not counted").into()
            }
        }
    }
}

/// What was read from one object.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes of the object as stored.
    pub bytes: u64,
    /// Bytes of its text.
    pub text_bytes: u64,
    /// Records seen, whatever the rules look for. In a log of one record a line, a line that holds several counts as
    /// one.
    pub records: u64,
    /// Denials among them, of exempt users too.
    pub denials: u64,
    /// Calls of models that the account does not have. Not denials by name, but this is how Bedrock denies a
    /// legacy model.
    pub not_found: u64,
    /// Failed calls by the name of their cause, whether or not a rule counts them. Only CloudTrail's records show causes.
    pub causes: BTreeMap<&'static str, u64>,
    /// Denials of exempt users.
    pub exempted: u64,
    /// Candidates that could not be read.
    pub malformed: u64,
    /// Records over the limit.
    pub oversized: u64,
    /// Objects that name the error code of a denial outside every record that was recognised, and model calls
    /// with an unknown code of that kind.
    pub unrecognised: u64,
    /// Those of them that name it outside every record.
    pub stray: u64,
    /// Objects in which no record of a known log was recognised.
    pub without_records: u64,
    /// Records that name a denial and could not be counted.
    pub uncounted: u64,
    /// Records of CloudTrail in objects without any of Bedrock.
    pub trail_records: u64,
    /// Objects of CloudTrail with a record of Bedrock.
    pub bedrock_trails: u64,
}
