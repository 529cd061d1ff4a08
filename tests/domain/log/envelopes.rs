//! Records inside what CloudWatch Logs, EventBridge and the AWS CLI wrap around them.

use serde_json::{Value, json};

use super::{Limits, blocks, check, expand, read, shown};

/// A subscription's document, as Firehose writes it.
fn subscription(messages: &[String]) -> String {
    let events: Vec<Value> = messages.iter().map(|message| json!({"id": "1", "message": message})).collect();
    json!({"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logEvents": events}).to_string()
}

/// What `aws cloudtrail lookup-events` prints.
fn looked_up(records: &[String]) -> String {
    let events: Vec<Value> =
        records.iter().map(|record| json!({"EventId": "1", "CloudTrailEvent": record})).collect();
    json!({ "Events": events }).to_string()
}

/// An event of EventBridge.
fn event(record: &str) -> String {
    format!(
        r#"{{"version":"0","detail-type":"AWS API Call via CloudTrail","source":"aws.bedrock","detail":{record}}}"#
    )
}

#[test]
fn records_are_read_in_every_envelope() {
    let (a, b, honest, trail) = (expand("$a"), expand("$b"), expand("%x"), expand("&t"));
    let document = subscription(&[a.clone(), honest.clone(), b.clone()]);
    check(&document, "a b");
    check(&format!("{document}{}\n", subscription(std::slice::from_ref(&trail))), "a b t");
    check(&looked_up(&[trail.clone(), honest.clone()]), "t");
    let pretty: Value = serde_json::from_str(&looked_up(&[trail.clone(), trail.clone()])).expect("JSON");
    check(&serde_json::to_string_pretty(&pretty).expect("JSON"), "t");
    check(&format!("{}\n{}\n", event(&trail), event(&expand("~s"))), "t");
    check(&format!("[{},{}]", event(&trail), looked_up(&[expand("&u")])), "t u");
    let time = "2025-06-04T16:00:00.000Z ";
    check(&format!("{time}{a}\n{time}{honest}\n{time}{b}\n"), "a b");
    check(&format!("{time}{honest}\n{time}{trail}"), "t");
}

#[test]
fn a_line_that_only_begins_like_an_exported_one_is_none() {
    let fault = |at: usize| format!("a !{at}");
    let odd = "2025-06-04T16:00:00Z AccessDeniedException";
    check(&format!("{odd}\n$a"), &fault(0));
    check("$a\n2025-06-04T16:00:00.000Z AccessDeniedException\n", &fault(expand("$a").len() + 1));
    check("2025-06-04T16:00:00.000Z\n$a", "a");
}

/// A prompt that quotes `text`, in every place where a caller's text can stand.
fn prompts(text: &str) -> [String; 4] {
    let quoted: Value = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    let record = |input: &Value| json!({"timestamp": "2025-06-01T10:00:00Z", "requestId": "p", "modelId": "m", "input": {"inputBodyJson": input}});
    let trail = json!({"eventVersion": "1", "eventSource": "bedrock.amazonaws.com", "eventName": "InvokeModel",
        "eventTime": "2025-06-01T10:00:00Z", "requestParameters": quoted, "requestID": "p"});
    [
        record(&json!({"prompt": text})).to_string(),
        record(&quoted).to_string(),
        record(&json!({"messages": [{"logEvents": quoted, "messageType": "DATA_MESSAGE"}]})).to_string(),
        trail.to_string(),
    ]
}

#[test]
fn no_envelope_makes_a_denial_of_a_prompt() {
    let (denial, trail) = (expand("$a"), expand("&a"));
    let hostile = [
        denial.clone(),
        trail.clone(),
        subscription(&[denial.clone(), trail.clone()]),
        subscription(&[subscription(std::slice::from_ref(&denial))]),
        looked_up(std::slice::from_ref(&trail)),
        event(&trail),
        format!("{{\"Records\":[{trail}]}}"),
        format!("\n2025-06-04T16:00:00.000Z {denial}\n"),
    ];
    for text in &hostile {
        for prompt in prompts(text) {
            for wrapped in [
                prompt.clone(),
                subscription(std::slice::from_ref(&prompt)),
                looked_up(std::slice::from_ref(&prompt)),
                event(&prompt),
                format!("2025-06-04T16:00:00.000Z {prompt}\n"),
                format!("{{\"Records\":[{prompt}]}}"),
            ] {
                for block in [1, 7, 64, 1000, 256 << 10] {
                    let read = read(wrapped.as_bytes(), wrapped.len(), blocks(block));
                    assert_eq!(read.statistics.unrecognised, 0, "{wrapped}");
                    assert_eq!(shown(read), "", "blocks of {block}: {wrapped}");
                }
            }
        }
    }
}

#[test]
fn what_names_an_error_code_and_is_no_record_is_never_taken_for_a_clean_log() {
    let unrecognised = |text: &str| {
        let text = expand(text);
        read(text.as_bytes(), text.len(), Limits::default()).statistics.unrecognised
    };
    for odd in [
        r#"{"alerts":[{"code":"AccessDeniedException"}]}"#,
        r#"{"code":"AccessDeniedException"}{"x":1}"#,
        r#"{"messageType":"DATA_MESSAGE","logEvents":[{"message":"ERROR AccessDeniedException"}]}"#,
        r#"{"_source":$a}"#,
    ] {
        assert_eq!(unrecognised(odd), 1, "{odd}");
    }
    for known in [
        "",
        "{}",
        "$a",
        "%x",
        "&a",
        "~a",
        "{\"Records\":[~a]}",
        "{\"x\":1}",
        "$a\n{\"code\":\"AccessDeniedException\"}",
    ] {
        assert_eq!(unrecognised(known), 0, "{known}");
    }
}
