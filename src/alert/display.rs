//! Makes ids, which come from callers, safe to show.

use std::fmt::Write;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::log::time::EventTime;

/// Shown for a value missing from the log record.
pub const UNKNOWN: &str = "unknown";
/// The longest name of an object in the JSON document, in bytes. A key in S3 has up to 1,024.
pub const DOCUMENT_BYTES: usize = 2048;
/// The longest id in text for people, in bytes.
pub const TEXT_BYTES: usize = 256;

/// `text` without characters that are invisible, that change the text around them, or that a queue
/// refuses; cut to at most `limit` bytes.
#[must_use]
pub fn plain(text: &str, limit: usize) -> String {
    let mut shown = text.to_owned();
    shown.retain(|character| !is_unsafe(character));
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
/// refuses; and other characters that render as nothing, which make two different ids look alike. Sources: UAX #44;
/// `Default_Ignorable_Code_Point` in Unicode's DerivedCoreProperties.txt; `SendMessage` in the Amazon SQS
/// API reference.
fn is_unsafe(character: char) -> bool {
    // ASCII is nearly all there is, and needs no table.
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    matches!(
        character.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned
    ) || matches!(
        character,
        '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}

/// `text` with nothing left that a mail client, a chat or a phone would turn into a link.
///
/// E-mail addresses stay: honest sessions are named after them, and such a link only opens a draft.
#[must_use]
pub fn unlinked(text: &str) -> String {
    broken_up(text, unlinked_host)
}

/// `text` without the links that a terminal or an editor detects: those with a scheme. Host names
/// stay, so you can search for an id as it is in the log.
#[must_use]
pub fn unschemed(text: &str) -> String {
    broken_up(text, |_, word, _| word.to_owned())
}

/// `text` with its schemes broken up and each word replaced by `host(before, word, after)`.
fn broken_up(text: &str, host: impl Fn(&str, &str, &str) -> String) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (before, _) = text.split_at(text.len() - rest.len());
        let (word, behind) =
            rest.split_at(rest.find(|character| !is_of_host(character)).unwrap_or(rest.len()));
        shown += &host(before, word, behind);
        let Some(separator) = behind.chars().next() else { return shown };
        if behind.starts_with("://") || (separator == ':' && is_scheme(word)) {
            shown += "[:]";
        } else {
            shown.push(separator);
        }
        rest = &behind[separator.len_utf8()..];
    }
}

fn is_of_host(character: char) -> bool {
    character.is_alphanumeric() || character == '-' || is_dot(character)
}

/// The dots of a host name. Source: RFC 3490, section 3.1.
fn is_dot(character: char) -> bool {
    matches!(character, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}')
}

/// Schemes without slashes that mail clients and phones detect.
fn is_scheme(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    word.ends_with("mailto") || matches!(word.as_str(), "tel" | "sms")
}

/// Puts brackets around each dot that makes `word` a host name: the one after `www`, the one before a
/// top-level domain, and the last one before a path.
fn unlinked_host(before: &str, word: &str, behind: &str) -> String {
    let has_path = behind.starts_with('/');
    let labels: Vec<&str> = word.split(is_dot).collect();
    let is_www = |label: &str| label.eq_ignore_ascii_case("www");
    let is_address = is_address(before) && !has_path && !labels.iter().any(|label| is_www(label));
    let dots = word.chars().filter(|character| is_dot(*character));
    let mut shown = labels[0].to_owned();
    // A name may end in a dot.
    let last = labels.iter().rposition(|label| !label.is_empty()).unwrap_or(0);
    for (at, dot) in (1..).zip(dots) {
        let (name, domain) = (labels[at - 1], labels[at]);
        let live = is_www(name)
            || (!is_address && !name.is_empty() && is_top_level(domain))
            || (has_path && at == last && domain.len() > 1 && domain.chars().all(char::is_alphabetic));
        shown += &if live { format!("[{dot}]") } else { dot.to_string() };
        shown += domain;
    }
    shown
}

/// Whether `before` ends in the part of an e-mail address up to its `@`.
fn is_address(before: &str) -> bool {
    before.strip_suffix('@').is_some_and(|local| local.ends_with(char::is_alphanumeric))
}

/// Whether `label` is a top-level domain, or begins with one as far as a link goes. Amazon's own are
/// none here: model ids begin with `us.amazon.`, and nobody else can have a name there.
fn is_top_level(label: &str) -> bool {
    let end = label.find(|character: char| !character.is_alphabetic()).unwrap_or(label.len());
    let (letters, more) = label.split_at(end);
    if label.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("xn--")) || !letters.is_ascii() {
        return true;
    }
    let whole_word = more.is_empty() || more.starts_with('-');
    let amazons = ["amazon", "aws"].iter().any(|own| letters.eq_ignore_ascii_case(own));
    whole_word && !amazons && tld::exist_case_insensitive(letters)
}

/// A value for people: plain, without links, and `unknown` if it is missing or nothing is left.
#[must_use]
pub fn shown(value: Option<&str>) -> String {
    named(unlinked(&plain(value.unwrap_or(UNKNOWN), TEXT_BYTES)))
}

fn named(text: String) -> String {
    if text.trim().is_empty() { "\"\"".to_owned() } else { text }
}

/// An object's name for people; the `s3://` is ours.
#[must_use]
pub fn object(name: &str) -> String {
    let (scheme, rest) = without_scheme(name);
    scheme.to_owned() + &unlinked(&plain(rest, 4 * TEXT_BYTES))
}

/// An object's name as `s3://` or nothing, and the rest.
#[must_use]
pub fn without_scheme(name: &str) -> (&str, &str) {
    name.split_at(if name.starts_with("s3://") { 5 } else { 0 })
}

/// A value for chat: in a code span, where markup has no effect, with nothing left that would end the
/// span, make a link or mention anyone.
///
/// Source: Slack's formatting reference, which asks you to escape `&`, `<` and `>`.
#[must_use]
pub fn code(value: Option<&str>) -> String {
    let text = plain(value.unwrap_or(UNKNOWN), TEXT_BYTES);
    // Before links: what broke up an address would leave the name of its host.
    let unmentioned = CHANNELS
        .iter()
        .fold(text, |text, channel| text.replace(&format!("@{channel}"), &format!("[@]{channel}")));
    let mut text = String::from("`");
    for character in named(unlinked(&unmentioned)).chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '`' => text.push('\''),
            other => text.push(other),
        }
    }
    text.push('`');
    text
}

/// The words that would notify a whole channel.
const CHANNELS: [&str; 3] = ["channel", "here", "everyone"];

/// `text` in printable ASCII and without links, at most `limit` characters.
#[must_use]
pub fn ascii(text: &str, limit: usize) -> String {
    let printable = |character: char| {
        if matches!(character, ' '..='~') { character } else { '?' }
    };
    let whole: String = plain(text, usize::MAX).chars().map(printable).collect();
    let mut shown = unlinked(&whole);
    // A cut may leave a shorter name that is a link, and breaking that up takes room.
    for kept in (0..limit.saturating_sub(2)).rev() {
        if shown.len() <= limit {
            break;
        }
        shown = unlinked(&format!("{}...", &whole[..kept]));
    }
    shown
}

/// The part of an ARN or model id that people recognise: what follows the last `/`, or else the account of an ARN.
#[must_use]
pub fn short(value: Option<&str>) -> String {
    let text = shown(value);
    let resource = if text.starts_with("arn:") { text.splitn(6, ':').nth(5) } else { None };
    let rest = resource.filter(|resource| !resource.is_empty()).unwrap_or(&text);
    rest.rsplit('/').find(|part| !part.is_empty()).unwrap_or(rest).to_owned()
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

/// A list, one item per line.
#[must_use]
pub fn listed(items: &[&str]) -> String {
    items.iter().fold(String::new(), |text, item| text + "  - " + item + "\n")
}

/// A numbered list, one item per line.
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
        assert_eq!(plain("a\n\r\t\u{0}\u{1b}[31mb\u{202e}c\u{2028}d\u{7f}", 100), "a[31mbcd");
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
            '\u{34f}',
            '\u{1160}',
            '\u{17b5}',
            '\u{180b}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{ffa0}',
            '\u{e0100}',
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
            ("www.evil.example, WWW.a.b.", "www[.]evil.example, WWW[.]a.b."),
            ("evil.com", "evil[.]com"),
            ("EVIL.CO.UK. and x", "EVIL[.]CO[.]UK. and x"),
            ("x.evil.com.claude-v2", "x.evil[.]com.claude-v2"),
            ("evil.com-x evil_x.io", "evil[.]com-x evil_x[.]io"),
            ("evil\u{3002}com", "evil[\u{3002}]com"),
            ("\u{43f}.\u{440}\u{444} a.xn--p1ai", "\u{43f}[.]\u{440}\u{444} a[.]xn--p1ai"),
            ("@evil.com", "@evil[.]com"),
            ("a@evil.com/x", "a@evil[.]com/x"),
            ("a@www.evil.com", "a@www[.]evil[.]com"),
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
            "us.amazon.nova-premier-v1:0",
            "meta.llama3-1-405b-instruct-v1:0",
            "192.0.2.7, 2001:db8::1",
            "AWSLogs/a.json.gz",
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
            "`&lt;!channel&gt; &lt;https[:]//evil.example|click&gt; *b* 'x' [@]here`"
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
        assert_eq!(ascii("abcdefgh", 8), "abcdefgh");
    }

    #[test]
    fn a_cut_leaves_no_link() {
        assert_eq!(ascii("evil.commerce", 20), "evil.commerce");
        assert_eq!(ascii("evil.com", 20), "evil[.]com");
        assert_eq!(ascii("evil.commerce", 11), "evil.c...");
        assert_eq!(ascii(&"a.io ".repeat(10), 12), "a[.]io a....");
    }

    #[test]
    fn what_was_broken_up_stays_so() {
        for text in ["https://www.evil.com/x mailto:a@b.io", "a.b.com", "x@y.com/z"] {
            let once = unlinked(text);
            assert_eq!(unlinked(&once), once);
        }
        assert_eq!(unschemed("http://evil.com sms:1"), "http[:]//evil.com sms[:]1");
    }

    #[test]
    fn people_know_an_arn_by_its_last_part() {
        assert_eq!(short(Some("arn:aws:iam::123456789012:user/team/alice")), "alice");
        assert_eq!(short(Some("anthropic.claude-v2")), "anthropic.claude-v2");
        assert_eq!(short(Some("arn:aws:sts::123456789012:federated-user")), "federated-user");
        assert_eq!(short(Some("arn:aws:iam::123456789012:root")), "root");
        assert_eq!(short(Some("arn:aws:iam::1:")), "arn:aws:iam::1:");
        assert_eq!(short(Some("//")), "//");
        assert_eq!(short(None), "unknown");
    }
}
