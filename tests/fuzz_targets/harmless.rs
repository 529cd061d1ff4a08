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

/// `text` as people read it; `references` and the bucket are our own.
#[track_caller]
pub fn check_text(text: &str, references: &[&str]) {
    check_characters(text);
    let ours = references.iter().copied().chain(["s3://logs/"]);
    let text = ours.fold(text.to_owned(), |text, link| text.replace(link, ""));
    let lower = text.to_lowercase();
    for trap in ["://", "mailto:"] {
        assert!(!lower.contains(trap), "{trap}: {text}");
    }
    assert_eq!(live_host(&text), None, "{text}");
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
    let chat: Value = serde_json::from_str(text("https")).expect("JSON");
    for shown in [&chat["content"]["title"], &chat["content"]["description"], &chat["metadata"]["summary"]] {
        let shown = shown.as_str().expect("text");
        check_text(shown, references);
        assert!(!["<", "@here", "@channel", "@everyone"].iter().any(|trap| shown.contains(trap)), "{shown}");
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
    let block = alert.block(Layout { columns: 80, colour: false });
    for text in [&block, &alert.line()] {
        check_characters(text);
        let lower = text.replacen("s3://", "", 1).to_lowercase();
        assert!(!lower.contains("://") && !lower.contains("mailto:"), "{text}");
    }
    assert_eq!(alert.line().lines().count(), 1);
    let document = alert.document();
    assert_eq!(document.lines().count(), 1);
    check_characters(&document);
    let _: Value = serde_json::from_str(&document).expect("JSON");
}
