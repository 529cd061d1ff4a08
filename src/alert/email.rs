//! The email, its subject line and the SMS.

use textwrap::{Options, WordSplitter, fill};

use super::sanitize::{Shown, ascii};
use super::story::{Row, Story, said};
use super::words::{clock, utc};

/// SNS refuses a subject of 100 characters or more, or with anything but printable ASCII.
const SUBJECT_CHARACTERS: usize = 99;
/// One SMS holds 160 characters.
const SMS_CHARACTERS: usize = 160;
/// An account id has twelve digits.
const ACCOUNT_CHARACTERS: usize = 14;
/// What most often makes many identities fail at once.
const ONE_CHANGE: &str = ", probably one policy change";
/// The width of the text; ids stay whole.
const COLUMNS: usize = 72;

impl Story<'_> {
    /// Under 100 printable ASCII characters.
    #[must_use]
    pub fn subject(&self) -> String {
        let headline = said(&self.headline, |part| part.ascii(30));
        let account = ascii(&self.account.whole(), ACCOUNT_CHARACTERS);
        let headline = headline + if self.crowd.is_some() { ONE_CHANGE } else { "" };
        let (severity, service) = (self.severity.0.name(), self.service);
        ascii(&format!("[{severity}] {service} {account}: {headline}"), SUBJECT_CHARACTERS)
    }

    /// One line.
    #[must_use]
    pub fn sms(&self) -> String {
        let headline = said(&self.headline, |part| part.ascii(30));
        let severity = self.severity.0.name().to_uppercase();
        let account = ascii(&self.account.whole(), ACCOUNT_CHARACTERS);
        let since = clock(self.first_seen);
        let since = since.get(11..16).unwrap_or(&since);
        let (label, id) = &self.reference;
        let id = id.get(..8).unwrap_or(id);
        let end = match self.crowd {
            Some(_) => format!(" since {since} UTC{ONE_CHANGE}"),
            None => format!(" since {since} UTC. {label} {id}"),
        };
        let room = SMS_CHARACTERS.saturating_sub(end.len());
        ascii(&format!("{severity} {} {account}: {headline}", self.service), room) + &end
    }

    /// The whole text.
    #[must_use]
    pub fn email(&self) -> String {
        let served = self.served.iter().map(|served| said(served, Shown::short) + "\n").collect::<String>();
        let mut parts = vec![self.lines("", &said(&self.opening, Shown::short)) + &served];
        let rows = self.all_rows();
        if let Some(crowd) = self.crowd {
            parts.push(crowd.rows().iter().map(|row| shown(row, 10)).collect());
            parts.push(format!("The worst of the latest\n{rows}"));
        } else {
            parts.push(rows);
        }
        let (heading, newest) = &self.newest;
        let newest: String = newest.iter().map(|value| format!("  {}\n", value.whole())).collect();
        let newest = format!("{heading}\n{newest}");
        if self.is_one_alert() {
            parts.push(self.lines("", &self.meaning));
            parts.extend(self.stop_now());
        } else {
            parts.push(format!("Alerts, worst first\n{}", self.alerts()));
            parts.extend((!self.newest.1.is_empty()).then(|| newest.clone()));
            parts.push(self.lines("", &self.meaning));
            parts.extend(self.stop_now());
        }
        let steps = (1..).zip(&self.triage);
        let steps = steps.map(|(number, step)| self.lines(&format!("{number:>3}. "), step));
        parts.push(format!("What to do first\n{}", steps.collect::<String>()));
        let benign = self.rule.false_positives.iter().map(|cause| self.lines("  - ", cause));
        parts.push(format!("Possible benign causes\n{}", benign.collect::<String>()));
        parts.extend(self.is_one_alert().then_some(newest));
        parts.extend(self.next.as_ref().map(|next| self.lines("", next)));
        parts.push(self.ids.iter().map(|row| shown(row, 12)).collect());
        let commands: String = self.commands.iter().map(|command| format!("  {command}\n")).collect();
        if !commands.is_empty() {
            parts.push(format!("Look closer:\n{commands}"));
        }
        parts.extend(self.mute.as_ref().map(|mute| format!("To mute this caller for a week:\n  {mute}\n")));
        parts.join("\n")
    }

    fn stop_now(&self) -> Option<String> {
        let commands: String = self.stop.iter().map(|command| format!("  {command}\n")).collect();
        (!commands.is_empty()).then(|| format!("Stop it now, if no one owns these calls\n{commands}"))
    }

    fn all_rows(&self) -> String {
        let (label, count) = &self.count;
        let fires = self.fires.as_ref().map(|fires| format!(" (the rule {fires})")).unwrap_or_default();
        let (severity, risk_score) = self.severity;
        let mut rows: String = self.rows.iter().map(|row| shown(row, 10)).collect();
        rows += &format!(
            "{label:<10}{count}{fires}\nFirst     {}\nLast      {}\nSeverity  {}, risk score {risk_score}\n",
            utc(self.first_seen),
            utc(self.last_seen),
            severity.name(),
        );
        rows.extend(self.evidence.iter().map(|row| shown(row, 10)));
        rows
    }

    /// The alerts in columns, and how many more there are.
    fn alerts(&self) -> String {
        let count = self.alerts.iter().map(|line| line.how_many().len()).max().unwrap_or(0);
        let noun = self.alerts.iter().map(|line| line.noun.len()).max().unwrap_or(0);
        let rule = self.alerts.iter().map(|line| line.rule.len()).max().unwrap_or(0);
        let mut text = String::new();
        for line in &self.alerts {
            let about = line.about(Shown::whole).join(", ");
            let line =
                format!("  {:>count$} {:<noun$}  {:<rule$}  {about}", line.how_many(), line.noun, line.rule);
            text += line.trim_end();
            text.push('\n');
        }
        if self.more > 0 {
            text += &format!("  and {} more\n", self.more);
        }
        text
    }

    /// `text` indented by `indent`: in its own lines if it is a rule's, in lines of [`COLUMNS`] if it is about
    /// several alerts.
    fn lines(&self, indent: &str, text: &str) -> String {
        if self.is_one_alert() {
            return format!("{indent}{text}\n");
        }
        let below = " ".repeat(indent.len());
        let options = Options::new(COLUMNS)
            .initial_indent(indent)
            .subsequent_indent(&below)
            .break_words(false)
            .word_splitter(WordSplitter::NoHyphenation);
        fill(&text.replace('\n', " "), options) + "\n"
    }

    pub(super) const fn is_one_alert(&self) -> bool {
        self.alerts.is_empty()
    }
}

fn shown(row: &Row<'_>, width: usize) -> String {
    format!("{:<width$}{}\n", row.label, row.joined(Shown::whole))
}
