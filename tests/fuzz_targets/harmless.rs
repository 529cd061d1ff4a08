//! What no text may hold that people or programs are shown, whoever wrote the ids in it.

use bedrock_denial_watch::alert::terminal::Layout;
use bedrock_denial_watch::alert::{Alert, MAX_MESSAGE_BYTES, Message};
use serde_json::Value;

/// What no output may hold: code points from Unicode's own tables, written out so that the test does not
/// lean on the crate that the code uses.
fn is_forbidden(character: char) -> bool {
    if matches!(character, ' '..='~') {
        return false;
    }
    let code = u32::from(character);
    let is_noncharacter = code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code);
    is_noncharacter
        || (character.is_control() && character != '\n')
        || matches!(code,
            0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
            | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb
            | 0xe0000..=0xe0fff)
}

fn is_of_host(character: char) -> bool {
    character.is_alphanumeric() || ".-。．｡".contains(character)
}

/// The host name that a mail client or chat would turn into a link in `text`, if any. The top-level domains are
/// those the cases use.
fn live_host(text: &str) -> Option<&str> {
    text.split(|character| !is_of_host(character)).find(|host| {
        let start = host.as_ptr() as usize - text.as_ptr() as usize;
        let (before, after) = (&text[..start], &text[start + host.len()..]);
        // The address of a person, whose link only opens a draft.
        let is_address = before.strip_suffix('@').is_some_and(|local| local.ends_with(char::is_alphanumeric));
        let labels: Vec<&str> = host.split(['.', '。', '．', '｡']).collect();
        // At the end of a sentence it is a word.
        let is_www = labels.windows(2).any(|pair| pair[0].eq_ignore_ascii_case("www") && !pair[1].is_empty());
        let is_domain = labels.windows(2).any(|pair| {
            let domain = pair[1].split('-').next().unwrap_or_default().to_lowercase();
            let is_known = ["com", "io", "org", "рф"].contains(&&*domain) || pair[1].starts_with("xn--");
            !pair[0].is_empty() && is_known
        });
        is_www || (is_domain && (!is_address || after.starts_with('/')))
    })
}

#[track_caller]
pub fn check_characters(text: &str) {
    let found = text.chars().find(|character| is_forbidden(*character));
    assert_eq!(found, None, "{text:?}");
}

/// Schemes that mail clients, chats, phones or terminals detect without slashes behind them.
const SCHEMES: [&str; 22] = [
    "callto",
    "data",
    "facetime",
    "feed",
    "file",
    "geo",
    "gopher",
    "h323",
    "javascript",
    "ldap",
    "mailto",
    "news",
    "nntp",
    "notes",
    "onenote",
    "outlook",
    "sip",
    "skype",
    "sms",
    "tel",
    "telnet",
    "webcal",
];

/// The scheme in `text` that something follows, if any. A colon after brackets or at the end of a word is prose.
fn live_scheme(text: &str) -> Option<&str> {
    text.match_indices(':').find_map(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + 1..]);
        let word = before.rsplit(|one: char| !one.is_ascii_alphanumeric()).next().unwrap_or_default();
        let followed = after.chars().next().is_some_and(|next| !next.is_whitespace() && next != ':');
        let known = SCHEMES.iter().any(|scheme| word.to_ascii_lowercase().ends_with(scheme));
        (followed && known).then_some(word)
    })
}

/// The number in `text` that a phone would offer to call, if any: one with a plus sign, or one that the cases
/// use, however it is written. Stuck to letters, or as part of an account id, it is none.
fn live_number(text: &str) -> Option<&str> {
    let is_part = |one: char| one.is_ascii_digit() || "+-. ()/[]".contains(one);
    text.split(|one| !is_part(one)).find(|part| {
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let after_plus = part.split('+').skip(1).any(|number| digits(number).len() >= 7);
        let start = part.as_ptr() as usize - text.as_ptr() as usize;
        let stuck = text[..start].ends_with(|one: char| one.is_ascii_alphabetic())
            || text[start + part.len()..].starts_with(|one: char| one.is_ascii_alphabetic());
        let is_account = |run: &str| run.len() == 12 && run.bytes().all(|one| one.is_ascii_digit());
        let runs: String = part
            .split_inclusive(|one: char| !one.is_ascii_digit())
            .filter(|run| !is_account(run.trim_end_matches(|one: char| !one.is_ascii_digit())))
            .collect();
        after_plus || (!stuck && digits(&runs).contains("5550199"))
    })
}

/// What people see as nothing, or as a stain on the lines around it: characters without a shape, and a third
/// mark on one letter.
fn stain(text: &str) -> Option<char> {
    let is_mark = |one: &char| {
        matches!(u32::from(*one), 0x300..=0x36f | 0x483..=0x489 | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff
            | 0x20d0..=0x20ff | 0xfe20..=0xfe2f)
    };
    let characters: Vec<char> = text.chars().collect();
    let piled = characters.windows(3).find(|three| three.iter().all(is_mark)).map(|three| three[2]);
    let blanks =
        ['\u{2800}', '\u{fffc}', '\u{1d159}', '\u{13441}', '\u{13442}', '\u{16fe4}', '\u{a0}', '\u{3000}'];
    piled.or(characters.into_iter().find(|one| blanks.contains(one)))
}

/// `line` without the page of AWS's console at its end, if there is one that names nothing else.
fn without_page(line: &str) -> &str {
    let Some((before, page)) = line.split_once("https://") else { return line };
    let Some((host, path)) = page.split_once('/') else { return line };
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "/_=-?#%".contains(one);
    let is_console = host.strip_suffix("console.aws.amazon.com").is_some_and(|region| {
        region
            .strip_suffix('.')
            .unwrap_or(region)
            .chars()
            .all(|one| one.is_ascii_alphanumeric() || one == '-')
    });
    let is_page = is_console && path.chars().all(is_plain) && live_host(path).is_none();
    if is_page { before } else { line }
}

/// `text` as people read it; `references`, the bucket and the console's pages are our own.
#[track_caller]
pub fn check_text(text: &str, references: &[&str]) {
    check_characters(text);
    let ours = references.iter().copied().chain(["s3://logs/"]);
    let text: String = text.lines().map(|line| without_page(line).to_owned() + "\n").collect();
    let text = ours.fold(text, |text, link| text.replace(link, ""));
    for trap in ["://", r"\\"] {
        assert!(!text.contains(trap), "{trap}: {text}");
    }
    assert_eq!(live_scheme(&text), None, "{text}");
    assert_eq!(live_host(&text), None, "{text}");
    assert_eq!(live_number(&text), None, "{text}");
    assert_eq!(stain(&text), None, "{text:?}");
}

#[track_caller]
pub fn check_chat(chat: &str, references: &[&str]) {
    let chat: Value = serde_json::from_str(chat).expect("JSON");
    for shown in [&chat["content"]["title"], &chat["content"]["description"], &chat["metadata"]["summary"]] {
        let shown = shown.as_str().expect("text");
        check_text(shown, references);
        assert!(!["<", "@here", "@channel", "@everyone"].iter().any(|trap| shown.contains(trap)), "{shown}");
    }
}

#[track_caller]
pub fn check_message(message: &Message, references: &[&str]) {
    assert!(message.body.len() < MAX_MESSAGE_BYTES, "{} bytes", message.body.len());
    let body: Value = serde_json::from_str(&message.body).expect("JSON");
    let text = |name: &str| body[name].as_str().expect("text");
    let subject = &message.subject;
    assert!(subject.len() < 100 && subject.chars().all(|one| matches!(one, ' '..='~')), "{subject}");
    assert!(text("sms").len() <= 160 && text("sms").is_ascii(), "{}", text("sms"));
    for shown in [subject, text("email"), text("email-json"), text("sms")] {
        check_text(shown, references);
    }
    // Only people's messages have it.
    if let Some(chat) = body["https"].as_str() {
        check_chat(chat, references);
    }
    // For programs, ids stay as logged, except for what a queue refuses; `reason` is for people.
    check_characters(text("default"));
    let document: Value = serde_json::from_str(text("default")).expect("JSON");
    check_text(document["event"]["reason"].as_str().expect("text"), references);
    for (_, value) in &message.attributes {
        check_characters(value);
        assert!(!value.is_empty());
    }
}

/// What `replay` prints of an alert, for people and for programs.
#[track_caller]
pub fn check_alert(alert: &Alert<'_>) {
    let (block, line) = (alert.block(Layout { columns: 80, colour: false }), alert.line());
    assert_eq!(line.lines().count(), 1);
    // The object has a path of AWS's, which must be whole.
    let ids: String =
        block.lines().filter(|row| !row.starts_with("  File ")).map(|row| row.to_owned() + "\n").collect();
    let (facts, path) = line.rsplit_once(" file=").expect("a file");
    for text in [&*ids, facts] {
        check_text(text, &[]);
    }
    check_characters(path);
    assert!(!path.replacen("s3://", "", 1).contains("://") && live_scheme(path).is_none(), "{path}");
    let document = alert.document();
    assert_eq!(document.lines().count(), 1);
    check_characters(&document);
    let _: Value = serde_json::from_str(&document).expect("JSON");
}
