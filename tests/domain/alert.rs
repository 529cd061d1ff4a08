//! What an alert says, to each kind of reader, within every limit.

#![allow(
    clippy::redundant_closure_for_method_calls,
    reason = "a method path is not general enough over the alert's lifetime"
)]

use std::collections::BTreeSet;

use bedrock_denial_watch::alert::terminal::Layout;
use bedrock_denial_watch::alert::{Alert, IncidentRef, MAX_MESSAGE_BYTES, id};
use bedrock_denial_watch::call::Source;
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::evidence::{Evidence, Kind, MAX_EVIDENCE_BYTES};
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::served::{Calls, Served};
use bedrock_denial_watch::count::window::Figures;
use bedrock_denial_watch::rule::catalogue::{DENIED_MODEL, built_in};
use bedrock_denial_watch::rule::definition::{Rule, Severity};
use bedrock_denial_watch::rule::field::MISSING;
use bedrock_denial_watch::source::time::EventTime;
use serde_json::Value;

const USER: &str = "arn:aws:sts::111122223333:assumed-role/SupportChatbot/i-0a1b2c3d4e5f67890";
const MODEL: &str = "anthropic.claude-3-opus-20240229-v1:0";

fn time(text: &str) -> EventTime {
    EventTime::parse(text).expect("a time")
}

fn evidence(kind: Kind, value: &str) -> Evidence {
    Evidence { kind, value: value.into() }
}

fn with<T>(values: [Option<&str>; 3], tell: impl FnOnce(&Alert<'_>) -> T) -> T {
    let key = Key { rule: DENIED_MODEL.id, values: values.map(|value| value.map(Into::into)).to_vec() };
    tell(&Alert {
        rule: &DENIED_MODEL,
        key: &key,
        at: time("2025-06-02T09:14:48Z"),
        severity: DENIED_MODEL.severity,
        served: None,
        figures: Figures {
            first_seen: time("2025-06-02T09:14:07Z"),
            last_seen: time("2025-06-02T09:14:48Z"),
            total: 4,
            is_lower_bound: false,
            gaps: None,
            newest: ["r1", "r2", "r3", "r4"].map(str::to_owned).to_vec(),
            sources: BTreeSet::from([Source::InvocationLog]),
            evidence: BTreeSet::from([evidence(Kind::Region, "us-east-1")]),
        },
        object: "s3://logs/a.json.gz",
        incident: IncidentRef {
            id: "incident-1",
            caller: Caller::of(&DENIED_MODEL, &key).arn.as_deref(),
            number: 1,
            notice: Some("notice-1"),
        },
    })
}

/// An alert of a rule, with `values` as what it counted.
fn of_rule<T>(
    rule: &Rule,
    values: &[Option<&str>],
    newest: &[&str],
    tell: impl FnOnce(&Alert<'_>) -> T,
) -> T {
    let key = Key { rule: rule.id, values: values.iter().map(|value| value.map(Into::into)).collect() };
    usual(|alert| {
        let caller = Caller::of(rule, &key);
        let incident = IncidentRef { caller: caller.arn.as_deref(), ..alert.incident };
        let mut alert = Alert { rule, key: &key, severity: rule.severity, incident, ..alert.clone() };
        alert.figures.total = newest.len() as u64;
        alert.figures.newest = newest.iter().map(|value| (*value).to_owned()).collect();
        tell(&alert)
    })
}

fn usual<T>(tell: impl FnOnce(&Alert<'_>) -> T) -> T {
    with([Some("111122223333"), Some(USER), Some(MODEL)], tell)
}

/// A usual alert that was recorded as of medium severity, since the account's setup is incomplete.
fn lowered<T>(tell: impl FnOnce(&Alert<'_>) -> T) -> T {
    usual(|alert| {
        let mut alert = Alert { severity: Severity::Medium, ..alert.clone() };
        let causes = ["setup", "Marketplace subscription", "use-case form"];
        alert.figures.evidence.extend(causes.map(|cause| evidence(Kind::Cause, cause)));
        tell(&alert)
    })
}

#[test]
fn every_channel_says_the_severity_of_the_alert_and_what_to_set_up() {
    let document = json(&lowered(|alert| alert.document()));
    assert_eq!((&document["event"]["severity"], &document["event"]["risk_score"]), (&47.into(), &47.into()));
    let steps = [&document["triage"][0], &document["triage"][1], &document["triage"][2]];
    assert!(
        steps.iter().take(2).all(|step| step.as_str().is_some_and(|step| step.starts_with("Set up: "))),
        "{steps:?}"
    );
    assert_eq!(steps[2], DENIED_MODEL.triage[0]);
    let finding = json(&lowered(|alert| alert.ocsf()));
    assert_eq!(
        (&finding["severity"], &finding["severity_id"], &finding["risk_score"]),
        (&"Medium".into(), &3.into(), &47.into())
    );
    let remediation = finding["remediation"]["desc"].as_str().expect("steps");
    assert!(remediation.starts_with("Set up: "), "{remediation}");
    let message = lowered(|alert| alert.message());
    assert!(message.subject.starts_with("[medium] "), "{}", message.subject);
    assert!(message.attributes.contains(&("severity", "medium".to_owned())), "{:?}", message.attributes);
    assert!(message.body.contains("Severity  medium, risk score 47"), "{}", message.body);
    assert!(message.body.contains("1. Set up: subscribe"), "{}", message.body);
    assert!(!message.body.contains("high"), "{}", message.body);
    assert!(lowered(|alert| alert.line()).contains(" severity=medium "));
    let block = lowered(|alert| alert.block(Layout { columns: 80, colour: false }));
    assert!(block.contains("MEDIUM"), "{block}");
}

#[test]
fn a_long_term_key_hears_nothing_of_what_to_set_up() {
    let document = lowered(|alert| {
        let mut alert = Alert { severity: Severity::High, ..alert.clone() };
        alert.figures.evidence.insert(evidence(Kind::AccessKeyId, "AKIAIOSFODNN7EXAMPLE"));
        json(&alert.document())
    });
    assert_eq!(document["triage"], Value::from(DENIED_MODEL.triage));
    assert_eq!(document["event"]["severity"], 73);
}

#[test]
fn an_alert_about_azure_names_no_command_of_aws() {
    // Whoever names an identity in Azure after one in AWS.
    let user = "arn:aws:iam::111122223333:user/eve";
    let told = |source| {
        with([Some("111122223333"), Some(user), Some("gpt-4o")], |alert| {
            let mut alert = alert.clone();
            alert.figures.sources = BTreeSet::from([source]);
            alert.figures.evidence.insert(evidence(Kind::SourceIp, "192.0.2.***"));
            let message = alert.message();
            (message.subject, message.body, json(&alert.document()), json(&alert.ocsf()))
        })
    };
    let (subject, body, document, finding) = told(Source::AzureOpenAi);
    assert!(subject.starts_with("[high] Azure OpenAI 111122223333: "), "{subject}");
    for command in [
        "aws iam",
        "aws cloudtrail",
        "aws dynamodb",
        "denial-watch mute",
        "--caller arn:",
        ".amazon.com",
        "Key kind",
        "Amazon Bedrock",
        "CloudTrail",
        "access key",
    ] {
        assert!(!body.contains(command), "{body}");
    }
    assert!(body.contains("One user keeps calling an Azure OpenAI model that it is denied."), "{body}");
    assert!(document["triage"].as_array().is_some_and(|steps| steps.len() == 3), "{document}");
    let cloud = serde_json::json!({
        "provider": "azure", "account": {"id": "111122223333"}, "region": ["us-east-1"], "service": {"name": "azure_openai"},
    });
    assert_eq!(document["cloud"], cloud);
    assert_eq!(document["event"]["dataset"], serde_json::json!(["azure_openai.logs"]));
    assert_eq!(document["investigate"], serde_json::json!({"replay": "replay s3://logs/a.json.gz"}));
    assert_eq!(
        (&finding["cloud"]["provider"], &finding["cloud"]["account"]["type"]),
        (&"Azure".into(), &"Azure Subscription".into())
    );
    assert_eq!(finding["evidences"][0]["src_endpoint"], serde_json::json!({"name": "192.0.2.***"}));
    assert_eq!(finding["resources"][0]["type"], "Azure OpenAI model");
    let (subject, body, document, _) = told(Source::CloudTrail);
    assert!(subject.starts_with("[high] Bedrock ") && body.contains("aws iam"), "{subject} {body}");
    assert!(body.contains("denial-watch mute") && body.contains("aws cloudtrail"), "{body}");
    assert_eq!(document["cloud"]["provider"], "aws");
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn the_document_has_every_field_of_the_contract() {
    let document = json(&usual(|alert| alert.document()));
    let fields: BTreeSet<&str> =
        document.as_object().expect("an object").keys().map(String::as_str).collect();
    let expected = BTreeSet::from([
        "@timestamp",
        "event",
        "rule",
        "user",
        "cloud",
        "gen_ai",
        "threat",
        "total_denials",
        "served",
        "threshold",
        "window_minutes",
        "first_seen",
        "last_seen",
        "request_ids",
        "objects",
        "triage",
        "investigate",
        "incident",
        "id",
    ]);
    assert_eq!(fields, expected);
    assert_eq!(document["@timestamp"], "2025-06-02T09:14:48Z");
    assert_eq!(document["event"]["kind"], "alert");
    assert_eq!(document["event"]["category"], json(r#"["api"]"#));
    assert_eq!(document["event"]["type"], json(r#"["denied"]"#));
    assert_eq!(document["event"]["outcome"], "failure");
    assert_eq!(document["event"]["severity"], 73);
    assert_eq!(document["event"]["risk_score"], 73);
    assert_eq!(document["event"]["start"], "2025-06-02T09:14:07Z");
    assert_eq!(document["event"]["end"], "2025-06-02T09:14:48Z");
    assert_eq!(document["rule"]["id"], "denied-model");
    assert_eq!(document["rule"]["uuid"], "17261da3-a6d0-463c-aac8-ea1718afcd20");
    assert_eq!(document["user"]["id"], USER);
    assert_eq!(document["cloud"]["account"]["id"], "111122223333");
    assert_eq!(document["cloud"]["region"], json(r#"["us-east-1"]"#));
    assert_eq!(document["gen_ai"]["request"]["model"]["id"], MODEL);
    assert_eq!(document["gen_ai"]["response"]["error_code"], "AccessDeniedException");
    assert_eq!(document["threat"]["technique"][0]["id"], "AML.T0015");
    assert_eq!(document["threat"]["technique"][1]["id"], "AML.T0034");
    assert_eq!(document["total_denials"], 4);
    assert_eq!(document["threshold"], 3);
    assert_eq!(document["window_minutes"], 60);
    assert_eq!(document["request_ids"], json(r#"["r1","r2","r3","r4"]"#));
    assert_eq!(document["objects"], json(r#"["s3://logs/a.json.gz"]"#));
    let role = "arn:aws:sts::111122223333:assumed-role/SupportChatbot";
    let incident = format!(r#"{{"id":"incident-1","caller":"{role}","number":1,"notice":"notice-1"}}"#);
    assert_eq!(document["incident"], json(&incident));
}

#[test]
fn a_missing_value_is_null_for_programs_and_unknown_for_people() {
    with([None, None, None], |alert| {
        let document = json(&alert.document());
        assert!(document["user"]["id"].is_null() && document["cloud"]["account"]["id"].is_null());
        assert!(document["gen_ai"]["request"]["model"]["id"].is_null());
        assert!(alert.story().email().contains("User      unknown"));
        assert!(alert.story().chat().contains("*User* `unknown`"));
        assert!(alert.message().attributes.iter().all(|(_, value)| !value.is_empty()));
    });
}

#[test]
fn the_email_reads_well() {
    let expected = "\
SupportChatbot (i-0a1b2c3d4e5f67890) was denied model claude-3-opus 4 times in 41 s, us-east-1.

Key kind  temporary credentials of a role
Interval  13 s on average

User      arn:aws:sts::111122223333:assumed-role/SupportChatbot/i-0a1b2c3d4e5f67890
Model     anthropic.claude-3-opus-20240229-v1:0
Account   111122223333
Region    us-east-1
Denials   4 (the rule fires above 3 within 60 minutes)
First     2025-06-02 09:14:07 UTC
Last      2025-06-02 09:14:48 UTC
Severity  high, risk score 73
Seen in   Bedrock invocation log

One user keeps calling an Amazon Bedrock model that it is denied.
Possible causes: a stolen credential probing for expensive models; someone
bypassing your model policy; or a policy blocking legitimate work.

Stop it now, unless the owner confirms these calls
  aws iam put-role-policy --role-name SupportChatbot --policy-name AWSRevokeOlderSessions \
--policy-document '{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\",\
\"Condition\":{\"DateLessThan\":{\"aws:TokenIssueTime\":\"2025-06-02T09:44:48Z\"}}}]}'
  # Ends all sessions of the role that began before 2025-06-02T09:44:48Z, legitimate ones too
  https://console.aws.amazon.com/iam/home#/roles/details/SupportChatbot?section=revoke_sessions

Look closer
  make investigate ALERT=d269d02a89f40fd9f7f70bb2f17e3df2
  replay s3://logs/a.json.gz
  aws cloudtrail lookup-events --region us-east-1 --lookup-attributes AttributeKey=Username,AttributeValue=i-0a1b2c3d4e5f67890 \
--start-time 2025-05-31T09:14:07Z --end-time 2025-06-02T09:44:48Z \
--query 'Events[].[EventTime,EventSource,EventName,Username]' --output table
  https://us-east-1.console.aws.amazon.com/cloudtrailv2/home?region=us-east-1#/events?Username=i-0a1b2c3d4e5f67890

Triage
  1. ";
    let email = usual(|alert| alert.story().email());
    assert!(email.starts_with(expected), "{email}");
    assert!(email.contains("Request ids, newest last\n  r1\n  r2\n  r3\n  r4\n"), "{email}");
}

#[test]
fn subject_and_sms_are_short_ascii() {
    usual(|alert| {
        assert_eq!(
            alert.story().subject(),
            "[high] Bedrock 111122223333: SupportChatbot (i-0a1b2c3d4e5f67890) denied claude-3-opus 4x"
        );
        assert_eq!(
            alert.story().sms(),
            "HIGH Bedrock 111122223333: SupportChatbot (i-0a1b2c3d4e5f67890) denied claude-3-opus 4x since 09:14 UTC. Alert d269d02a"
        );
    });
    let long = "ü\n".repeat(3000);
    with([Some(&long), Some(&long), Some(&long)], |alert| {
        for (text, limit) in [(alert.story().subject(), 99), (alert.story().sms(), 160)] {
            assert!(text.len() <= limit, "{} bytes: {text}", text.len());
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        }
    });
}

#[test]
fn nothing_in_an_id_acts_in_chat() {
    let evil = "<!channel> <@U1> <https://evil.example|click> `*b* @here &lt;\n\u{202e}";
    with([Some(evil), Some(evil), Some(evil)], |alert| {
        let chat = json(&alert.story().chat());
        let texts =
            [&chat["content"]["title"], &chat["content"]["description"], &chat["metadata"]["summary"]];
        for text in texts {
            let text = text.as_str().expect("text");
            for trap in ["<", "://", "@here", "\u{202e}", "&lt;\n"] {
                assert!(!text.contains(trap), "{trap:?} in {text}");
            }
        }
        let description = chat["content"]["description"].as_str().expect("text");
        assert_eq!(description.matches('`').count(), 16, "{description}");
        assert_eq!(description.lines().count(), 11, "{description}");
    });
}

#[test]
fn chat_has_the_schema_of_custom_notifications() {
    usual(|alert| {
        let chat = json(&alert.story().chat());
        assert_eq!((&chat["version"], &chat["source"]), (&json("\"1.0\""), &json("\"custom\"")));
        assert_eq!(chat["content"]["textType"], "client-markdown");
        assert!(chat["content"]["nextSteps"].as_array().is_some_and(|steps| !steps.is_empty()));
        assert!(chat["content"]["keywords"].is_array());
        let thread = chat["metadata"]["threadId"].as_str().expect("a thread").to_owned();
        // The same key later is the same thread; another key is another.
        let later = Alert { at: time("2025-06-03T00:00:00Z"), ..alert.clone() };
        assert_eq!(json(&later.story().chat())["metadata"]["threadId"], thread);
        assert_ne!(later.id(), alert.id());
        with([None, Some(USER), Some(MODEL)], |other| {
            assert_ne!(json(&other.story().chat())["metadata"]["threadId"], thread);
        });
    });
}

#[test]
fn the_message_has_a_text_for_every_subscriber_and_attributes_for_filters() {
    usual(|alert| {
        let message = alert.message();
        let body = json(&message.body);
        assert_eq!(body["default"], alert.document());
        assert_eq!(body["email"], alert.story().email());
        assert_eq!(body["email-json"], alert.story().email());
        assert_eq!(body.get("https"), None, "to programs, `https` is like any other protocol: the document");
        assert_eq!(body["sms"], alert.story().sms());
        let expected = [
            ("rule", "denied-model"),
            ("severity", "high"),
            ("account", "111122223333"),
            ("alert_id", &alert.id()),
        ];
        assert_eq!(message.attributes.each_ref().map(|(name, value)| (*name, value.as_str())), expected);
    });
}

#[test]
fn a_sweep_lists_the_models_and_says_how_many() {
    let values = [Some("111122223333"), Some(USER)];
    of_rule(built_in("model-sweep"), &values, &["a", MISSING, "us.a", "arn:x/a", "b"], |alert| {
        let document = json(&alert.document());
        assert_eq!(document["models"], json(r#"["a",null,"us.a","arn:x/a","b"]"#));
        assert_eq!(document["total_models"], 5);
        assert!(document.get("total_models_at_least").is_none());
        // No fewer denials than models.
        assert_eq!(
            (&document["total_denials"], &document["total_denials_at_least"]),
            (&json("5"), &json("true"))
        );
        assert!(document.get("request_ids").is_none() && document["rule"].get("uuid").is_none());
        assert!(document["gen_ai"]["request"]["model"]["id"].is_null());
        assert_eq!(document["user"]["id"], USER);
        assert_eq!(
            alert.story().subject(),
            "[high] Bedrock 111122223333: SupportChatbot (i-0a1b2c3d4e5f67890) denied 5 models"
        );
        let email = alert.story().email();
        assert!(email.contains("Models    5 (the rule fires above 3 within 60 minutes)\n"), "{email}");
        assert!(email.contains("Models, newest last\n  a\n  unknown\n  us.a\n  arn:x/a\n  b\n"), "{email}");
        assert!(!email.contains("Model     "), "{email}");
        let chat = json(&alert.story().chat());
        assert_eq!(
            chat["content"]["title"],
            ":rotating_light: `SupportChatbot (i-0a1b2c3d4e5f67890)` denied 5 Bedrock models (111122223333)"
        );
        let description = chat["content"]["description"].as_str().expect("text");
        assert!(description.contains("*Newest* `a`, `unknown`, `us.a`"), "{description}");
    });
}

#[test]
fn a_rotation_names_the_caller_and_lists_its_sessions() {
    let role = "arn:aws:sts::111122223333:assumed-role/SupportChatbot";
    let values = [Some("111122223333"), Some(role), Some(MODEL)];
    of_rule(built_in("session-rotation"), &values, &["s1", "s2", "s3", "s4"], |alert| {
        let document = json(&alert.document());
        assert_eq!((&document["total_sessions"], &document["sessions"][0]), (&json("4"), &json("\"s1\"")));
        assert_eq!(
            (document["user"]["id"].as_str(), document["event"]["severity"].as_u64()),
            (Some(role), Some(47))
        );
        assert_eq!(
            alert.story().subject(),
            "[medium] Bedrock 111122223333: SupportChatbot denied claude-3-opus in 4 sessions"
        );
        assert!(alert.story().email().contains(&format!("Caller    {role}\nModel     {MODEL}\n")));
        assert!(document["event"]["reason"].as_str().is_some_and(|reason| reason.starts_with(
            "arn:aws:sts::111122223333:assumed-role/SupportChatbot was denied model \
             anthropic.claude-3-opus-20240229-v1:0 in 4 different sessions in account 111122223333 from"
        )));
    });
}

#[test]
fn a_burst_of_invalid_requests_says_so() {
    of_rule(built_in("validation-burst"), &[None, Some(USER)], &["r1", "r2", "r3", "r4"], |alert| {
        let document = json(&alert.document());
        assert_eq!(document["gen_ai"]["response"]["error_code"], "ValidationException");
        assert_eq!((&document["total_denials"], &document["window_minutes"]), (&json("4"), &json("1")));
        assert_eq!(document["request_ids"], json(r#"["r1","r2","r3","r4"]"#));
        assert!(alert.story().email().contains("Requests  4 (the rule fires above 3 within 1 minute)\n"));
    });
}

#[test]
fn the_alerts_of_one_user_share_a_thread_whatever_the_rule() {
    let thread = |alert: &Alert<'_>| json(&alert.story().chat())["metadata"]["threadId"].clone();
    let account = Some("111122223333");
    let first = usual(thread);
    assert_eq!(of_rule(built_in("model-sweep"), &[account, Some(USER)], &[], thread), first);
    assert_eq!(of_rule(built_in("validation-burst"), &[account, Some(USER)], &[], thread), first);
    assert_eq!(with([account, Some(USER), None], thread), first);
    assert_ne!(of_rule(built_in("model-sweep"), &[None, Some(USER)], &[], thread), first);
    assert_ne!(of_rule(built_in("model-sweep"), &[account, None], &[], thread), first);
}

#[test]
fn evidence_stands_in_every_text() {
    usual(|alert| {
        let mut alert = alert.clone();
        alert.figures.sources.insert(Source::CloudTrail);
        alert.figures.evidence.extend([
            evidence(Kind::SourceIp, "192.0.2.7"),
            evidence(Kind::SourceIp, "bedrock.amazonaws.com"),
            evidence(Kind::UserAgent, "curl/8 <!channel>\n"),
            evidence(Kind::AccessKeyId, "AKIAIOSFODNN7EXAMPLE"),
            evidence(Kind::Refusal, "IAM identity policy"),
        ]);
        let document = json(&alert.document());
        assert_eq!(document["event"]["dataset"], json(r#"["aws_bedrock.invocation","aws.cloudtrail"]"#));
        assert_eq!(document["source"]["ip"], json(r#"["192.0.2.7"]"#));
        assert_eq!(document["source"]["address"], json(r#"["192.0.2.7","bedrock.amazonaws.com"]"#));
        assert_eq!(document["user_agent"]["original"], json(r#"["curl/8 <!channel>"]"#));
        assert_eq!(document["access_key_ids"], json(r#"["AKIAIOSFODNN7EXAMPLE"]"#));
        assert_eq!(document["denied_by"], json(r#"["IAM identity policy"]"#));
        let rows = "Key kind  long-term access key\n\
                    Interval  13 s on average\n\
                    Denied by IAM identity policy\n\
                    Client    curl/8 <!channel>\n\
                    Source IP 192.0.2.7, bedrock.amazonaws[.]com\n\
                    Key id    AKIAIOSFODNN7EXAMPLE\n";
        let email = alert.story().email();
        assert!(email.contains(rows), "{email}");
        assert!(email.contains("Seen in   Bedrock invocation log, CloudTrail\n"), "{email}");
        let chat = json(&alert.story().chat());
        let chat = chat["content"]["description"].as_str().expect("text");
        for line in [
            "*Seen in* Bedrock invocation log, CloudTrail\n",
            "*Source IP* `192.0.2.7`, `bedrock.amazonaws[.]com`\n",
            "*Client* `curl/8 &lt;!channel&gt;`\n",
            "*Key id* `AKIAIOSFODNN7EXAMPLE`\n",
            "*Denied by* `IAM identity policy`\n",
        ] {
            assert!(chat.contains(line), "{chat}");
        }
    });
}

#[test]
fn an_api_key_its_endpoint_and_a_caller_of_another_account_stand_in_every_text() {
    usual(|alert| {
        let mut alert = alert.clone();
        alert.figures.evidence.extend([
            evidence(Kind::ApiKey, "long-term"),
            evidence(Kind::CallerAccount, "999988887777"),
            evidence(Kind::VpcEndpoint, "vpce-1a2b3c4d"),
        ]);
        let document = json(&alert.document());
        assert_eq!(document["bearer_token"], true);
        assert_eq!(document["bearer_token_types"], json(r#"["long-term"]"#));
        assert_eq!(document["caller_account_ids"], json(r#"["999988887777"]"#));
        assert_eq!(document["vpc_endpoint_ids"], json(r#"["vpce-1a2b3c4d"]"#));
        let email = alert.story().email();
        let rows = "API key   long-term\nFrom acct 999988887777\nEndpoint  vpce-1a2b3c4d\n";
        assert!(email.contains(rows), "{email}");
        let chat = alert.story().chat();
        assert!(
            chat.contains("*API key* `long-term`") && chat.contains("*From acct* `999988887777`"),
            "{chat}"
        );
        alert.figures.evidence = BTreeSet::from([evidence(Kind::ApiKey, "type not logged")]);
        let document = json(&alert.document());
        assert_eq!((&document["bearer_token"], document.get("bearer_token_types")), (&json("true"), None));
        assert!(alert.story().email().contains("API key   type not logged\n"));
    });
}

#[test]
fn people_see_spellings_of_a_model_only_where_they_differ_from_what_is_shown() {
    let profile = format!("us.{MODEL}");
    usual(|alert| {
        let mut alert = alert.clone();
        alert.figures.evidence.insert(evidence(Kind::ModelCalled, MODEL));
        assert_eq!(json(&alert.document())["models_called"], serde_json::json!([MODEL]));
        for text in [alert.story().email(), alert.story().chat()] {
            assert!(!text.contains("Called as"), "{text}");
        }
        alert.figures.evidence.insert(evidence(Kind::ModelCalled, &profile));
        assert_eq!(json(&alert.document())["models_called"], serde_json::json!([MODEL, profile]));
        assert!(
            alert.story().email().contains(&format!("Called as {profile}\n")),
            "{}",
            alert.story().email()
        );
        assert!(
            alert.story().chat().contains(&format!("*Called as* `{profile}`\\n")),
            "{}",
            alert.story().chat()
        );
    });
    // A sweep lists the models; what it lists need not be repeated.
    of_rule(built_in("model-sweep"), &[None, Some(USER)], &["a.b", "c.d"], |alert| {
        let mut alert = alert.clone();
        for spelling in ["a.b", "eu.c.d"] {
            alert.figures.evidence.insert(evidence(Kind::ModelCalled, spelling));
        }
        assert!(alert.story().email().contains("Called as eu.c.d\n"), "{}", alert.story().email());
    });
}

#[test]
fn of_each_kind_of_evidence_ten_are_shown() {
    usual(|alert| {
        let mut alert = alert.clone();
        let many = (0..30).map(|number| evidence(Kind::SourceIp, &format!("192.0.2.{number}")));
        alert.figures.evidence.extend(many);
        let document = json(&alert.document());
        assert_eq!(document["source"]["ip"].as_array().map(Vec::len), Some(10));
    });
}

#[test]
fn an_id_that_looks_like_a_place_in_a_phrase_is_not_filled() {
    with([None, Some("{model}"), Some("{count} {user}")], |alert| {
        assert_eq!(alert.story().subject(), "[high] Bedrock unknown: {model} denied {count} {user} 4x");
    });
}

#[test]
fn the_worst_ids_stay_under_the_limit_of_a_message() {
    for unit in ["\"", "\\", "\u{1f525}", "<", "\u{7f}", "&"] {
        let long = unit.repeat(20_000);
        with([Some(&long), Some(&long), Some(&long)], |alert| {
            let mut alert = alert.clone();
            alert.object = &long;
            alert.figures.newest = vec![long.clone(); 10];
            let value = unit.repeat(MAX_EVIDENCE_BYTES / unit.len());
            for kind in Kind::ALL {
                // No caller writes a cause.
                let value = if kind == Kind::Cause { "model access never requested" } else { &value };
                let values = (0..30).map(|number| evidence(kind, &format!("{value}{number}")));
                alert.figures.evidence.extend(values);
            }
            let size = alert.message().body.len();
            assert!(size < MAX_MESSAGE_BYTES, "{unit:?}: {size} bytes");
            // EventBridge takes entries of 256 KB; the rest of one takes less than a kilobyte.
            let size = alert.ocsf().len();
            assert!(size < 250_000, "{unit:?}: {size} bytes as OCSF");
        });
    }
}

#[test]
fn a_lower_bound_says_so_everywhere() {
    usual(|alert| {
        let mut alert = alert.clone();
        alert.figures.is_lower_bound = true;
        assert_eq!(json(&alert.document())["total_denials_at_least"], true);
        for text in
            [alert.story().email(), alert.story().chat(), alert.story().sms(), alert.story().subject()]
        {
            assert!(text.contains("at least 4"), "{text}");
        }
    });
}

#[test]
fn an_id_depends_on_key_and_time_alone() {
    let key = |model: &str| Key { rule: "denied-model", values: vec![None, None, Some(model.into())] };
    let at = time("2025-06-02T09:14:48Z");
    assert_eq!(id(&key("a"), at), id(&key("a"), at));
    assert_ne!(id(&key("a"), at), id(&key("b"), at));
    assert_ne!(id(&key("a"), at), id(&key("a"), at.plus(std::time::Duration::from_millis(1))));
    // Must never change: consumers deduplicate by it, across versions too.
    assert_eq!(id(&key("a"), at), "efc589c6bd7891e6ed4dab2e530da33f");
}

/// An alert with `text` in every place that a caller controls.
pub fn of_a_caller<T>(text: &str, tell: impl FnOnce(&Alert<'_>) -> T) -> T {
    with([Some(text), Some(text), Some(text)], |alert| {
        let mut alert = alert.clone();
        alert.figures.newest = vec![text.to_owned()];
        alert.figures.evidence.extend(Kind::ALL.map(|kind| evidence(kind, text)));
        let object = format!("s3://logs/{text}");
        alert.object = &object;
        tell(&alert)
    })
}

#[test]
fn every_kind_of_evidence_reaches_every_channel() {
    let value = |kind: Kind| format!("v-{}", kind.names().stored.replace('_', "-"));
    usual(|alert| {
        let mut alert = alert.clone();
        alert.figures.evidence = Kind::ALL.map(|kind| evidence(kind, &value(kind))).into();
        let texts = [
            alert.story().email(),
            alert.story().chat(),
            alert.block(Layout { columns: 80, colour: false }),
            alert.document(),
            alert.ocsf(),
        ];
        for text in texts {
            let missing: Vec<Kind> =
                Kind::ALL.into_iter().filter(|kind| !text.contains(&value(*kind))).collect();
            assert_eq!(missing, [], "{text}");
        }
    });
}

#[test]
fn what_the_caller_was_served_is_the_second_line() {
    let at = time("2025-06-02T10:00:00Z");
    let models =
        ["anthropic.claude-3-haiku-20240307-v1:0", "amazon.nova-pro-v1:0"].map(str::to_owned).to_vec();
    let calls = Calls { calls: 1_012, at_least: false, models, tokens: 1_042_000, first: at, last: at };
    let at_least = Calls { at_least: true, models: Vec::new(), tokens: 0, ..calls.clone() };
    let since = "Successful calls seen since the first denial: ";
    for (served, line, known) in [
        (Served::Calls(calls), "1,012 (claude-3-haiku, nova-pro; 1,042,000 tokens)", json("1012")),
        (Served::Calls(at_least), "at least 1,012", json("1012")),
        (Served::None, "none seen so far", json("0")),
        (
            Served::NoLog,
            "not known: the invocation log does not come here, or has not come yet",
            json("null"),
        ),
        (Served::Unknown, "not known", json("null")),
    ] {
        usual(|alert| {
            let alert = Alert { served: Some(served.clone()), ..alert.clone() };
            let email = alert.story().email();
            assert_eq!(email.lines().nth(1), Some(format!("{since}{line}").as_str()), "{email}");
            let chat = json(&alert.story().chat());
            let description = chat["content"]["description"].as_str().expect("text");
            let second = description.lines().nth(1).expect("a line");
            let shown = second.replace('`', "").replace("anthropic.", "").replace("-20240307-v1:0", "");
            assert_eq!(shown.replace("amazon.", "").replace("-v1:0", ""), format!("{since}{line}"));
            assert!(
                alert.block(Layout { columns: 100, colour: false }).contains(&format!("Served    {line}"))
            );
            let sms = alert.story().sms();
            let brief = match &served {
                Served::Calls(Calls { at_least: true, .. }) => "at least 1,012 calls",
                Served::Calls(_) => "1,012 calls",
                Served::None => "none seen",
                Served::NoLog | Served::Unknown => "not known",
            };
            assert!(sms.contains(&format!(" since 09:14 UTC. Served since: {brief}. Alert ")), "{sms}");
            assert!(sms.len() <= 160, "{sms}");
            assert_eq!(json(&alert.document())["served"]["calls"], known);
            assert_eq!(json(&alert.ocsf())["unmapped"]["served"]["calls"], known);
        });
    }
    usual(|alert| {
        let (email, sms) = (alert.story().email(), alert.story().sms());
        assert!(!email.contains(since) && !sms.contains("Served"), "nothing was denied");
    });
}
