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
        // The first denial here is that of one caller of a crowd.
        let since = clock(self.crowd.map_or(self.first_seen, |crowd| crowd.hour.min(self.first_seen)));
        let since = since.get(11..16).unwrap_or(&since);
        let (label, id) = &self.reference;
        let id = id.get(..8).unwrap_or(id);
        let served = self.served_briefly.iter().map(|served| format!(". {served}")).collect::<String>();
        let end = match self.crowd {
            Some(_) => format!(" since {since} UTC{ONE_CHANGE}"),
            None => format!(" since {since} UTC{served}. {label} {id}"),
        };
        let room = SMS_CHARACTERS.saturating_sub(end.len());
        ascii(&format!("{severity} {} {account}: {headline}", self.service), room) + &end
    }

    /// The whole text: what happened, what separates a thief from a legitimate caller, what to do, then the details.
    #[must_use]
    pub fn email(&self) -> String {
        let served = self.served.iter().map(|served| said(served, Shown::short) + "\n").collect::<String>();
        let mut parts = vec![self.lines("", &said(&self.opening, Shown::short)) + &served];
        if let Some(crowd) = self.crowd {
            parts.push(crowd.rows().iter().map(|row| shown(row, 10)).collect());
            parts.push(format!("The worst of the latest\n{}", self.all_rows()));
        } else {
            parts.push(self.signs.iter().map(|row| shown(row, 10)).collect());
            parts.push(self.all_rows());
        }
        if !self.is_one_alert() {
            parts.push(format!("Alerts, worst first\n{}", self.alerts()));
        }
        parts.push(self.lines("", &self.meaning));
        parts.push(block("Stop it now, unless the owner confirms these calls", &self.stop));
        parts.push(block("Look closer", &self.look));
        let steps = (1..).zip(&self.triage);
        let steps = steps.map(|(number, step)| self.lines(&format!("{number:>3}. "), step));
        let steps: String = steps.collect();
        parts.extend((!steps.is_empty()).then(|| format!("Triage\n{steps}")));
        let benign = self.rule.false_positives.iter().map(|cause| self.lines("  - ", cause));
        parts.push(format!("Possible benign causes\n{}", benign.collect::<String>()));
        let (heading, newest) = &self.newest;
        let newest: Vec<String> = newest.iter().map(Shown::whole).collect();
        parts.push(block(heading, &newest));
        parts.extend(self.next.as_ref().map(|next| self.lines("", next)));
        parts.push(self.ids.iter().map(|row| shown(row, 12)).collect());
        parts.push(block(
            &format!("Mute {} for a week (TABLE: the stack's output TableName)", self.muted),
            &self.mute,
        ));
        parts.retain(|part| !part.is_empty());
        parts.join("\n")
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

/// Lines below a heading; nothing if there are none.
fn block(heading: &str, lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    if lines.is_empty() { lines } else { format!("{heading}\n{lines}") }
}

fn shown(row: &Row<'_>, width: usize) -> String {
    format!("{:<width$}{}\n", row.label, row.joined(Shown::whole))
}
