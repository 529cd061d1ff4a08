//! The notice for a tired human: e-mail text, subject line and SMS.

use textwrap::{Options, WordSplitter, fill};

use super::{Crowd, Notice};
use crate::alert::display::{ascii, object, short, shown, utc};
use crate::alert::email::{SMS_CHARACTERS, SUBJECT_CHARACTERS, joined, mute};
use crate::count::evidence::Kind;
use crate::rule::field::Field;

/// The width of the text; ids stay whole.
const COLUMNS: usize = 72;
/// An account id has twelve digits.
const ACCOUNT_CHARACTERS: usize = 14;

impl Notice<'_> {
    /// Under 100 printable ASCII characters.
    #[must_use]
    pub fn subject(&self) -> String {
        let text = format!("[{}] Bedrock: {}", self.worst.rule.severity.name(), self.headline(40));
        ascii(&text, SUBJECT_CHARACTERS)
    }

    /// One line.
    #[must_use]
    pub fn sms(&self) -> String {
        let since = utc(self.incident.first_seen);
        let text = match self.crowd {
            Some(_) => format!("Bedrock: {} since {since}", self.headline(30)),
            None => format!("Bedrock: {} in account {} since {since}", self.headline(30), self.account()),
        };
        ascii(&text, SMS_CHARACTERS)
    }

    fn headline(&self, model_characters: usize) -> String {
        let model = |model: Option<&str>| ascii(&short(model), model_characters);
        match self.crowd {
            Some(Crowd { callers, .. }) => {
                format!("{callers} callers within an hour in account {}", self.account())
            }
            None => format!("{} {}", ascii(&self.who(), 30), self.deed("", model)),
        }
    }

    fn account(&self) -> String {
        ascii(&shown(self.caller.account.as_deref()), ACCOUNT_CHARACTERS)
    }

    /// The whole text.
    #[must_use]
    pub fn email(&self) -> String {
        let (worst, rule) = (&self.worst, self.worst.rule);
        let mut parts = vec![wrapped("", &self.opening())];
        if let Some(crowd) = self.crowd {
            parts.push(crowd_rows(crowd));
            parts.push("The worst of the latest\n".to_owned() + &self.rows());
        } else {
            parts.push(self.rows());
        }
        parts.push("Alerts, worst first\n".to_owned() + &self.alerts());
        parts.extend(self.counted());
        parts.push(wrapped("", &format!("{} {}", rule.wording.opening, rule.wording.meaning)));
        parts.push("What to do first\n".to_owned() + &self.triage());
        let honest = rule.false_positives.iter().map(|item| wrapped("  - ", item));
        parts.push("It may be honest\n".to_owned() + &honest.collect::<String>());
        parts.push(wrapped("", &self.next()));
        let rules: Vec<&str> = self.incident.rules.keys().map(String::as_str).collect();
        parts.push(format!(
            "Log object  {}\n\
             Rules       {}\n\
             Incident    {}\n\
             Notice      {}\n",
            object(worst.object),
            rules.join(", "),
            worst.incident.id,
            self.id,
        ));
        let mute = match self.crowd {
            Some(_) => String::new(),
            None => mute(self.caller.account.as_deref(), self.caller.arn.as_deref()),
        };
        parts.join("\n") + &worst.further() + &mute
    }

    fn opening(&self) -> String {
        match self.crowd {
            Some(Crowd { callers, .. }) => format!(
                "{callers} callers of one account raised alerts within an hour. The first ten were \
                 reported one by one; this is about the others."
            ),
            None => format!("{} {}.", self.who(), self.deed("was ", short)),
        }
    }

    fn rows(&self) -> String {
        let (incident, rule) = (self.incident, self.worst.rule);
        let mut rows = String::new();
        let mut row = |label: &str, value: &str| rows += &format!("{label:<10}{value}\n");
        row("Caller", &shown(self.caller.arn.as_deref()));
        row("Account", &shown(self.caller.account.as_deref()));
        let regions = self.worst.evidence(Kind::Region);
        row("Region", &if regions.is_empty() { shown(None) } else { joined(Kind::Region, &regions) });
        row("Alerts", &self.alerts_so_far());
        row("First", &utc(incident.first_seen));
        row("Last", &utc(incident.last_seen.max(self.worst.figures.last_seen)));
        row("Severity", &format!("{}, risk score {}", rule.severity.name(), rule.risk_score));
        if !self.worst.figures.sources.is_empty() {
            row("Seen in", &self.worst.sources());
        }
        for (label, kind, values) in self.worst.told() {
            row(label, &joined(kind, &values));
        }
        rows
    }

    /// The worst alert, the others the incident remembers, and how many more there are.
    fn alerts(&self) -> String {
        let worst = &self.worst;
        let what = self.worst_finding().map(|finding| finding.what()).unwrap_or_default();
        let noun = worst.rule.wording.noun.to_owned();
        let mut lines = vec![[worst.how_many(), noun, worst.rule.id.to_owned(), what]];
        lines.extend(self.others().map(|other| {
            [other.how_many(), other.noun().to_owned(), other.rule_id().to_owned(), other.what()]
        }));
        let width = |at: usize| {
            lines.iter().filter_map(|line| line.get(at)).map(String::len).max().unwrap_or_default()
        };
        let (first, second, third) = (width(0), width(1), width(2));
        let line = |[count, noun, rule, what]: &[String; 4]| {
            let line = format!("  {count:>first$} {noun:<second$}  {rule:<third$}  {what}");
            line.trim_end().to_owned() + "\n"
        };
        let mut text: String = lines.iter().map(line).collect();
        if self.more() > 0 {
            text += &format!("  and {} more\n", self.more());
        }
        text
    }

    /// The models or sessions of the worst alert; request ids are in the document.
    fn counted(&self) -> Option<String> {
        let field = Some(self.worst.rule.distinct).filter(|field| *field != Field::RequestId)?;
        let values: String = self.worst.newest().map(|value| format!("  {}\n", shown(value))).collect();
        (!values.is_empty()).then(|| format!("{}s of the worst alert, newest last\n{values}", field.label()))
    }

    fn triage(&self) -> String {
        let crowd = self.crowd.map(|_| CROWD_TRIAGE);
        let steps = crowd.into_iter().chain(self.worst.rule.triage.iter().copied());
        (1..).zip(steps).map(|(number, step)| wrapped(&format!("{number:>3}. "), step)).collect()
    }

    /// When the next message comes.
    fn next(&self) -> String {
        match self.crowd {
            Some(Crowd { callers, .. }) => {
                let mut level: u64 = 16;
                while level <= callers && level < u64::MAX {
                    level = level.saturating_mul(4);
                }
                format!(
                    "The next message about this account's callers comes at {level}, or when one is of higher severity."
                )
            }
            None => format!(
                "The next message about this caller comes at {} alerts within the hour, or when one is of higher severity.",
                self.incident.alerts.saturating_mul(4)
            ),
        }
    }
}

/// Whoever may create users or assume roles poses as many callers.
pub(super) const CROWD_TRIAGE: &str = "Look for the one credential behind these callers: in CloudTrail, CreateUser and \
     AssumeRole calls name who made them.";

fn crowd_rows(crowd: Crowd<'_>) -> String {
    let mut rows = format!("{:<10}{}\n", "Callers", crowd.callers);
    for (number, caller) in crowd.latest.iter().enumerate() {
        rows += &format!("{:<10}{}\n", if number == 0 { "Latest" } else { "" }, shown(caller.as_deref()));
    }
    rows
}

/// `text` indented by `indent`, in lines of at most [`COLUMNS`] where its words allow.
fn wrapped(indent: &str, text: &str) -> String {
    let text = text.replace('\n', " ");
    let below = " ".repeat(indent.len());
    let options = Options::new(COLUMNS)
        .initial_indent(indent)
        .subsequent_indent(&below)
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation);
    fill(&text, options) + "\n"
}
