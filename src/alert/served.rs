//! What the caller was served since its first denial, in words and for programs.

use serde_json::{Value, json};

use super::Alert;
use super::sanitize::{Shown, TEXT_BYTES};
use super::words::thousands;
use crate::count::served::{Calls, Served};

/// Begins the line in every channel.
const SINCE: &str = "Successful calls seen since the first denial: ";

impl Alert<'_> {
    /// The line for people.
    pub(super) fn served_line(&self) -> Option<Vec<Shown<'_>>> {
        let served = self.served.as_ref()?;
        Some(std::iter::once(Shown::ours(SINCE)).chain(words(served)).collect())
    }

    /// For programs; `null` if unknown.
    pub(super) fn served_json(&self) -> Value {
        json(self.served.as_ref())
    }

    /// For an SMS.
    pub(super) fn served_briefly(&self) -> Option<String> {
        Some(match self.served.as_ref()? {
            Served::Calls(Calls { calls, at_least, .. }) => {
                let bound = if *at_least { "at least " } else { "" };
                let noun = if *calls == 1 { "call" } else { "calls" };
                format!("Served since: {bound}{} {noun}", thousands(*calls))
            }
            Served::None => "Served since: none seen".to_owned(),
            Served::NoLog | Served::Unknown => "Served since: not known".to_owned(),
        })
    }
}

/// For programs; `null` if unknown.
pub(crate) fn json(served: Option<&Served>) -> Value {
    match served {
        Some(Served::Calls(calls)) => json!({
            "calls": calls.calls,
            "calls_at_least": calls.at_least,
            "models": calls.models.iter()
                .filter_map(|model| Shown::id(Some(model)).program(TEXT_BYTES)).collect::<Vec<_>>(),
            "tokens": calls.tokens,
            "first": calls.first,
            "last": calls.last,
        }),
        Some(Served::None) => json!({
            "calls": 0, "calls_at_least": false, "models": [], "tokens": 0, "first": null, "last": null,
        }),
        Some(Served::NoLog | Served::Unknown) | None => Value::Null,
    }
}

/// The line for a terminal.
pub(crate) fn line(served: &Served) -> String {
    SINCE.to_owned() + &words(served).iter().map(Shown::short).collect::<String>()
}

/// The same beside a label, for a terminal.
pub(crate) fn beside_label(served: &Served) -> String {
    let words: String = words(served).iter().map(Shown::short).collect();
    if matches!(served, Served::Calls(_)) { words + " since the first denial" } else { words }
}

/// `12 (claude-3-haiku, nova-pro; 1,042,000 tokens)`.
fn words(served: &Served) -> Vec<Shown<'_>> {
    let Calls { calls, at_least, models, tokens, .. } = match served {
        Served::None => return vec![Shown::ours("none seen so far")],
        Served::NoLog => {
            return vec![Shown::ours(
                "not known: the invocation log does not come here, or has not come yet",
            )];
        }
        Served::Unknown => return vec![Shown::ours("not known")],
        Served::Calls(calls) => calls,
    };
    let mut words =
        vec![Shown::ours(format!("{}{}", if *at_least { "at least " } else { "" }, thousands(*calls)))];
    let between = std::iter::once(" (").chain(std::iter::repeat(", "));
    for (model, before) in models.iter().zip(between) {
        words.extend([Shown::ours(before), Shown::model(Some(model))]);
    }
    let before = if models.is_empty() { " (" } else { "; " };
    if *tokens > 0 {
        let noun = if *tokens == 1 { "token" } else { "tokens" };
        words.push(Shown::ours(format!("{before}{} {noun})", thousands(*tokens))));
    } else if !models.is_empty() {
        words.push(Shown::ours(")"));
    }
    words
}
