//! The report as one HTML page: no network, and nothing in the data can become markup or script.
//!
//! The page's own script builds everything from JSON by text nodes. Its Content Security Policy allows
//! that script and that style sheet by their hashes, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use serde::Serialize;

use super::Report;

const SHELL: &str = include_str!("page/shell.html");
const STYLE: &str = include_str!("page/page.css");
/// What all pages use.
const SHARED: [&str; 2] = [include_str!("page/base.js"), include_str!("page/time.js")];

/// What distinguishes one page from another.
struct PageParts {
    title: &'static str,
    body: &'static str,
    /// In the order in which they run.
    scripts: &'static [&'static str],
}

const INCIDENTS: PageParts = PageParts {
    title: "Bedrock denials",
    body: include_str!("page/incidents.html"),
    scripts: &[
        include_str!("page/lanes.js"),
        include_str!("page/incidents.js"),
        include_str!("page/counts.js"),
        include_str!("page/report.js"),
    ],
};

const CALLER: PageParts = PageParts {
    title: "Bedrock caller",
    body: include_str!("page/caller.html"),
    scripts: &[include_str!("page/caller.js")],
};

impl Report<'_> {
    /// The whole page.
    #[must_use]
    pub fn page(&self) -> String {
        of(&INCIDENTS, self)
    }
}

/// The page of a caller.
pub(super) fn of_caller(data: &impl Serialize) -> String {
    of(&CALLER, data)
}

#[expect(clippy::expect_used, reason = "texts, numbers and lists always serialise")]
fn of(page_parts: &PageParts, data: &impl Serialize) -> String {
    let data = inert(&serde_json::to_string(data).expect("text, numbers and lists always serialise"));
    // A block keeps the names out of the page's global scope.
    let scripts: String = SHARED.iter().chain(page_parts.scripts).copied().collect();
    let script = format!("\"use strict\";\n{{\n{scripts}}}\n");
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
        hash(&script),
        hash(STYLE)
    );
    let parts = [
        ("policy", policy.as_str()),
        ("title", page_parts.title),
        ("style", STYLE),
        ("body", page_parts.body),
        ("data", &data),
        ("script", &script),
    ];
    let mut page = String::with_capacity(
        [SHELL, STYLE, page_parts.body, &data, &script].map(str::len).into_iter().sum(),
    );
    let mut rest = SHELL;
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
