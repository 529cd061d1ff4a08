//! The alert as one message for a topic: a text for each kind of subscriber, a subject, and
//! attributes for filter policies.

use serde::Serialize;

use super::Alert;
use super::display::shown;

/// The most that SNS accepts, in bytes. Ids are cut short enough that no alert comes near it.
pub const MAX_MESSAGE_BYTES: usize = 262_144;

/// A message ready for SNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The body for `MessageStructure: json`.
    pub body: String,
    /// Under 100 printable ASCII characters.
    pub subject: String,
    /// Message attributes, none of them empty.
    pub attributes: [(&'static str, String); 4],
}

/// The texts for people.
pub(super) struct Texts {
    pub subject: String,
    pub email: String,
    pub chat: String,
    pub sms: String,
}

#[derive(Serialize)]
struct Body {
    default: String,
    email: String,
    #[serde(rename = "email-json")]
    email_json: String,
    https: String,
    sms: String,
}

impl Alert<'_> {
    /// The message for the topic.
    ///
    /// # Panics
    /// Never: texts, numbers and lists always serialise.
    #[must_use]
    pub fn message(&self) -> Message {
        let texts =
            Texts { subject: self.subject(), email: self.email(), chat: self.chat(), sms: self.sms() };
        self.message_of(self.document(), texts)
    }

    /// A message with this alert's attributes.
    #[expect(clippy::expect_used, reason = "texts, numbers and lists always serialise")]
    pub(super) fn message_of(&self, document: String, texts: Texts) -> Message {
        let Texts { subject, email, chat, sms } = texts;
        let body = Body { default: document, email: email.clone(), email_json: email, https: chat, sms };
        Message {
            body: serde_json::to_string(&body).expect("text always serialises"),
            subject,
            attributes: [
                ("rule", self.rule.id.to_owned()),
                ("severity", self.rule.severity.name().to_owned()),
                ("account", shown(self.account())),
                ("alert_id", self.id()),
            ],
        }
    }
}
