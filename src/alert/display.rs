//! Ids come from callers: what is done to them before anybody or anything shows them.

use std::fmt::Write;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::log::time::EventTime;

/// Shown for a value that the log record lacks.
pub const UNKNOWN: &str = "unknown";
/// The longest name of an object in the JSON document, in bytes. A key in S3 has up to 1,024.
pub const DOCUMENT_BYTES: usize = 2048;
/// The longest id in a text that people read, in bytes.
pub const TEXT_BYTES: usize = 256;

/// `text` without characters that nobody sees, that act on what stands around them, or that a
/// queue refuses; cut to at most `limit` bytes.
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

/// Control characters, direction marks, zero-width characters and tags (`Cf`), line and paragraph
/// separators, private use, and what Unicode does not assign, noncharacters among them, which SQS
/// refuses. Sources: UAX #44; `SendMessage` in the Amazon SQS API reference.
fn is_unsafe(character: char) -> bool {
    matches!(
        character.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned
    )
}

/// `text` with nothing left in it that a mail client or a telephone makes a link of.
///
/// E-mail addresses stay as they are: honest sessions are named by them, and a link of one only
/// opens a draft.
#[must_use]
pub fn unlinked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|character| !is_of_host(character)) {
        let (word, behind) = rest.split_at(at);
        shown += &unlinked_word(word, behind);
        let separator = behind.chars().next().map_or(0, char::len_utf8);
        let scheme = behind.starts_with("://") || (behind.starts_with(':') && is_scheme(word));
        shown += if scheme { "[:]" } else { &behind[..separator] };
        rest = &behind[separator..];
    }
    shown + &unlinked_word(rest, "")
}

fn is_of_host(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '.' | '-')
}

/// Schemes that are followed by no slashes, and that mail clients and telephones look for.
fn is_scheme(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    word.ends_with("mailto") || matches!(word.as_str(), "tel" | "sms")
}

/// A host's name, told by its `www.` or by the path behind it, loses the last dot that makes it one.
fn unlinked_word(word: &str, behind: &str) -> String {
    let is_www = word.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("www."));
    match word.trim_end_matches('.').rsplit_once('.') {
        Some((host, domain)) if is_www || (behind.starts_with('/') && is_top_level(domain)) => {
            format!("{host}[.]{domain}{}", &word[host.len() + 1 + domain.len()..])
        }
        _ => word.to_owned(),
    }
}

fn is_top_level(domain: &str) -> bool {
    domain.len() > 1 && domain.chars().all(char::is_alphabetic)
}

/// A value for people: plain, without links, and `unknown` where it is missing or nothing is left
/// of it.
#[must_use]
pub fn shown(value: Option<&str>) -> String {
    let text = unlinked(&plain(value.unwrap_or(UNKNOWN), TEXT_BYTES));
    if text.trim().is_empty() { "\"\"".to_owned() } else { text }
}

/// The name of an object for people; the `s3://` is ours.
#[must_use]
pub fn object(name: &str) -> String {
    let (scheme, rest) = name.split_at(if name.starts_with("s3://") { 5 } else { 0 });
    scheme.to_owned() + &unlinked(&plain(rest, 4 * TEXT_BYTES))
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
        for unsafe_one in [
            '\u{85}',
            '\u{ad}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{200f}',
            '\u{2029}',
            '\u{2060}',
            '\u{2066}',
            '\u{feff}',
            '\u{fff9}',
            '\u{fdd0}',
            '\u{fffe}',
            '\u{ffff}',
            '\u{1ffff}',
            '\u{e000}',
            '\u{e0041}',
            '\u{10ffff}',
        ] {
            assert_eq!(plain(&format!("a{unsafe_one}b"), 100), "ab", "{unsafe_one:?}");
        }
        for fine in ["naïve 模型 🙂 a\u{301}", "\u{fffd}"] {
            assert_eq!(plain(fine, 100), fine);
        }
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(plain("äöü", 6), "äöü");
        assert_eq!(plain("äöüß", 7), "äö…");
        assert_eq!(plain("abcdefgh", 7), "abcd…");
    }

    #[test]
    fn nothing_in_a_text_becomes_a_link() {
        for (text, expected) in [
            ("Verify at https://evil.example/x", "Verify at https[:]//evil[.]example/x"),
            ("HTTP://evil.example", "HTTP[:]//evil.example"),
            ("www.evil.example, WWW.a.b.", "www.evil[.]example, WWW.a[.]b."),
            ("evil.example/login?x=1", "evil[.]example/login?x=1"),
            ("mailto:x@y.example tel:+15550100", "mailto[:]x@y.example tel[:]+15550100"),
            ("xMailTo:a", "xMailTo[:]a"),
            ("://", "[:]//"),
        ] {
            assert_eq!(unlinked(text), expected);
        }
        for honest in [
            "arn:aws:sts::111122223333:assumed-role/App/alice@example.com",
            "arn:aws:iam::111122223333:user/first.last",
            "us.anthropic.claude-3-opus-20240229-v1:0",
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2:1",
            "Boto3/1.38.27 md/Botocore#1.38.27 lib/1.2/x",
            "",
        ] {
            assert_eq!(unlinked(honest), honest);
        }
        assert_eq!(object("s3://logs/a/https://x"), "s3://logs/a/https[:]//x");
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
