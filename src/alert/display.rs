//! Ids come from callers: what is done to them before anybody or anything shows them.

use std::fmt::Write;

use crate::log::time::EventTime;

/// Shown for a value that the log record lacks.
pub const UNKNOWN: &str = "unknown";
/// The longest name of an object in the JSON document, in bytes. A key in S3 has up to 1,024.
pub const DOCUMENT_BYTES: usize = 2048;
/// The longest id in a text that people read, in bytes.
pub const TEXT_BYTES: usize = 256;

/// `text` without control characters and without those that reorder what stands around them,
/// cut to at most `limit` bytes.
#[must_use]
pub fn plain(text: &str, limit: usize) -> String {
    let mut shown: String = text.chars().filter(|character| !is_unsafe(*character)).collect();
    if shown.len() > limit {
        let mark = '…';
        let mut end = limit - mark.len_utf8();
        while !shown.is_char_boundary(end) {
            end -= 1;
        }
        shown.truncate(end);
        shown.push(mark);
    }
    shown
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
}

/// A value for people: plain, and `unknown` where it is missing or nothing is left of it.
#[must_use]
pub fn shown(value: Option<&str>) -> String {
    let text = plain(value.unwrap_or(UNKNOWN), TEXT_BYTES);
    if text.trim().is_empty() { "\"\"".to_owned() } else { text }
}

/// A value for chat: in a code span, where no markup acts, with nothing left in it that
/// would end the span, link or mention.
///
/// Source: Slack's formatting reference, which asks for `&`, `<` and `>` to be escaped.
#[must_use]
pub fn code(value: Option<&str>) -> String {
    let mut text = String::from("`");
    for character in shown(value).chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '`' => text.push('\''),
            other => text.push(other),
        }
    }
    text.push('`');
    let text = text.replace("://", "[:]//");
    // A zero-width space behind the @ of the words that would call a whole channel.
    ["channel", "here", "everyone"]
        .iter()
        .fold(text, |text, word| text.replace(&format!("@{word}"), &format!("@\u{200b}{word}")))
}

/// `text` in printable ASCII, at most `limit` characters.
#[must_use]
pub fn ascii(text: &str, limit: usize) -> String {
    let printable = |character: char| {
        if matches!(character, ' '..='~') { character } else { '?' }
    };
    let shown: String = plain(text, usize::MAX).chars().map(printable).collect();
    if shown.len() <= limit {
        return shown;
    }
    format!("{}...", &shown[..limit - 3])
}

/// The part of an ARN or model id that people know it by: what follows the last `/`.
#[must_use]
pub fn short(value: Option<&str>) -> String {
    let text = shown(value);
    text.rsplit('/').find(|part| !part.is_empty()).unwrap_or(&text).to_owned()
}

/// `2025-06-01 10:00:00`, in UTC.
#[must_use]
pub fn clock(time: EventTime) -> String {
    time.to_string().replace('T', " ").replace('Z', "")
}

/// `2025-06-01 10:00:00 UTC`.
#[must_use]
pub fn utc(time: EventTime) -> String {
    clock(time) + " UTC"
}

/// `word` with a capital letter.
#[must_use]
pub fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(word.ceil_char_boundary(1));
    first.to_uppercase() + rest
}

/// `60 minutes`, `1 minute`, or `24 hours`.
#[must_use]
pub fn minutes(number: u64) -> String {
    let (number, unit) =
        if number > 60 && number.is_multiple_of(60) { (number / 60, "hour") } else { (number, "minute") };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// A list, one item a line.
#[must_use]
pub fn listed(items: &[&str]) -> String {
    items.iter().fold(String::new(), |text, item| text + "  - " + item + "\n")
}

/// A numbered list, one item a line.
#[must_use]
pub fn numbered(items: &[&str]) -> String {
    items.iter().zip(1..).fold(String::new(), |mut text, (item, number)| {
        let _ = writeln!(text, "{number:>3}. {item}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_reordering_characters_are_taken_out() {
        assert_eq!(plain("a\n\r\t\u{0}\u{1b}[31mb\u{202e}c\u{2028}d", 100), "a[31mbcd");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(plain("äöü", 6), "äöü");
        assert_eq!(plain("äöüß", 7), "äö…");
        assert_eq!(plain("abcdefgh", 7), "abcd…");
    }

    #[test]
    fn nothing_in_a_chat_id_acts() {
        assert_eq!(
            code(Some("<!channel> <https://evil.example|click> *b* `x` @here")),
            "`&lt;!channel&gt; &lt;https[:]//evil.example|click&gt; *b* 'x' @\u{200b}here`"
        );
        assert_eq!(code(None), "`unknown`");
        assert_eq!(code(Some("\n")), "`\"\"`");
    }

    #[test]
    fn a_long_span_is_told_in_hours() {
        let shown = [1, 5, 60, 90, 120, 1440].map(minutes);
        assert_eq!(shown, ["1 minute", "5 minutes", "60 minutes", "90 minutes", "2 hours", "24 hours"]);
    }

    #[test]
    fn ascii_is_printable_and_bounded() {
        assert_eq!(ascii("naïve\n🙂", 20), "na?ve?");
        assert_eq!(ascii("abcdefghij", 8), "abcde...");
    }

    #[test]
    fn people_know_an_arn_by_its_last_part() {
        assert_eq!(short(Some("arn:aws:iam::123456789012:user/team/alice")), "alice");
        assert_eq!(short(Some("anthropic.claude-v2")), "anthropic.claude-v2");
        assert_eq!(short(Some("//")), "//");
        assert_eq!(short(None), "unknown");
    }
}
