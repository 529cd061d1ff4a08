//! One id, as each channel shows it: no panic, no limit passed, nothing that acts.

use bedrock_denial_watch::alert::links::unlinked;
use bedrock_denial_watch::alert::sanitize::{ascii, code, object, plain, readable, short, shown};
use bedrock_denial_watch::alert::terminal::{fitted, whole};

use super::harmless::{check_characters, check_text};

/// The first byte is the room that the id is shown in, the rest is the id.
pub fn check(input: &[u8]) {
    let Some((room, id)) = input.split_first() else { return };
    let (room, id) = (usize::from(*room), String::from_utf8_lossy(id));
    let narrow = ascii(&id, room);
    assert!(narrow.len() <= room && narrow.chars().all(|one| matches!(one, ' '..='~')), "{room}: {narrow}");
    // A subject holds texts that were cut before.
    let subject = ascii(&format!("[high] Bedrock: {} denied 4 times for {narrow}", short(Some(&id))), 99);
    assert!(subject.len() < 100, "{subject}");
    assert_eq!(unlinked(&unlinked(&id)), unlinked(&id));
    let chat = code(Some(&id));
    assert!(!["<", "@here", "@channel", "@everyone"].iter().any(|trap| chat.contains(trap)), "{chat}");
    let ids = [narrow, subject, chat, shown(Some(&id)), short(Some(&id)), whole(Some(&id)), object(&id)];
    for text in &ids {
        check_text(text, &["s3://"]);
    }
    for text in [shown(Some(&id)), short(Some(&id)), whole(Some(&id))] {
        assert!(!text.trim().is_empty(), "{id:?}");
    }
    check_text(&fitted(&whole(Some(&id)), room), &[]);
    for text in [plain(&id, room), readable(&id, room)] {
        check_characters(&text);
        assert!(text.len() <= room.max('…'.len_utf8()), "{room}: {text}");
    }
}
