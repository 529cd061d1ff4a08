use super::*;
use crate::call::members::{Member, Members};

const POLICIES: [Policy; 6] = [
    Policy::Topic,
    Policy::Content,
    Policy::Word,
    Policy::SensitiveInformation,
    Policy::ContextualGrounding,
    Policy::AutomatedReasoning,
];

/// What a finding is, in words.
fn line(finding: &GuardrailFinding<'_>) -> String {
    let or_none = |text: &Text<'_>| text.as_deref().unwrap_or("-").to_owned();
    format!(
        "{} {} {} {}",
        finding.policy.name(),
        or_none(&finding.action),
        or_none(&finding.kind),
        or_none(&finding.confidence)
    )
}

fn facts(record: &str) -> Facts<'_> {
    let record = Members::read(record).expect(record);
    Facts::read(record.json(Member::Input), record.json(Member::Output))
}

/// `body` is what the model answered: `output.outputBodyJson`.
#[track_caller]
fn check(body: &str, intervened: bool, guarded: bool, findings: &[&str]) {
    let record = format!(r#"{{"timestamp":"x","output":{{"outputTokenCount":1,"outputBodyJson":{body}}}}}"#);
    let facts = facts(&record);
    assert_eq!((facts.intervened, facts.guarded), (intervened, guarded), "{body}");
    assert_eq!(facts.findings.iter().map(line).collect::<Vec<_>>(), findings, "{body}");
}

#[test]
fn every_sign_of_an_intervention_counts_in_every_shape() {
    for body in [
        r#"{"stopReason":"guardrail_intervened"}"#,
        r#"{"stop_reason":"guardrail_intervened"}"#,
        r#"{"amazon-bedrock-guardrailAction":"INTERVENED","content":[]}"#,
        r#"[{"type":"message_start"},{"amazon-bedrock-guardrailAction":"INTERVENED"}]"#,
        r#"[{"type":"message_delta","delta":{"stop_reason":"guardrail_intervened"}}]"#,
        r#"[{"messageStop":{"stopReason":"guardrail_intervened"}},{"metadata":{}}]"#,
    ] {
        check(body, true, true, &[]);
    }
}

#[test]
fn words_of_the_model_or_of_the_caller_are_no_sign() {
    for body in [
        r#"{"stopReason":"end_turn","output":{"message":{"content":[{"text":"guardrail_intervened"}]}}}"#,
        r#"{"output":{"stopReason":"guardrail_intervened","trace":{"guardrail":{"inputAssessment":{}}}}}"#,
        r#"{"content":[{"amazon-bedrock-guardrailAction":"INTERVENED"}]}"#,
        r#"{"usage":{"stopReason":"guardrail_intervened"}}"#,
        r#""guardrail_intervened""#,
        "null",
        "[]",
    ] {
        check(body, false, false, &[]);
    }
}

#[test]
fn a_guardrail_that_let_a_call_pass_is_a_guardrail() {
    check(r#"{"amazon-bedrock-guardrailAction":"NONE"}"#, false, true, &[]);
    check(
        r#"{"stopReason":"end_turn","trace":{"guardrail":{"inputAssessment":{"g":{}}}}}"#,
        false,
        true,
        &[],
    );
    check(
        r#"{"trace":{"guardrail":{"inputAssessment":{"g":{"contentPolicy":{"filters":[{"type":"HATE","confidence":"LOW","action":"NONE"}]}}}}}}"#,
        false,
        true,
        &["content_policy NONE HATE LOW"],
    );
}

const TOPIC: &str = r#"{"topicPolicy":{"topics":[{"name":"n","type":"DENY","action":"BLOCKED"}]}}"#;

#[test]
fn assessments_are_found_as_maps_and_as_lists() {
    for trace in [
        r#""trace":{"guardrail":{"inputAssessment":{"g":@}}}"#,
        r#""trace":{"guardrail":{"outputAssessments":{"g":@}}}"#,
        r#""trace":{"guardrail":{"outputAssessments":{"g":[{},@]}}}"#,
        r#""trace":{"guardrail":{"outputAssessments":[{"f":{}},{"g":@}]}}"#,
        r#""trace":{"guardrail":{"outputAssessments":[{"g":[@]}]}}"#,
        r#""amazon-bedrock-trace":{"guardrail":{"input":{"g":@}}}"#,
        r#""amazon-bedrock-trace":{"guardrail":{"outputs":[{"g":@}]}}"#,
        r#""metadata":{"trace":{"guardrail":{"inputAssessment":{"g":@}}}}"#,
    ] {
        let trace = trace.replace('@', TOPIC);
        for body in [format!("{{{trace}}}"), format!("[{{}},{{{trace}}},7]")] {
            check(&body, false, true, &["topic_policy BLOCKED DENY -"]);
        }
    }
}

#[test]
fn each_policy_is_read_with_what_each_of_its_findings_says() {
    let body = r#"{"trace":{"guardrail":{"inputAssessment":{"g":{
        "contentPolicy":{"filters":[{"type":"HATE","confidence":"LOW","action":"BLOCKED"},{"type":"SEXUAL","confidence":"HIGH","action":"NONE"}]},
        "wordPolicy":{"customWords":[{"match":"w","action":"BLOCKED"}],"managedWordLists":[{"match":"w","type":"PROFANITY","action":"BLOCKED"}]},
        "sensitiveInformationPolicy":{"piiEntities":[{"match":"m","type":"EMAIL","action":"ANONYMIZED"}],"regexes":[{"name":"r","match":"m","regex":"x","action":"BLOCKED"}]},
        "contextualGroundingPolicy":{"filters":[{"type":"GROUNDING","threshold":0.7,"score":0.1,"action":"BLOCKED"}]},
        "automatedReasoningPolicy":{"findings":[{"invalid":{}}]},
        "appliedGuardrailDetails":{"guardrailId":"g"},
        "invocationMetrics":{"guardrailCoverage":{"textCharacters":{"guarded":1}}}}}}}}"#;
    check(
        body,
        false,
        true,
        &[
            "content_policy BLOCKED HATE LOW",
            "content_policy NONE SEXUAL HIGH",
            "word_policy BLOCKED - -",
            "word_policy BLOCKED PROFANITY -",
            "sensitive_information_policy ANONYMIZED EMAIL -",
            "sensitive_information_policy BLOCKED - -",
            "contextual_grounding_policy BLOCKED GROUNDING -",
            "automated_reasoning_policy - - -",
        ],
    );
}

#[test]
fn a_value_of_another_type_hides_no_other() {
    for odd in ["1", "true", "null", "[]", "[[]]", "{}", r#""x""#, r#"[{"topicPolicy":7}]"#] {
        let body = format!(
            r#"{{"stopReason":{odd},"metadata":{odd},"delta":{odd},"amazon-bedrock-trace":{odd},"trace":{{"guardrail":{{"inputAssessment":{{"f":{odd},"g":{TOPIC}}},"outputAssessments":{{"f":{{"wordPolicy":{odd},"contentPolicy":{{"filters":{odd}}}}}}}}}}}}}"#
        );
        let record = format!(r#"{{"output":{{"outputBodyJson":{body}}}}}"#);
        assert_eq!(line(&facts(&record).findings[0]), "topic_policy BLOCKED DENY -", "{body}");
    }
}

#[test]
fn guardrails_and_findings_are_kept_once_and_no_more_than_the_limit() {
    let many: Vec<String> = (0..300)
        .map(|number| {
            format!(
                r#""g{number}":{{"topicPolicy":{{"topics":[{{"type":"T{number}","action":"BLOCKED"}},{{"type":"T0","action":"BLOCKED"}}]}}}}"#
            )
        })
        .collect();
    let record = format!(
        r#"{{"output":{{"outputBodyJson":{{"trace":{{"guardrail":{{"inputAssessment":{{{}}}}}}}}}}}}}"#,
        many.join(",")
    );
    let facts = facts(&record);
    assert_eq!((facts.guardrails.len(), facts.findings.len()), (MAX_KEPT, MAX_KEPT));
    assert_eq!(facts.guardrails[..2], ["g0", "g1"]);
}

#[test]
fn tokens_and_bodies_are_read_where_they_stand() {
    for (record, tokens, has_body) in [
        (
            r#"{"input":{"inputTokenCount":7},"output":{"outputTokenCount":5,"outputBodyJson":{"a":1}}}"#,
            12,
            true,
        ),
        (
            r#"{"input":{"inputTokenCount":6,"cacheReadInputTokenCount":90000,"cacheWriteInputTokenCount":4000},"output":{"outputTokenCount":600}}"#,
            94_606,
            false,
        ),
        (r#"{"input":{"inputTokenCount":7},"output":{"outputBodyS3Path":"s3://b/k"}}"#, 7, false),
        (
            r#"{"input":{"inputTokenCount":"7"},"output":{"outputTokenCount":-5,"outputBodyJson":{}}}"#,
            0,
            false,
        ),
        (r#"{"input":{"inputTokenCount":1e9},"output":{"outputBodyJson":[]}}"#, 0, false),
        (
            r#"{"input":{"inputTokenCount":18446744073709551615},"output":{"outputTokenCount":9,"outputBodyJson":[1]}}"#,
            u64::MAX,
            true,
        ),
        (r#"{"inputTokenCount":7,"outputBodyJson":{"a":1}}"#, 0, false),
        (r#"{"input":[],"output":null}"#, 0, false),
    ] {
        let facts = facts(record);
        assert_eq!((facts.tokens(), facts.has_body), (tokens, has_body), "{record}");
    }
}

#[test]
fn policies_that_blocked_are_counted_once_each_and_only_when_they_blocked() {
    let finding = |policy, action: &'static str| GuardrailFinding {
        policy,
        action: Some(action.into()),
        ..GuardrailFinding::default()
    };
    let blocked =
        |findings: Vec<GuardrailFinding<'static>>| Facts { findings, ..Facts::default() }.policies_blocked();
    assert_eq!(blocked(POLICIES.map(|policy| finding(policy, "BLOCKED")).to_vec()), 6);
    assert_eq!(blocked(vec![finding(Policy::Word, "BLOCKED"), finding(Policy::Word, "BLOCKED")]), 1);
    assert_eq!(blocked(vec![finding(Policy::Word, "BLOCKED"), finding(Policy::Topic, "ANONYMIZED")]), 1);
    assert_eq!(blocked(vec![finding(Policy::Word, "NONE")]), 0);
}
