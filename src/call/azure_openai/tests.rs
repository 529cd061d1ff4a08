use super::*;

const ID: &str = "/SUBSCRIPTIONS/12AB/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.COGNITIVESERVICES/ACCOUNTS/CHAT-1";

/// `account resource user model deployment region request address code time`, with `-` for a missing value; or what
/// else the record is. `+` marks a call that succeeded, `0` an empty answer.
fn shown(json: &str) -> String {
    let members = Members::read(json).expect("JSON");
    let call = match read(&members) {
        None => return "no record".to_owned(),
        Some(Reading::Other) => return "other".to_owned(),
        Some(Reading::NoTimestamp { is_denied }) => return format!("no time, denied: {is_denied}"),
        Some(Reading::Call(call)) => call,
        Some(other) => panic!("{other:?}"),
    };
    assert!(call.is_model_call && call.source == Source::AzureOpenAi);
    let texts = [
        &call.account,
        &call.resource,
        &call.user,
        &call.model,
        &call.model_called,
        &call.region,
        &Some(call.request_id.clone()),
        &call.source_ip,
        &Some(call.error_code.clone()),
    ];
    let texts = texts.map(|text| text.as_deref().filter(|text| !text.is_empty()).unwrap_or("-").to_owned());
    let marks = [(call.succeeded, " +"), (call.facts.empty_answer, " 0")];
    let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
    format!("{} {}{marks}", texts.join(" "), call.at)
}

/// A record, whose members `old` are replaced by `new`.
#[track_caller]
fn check(old: &str, new: &str, expected: &str) {
    let record = format!(
        r#"{{"time":"2025-06-01T10:00:00.1234567Z","resourceId":"{ID}","category":"RequestResponse","operationName":"ChatCompletions_Create","resultSignature":"403","callerIpAddress":"192.0.2.***","correlationId":"c-1","location":"eastus","durationMs":-7,"properties":{{"objectId":"o-1","modelName":"gpt-4o","modelDeploymentName":"chat","responseLength":12}}}}"#
    );
    assert!(record.contains(old), "{old}");
    let json = record.replacen(old, new, 1);
    assert_eq!(shown(&json), expected, "{json}");
}

const TIME: &str = "2025-06-01T10:00:00.123Z";

/// The denied call with one value replaced.
fn denied(place: usize, value: &str) -> String {
    let mut texts =
        ["12AB", "CHAT-1", "o-1", "gpt-4o", "chat", "eastus", "c-1", "192.0.2.***", ACCESS_DENIED, TIME];
    texts[place] = value;
    texts.join(" ")
}

#[test]
fn a_record_gives_a_denied_call() {
    check(r#""403""#, r#""403""#, &denied(0, "12AB"));
    check(r#""403""#, r#""401""#, &denied(0, "12AB"));
    check(r#""403""#, "403", &denied(0, "12AB"));
    check(r#""403""#, "401.0", &denied(0, "12AB"));
    check(r#""403""#, r#"" 403 Forbidden""#, &denied(0, "12AB"));
    check("ChatCompletions_Create", "Completions_Create", &denied(0, "12AB"));
    check("ChatCompletions_Create", "Create_Thread", &denied(0, "12AB"));
    check(r#""operationName":"ChatCompletions_Create","#, "", &denied(0, "12AB"));
}

#[test]
fn only_401_and_403_are_denials() {
    let failed = |status: &str| denied(8, status);
    for status in ["400", "404", "407", "408", "429", "499", "500", "302"] {
        check(r#""403""#, &format!("\"{status}\""), &failed(status));
    }
    for status in ["200", "201"] {
        check(r#""403""#, status, &(failed("-") + " +"));
    }
    for odd in
        [r#""Forbidden""#, r#""""#, r#""4030""#, "4030", r#""-403""#, r#""40""#, "null", "{}", r#""403x""#]
    {
        check(r#""403""#, odd, "other");
    }
    check(r#","resultSignature":"403""#, r#","resultType":"403""#, "other");
}

#[test]
fn an_answer_of_no_length_is_empty_if_a_chat_got_it() {
    let answered = denied(8, "-") + " +";
    let record = r#""403","callerIpAddress":"192.0.2.***","correlationId":"c-1","location":"eastus","durationMs":-7,"properties":{"objectId":"o-1","modelName":"gpt-4o","modelDeploymentName":"chat","responseLength":12"#;
    let with = |status: &str, length: &str| {
        record.replace(r#""403""#, status).replace(r#""responseLength":12"#, length)
    };
    for length in
        [r#""responseLength":0"#, r#""responseLength":"0""#, r#""responseLength":9,"responseLength":0"#]
    {
        check(record, &with(r#""200""#, length), &format!("{answered} 0"));
    }
    for length in [r#""responseLength":1"#, r#""responseLength":-1"#, r#""responseLength":null"#, r#""x":0"#]
    {
        check(record, &with(r#""200""#, length), &answered);
    }
    check(record, &with(r#""201""#, r#""responseLength":0"#), &answered);
    check(record, &with(r#""429""#, r#""responseLength":0"#), &denied(8, "429"));
    let embedding =
        format!(r#"Embeddings_Create","resultSignature":{}"#, with(r#""200""#, r#""responseLength":0"#));
    check(&format!(r#"ChatCompletions_Create","resultSignature":{record}"#), &embedding, &answered);
}

#[test]
fn properties_may_be_text_or_missing() {
    let object =
        r#"{"objectId":"o-1","modelName":"gpt-4o","modelDeploymentName":"chat","responseLength":12}"#;
    let escaped = object.replace('"', "\\\"");
    check(object, &format!("\"{escaped}\""), &denied(0, "12AB"));
    let none = format!("12AB CHAT-1 - - - eastus c-1 192.0.2.*** {ACCESS_DENIED} {TIME}");
    for odd in ["null", "{}", "[]", r#""""#, r#""{""#, r#""[1]""#, "7", r#"{"objectId":null,"modelName":7}"#]
    {
        check(object, odd, &none);
    }
    check(&format!(r#","properties":{object}"#), "", &none);
    check(r#""objectId":"o-1""#, r#""objectId":"""#, &denied(2, "-"));
    check(r#""modelName":"gpt-4o","#, r#""modelName":"","#, &denied(3, "-"));
    check(r#","modelDeploymentName":"chat""#, "", &denied(4, "-"));
}

#[test]
fn a_resources_id_is_read_in_any_case_and_by_place() {
    check(ID, &ID.to_lowercase(), &denied(0, "12ab chat-1").replace("12ab chat-1 CHAT-1", "12ab chat-1"));
    check("RESOURCEGROUPS/G/", "RESOURCEGROUPS/ACCOUNTS/", &denied(0, "12AB"));
    check("RESOURCEGROUPS/G/", "resourceGroups/providers/", &denied(0, "12AB"));
    check("ACCOUNTS/CHAT-1", "ACCOUNTS/CHAT-1/DEPLOYMENTS/X", &denied(0, "12AB"));
    check("/SUBSCRIPTIONS", "\\/SUBSCRIPTIONS", &denied(0, "12AB"));
    check("/ACCOUNTS/CHAT-1", "", &denied(1, "-"));
    for odd in ["", "/", "x", "//", "/SUBSCRIPTIONS", "/SUBSCRIPTIONS//"] {
        check(ID, odd, &denied(0, "- -").replace("- - CHAT-1", "- -"));
    }
    check("MICROSOFT.COGNITIVESERVICES/ACCOUNTS", "MICROSOFT.APIMANAGEMENT/SERVICE", "other");
}

#[test]
fn a_missing_value_is_its_own_group() {
    check(r#""correlationId":"c-1","#, "", &denied(6, "-"));
    check(r#""callerIpAddress":"192.0.2.***","#, r#""callerIpAddress":null,"#, &denied(7, "-"));
    check(r#""location":"eastus","#, "", &denied(5, "-"));
    check(&format!(r#""resourceId":"{ID}","#), "", &denied(0, "- -").replace("- - CHAT-1", "- -"));
}

#[test]
fn what_a_gateway_and_managers_do_is_recognised_and_not_counted() {
    for category in ["Audit", "GatewayLogs", "Trace", "AzureOpenAIRequestUsage", "requestresponse", ""] {
        check("\"RequestResponse\"", &format!("\"{category}\""), "other");
    }
    check(r#""category":"RequestResponse","#, "", "other");
    let audit = format!(
        r#"{{"category":"Audit","operationName":"ListKey","properties":{{"objectId":"o"}},"resourceId":"{ID}","time":"2025-06-01T10:00:00Z"}}"#
    );
    assert_eq!(shown(&audit), "other");
}

#[test]
fn a_denial_without_a_time_says_so() {
    for time in ["null", "7", r#""soon""#, r#""""#] {
        check(r#""2025-06-01T10:00:00.1234567Z""#, time, "no time, denied: true");
    }
    check(r#""time":"2025-06-01T10:00:00.1234567Z","#, "", "no time, denied: true");
}

#[test]
fn what_is_not_of_this_log_is_left_to_others() {
    for json in [
        "{}",
        r#"{"time":"2025-06-01T10:00:00Z","category":"RequestResponse","operationName":"x"}"#,
        r#"{"category":"web","resultSignature":"403","time":"2025-06-01T10:00:00Z"}"#,
        r#"{"modelId":"m","errorCode":"AccessDeniedException"}"#,
        r#"{"resourceId":"/SUBSCRIPTIONS/1/RESOURCEGROUPS/G","operationName":"x","time":"2025-06-01T10:00:00Z"}"#,
    ] {
        assert_eq!(shown(json), "no record", "{json}");
    }
}

#[test]
fn a_denial_is_named_wherever_its_status_stands() {
    for (text, expected) in [
        (r#""resultSignature":"403""#, 1),
        (r#""resultSignature" : 401}"#, 1),
        (r#"\"resultSignature\":\"403\","#, 1),
        (r#""resultSignature":"403","resultSignature":"401","resultSignature":"429""#, 2),
        (r#""resultSignature":"4031""#, 0),
        (r#""resultSignature":"200","status":"403""#, 0),
        (r#""resultSignature":40"#, 0),
        ("resultSignature", 0),
    ] {
        assert_eq!(count_denials_named(text.as_bytes()), expected, "{text}");
    }
}
