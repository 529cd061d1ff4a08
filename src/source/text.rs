//! Text values from records, and how long ones are shortened.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use sha2::{Digest, Sha256};

/// A text value; `None` if it is missing or has another type.
pub type Text<'a> = Option<Cow<'a, str>>;

/// The longest text kept unchanged. No id that AWS issues is longer; callers may invent model ids of
/// 2,048 bytes, and a damaged log may contain anything.
pub const MAX_TEXT_BYTES: usize = 512;

const MARK: &str = "…sha256:";
const HASH_BYTES: usize = 64;

/// The longest text that [`truncate_with_hash`] returns.
pub const MAX_KEPT_BYTES: usize = MAX_TEXT_BYTES + MARK.len() + HASH_BYTES;

/// `text` itself, or, if it is longer than [`MAX_TEXT_BYTES`], its head, `…sha256:` and the SHA-256 of
/// the whole in hexadecimal. The head comes first so that it survives further shortening.
///
/// Two kept texts are equal exactly when the originals were: a shortened one is itself longer than
/// [`MAX_TEXT_BYTES`], so no unchanged text can look like it.
#[must_use]
pub fn truncate_with_hash(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT_BYTES {
        return text;
    }
    let head = text.get(..text.floor_char_boundary(MAX_TEXT_BYTES)).unwrap_or_default();
    Cow::Owned(format!("{head}{MARK}{}", hexadecimal(&text)))
}

/// The SHA-256, in hexadecimal, of the whole text that was kept as `kept`.
#[must_use]
pub fn sha256(kept: &str) -> String {
    let whole = match kept.rsplit_once(MARK) {
        Some((_, hash)) if kept.len() > MAX_TEXT_BYTES && hash.len() == HASH_BYTES => Some(hash),
        _ => None,
    };
    whole.map_or_else(|| hexadecimal(kept), str::to_owned)
}

fn hexadecimal(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// A JSON value as text; `None` if it has another type.
#[must_use]
pub fn unescaped(json: &str) -> Text<'_> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    if memchr(b'\\', inside.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inside));
    }
    let Bytes(bytes) = serde_json::from_str(json).ok()?;
    Some(Cow::Owned(with_replacements(&bytes)))
}

/// A JSON string, with each lone surrogate as the three bytes it would take in UTF-8. If asked for text
/// instead, serde_json rejects the whole record.
pub struct Bytes<'a>(pub Cow<'a, [u8]>);

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unescaped;
        impl<'de> Visitor<'de> for Unescaped {
            type Value = Bytes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Bytes(Cow::Borrowed(bytes)))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Bytes(Cow::Owned(bytes.to_owned())))
            }
        }
        deserializer.deserialize_bytes(Unescaped)
    }
}

/// The text, with one replacement character for each lone surrogate.
fn with_replacements(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // The second and third bytes of a surrogate arrive as separate chunks.
        if chunk.invalid().first().is_some_and(|byte| *byte >= 0xc0) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, kept_bytes: usize) {
        let kept = truncate_with_hash(text.into());
        assert_eq!(kept.len(), kept_bytes, "{kept}");
        assert_eq!(sha256(&kept), hexadecimal(text), "{kept}");
        assert_eq!(truncate_with_hash(kept.clone()) == kept, text.len() <= MAX_TEXT_BYTES, "{kept}");
    }

    #[test]
    fn a_long_text_is_kept_as_its_head_and_its_hash() {
        check("", 0);
        check(&"x".repeat(512), 512);
        check(&"x".repeat(513), 512 + 74);
        check(&"x".repeat(20_000_000), 512 + 74);
        check(&"ü".repeat(256), 512);
        check(&format!("x{}", "ü".repeat(256)), 511 + 74);
        check(&"\u{1f525}".repeat(129), 512 + 74);
        let kept = truncate_with_hash("x".repeat(513).into());
        assert!(kept.starts_with(&format!("{}…sha256:", "x".repeat(512))), "{kept}");
    }

    #[test]
    fn a_text_that_looks_like_a_shortened_one_is_another_text() {
        let long = "x".repeat(2000);
        let kept = truncate_with_hash(long.as_str().into());
        assert_ne!(truncate_with_hash(kept.clone()), kept);
        assert_ne!(truncate_with_hash(format!("{long}y").into()), kept);
        // Texts that differ stay different, whatever was cut.
        let texts = [
            long.clone(),
            long.clone() + "…",
            kept.to_string(),
            truncate_with_hash(kept.clone()).to_string(),
        ];
        for (one, first) in texts.iter().enumerate() {
            for (other, second) in texts.iter().enumerate() {
                assert_eq!(
                    truncate_with_hash(first.into()) == truncate_with_hash(second.into()),
                    one == other
                );
            }
        }
    }
}
