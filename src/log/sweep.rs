//! Finds the object around an error code in a CloudTrail log file without parsing the file.
//!
//! A file of many megabytes holds the records of all services. Following its strings and brackets
//! would cost as much as decompressing it. So the sweep searches for the key `errorCode`, and finds the
//! object around it only if the code is one of those wanted.
//!
//! **Why no refusal in valid JSON is missed.** AWS writes keys and codes without escapes, so a
//! refusal holds `"errorCode"`, white space, a colon, white space, and a quote with the code. In
//! valid JSON, a quote without a backslash before it opens or closes a string, and no letter follows
//! a closing quote. So such a quote followed by `errorCode"` opens a string; the text before it and
//! after its end is outside strings. From there, both directions can be walked whatever the strings
//! contain: inside a string, every quote has a backslash before it, so a backward walk also knows
//! where the string began. And `errorCode` is a direct member of its record, so the innermost object
//! around the key is the whole record.
//!
//! There is no guarantee for invalid JSON, but if a walk fails, the file is read again thoroughly.

use memchr::memmem::Finder;
use memchr::memrchr;

/// How much text to keep before the sweep's position for walking back. A record that AWS writes has
/// less than 4 KB before its `errorCode`.
pub const HISTORY_BYTES: usize = 16 * 1024;

/// With more white space than this around a code's colon, the thorough reading takes over.
const SPACE_BYTES: usize = 1024;

/// Every CloudTrail record has this key, and usually nothing else does. Source: "CloudTrail record
/// contents" in the AWS CloudTrail user guide.
const RECORD_KEY: &str = "\"eventVersion\"";

/// Without its closing quote: if an envelope carries the record as text, a backslash precedes it.
const CODE_KEY: &str = "\"errorCode";

/// The search terms. Two single searches are many times faster than one combined search.
pub struct Sweep {
    record_key: Finder<'static>,
    code_key: Finder<'static>,
    value_starts: Vec<String>,
}

/// The surroundings of an error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    /// Not one of the wanted codes.
    Nothing,
    /// A wanted code, in the object that begins here.
    Object(usize),
    /// The code has not fully arrived yet.
    Open,
    /// The text before it is no longer available, or is not JSON.
    Unknown,
}

impl Sweep {
    /// `value_starts` are the prefixes of the wanted codes, with their opening quotes.
    #[must_use]
    pub fn new(value_starts: Vec<String>) -> Self {
        Self { record_key: Finder::new(RECORD_KEY), code_key: Finder::new(CODE_KEY), value_starts }
    }

    /// How often the key that every record has occurs in `text`, and where the last one ends.
    #[must_use]
    pub fn records(&self, text: &[u8]) -> (u64, usize) {
        let key = RECORD_KEY.len();
        self.record_key.find_iter(text).fold((0, 0), |(count, _), at| (count + 1, at + key))
    }

    /// Where the next key of an error code begins in `text`.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Option<usize> {
        self.code_key.find(text)
    }

    /// The surroundings of the key that begins at `key` in `text`, which may begin and end anywhere.
    #[must_use]
    pub fn around(&self, text: &[u8], key: usize) -> Around {
        let behind = &text[key + CODE_KEY.len()..];
        let behind = &behind[..behind.len().min(SPACE_BYTES)];
        let value = match behind.split_first() {
            Some((b'"', value)) => value.trim_ascii_start(),
            Some((b'\\', _)) => return self.quoted(behind),
            Some(_) => return Around::Nothing,
            None => behind,
        };
        let value = match value.split_first() {
            Some((b':', value)) => value.trim_ascii_start(),
            Some(_) => return Around::Nothing,
            None => value,
        };
        if !self.value_starts.iter().any(|start| value.starts_with(start.as_bytes())) {
            let open = self.value_starts.iter().any(|start| start.as_bytes().starts_with(value));
            return match open {
                true if behind.len() == SPACE_BYTES => Around::Unknown,
                true => Around::Open,
                false => Around::Nothing,
            };
        }
        match text[..key].last() {
            None => Around::Unknown,
            Some(b'\\') => Around::Nothing,
            Some(_) => object_begin(&text[..key]).map_or(Around::Unknown, Around::Object),
        }
    }

    /// Classifies a key inside a string. An envelope may follow the file and carry a refusal as text: the
    /// thorough reading decides that. `behind` is the text after the key.
    fn quoted(&self, behind: &[u8]) -> Around {
        let is_token = |byte: &u8| *byte != b'\\' && !byte.is_ascii_whitespace();
        let tokens: Vec<u8> = behind.iter().copied().filter(is_token).collect();
        let mut codes = self.value_starts.iter().map(|start| format!("\":{start}").into_bytes());
        if codes.clone().any(|code| tokens.starts_with(&code)) {
            Around::Unknown
        } else if codes.any(|code| code.starts_with(&tokens)) {
            if behind.len() == SPACE_BYTES { Around::Unknown } else { Around::Open }
        } else {
            Around::Nothing
        }
    }
}

/// A key that begins within this many bytes of the end of a text cannot be complete.
pub const OVERLAP_BYTES: usize = RECORD_KEY.len() - 1;

/// The start of the string whose closing quote follows `text`.
fn string_begin(text: &[u8]) -> Option<usize> {
    let mut end = text.len();
    loop {
        let quote = memrchr(b'"', &text[..end])?;
        let escapes = text[..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes.is_multiple_of(2) {
            return Some(quote);
        }
        end = quote;
    }
}

/// The start of the innermost object still open after `text`, which ends outside strings.
fn object_begin(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = text.len();
    while at > 0 {
        at -= 1;
        match text[at] {
            b'"' => at = string_begin(&text[..at])?,
            b'}' | b']' => depth += 1,
            b'{' if depth == 0 => return Some(at),
            b'{' | b'[' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::nesting::{Nesting, Walk};

    /// `text` with the key after `@`.
    #[track_caller]
    fn check(text: &str, expected: Result<&str, Around>) {
        let key = text.find('@').expect("a key");
        let text = text.replace('@', "");
        let sweep = Sweep::new(vec!["\"AccessDenied".to_owned()]);
        assert_eq!(sweep.find(&text.as_bytes()[key..]), Some(0), "{text}");
        let around = sweep.around(text.as_bytes(), key);
        let found = match around {
            Around::Object(begin) => match Nesting::default().walk(&text.as_bytes()[begin..]) {
                Walk::Closed(length) if begin + length > key => Ok(&text[begin..begin + length]),
                Walk::Open => Err(around),
                Walk::Closed(_) | Walk::Fault(_) => Err(Around::Unknown),
            },
            other => Err(other),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn the_innermost_object_around_a_code_is_found() {
        let record = r#"{"errorCode":"AccessDenied"}"#;
        check(r#"{@"errorCode":"AccessDenied"}"#, Ok(record));
        check(r#"x}{@"errorCode":"AccessDenied"}{"#, Ok(record));
        check(r#"{"a":{@"errorCode":"AccessDenied"}}"#, Ok(record));
        check(r#"{@"errorCode":"AccessDeniedException"}"#, Ok(r#"{"errorCode":"AccessDeniedException"}"#));
        let spaced = "{ \"a\" : 1 , @\"errorCode\"\n:\t\"AccessDenied\" , \"b\":{} }";
        check(spaced, Ok(&spaced.replace('@', "")));
        for other in [
            r#"[{"}":"{"}]"#,
            r#""}{\"}{""#,
            r#""\\""#,
            r#""\\\"{""#,
            r#""},{\"errorCode\":\"AccessDenied\"""#,
            "null",
            "[[],{},[{}]]",
        ] {
            let text = format!(r#"[{{"x":{other},@"errorCode":"AccessDenied","y":{other}}},{{}}]"#);
            let inner = &text[1..text.len() - 4].replace('@', "");
            check(&text, Ok(inner));
        }
    }

    #[test]
    fn what_is_no_code_that_is_looked_for_is_passed_over() {
        for text in [
            r#"[@"errorCode"]"#,
            r#"{"x":@"errorCode","AccessDenied":1}"#,
            r#"{@"errorCode":"NoSuchKey"}"#,
            r#"{@"errorCode":null}"#,
            r#"{@"errorCode":["AccessDenied"]}"#,
            r#"{@"errorCode":"accessDenied"}"#,
            r#"{"x":"\@"errorCode":"AccessDenied"}"#,
            r#"{"x":"{\@"errorCode\":\"NoSuchKey\"}"}"#,
            r#"{@"errorCodes":"AccessDenied"}"#,
        ] {
            check(text, Err(Around::Nothing));
        }
    }

    #[test]
    fn what_cannot_be_told_is_not_guessed() {
        for text in [
            r#"@"errorCode":"AccessDenied"}"#,
            r#",@"errorCode":"AccessDenied"}"#,
            r#"x",@"errorCode":"AccessDenied"}"#,
            r#""x":1,@"errorCode":"AccessDenied"}"#,
            r#"\\\",@"errorCode":"AccessDenied"}"#,
            r#"\\\"{",@"errorCode":"AccessDenied"}"#,
            r#"\\"{",@"errorCode":"AccessDenied"}"#,
            r#"[@"errorCode":"AccessDenied"]"#,
            r#"{@"errorCode":"AccessDenied"]"#,
        ] {
            check(text, Err(Around::Unknown));
        }
        check(r#"{@"errorCode":"AccessDenied","#, Err(Around::Object(0)));
        check(r#"{},{@"errorCode":"AccessDenied"#, Err(Around::Object(3)));
        for cut in ["", "\"", "\" ", "\":", "\": ", "\": \"", "\": \"AccessDe", "\\", "\\\": \\\"Acc"] {
            check(&format!(r#"{{@"errorCode{cut}"#), Err(Around::Open));
        }
        check(r#"{"x":"{\@"errorCode\" : \"AccessDenied\"}"}"#, Err(Around::Unknown));
        check(r#"{"x":"{\\\@"errorCode\\\":\\\"AccessDenied"#, Err(Around::Unknown));
        let spaces = " ".repeat(SPACE_BYTES);
        check(&format!(r#"{{@"errorCode"{spaces}:"AccessDenied"}}"#), Err(Around::Unknown));
        check(&format!(r#"{{@"errorCode":{spaces}"AccessDenied"}}"#), Err(Around::Unknown));
    }

    #[test]
    fn records_are_counted_by_their_key() {
        let sweep = Sweep::new(Vec::new());
        assert_eq!(sweep.records(b"{}"), (0, 0));
        assert_eq!(sweep.records(br#"{"eventVersion":1},{"eventVersion":"#), (2, 34));
    }
}
