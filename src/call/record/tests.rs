use std::borrow::Cow;

use crate::call::Source;
use crate::source::text::Text;

use super::*;

/// Reads what failed with one of `codes`.
fn read<'a>(
    json: &'a str,
    codes: &[&'static str],
    place: impl FnOnce() -> String,
) -> Result<Reading<'a>, serde_json::Error> {
    Ok(super::read(&Members::read(json)?, &RecordFilter::errors(codes), place))
}

/// A denial is shown as `account user model region request time`, with `-` for a missing value.
fn shown(json: &str) -> String {
    let reading = read(json, &["AccessDeniedException"], || "here".to_owned());
    match reading {
        Err(_) => "not JSON".to_owned(),
        Ok(Reading::Other | Reading::Unknown) => "other".to_owned(),
        Ok(Reading::NoTimestamp { .. }) => "no timestamp".to_owned(),
        Ok(Reading::UnknownCode(code)) => format!("unknown code {code}"),
        Ok(Reading::Call(d)) => {
            let or_dash = |text: &Text<'_>| text.as_deref().unwrap_or("-").to_owned();
            format!(
                "{} {} {} {} {} {}",
                or_dash(&d.account),
                or_dash(&d.user),
                or_dash(&d.model),
                or_dash(&d.region),
                d.request_id,
                d.at
            )
        }
    }
}

#[track_caller]
fn check(fields: &str, expected: &str) {
    let json =
        format!(r#"{{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException"{fields}}}"#);
    assert_eq!(shown(&json), format!("{expected} 2025-06-01T10:00:00Z"), "{json}");
}

#[track_caller]
fn check_whole(json: &str, expected: &str) {
    assert_eq!(shown(json), expected, "{json}");
}

#[test]
fn top_level_fields_make_a_denial() {
    check(
        r#","accountId":"1","identity":{"arn":"u"},"modelId":"m","region":"r","requestId":"q""#,
        "1 u m r q",
    );
    check(r#","modelId":"m\u0041\"","requestId":"q\n""#, "- - mA\" - q\n");
    check(r#","identity":{"x":[1,{"arn":"no"}],"arn":"u","y":{}}"#, "- u - - here");
    check(
        r#","schemaType":"ModelInvocationLog","input":{"inputBodyJson":{"modelId":"no"}},"modelId":"m""#,
        "- - m - here",
    );
}

#[test]
fn a_missing_value_is_a_value_of_its_own() {
    check("", "- - - - here");
    check(r#","accountId":null,"identity":null,"modelId":null,"requestId":null"#, "- - - - here");
    check(r#","accountId":12,"identity":"u","modelId":["m"],"requestId":{"a":1}"#, "- - - - here");
    check(r#","identity":{"arn":7}"#, "- - - - here");
    check(r#","identity":[{"arn":"u"}]"#, "- - - - here");
    check(r#","accountId":"","identity":{"arn":""},"modelId":"","requestId":"""#, "   - here");
}

#[test]
fn the_last_of_a_repeated_field_stands() {
    check(r#","modelId":"a","modelId":"b""#, "- - b - here");
    check_whole(
        r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException","errorCode":"Other"}"#,
        "other",
    );
}

#[test]
fn only_the_top_level_error_code_decides() {
    check_whole(r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"ThrottlingException"}"#, "other");
    check_whole(r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"accessdeniedexception"}"#, "other");
    check_whole(r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":null}"#, "other");
    check_whole(
        r#"{"output":{"errorCode":"AccessDeniedException"},"input":"AccessDeniedException"}"#,
        "other",
    );
    check_whole(r#"{"errorcode":"AccessDeniedException"}"#, "other");
}

#[test]
fn a_denial_without_a_usable_time_says_so() {
    check_whole(r#"{"errorCode":"AccessDeniedException"}"#, "no timestamp");
    check_whole(r#"{"errorCode":"AccessDeniedException","timestamp":1748772000}"#, "no timestamp");
    check_whole(r#"{"errorCode":"AccessDeniedException","timestamp":"soon"}"#, "no timestamp");
}

#[test]
fn what_is_not_one_json_object_is_an_error() {
    for json in
        ["", "{", "[]", "1", "{}{}", r#"{"a":}"#, r#"{"a":"AccessDeniedException"#, "{\"modelId\":\"\u{1}\"}"]
    {
        check_whole(json, "not JSON");
    }
    check_whole(" {} \r\n", "other");
}

#[test]
fn nothing_in_a_valid_record_hides_its_denial() {
    let deep = "[".repeat(5000) + &"]".repeat(5000);
    let deep_objects = r#"{"a":"#.repeat(5000) + "1" + &"}".repeat(5000);
    for odd in [
        r#""\ud83d""#,
        r#""\udc00\ud83d\u0041""#,
        r#"{"\ud83d":"\ud83d","arn":["\ud83d"]}"#,
        "1e999999",
        "-1e999999",
        "123456789012345678901234567890123456789012345678901234567890",
        r#"{"arn":1e999999}"#,
        r#"["\ud83d",1e999999]"#,
        r#""\u0000""#,
        &deep,
        &deep_objects,
    ] {
        // In members that are passed over, and in every one that is read.
        check(&format!(r#","input":{odd},"\ud83d":{odd},"modelId":"m""#), "- - m - here");
        check_trail(
            &format!(r#","userAgent":{odd},"requestParameters":{{"x":{odd},"modelId":"m"}}"#),
            "- - m - here 2025-06-01T10:00:00Z",
        );
        for member in ["accountId", "identity", "modelId", "region", "requestId", "requestParameters"] {
            let json = format!(
                r#"{{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException","{member}":{odd}}}"#
            );
            assert!(shown(&json).ends_with("2025-06-01T10:00:00Z"), "{member}: {odd}");
        }
    }
}

#[test]
fn a_lone_surrogate_is_shown_as_one_replacement_character() {
    check(
        r#","accountId":"a\ud83d","identity":{"arn":"\udc00u\ud83d\ud83d"},"modelId":"\ud83d\ude00\ud83dA","requestId":"é\ud83d""#,
        "a\u{fffd} \u{fffd}u\u{fffd}\u{fffd} \u{1f600}\u{fffd}A - é\u{fffd}",
    );
    check_trail(
        r#","userIdentity":{"arn":"u\ud83d"},"requestID":"q""#,
        "- u\u{fffd} - - q 2025-06-01T10:00:00Z",
    );
    check_whole(r#"{"timestamp":"\ud83d","errorCode":"AccessDeniedException"}"#, "no timestamp");
    check_whole(r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"\ud83d"}"#, "other");
}

#[test]
fn a_long_text_is_kept_short_and_still_told_apart() {
    let long = |last: &str| format!("{}{last}", "x".repeat(3000));
    let read = |json: &str| match read(json, &["AccessDeniedException"], String::new) {
        Ok(Reading::Call(denial)) => format!("{denial:?}"),
        other => panic!("{other:?}"),
    };
    let log = |long: &str| {
        read(&format!(
            r#"{{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException","accountId":"{long}","identity":{{"arn":"{long}"}},"modelId":"{long}","region":"{long}","requestId":"{long}"}}"#
        ))
    };
    let trail = |long: &str| {
        read(&format!(
            r#"{{{CALL},"errorCode":"AccessDenied","recipientAccountId":"{long}","userIdentity":{{"arn":"{long}","accessKeyId":"{long}","accountId":"{long}"}},"requestParameters":{{"modelId":"{long}"}},"awsRegion":"{long}","requestID":"{long}","eventID":"{long}","sourceIPAddress":"{long}","userAgent":"{long}","errorMessage":"{long}","vpcEndpointId":"{long}"}}"#
        ))
    };
    for read in [&log as &dyn Fn(&str) -> String, &trail] {
        assert_eq!(read(&long("a")), read(&long("a")));
        assert_ne!(read(&long("a")), read(&long("b")));
        assert!(read(&long("a")).len() < 10_000, "{}", read(&long("a")));
    }
}

#[test]
fn a_long_message_is_read_to_its_end() {
    let message = format!(
        "User: arn:aws:sts::1:assumed-role/{} is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:::foundation-model/a.b with an explicit deny in a session policy",
        "r".repeat(600)
    );
    let json = format!(r#"{{{CALL},"errorCode":"AccessDenied","errorMessage":"{message}"}}"#);
    let Ok(Reading::Call(denial)) = read(&json, &["AccessDeniedException"], String::new) else {
        panic!("a denial");
    };
    assert_eq!((denial.model.as_deref(), denial.denied_by), (Some("a.b"), Some("session policy")));
}

/// The identity in both logs, and the spelling.
#[track_caller]
fn check_model(called: &str, expected: &str) {
    let log = format!(
        r#"{{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException","modelId":"{called}"}}"#
    );
    let asked =
        format!(r#"{{{CALL},"errorCode":"AccessDenied","requestParameters":{{"modelId":"{called}"}}}}"#);
    let refused = format!(
        r#"{{{CALL},"errorCode":"AccessDenied","errorMessage":"User: u is not authorized to perform: x on resource: {called} because no"}}"#
    );
    let trails = if called.starts_with("arn:") { vec![asked, refused] } else { vec![asked] };
    for json in [vec![log], trails].concat() {
        let Ok(Reading::Call(denial)) = read(&json, &["AccessDeniedException"], String::new) else {
            panic!("a denial: {json}");
        };
        assert_eq!((denial.model.as_deref(), denial.model_called.as_deref()), (Some(expected), Some(called)));
    }
}

#[test]
fn both_logs_give_a_model_one_identity_and_its_spelling() {
    check_model("a.b", "a.b");
    check_model("jp.a.b", "a.b");
    check_model("arn:aws:bedrock:ap-northeast-3::foundation-model/a.b", "a.b");
    check_model("arn:aws:bedrock:us-east-1:1:inference-profile/us.a.b", "a.b");
    check_model(
        "arn:aws:bedrock:us-east-1:1:application-inference-profile/x",
        "arn:aws:bedrock:us-east-1:1:application-inference-profile/x",
    );
    check_model(
        "arn:aws:bedrock:us-east-1:1:prompt/ABCDEFGHIJ:1",
        "arn:aws:bedrock:us-east-1:1:prompt/ABCDEFGHIJ:1",
    );
}

#[test]
fn a_long_spelling_loses_its_geography_before_it_is_shortened() {
    let id = format!("a.{}", "b".repeat(1000));
    let model = |called: &str| {
        let json = format!(
            r#"{{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException","modelId":"{called}"}}"#
        );
        match read(&json, &["AccessDeniedException"], String::new) {
            Ok(Reading::Call(denial)) => denial.model.map(Cow::into_owned),
            other => panic!("{other:?}"),
        }
    };
    for called in [format!("us.{id}"), format!("arn:aws:bedrock:::foundation-model/{id}")] {
        assert_eq!(model(&called), model(&id));
    }
    assert_ne!(model(&format!("{id}c")), model(&id));
}

const CALL: &str =
    r#""eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel","eventTime":"2025-06-01T10:00:00Z""#;

#[track_caller]
fn check_trail(fields: &str, expected: &str) {
    check_whole(&format!(r#"{{{CALL},"errorCode":"AccessDenied"{fields}}}"#), expected);
}

#[test]
fn a_trail_record_makes_a_denial() {
    let time = "2025-06-01T10:00:00Z";
    check_trail("", &format!("- - - - here {time}"));
    check_trail(
        r#","recipientAccountId":"1","userIdentity":{"type":"AssumedRole","arn":"u","accountId":"9"},"requestParameters":{"x":{"modelId":"no"},"modelId":"m"},"awsRegion":"r","requestID":"q","eventID":"e""#,
        &format!("1 u m r q {time}"),
    );
    check_trail(r#","requestID":"","eventID":"e""#, &format!("- - - - e {time}"));
    check_trail(r#","requestID":null,"eventID":"""#, &format!("- - - - here {time}"));
    check_trail(
        r#","requestParameters":null,"responseElements":null,"userIdentity":{"type":"AWSService","invokedBy":"x.amazonaws.com"}"#,
        &format!("- - - - here {time}"),
    );
    check_trail(
        r#","userIdentity":"u","requestParameters":["m"],"recipientAccountId":1"#,
        &format!("- - - - here {time}"),
    );
    // What the invocation log calls its own is nothing here.
    check_trail(
        r#","timestamp":"2020-01-01T00:00:00Z","accountId":"1","identity":{"arn":"u"},"modelId":"m","region":"r","requestId":"q""#,
        &format!("- - - - here {time}"),
    );
}

#[test]
fn the_model_is_what_was_asked_for_or_else_what_was_refused() {
    let message = r#","errorMessage":"User: u is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:us-east-1::foundation-model/a.b because no identity-based policy allows it""#;
    for (asked, model) in [
        ("", "a.b"),
        (r#","requestParameters":null"#, "a.b"),
        (r#","requestParameters":{"modelId":""}"#, "a.b"),
        (r#","requestParameters":{"modelId":"m"}"#, "m"),
    ] {
        check_trail(&format!("{message}{asked}"), &format!("- - {model} - here 2025-06-01T10:00:00Z"));
    }
}

#[test]
fn a_trail_record_tells_more_than_an_invocation_log() {
    let json = format!(
        r#"{{{CALL},"errorCode":"AccessDenied","sourceIPAddress":"192.0.2.1","userAgent":"a/1","userIdentity":{{"accessKeyId":"AKIA1"}},"errorMessage":"User: u is not authorized to perform: x with an explicit deny in a service control policy"}}"#
    );
    let Ok(Reading::Call(denial)) = read(&json, &["AccessDeniedException"], String::new) else {
        panic!("a denial");
    };
    assert_eq!(denial.source, Source::CloudTrail);
    assert_eq!(denial.error_code, "AccessDeniedException");
    let texts = [denial.source_ip, denial.user_agent, denial.access_key_id].map(Option::unwrap_or_default);
    assert_eq!(texts, ["192.0.2.1", "a/1", "AKIA1"]);
    assert_eq!(denial.denied_by, Some("service control policy"));
}

#[test]
fn a_trail_record_tells_of_keys_endpoints_and_callers_of_other_accounts() {
    /// `model key caller endpoint`.
    fn shown(json: &str) -> String {
        let Ok(Reading::Call(d)) = read(json, &["AccessDeniedException"], String::new) else {
            return "none".to_owned();
        };
        let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
        [d.model.as_deref(), d.api_key, d.caller_account.as_deref(), d.vpc_endpoint.as_deref()]
            .map(or_dash)
            .join(" ")
    }
    let mantle = CALL.replace("bedrock.", "bedrock-mantle.").replace("InvokeModel", "CreateInference");
    let asynchronous = CALL.replace("InvokeModel", "StartAsyncInvoke");
    let key_user = r#""userIdentity":{"arn":"arn:aws:iam::1:user/BedrockAPIKey-a1b2","accountId":"1"}"#;
    for (call, fields, expected) in [
        (CALL, r#""userIdentity":{"type":"AWSAccount","accountId":"9"}"#, "- - 9 -"),
        (CALL, r#""userIdentity":{"arn":"u","accountId":"9"}"#, "- - - -"),
        (CALL, r#""userIdentity":{"arn":null,"accountId":9}"#, "- - - -"),
        (CALL, r#""vpcEndpointId":"vpce-1""#, "- - - vpce-1"),
        (CALL, r#""additionalEventData":{"callWithBearerToken":true}"#, "- type not logged - -"),
        (CALL, r#""additionalEventData":{"callWithBearerToken":"true"}"#, "- type not logged - -"),
        (CALL, r#""additionalEventData":{"callWithBearerToken":false}"#, "- - - -"),
        (CALL, r#""additionalEventData":null"#, "- - - -"),
        (CALL, key_user, "- long-term - -"),
        // What the caller may write there.
        (CALL, r#""requestParameters":{"model":"no","callWithBearerToken":true}"#, "- - - -"),
        (&asynchronous, r#""requestParameters":{"modelId":"a.b"}"#, "a.b - - -"),
        (
            &mantle,
            r#""requestParameters":{"model":"a.b","callWithBearerToken":true,"bearerTokenType":"ABSK"}"#,
            "a.b long-term - -",
        ),
        (&mantle, r#""requestParameters":{"modelId":"no","callWithBearerToken":false}"#, "- - - -"),
        (
            &mantle,
            r#""errorMessage":"User: u is not authorized to perform: bedrock-mantle:CreateInference on resource: arn:aws:bedrock-mantle:us-east-1:1:project/default because no""#,
            "- - - -",
        ),
    ] {
        let json = format!(r#"{{{call},"errorCode":"AccessDenied",{fields}}}"#);
        assert_eq!(shown(&json), expected, "{json}");
    }
    let key_user = key_user.replace("userIdentity", "identity");
    let log = format!(
        r#"{{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException",{key_user},"modelId":"us.a.b"}}"#
    );
    assert_eq!(shown(&log), "a.b long-term - -");
}

#[test]
fn only_a_refused_model_call_of_bedrock_is_a_denial() {
    let record = |source: &str, name: &str, code: &str| {
        format!(
            r#"{{"eventSource":{source},"eventName":{name},"errorCode":{code},"eventTime":"2025-06-01T10:00:00Z"}}"#
        )
    };
    let bedrock = r#""bedrock.amazonaws.com""#;
    let denied = "- - - - here 2025-06-01T10:00:00Z";
    for name in [
        "InvokeModel",
        "InvokeModelWithResponseStream",
        "InvokeModelWithBidirectionalStream",
        "Converse",
        "ConverseStream",
        "StartAsyncInvoke",
    ] {
        for code in [r#""AccessDenied""#, r#""AccessDeniedException""#] {
            check_whole(&record(bedrock, &format!("\"{name}\""), code), denied);
        }
    }
    let call = r#""InvokeModel""#;
    for (source, name, code) in [
        (bedrock, r#""ListFoundationModels""#, r#""AccessDenied""#),
        (bedrock, r#""invokemodel""#, r#""AccessDenied""#),
        (bedrock, "null", r#""AccessDenied""#),
        (bedrock, call, r#""ValidationException""#),
        (bedrock, call, "null"),
        (r#""s3.amazonaws.com""#, call, r#""AccessDenied""#),
        (r#""""#, call, r#""AccessDeniedException""#),
        ("null", call, r#""AccessDeniedException""#),
        ("{}", call, r#""AccessDeniedException""#),
    ] {
        check_whole(&record(source, name, code), "other");
    }
    // An unknown code that contains a denial's must not be mistaken for another call.
    check_whole(&record(bedrock, call, r#""AccessDeniedX""#), "unknown code AccessDeniedX");
}

#[test]
fn another_code_is_a_denial_when_a_rule_asks_for_it() {
    let json = format!(r#"{{{CALL},"errorCode":"ValidationException"}}"#);
    let codes = ["AccessDeniedException", "ValidationException"];
    let reading = read(&json, &codes, String::new).expect("JSON");
    assert!(matches!(reading, Reading::Call(denial) if denial.error_code == "ValidationException"));
    assert!(matches!(read(&json, &codes[..1], String::new), Ok(Reading::Other)));
}

#[test]
fn the_form_is_told_by_top_level_keys_alone() {
    check(r#","input":{"inputBodyJson":{"eventSource":"s3.amazonaws.com"}},"modelId":"m""#, "- - m - here");
    check_whole(
        &format!(r#"{{"errorCode":"AccessDenied","requestParameters":{{{CALL}}}}}"#),
        "unknown code AccessDenied",
    );
    check_whole(
        r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDenied"}"#,
        "unknown code AccessDenied",
    );
    check_whole(
        r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException","eventSource":"x"}"#,
        "other",
    );
}

#[test]
fn a_trail_record_without_a_usable_time_says_so() {
    let record = CALL.replace("eventTime", "timestamp");
    check_whole(&format!(r#"{{{record},"errorCode":"AccessDenied"}}"#), "no timestamp");
    check_whole(&format!(r#"{{{record},"eventTime":7,"errorCode":"AccessDenied"}}"#), "no timestamp");
}

#[test]
fn an_envelope_around_records_is_no_record() {
    check_whole(r#"{"Records":[]}"#, "not JSON");
    check_whole(&format!(r#"{{{CALL},"Records":[{{}}]}}"#), "not JSON");
    check_whole(r#"{"Records":{"a":[1]}}"#, "other");
    check_whole(r#"{"Records":{"a":[1]},"records":[]}"#, "not JSON");
    check_whole(r#"{"x":{"Records":[]}}"#, "other");
    check_whole(r#"{"messageType":"m","logEvents":[{"message":"{}"}]}"#, "not JSON");
    check_whole(r#"{"Events":[]}"#, "not JSON");
}

#[test]
fn what_has_nothing_of_a_record_is_told_from_a_record_that_no_rule_looks_for() {
    let codes = &["AccessDeniedException"];
    for (json, expected) in [
        ("{}", Reading::Unknown),
        (r#"{"input":{"errorCode":"AccessDeniedException","timestamp":"x"}}"#, Reading::Unknown),
        (r#"{"timestamp":1,"message":"AccessDeniedException"}"#, Reading::Unknown),
        (r#"{"timestamp":"2025-06-01T10:00:00Z","requestId":"q","level":"ERROR"}"#, Reading::Unknown),
        (r#"{"timestamp":"2025-06-01T10:00:00Z","input":"AccessDeniedException"}"#, Reading::Other),
        (r#"{"requestId":"q","output":"AccessDeniedException"}"#, Reading::Other),
        (r#"{"modelId":"AccessDeniedException"}"#, Reading::Other),
        (r#"{"eventSource":"s3.amazonaws.com","errorCode":"AccessDenied"}"#, Reading::Other),
        (r#"{"errorCode":"ThrottlingException"}"#, Reading::Other),
        (r#"{"eventSource":"aws:sqs","body":"AccessDenied"}"#, Reading::Unknown),
        (r#"{"eventSource":"aws:s3","errorCode":"AccessDenied"}"#, Reading::Unknown),
    ] {
        assert_eq!(read(json, codes, String::new).expect("JSON"), expected, "{json}");
    }
}

#[test]
fn a_model_call_with_an_unknown_code_that_contains_access_denied_is_named() {
    let codes = &["AccessDeniedException"];
    let of_log =
        |code: &str| format!(r#"{{"timestamp":"2025-06-01T10:00:00Z","modelId":"m","errorCode":"{code}"}}"#);
    let of_trail = |call: &str, code: &str| format!(r#"{{{call},"errorCode":"{code}"}}"#);
    for code in
        ["AccessDeniedByMoon", "Client.AccessDenied", "ModelAccessDeniedException", "AccessDeniedException2"]
    {
        for json in [of_log(code), of_trail(CALL, code)] {
            let found = read(&json, codes, String::new).expect("JSON");
            assert_eq!(found, Reading::UnknownCode(code.into()), "{json}");
        }
        // A call of another service, or one that uses no model.
        for other in [CALL.replace("bedrock", "s3"), CALL.replace("InvokeModel", "CountTokens")] {
            assert_eq!(read(&of_trail(&other, code), codes, String::new).expect("JSON"), Reading::Other);
        }
    }
    for code in ["accessdenied", "Access Denied", "ThrottlingException"] {
        assert_eq!(read(&of_log(code), codes, String::new).expect("JSON"), Reading::Other, "{code}");
    }
}
