//! The alert for a tired human: e-mail text, subject line and SMS.

use super::Alert;
use super::display::{TEXT_BYTES, ascii, listed, numbered, plain, short, shown, utc};

/// SNS refuses a subject of 100 characters or more, or with anything but printable ASCII.
const SUBJECT_CHARACTERS: usize = 99;
/// One SMS holds 160 characters.
const SMS_CHARACTERS: usize = 160;

impl Alert<'_> {
    /// Under 100 printable ASCII characters.
    #[must_use]
    pub fn subject(&self) -> String {
        let text = format!(
            "[{}] Bedrock: {} denied {} times for {}",
            self.rule.severity.name(),
            ascii(&short(self.user()), 30),
            self.how_many(),
            ascii(&short(self.model()), 40),
        );
        ascii(&text, SUBJECT_CHARACTERS)
    }

    /// One line.
    #[must_use]
    pub fn sms(&self) -> String {
        let text = format!(
            "Bedrock: {} denied {} times for {} in account {} since {}",
            ascii(&short(self.user()), 30),
            self.how_many(),
            ascii(&short(self.model()), 30),
            ascii(&shown(self.account()), 14),
            utc(self.figures.first_seen),
        );
        ascii(&text, SMS_CHARACTERS)
    }

    /// The whole text.
    #[must_use]
    pub fn email(&self) -> String {
        let figures = &self.figures;
        let regions: Vec<String> = self.regions.iter().map(|region| plain(region, TEXT_BYTES)).collect();
        let regions = if regions.is_empty() { shown(None) } else { regions.join(", ") };
        let request_ids: String =
            figures.newest.iter().map(|value| format!("  {}\n", plain(value, TEXT_BYTES))).collect();
        format!(
            "Somebody keeps trying an Amazon Bedrock model they are denied.\n\
             \n\
             User      {user}\n\
             Model     {model}\n\
             Account   {account}\n\
             Region    {regions}\n\
             Denials   {how_many} (the rule fires above {threshold} within {window} minutes)\n\
             First     {first}\n\
             Last      {last}\n\
             Severity  {severity}, risk score {risk}\n\
             \n\
             This is a stolen key that probes for expensive models, somebody working around\n\
             the model policy, or a policy that blocks honest work.\n\
             \n\
             What to do first\n\
             {triage}\
             \n\
             It may be honest\n\
             {honest}\
             \n\
             Request ids, newest last\n\
             {request_ids}\
             \n\
             Log object  {object}\n\
             Rule        {name} ({rule})\n\
             Reference   {reference}\n\
             Alert id    {id}\n",
            user = shown(self.user()),
            model = shown(self.model()),
            account = shown(self.account()),
            how_many = self.how_many(),
            threshold = self.rule.threshold,
            window = self.window_minutes(),
            first = utc(figures.first_seen),
            last = utc(figures.last_seen),
            severity = self.rule.severity.name(),
            risk = self.rule.risk_score,
            triage = numbered(self.rule.triage),
            honest = listed(self.rule.false_positives),
            object = plain(self.object, 4 * TEXT_BYTES),
            name = self.rule.name,
            rule = self.rule.id,
            reference = self.rule.reference,
            id = self.id(),
        )
    }
}
