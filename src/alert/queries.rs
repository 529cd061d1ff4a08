//! An alert's own way in: the commands and queries that an analyst would type next, ready to paste.
//!
//! Callers choose parts of every id. Each value is quoted for the language that it stands in; where a value
//! cannot be quoted with certainty, or is no longer whole, the query is left out rather than wrong.

use std::time::Duration;

use serde::Serialize;

use super::Alert;
use super::sanitize::plain;
use crate::call::Cloud;
use crate::count::evidence::Kind;
use crate::rule::identity::Identity;
use crate::source::object::OF_EVENT;
use crate::source::text::MAX_TEXT_BYTES;

/// How far before and after the denials the logs are worth reading.
pub(super) const AROUND: Duration = Duration::from_secs(30 * 60);
/// How far back an identity's other calls are worth reading.
pub(super) const BEFORE: Duration = Duration::from_secs(48 * 3600);

/// The folders of logs in an account's.
const LOGS: [&str; 2] = ["/BedrockModelInvocationLogs/", "/CloudTrail/"];

/// One text for each tool; missing where there is nothing to ask it.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Queries {
    /// The caller's story from all logs that the stack reads, by the alert's id: whatever the caller is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub story: Option<String>,
    /// Counts the log folder's objects around the denials again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
    /// The same story from all logs of the account, for whoever has no access to the stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// Bedrock's log group in CloudWatch Logs Insights: what the caller called, and what succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs_insights: Option<String>,
    /// The table of CloudTrail logs in Athena: all calls of the caller, of any service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub athena: Option<String>,
    /// CloudTrail's event history: the same, without a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloudtrail: Option<String>,
}

impl Queries {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whose calls are asked for.
enum Who<'a> {
    User(&'a str),
    /// A role or the federated users of an account: its ARN and `/` are before the name of each.
    Members(&'a str),
}

impl<'a> Who<'a> {
    fn of(caller: &'a str) -> Self {
        if Identity::has_members(caller) { Self::Members(caller) } else { Self::User(caller) }
    }
}

impl Alert<'_> {
    /// The queries about this alert.
    pub(super) fn queries(&self) -> Queries {
        if self.figures.cloud() == Cloud::Azure {
            return Queries { replay: self.replay(), ..Queries::default() };
        }
        let who = self.who();
        Queries {
            story: self.is_in_table().then(|| format!("make investigate ALERT={}", self.id())),
            replay: self.replay(),
            caller: self.story_of_caller(),
            logs_insights: who.as_ref().and_then(logs_insights),
            athena: who.as_ref().map(|who| self.athena(who)),
            cloudtrail: self.lookup_events(who.as_ref()),
        }
    }

    /// Whether a function that counts in a table found it, as far as the object shows.
    fn is_in_table(&self) -> bool {
        ["s3://", OF_EVENT].iter().any(|start| self.object.starts_with(start))
    }

    /// The object, if it lies in a bucket.
    fn stored(&self) -> Option<&str> {
        Some(self.object).filter(|name| name.starts_with("s3://") && is_whole(name))
    }

    /// None where the ARN would be taken for a pattern.
    fn story_of_caller(&self) -> Option<String> {
        let is_one = |arn: &&str| arn.starts_with("arn:") && is_whole(arn) && !arn.contains(['*', '?', '[']);
        let caller = self.caller().filter(is_one)?;
        let object = self.stored()?;
        let account = LOGS.iter().find_map(|logs| object.split_once(logs)).map(|(account, _)| account)?;
        Some(format!(
            "replay --caller {} {} --since {}",
            shell(caller),
            shell(&format!("{account}/")),
            self.figures.first_seen.minus(BEFORE)
        ))
    }

    fn replay(&self) -> Option<String> {
        let object = self.stored()?;
        let folder = LOGS.iter().find_map(|logs| {
            let (_, below) = object.split_once(logs)?;
            let (_, rest) = below.split_once('/')?;
            object.strip_suffix(rest)
        });
        Some(match folder {
            Some(folder) => format!(
                "replay {} --since {} --until {}",
                shell(folder),
                self.figures.first_seen.minus(AROUND),
                self.figures.last_seen.plus(AROUND)
            ),
            None => format!("replay {}", shell(object)),
        })
    }

    fn athena(&self, who: &Who<'_>) -> String {
        let filter = match who {
            Who::User(arn) => format!("useridentity.arn = {}", sql(arn)),
            Who::Members(arn) => format!("starts_with(useridentity.arn, {})", sql(&format!("{arn}/"))),
        };
        format!(
            "SELECT eventtime, eventsource, eventname, awsregion, sourceipaddress, useragent, errorcode, errormessage \
             FROM cloudtrail_logs WHERE {filter} AND eventtime BETWEEN '{}' AND '{}' ORDER BY eventtime",
            self.figures.first_seen.minus(BEFORE),
            self.figures.last_seen.plus(AROUND)
        )
    }

    fn lookup_events<'a>(&'a self, who: Option<&Who<'a>>) -> Option<String> {
        let (attribute, value) = self.looked_up(who)?;
        Some(self.lookup(self.logged(Kind::Region).find(is_name), attribute, value))
    }

    /// What CloudTrail's event history is asked for: the access key, which covers whatever it was used for, or else the
    /// name that CloudTrail gives a user or session.
    fn looked_up<'a>(&'a self, who: Option<&Who<'a>>) -> Option<(&'static str, &'a str)> {
        let key = self.logged(Kind::AccessKeyId).find(is_name);
        let name = match who {
            Some(Who::User(arn)) => arn.rsplit('/').next().filter(is_name),
            _ => None,
        };
        key.map(|key| ("AccessKeyId", key)).or(name.map(|name| ("Username", name)))
    }

    /// By whom the caller is looked for in CloudTrail's event history.
    pub(super) fn in_event_history(&self) -> Option<(&'static str, &str)> {
        self.looked_up(self.who().as_ref())
    }

    fn who(&self) -> Option<Who<'_>> {
        self.caller().filter(|arn| is_whole(arn)).map(Who::of)
    }

    pub(super) fn lookup(&self, region: Option<&str>, attribute: &str, value: &str) -> String {
        format!(
            "aws cloudtrail lookup-events{} --lookup-attributes AttributeKey={attribute},AttributeValue={value} \
             --start-time {} --end-time {}",
            region.map(|region| format!(" --region {region}")).unwrap_or_default(),
            self.figures.first_seen.minus(BEFORE),
            self.figures.last_seen.plus(AROUND)
        )
    }
}

/// Whether it is one word to a shell and to the AWS CLI's shorthand.
pub(super) fn is_name(name: &&str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.chars().all(|one| one.is_ascii_alphanumeric() || "_.@-".contains(one))
}

/// Whether `text` is what was logged: not shortened, and nothing in it that is taken out before it is shown.
pub(super) fn is_whole(text: &str) -> bool {
    !text.is_empty() && text.len() <= 2 * MAX_TEXT_BYTES && plain(text, usize::MAX) == text
}

/// `text` as one word of a POSIX shell.
fn shell(text: &str) -> String {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "/_.:=-".contains(one);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// `text` as a string of SQL.
fn sql(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `None` for a value with a quote or a backslash: AWS documents no escape for them in a comparison.
fn logs_insights(who: &Who<'_>) -> Option<String> {
    let text = |arn: &str| (!arn.contains(['"', '\\'])).then(|| format!("\"{arn}\""));
    let filter = match who {
        Who::User(arn) => format!("identity.arn = {}", text(arn)?),
        Who::Members(arn) => format!("identity.arn like {}", text(&format!("{arn}/"))?),
    };
    Some(format!(
        "fields @timestamp, identity.arn, operation, modelId, errorCode, input.inputTokenCount, \
         output.outputTokenCount, requestId | filter {filter} | sort @timestamp desc | limit 1000"
    ))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::alert::fixture;
    use crate::rule::catalogue::{DENIED_MODEL, built_in};
    use crate::rule::definition::Rule;

    const HOSTILE: &str = include_str!("../../tests/fixtures/hostile-ids.json");
    const OBJECT: &str =
        "s3://logs/bedrock/AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/2025/06/02/09/a.json.gz";

    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method is of one lifetime")]
    fn queries(rule: &Rule, values: &[&str], object: &str, evidence: &[(Kind, &str)]) -> Queries {
        let values: Vec<Option<&str>> = values.iter().copied().map(Some).collect();
        fixture::with(rule, &values, None, object, evidence, |alert| alert.queries())
    }

    #[test]
    fn each_tool_is_asked_in_its_own_words() {
        let user = "arn:aws:iam::111122223333:user/o'brien";
        let found =
            queries(&DENIED_MODEL, &["111122223333", user, "m"], OBJECT, &[(Kind::Region, "us-east-1")]);
        let expected = Queries {
            story: Some("make investigate ALERT=570aaca8afa76baa15d4e68241c44264".to_owned()),
            replay: Some("replay s3://logs/bedrock/AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/ --since 2025-06-02T08:44:48Z --until 2025-06-02T09:44:48Z".to_owned()),
            caller: Some(r"replay --caller 'arn:aws:iam::111122223333:user/o'\''brien' s3://logs/bedrock/AWSLogs/111122223333/ --since 2025-05-31T09:14:48Z".to_owned()),
            logs_insights: Some(r#"fields @timestamp, identity.arn, operation, modelId, errorCode, input.inputTokenCount, output.outputTokenCount, requestId | filter identity.arn = "arn:aws:iam::111122223333:user/o'brien" | sort @timestamp desc | limit 1000"#.to_owned()),
            athena: Some("SELECT eventtime, eventsource, eventname, awsregion, sourceipaddress, useragent, errorcode, errormessage FROM cloudtrail_logs WHERE useridentity.arn = 'arn:aws:iam::111122223333:user/o''brien' AND eventtime BETWEEN '2025-05-31T09:14:48Z' AND '2025-06-02T09:44:48Z' ORDER BY eventtime".to_owned()),
            // The name has a character that the CLI's shorthand may read otherwise.
            cloudtrail: None,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_role_is_asked_for_with_all_its_sessions_and_a_key_before_a_name() {
        let role = "arn:aws:sts::1:assumed-role/App";
        let found = queries(
            built_in("role-denials"),
            &["1", role, "m"],
            "s3://b/x.json",
            &[(Kind::AccessKeyId, "AKIAEXAMPLE")],
        );
        assert_eq!(found.replay.as_deref(), Some("replay s3://b/x.json"));
        assert!(
            found
                .logs_insights
                .is_some_and(|text| text.contains(r#"like "arn:aws:sts::1:assumed-role/App/""#))
        );
        assert!(found.athena.is_some_and(|text| {
            text.contains("starts_with(useridentity.arn, 'arn:aws:sts::1:assumed-role/App/')")
        }));
        let all = "arn:aws:sts::1:federated-user";
        let found = |rule, caller| queries(built_in(rule), &["1", caller, "m"], "s3://b/x.json", &[]).athena;
        assert!(found("session-rotation", all).is_some_and(|text| text.contains(&format!("'{all}/'"))));
        let user = "arn:aws:iam::1:user/eve";
        assert!(found("slow-denials", user).is_some_and(|text| text.contains(&format!("= '{user}'"))));
        let found = queries(
            built_in("role-denials"),
            &["1", role, "m"],
            "s3://b/x.json",
            &[(Kind::AccessKeyId, "AKIAEXAMPLE")],
        );
        let lookup = "aws cloudtrail lookup-events --lookup-attributes AttributeKey=AccessKeyId,AttributeValue=AKIAEXAMPLE --start-time 2025-05-31T09:14:48Z --end-time 2025-06-02T09:44:48Z";
        assert_eq!(found.cloudtrail.as_deref(), Some(lookup));
    }

    #[test]
    fn the_story_is_asked_for_where_the_caller_is_no_pattern_and_the_folder_is_known() {
        let caller = |user, object| queries(&DENIED_MODEL, &["1", user, "m"], object, &[]).caller;
        let user = "arn:aws:iam::1:user/eve";
        let command =
            "replay --caller arn:aws:iam::1:user/eve s3://b/AWSLogs/o-1/1/ --since 2025-05-31T09:14:48Z";
        let object = "s3://b/AWSLogs/o-1/1/CloudTrail/us-east-1/2025/06/02/a.json.gz";
        assert_eq!(caller(user, object).as_deref(), Some(command));
        assert_eq!(caller(user, "s3://b/x.json"), None);
        assert_eq!(caller(user, "/logs/AWSLogs/1/CloudTrail/us-east-1/a.json.gz"), None);
        for other in ["arn:aws:iam::1:user/*", "arn:aws:iam::1:user/a?", "arn:aws:iam::1:user/[a]", "eve"] {
            assert_eq!(caller(other, object), None, "{other}");
        }
    }

    #[test]
    fn whatever_is_in_the_table_is_investigated_by_its_alert() {
        let story = |user, object| queries(&DENIED_MODEL, &["1", user, "m"], object, &[]).story;
        let person = "arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/ann@example.com";
        for user in [person, "arn:aws:iam::1:user/*", "a\u{202e}b"] {
            for object in [OBJECT, "eventbridge:b-1"] {
                let command = story(user, object).expect("a command");
                let id = command.strip_prefix("make investigate ALERT=").expect("of an alert");
                assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
            }
            assert_eq!(story(user, "logs/a.json.gz"), None, "read without a table");
        }
    }

    #[test]
    fn what_did_not_come_from_a_bucket_or_is_not_whole_is_not_asked_for() {
        let long = "x".repeat(2 * MAX_TEXT_BYTES + 1);
        assert_eq!(queries(&DENIED_MODEL, &["1", &long, "m"], "an event", &[]), Queries::default());
        let hostile = queries(&DENIED_MODEL, &["1", "a\u{202e}b", "m"], "s3://b/a\u{7}b", &[]);
        assert_eq!(Queries { story: None, ..hostile }, Queries::default());
    }

    /// The value of a string of SQL; `None` if it ends before `text` does.
    fn read_sql(text: &str) -> Option<String> {
        let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
        let pairs = inner.replace("''", "\u{0}");
        (!pairs.contains('\'')).then(|| pairs.replace('\u{0}', "'"))
    }

    #[test]
    fn whatever_a_caller_writes_stays_one_value_in_a_shell_and_in_sql() {
        let ids: std::collections::BTreeMap<String, String> = serde_json::from_str(HOSTILE).expect("ids");
        for id in ids.values().filter(|id| is_whole(id)) {
            let output = Command::new("sh")
                .arg("-c")
                .arg(format!("printf %s {}", shell(id)))
                .output()
                .expect("sh runs");
            assert_eq!(String::from_utf8_lossy(&output.stdout), id.as_str());
            assert_eq!(read_sql(&sql(id)).as_deref(), Some(id.as_str()));
            let insights = logs_insights(&Who::User(id));
            assert!(
                insights.is_none_or(|text| text.matches('"').count() == 2 && !text.contains('\\')),
                "{id}"
            );
        }
    }
}
