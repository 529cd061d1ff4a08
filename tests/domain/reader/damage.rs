//! Every way a log can be broken, and what can still be read from it.

use bedrock_denial_watch::reader::Limits;
use bedrock_denial_watch::source::inflate::Damage;

use super::{check, expand, gzip, read};

#[test]
fn a_broken_candidate_is_reported_at_its_offset_and_costs_nothing_else() {
    let cut = r#"{"timestamp":"2025-06-01T10:00:00Z","errorCode":"AccessDeniedException","x":"#;
    check(&format!("{cut}\n$a\n$b"), "a b !0");
    check(&format!("$a\n{cut}\n$b"), &format!("a b !{}", expand("$a").len() + 1));
    check(&format!("$a\n{cut}"), &format!("a !{}", expand("$a").len() + 1));
    check(&format!("$a\n{cut}\"open\n$b"), &format!("a b !{}", expand("$a").len() + 1));
    check("{\"errorCode\":\"AccessDeniedException\" \"x\":1}\n$a", "a !0");
    check("{\"errorCode\":\"AccessDeniedException\"]\n$a", "a !0");
    check("not JSON: AccessDeniedException\n$a", "a !0");
    check(
        "$a\nAccessDeniedException\nAccessDeniedException\n$b",
        &format!("a b !{} !{}", expand("$a").len() + 1, expand("$a").len() + 23),
    );
    check("{\"timestamp\":\"later\",\"errorCode\":\"AccessDeniedException\"}\n$a", "a !0");
    check("$a trailing\n$b", "a b");
}

#[test]
fn what_follows_a_fault_is_read() {
    check("{\"a\":1}\nxyz\n  $a\n", "a");
    check("{\"errorCode\":\"AccessDeniedException\",\"timestamp\":\"2025\n  $a\n$b", "a b !0");
    check("[{\"a\":1}\n,{\"broken\": \"AccessDenied\n,$a\n , $b\n]", "a b !10");
    check("xyz\n[$a]\nxyz\n\n\n$b", "a b");
}

#[test]
fn a_broken_line_that_names_no_denial_is_none_of_our_business() {
    check("{\"broken\n$a\n}}}}\n$b\nxyz\n$c", "a b c");
    check("]]]]\n$a", "a");
    check("{\n{\n{\n$a\n$b", "a b");
    check("\"text\"\n12\nnull\n$a", "a");
}

#[test]
fn every_truncation_of_a_two_member_gzip_keeps_what_is_readable_and_says_so() {
    let (one, two) = (gzip(expand("$a\n%x\n$b\n").as_bytes()), gzip(expand("$c\n$d").as_bytes()));
    let whole = [&one[..], &two[..]].concat();
    let mut best = 0;
    for cut in 2..=whole.len() {
        for chunk in [1, 13, whole.len()] {
            let read = read(&whole[..cut], chunk, Limits::default());
            let complete = cut == one.len() || cut == whole.len();
            assert_eq!(read.damage.is_none(), complete, "cut {cut}");
            if !complete {
                assert_eq!(read.damage, Some(Damage::Truncated { at: cut as u64 }));
            }
            let denials = read.statistics.denials;
            assert!(denials >= best, "cut {cut}: more bytes, fewer denials");
            best = denials;
        }
        if cut == one.len() {
            assert_eq!(best, 2);
        }
    }
    assert_eq!(best, 4);
}
