//! Makes ids, which come from callers, safe to show.

use std::borrow::Cow;
use std::net::IpAddr;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use super::links::{unlinked, unschemed};
use crate::count::evidence::Kind;

/// Shown for a value missing from the log record.
pub const UNKNOWN: &str = "unknown";
/// The longest name of an object in the JSON document, in bytes. A key in S3 has up to 1,024.
pub const DOCUMENT_BYTES: usize = 2048;
/// The longest id in text for people, in bytes.
pub const TEXT_BYTES: usize = 256;
/// The longest name of a caller in a subject or SMS, in characters.
const NAME_CHARACTERS: usize = 40;

/// A value to show. Callers choose parts of ids, so the only way from a value to text is as one channel
/// escapes it.
#[derive(Clone, Debug)]
pub struct Shown<'a>(Content<'a>);

#[derive(Clone, Debug)]
enum Content<'a> {
    /// Our own words and figures.
    Ours(Cow<'a, str>),
    Id(Option<&'a str>),
    /// Who called: in phrases known as [`known_as`].
    Caller(Option<&'a str>),
    /// Gets more room in a subject than other ids.
    Model(Option<&'a str>),
    /// An address where AWS logs one: no name, and shown as it is.
    Address(&'a str),
    Object(&'a str),
}

impl<'a> Shown<'a> {
    /// Our own words and figures, which no channel changes.
    pub fn ours(text: impl Into<Cow<'a, str>>) -> Self {
        Self(Content::Ours(text.into()))
    }

    /// An id; `None` if it is missing.
    #[must_use]
    pub const fn id(value: Option<&'a str>) -> Self {
        Self(Content::Id(value))
    }

    /// Who called, in a phrase.
    #[must_use]
    pub const fn caller(value: Option<&'a str>) -> Self {
        Self(Content::Caller(value))
    }

    /// A model.
    #[must_use]
    pub const fn model(value: Option<&'a str>) -> Self {
        Self(Content::Model(value))
    }

    /// The name of an object.
    #[must_use]
    pub const fn object(name: &'a str) -> Self {
        Self(Content::Object(name))
    }

    /// What a record shows.
    #[must_use]
    pub fn evidence(kind: Kind, value: &'a str) -> Self {
        let is_address = kind == Kind::SourceIp && value.parse::<IpAddr>().is_ok();
        Self(if is_address { Content::Address(value) } else { Content::Id(Some(value)) })
    }

    /// For an email: readable and without links.
    #[must_use]
    pub fn whole(&self) -> String {
        match &self.0 {
            Content::Ours(text) => text.to_string(),
            Content::Address(address) => (*address).to_owned(),
            Content::Id(id) | Content::Caller(id) | Content::Model(id) => shown(*id),
            Content::Object(name) => object(name),
        }
    }

    /// As [`Self::whole`], ids by the part that people recognise.
    #[must_use]
    pub fn short(&self) -> String {
        match self.0 {
            Content::Id(id) => short(id),
            Content::Caller(id) => known_as(id),
            Content::Model(id) => model_name(id),
            _ => self.whole(),
        }
    }

    /// For a subject or SMS: as [`Self::short`], ids in ASCII and a model in so many characters.
    #[must_use]
    pub fn ascii(&self, model_characters: usize) -> String {
        match self.0 {
            Content::Model(id) => ascii(&model_name(id), model_characters),
            Content::Caller(id) => ascii(&known_as(id), NAME_CHARACTERS),
            Content::Id(id) => ascii(&short(id), NAME_CHARACTERS),
            _ => self.whole(),
        }
    }

    /// For chat: ids in code spans, each of at most `bytes`.
    #[must_use]
    pub fn chat(&self, bytes: usize) -> String {
        match self.0 {
            Content::Id(id) | Content::Model(id) => code(id.map(|id| plain(id, bytes)).as_deref()),
            Content::Caller(id) => code(Some(&known_as(id))),
            Content::Address(address) => span(address),
            _ => self.whole(),
        }
    }

    /// For a terminal: as long as it is, without what acts there.
    #[must_use]
    pub fn terminal(&self) -> String {
        match self.0 {
            Content::Id(id) | Content::Caller(id) | Content::Model(id) => shown_whole(id, DOCUMENT_BYTES),
            // Host names stay, so that the path of a file can be copied.
            Content::Object(name) => {
                let (scheme, rest) = without_scheme(name);
                scheme.to_owned() + &unschemed(&readable(rest, DOCUMENT_BYTES))
            }
            _ => self.whole(),
        }
    }

    /// For programs: as logged, but for what a queue refuses; `None` if it is missing.
    #[must_use]
    pub fn program(&self, bytes: usize) -> Option<String> {
        match &self.0 {
            Content::Ours(text) => Some(text.to_string()),
            Content::Id(id) | Content::Caller(id) | Content::Model(id) => id.map(|id| plain(id, bytes)),
            Content::Address(text) | Content::Object(text) => Some(plain(text, bytes)),
        }
    }
}

/// `text` without characters that are invisible, that change the text around them, or that a queue
/// refuses; cut to at most `limit` bytes. For programs; people see [`readable`] text.
#[must_use]
pub fn plain(text: &str, limit: usize) -> String {
    let mut shown = text.to_owned();
    shown.retain(|character| !is_unsafe(character));
    cut(shown, limit)
}

/// `text` as people can read it: [`plain`], without what draws nothing, with one space where there are several,
/// and with no more marks on a letter than languages need.
#[must_use]
pub fn readable(text: &str, limit: usize) -> String {
    let mut shown = String::with_capacity(text.len());
    // What marks would stand on, and how many do.
    let (mut has_base, mut marks) = (false, 0_usize);
    for character in text.chars().filter(|character| !is_unsafe(*character) && !is_blank(*character)) {
        if is_mark(character) {
            marks = marks.saturating_add(1);
            if !has_base || marks > MAX_MARKS {
                continue;
            }
        } else if !is_spacing_mark(character) {
            marks = 0;
            has_base = !character.is_whitespace();
        }
        if !character.is_whitespace() {
            shown.push(character);
        } else if !shown.ends_with(' ') {
            shown.push(' ');
        }
    }
    cut(shown, limit)
}

/// `text` cut to at most `limit` bytes, with `…` where something is missing.
fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let mark = '…';
        text.truncate(text.floor_char_boundary(limit.saturating_sub(mark.len_utf8())));
        text.push(mark);
    }
    text
}

/// The most marks on one letter: two, as in Vietnamese. More of them cover the lines above and below.
const MAX_MARKS: usize = 2;

fn is_mark(character: char) -> bool {
    !character.is_ascii()
        && matches!(
            character.general_category(),
            GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark
        )
}

fn is_spacing_mark(character: char) -> bool {
    !character.is_ascii() && character.general_category() == GeneralCategory::SpacingMark
}

/// Letters and symbols that fonts draw as nothing, or as nothing by themselves: the Braille pattern without dots,
/// the object replacement character, a musical note without a head, blank hieroglyphs, a filler. Source: the
/// charts of The Unicode Standard.
fn is_blank(character: char) -> bool {
    matches!(character, '\u{2800}' | '\u{fffc}' | '\u{1d159}' | '\u{13441}'..='\u{13442}' | '\u{16fe4}')
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

/// A value for people: readable, without links, and `unknown` if it is missing or nothing is left.
#[must_use]
pub fn shown(value: Option<&str>) -> String {
    shown_whole(value, TEXT_BYTES)
}

/// As [`shown`], in at most `limit` bytes before links are broken up.
#[must_use]
pub fn shown_whole(value: Option<&str>, limit: usize) -> String {
    named(unlinked(&readable(value.unwrap_or(UNKNOWN), limit)))
}

fn named(text: String) -> String {
    if text.trim().is_empty() { "\"\"".to_owned() } else { text }
}

/// An object's name for people; the `s3://` is ours.
#[must_use]
pub fn object(name: &str) -> String {
    let (scheme, rest) = without_scheme(name);
    scheme.to_owned() + &unlinked(&readable(rest, 4 * TEXT_BYTES))
}

/// An object's name as `s3://` or nothing, and the rest.
fn without_scheme(name: &str) -> (&str, &str) {
    name.split_at_checked(if name.starts_with("s3://") { 5 } else { 0 }).unwrap_or(("", name))
}

/// A value for chat: in a code span, where markup has no effect, with nothing left that would end the
/// span, make a link or mention anyone.
///
/// Source: Slack's formatting reference, which asks you to escape `&`, `<` and `>`.
#[must_use]
pub fn code(value: Option<&str>) -> String {
    code_within(value, TEXT_BYTES)
}

/// The same, in at most `limit` bytes before what acts is broken up.
fn code_within(value: Option<&str>, limit: usize) -> String {
    let text = readable(value.unwrap_or(UNKNOWN), limit);
    // Before links: what broke up an address would leave the name of its host.
    let unmentioned = CHANNELS
        .iter()
        .fold(text, |text, channel| text.replace(&format!("@{channel}"), &format!("[@]{channel}")));
    span(&named(unlinked(&unmentioned)))
}

/// One of our commands in a code span; `None` if something in it would act in a chat.
#[must_use]
pub fn command(text: &str) -> Option<String> {
    Some(code_within(Some(text), usize::MAX)).filter(|shown| *shown == format!("`{text}`"))
}

/// `text` in a code span.
fn span(text: &str) -> String {
    let mut span = String::from("`");
    for character in text.chars() {
        match character {
            '&' => span.push_str("&amp;"),
            '<' => span.push_str("&lt;"),
            '>' => span.push_str("&gt;"),
            '`' => span.push('\''),
            other => span.push(other),
        }
    }
    span.push('`');
    span
}

/// The words that would notify a whole channel.
const CHANNELS: [&str; 3] = ["channel", "here", "everyone"];

/// `text` in printable ASCII and without links, at most `limit` characters.
#[must_use]
pub fn ascii(text: &str, limit: usize) -> String {
    let printable = |character: char| {
        if matches!(character, ' '..='~') { character } else { '?' }
    };
    let whole: String = readable(text, usize::MAX).chars().map(printable).collect();
    let shown = unlinked(&whole);
    if shown.len() <= limit {
        return shown;
    }
    // A cut may leave a shorter name that is a link, and breaking that up takes room: the text may grow while
    // less and less of it is kept.
    let most = whole.len().min(limit.saturating_sub(CUT.len()));
    let cuts = (0..=most).rev().filter_map(|kept| whole.get(..kept));
    let shown = cuts.map(|kept| unlinked(&format!("{kept}{CUT}"))).find(|shown| shown.len() <= limit);
    shown.unwrap_or_default()
}

/// Where a text of ASCII was cut.
const CUT: &str = "...";

/// The part of an ARN or model id that people recognise: what follows the last `/`, or else the account of an ARN.
#[must_use]
pub fn short(value: Option<&str>) -> String {
    let text = shown(value);
    let resource = if text.starts_with("arn:") { text.splitn(6, ':').nth(5) } else { None };
    let rest = resource.filter(|resource| !resource.trim().is_empty()).unwrap_or(&text);
    rest.rsplit('/').find(|part| !part.trim().is_empty()).unwrap_or(rest).to_owned()
}

/// A caller as people know it: `App (i-0a1b)` for a session of a role, `App` for a role, `ci/build` for an IAM user,
/// `ann (Developer)` for a person with a permission set.
#[must_use]
pub fn known_as(value: Option<&str>) -> String {
    let text = shown(value);
    let resource = if text.starts_with("arn:") { text.splitn(6, ':').nth(5) } else { None };
    if let Some(role) = resource.and_then(|resource| resource.strip_prefix("assumed-role/")) {
        return match role.split_once('/') {
            Some((role, session)) => match person(role) {
                Some(permission_set) => format!("{session} ({permission_set})"),
                None => format!("{role} ({session})"),
            },
            None => role.to_owned(),
        };
    }
    match resource.and_then(|resource| resource.strip_prefix("user/")) {
        Some(user) if !user.trim().is_empty() => user.to_owned(),
        _ => short(value),
    }
}

/// The permission set of a role that IAM Identity Center assigns to people.
fn person(role: &str) -> Option<&str> {
    role.strip_prefix("AWSReservedSSO_")?.rsplit_once('_').map(|(permission_set, _)| permission_set)
}

/// A model as people know it: its id without the provider, the date and the version, `claude-3-opus`.
#[must_use]
pub fn model_name(value: Option<&str>) -> String {
    let text = short(value);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_provider = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let name = match text.split_once('.') {
        Some((provider, name)) if is_provider(provider) && !name.is_empty() => name,
        _ => return text,
    };
    let Some((name, _)) = name.split_once(':') else { return name.to_owned() };
    let versioned = name.rsplit_once("-v").filter(|(head, version)| !head.is_empty() && is_number(version));
    let name = versioned.map_or(name, |(head, _)| head);
    let dated =
        name.rsplit_once('-').filter(|(head, date)| !head.is_empty() && date.len() == 8 && is_number(date));
    dated.map_or(name, |(head, _)| head).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_know_a_caller_by_its_names_and_a_model_by_its_family() {
        for (arn, expected) in [
            ("arn:aws:sts::1:assumed-role/App/i-0a1b", "App (i-0a1b)"),
            ("arn:aws:sts::1:assumed-role/App", "App"),
            ("arn:aws:sts::1:assumed-role/AWSReservedSSO_Developer_0123456789abcdef/ann", "ann (Developer)"),
            ("arn:aws:iam::1:user/ci/build", "ci/build"),
            ("arn:aws:sts::1:federated-user/eve", "eve"),
            ("arn:aws:iam::1:root", "root"),
            ("eve", "eve"),
        ] {
            assert_eq!(known_as(Some(arn)), expected);
        }
        assert_eq!(known_as(None), "unknown");
        for (id, expected) in [
            ("anthropic.claude-3-opus-20240229-v1:0", "claude-3-opus"),
            ("amazon.nova-lite-v1:0", "nova-lite"),
            ("anthropic.claude-v2", "claude-v2"),
            ("meta.llama3-1-405b-instruct-v1:0", "llama3-1-405b-instruct"),
            ("arn:aws:bedrock:us-east-1:1:provisioned-model/x1", "x1"),
            ("x", "x"),
        ] {
            assert_eq!(model_name(Some(id)), expected, "{id}");
        }
    }

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
    fn the_scheme_of_an_object_is_ours() {
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
