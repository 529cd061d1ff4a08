//! The alert for a tired human: e-mail text, subject line and SMS.

use super::Alert;
use super::display::{ascii, capitalised, evidence, listed, minutes, numbered, object, short, shown, utc};
use super::mute::mute_command;
use crate::count::evidence::Kind;
use crate::rule::field::Field;

/// SNS refuses a subject of 100 characters or more, or with anything but printable ASCII.
pub(super) const SUBJECT_CHARACTERS: usize = 99;
/// One SMS holds 160 characters.
pub(super) const SMS_CHARACTERS: usize = 160;

impl Alert<'_> {
    /// Under 100 printable ASCII characters.
    #[must_use]
    pub fn subject(&self) -> String {
        let headline = self.headline(40);
        ascii(&format!("[{}] Bedrock: {headline}", self.rule.severity.name()), SUBJECT_CHARACTERS)
    }

    fn headline(&self, model_characters: usize) -> String {
        self.phrase(self.rule.wording.headline, |id| {
            let limit = if id == self.model() { model_characters } else { 30 };
            ascii(&short(id), limit)
        })
    }

    /// One line.
    #[must_use]
    pub fn sms(&self) -> String {
        let text = format!(
            "Bedrock: {} in account {} since {}",
            self.headline(30),
            ascii(&shown(self.account()), 14),
            utc(self.figures.first_seen),
        );
        ascii(&text, SMS_CHARACTERS)
    }

    /// The whole text.
    #[must_use]
    pub fn email(&self) -> String {
        let wording = &self.rule.wording;
        let values: String = self.newest().map(|value| format!("  {}\n", shown(value))).collect();
        format!(
            "{opening}\n\
             \n\
             {rows}\
             \n\
             {meaning}\n\
             \n\
             What to do first\n\
             {triage}\
             \n\
             It may be honest\n\
             {honest}\
             \n\
             {counted}, newest last\n\
             {values}\
             \n\
             Log object  {object}\n\
             Rule        {name} ({rule})\n\
             Reference   {reference}\n\
             Alert id    {id}\n\
             {further}{mute}",
            opening = wording.opening,
            rows = self.rows(),
            meaning = wording.meaning,
            triage = numbered(self.rule.triage),
            honest = listed(self.rule.false_positives),
            counted = self.counted(),
            object = object(self.object),
            name = self.rule.name,
            rule = self.rule.id,
            reference = self.rule.references.first().copied().unwrap_or_default(),
            id = self.id(),
            further = self.further(),
            mute = mute(self.account(), self.incident.caller),
        )
    }

    /// The commands to look further with.
    pub(super) fn further(&self) -> String {
        let commands: String = self.commands().map(|command| format!("  {command}\n")).collect();
        if commands.is_empty() { commands } else { format!("\nTo look further:\n{commands}") }
    }

    fn rows(&self) -> String {
        let (rule, figures) = (self.rule, &self.figures);
        let mut rows = String::new();
        let mut row = |label: &str, value: &str| rows += &format!("{label:<10}{value}\n");
        for field in rule.group_by.iter().filter(|field| **field != Field::Account) {
            row(field.label(), &shown(self.key.get(rule, *field)));
        }
        row("Account", &shown(self.account()));
        let regions = self.evidence(Kind::Region);
        row("Region", &if regions.is_empty() { shown(None) } else { joined(Kind::Region, &regions) });
        row(&capitalised(rule.wording.noun), &format!("{} ({})", self.how_many(), self.fires()));
        row("First", &utc(figures.first_seen));
        row("Last", &utc(figures.last_seen));
        row("Severity", &format!("{}, risk score {}", rule.severity.name(), rule.risk_score));
        if !figures.sources.is_empty() {
            row("Seen in", &self.sources());
        }
        for (label, kind, values) in self.told() {
            row(label, &joined(kind, &values));
        }
        rows
    }

    /// The heading of the values that the rule counts.
    fn counted(&self) -> String {
        format!(
            "{}s",
            if self.rule.distinct == Field::RequestId { "Request id" } else { self.rule.distinct.label() }
        )
    }

    fn fires(&self) -> String {
        format!("the rule fires above {} within {}", self.rule.threshold, minutes(self.window_minutes()))
    }
}

/// How to mute the caller.
pub(super) fn mute(account: Option<&str>, caller: Option<&str>) -> String {
    mute_command(account, caller)
        .map(|command| format!("\nTo mute this caller for a week:\n  {command}\n"))
        .unwrap_or_default()
}

pub(super) fn joined(kind: Kind, values: &[&str]) -> String {
    let shown: Vec<String> = values.iter().map(|value| evidence(kind, value)).collect();
    shown.join(", ")
}
