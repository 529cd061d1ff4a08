//! No text, however odd or long, hides a denial, and long ones are never kept whole.

use bedrock_denial_watch::reader::Limits;

use super::{check, expand, read, shown};

#[test]
fn an_odd_text_hides_no_denial() {
    for odd in [r#""boto3 \ud83d""#, r#"{"\udc00":["\ud83d"]}"#, "1e999999", "[-1e999999]"] {
        check(&expand("$a").replace("\"requestId\"", &format!("\"userAgent\":{odd},\"requestId\"")), "a");
        check(&format!("{{\"Records\":[~x,{}]}}", expand("&a").replace("null", odd)), "a");
    }
    // A key that no AWS service writes.
    check(&expand("$a").replace("\"requestId\"", r#""\ud83d":1,"requestId""#), "a");
}

#[test]
fn a_broken_byte_in_a_text_hides_no_denial() {
    for text in ["$a\n%x\n$b", "{\"Records\":[~x,&a,~y,&b]}", "[\n$a,\n$b\n]"] {
        let whole = expand(text).replace("\"requestI", "\"userAgent\":\"Jos? caf?\",\"requestI").into_bytes();
        let broken: Vec<u8> = whole.into_iter().map(|byte| if byte == b'?' { 0xe9 } else { byte }).collect();
        let read = read(&broken, 7, Limits::default());
        assert_eq!(shown(read), "a b", "{text}");
    }
    let read = read(b"{\"requestId\":\"a\xff\xc3\",\"timestamp\":\"2025-06-01T10:00:00Z\",\"errorCode\":\"AccessDeniedException\"}", 7, Limits::default());
    assert_eq!(shown(read), "a\u{fffd}\u{fffd}");
}
