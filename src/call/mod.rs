//! From a piece of JSON to a call. Independent of the rules.
//!
//! | step | file |
//! |---|---|
//! | Piece → the records in it | `document` |
//! | Record → its members | `members` |
//! | Which records are needed | [`filter`] |
//! | Members → call, from either log | `record`; `invocation`, [`cloudtrail`] |
//! | Details of a call | [`api_key`], [`cause`], [`credential`], [`guardrail`], [`model`] |

pub mod api_key;
pub mod cause;
pub mod cloudtrail;
pub mod credential;
pub(crate) mod document;
pub mod filter;
pub mod guardrail;
pub(crate) mod invocation;
pub(crate) mod members;
pub mod model;
pub(crate) mod record;

use std::borrow::Cow;

use crate::call::cause::{ACCESS_DENIED, Cause};
use crate::call::credential::Credential;
use crate::call::guardrail::Facts;
use crate::source::text::Text;
use crate::source::time::EventTime;

/// Which log a record came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Bedrock's model invocation log.
    #[default]
    InvocationLog,
    /// AWS CloudTrail.
    CloudTrail,
    /// A copy of Bedrock's model invocation log that came through CloudWatch Logs. It holds the same calls, but not
    /// the same files.
    CloudWatch,
}

impl Source {
    /// All sources, in their order.
    pub const ALL: [Self; 3] = [Self::InvocationLog, Self::CloudTrail, Self::CloudWatch];

    /// The log that it is, or is a copy of: one log to whoever reads of it.
    #[must_use]
    pub const fn log(self) -> Self {
        match self {
            Self::InvocationLog | Self::CloudWatch => Self::InvocationLog,
            Self::CloudTrail => Self::CloudTrail,
        }
    }

    /// What people call that log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self.log() {
            Self::CloudTrail => "CloudTrail",
            _ => "Bedrock invocation log",
        }
    }

    /// The dataset of that log in Elastic's integrations.
    #[must_use]
    pub const fn dataset(self) -> &'static str {
        match self.log() {
            Self::CloudTrail => "aws.cloudtrail",
            _ => "aws_bedrock.invocation",
        }
    }
}

/// One model call, or another call that a rule may be about. A value that is missing or not text is
/// `None`; [`truncate_with_hash`](crate::source::text::truncate_with_hash) shortens a long one. Each field names its source in the invocation log, then
/// in CloudTrail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The log that recorded it.
    pub source: Source,
    /// Whether it asks a model for something. The invocation log records no other calls.
    pub is_model_call: bool,
    /// The service that was called, as in `eventSource` but without `.amazonaws.com`: `bedrock` in the invocation log.
    pub service: Text<'a>,
    /// `operation`, `eventName`.
    pub operation: Text<'a>,
    /// It has no error code.
    pub succeeded: bool,
    /// What signed it, as far as that is known.
    pub credential: Option<Credential>,
    /// An AWS service made the call with this identity: `userIdentity.invokedBy`.
    pub on_behalf: bool,
    /// `timestamp`, `eventTime`: when the call was made.
    pub at: EventTime,
    /// `accountId`, `recipientAccountId`.
    pub account: Text<'a>,
    /// `identity.arn`, `userIdentity.arn`.
    pub user: Text<'a>,
    /// The requested model, independent of spelling: [`model::identity`].
    pub model: Text<'a>,
    /// The model as spelled in the call: `modelId`; `requestParameters.modelId` (on the bedrock-mantle
    /// endpoint: `model`), or else the resource that `errorMessage` names.
    pub model_called: Text<'a>,
    /// `region`, `awsRegion`.
    pub region: Text<'a>,
    /// `requestId`, `requestID` or else `eventID`; if all are missing or empty, the record's object and
    /// byte offset.
    pub request_id: Cow<'a, str>,
    /// Top-level `errorCode`, as Bedrock spells it.
    pub error_code: Cow<'a, str>,
    /// CloudTrail's `sourceIPAddress`.
    pub source_ip: Text<'a>,
    /// CloudTrail's `userAgent`.
    pub user_agent: Text<'a>,
    /// CloudTrail's `userIdentity.accessKeyId`, which is not a secret.
    pub access_key_id: Text<'a>,
    /// CloudTrail's `userIdentity.accountId`, if there is no ARN: the caller's own account.
    pub caller_account: Text<'a>,
    /// CloudTrail's `vpcEndpointId`.
    pub vpc_endpoint: Text<'a>,
    /// The kind of Bedrock API key that made the call, if one did.
    pub api_key: Option<&'static str>,
    /// What the call's bodies show; empty for CloudTrail, which logs no bodies.
    pub facts: Facts<'a>,
    /// A short description of what denied the call, as far as the error code and CloudTrail's
    /// `errorMessage` show.
    pub denied_by: Option<&'static str>,
    /// Why the call failed, as far as these show; the invocation log logs no message.
    pub cause: Option<Cause>,
    /// The ARN of the policy that denied the call, where `errorMessage` names it.
    pub denying_policy: Text<'a>,
}

impl Call<'_> {
    /// Whether it is a model call that was denied; rules may be about others too.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.is_model_call && self.error_code == ACCESS_DENIED
    }
}
