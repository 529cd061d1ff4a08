//! What a rule groups by: the rule and one value for each of its fields.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::rule::definition::Rule;
use crate::rule::field::{Field, MISSING};
use crate::source::text;

/// The longest part of a partition key that is stored as logged, in bytes of its JSON text: a control character is one byte in a log and six in JSON. A rule's id and five such
/// parts stay under 1,500 bytes; DynamoDB takes 2,048.
pub const MAX_PART_BYTES: usize = 256;
/// The longest value that a sample keeps as it is; a longer one is kept as its hash. At the
/// highest threshold the 2,002 samples of one object then take 354 KB of the 400 KB of an item.
pub const MAX_VALUE_BYTES: usize = 160;

/// One combination of the values that a rule groups by, in the rule's order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The rule's id.
    pub rule: &'static str,
    /// The values as [`text::truncate_with_hash`] keeps them; `None` is its own group. Shared, because an object may hold a hundred
    /// thousand keys whose values recur.
    pub values: Vec<Option<Arc<str>>>,
}

impl Key {
    /// The value of `field`, if `rule` groups by it.
    #[must_use]
    pub fn get(&self, rule: &Rule, field: Field) -> Option<&str> {
        let position = rule.group_by.iter().position(|by| *by == field)?;
        self.values.get(position)?.as_deref()
    }

    /// Who called, as far as `rule` groups by it: the user, the caller or the role.
    #[must_use]
    pub fn identity(&self, rule: &Rule) -> Option<&str> {
        Field::IDENTITIES.into_iter().find_map(|field| self.get(rule, field))
    }

    /// The partition key: a JSON array of the rule's id and the values. A part over
    /// [`MAX_PART_BYTES`] stands as `{"sha256":"…"}`, which no logged text can equal: a text is a
    /// JSON string.
    #[must_use]
    pub fn text(&self) -> String {
        let values = self.values.iter().map(|value| value.as_deref().map_or(Value::Null, part));
        let parts: Vec<Value> = [part(self.rule)].into_iter().chain(values).collect();
        Value::from(parts).to_string()
    }
}

fn part(text: &str) -> Value {
    let literal = Value::from(text);
    let quotes = 2;
    if literal.to_string().len().saturating_sub(quotes) <= MAX_PART_BYTES {
        literal
    } else {
        json!({ "sha256": text::sha256(text) })
    }
}

const HASHED: &str = "sha256:";

/// `value` as a sample keeps it: itself, [`MISSING`], or `sha256:` and its hash where it is longer
/// than [`MAX_VALUE_BYTES`]. A logged value that looks like one of the other two forms is hashed as
/// well, so that no two values have the same form.
#[must_use]
pub fn sample_value(value: Option<&str>) -> Cow<'_, str> {
    match value {
        None => MISSING.into(),
        Some(text) if text.len() > MAX_VALUE_BYTES || text.starts_with(HASHED) || text == MISSING => {
            (HASHED.to_owned() + &text::sha256(text)).into()
        }
        Some(text) => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn text(values: &[Option<&str>]) -> String {
        let values = values
            .iter()
            .map(|value| value.map(|text| text::truncate_with_hash(text.into()).into()))
            .collect();
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
    fn no_value_makes_a_key_that_the_store_refuses() {
        for character in ["x", "é", "🙂", "\u{1}", "\"", "\\", "\u{7f}", "\u{2028}"] {
            for length in [1, 40, 42, 43, 128, 255, 256, 257, 1000, 2044] {
                for head in ["", "sha256:", "{\"sha256\":\""] {
                    let value = format!("{head}{}", character.repeat(length));
                    let five = text(&[Some(value.as_str()); 5]);
                    assert!(five.len() <= 1500, "{} bytes of {length} {character:?}", five.len());
                }
            }
        }
    }

    #[test]
    fn a_part_over_256_bytes_is_replaced_by_its_hash_and_no_other_part_is() {
        let (longest, over) = ("x".repeat(256), "x".repeat(257));
        assert_eq!(text(&[Some(&longest), None]), format!(r#"["denied-model","{longest}",null]"#));
        assert_eq!(
            text(&[Some(&over), Some("m")]),
            r#"["denied-model",{"sha256":"15eb95a462ee20bd91a415ae2d4aed341288186ddaa2b37908f7d592f0c3f85f"},"m"]"#
        );
    }

    #[test]
    fn what_a_caller_writes_literally_never_equals_a_hashed_form() {
        let long = "x".repeat(2044);
        let hash = text::sha256(&text::truncate_with_hash(long.as_str().into()));
        let literals = [
            format!("sha256:{hash}"),
            format!(r#"{{"sha256":"{hash}"}}"#),
            format!(r#"["denied-model",{{"sha256":"{hash}"}}]"#),
            hash,
            MISSING.to_owned(),
        ];
        let values: Vec<Option<&str>> =
            literals.iter().map(String::as_str).chain([long.as_str()]).map(Some).chain([None]).collect();
        let keys: BTreeSet<String> = values.iter().map(|value| text(&[*value])).collect();
        assert_eq!(keys.len(), values.len());
        let kept: Vec<Option<Cow<'_, str>>> =
            values.iter().map(|value| value.map(|text| text::truncate_with_hash(text.into()))).collect();
        let samples: BTreeSet<Cow<'_, str>> =
            kept.iter().map(|value| sample_value(value.as_deref())).collect();
        assert_eq!(samples.len(), values.len());
        assert!(samples.contains(literals[0].as_str()), "the hash of the whole text, not of its head");
        // A hash that is hashed again is yet another value.
        assert_ne!(sample_value(Some(&literals[0])), literals[0]);
    }
}
