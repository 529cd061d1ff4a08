//! What to do next, ready to paste: take the credentials away, look closer, mute.
//!
//! Callers choose parts of every id. Whatever cannot be quoted for certain in a shell, a mail client and a chat is left
//! out rather than wrong.
//!
//! Sources: "Managing access keys for IAM users", "Revoke IAM role temporary security credentials" and "Disabling
//! permissions for temporary security credentials" in the AWS IAM user guide; "Handle compromised long-term and short-term
//! Amazon Bedrock API keys" in the Amazon Bedrock user guide; `GetUserId` in the Identity Store API reference.

use std::time::Duration;

use serde_json::json;

use super::Alert;
use super::links::unlinked;
use super::queries::{AROUND, is_name, is_whole};
use super::sanitize::shown;
use crate::call::Cloud;
use crate::call::api_key::is_key_user;
use crate::count::caller::Caller;
use crate::count::evidence::Kind;
use crate::count::store::Mute;
use crate::rule::identity::Identity;
use crate::source::time::EventTime;

/// How long the commands mute for.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest ARN in a command, in bytes: longer than any that AWS documents.
const MAX_ARN_BYTES: usize = 512;
/// Shows events as a table.
const AS_TABLE: &str = " --query 'Events[].[EventTime,EventSource,EventName,Username]' --output table";
/// Begins the name of a role that IAM Identity Center makes of a permission set.
const PERMISSION_SET: &str = "AWSReservedSSO_";

/// Where IAM and its events are, by the partition of an ARN.
struct Partition {
    console: &'static str,
    iam_region: &'static str,
}

impl Partition {
    fn of(arn: &str) -> Option<Self> {
        let (console, iam_region) = match arn.split(':').nth(1)? {
            "aws" => ("console.aws.amazon.com", "us-east-1"),
            "aws-cn" => ("console.amazonaws.cn", "cn-north-1"),
            "aws-us-gov" => ("console.amazonaws-us-gov.com", "us-gov-west-1"),
            _ => return None,
        };
        Some(Self { console, iam_region })
    }

    fn iam(&self, page: &str) -> String {
        format!("https://{}/iam/home#/{page}", self.console)
    }
}

impl Alert<'_> {
    /// Who is stopped and muted, if it is in AWS and its ARN can be quoted.
    fn quotable(&self) -> Option<&str> {
        let is_in_aws = |arn: &&str| self.figures.cloud() == Cloud::Aws && arn.starts_with("arn:aws");
        self.incident.caller.filter(is_in_aws).filter(|arn| is_plain(arn) && is_whole(arn))
    }

    /// Commands that take the caller's credentials away, and the page of the console where that can be done.
    pub(super) fn stop(&self) -> Vec<String> {
        let Some(caller) = self.quotable() else { return Vec::new() };
        let resource = caller.splitn(6, ':').nth(5).unwrap_or_default();
        let name = resource.rsplit('/').next().unwrap_or_default();
        let (mut commands, page) = if let Some(role) = resource.strip_prefix("assumed-role/") {
            match role.split_once('/') {
                None => (
                    vec![self.revoke(role), self.warning()],
                    format!("roles/details/{}?section=revoke_sessions", encoded(role)),
                ),
                Some((set, person)) => return stop_person(set, person),
            }
        } else if resource.starts_with("user/") {
            let mut commands = self.stop_seen_keys(name);
            if is_key_user(caller) {
                // An access key, if it has any, was made to stay in.
                commands.extend(stop_api_keys(name));
            } else if commands.is_empty() {
                commands = stop_unseen_keys(name);
            }
            (commands, format!("users/details/{}?section=security_credentials", encoded(name)))
        } else if Identity::is_federated(caller) {
            return self.stop_federated();
        } else if resource == "root" {
            (Vec::new(), "security_credentials".to_owned())
        } else {
            return Vec::new();
        };
        commands.extend(Partition::of(caller).map(|partition| partition.iam(&page)));
        commands
    }

    /// Federated users have no credentials of their own to take away.
    fn stop_federated(&self) -> Vec<String> {
        let region = self.logged(Kind::Region).find(is_name);
        vec![
            self.lookup(region, "EventName", "GetFederationToken") + AS_TABLE,
            "# Deny that user: a federated user has the permissions of the IAM user who called GetFederationToken".to_owned(),
        ]
    }

    fn warning(&self) -> String {
        format!(
            "# Ends all sessions of the role that began before {}, legitimate ones too",
            self.revoked_before()
        )
    }

    fn revoked_before(&self) -> EventTime {
        self.figures.last_seen.plus(AROUND)
    }

    fn revoke(&self, role: &str) -> String {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Action":"*","Resource":"*","Condition":{{"DateLessThan":{{"aws:TokenIssueTime":"{}"}}}}}}]}}"#,
            self.revoked_before()
        );
        format!(
            "aws iam put-role-policy --role-name {role} --policy-name AWSRevokeOlderSessions --policy-document '{policy}'"
        )
    }

    /// The access keys that were seen.
    fn stop_seen_keys(&self, user: &str) -> Vec<String> {
        let is_long_term =
            |key: &&str| key.starts_with("AKIA") && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let keys = self.logged(Kind::AccessKeyId).filter(is_long_term);
        keys.map(|key| stop_key(user, key)).collect()
    }

    /// Commands and a page of the console that show more of what the caller did.
    pub(super) fn look(&self) -> Vec<String> {
        let queries = self.queries();
        let mut looks: Vec<String> =
            queries.story.or(queries.caller).into_iter().chain(queries.replay).collect();
        if self.figures.cloud() == Cloud::Aws {
            looks.extend(self.event_history());
        }
        looks.retain(|command| command.starts_with("https://") || is_inert(command));
        looks
    }

    /// In CloudTrail. IAM's events are in one region.
    fn event_history(&self) -> Vec<String> {
        let partition = self.incident.caller.and_then(Partition::of);
        let region = self.logged(Kind::Region).find(is_name);
        let Some((attribute, value)) = self.in_event_history() else {
            return Vec::new();
        };
        let iam_region = partition.as_ref().map(|partition| partition.iam_region);
        let mut regions = vec![region];
        if iam_region.is_some() && region != iam_region {
            regions.push(iam_region);
        }
        let commands = regions.iter().map(|region| self.lookup(*region, attribute, value) + AS_TABLE);
        // It becomes part of the host.
        let is_region = |region: &&str| region.bytes().all(|one| one.is_ascii_alphanumeric() || one == b'-');
        let region = region.filter(is_region);
        let link = partition.zip(region).filter(|_| is_plain(value)).map(|(partition, region)| {
            format!(
                "https://{region}.{}/cloudtrailv2/home?region={region}#/events?{attribute}={}",
                partition.console,
                encoded(value)
            )
        });
        commands.chain(link).collect()
    }

    /// Whom a mute is about: a role with all its sessions, since they are one caller.
    pub(super) fn muted(&self) -> &'static str {
        match self.incident.caller {
            Some(arn) if Identity::is_federated(arn) => "all federated users of the account",
            Some(arn) if Identity::has_members(arn) => "this role, with all its sessions,",
            _ => "this caller",
        }
    }

    /// The command of `denial-watch`, and for whoever has no copy of it the same with the AWS CLI.
    pub(super) fn mute(&self) -> Vec<String> {
        let known = self.account().zip(self.quotable());
        let is_id = |account: &str| account.bytes().all(|byte| byte.is_ascii_digit());
        let known = known.filter(|(account, arn)| is_id(account) && arn.len() <= MAX_ARN_BYTES);
        let Some((account, arn)) = known else { return Vec::new() };
        let is_own = arn.split(':').nth(4) == Some(account);
        let called = if is_own { String::new() } else { format!(" --account {account}") };
        let caller = Caller { account: Some(account.to_owned()), arn: Some(arn.to_owned()) };
        let (id, until) = (Mute::document(&caller), self.figures.last_seen.plus(WEEK).epoch_seconds());
        let item = json!({
            "pk": {"S": id.partition.text()}, "sk": {"S": id.sort},
            "until": {"N": until.to_string()}, "expires_at": {"N": until.to_string()}, "why": {"S": "reason"},
        });
        vec![
            format!("denial-watch mute --table TABLE --caller {arn}{called} --for 7d --why \"reason\""),
            format!("aws dynamodb put-item --table-name TABLE --item '{item}'"),
        ]
    }
}

/// A person of IAM Identity Center, whose role no one can change in its account.
fn stop_person(role: &str, person: &str) -> Vec<String> {
    let set = role.strip_prefix(PERMISSION_SET).and_then(|rest| rest.rsplit_once('_'));
    let Some((set, _)) = set.filter(|_| is_name(&person)) else { return Vec::new() };
    let asked = json!({"UniqueAttribute": {"AttributePath": "userName", "AttributeValue": person}});
    vec![
        format!(
            "# In the console of IAM Identity Center, disable {person} and end their sessions. Permission set: {set}"
        ),
        "# To find them, with the IdentityStoreId of the first command as STORE:".to_owned(),
        "aws sso-admin list-instances --output table".to_owned(),
        format!("aws identitystore get-user-id --identity-store-id STORE --alternate-identifier '{asked}'"),
    ]
}

fn stop_key(user: &str, key: &str) -> String {
    format!("aws iam update-access-key --user-name {user} --access-key-id {key} --status Inactive")
}

/// Where no access key was seen.
fn stop_unseen_keys(user: &str) -> Vec<String> {
    vec![format!("aws iam list-access-keys --user-name {user} --output table"), stop_key(user, "ID")]
}

/// For the user of a Bedrock API key.
fn stop_api_keys(user: &str) -> Vec<String> {
    vec![
        format!(
            "aws iam list-service-specific-credentials --user-name {user} --service-name bedrock.amazonaws.com --output table"
        ),
        format!(
            "aws iam update-service-specific-credential --user-name {user} --status Inactive \
             --service-specific-credential-id ID"
        ),
    ]
}

/// Whether an ARN holds nothing that a shell or a mail client would act on: callers choose parts of it.
fn is_plain(arn: &str) -> bool {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || ":/_+=,.@-".contains(character);
    arn.chars().all(is_plain) && shown(Some(arn)) == arn
}

/// `text` as part of a link, in which nothing looks like a host or an address.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// Whether a command holds nothing that a mail client, a chat or a shell would act on.
fn is_inert(command: &str) -> bool {
    let rest = command.replacen("s3://", "", 1).replacen(AS_TABLE, "", 1);
    rest.is_ascii() && !rest.contains(['`', '<', '>', '&', '\\', '$']) && unlinked(&rest) == rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::fixture;
    use crate::rule::catalogue::DENIED_MODEL;

    const OBJECT: &str =
        "s3://logs/AWSLogs/111122223333/BedrockModelInvocationLogs/eu-west-1/2025/06/02/09/a.json.gz";

    /// An alert about `user` in `account`, with evidence.
    fn with<T>(
        account: Option<&str>,
        user: Option<&str>,
        evidence: &[(Kind, &str)],
        see: impl FnOnce(&Alert<'_>) -> T,
    ) -> T {
        let caller = user.map(|user| Identity::of(user).caller);
        fixture::with(&DENIED_MODEL, &[account, user, Some("m")], caller, OBJECT, evidence, see)
    }

    #[track_caller]
    fn check_stop(user: &str, evidence: &[(Kind, &str)], expected: &[&str]) {
        with(Some("111122223333"), Some(user), evidence, |alert| assert_eq!(alert.stop(), expected));
    }

    #[test]
    fn each_kind_of_caller_is_stopped_in_its_own_way_and_has_its_page() {
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"2025-06-02T09:44:48Z"}}}]}"#;
        check_stop(
            "arn:aws:sts::111122223333:assumed-role/App/i-0a1b",
            &[],
            &[
                &format!(
                    "aws iam put-role-policy --role-name App --policy-name AWSRevokeOlderSessions --policy-document '{policy}'"
                ),
                "# Ends all sessions of the role that began before 2025-06-02T09:44:48Z, legitimate ones too",
                "https://console.aws.amazon.com/iam/home#/roles/details/App?section=revoke_sessions",
            ],
        );
        check_stop(
            "arn:aws:iam::111122223333:user/ci/eve",
            &[(Kind::AccessKeyId, "AKIAEXAMPLE"), (Kind::AccessKeyId, "AKIA;id")],
            &[
                "aws iam update-access-key --user-name eve --access-key-id AKIAEXAMPLE --status Inactive",
                "https://console.aws.amazon.com/iam/home#/users/details/eve?section=security_credentials",
            ],
        );
        let listed = "aws iam list-service-specific-credentials --user-name BedrockAPIKey-x7k2 --service-name bedrock.amazonaws.com --output table";
        let ended = "aws iam update-service-specific-credential --user-name BedrockAPIKey-x7k2 --status Inactive --service-specific-credential-id ID";
        let page = "https://console.aws.amazon.com/iam/home#/users/details/BedrockAPIKey-x7k2?section=security_credentials";
        let user = "arn:aws:iam::111122223333:user/BedrockAPIKey-x7k2";
        check_stop(user, &[], &[listed, ended, page]);
        let key = "aws iam update-access-key --user-name BedrockAPIKey-x7k2 --access-key-id AKIAEXAMPLE --status Inactive";
        check_stop(user, &[(Kind::AccessKeyId, "AKIAEXAMPLE")], &[key, listed, ended, page]);
        check_stop(
            "arn:aws-us-gov:iam::111122223333:user/eve",
            &[],
            &[
                "aws iam list-access-keys --user-name eve --output table",
                "aws iam update-access-key --user-name eve --access-key-id ID --status Inactive",
                "https://console.amazonaws-us-gov.com/iam/home#/users/details/eve?section=security_credentials",
            ],
        );
        check_stop(
            "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Data_Admin_0123456789abcdef/ann@example.com",
            &[],
            &[
                "# In the console of IAM Identity Center, disable ann@example.com and end their sessions. Permission set: Data_Admin",
                "# To find them, with the IdentityStoreId of the first command as STORE:",
                "aws sso-admin list-instances --output table",
                r#"aws identitystore get-user-id --identity-store-id STORE --alternate-identifier '{"UniqueAttribute":{"AttributePath":"userName","AttributeValue":"ann@example.com"}}'"#,
            ],
        );
        check_stop(
            "arn:aws:iam::111122223333:root",
            &[],
            &["https://console.aws.amazon.com/iam/home#/security_credentials"],
        );
        let made = "aws cloudtrail lookup-events --region us-east-1 --lookup-attributes AttributeKey=EventName,AttributeValue=GetFederationToken --start-time 2025-05-31T09:14:48Z --end-time 2025-06-02T09:44:48Z";
        check_stop(
            "arn:aws:sts::111122223333:federated-user/x",
            &[(Kind::Region, "us-east-1")],
            &[
                &format!("{made}{AS_TABLE}"),
                "# Deny that user: a federated user has the permissions of the IAM user who called GetFederationToken",
            ],
        );
    }

    #[test]
    fn what_is_copied_together_holds_no_page_of_the_console() {
        let copied = |user: &str| {
            with(Some("111122223333"), Some(user), &[], |alert| {
                alert.story().stop().cloned().collect::<Vec<String>>()
            })
        };
        let role = copied("arn:aws:sts::111122223333:assumed-role/App/i-0a1b");
        assert!(role.len() == 2 && role.iter().all(|one| !one.starts_with("https:")), "{role:?}");
        assert_eq!(copied("arn:aws:iam::111122223333:root"), [""; 0]);
    }

    #[track_caller]
    fn check_look(user: &str, evidence: &[(Kind, &str)], expected: &[&str]) {
        let around = " --start-time 2025-05-31T09:14:48Z --end-time 2025-06-02T09:44:48Z";
        let mut expected: Vec<String> = expected.iter().map(|one| (*one).to_owned()).collect();
        for command in expected.iter_mut().filter(|one| one.starts_with("aws ")) {
            *command += &format!("{around}{AS_TABLE}");
        }
        with(Some("111122223333"), Some(user), evidence, |alert| {
            let look = alert.look();
            let story = format!("make investigate ALERT={}", alert.id());
            assert_eq!(look.first(), Some(&story));
            let rest = look.iter().skip(1).filter(|one| !one.starts_with("replay ")).cloned();
            assert_eq!(rest.collect::<Vec<String>>(), expected);
        });
    }

    #[test]
    fn people_and_events_of_iam_are_found_in_the_event_history() {
        let ireland = (Kind::Region, "eu-west-1");
        let person =
            "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/ann@example.com";
        let asked = "--lookup-attributes AttributeKey=Username,AttributeValue=ann@example.com";
        check_look(
            person,
            &[ireland],
            &[
                &format!("aws cloudtrail lookup-events --region eu-west-1 {asked}"),
                &format!("aws cloudtrail lookup-events --region us-east-1 {asked}"),
                "https://eu-west-1.console.aws.amazon.com/cloudtrailv2/home?region=eu-west-1#/events?Username=ann%40example%2Ecom",
            ],
        );
        let key = "AttributeKey=AccessKeyId,AttributeValue=AKIAEXAMPLE";
        check_look(
            "arn:aws:iam::111122223333:user/eve",
            &[(Kind::Region, "us-east-1"), (Kind::AccessKeyId, "AKIAEXAMPLE")],
            &[
                &format!("aws cloudtrail lookup-events --region us-east-1 --lookup-attributes {key}"),
                "https://us-east-1.console.aws.amazon.com/cloudtrailv2/home?region=us-east-1#/events?AccessKeyId=AKIAEXAMPLE",
            ],
        );
        check_look("arn:aws:iam::111122223333:user/a$(id)", &[ireland], &[]);
    }

    #[track_caller]
    fn check_mute(account: Option<&str>, caller: Option<&str>, expected: Option<&str>) {
        with(account, caller, &[], |alert| {
            assert_eq!(alert.mute().first().map(String::as_str), expected, "{account:?} {caller:?}");
        });
    }

    #[test]
    fn a_mute_is_given_only_where_it_can_be_pasted() {
        let role = "arn:aws:sts::111122223333:assumed-role/App";
        let session = format!("{role}/s");
        let command = format!("denial-watch mute --table TABLE --caller {role} --for 7d --why \"reason\"");
        check_mute(Some("111122223333"), Some(&session), Some(&command));
        let from_outside = command.replace("App", "App --account 444455556666");
        check_mute(Some("444455556666"), Some(&session), Some(&from_outside));
        let person = "arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/ann@example.com";
        let command = format!("denial-watch mute --table TABLE --caller {person} --for 7d --why \"reason\"");
        check_mute(Some("1"), Some(person), Some(&command));
        check_mute(Some("1"), None, None);
        check_mute(None, Some(&session), None);
        check_mute(Some("$(id)"), Some(&session), None);
        for bad in ["$(id)", "`id`", "a b", "a;b", "a'b", "www.evil.example/x", "ü"] {
            check_mute(Some("1"), Some(&format!("arn:aws:iam::1:user/{bad}")), None);
        }
        check_mute(Some("1"), Some("root"), None);
        check_mute(Some("1"), Some(&format!("arn:aws:iam::1:user/{}", "a".repeat(600))), None);
    }

    #[test]
    fn without_the_program_the_same_item_is_put() {
        with(Some("111122223333"), Some("arn:aws:iam::111122223333:user/eve"), &[], |alert| {
            let item = r##"{"pk":{"S":"[\"#caller\",\"111122223333\",\"arn:aws:iam::111122223333:user/eve\"]"},"sk":{"S":"mute"},"until":{"N":"1749460488"},"expires_at":{"N":"1749460488"},"why":{"S":"reason"}}"##;
            let command = format!("aws dynamodb put-item --table-name TABLE --item '{item}'");
            assert_eq!(alert.mute().get(1), Some(&command));
        });
    }
}
