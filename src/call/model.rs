//! Identifies the requested model, independent of its spelling.
//!
//! One model has many names: its id, its foundation-model ARN in every region, the ids of its
//! inference profiles (one per geography) and their ARNs. The two logs may name it differently for the
//! same call, and a caller could switch between names to stay under a threshold.

use std::borrow::Cow;

use crate::source::text::{Text, truncate_with_hash};

/// Prefixes of the ids of AWS-defined inference profiles, without the dot that follows.
///
/// Sources: "Supported Regions and models for inference profiles" and the models' own pages in the
/// Amazon Bedrock user guide; `CrossRegionInferenceProfileRegion` of the AWS CDK; for `amer` and
/// `sa`, clients that encountered them (langchain-aws, pull request 607).
const GEOGRAPHIES: [&str; 10] = ["us", "us-gov", "eu", "apac", "jp", "au", "ca", "sa", "amer", "global"];

/// The providers of foundation models, as their ids begin. Before one of these, any short word in lower case is a
/// geography: AWS adds some, such as `me`, `af` and `ap`, before this list knows them.
///
/// Source: "Supported foundation models in Amazon Bedrock" in the Amazon Bedrock user guide.
const PROVIDERS: [&str; 19] = [
    "ai21",
    "amazon",
    "anthropic",
    "cohere",
    "deepseek",
    "google",
    "luma",
    "meta",
    "minimax",
    "mistral",
    "moonshot",
    "moonshotai",
    "nvidia",
    "openai",
    "qwen",
    "stability",
    "twelvelabs",
    "writer",
    "zai",
];
/// The longest geography that is not in the list.
const MAX_GEOGRAPHY_BYTES: usize = 5;

/// Kinds of Bedrock ARN that name a foundation model. The ARN of an application inference profile, or
/// of a provisioned, custom or imported model, does not.
const NAMED_BY_ID: [&str; 2] = ["foundation-model/", "inference-profile/"];

/// The model that `spelled` names: the id of a foundation model, or `spelled` unchanged.
#[must_use]
pub fn identity(spelled: &str) -> &str {
    without_geography(id_in_arn(spelled).unwrap_or(spelled))
}

/// [`identity`] of a text, derived from the whole before it is shortened: a geography comes first, and the id last.
#[must_use]
pub fn identity_of<'a>(spelled: &Text<'a>) -> Text<'a> {
    let identity = match spelled.as_ref()? {
        Cow::Borrowed(spelled) => Cow::Borrowed(identity(spelled)),
        Cow::Owned(spelled) => Cow::Owned(identity(spelled).to_owned()),
    };
    Some(truncate_with_hash(identity))
}

/// The id at the end of `arn:<partition>:bedrock:<region>:<account>:<kind>/<id>`.
fn id_in_arn(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    if parts.next()? != "arn" || parts.nth(1)? != "bedrock" {
        return None;
    }
    let resource = parts.nth(2)?;
    let id = NAMED_BY_ID.iter().find_map(|kind| resource.strip_prefix(kind))?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

/// Only an id of the form `<provider>.<model>` can have a geography prefix.
fn without_geography(id: &str) -> &str {
    let Some((geography, model)) = id.split_once('.') else { return id };
    let Some((provider, rest)) = model.split_once('.') else { return id };
    let is_short = (2..=MAX_GEOGRAPHY_BYTES).contains(&geography.len())
        && geography.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let is_geography = GEOGRAPHIES.contains(&geography) || (is_short && PROVIDERS.contains(&provider));
    if is_geography && !provider.is_empty() && !rest.is_empty() { model } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spelled: &str, expected: &str) {
        assert_eq!(identity(spelled), expected, "{spelled}");
    }

    #[test]
    fn every_spelling_of_a_foundation_model_is_one_model() {
        let id = "anthropic.claude-3-sonnet-20240229-v1:0";
        check(id, id);
        for geography in GEOGRAPHIES {
            check(&format!("{geography}.{id}"), id);
            check(&format!("arn:aws:bedrock:us-east-1:111122223333:inference-profile/{geography}.{id}"), id);
        }
        for (partition, region) in [
            ("aws", "us-east-1"),
            ("aws", "ap-northeast-3"),
            ("aws-us-gov", "us-gov-west-1"),
            ("aws-cn", "cn-north-1"),
            ("aws", ""),
        ] {
            check(&format!("arn:{partition}:bedrock:{region}::foundation-model/{id}"), id);
        }
        check(
            "arn:aws:bedrock:::foundation-model/meta.llama3-1-70b-instruct-v1:0:128k",
            "meta.llama3-1-70b-instruct-v1:0:128k",
        );
        check("arn:aws:bedrock:eu-west-1:111122223333:inference-profile/a.b", "a.b");
    }

    #[test]
    fn only_a_known_geography_before_a_provider_is_taken_off_and_only_once() {
        check("us.us.a.b", "us.a.b");
        check("eu.global.a.b", "global.a.b");
        for whole in [
            "",
            ".",
            "us",
            "us.",
            "us..",
            "us.a",
            "us.a.",
            "us..a",
            "xx.a.b",
            "US.a.b",
            "use.a.b",
            "us-east-1.a.b",
            "a.us.b",
            " us.a.b",
            "m.model-a",
        ] {
            check(whole, whole);
        }
    }

    #[test]
    fn a_new_geography_is_known_by_the_provider_behind_it() {
        for geography in ["me", "af", "ap", "latam", "eu-x"] {
            for provider in PROVIDERS {
                check(&format!("{geography}.{provider}.m-1"), &format!("{provider}.m-1"));
            }
        }
        check(
            "arn:aws:bedrock:me-south-1:1:inference-profile/me.amazon.nova-pro-v1:0",
            "amazon.nova-pro-v1:0",
        );
        for whole in [
            "m.amazon.x",
            "ME.amazon.x",
            "me1.amazon.x",
            "region.amazon.x",
            "me.amazon",
            "me.amazon.",
            "me.amazonia.x",
        ] {
            check(whole, whole);
        }
        check("me.us.amazon.x", "me.us.amazon.x");
    }

    #[test]
    fn every_other_arn_stands_as_it_is() {
        for whole in [
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/us.a.b",
            "arn:aws:bedrock:us-east-1:1:provisioned-model/x1",
            "arn:aws:bedrock:us-east-1:1:custom-model/a.b/x1",
            "arn:aws:bedrock:us-east-1:1:imported-model/x1",
            "arn:aws:bedrock:us-east-1:1:prompt/ABCDEFGHIJ:1",
            "arn:aws:bedrock:us-east-1:1:foundation-model/",
            "arn:aws:bedrock:us-east-1:1:foundation-model/a/b",
            "arn:aws:bedrock:us-east-1::foundation-models/a.b",
            "arn:aws:sagemaker:us-east-1:1:foundation-model/a.b",
            "arn:aws:bedrock:us-east-1:foundation-model/a.b",
            "arn:aws:bedrock",
            "foundation-model/a.b",
        ] {
            check(whole, whole);
        }
    }
}
