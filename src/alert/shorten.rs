//! Fits ids and file names into a few columns without losing what distinguishes them.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const MARK: &str = "…";
/// Where a name may be broken. Folders and ARN parts are better places than the dots and hyphens inside
/// them.
const SEPARATORS: [&str; 3] = ["/", "/:", "/:.-_+=,@# "];

/// `text` in at most `columns` columns of a terminal. A longer one loses whole words from its
/// middle: ids differ at their end, as ARNs, paths and model versions do. A single word that is
/// itself too long loses its middle.
#[must_use]
pub fn shorten(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    SEPARATORS
        .iter()
        .find_map(|separators| without_middle_words(text, columns, separators))
        .unwrap_or_else(|| without_middle(text, columns))
}

/// A caller as people know it: an ARN without what all ARNs of the account share, and without the
/// word that only says a role was assumed.
#[must_use]
pub fn resource(id: &str) -> &str {
    let resource = if id.starts_with("arn:") { id.splitn(6, ':').nth(5).unwrap_or(id) } else { id };
    resource.strip_prefix("assumed-role/").filter(|rest| !rest.is_empty()).unwrap_or(resource)
}

fn without_middle_words(text: &str, columns: usize, separators: &str) -> Option<String> {
    let room = columns.checked_sub(MARK.width())?;
    let found: Vec<(usize, char)> =
        text.char_indices().filter(|(_, character)| separators.contains(*character)).collect();
    let heads = || found.iter().map(|(at, character)| at.saturating_add(character.len_utf8()));
    // A name without the dot or hyphen before it still reads as a name, a path does not.
    let tails =
        || found.iter().map(|(at, character)| at.saturating_add(usize::from(!"/:".contains(*character))));
    // The first folder of a path may take a third of the room.
    let head_width = |at: usize| text.get(..at).map_or(usize::MAX, UnicodeWidthStr::width);
    let tail_width = |at: usize| text.get(at..).map_or(usize::MAX, UnicodeWidthStr::width);
    let first = heads().find(|at| *at > 1).filter(|at| head_width(*at) <= columns / 3);
    let tail = [first.filter(|_| separators.len() == 1).unwrap_or(0), 0].into_iter().find_map(|head| {
        let room = room.checked_sub(head_width(head))?;
        tails().find(|at| *at >= head && *at < text.len() && tail_width(*at) <= room)
    })?;
    let kept = tail_width(tail);
    // An end that leaves half the room empty says less than one that begins at a finer separator.
    if kept.saturating_mul(2) < columns {
        return None;
    }
    let head = heads().rfind(|at| *at <= tail && head_width(*at) <= room.saturating_sub(kept)).unwrap_or(0);
    Some(format!("{}{MARK}{}", text.get(..head)?, text.get(tail..)?))
}

fn without_middle(text: &str, columns: usize) -> String {
    let Some(room) = columns.checked_sub(MARK.width()) else { return String::new() };
    let head = taken(text.chars(), room / 3);
    let tail: String = taken(text.chars().rev(), room.saturating_sub(head.width())).chars().rev().collect();
    format!("{head}{MARK}{tail}")
}

/// As many characters as fit into `room` columns.
fn taken(characters: impl Iterator<Item = char>, mut room: usize) -> String {
    let fits = |character: &char| {
        let left = room.checked_sub(character.width().unwrap_or(0));
        room = left.unwrap_or(0);
        left.is_some()
    };
    characters.take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, columns: usize, expected: &str) {
        let short = shorten(text, columns);
        assert_eq!(short, expected);
        assert!(short.width() <= columns, "{} columns: {short}", short.width());
    }

    #[test]
    fn what_fits_stays_whole() {
        check("anthropic.claude-v2", 19, "anthropic.claude-v2");
        check("", 0, "");
    }

    #[test]
    fn a_path_keeps_its_first_folder_and_its_file() {
        check("logs/AWSLogs/111122223333/x/2025/06/a.json.gz", 30, "logs/…/x/2025/06/a.json.gz");
        check("/srv/logs/deep/down/a.json.gz", 24, "/srv/…/down/a.json.gz");
    }

    #[test]
    fn a_model_keeps_its_version() {
        check("anthropic.claude-3-opus-20240229-v1:0", 28, "…claude-3-opus-20240229-v1:0");
        check("anthropic.claude-3-opus-20240229-v1:0", 20, "…opus-20240229-v1:0");
        check(
            "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/a1b2c3d4e5f6",
            31,
            "…inference-profile/a1b2c3d4e5f6",
        );
    }

    #[test]
    fn a_session_keeps_its_role_where_there_is_room() {
        check("SupportChatbot/i-0a1b2c3d4e5f67890", 30, "…/i-0a1b2c3d4e5f67890");
        check("team/eu/SupportChatbot/i-0a1b2c3d4e5f67890", 41, "team/…/SupportChatbot/i-0a1b2c3d4e5f67890");
    }

    #[test]
    fn one_endless_word_loses_its_middle() {
        check(&"x".repeat(2000), 10, "xxx…xxxxxx");
        check(&format!("a/{}end", "x".repeat(2000)), 10, "a/x…xxxend");
        check("abc", 1, "…");
        check("abc", 0, "");
    }

    #[test]
    fn wide_characters_count_twice() {
        check("模型模型模型/模型", 10, "…/模型");
        check("模型模型模型", 7, "模…模型");
    }

    #[test]
    fn a_caller_is_known_by_role_and_session_or_by_user() {
        for (id, expected) in [
            ("arn:aws:sts::111122223333:assumed-role/SupportChatbot/i-0a1b", "SupportChatbot/i-0a1b"),
            ("arn:aws:iam::111122223333:user/team/alice", "user/team/alice"),
            ("arn:aws:iam::111122223333:root", "root"),
            ("arn:aws:sts::111122223333:assumed-role/", "assumed-role/"),
            ("arn:short", "arn:short"),
            ("unknown", "unknown"),
        ] {
            assert_eq!(resource(id), expected);
        }
    }
}
