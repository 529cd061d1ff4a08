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

/// A prompt that quotes `text`, in every place that a caller controls.
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

/// Like `check`, for a text whose members come in the order in which AWS writes them.
#[track_caller]
fn check_limited(text: &str, limits: Limits, expected: &str) {
    let text = expand(text);
    for chunk in [1, 1000, text.len()] {
        for block_bytes in [7, 100, 4096, limits.block_bytes] {
            let read = read(text.as_bytes(), chunk, Limits { block_bytes, ..limits });
            assert_eq!((read.statistics.oversized, shown(read).as_str()), (0, expected), "{block_bytes}");
        }
    }
}

#[test]
fn an_envelope_may_be_longer_than_any_record() {
    let limits = Limits { record_bytes: 2000, ..Limits::default() };
    let honest = vec![expand("%x"); 100];
    let log = |end: &str| [&honest[..], &[expand(end)]].concat();
    for (envelope, end) in [(subscription(&log("$a")), "$a"), (looked_up(&log("&a")), "&a")] {
        assert!(envelope.len() > 4 * limits.record_bytes, "{end}");
        check_limited(&envelope, limits, "a");
        check_limited(&format!("{envelope}{envelope}\n$b"), limits, "a b");
        // After a log with one record per line.
        check_limited(&format!("$c\n%x\n%y\n{envelope}\n$b\n"), limits, "a b c");
        // A truncated envelope keeps what came before the cut.
        check_limited(&format!("{envelope}{}", &envelope[..envelope.len() - 150]), limits, "a");
    }
    for text in [
        subscription(&[expand("$a"), expand("$b"), "{\"modelId\":\"m\"}".to_owned()]),
        looked_up(&[expand("&a"), expand("&b"), "{\"modelId\":\"m\"}".to_owned()]),
    ] {
        let behind_second = text.rfind(",{").expect("three elements");
        for cut in behind_second..text.len() {
            check_limited(&text[..cut], limits, "a b");
        }
    }
}

#[test]
fn members_may_stand_around_an_envelope_s_array() {
    let element = json!({"id": "1", "message": expand("$a"), "timestamp": 1}).to_string();
    let event = json!({"EventId": "1", "CloudTrailEvent": expand("&a"), "Resources": [{}]}).to_string();
    for text in [
        format!(
            r#"{{"messageType":"DATA_MESSAGE","x":[1,"y",null],"logEvents":[{element}],"z":{{"logEvents":[{element}]}}}}"#
        ),
        format!(
            r#"{{ "owner" : "]}}" , "messageType" : "m" , "logEvents" : [ {element} , {{}} , {element} ] , "z" : "]}}" }}"#
        ),
        format!(r#"{{"logEvents":[{element}],"messageType":"m"}}"#),
        format!(r#"{{"messageType":"m","x":{{"y":[]}},"logEvents":[{{"message":7}},{element}]}}"#),
        format!(r#"{{"Events":[{event}],"NextToken":"x"}}"#),
        format!(r#"{{"NextToken":"x","Events":[{event}]}}"#),
        format!(r#"{{"ResponseMetadata":{{"x":[{{}}]}},"Events":[{event}]}}"#),
        event.clone(),
    ] {
        check(&text, "a");
        check(&format!("{text}{text}$b"), "a b");
        check(&format!("{text}\n{text}\n$b\n"), "a b");
        check(&format!("%x\n{text}\n%x\n$b\n"), "a b");
        check(&format!("[{text},$b]"), "a b");
    }
}

#[test]
fn what_follows_a_fault_in_an_envelope_is_read() {
    let time = "2025-06-04T16:00:00.000Z ";
    for fault in ["x", "{\"x\":\"", "{\"x\":", "}", "[", ""] {
        check(&format!("{time}{fault}\n{time}$a\n{time}{fault}\r\n{time}%x\n{fault}\n{time}$b"), "a b");
    }
    // A log group holds whatever its writers send, on any number of lines.
    check(&format!("{time}hello\n  at x\n{time}$a\n{time}2025-06-04T16:00:00Z hello\n{time}&b\n"), "a b");
    let document = subscription(&[expand("$a")]);
    let cut = &document[..document.find("\\\"}\"").expect("an end")];
    check(
        &format!("{cut}\n{document}\n$b\n"),
        &format!("a b !{}", document.find("{\"id\"").expect("an element")),
    );
    let pretty = |text: &str| {
        let mut value: Value = serde_json::from_str(text).expect("JSON");
        value.sort_all_objects();
        serde_json::to_string_pretty(&value).expect("JSON")
    };
    let events = pretty(&looked_up(&[expand("~x"), expand("&a"), expand("&b")]));
    let faulty = events.replacen("\"CloudTrailEvent\"", "\"CloudTrailEvent", 1);
    check(&faulty, &format!("a b !{}", faulty.find("      \"").expect("an element's line")));
    let events = pretty(&subscription(&[expand("%x"), expand("$a"), expand("$b")]));
    let faulty = events.replacen("\"message\"", "\"message", 1);
    check(
        &format!("{faulty}\n$c"),
        &format!("a b c !{}", faulty.find("      \"message:").expect("the faulty line")),
    );
}

#[test]
fn what_an_unclosed_envelope_hides_is_read_or_reported() {
    let document = subscription(&[expand("$a")]);
    let array_end = document.rfind(']').expect("an array") + 1;
    let cut = &document[..array_end];
    check(&format!("{cut},\"x\":[\n$b\n]"), "a b");
    check(&format!("{cut},\"x\":[\n$b"), "a b");
    check(&format!("{cut},\"x\":$b"), &format!("a !{array_end}"));
    check(&format!("{cut},\"x\":$b}}\n$c"), "a c");
    check(&format!("{cut}\n$b"), "a b");
}

#[test]
fn a_log_group_may_be_the_target_of_eventbridge() {
    let event = event(&expand("&a"));
    check(&subscription(std::slice::from_ref(&event)), "a");
    check(&format!("2025-06-04T16:00:00.000Z {event}\n"), "a");
    // The content of an event is not an envelope, and the content of a message is not a wrapper.
    for inner in [
        subscription(&[expand("$a")]),
        looked_up(&[expand("&a")]),
        format!("{{\"Records\":[{}]}}", expand("&a")),
    ] {
        check(&self::event(&inner), "");
        check(&subscription(std::slice::from_ref(&inner)), "");
        check(&looked_up(std::slice::from_ref(&inner)), "");
    }
}

#[test]
fn an_event_that_anybody_can_send_is_no_record_of_aws() {
    let forged = event(&expand("&a")).replace("aws.bedrock", "my.app");
    for text in [&forged, &subscription(std::slice::from_ref(&forged))] {
        check(text, "");
    }
}

#[test]
fn elements_are_counted_as_records() {
    let three = [expand("$a"), expand("%x"), "x".to_owned()];
    for (text, records) in [(subscription(&three), 3), (looked_up(&three), 3), (event("{}"), 1)] {
        for chunk in [1, text.len()] {
            let read = read(text.repeat(2).as_bytes(), chunk, Limits::default());
            assert_eq!(read.statistics.records, 2 * records, "{text}");
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
        "AccessDeniedException",
        "2025-06-04T16:00:00.000Z AccessDeniedException",
        r#"{"timestamp":1,"message":"AccessDeniedException"}"#,
        r#"{"timestamp":"2025-06-01T10:00:00Z","requestId":"q","level":"ERROR","message":"AccessDeniedException"}"#,
        r#"{"messageType":"m","logEvents":[{"message":"{\"_source\":\"AccessDeniedException\"}"}]}"#,
        r#"{"messageType":"m","logEvents":[{"x":"AccessDeniedException"}]}"#,
        r#"{"messageType":"m","owner":"AccessDeniedException","logEvents":[{"message":"x"}]}"#,
        r#"{"messageType":"m","logEvents":[{"message":"x"}],"owner":"AccessDeniedException"}"#,
        r#"{"messageType":"m","logEvents":[{"message":"x"}],"owner":"AccessDeniedException"#,
        r#"{"Events":[{"EventId":"AccessDeniedException"}]}"#,
        r#"{"source":"my.app","detail-type":"AWS API Call via CloudTrail","detail":&a}"#,
        r#"{"source":"aws.x","detail-type":"x","detail":{"x":"AccessDeniedException"}}"#,
        r#"{"Records":[{"body":"{\"errorCode\":\"AccessDenied\"}"}]}"#,
        r#"{"Records":[{"eventSource":"aws:sqs","body":"{\"errorCode\":\"AccessDenied\"}"}]}"#,
        r#"{"Records":[{"body":"{\"Message\":\"{\\\"errorCode\\\":\\\"AccessDenied\\\"}\"}"}]}"#,
    ] {
        assert_eq!(unrecognised(odd), 1, "{odd}");
    }
    // Good records beside it change nothing.
    for beside in [
        "$a\n{\"code\":\"AccessDeniedException\"}",
        "{\"code\":\"AccessDenied\"}\n$a",
        "%x\n%y\n{\"ts\":1,\"event\":$a}\n%z\n",
        "[{\"text\":\"AccessDeniedException\"},\"[DONE]\"]\n{\"requestId\":\"q\",\"input\":{}}\n",
        "{\"requestId\":\"q\",\"input\":{}}\n[{\"text\":\"AccessDeniedException\"},\"[DONE]\"]\n",
        "{\"Records\":[~a,{\"x\":\"AccessDenied\"},&b]}",
        "time,code\n10:00,AccessDenied\n",
        "{\"code\":\"Client.AccessDenied\"}\n%x",
        r#"{"messageType":"m","logEvents":[{"message":"AccessDeniedException"},{"message":"{\"modelId\":1}"}]}"#,
        r#"{"messageType":"m","owner":"AccessDeniedException","logEvents":[{"message":"{\"modelId\":1}"}]}"#,
        // Envelopes that are read in one piece.
        r#"{"messageType":"m","x":{},"logEvents":[{"message":"AccessDenied"},{"message":"{\"modelId\":1}"}]}"#,
        r#"{"messageType":"m","x":{"y":"AccessDenied"},"logEvents":[{"message":"{\"modelId\":1}"}]}"#,
        r#"{"x":{},"Events":[{"CloudTrailEvent":"{\"eventSource\":\"AccessDenied\"}"},{"CloudTrailEvent":"AccessDenied"}]}"#,
        r#"{"source":"aws.x","detail-type":"x","detail":{"modelId":"AccessDenied"},"y":"AccessDenied"}"#,
    ] {
        assert_eq!(unrecognised(beside), 1, "{beside}");
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
        "{\"x\":1}\n$a",
        r#"{"messageType":"m","x":{},"logEvents":[{"message":"{\"modelId\":\"AccessDenied\"}"},{"message":"hello"}]}"#,
        r#"{"x":{},"Events":[{"CloudTrailEvent":"{\"eventSource\":\"AccessDenied\"}"}]}"#,
        r#"{"source":"aws.x","detail-type":"x","detail":{"modelId":"AccessDenied"}}"#,
        r#"{"logEvents":[{"message":"{\"detail-type\":\"x\",\"detail\":{\"modelId\":\"AccessDenied\"}}"}]}"#,
    ] {
        assert_eq!(unrecognised(known), 0, "{known}");
    }
}
