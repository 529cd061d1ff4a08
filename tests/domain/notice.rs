//! What a notice says, to each kind of reader, within every limit.

use std::collections::BTreeSet;
use std::time::Duration;

use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::story::CrowdView;
use bedrock_denial_watch::alert::{Alert, IncidentRef, MAX_MESSAGE_BYTES};
use bedrock_denial_watch::call::Source;
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::evidence::{Evidence, Kind};
use bedrock_denial_watch::count::incident::{self, Incident, IncidentLog, NewAlert, notice_id};
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::window::Figures;
use bedrock_denial_watch::rule::catalogue::{ALL, DENIED_MODEL, built_in};
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::source::time::EventTime;
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";
const CONSOLE: &str = "https://us-east-1.console.aws.amazon.com/";
const EVE: &str = "arn:aws:iam::111122223333:user/eve";

fn time(text: &str) -> EventTime {
    EventTime::parse(text).expect("a time")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// An alert, that many seconds after 09:14 on 2 June.
fn found<'r>(rule: &'r Rule, values: &[Option<&str>], seconds: u64, total: u64) -> NewAlert<'r> {
    let start = time("2025-06-02T09:14:00Z");
    let at = start.plus(Duration::from_secs(seconds));
    let key = Key { rule: rule.id, values: values.iter().map(|value| value.map(Into::into)).collect() };
    let (severity, first_seen) = (rule.severity, start);
    NewAlert { rule, key, at, severity, first_seen, last_seen: at, total, is_lower_bound: false, alone: true }
}

/// The notice about `found`, all found at once.
fn with<T>(found: &[NewAlert<'_>], callers: Option<u64>, tell: impl FnOnce(&Notice<'_>) -> T) -> T {
    let mut log = IncidentLog::default();
    let recorded = incident::record(&mut log, found, false);
    let (begin, recorded_incident) = log.incidents.first_key_value().expect("an incident");
    let worst = &recorded_incident.top[0];
    let is_worst = |alert: &&NewAlert<'_>| {
        alert.rule.id == worst.rule && alert.at == worst.at && alert.key.values == worst.values
    };
    let alert = found.iter().find(is_worst).expect("the worst");
    let caller = Caller::of(alert.rule, &alert.key);
    let id = incident::id(&caller, *begin);
    let notice = notice_id(&id, 1);
    let latest: Vec<Option<String>> =
        (0..4).map(|number| Some(format!("arn:aws:iam::111122223333:user/x{number}"))).collect();
    let newest = (0..alert.total.min(10)).map(|number| format!("v{number}")).collect();
    assert_eq!(recorded.places.len(), found.len());
    tell(&Notice {
        id: &notice,
        caller: &caller,
        incident: recorded_incident,
        worst: Alert {
            rule: alert.rule,
            key: &alert.key,
            at: alert.at,
            severity: alert.severity,
            served: None,
            figures: Figures {
                first_seen: alert.first_seen,
                last_seen: alert.last_seen,
                total: alert.total,
                is_lower_bound: alert.is_lower_bound,
                gaps: None,
                newest,
                sources: BTreeSet::from([Source::InvocationLog, Source::CloudTrail]),
                evidence: BTreeSet::from([
                    Evidence { kind: Kind::Region, value: "us-east-1".into() },
                    Evidence { kind: Kind::SourceIp, value: "203.0.113.7".into() },
                    Evidence { kind: Kind::AccessKeyId, value: "AKIAIOSFODNN7EXAMPLE".into() },
                ]),
            },
            object: "s3://bedrock-logs/AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/2025/06/02/09/20250602T091448123Z_0a1b2c3d4e5f6789.json.gz",
            incident: IncidentRef {
                id: &id,
                caller: caller.arn.as_deref(),
                number: worst.number,
                notice: Some(&notice),
            },
        },
        rules: &ALL,
        crowd: callers.map(|callers| CrowdView {
            callers,
            latest: &latest,
            hour: time("2025-06-02T09:00:00Z"),
        }),
    })
}

/// A probe of that many models, each refused `times` times, and the sweep they add up to.
fn probe(models: usize, times: u64) -> Vec<NewAlert<'static>> {
    let name = |number: usize| format!("anthropic.claude-{number}-opus-20240229-v1:0");
    let mut all: Vec<NewAlert<'_>> = (0..models)
        .map(|number| {
            let model = name(number);
            let values = [Some(ACCOUNT), Some(EVE), Some(model.as_str())];
            found(&DENIED_MODEL, &values, number as u64, times + u64::from(number == 3))
        })
        .collect();
    all.push(found(built_in("model-sweep"), &[Some(ACCOUNT), Some(EVE)], 3, models as u64));
    all
}

/// That many sessions of one role, each refused one model four times.
fn sessions(count: u64) -> Vec<NewAlert<'static>> {
    let role = "arn:aws:sts::111122223333:assumed-role/SupportChatbot";
    let session = |number: u64| {
        let user = format!("{role}/s-{number}");
        found(&DENIED_MODEL, &[Some(ACCOUNT), Some(&user), Some("anthropic.claude-v2")], number, 4)
    };
    let rotation = [Some(ACCOUNT), Some(role), Some("anthropic.claude-v2")];
    (0..count).map(session).chain([found(built_in("session-rotation"), &rotation, 5, count)]).collect()
}

#[track_caller]
fn check_subject(found: &[NewAlert<'_>], callers: Option<u64>, expected: &str) {
    with(found, callers, |notice| {
        let subject = notice.message().subject;
        assert_eq!(subject, expected);
        assert!(subject.len() < 100, "{} characters", subject.len());
        let sms = notice.story().sms();
        let since = if callers.is_some() { " since 09:00 UTC" } else { " since 09:14 UTC" };
        assert!(sms.len() <= 160 && sms.contains(since), "{sms}");
    });
}

#[test]
fn the_subject_tells_the_scale() {
    check_subject(&probe(23, 6), None, "[high] Bedrock 111122223333: eve denied 23 models, 139 times");
    check_subject(&probe(1000, 4), None, "[high] Bedrock 111122223333: eve denied 1000 models, 4001 times");
    check_subject(
        &sessions(40),
        None,
        "[high] Bedrock 111122223333: SupportChatbot denied claude-v2 160 times",
    );
    check_subject(
        &probe(20, 5),
        Some(64),
        "[high] Bedrock 111122223333: 64 identities denied, probably one policy change",
    );
    let eve = [Some(ACCOUNT), Some(EVE)];
    let invalid =
        [found(built_in("validation-burst"), &eve, 1, 9), found(built_in("validation-burst"), &eve, 3000, 9)];
    check_subject(&invalid, None, "[high] Bedrock 111122223333: eve raised 2 alerts of validation-burst");
    // Models below the threshold of `denied-model` were refused as well; how often is unknown.
    let swept = [&probe(5, 4)[..4], &[found(built_in("model-sweep"), &eve, 9, 40)]].concat();
    check_subject(&swept, None, "[high] Bedrock 111122223333: eve denied at least 40 models");
    let mut bound = probe(5, 40);
    bound[0].is_lower_bound = true;
    check_subject(&bound, None, "[high] Bedrock 111122223333: eve denied at least 5 models, 201 times");
}

#[test]
fn one_alert_reads_as_it_always_did() {
    with(&probe(23, 6)[..1], None, |notice| {
        let (message, alone) = (notice.message(), notice.worst.message());
        assert_eq!((&message.subject, &message.attributes), (&alone.subject, &alone.attributes));
        let (message, alone) = (json(&message.body), json(&alone.body));
        for channel in ["email", "email-json", "sms"] {
            assert_eq!(message[channel], alone[channel], "{channel}");
        }
        assert_eq!(message["https"], notice.worst.story().chat(), "Amazon Q subscribes so");
        let document = json(message["default"].as_str().expect("text"));
        assert_eq!(
            (&document["incident"]["alerts"], &document["incident"]["more"]),
            (&json("1"), &json("0"))
        );
        assert_eq!(document["incident"]["others"], json("[]"));
    });
}

#[test]
fn the_document_is_that_of_the_worst_alert_with_the_rest_under_incident() {
    with(&probe(23, 6), None, |notice| {
        let mut document = json(&notice.document());
        let alone = json(&notice.worst.document());
        let incident = document["incident"].take();
        assert_eq!(document["rule"]["id"], "model-sweep");
        assert_eq!((&document["id"], &document["triage"]), (&alone["id"], &alone["triage"]));
        for field in ["id", "caller", "number", "notice"] {
            assert_eq!(incident[field], alone["incident"][field], "{field}");
        }
        assert_eq!((&incident["alerts"], &incident["more"]), (&json("24"), &json("13")));
        assert_eq!(incident["rules"], json(r#"["denied-model","model-sweep"]"#));
        let others = incident["others"].as_array().expect("a list");
        assert_eq!(others.len(), 10);
        let opus = r#"{"rule":"denied-model","model":"anthropic.claude-3-opus-20240229-v1:0","total":7}"#;
        assert_eq!(others[0], json(opus));
        assert!(incident.get("callers").is_none());
    });
    with(&sessions(5), Some(16), |notice| {
        let incident = json(&notice.document())["incident"].take();
        assert_eq!(incident["callers"], json("16"));
        let other = r#"{"rule":"denied-model","model":"anthropic.claude-v2","session":"s-1","total":4}"#;
        assert_eq!(incident["others"][0], json(other));
    });
}

#[test]
fn the_email_reads_well() {
    let expected = "\
eve was denied 23 models, 139 times in 22 s, us-east-1.

Key kind  long-term access key
Interval  under 1 s on average
Source IP 203.0.113.7
Key id    AKIAIOSFODNN7EXAMPLE

Caller    arn:aws:iam::111122223333:user/eve
Account   111122223333
Region    us-east-1
Alerts    24
First     2025-06-02 09:14:00 UTC
Last      2025-06-02 09:14:22 UTC
Severity  high, risk score 73
Seen in   Bedrock invocation log, CloudTrail

Alerts, worst first
  23 models   model-sweep
   7 denials  denied-model  anthropic.claude-3-opus-20240229-v1:0
   6 denials  denied-model  anthropic.claude-0-opus-20240229-v1:0
";
    with(&probe(23, 6), None, |notice| {
        let email = notice.story().email();
        assert!(email.starts_with(expected), "{email}");
        assert!(email.contains("\n  and 13 more\n"), "{email}");
        assert_eq!(email.matches("Triage\n  1. ").count(), 1, "{email}");
        let mute = "  denial-watch mute --table TABLE --caller arn:aws:iam::111122223333:user/eve --for 7d --why \"reason\"\n";
        let (_, last) = email.rsplit_once("\n\n").expect("sections");
        assert!(last.starts_with("Mute this caller for a week (") && last.contains(mute), "{email}");
        let heads = [
            "Alerts, worst first",
            "Stop it now",
            "Look closer",
            "Triage",
            "Possible benign",
            "Models of",
            "Mute",
        ];
        let places = heads.map(|head| email.find(&format!("\n{head}")).expect(head));
        assert!(places.is_sorted(), "{email}");
        let is_command = |line: &str| {
            ["  denial-watch ", "  aws ", "  make ", "  replay ", "  https:"]
                .iter()
                .any(|one| line.starts_with(one))
        };
        let prose = |line: &&str| !line.contains("s3://") && !is_command(line) && line.len() > 72;
        let lookup = "\nLook closer\n  make investigate ALERT=3558651ffd9ad1bbcaa152669b0f7153\n  replay s3://bedrock-logs/AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/ --since 2025-06-02T08:44:00Z --until 2025-06-02T09:44:03Z\n  aws cloudtrail lookup-events --region us-east-1 ";
        assert!(email.contains(lookup), "{email}");
        assert_eq!(email.lines().find(prose), None);
    });
}

#[test]
fn a_crowd_is_told_as_one_and_the_one_credential_behind_it_is_looked_for_first() {
    with(&probe(20, 5), Some(64), |notice| {
        let email = notice.story().email();
        assert!(
            email.starts_with("64 identities of one account raised alerts within an hour, probably"),
            "{email}"
        );
        assert!(email.contains("Latest    arn:aws:iam::111122223333:user/x0\n"), "{email}");
        assert!(email.contains("Triage\n  1. Look for a recent change of a policy"), "{email}");
        assert!(email.contains("comes at 256"), "{email}");
        // Of one of them it would be no help.
        assert!(!email.contains("Stop it now") && !email.contains("Mute this caller"), "{email}");
        let chat = json(&notice.story().chat());
        assert_eq!(
            chat["content"]["title"],
            ":rotating_light: 64 identities denied on Bedrock within an hour (111122223333)"
        );
        let steps = chat["content"]["nextSteps"].as_array().expect("a list");
        assert!(
            steps[0].as_str().is_some_and(|step| step.starts_with("Look for a recent change of a policy"))
        );
        // Not the thread of any one caller.
        assert_ne!(chat["metadata"]["threadId"], json(&notice.worst.story().chat())["metadata"]["threadId"]);
    });
}

#[test]
fn chat_lists_the_worst_in_the_callers_thread() {
    with(&sessions(40), None, |notice| {
        let chat = json(&notice.story().chat());
        assert_eq!(
            chat["content"]["title"],
            ":rotating_light: `SupportChatbot` denied `anthropic.claude-v2` 160 times (111122223333)"
        );
        let description = chat["content"]["description"].as_str().expect("text");
        let line = "\n• 4 denials, denied-model, `anthropic.claude-v2`, session `s-1`\n";
        assert!(description.contains(line) && description.contains("\nand 30 more\n"), "{description}");
        assert_eq!(chat["metadata"]["threadId"], json(&notice.worst.story().chat())["metadata"]["threadId"]);
        assert_eq!(chat["id"], notice.id);
    });
}

#[test]
fn nothing_in_an_id_acts_and_the_longest_ids_fit() {
    let evil = "<!channel> <@U1> <https://evil.example|click> www.evil.example `*b* @here \n\u{202e}\"\\";
    for id in [evil.to_owned(), "\"\\".repeat(10_000), "ü\n".repeat(10_000), "&".repeat(20_000)] {
        let user = format!("arn:aws:sts::1:assumed-role/{id}/{id}");
        let alerts: Vec<NewAlert<'_>> = (0..20)
            .map(|number| {
                let model = format!("{number}{id}");
                found(&DENIED_MODEL, &[Some(&id), Some(&user), Some(&model)], number, 9)
            })
            .collect();
        for callers in [None, Some(16)] {
            with(&alerts, callers, |notice| {
                let message = notice.message();
                assert!(message.body.len() < MAX_MESSAGE_BYTES, "{} bytes", message.body.len());
                assert!(message.subject.len() < 100 && message.subject.is_ascii(), "{}", message.subject);
                for text in [notice.story().email(), notice.story().sms(), notice.story().subject()] {
                    let callers = text.replace("Log object  s3://", "").replace("\n  replay s3://", "");
                    let callers = callers.replace(CONSOLE, "");
                    for trap in ["://", "www.evil.", "\u{202e}", "\u{0}"] {
                        assert!(!callers.contains(trap), "{trap:?} in {text}");
                    }
                }
                let chat = json(&notice.story().chat());
                for part in ["title", "description"] {
                    let text = chat["content"][part].as_str().expect("text").replace(CONSOLE, "");
                    for trap in ["<", "://", "@here", "\u{202e}"] {
                        assert!(!text.contains(trap), "{trap:?} in {text}");
                    }
                }
            });
        }
    }
}

/// A notice with `text` in every place that a caller controls.
pub fn of_a_caller<T>(text: &str, callers: Option<u64>, tell: impl FnOnce(&Notice<'_>) -> T) -> T {
    let user = format!("arn:aws:sts::1:assumed-role/{text}/{text}");
    let alert = |number| found(&DENIED_MODEL, &[Some(text), Some(&user), Some(text)], number, 9);
    with(&(0..3).map(alert).collect::<Vec<_>>(), callers, |notice| {
        let mut notice = notice.clone();
        let evidence = Kind::ALL.map(|kind| Evidence { kind, value: text.into() });
        notice.worst.figures.evidence = evidence.into();
        notice.worst.figures.newest = vec![text.to_owned()];
        let (object, latest) = (format!("s3://logs/{text}"), [Some(text.to_owned())]);
        notice.worst.object = &object;
        notice.crowd =
            callers.map(|callers| CrowdView { callers, latest: &latest, hour: time("2025-06-02T09:00:00Z") });
        tell(&notice)
    })
}

#[test]
fn on_a_bus_an_incident_is_one_finding_that_its_notices_update_and_a_crowd_another() {
    with(&probe(23, 6), None, |notice| {
        let finding = json(&notice.ocsf());
        assert_eq!((&finding["class_uid"], &finding["type_uid"]), (&json("2004"), &json("200401")));
        assert_eq!(finding["finding_info"]["uid"], notice.worst.incident.id);
        assert_eq!((&finding["metadata"]["uid"], &finding["severity"]), (&json!(notice.id), &json!("High")));
        assert_eq!(finding["unmapped"]["alert"], notice.worst.id());
        assert_eq!(finding["unmapped"]["alerts"], 24);
        assert_eq!(finding["unmapped"]["rules"], json!(["denied-model", "model-sweep"]));
        let message = finding["message"].as_str().expect("text");
        assert!(message.contains("eve was denied 23 models"), "{message}");
        let incident = Incident { notices: 1, ..notice.incident.clone() };
        let again = Notice { incident: &incident, ..notice.clone() };
        let update = json(&again.ocsf());
        assert_eq!((&update["activity_id"], &update["type_uid"]), (&json("2"), &json("200402")));
        assert_eq!(update["finding_info"]["uid"], finding["finding_info"]["uid"]);
    });
    with(&probe(1, 6), Some(16), |notice| {
        let finding = json(&notice.ocsf());
        assert_eq!(
            (&finding["finding_info"]["uid"], &finding["activity_id"]),
            (&json!(notice.id), &json("1"))
        );
        assert_eq!(finding["unmapped"]["callers"], 16);
    });
}
