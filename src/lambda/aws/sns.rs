//! Notices to the topic that people subscribe to and to an event bus, and each alert to a topic for programs.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use futures_util::future::join;
use serde_json::json;

use super::cause::cause;
use super::eventbridge::EventBus;
use super::meter::Meter;
use super::{retries, timeouts};
use crate::alert::notice::Notice;
use crate::alert::sink::{AlertSink, SinkError};
use crate::alert::{Alert, MAX_MESSAGE_BYTES, Message};

/// SNS answers within tens of milliseconds. An abandoned attempt may have succeeded: subscribers then
/// see the alert twice, with the same id.
const ATTEMPT: Duration = Duration::from_secs(5);
const OPERATION: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 5;
/// "Up to 100 characters", and SNS means fewer than 100 by it.
///
/// Source: `Subject` of `Publish` in the Amazon SNS API reference.
const MAX_SUBJECT_CHARS: usize = 99;

/// SNS suspends an email subscription that gets more than ten messages a second. With this between them, six take
/// longer than a second; with two deliveries at once, as many as read a queue, twelve do.
///
/// Source: "Amazon SNS endpoints and quotas" in the AWS general reference.
const PACE: Duration = Duration::from_millis(220);

/// The topics and the bus that notices and alerts go to.
pub struct SnsSink {
    client: Client,
    topic_arn: String,
    every_alert_topic_arn: Option<String>,
    bus: Option<EventBus>,
    pace: Pace,
}

/// Keeps notices apart.
#[derive(Default)]
struct Pace {
    /// When the next one may leave.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// Takes the next place in the queue; returns how long to wait for it from `now`.
    fn turn(&self, now: Instant) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.map_or(now, |next| next.max(now));
        // Without a later moment, the clock is at its end.
        *next = turn.checked_add(PACE);
        turn.saturating_duration_since(now)
    }
}

impl SnsSink {
    /// Notices go to `topic_arn`. Region, credentials and endpoint are those of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig, topic_arn: String) -> Self {
        Self::metered(config, topic_arn, None, None, &Meter::default())
    }

    /// The same, with its requests counted by `meter`. Notices go to `bus` as well, and each alert goes to
    /// `every_alert_topic_arn`, if there are such.
    #[must_use]
    pub fn metered(
        config: &SdkConfig,
        topic_arn: String,
        every_alert_topic_arn: Option<String>,
        bus: Option<EventBus>,
        meter: &Meter,
    ) -> Self {
        let config = aws_sdk_sns::config::Builder::from(config)
            .timeout_config(timeouts(ATTEMPT, OPERATION))
            .retry_config(retries(ATTEMPTS))
            .interceptor(meter.clone())
            .build();
        let client = Client::from_conf(config);
        Self { client, topic_arn, every_alert_topic_arn, bus, pace: Pace::default() }
    }
}

impl AlertSink for SnsSink {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        let message = fitted(notice.message(), || notice.document(), MAX_MESSAGE_BYTES);
        // At once, so that what a crash leaves undone is put again with the message that is published again.
        let put = async {
            if let Some(bus) = &self.bus {
                bus.put(notice).await;
            }
        };
        let publish = async {
            tokio::time::sleep(self.pace.turn(Instant::now())).await;
            self.publish(&self.topic_arn, message).await
        };
        join(put, publish).await.1
    }

    fn wants_alerts(&self) -> bool {
        self.every_alert_topic_arn.is_some()
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        let Some(topic_arn) = &self.every_alert_topic_arn else { return Ok(()) };
        let message = fitted(alert.message(), || alert.document(), MAX_MESSAGE_BYTES);
        self.publish(topic_arn, message).await
    }
}

impl SnsSink {
    async fn publish(&self, topic_arn: &str, message: Message) -> Result<(), SinkError> {
        let mut request = self
            .client
            .publish()
            .topic_arn(topic_arn)
            .message_structure("json")
            .message(message.body)
            .subject(message.subject);
        for (name, value) in message.attributes {
            let attribute = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|error| failed(topic_arn, error.to_string()))?;
            request = request.message_attributes(name, attribute);
        }
        request.send().await.map_err(|error| failed(topic_arn, cause(&error)))?;
        Ok(())
    }
}

fn failed(topic_arn: &str, cause: String) -> SinkError {
    SinkError { operation: format!("SNS Publish to {topic_arn}"), cause: cause.into() }
}

/// `message` within the limits of SNS. Ids are cut short long before, so this changes nothing; if it
/// ever did, a shortened alert beats a lost one: first only the document, then its beginning.
fn fitted(mut message: Message, document: impl FnOnce() -> String, limit: usize) -> Message {
    let printable = |character: char| matches!(character, ' '..='~');
    message.subject.retain(printable);
    message.subject.truncate(MAX_SUBJECT_CHARS);
    if size(&message) <= limit {
        return message;
    }
    let document = document();
    let mut end = document.len();
    while size(&message) > limit && end > 0 {
        message.body = json!({ "default": document.get(..end).unwrap_or_default() }).to_string();
        end = document.floor_char_boundary(end / 2);
    }
    message
}

/// Bytes as SNS counts them: the body, and the names, types and values of the attributes.
fn size(message: &Message) -> usize {
    let attributes = message.attributes.iter();
    let attributes = attributes.flat_map(|(name, value)| [name.len(), "String".len(), value.len()]);
    attributes.chain([message.body.len(), message.subject.len()]).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body_bytes: usize, subject: &str) -> Message {
        Message {
            body: "x".repeat(body_bytes),
            subject: subject.to_owned(),
            attributes: ["a", "b", "c", "d"].map(|name| (name, "v".to_owned())),
        }
    }

    #[track_caller]
    fn check(body_bytes: usize, document: &str, limit: usize, expected: &str) {
        let fitted = fitted(message(body_bytes, ""), || document.to_owned(), limit);
        assert!(size(&fitted) <= limit, "{}", fitted.body);
        assert_eq!(fitted.body, expected);
    }

    #[test]
    fn a_message_over_the_limit_is_reduced_to_its_document_and_then_to_its_beginning() {
        check(10, "document", 100, "xxxxxxxxxx");
        check(101, "document", 100, r#"{"default":"document"}"#);
        let document = "0123456789é".repeat(10);
        check(101, &document, 100, r#"{"default":"0123456789é0123456789é012345"}"#);
        check(101, &"\u{1}".repeat(40), 100, r#"{"default":"\u0001\u0001\u0001\u0001\u0001"}"#);
    }

    #[test]
    fn no_second_has_more_than_five_notices() {
        let (pace, start) = (Pace::default(), Instant::now());
        // Ready all at once, then one by one.
        let ready = (0..30).map(|_| 0).chain((0..30).map(|number| 9_000 + 40 * number)).chain([60_000]);
        let leave = |ms| Duration::from_millis(ms) + pace.turn(start + Duration::from_millis(ms));
        let turns: Vec<Duration> = ready.map(leave).collect();
        assert!(turns.windows(6).all(|turns| turns[5] > turns[0] + Duration::from_secs(1)), "{turns:?}");
        assert_eq!(
            (turns[0], turns[60]),
            (Duration::ZERO, Duration::from_secs(60)),
            "no one waits for nothing"
        );
    }

    #[test]
    fn a_subject_is_under_100_printable_characters() {
        let fitted = fitted(message(1, &"naïve\n🙂 ".repeat(40)), String::new, 1000);
        assert_eq!(fitted.subject, "nave ".repeat(40)[..99]);
    }
}
