//! The message for Slack and Teams, in the custom-notification schema of Amazon Q Developer in
//! chat applications, which silently drops any other JSON.
//!
//! Source: "Custom notifications" in the service's administrator guide.

use serde_json::json;

use super::sanitize::{TEXT_BYTES, command};
use super::story::{Row, Story, said};
use super::words::utc;
use crate::rule::field::Field;

/// The longest value in a list, in bytes; the JSON document and the email show more of it.
const LISTED_BYTES: usize = 80;

impl Story<'_> {
    /// The notification on one line.
    #[must_use]
    pub fn chat(&self) -> String {
        let title = said(&self.title, |part| part.chat(LISTED_BYTES));
        let account = self.account.whole();
        let is_account = account.bytes().all(|byte| byte.is_ascii_digit());
        let account = if is_account { account } else { self.account.chat(LISTED_BYTES) };
        let title = format!("{title} ({account})");
        json!({
            "version": "1.0",
            "source": "custom",
            "id": self.id,
            "content": {
                "textType": "client-markdown",
                "title": format!(":rotating_light: {title}"),
                "description": self.description(),
                "nextSteps": self.triage,
                "keywords": [self.service, self.rule.id, self.severity.0.name()],
            },
            "metadata": { "threadId": self.thread, "summary": title },
        })
        .to_string()
    }

    fn description(&self) -> String {
        let row = |row: &Row<'_>, bytes| format!("*{}* {}", row.label, row.joined(|value| value.chat(bytes)));
        let mut lines = vec![said(&self.opening, |part| part.chat(LISTED_BYTES))];
        lines.extend(self.served.iter().map(|served| said(served, |part| part.chat(LISTED_BYTES))));
        if let Some(crowd) = self.crowd {
            lines.push(row(&crowd.latest("Latest callers"), LISTED_BYTES));
            lines.push("*The worst of them*".to_owned());
        }
        lines.extend(self.signs.iter().map(|one| row(one, LISTED_BYTES)));
        lines.extend(self.rows.iter().map(|one| row(one, TEXT_BYTES)));
        let (label, count) = &self.count;
        let (first, last) = (utc(self.first_seen), utc(self.last_seen));
        if let Some(fires) = &self.fires {
            lines.push(format!("*{label}* {count} ({fires})"));
            if self.rule.distinct != Field::RequestId {
                lines.push(row(&Row::new("Newest", self.newest.1.clone()), LISTED_BYTES));
            }
            lines.push(format!("*From* {first} *to* {last}"));
        } else {
            lines.push(format!("*{label}* {count} *from* {first} *to* {last}"));
        }
        for line in &self.alerts {
            let own = [line.noun.to_owned(), line.rule.to_owned()].into_iter();
            let own: Vec<String> = own.chain(line.about(|id| id.chat(LISTED_BYTES))).collect();
            lines.push(format!("• {} {}", line.how_many(), own.join(", ")));
        }
        if self.more > 0 {
            lines.push(format!("and {} more", self.more));
        }
        lines.extend(self.evidence.iter().map(|one| row(one, LISTED_BYTES)));
        let (label, id) = &self.reference;
        lines.push(format!("*{label}* {id}"));
        let mute = format!("Mute {}", self.muted);
        for (heading, commands) in
            [("Stop it now", &self.stop), ("Look closer", &self.look), (mute.as_str(), &self.mute)]
        {
            // Where a command holds what a chat would make a link of, the next one may not. The console's page is meant to be one.
            let page = commands.iter().find(|command| command.starts_with("https://")).cloned();
            let shown = [commands.iter().find_map(|text| command(text)), page];
            let shown: Vec<String> = shown.into_iter().flatten().filter(|_| self.crowd.is_none()).collect();
            lines.extend((!shown.is_empty()).then(|| format!("*{heading}* {}", shown.join("\n"))));
        }
        lines.join("\n")
    }
}
