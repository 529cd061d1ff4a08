//! What Lambda was invoked with → what to read. An event asks for the same however it is wrapped, and whatever
//! no one can read is said.
//!
//! It needs the feature `aws`. Whoever includes it has the module `event` at its root.

use serde_json::{Value, json};

use crate::event::{EventError, EventRequest, MAX_NESTING, Resolved, resolve};

pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // Lambda hands on nothing else.
    let Ok(payload) = serde_json::from_str::<Value>(text) else { return };
    let found = match resolve(text) {
        EventRequest::Whole(found) => {
            check_all(&found);
            found
        }
        EventRequest::Batch(messages) => {
            assert!(!messages.is_empty());
            return messages.iter().for_each(|message| check_all(&message.items));
        }
        EventRequest::Job(job) => {
            return job.tasks.iter().for_each(|task| check_all(std::slice::from_ref(&task.item)));
        }
    };
    if !payload.is_object() || found.iter().any(|one| matches!(one, Err(EventError::TooDeep))) {
        return;
    }
    let levels = MAX_NESTING.saturating_sub(depth(&payload));
    if levels < 2 {
        return;
    }
    let sns = json!({"Type": "Notification", "TopicArn": "arn", "Message": text});
    let failed = format!(r#"{{"version":"1.0","requestPayload":{text}}}"#);
    let record = json!({"Records": [{"EventSource": "aws:sns", "Sns": sns}]});
    for wrapped in [sns.to_string(), failed, record.to_string()] {
        assert_eq!(resolve(&wrapped), EventRequest::Whole(found.clone()), "{wrapped}");
    }
    let message = json!({"messageId": "m", "body": text, "eventSource": "aws:sqs"});
    for wrapped in [json!({"Records": [message]}), json!([message]), message] {
        match resolve(&wrapped.to_string()) {
            EventRequest::Batch(messages) => {
                assert_eq!(messages.len(), 1);
                assert_eq!((messages[0].id.as_str(), &messages[0].items), ("m", &found), "{wrapped}");
            }
            other => panic!("{other:?} of {wrapped}"),
        }
    }
}

/// How many events there may be within an event.
fn depth(value: &Value) -> usize {
    let inside = match value {
        Value::String(text) => {
            return serde_json::from_str::<Value>(text).map_or(0, |inner| 1 + depth(&inner));
        }
        Value::Array(values) => values.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => return 0,
    };
    1 + inside.unwrap_or_default()
}

fn check_all(found: &[Resolved]) {
    for one in found {
        if let Err(error) = one {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 2000, "{} bytes", text.len());
            assert!(!text.chars().any(|one| one.is_control() && one != '\n'), "{text:?}");
        }
    }
}
