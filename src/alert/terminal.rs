//! The alert for `replay`: a block on a terminal, one line in a file or pipe.

use console::Style;
use unicode_width::UnicodeWidthStr;

use super::Alert;
use super::display::{
    DOCUMENT_BYTES, capitalised, clock, evidence, minutes, readable, shown_whole, without_scheme,
};
use super::links::{unlinked, unschemed};
use super::shorten::{resource, shorten};
use crate::count::evidence::Kind;
use crate::rule::definition::Severity;
use crate::rule::field::Field;

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its width.
    pub columns: usize,
    /// Whether it shows colour.
    pub colour: bool,
}

/// Columns before the values of a block: the indent, the longest label and a gap.
const LABEL_COLUMNS: usize = 12;

impl Alert<'_> {
    /// A few lines that fit the terminal; ids that do not fit lose their middle.
    #[must_use]
    pub fn block(&self, layout: Layout) -> String {
        let (rule, figures) = (self.rule, &self.figures);
        let columns = layout.columns.saturating_sub(LABEL_COLUMNS);
        let mut block = format!(
            "{}  {}  {}\n",
            layout.style().bold().apply_to(format!("{} UTC", clock(self.at))),
            layout.severity(rule.severity).apply_to(rule.severity.name().to_uppercase()),
            layout.style().bold().apply_to(rule.id),
        );
        let mut row = |label: &str, value: &str| {
            block += &format!("  {label:<width$}{}\n", shorten(value, columns), width = LABEL_COLUMNS - 2);
        };
        for field in rule.group_by.iter().filter(|field| **field != Field::Account) {
            row(field.label(), &known_by(&whole(self.key.get(rule, *field)), columns));
        }
        row("Account", &whole(self.account()));
        let fires = format!("fires above {} within {}", rule.threshold, minutes(self.window_minutes()));
        row(&capitalised(rule.wording.noun), &format!("{} ({fires})", self.how_many()));
        if rule.distinct != Field::RequestId {
            let newest: Vec<_> = self.newest().collect();
            for (line, label) in listed(newest.into_iter().rev().map(whole), figures.total, columns)
                .iter()
                .zip(["Newest", "", ""])
            {
                row(label, line);
            }
        }
        row("Seen", &format!("first {}, last {} UTC", clock(figures.first_seen), clock(figures.last_seen)));
        for (label, kind) in [("Source IP", Kind::SourceIp), ("Key id", Kind::AccessKeyId)] {
            let values = self.evidence(kind);
            let known = values.len() as u64;
            for (line, label) in listed(values.into_iter().map(|value| evidence(kind, value)), known, columns)
                .iter()
                .zip([label, "", ""])
            {
                row(label, line);
            }
        }
        row("File", &file(self.object));
        block
    }

    /// The block's facts as `name=value`, unshortened, on one line for `grep`.
    #[must_use]
    pub fn line(&self) -> String {
        let (rule, figures) = (self.rule, &self.figures);
        let mut line = String::from("alert");
        let mut field = |name: &str, value: &str| line += &format!(" {name}={}", quoted(value));
        field("time", &self.at.to_string());
        field("severity", rule.severity.name());
        field("rule", rule.id);
        for grouped in rule.group_by.iter().filter(|field| **field != Field::Account) {
            field(&grouped.label().to_lowercase(), &whole(self.key.get(rule, *grouped)));
        }
        field("account", &whole(self.account()));
        field(rule.wording.noun, &figures.total.to_string());
        if figures.at_least {
            field("at_least", "true");
        }
        field("first_seen", &figures.first_seen.to_string());
        field("last_seen", &figures.last_seen.to_string());
        field("file", &file(self.object));
        line
    }
}

/// The alerts of one caller that belong together, as `replay` shows them.
#[derive(Clone, Copy, Debug)]
pub struct Incident<'a> {
    /// Its id.
    pub id: &'a str,
    /// The ARN of the caller, a role without its session.
    pub caller: Option<&'a str>,
    /// The account.
    pub account: Option<&'a str>,
    /// How many alerts follow.
    pub alerts: u64,
    /// The highest severity among them.
    pub severity: Severity,
}

impl Incident<'_> {
    /// The line above its alerts on a terminal.
    #[must_use]
    pub fn heading(&self, layout: Layout) -> String {
        let plural = if self.alerts == 1 { "" } else { "s" };
        let account = whole(self.account);
        let rest = format!("  account {account}  {} alert{plural}", self.alerts);
        let caller = known_by(&whole(self.caller), layout.columns.saturating_sub(rest.width()));
        let heading = fitted(&(caller + &rest), layout.columns);
        layout.style().bold().underlined().apply_to(heading).to_string()
    }

    /// The same as `name=value`, before the lines of its alerts.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "incident id={} severity={} caller={} account={} alerts={}",
            quoted(self.id),
            self.severity.name(),
            quoted(&whole(self.caller)),
            quoted(&whole(self.account)),
            self.alerts,
        )
    }
}

impl Layout {
    /// A style that shows only if there is colour.
    #[must_use]
    pub fn style(self) -> Style {
        Style::new().force_styling(self.colour)
    }

    fn severity(self, severity: Severity) -> Style {
        let style = self.style().bold();
        match severity {
            Severity::Low => style.cyan(),
            Severity::Medium => style.yellow(),
            Severity::High => style.red(),
            Severity::Critical => style.white().on_red(),
        }
    }
}

/// A whole id, without anything that would act on a terminal.
#[must_use]
pub fn whole(value: Option<&str>) -> String {
    shown_whole(value, DOCUMENT_BYTES)
}

fn file(name: &str) -> String {
    let (scheme, rest) = without_scheme(name);
    scheme.to_owned() + &unschemed(&readable(rest, DOCUMENT_BYTES))
}

/// `text` in at most `columns` columns. What a cut leaves may be the name of a host, so it is broken up again.
#[must_use]
pub fn fitted(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut cuts = (0..=columns).rev().map(|room| unlinked(&shorten(text, room)));
    cuts.find(|cut| cut.width() <= columns).unwrap_or_default()
}

/// The whole `id` if it fits, otherwise without what all ids of the account share.
#[must_use]
pub fn known_by(id: &str, columns: usize) -> String {
    if id.width() <= columns { id.to_owned() } else { fitted(resource(id), columns) }
}

/// A value of a line, quoted as JSON if it could be taken for several. Two backslashes would name a network
/// share, so each of them is written as its code.
#[must_use]
pub fn quoted(value: &str) -> String {
    let clear =
        !value.is_empty() && !value.contains(|part: char| part.is_whitespace() || "\"=\\".contains(part));
    if clear {
        value.to_owned()
    } else {
        serde_json::Value::from(value).to_string().replace(r"\\", r"\u005c")
    }
}

/// Values, newest first, on at most three lines, and how many more of `total` there are.
fn listed(newest_first: impl Iterator<Item = String>, total: u64, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut left = total;
    for value in newest_first {
        let value = fitted(&value, columns.saturating_sub(MORE_COLUMNS));
        let full = lines.len() == MAX_LISTED_LINES;
        match lines.last_mut() {
            Some(line)
                if [line.width(), ", ".len(), value.width(), MORE_COLUMNS].iter().sum::<usize>()
                    <= columns =>
            {
                *line += &format!(", {value}");
            }
            _ if full => break,
            Some(line) => {
                line.push(',');
                lines.push(value);
            }
            None => lines.push(value),
        }
        left = left.saturating_sub(1);
    }
    if let Some(line) = lines.last_mut().filter(|_| left > 0) {
        *line += &format!(" and {left} more");
    }
    lines
}

const MAX_LISTED_LINES: usize = 3;
/// Room for ` and 99999 more`.
const MORE_COLUMNS: usize = 15;
