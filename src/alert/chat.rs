//! The alert for Slack and Teams, in the custom-notification schema of Amazon Q Developer in
//! chat applications. Any other JSON on the topic is dropped there without a word.
//!
//! Source: "Custom notifications" in the service's administrator guide.

use serde::Serialize;

use super::Alert;
use super::display::{code, utc};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Notification<'a> {
    version: &'a str,
    source: &'a str,
    id: String,
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
    keywords: [String; 3],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    thread_id: String,
    summary: String,
}

impl Alert<'_> {
    /// The notification on one line.
    ///
    /// # Panics
    /// Never: texts, numbers and lists always serialise.
    #[must_use]
    pub fn chat(&self) -> String {
        let figures = &self.figures;
        let description = format!(
            "*User* {user}\n*Model* {model}\n*Account* {account}\n\
             *Denials* {how_many} (fires above {threshold} within {window} minutes)\n\
             *From* {first} *to* {last}\n*Alert* {id}",
            user = code(self.user()),
            model = code(self.model()),
            account = code(self.account()),
            how_many = self.how_many(),
            threshold = self.rule.threshold,
            window = self.window_minutes(),
            first = utc(figures.first_seen),
            last = utc(figures.last_seen),
            id = self.id(),
        );
        let notification = Notification {
            version: "1.0",
            source: "custom",
            id: self.id(),
            content: Content {
                text_type: "client-markdown",
                title: format!(":rotating_light: Bedrock model denied {} times to one user", self.how_many()),
                description,
                next_steps: self.rule.triage,
                keywords: [
                    "Bedrock".to_owned(),
                    self.rule.id.to_owned(),
                    self.rule.severity.name().to_owned(),
                ],
            },
            metadata: Metadata {
                thread_id: self.thread(),
                summary: format!("Bedrock model denied {} times", self.how_many()),
            },
        };
        serde_json::to_string(&notification).expect("text and lists always serialise")
    }
}
