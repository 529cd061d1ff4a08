//! Events that tripped other tools, as their users reported them.

use super::check_text;

/// A line is a name, what it must resolve to, and the event.
const EVENTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/aws/events.tsv"));

#[test]
fn events_from_real_accounts_resolve_rightly() {
    let mut lines = 0;
    for line in EVENTS.lines() {
        let mut columns = line.splitn(3, '\t');
        let (Some(name), Some(expected), Some(event)) = (columns.next(), columns.next(), columns.next())
        else {
            panic!("three columns: {line}")
        };
        println!("{name}");
        check_text(event, expected);
        lines += 1;
    }
    assert_eq!(lines, 30);
}
