//! Standard output: the sink that prints alerts.

use std::cell::RefCell;
use std::io::{self, Write};

use bedrock_denial_watch::alert::Alert;
use bedrock_denial_watch::alert::sink::{AlertSink, SinkError};
use bedrock_denial_watch::alert::terminal::Layout;
use bedrock_denial_watch::count::embedded::EmbeddedStore;
use bedrock_denial_watch::log::time::EventTime;
use bedrock_denial_watch::rule::definition::Rule;

use crate::denied;
use crate::options::Format;
use crate::summary::{Summary, count};

/// Prints documents as they come, and keeps texts until [`Printer::finish`].
pub struct Printer {
    format: Format,
    terminal: Option<Layout>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    alerts: u64,
    /// By time; a file may hold later alerts than the next.
    texts: Vec<(EventTime, String)>,
    broken: Option<io::Error>,
}

impl AlertSink for Printer {
    async fn publish(&self, alert: &Alert<'_>) -> Result<(), SinkError> {
        let mut state = self.state.borrow_mut();
        state.alerts += 1;
        match (self.format, self.terminal) {
            (Format::Json, _) => {
                if let Err(error) = writeln!(io::stdout(), "{}", alert.document()) {
                    state.broken.get_or_insert(error);
                }
            }
            (Format::Text, Some(layout)) => state.texts.push((alert.at, alert.block(layout))),
            (Format::Text, None) => state.texts.push((alert.at, alert.line())),
        }
        Ok(())
    }
}

impl Printer {
    /// On `terminal`, or into a file or pipe where there is none.
    pub fn new(format: Format, terminal: Option<Layout>) -> Self {
        Self { format, terminal, state: RefCell::default() }
    }

    /// Alerts so far.
    pub fn count(&self) -> u64 {
        self.state.borrow().alerts
    }

    /// What went wrong with standard output.
    pub fn broken(self) -> io::Result<()> {
        self.state.into_inner().broken.map_or(Ok(()), Err)
    }

    /// Prints who was denied most, and then the alerts.
    pub fn finish(self, rules: &[Rule], store: EmbeddedStore, summary: &Summary) -> io::Result<()> {
        let mut texts = self.state.into_inner().texts;
        texts.sort_by_key(|(at, _)| *at);
        let mut out = io::stdout().lock();
        denied::print(&mut out, self.terminal, rules, store)?;
        if texts.is_empty() {
            return no_alerts(&mut out, self.terminal, rules, summary);
        }
        if let Some(layout) = self.terminal {
            let heading = count(texts.len() as u64, "alert");
            writeln!(out, "\n{}", layout.style().bold().underlined().apply_to(heading))?;
        }
        for (_, text) in &texts {
            if self.terminal.is_some() {
                writeln!(out)?;
            }
            writeln!(out, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// Silence would leave open whether anything was looked at.
fn no_alerts(
    out: &mut impl Write,
    terminal: Option<Layout>,
    rules: &[Rule],
    summary: &Summary,
) -> io::Result<()> {
    if terminal.is_some() {
        writeln!(out)?;
    }
    let rules: Vec<&str> = rules.iter().map(|rule| rule.id).collect();
    let rules = format!("No alerts from {}.", rules.join(", "));
    let all = if summary.failed > 0 { " Not everything could be read." } else { "" };
    let scope = format!("Looked at {}.{all}", summary.scope());
    for text in [rules, scope] {
        let text = terminal.map_or_else(|| text.clone(), |layout| textwrap::fill(&text, layout.columns));
        writeln!(out, "{text}")?;
    }
    Ok(())
}
