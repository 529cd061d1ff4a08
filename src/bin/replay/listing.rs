//! `--list-rules`: every rule with its settings, and where each came from if not from its file.

use std::fmt::Write as _;

use bedrock_denial_watch::alert::display::minutes;
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::rule::settings::{Setting, Settings};

/// One line per rule.
pub fn of(settings: &Settings) -> String {
    let widest = settings.rules.iter().map(|rule| rule.id.len()).max().unwrap_or_default();
    settings.rules.iter().map(|rule| line(settings, rule, widest)).collect()
}

fn line(settings: &Settings, rule: &Rule, widest: usize) -> String {
    let mut line = format!(
        "{:<3}  {:<widest$}  {:<8}  fires above {} within {}, at most once in {}",
        if rule.on { "on" } else { "off" },
        rule.id,
        rule.severity.name(),
        rule.threshold,
        minutes(rule.window.as_secs() / 60),
        minutes(rule.cooldown.as_secs() / 60),
    );
    let set = Setting::ALL.iter().filter_map(|setting| Some((setting, settings.origin(rule, *setting)?)));
    for (number, (setting, origin)) in set.enumerate() {
        let _ = write!(line, "{} {} by {origin}", if number == 0 { "; set:" } else { "," }, setting.name());
    }
    line + "\n"
}
