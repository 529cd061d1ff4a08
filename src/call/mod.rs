//! From a piece of JSON to a call. Independent of the rules.
//!
//! | step | file |
//! |---|---|
//! | Piece → the records in it | `document` |
//! | Record → its members | `members` |
//! | Which records are needed | [`filter`] |
//! | Members → call, from any log | `record`; `invocation`, [`cloudtrail`], `azure_openai` |
//! | Details of a call | [`api_key`], [`cause`], [`credential`], [`guardrail`], [`model`] |

pub mod api_key;
pub(crate) mod azure_openai;
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

/// Which log a record came from. What is known about each stands in one table, `Source::facts`. A new log takes three
/// files: a variant and its facts here, a file that reads its records, and a line in the dispatcher, `record`.
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
    /// Azure OpenAI's diagnostic log.
    AzureOpenAi,
}

/// The cloud that a log is of, and its service that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cloud {
    /// Amazon Bedrock.
    Aws,
    /// Azure OpenAI.
    Azure,
}

impl Cloud {
    /// The provider and the service in the alert document.
    #[must_use]
    pub const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Aws => ("aws", "bedrock"),
            Self::Azure => ("azure", "azure_openai"),
        }
    }

    /// The service as people call it.
    #[must_use]
    pub const fn service(self) -> &'static str {
        match self {
            Self::Aws => "Bedrock",
            Self::Azure => "Azure OpenAI",
        }
    }
}

/// What is known about one log.
struct SourceFacts {
    cloud: Cloud,
    /// What people call it, and in one word.
    label: &'static str,
    word: &'static str,
    /// In Elastic's integrations.
    dataset: &'static str,
    /// Marks its counters in the store, where a mark must sort behind those of the logs before it.
    tag: Option<&'static str>,
    /// Of two records of one call, the one of the log with the higher rank is believed.
    rank: u8,
    /// It records every model call that succeeded.
    has_successes: bool,
    /// It records the tokens of every model call that succeeded.
    has_tokens: bool,
    /// The folders that AWS writes it to.
    folders: &'static [&'static str],
    /// A word of every record that a rule may be about, where no rule names one.
    marker: Option<&'static str>,
}

impl Source {
    /// All sources, in their order.
    pub const ALL: [Self; 4] = [Self::InvocationLog, Self::CloudTrail, Self::CloudWatch, Self::AzureOpenAi];

    const fn facts(self) -> SourceFacts {
        match self {
            Self::InvocationLog => SourceFacts {
                cloud: Cloud::Aws,
                label: "Bedrock invocation log",
                word: "log",
                dataset: "aws_bedrock.invocation",
                tag: None,
                rank: 2,
                has_successes: true,
                has_tokens: true,
                folders: &["/BedrockModelInvocationLogs/"],
                marker: None,
            },
            Self::CloudTrail => SourceFacts {
                cloud: Cloud::Aws,
                label: "CloudTrail",
                word: "CloudTrail",
                dataset: "aws.cloudtrail",
                tag: Some("cloudtrail"),
                rank: 0,
                has_successes: false,
                has_tokens: false,
                folders: &["/CloudTrail/", "/CloudTrail-NetworkActivity/"],
                marker: None,
            },
            Self::CloudWatch => {
                SourceFacts { tag: Some("cloudwatch"), rank: 1, folders: &[], ..Self::InvocationLog.facts() }
            }
            Self::AzureOpenAi => SourceFacts {
                cloud: Cloud::Azure,
                label: "Azure OpenAI diagnostics",
                word: "Azure",
                dataset: "azure_openai.logs",
                tag: Some("openai"),
                rank: 2,
                has_successes: true,
                has_tokens: false,
                folders: &[],
                marker: Some("resultSignature"),
            },
        }
    }

    /// The log that it is, or is a copy of: one log to whoever reads of it.
    #[must_use]
    pub const fn log(self) -> Self {
        match self {
            Self::CloudWatch => Self::InvocationLog,
            log => log,
        }
    }

    /// The cloud that it is of.
    #[must_use]
    pub const fn cloud(self) -> Cloud {
        self.facts().cloud
    }

    /// What people call that log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        self.facts().label
    }

    /// The same in one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.facts().word
    }

    /// The dataset of that log in Elastic's integrations.
    #[must_use]
    pub const fn dataset(self) -> &'static str {
        self.facts().dataset
    }

    /// Marks its counters in the store; those of Bedrock's own files have no mark.
    #[must_use]
    pub const fn tag(self) -> Option<&'static str> {
        self.facts().tag
    }

    /// Of two records of one call, the one of the higher rank is believed.
    #[must_use]
    pub const fn rank(self) -> u8 {
        self.facts().rank
    }

    /// Whether it records every model call that succeeded.
    #[must_use]
    pub const fn has_successes(self) -> bool {
        self.facts().has_successes
    }

    /// Whether it records the tokens of every model call that succeeded.
    #[must_use]
    pub const fn has_tokens(self) -> bool {
        self.facts().has_tokens
    }

    /// Whether AWS writes this log, and no other, to an object of this name.
    #[must_use]
    pub fn is_named_by(self, object: &str) -> bool {
        self.facts().folders.iter().any(|folder| object.contains(folder))
    }

    /// The words of the logs that an object of this name may hold, though no rule names them. Where AWS has named an
    /// object after a log of its own, nothing is searched for other logs' sake.
    #[must_use]
    pub fn markers(object: &str) -> Vec<&'static str> {
        if Self::ALL.iter().any(|log| log.is_named_by(object)) {
            return Vec::new();
        }
        Self::ALL.iter().filter_map(|log| log.facts().marker).collect()
    }
}

/// What a record turned out to be.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and never stored")]
pub enum Reading<'a> {
    /// A call that a rule looks for.
    Call(Call<'a>),
    /// A record that no rule matches.
    Other,
    /// Valid JSON that is not a record of any log.
    Unknown,
    /// A call that a rule looks for whose time is missing or not an RFC 3339 time.
    NoTimestamp {
        /// It was denied.
        is_denied: bool,
    },
    /// A model call that failed with this code, an unknown one that contains [`cause::DENIED`].
    UnknownCode(Cow<'a, str>),
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
    /// What the model belongs to, where the log names it: the account's name in Azure OpenAI. Elsewhere a rule takes the
    /// model for it.
    pub resource: Text<'a>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_aws_named_is_searched_for_no_other_cloud() {
        for object in [
            "p/AWSLogs/1/BedrockModelInvocationLogs/us-east-1/2025/06/01/10/a.json.gz",
            "s3://b/AWSLogs/1/CloudTrail/us-east-1/2025/06/01/a.json.gz",
            "AWSLogs/1/CloudTrail-NetworkActivity/us-east-1/2025/06/01/a.json.gz",
        ] {
            assert_eq!(Source::markers(object), [""; 0], "{object}");
        }
        for object in ["a.json", "insights-logs-requestresponse/PT1H.json", "AWSLogs/1/Config/a.json.gz", ""]
        {
            assert_eq!(Source::markers(object), ["resultSignature"], "{object}");
        }
    }

    #[test]
    fn every_log_has_a_tag_that_sorts_behind_those_before_it() {
        let tags = Source::ALL.map(Source::tag);
        assert!(tags.is_sorted_by(|one, other| one < other), "{tags:?}");
    }
}
