//! The SNS sink over the wire: the form that `Publish` sends, and what it answers.

use std::collections::BTreeMap;

use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::AlertSink;
use bedrock_denial_watch::alert::{Alert, IncidentRef, MAX_MESSAGE_BYTES};
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::incident::{self, IncidentLog, NewAlert};
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::window::Figures;
use bedrock_denial_watch::lambda::aws::{EventBus, Meter, SnsSink};
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use serde_json::Value;

use crate::http::{Reply, Request, Server};
use crate::support::{key, nowhere, sdk, time};

const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:alerts";

pub fn accepted() -> Reply {
    Reply::new(
        200,
        "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>",
    )
}

/// The fields of a form, as SNS reads them.
pub fn form(request: &Request) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        let bytes = percent_encoding::percent_decode_str(&text);
        bytes.decode_utf8().expect("UTF-8").into_owned()
    };
    let body = String::from_utf8(request.body.clone()).expect("text");
    let fields = body.split('&').map(|field| field.split_once('=').expect("a field"));
    fields.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

/// Sends a notice, and its alert where programs want it; returns how many findings the bus did not take.
pub async fn publish_to(
    url: &str,
    key: &Key,
    every_alert: Option<&str>,
    bus: Option<&str>,
) -> Result<u64, String> {
    let at = time("2025-06-01T10:00:03Z");
    let caller = Caller::of(&DENIED_MODEL, key);
    let id = incident::id(&caller, at);
    let alert = Alert {
        rule: &DENIED_MODEL,
        key,
        at,
        severity: DENIED_MODEL.severity,
        figures: Figures::at_least(at),
        served: None,
        object: "s3://logs/k.json.gz",
        incident: IncidentRef { id: &id, caller: caller.arn.as_deref(), number: 1, notice: None },
    };
    let found = NewAlert {
        rule: &DENIED_MODEL,
        key: key.clone(),
        at,
        severity: DENIED_MODEL.severity,
        first_seen: at,
        last_seen: at,
        total: 4,
        is_lower_bound: true,
        alone: true,
    };
    let mut log = IncidentLog::default();
    incident::record(&mut log, &[found], false);
    let notice = Notice {
        id: &incident::notice_id(&id, 1),
        caller: &caller,
        incident: &log.incidents[&at],
        worst: alert.clone(),
        rules: &[],
        crowd: None,
    };
    let meter = Meter::default();
    let bus = bus.map(|arn| EventBus::new(&sdk(url), arn.to_owned(), &meter));
    let sink = SnsSink::metered(&sdk(url), TOPIC.to_owned(), every_alert.map(str::to_owned), bus, &meter);
    sink.notice(&notice).await.map_err(|error| error.to_string())?;
    if sink.wants_alerts() {
        sink.alert(&alert).await.map_err(|error| error.to_string())?;
    }
    Ok(meter.take().lost_findings)
}

async fn publish(url: &str, key: &Key) -> Result<(), String> {
    publish_to(url, key, None, None).await.map(drop)
}

#[tokio::test]
async fn programs_get_each_alert_on_a_topic_of_their_own_and_as_json_by_https_too() {
    let server = Server::start(|_, _| Some(accepted()));
    let every_alert = "arn:aws:sns:us-east-1:123456789012:every-alert";
    publish_to(&server.url, &key(&[None, None, None]), Some(every_alert), None).await.expect("published");
    let topics: Vec<String> =
        server.requests().iter().map(|request| form(request)["TopicArn"].clone()).collect();
    assert_eq!(topics, [TOPIC, every_alert]);
    let has_chat = |request: &Request| form(request)["Message"].contains("\"https\":");
    assert_eq!(server.requests().iter().map(has_chat).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn an_alert_is_published_as_one_message_with_a_text_for_each_protocol() {
    let server = Server::start(|_, _| Some(accepted()));
    let eve = key(&[Some("123456789012"), Some("arn:aws:iam::123456789012:user/eve & co"), Some("m")]);
    publish(&server.url, &eve).await.expect("published");
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let fields = form(&requests[0]);
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    assert_eq!(field("Action"), "Publish");
    assert_eq!(field("TopicArn"), TOPIC);
    assert_eq!(field("MessageStructure"), "json");
    let message: Value = serde_json::from_str(field("Message")).expect("JSON");
    for protocol in ["default", "email", "email-json", "https", "sms"] {
        assert!(message[protocol].is_string(), "{protocol}");
    }
    let document: Value = serde_json::from_str(message["default"].as_str().expect("text")).expect("JSON");
    assert_eq!(document["@timestamp"], "2025-06-01T10:00:03Z");
    assert_eq!(document["user"]["id"], "arn:aws:iam::123456789012:user/eve & co");
    let subject = field("Subject");
    assert!(
        !subject.is_empty()
            && subject.len() < 100
            && subject.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    );
    let mut attributes = BTreeMap::new();
    for number in 1..=4 {
        let part = |part: &str| field(&format!("MessageAttributes.entry.{number}.{part}")).to_owned();
        assert_eq!(part("Value.DataType"), "String");
        attributes.insert(part("Name"), part("Value.StringValue"));
    }
    assert_eq!(attributes["rule"], "denied-model");
    assert_eq!(attributes["severity"], "high");
    assert_eq!(attributes["account"], "123456789012");
    assert_eq!(attributes["alert_id"], document["id"].as_str().expect("text"));
}

#[tokio::test]
async fn whatever_the_ids_hold_the_message_stays_within_the_limits_of_sns() {
    let odd = ["\u{0}\n\"\\".repeat(512), "🙂".repeat(512), String::new()];
    let ids = [odd.each_ref().map(|text| Some(text.as_str())), [None, None, None]];
    for ids in ids {
        let server = Server::start(|_, _| Some(accepted()));
        publish(&server.url, &key(&ids)).await.expect("published");
        let fields = form(&server.requests()[0]);
        assert!(fields["Message"].len() < MAX_MESSAGE_BYTES / 4, "{}", fields["Message"].len());
        let subject = &fields["Subject"];
        assert!(
            subject.len() < 100 && subject.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{subject:?}"
        );
        for number in 1..=4 {
            let value = &fields[&format!("MessageAttributes.entry.{number}.Value.StringValue")];
            assert!(!value.is_empty());
        }
    }
}

#[tokio::test]
async fn a_lost_answer_publishes_the_same_alert_again() {
    let server = Server::start(|number, _| (number > 0).then(accepted));
    publish(&server.url, &key(&[None, None, None])).await.expect("published");
    let sent: Vec<String> =
        server.requests().iter().map(|request| form(request)["Message"].clone()).collect();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
}

#[tokio::test]
async fn a_refusal_names_the_topic_and_its_cause() {
    let server = Server::start(|_, _| {
        Some(Reply::sns_error(403, "KMSAccessDenied", "no kms:GenerateDataKey on the topic's key"))
    });
    let error = publish(&server.url, &key(&[None, None, None])).await.expect_err("refused");
    assert_eq!(
        error,
        format!(
            "SNS Publish to {TOPIC}: KMSAccessDenied: no kms:GenerateDataKey on the topic's key (request id r-1)"
        )
    );
    let url = nowhere().endpoint_url().expect("set").to_owned();
    let error = publish(&url, &key(&[None, None, None])).await.expect_err("nobody listens");
    assert!(error.contains("dispatch failure") && error.contains("Connection refused"), "{error}");
}
