//! The report as one HTML page: no network, and nothing in the data can become markup or script.
//!
//! The page's own script builds everything from JSON by text nodes. Its Content Security Policy allows
//! that script and that style sheet by their hashes, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::Report;

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

impl Report<'_> {
    /// The whole page.
    ///
    /// # Panics
    /// Never: texts, numbers and lists always serialise.
    #[must_use]
    #[expect(clippy::expect_used, reason = "texts, numbers and lists always serialise")]
    pub fn page(&self) -> String {
        let data = serde_json::to_string(self).expect("text, numbers and lists always serialise");
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
            hash(SCRIPT),
            hash(STYLE)
        );
        let parts =
            [("policy", policy.as_str()), ("style", STYLE), ("script", SCRIPT), ("data", &inert(&data))];
        let mut page = String::with_capacity([HTML, STYLE, SCRIPT, &data].map(str::len).into_iter().sum());
        let mut rest = HTML;
        // One pass: nothing that was put in is looked at again.
        while let Some((before, (name, after))) =
            rest.split_once("{{").and_then(|(before, at)| Some((before, at.split_once("}}")?)))
        {
            page += before;
            page += parts.iter().find(|(part, _)| *part == name).map_or("", |(_, text)| text);
            rest = after;
        }
        page + rest
    }
}

/// JSON that HTML reads as text, whatever it contains.
fn inert(json: &str) -> String {
    let mut inert = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => inert += &format!("\\u{:04x}", u32::from(character)),
            _ => inert.push(character),
        }
    }
    inert
}

/// As a Content Security Policy names a script or style in the page.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_a_page_keeps_its_value_and_holds_no_markup() {
        for text in ["</script><script>alert(1)</script>", "<!--", "a&lt;b", "\u{2028}\u{2029}", "\"\\<\\\\"]
        {
            let json = serde_json::to_string(text).expect("text");
            let inert = inert(&json);
            assert!(!inert.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{inert}");
            assert_eq!(serde_json::from_str::<String>(&inert).expect("JSON"), text);
        }
    }

    #[test]
    fn a_hash_is_as_a_browser_computes_it() {
        // The example of the specification: Content Security Policy Level 3, section 8.3.
        assert_eq!(hash("alert('Hello, world.');"), "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=");
    }
}
