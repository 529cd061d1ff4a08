//! One message for a topic: a text for each kind of subscriber, a subject, and attributes for filter policies.

use serde_json::json;

use super::Alert;
use super::document::put;
use super::notice::Notice;
use super::story::Story;

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

impl Message {
    /// `chat` is for the subscribers by `https`, as Amazon Q subscribes; without it they get the document.
    fn new(document: &str, story: Story<'_>, chat: Option<String>) -> Self {
        let email = story.email();
        let mut body = json!({
            "default": document,
            "email": email,
            "email-json": email,
            "sms": story.sms(),
        });
        if let Some(chat) = chat {
            put(&mut body, "https", chat);
        }
        Self {
            body: body.to_string(),
            subject: story.subject(),
            attributes: [
                ("rule", story.rule.id.to_owned()),
                ("severity", story.severity.0.name().to_owned()),
                ("account", story.account.whole()),
                ("alert_id", story.alert),
            ],
        }
    }
}

impl Alert<'_> {
    /// The message for the topic that programs subscribe to.
    #[must_use]
    pub fn message(&self) -> Message {
        Message::new(&self.document(), self.story(), None)
    }
}

impl Notice<'_> {
    /// The message for the topic that people and their chat subscribe to.
    #[must_use]
    pub fn message(&self) -> Message {
        let story = self.story();
        let chat = story.chat();
        Message::new(&self.document(), story, Some(chat))
    }
}
