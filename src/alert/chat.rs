//! The alert for Slack and Teams, in the custom-notification schema of Amazon Q Developer in
//! chat applications, which silently drops any other JSON.
//!
//! Source: "Custom notifications" in the service's administrator guide.

use serde::Serialize;

use super::Alert;
use super::display::{capitalised, code, evidence_code, minutes, plain, utc};
use super::mute::mute_command;
use crate::rule::definition::Rule;
use crate::rule::field::Field;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Notification<'a> {
    version: &'a str,
    source: &'a str,
    id: &'a str,
    content: Content<'a>,
    metadata: Metadata,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    text_type: &'a str,
    title: String,
    description: String,
    next_steps: &'a [&'a str],
    keywords: [&'a str; 3],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    thread_id: String,
    summary: String,
}

/// What a notification says.
pub(super) struct Chat<'a> {
    pub id: &'a str,
    pub title: String,
    pub description: String,
    pub next_steps: &'a [&'a str],
    pub thread: String,
}

impl Chat<'_> {
    /// The notification on one line, with the keywords of `rule`.
    #[expect(clippy::expect_used, reason = "texts, numbers and lists always serialise")]
    pub(super) fn text(self, rule: &Rule) -> String {
        let notification = Notification {
            version: "1.0",
            source: "custom",
            id: self.id,
            content: Content {
                text_type: "client-markdown",
                title: format!(":rotating_light: {}", self.title),
                description: self.description,
                next_steps: self.next_steps,
                keywords: ["Bedrock", rule.id, rule.severity.name()],
            },
            metadata: Metadata { thread_id: self.thread, summary: self.title },
        };
        serde_json::to_string(&notification).expect("text and lists always serialise")
    }
}

impl Alert<'_> {
    /// The notification on one line.
    ///
    /// # Panics
    /// Never: texts, numbers and lists always serialise.
    #[must_use]
    pub fn chat(&self) -> String {
        let chat = Chat {
            id: &self.id(),
            title: self.phrase(self.rule.wording.title, code),
            description: self.description(),
            next_steps: self.rule.triage,
            thread: self.thread(),
        };
        chat.text(self.rule)
    }

    fn description(&self) -> String {
        let (rule, figures) = (self.rule, &self.figures);
        let mut lines: Vec<String> = Vec::new();
        for field in rule.group_by.iter().filter(|field| **field != Field::Account) {
            lines.push(format!("*{}* {}", field.label(), code(self.key.get(rule, *field))));
        }
        lines.push(format!("*Account* {}", code(self.account())));
        lines.push(format!(
            "*{}* {} (fires above {} within {})",
            capitalised(rule.wording.noun),
            self.how_many(),
            rule.threshold,
            minutes(self.window_minutes()),
        ));
        if rule.distinct != Field::RequestId {
            lines.push(format!("*Newest* {}", codes(self.newest())));
        }
        lines.push(format!("*From* {} *to* {}", utc(figures.first_seen), utc(figures.last_seen)));
        if !figures.sources.is_empty() {
            lines.push(format!("*Seen in* {}", self.sources()));
        }
        for (label, kind, values) in self.told() {
            let codes: Vec<String> =
                values.iter().map(|value| evidence_code(kind, &plain(value, LISTED_BYTES))).collect();
            lines.push(format!("*{label}* {}", codes.join(", ")));
        }
        lines.push(format!("*Alert* {}", self.id()));
        lines.extend(self.look_further());
        lines.extend(mute(self.account(), self.incident.caller));
        lines.join("\n")
    }
}

impl Alert<'_> {
    /// The first command to look further with; they hold nothing that would have to be changed for the chat.
    pub(super) fn look_further(&self) -> Option<String> {
        // A chat would make a link of what has a scheme.
        let command = self.commands().find(|command| !command.contains("://"))?;
        Some(format!("*To look further* `{command}`"))
    }
}

/// How to mute the caller, unless anything in the command would have to be changed for the chat.
pub(super) fn mute(account: Option<&str>, caller: Option<&str>) -> Option<String> {
    let command = mute_command(account, caller)?;
    let span = code(Some(&command));
    (span == format!("`{command}`")).then(|| format!("*To mute this caller* {span}"))
}

/// A list, each value cut short enough that ten fit beside everything else.
fn codes<'v>(values: impl Iterator<Item = Option<&'v str>>) -> String {
    let shown = values.map(|value| code(value.map(|value| plain(value, LISTED_BYTES)).as_deref()));
    shown.collect::<Vec<_>>().join(", ")
}

/// The longest value in a list, in bytes; the JSON document and the e-mail show more of it.
const LISTED_BYTES: usize = 80;
