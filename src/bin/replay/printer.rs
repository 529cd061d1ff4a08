//! Standard output: the sink that prints alerts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::notice::Notice;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::alert::terminal::{Layout, fitted, known_by, quoted, whole};
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::count::memory::StoredKey;
use bedrock_denial_watch::report::{AlertTexts, SentNotice};
use bedrock_denial_watch::rule::definition::{Rule, Severity};
use bedrock_denial_watch::source::time::EventTime;
use console::measure_text_width;

use crate::denied;
use crate::options::Format;
use crate::progress::wrapped;
use crate::summary::{RunSummary, count};

/// Prints documents as they come; keeps texts until [`Printer::finish`].
pub struct Printer {
    format: Format,
    terminal: Option<Layout>,
    keeps: bool,
    state: RefCell<Printed>,
}

/// What a report shows of alerts and notices.
#[derive(Default)]
pub struct Kept {
    pub alerts: Vec<String>,
    pub texts: Vec<AlertTexts>,
    pub notices: Vec<SentNotice>,
}

#[derive(Default)]
struct Printed {
    alerts: u64,
    kept: Kept,
    /// By id.
    incidents: BTreeMap<String, IncidentTexts>,
    broken: Option<io::Error>,
}

impl Printed {
    /// Prints one document or message.
    fn print(&mut self, text: &str) {
        if let Err(error) = writeln!(io::stdout(), "{text}") {
            self.broken.get_or_insert(error);
        }
    }
}

/// The alerts of one caller that belong together.
struct IncidentTexts {
    /// The ARN of the caller, a role without its session.
    caller: String,
    account: String,
    /// The highest among them.
    severity: Severity,
    /// By time; one file may hold later alerts than the next.
    texts: Vec<(EventTime, String)>,
}

impl IncidentTexts {
    /// The line above its alerts on a terminal.
    fn heading(&self, layout: Layout) -> String {
        let rest = format!("  account {}  {}", self.account, count(self.texts.len() as u64, "alert"));
        let caller = known_by(&self.caller, layout.columns.saturating_sub(measure_text_width(&rest)));
        let heading = fitted(&(caller + &rest), layout.columns);
        layout.style().bold().underlined().apply_to(heading).to_string()
    }

    /// The same as `name=value`, before the lines of its alerts.
    fn line(&self, id: &str) -> String {
        format!(
            "incident id={} severity={} caller={} account={} alerts={}",
            quoted(id),
            self.severity.name(),
            quoted(&self.caller),
            quoted(&self.account),
            self.texts.len(),
        )
    }
}

impl AlertSink for Printer {
    async fn notice(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        if self.keeps {
            self.state.borrow_mut().kept.notices.push(SentNotice {
                id: notice.id.to_owned(),
                alert: notice.worst.id(),
                alerts: notice.incident.alerts,
            });
        }
        let message = match self.format {
            Format::Email => {
                let story = notice.story();
                format!("Subject: {}\n\n{}", story.subject(), story.email())
            }
            Format::Sms => notice.story().sms(),
            Format::Chat => notice.story().chat(),
            Format::NoticeJson => notice.document(),
            Format::Text | Format::Json | Format::Ocsf => return Ok(()),
        };
        self.state.borrow_mut().print(&message);
        Ok(())
    }

    fn wants_alerts(&self) -> bool {
        true
    }

    async fn alert(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        let mut state = self.state.borrow_mut();
        state.alerts = state.alerts.saturating_add(1);
        if self.keeps {
            state.kept.alerts.push(alert.document());
            let story = alert.story();
            state
                .kept
                .texts
                .push(AlertTexts { opening: story.opening(), stop: story.stop().cloned().collect() });
        }
        let line = match self.format {
            Format::Json => Some(alert.document()),
            Format::Ocsf => Some(alert.ocsf()),
            Format::Text => None,
            Format::Email | Format::Sms | Format::Chat | Format::NoticeJson => return Ok(()),
        };
        if let Some(line) = line {
            state.print(&line);
            return Ok(());
        }
        let text = self.terminal.map_or_else(|| alert.line(), |layout| alert.block(layout));
        let incident = state.incidents.entry(alert.incident.id.to_owned()).or_insert_with(|| IncidentTexts {
            caller: whole(alert.incident.caller),
            account: whole(alert.account()),
            severity: alert.severity,
            texts: Vec::new(),
        });
        incident.severity = incident.severity.max(alert.severity);
        incident.texts.push((alert.at, text));
        Ok(())
    }
}

impl Printer {
    /// To `terminal`, or to a file or pipe if there is none. `keeps` alerts and notices for a report.
    pub fn new(format: Format, terminal: Option<Layout>, keeps: bool) -> Self {
        Self { format, terminal, keeps, state: RefCell::default() }
    }

    /// What it kept so far.
    pub fn take_kept(&self) -> Kept {
        std::mem::take(&mut self.state.borrow_mut().kept)
    }

    /// Alerts so far.
    pub fn count(&self) -> u64 {
        self.state.borrow().alerts
    }

    /// What went wrong with standard output.
    pub fn broken(self) -> io::Result<()> {
        self.state.into_inner().broken.map_or(Ok(()), Err)
    }

    /// Prints who was denied most, then the alerts.
    pub fn finish(self, rules: &[Rule], keys: &[(Key, StoredKey)], summary: &RunSummary) -> io::Result<()> {
        let Printed { alerts, incidents, .. } = self.state.into_inner();
        let mut incidents: Vec<(String, IncidentTexts)> = incidents.into_iter().collect();
        for (_, incident) in &mut incidents {
            incident.texts.sort_by_key(|(at, _)| *at);
        }
        incidents.sort_by_key(|(_, incident)| incident.texts.first().map(|(at, _)| *at));
        let mut out = io::stdout().lock();
        denied::print(&mut out, self.terminal, rules, keys)?;
        if incidents.is_empty() {
            return no_alerts(&mut out, self.terminal, rules, summary);
        }
        if let Some(layout) = self.terminal {
            let all = count(incidents.len() as u64, "incident");
            let heading = format!("{} in {all}", count(alerts, "alert"));
            writeln!(out, "\n{}", layout.style().bold().underlined().apply_to(heading))?;
        }
        for (id, incident) in &incidents {
            match self.terminal {
                Some(layout) => writeln!(out, "\n{}", incident.heading(layout))?,
                None => writeln!(out, "{}", incident.line(id))?,
            }
            for (number, (_, text)) in incident.texts.iter().enumerate() {
                if self.terminal.is_some() && number > 0 {
                    writeln!(out)?;
                }
                writeln!(out, "{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

/// Silence would leave you wondering whether anything was read.
fn no_alerts(
    out: &mut impl Write,
    terminal: Option<Layout>,
    rules: &[Rule],
    summary: &RunSummary,
) -> io::Result<()> {
    if terminal.is_some() {
        writeln!(out)?;
    }
    let rules: Vec<&str> = rules.iter().map(|rule| rule.id).collect();
    let rules = format!("No alerts from {}.", rules.join(", "));
    let all = if summary.failed > 0 { " Not everything could be read." } else { "" };
    let scope = format!("Looked at {}.{all}", summary.scope());
    for text in [rules, scope] {
        writeln!(out, "{}", wrapped(&text, terminal.map(|layout| layout.columns)))?;
    }
    Ok(())
}
