//! SQS messages, from Lambda's event source mapping (`Records`) or an EventBridge pipe (a list, or
//! one message alone). Both take the same answer, `batchItemFailures`.
//!
//! Sources: "Using Lambda with Amazon SQS" in the AWS Lambda developer guide; "Batching and
//! concurrency" of pipes in the Amazon EventBridge user guide.

use super::fields::{self, Fields};
use super::{Resolved, embedded};

/// One SQS message.
#[derive(Debug, PartialEq, Eq)]
pub struct SqsMessage {
    /// The id that SQS gave it, the same at every delivery.
    pub id: String,
    /// What its body asks for.
    pub items: Vec<Resolved>,
}

/// The messages of a batch; `None` for anything else. A message without an id makes it something
/// else, since no one would learn that it failed.
pub fn messages(payload: &str) -> Option<Vec<SqsMessage>> {
    let messages: Option<Vec<SqsMessage>> = if let Some(list) = fields::list(payload) {
        list.into_iter().map(|json| message(&Fields::read(json)?)).collect()
    } else {
        let fields = Fields::read(payload)?;
        match fields.list("Records") {
            Some(records) => records.into_iter().map(|json| message(&Fields::read(json)?)).collect(),
            None => message(&fields).map(|message| vec![message]),
        }
    };
    messages.filter(|messages| !messages.is_empty())
}

fn message(fields: &Fields<'_>) -> Option<SqsMessage> {
    let (id, body) = fields.text("messageId").zip(fields.text("body"))?;
    let mut items = Vec::new();
    embedded(SHAPE, &body, 1, &mut items);
    Some(SqsMessage { id, items })
}

/// What errors call the text in a message.
pub const SHAPE: &str = "SQS body";
