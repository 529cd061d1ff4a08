//! The alert for `replay`: a block on a terminal, one line in a file or pipe.

use console::Style;
use unicode_width::UnicodeWidthStr;

use super::Alert;
use super::links::unlinked;
use super::sanitize::{DOCUMENT_BYTES, Shown, shown_whole};
use super::shorten::{resource, shorten};
use super::words::clock;
use crate::count::served::Served;
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
        let (rule, story) = (self.rule, self.story());
        let columns = layout.columns.saturating_sub(LABEL_COLUMNS);
        let mut block = format!(
            "{}  {}  {}\n",
            layout.style().bold().apply_to(format!("{} UTC", clock(self.at))),
            layout.severity(self.severity).apply_to(self.severity.name().to_uppercase()),
            layout.style().bold().apply_to(rule.id),
        );
        let mut row = |label: &str, lines: &[String]| {
            for (line, label) in lines.iter().zip(std::iter::once(label).chain(std::iter::repeat(""))) {
                block += &format!("  {label:<width$}{}\n", shorten(line, columns), width = LABEL_COLUMNS - 2);
            }
        };
        let values = |values: &[Shown<'_>]| match values {
            [one] => vec![known_by(&one.terminal(), columns)],
            all => listed(all.iter().map(Shown::terminal), all.len() as u64, columns),
        };
        for one in &story.rows {
            row(one.label, &values(&one.values));
        }
        let fires = story.fires.iter().map(|fires| format!(" ({fires})")).collect::<String>();
        row(&story.count.0, &[story.count.1 + &fires]);
        if rule.distinct != Field::RequestId {
            let newest = story.newest.1.iter().rev().map(Shown::terminal);
            row("Newest", &listed(newest, self.figures.total, columns));
        }
        let (first, last) = (clock(story.first_seen), clock(story.last_seen));
        row("Seen", &[format!("first {first}, last {last} UTC")]);
        if let Some(served) = &self.served {
            row("Served", &[super::served::beside_label(served)]);
        }
        for one in story.signs.iter().chain(&story.evidence) {
            row(one.label, &values(&one.values));
        }
        row("File", &[Shown::object(self.object).terminal()]);
        block
    }

    /// The block's facts as `name=value`, unshortened, on one line for `grep`.
    #[must_use]
    pub fn line(&self) -> String {
        let (rule, figures) = (self.rule, &self.figures);
        let mut line = String::from("alert");
        let mut field = |name: &str, value: &str| line += &format!(" {name}={}", quoted(value));
        field("time", &self.at.to_string());
        field("severity", self.severity.name());
        field("rule", rule.id);
        for grouped in rule.group_by.iter().filter(|field| **field != Field::Account) {
            field(&grouped.label().to_lowercase().replace(' ', "_"), &whole(self.key.get(rule, *grouped)));
        }
        field("account", &whole(self.account()));
        field(rule.wording.noun, &figures.total.to_string());
        if figures.is_lower_bound {
            field("at_least", "true");
        }
        field("first_seen", &figures.first_seen.to_string());
        field("last_seen", &figures.last_seen.to_string());
        match &self.served {
            Some(Served::Calls(calls)) => {
                field("served", &calls.calls.to_string());
                field("served_tokens", &calls.tokens.to_string());
            }
            Some(Served::None) => field("served", "0"),
            Some(Served::NoLog | Served::Unknown) => field("served", "unknown"),
            None => {}
        }
        field("file", &Shown::object(self.object).terminal());
        line
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
