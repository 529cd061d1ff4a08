//! What a rule groups by: the rule and one value for each of its fields.

use std::hash::{Hash, Hasher};

use indexmap::Equivalent;
use sha2::{Digest, Sha256};

use crate::rule::definition::Rule;
use crate::rule::field::Field;

/// The longest partition key that is written. DynamoDB allows 2,048 bytes.
pub const MAX_TEXT_BYTES: usize = 1024;
/// The longest value that a sample keeps as it is; a longer one is kept as its hash. At the
/// highest threshold the 2,002 samples of one object then take 354 KB of the 400 KB of an item.
pub const MAX_VALUE_BYTES: usize = 160;

/// One combination of the values that a rule groups by, in the rule's order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The rule's id.
    pub rule: &'static str,
    /// The values as logged; `None` is a value of its own.
    pub values: Vec<Option<String>>,
}

impl Key {
    /// The value of `field`, where `rule` groups by it.
    #[must_use]
    pub fn get(&self, rule: &Rule, field: Field) -> Option<&str> {
        let position = rule.group_by.iter().position(|by| *by == field)?;
        self.values.get(position)?.as_deref()
    }

    /// A JSON array of the rule's id and the values, at most [`MAX_TEXT_BYTES`] long: as often
    /// as needed, the longest value is replaced by its SHA-256.
    #[must_use]
    pub fn text(&self) -> String {
        let mut parts: Vec<Option<String>> = vec![Some(self.rule.to_owned())];
        parts.extend(self.values.iter().cloned());
        loop {
            let text = serde_json::Value::from(parts.clone()).to_string();
            let longest = parts.iter_mut().flatten().max_by_key(|part| part.len());
            match longest {
                Some(part) if text.len() > MAX_TEXT_BYTES && !part.starts_with(HASHED) => {
                    *part = hashed(part);
                }
                _ => return text,
            }
        }
    }
}

const HASHED: &str = "sha256:";

fn hashed(value: &str) -> String {
    let digest = Sha256::digest(value.as_bytes());
    digest.iter().fold(HASHED.to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// `value` as a sample keeps it: itself, or its hash where it is longer than [`MAX_VALUE_BYTES`].
#[must_use]
pub fn sample_value(value: &str) -> String {
    if value.len() > MAX_VALUE_BYTES { hashed(value) } else { value.to_owned() }
}

/// A borrowed key, to look a [`Key`] up without building one.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyRef<'a> {
    /// The rule's id.
    pub rule: &'static str,
    /// The values.
    pub values: Vec<Option<&'a str>>,
}

impl KeyRef<'_> {
    /// The key itself.
    #[must_use]
    pub fn to_key(&self) -> Key {
        Key { rule: self.rule, values: self.values.iter().map(|value| value.map(str::to_owned)).collect() }
    }
}

// Both hash the same, or a look-up would miss.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rule.hash(state);
        self.values.iter().map(Option::as_deref).for_each(|value| value.hash(state));
    }
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rule.hash(state);
        self.values.iter().for_each(|value| value.hash(state));
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.rule == key.rule && self.values.iter().copied().eq(key.values.iter().map(Option::as_deref))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(values: &[Option<&str>]) -> String {
        let values = values.iter().map(|value| value.map(str::to_owned)).collect();
        Key { rule: "denied-model", values }.text()
    }

    #[test]
    fn the_text_is_unambiguous() {
        assert_eq!(text(&[Some("1"), None, Some("m")]), r#"["denied-model","1",null,"m"]"#);
        assert_eq!(
            text(&[Some("null"), Some(""), Some("a\",\"b")]),
            r#"["denied-model","null","","a\",\"b"]"#
        );
    }

    #[test]
    fn long_values_are_replaced_longest_first_until_it_fits() {
        let long = "x".repeat(900);
        let longer = "y".repeat(901);
        let one = text(&[Some("1"), Some(&long), Some(&longer)]);
        assert!(one.len() <= MAX_TEXT_BYTES && one.contains(&long) && one.contains("sha256:"), "{one}");
        let control = "\u{1}".repeat(1000);
        let three = text(&[Some(&control), Some(&control), Some(&control)]);
        assert!(three.len() <= MAX_TEXT_BYTES);
        assert_ne!(text(&[Some(&long), Some(&longer), None]), text(&[Some(&longer), Some(&long), None]));
    }
}
