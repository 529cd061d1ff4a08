//! The notice for Slack and Teams, in the schema of [`crate::alert`]'s chat messages.

use super::email::CROWD_TRIAGE;
use super::{Crowd, Notice, Other};
use crate::alert::chat::{Chat, mute};
use crate::alert::display::{code, evidence_code, plain, utc};
use crate::count::caller::{account_key, digest};

/// The longest value in a list, in bytes; the JSON document and the e-mail show more of it.
const LISTED_BYTES: usize = 80;

impl Notice<'_> {
    /// The notification on one line.
    #[must_use]
    pub fn chat(&self) -> String {
        let title = match self.crowd {
            Some(Crowd { callers, .. }) => format!("{callers} Bedrock callers of one account within an hour"),
            None => format!("{} {}", code(Some(&self.who())), self.deed("", listed)),
        };
        let crowd = self.crowd.map(|_| CROWD_TRIAGE);
        let next_steps: Vec<&str> = crowd.into_iter().chain(self.worst.rule.triage.iter().copied()).collect();
        let thread = match self.crowd {
            Some(_) => format!("bedrock-{}", digest(&[&account_key(self.caller.account.as_deref()).text()])),
            None => self.worst.thread(),
        };
        let chat =
            Chat { id: self.id, title, description: self.description(), next_steps: &next_steps, thread };
        chat.text(self.worst.rule)
    }

    fn description(&self) -> String {
        let (worst, incident) = (&self.worst, self.incident);
        let mut lines: Vec<String> = Vec::new();
        if let Some(crowd) = self.crowd {
            let latest: Vec<String> = crowd.latest.iter().map(|caller| listed(caller.as_deref())).collect();
            lines.push("The first ten were reported one by one; this is about the others.".to_owned());
            lines.push(format!("*Latest callers* {}", latest.join(", ")));
            lines.push("*The worst of them*".to_owned());
        }
        lines.push(format!("*Caller* {}", code(self.caller.arn.as_deref())));
        lines.push(format!("*Account* {}", code(self.caller.account.as_deref())));
        lines.push(format!(
            "*Alerts* {} *from* {} *to* {}",
            self.alerts_so_far(),
            utc(incident.first_seen),
            utc(incident.last_seen.max(worst.figures.last_seen)),
        ));
        let own = format!("{} {}", worst.how_many(), worst.rule.wording.noun);
        let what = self.worst_finding().map(|finding| listed_what(&finding)).unwrap_or_default();
        lines.push(format!("• {own}, {}{what}", worst.rule.id));
        for other in self.others() {
            let (count, noun, rule) = (other.how_many(), other.noun(), other.rule_id());
            lines.push(format!("• {count} {noun}, {rule}{}", listed_what(&other)));
        }
        if self.more() > 0 {
            lines.push(format!("and {} more", self.more()));
        }
        if !worst.figures.sources.is_empty() {
            lines.push(format!("*Seen in* {}", worst.sources()));
        }
        for (label, kind, values) in worst.told() {
            let cut = |value| evidence_code(kind, &plain(value, LISTED_BYTES));
            let values: Vec<String> = values.into_iter().map(cut).collect();
            lines.push(format!("*{label}* {}", values.join(", ")));
        }
        lines.push(format!("*Incident* {}", worst.incident.id));
        if self.crowd.is_none() {
            lines.extend(self.worst.look_further());
            lines.extend(mute(self.caller.account.as_deref(), self.caller.arn.as_deref()));
        }
        lines.join("\n")
    }
}

fn listed(value: Option<&str>) -> String {
    code(value.map(|value| plain(value, LISTED_BYTES)).as_deref())
}

fn listed_what(other: &Other<'_>) -> String {
    let model = other.is_of_one_model().then(|| format!(", {}", listed(other.model())));
    let session = other.session.map(|session| format!(", session {}", listed(Some(session))));
    model.into_iter().chain(session).collect()
}
