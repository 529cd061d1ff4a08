//! What `replay` prints: alerts on standard output, the closing summary on standard error.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::alert::{Alert, display};
use bedrock_denial_watch::count::embedded::EmbeddedStore;
use bedrock_denial_watch::count::window::Window;
use bedrock_denial_watch::log::object::Skip;
use bedrock_denial_watch::reader::Statistics;
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::rule::field::Field;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use console::Term;
use indicatif::ProgressBar;

use crate::warn;

/// Keys that the text output lists; attackers can invent any number.
const MAX_KEYS: usize = 25;

/// How alerts are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table of alerts, and one of all users and models that were denied.
    Text,
    /// One JSON document a line, and nothing else.
    Json,
}

/// The sink that prints.
pub struct Report {
    format: Format,
    rows: RefCell<Vec<[String; 6]>>,
    broken: RefCell<Option<io::Error>>,
    count: RefCell<usize>,
}

impl AlertSink for Report {
    async fn publish(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        *self.count.borrow_mut() += 1;
        match self.format {
            Format::Json => {
                if let Err(error) = writeln!(io::stdout(), "{}", alert.document()) {
                    self.broken.borrow_mut().get_or_insert(error);
                }
            }
            Format::Text => self.rows.borrow_mut().push(row(alert)),
        }
        Ok(())
    }
}

fn row(alert: &Alert<'_>) -> [String; 6] {
    let (rule, figures) = (alert.rule, &alert.figures);
    let value = |field| alert.key.get(rule, field);
    let grouped = |field| rule.group_by.contains(&field);
    let caller = if grouped(Field::Role) { Field::Role } else { Field::User };
    let model = || display::short(value(Field::Model));
    [
        display::clock(alert.at),
        rule.id.to_owned(),
        format!("{} {}", how_many(figures.total, figures.at_least), rule.wording.noun),
        resource(&display::shown(value(caller))).to_owned(),
        if grouped(Field::Model) { model() } else { String::new() },
        display::shown(value(Field::Account)),
    ]
}

fn how_many(total: u64, at_least: bool) -> String {
    format!("{total}{}", if at_least { "+" } else { "" })
}

/// What an ARN says behind partition, service, region and account; all of any other id.
fn resource(id: &str) -> &str {
    if id.starts_with("arn:") { id.splitn(6, ':').nth(5).unwrap_or(id) } else { id }
}

impl Report {
    pub fn new(format: Format) -> Self {
        Self { format, rows: RefCell::default(), broken: RefCell::default(), count: RefCell::default() }
    }

    /// Alerts so far.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Prints what is printed at the end; tells what went wrong with standard output.
    pub fn finish(self, rules: &[Rule], store: EmbeddedStore) -> io::Result<()> {
        if let Some(error) = self.broken.into_inner() {
            return Err(error);
        }
        if self.format == Format::Json {
            return Ok(());
        }
        let rows = self.rows.into_inner();
        let mut out = io::stdout().lock();
        if rows.is_empty() {
            writeln!(out, "No alerts.")?;
        } else {
            let mut alerts = table(["Fired (UTC)", "Rule", "Seen", "User or role", "Model", "Account"]);
            alerts.add_rows(rows);
            writeln!(out, "Alerts\n\n{alerts}")?;
        }
        let denied_model = rules.iter().find(|rule| rule.id == DENIED_MODEL.id);
        let keys = denied_model.map(|rule| keys(rule, store)).unwrap_or_default();
        if keys.is_empty() {
            return Ok(());
        }
        let mut denied = table(["Last (UTC)", "Denials", "User", "Model", "Account", "Alerts"]);
        let more = keys.len().saturating_sub(MAX_KEYS);
        denied.add_rows(keys.into_values().take(MAX_KEYS));
        writeln!(out, "\nAll denied users and models\n\n{denied}")?;
        if more > 0 {
            writeln!(out, "and {more} more, denied no more often")?;
        }
        Ok(())
    }
}

/// One row a key of `rule`, the most denied first.
fn keys(rule: &Rule, store: EmbeddedStore) -> BTreeMap<(std::cmp::Reverse<u64>, usize), [String; 6]> {
    let denied = store.into_keys().filter(|(key, _)| key.rule == rule.id);
    let rows = denied.enumerate().filter_map(|(order, (key, item))| {
        let alerts = item.alert_count();
        let counters: Vec<_> = item.counters.into_values().collect();
        let all = Window::new(rule, &counters).all()?;
        let value = |field| resource(&display::shown(key.get(rule, field))).to_owned();
        let row = [
            display::clock(all.last_seen),
            how_many(all.total, all.at_least),
            value(Field::User),
            display::short(key.get(rule, Field::Model)),
            value(Field::Account),
            alerts.to_string(),
        ];
        Some(((std::cmp::Reverse(all.total), order), row))
    });
    rows.collect()
}

/// A line below the header and nothing else. On a terminal long ids wrap; in a file or pipe, where
/// somebody may search for them, they do not.
fn table<const N: usize>(header: [&str; N]) -> Table {
    let numbers: Vec<usize> =
        (0..N).filter(|at| matches!(header[*at], "Seen" | "Denials" | "Alerts")).collect();
    let mut table = Table::new();
    table
        .load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')))
        .set_header(header);
    if let Some((_, columns)) = Term::stdout().size_checked() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
    }
    for column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The figures of a whole run.
#[derive(Default)]
pub struct Totals {
    pub read: usize,
    pub failed: usize,
    pub alerts: usize,
    skipped: BTreeMap<String, usize>,
    sum: Statistics,
}

impl Totals {
    pub fn skip(&mut self, skip: Skip, name: Option<&str>, progress: &ProgressBar) {
        *self.skipped.entry(skip.to_string()).or_default() += 1;
        if let Some(name) = name {
            let advice = if skip == Skip::Suffix { "; to read it all the same: replay - < FILE" } else { "" };
            warn(progress, &format!("warning: {name}: skipped: {skip}{advice}"));
        }
    }

    pub fn fail(&mut self, name: &str, why: &str, progress: &ProgressBar) {
        self.failed += 1;
        warn(progress, &format!("error: {name}: {why}"));
    }

    pub fn add(&mut self, one: &Statistics) {
        self.sum.records += one.records;
        self.sum.denials += one.denials;
        self.sum.not_found += one.not_found;
        self.sum.exempted += one.exempted;
        self.sum.malformed += one.malformed;
        self.sum.oversized += one.oversized;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped: usize = self.skipped.values().sum();
        let Statistics { records, denials, not_found, exempted, malformed, oversized, .. } = self.sum;
        write!(
            f,
            "objects: {} read, {skipped} skipped, {} failed; records: {records}; denials: {denials}; \
             exempted: {exempted}; malformed: {malformed}; oversized: {oversized}; alerts: {}",
            self.read, self.failed, self.alerts
        )?;
        if not_found > 0 {
            write!(
                f,
                "\n  {not_found} calls of models that are legacy, or that the account never asked for"
            )?;
        }
        for (reason, count) in &self.skipped {
            write!(f, "\n  {count} skipped: {reason}")?;
        }
        Ok(())
    }
}
