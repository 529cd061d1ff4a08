//! Figures that do not depend on the rules.

use std::fs;
use std::path::Path;

use bedrock_denial_watch::count::tally::Tally;
use bedrock_denial_watch::reader::{Limits, Reader, Statistics};
use bedrock_denial_watch::rule::catalogue::{ALL, built_in};
use bedrock_denial_watch::rule::definition::Rule;
use walkdir::WalkDir;

/// What a summary says of `stored`, whose name is `object`, read for `rules`.
fn figures(object: &str, stored: &[u8], rules: Vec<Rule>) -> String {
    let mut reader = Reader::new(object, Tally::new(rules, Vec::new()), Limits::default());
    reader.push(stored);
    let Statistics { records, denials, not_found, without_records, stray, trail_records, .. } =
        reader.finish().statistics;
    format!("{records} {denials} {not_found} {without_records} {stray} {trail_records}")
}

/// Returns the figures, which are the same for every rule alone, for all of them and for none.
#[track_caller]
fn check(object: &str, stored: &[u8]) -> String {
    let expected = figures(object, stored, Vec::new());
    assert_eq!(figures(object, stored, ALL.clone()), expected, "{object}, all rules");
    for rule in ALL.iter() {
        assert_eq!(figures(object, stored, vec![rule.clone()]), expected, "{object}, {}", rule.id);
    }
    expected
}

#[test]
fn the_figures_of_every_log_are_the_same_whatever_rules_are_on() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = 0;
    for folder in ["tests/golden", "events/logs"] {
        for entry in WalkDir::new(root.join(folder)) {
            let entry = entry.expect("an entry");
            if entry.file_type().is_file() {
                let name = entry.path().strip_prefix(root).expect("below").to_string_lossy().into_owned();
                check(&name, &fs::read(entry.path()).expect("a file"));
                files += 1;
            }
        }
    }
    assert!(files > 150, "{files}");
}

#[test]
fn several_records_on_a_line_and_an_envelope_among_lines_are_counted_by_every_rule_alike() {
    let call = r#"{"timestamp":"2025-06-01T10:00:00Z","requestId":"r","modelId":"m","input":{},"output":{}}"#;
    let other = r#"{"eventSource":"s3.amazonaws.com","eventName":"X","eventTime":"2025-06-01T10:00:00Z"}"#;
    let trail = format!(r#"{{"Records":[{other},{other},{other}]}}"#);
    for (text, records) in [
        (format!("{call}\n{call}\n"), 2),
        (format!("{call}\n{trail}\n{call}\n"), 5),
        (format!("{trail}\n{trail}\n"), 6),
        (format!("{call}\n[{call},{call}]\n{call}\n"), 4),
        (format!("{call}{call}{call}"), 3),
        // A line of a log that has one record a line counts as one.
        (format!("{call}\n{call}{call}\n{call}\n"), 3),
    ] {
        let shown = check("o", text.as_bytes());
        assert_eq!(shown.split(' ').next(), Some(&*records.to_string()), "{text}");
    }
}

#[test]
fn a_legacy_model_is_counted_even_if_no_rule_is_about_it() {
    assert_eq!(built_in("denied-model").records[0].error_codes, ["AccessDeniedException"]);
    let call =
        r#"{"timestamp":"2025-06-01T10:00:00Z","modelId":"m","errorCode":"ResourceNotFoundException"}"#;
    assert_eq!(check("AWSLogs/1/BedrockModelInvocationLogs/o", call.as_bytes()), "1 0 1 0 0 0");
}
