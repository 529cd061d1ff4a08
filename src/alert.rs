//! One alert as a value; how it is told to programs and people stands in the files below.

mod chat;
pub mod display;
mod document;
mod email;
mod message;

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::key::Key;
use crate::rule::{Field, Rule};
use crate::time::EventTime;
use crate::window::Figures;

pub use self::message::{MAX_MESSAGE_BYTES, Message};

/// Everything an analyst is told.
#[derive(Clone, Debug)]
pub struct Alert<'a> {
    /// The rule that fired.
    pub rule: &'a Rule,
    /// For whom and what it fired.
    pub key: &'a Key,
    /// The time of the hot denial.
    pub at: EventTime,
    /// What the counters told at that moment.
    pub figures: Figures,
    /// The AWS regions of the denials in this delivery.
    pub regions: &'a BTreeSet<String>,
    /// The object whose delivery fired it.
    pub object: &'a str,
}

impl Alert<'_> {
    /// The same for the same key and time, whoever publishes it and however often.
    #[must_use]
    pub fn id(&self) -> String {
        id(self.key, self.at)
    }

    fn account(&self) -> Option<&str> {
        self.key.get(self.rule, Field::Account)
    }

    fn user(&self) -> Option<&str> {
        self.key.get(self.rule, Field::User)
    }

    fn model(&self) -> Option<&str> {
        self.key.get(self.rule, Field::Model)
    }

    /// One chat thread a key.
    fn thread(&self) -> String {
        format!("{}-{}", self.rule.id, hash(&[&self.key.text()]))
    }

    fn window_minutes(&self) -> u64 {
        self.rule.window.as_secs() / 60
    }

    /// `4`, or `at least 4` where the figure is a lower bound.
    fn how_many(&self) -> String {
        let bound = if self.figures.at_least { "at least " } else { "" };
        format!("{bound}{}", self.figures.total)
    }
}

/// The id of an alert of `key` at `at`.
#[must_use]
pub fn id(key: &Key, at: EventTime) -> String {
    hash(&[&key.text(), &at.epoch_ms().to_string()])
}

/// 128 bits in hexadecimal.
fn hash(parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.join("\n").as_bytes());
    digest[..16].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
