//! Behind a fault: where the next record may begin.

use memchr::memchr;

use crate::log::buffer::Buffer;
use crate::log::framing::{Found, Receiver, Scope};

/// Passes over the rest of a faulty line, and over every further line that cannot begin a
/// record, reporting those that contain a needle.
pub struct Resync {
    /// The line at the buffer's start is dealt with.
    reported: bool,
    /// A record may be indented no deeper.
    indent: usize,
}

/// How far a search for the next record came.
pub enum Resynced {
    NeedMore,
    Again,
    /// A line that can begin a record is at the buffer's start.
    Found,
}

impl Resync {
    pub fn behind(reported: bool, indent: usize) -> Self {
        Self { reported, indent }
    }

    pub fn step(&mut self, scope: &Scope, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Resynced {
        let newline = memchr(b'\n', text.rest(text.cursor)).map(|at| text.cursor + at);
        if newline.is_none() && !last && !self.reported && text.end - text.start <= scope.max_record_bytes {
            return Resynced::NeedMore;
        }
        let line_end = newline.unwrap_or(text.end);
        if !self.reported && scope.needles.is_match(text.text(text.start, line_end)) {
            receive(text.offset(text.start), Found::Broken);
        }
        self.reported = true;
        let Some(newline) = newline else {
            text.pass_over();
            return Resynced::NeedMore;
        };
        let line = newline + 1;
        let rest = text.rest(line.min(text.end));
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let rest = &rest[blank..];
        let behind_comma = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
        if behind_comma.is_empty() && !last && text.end - newline <= scope.max_record_bytes {
            // Too little of the next line is known; come back to this line end.
            text.restart(newline);
            return Resynced::NeedMore;
        }
        let is_array = blank == 0 && rest.first() == Some(&b'[');
        let found = is_array || (blank <= self.indent && behind_comma.first() == Some(&b'{'));
        text.restart(line);
        if found {
            return Resynced::Found;
        }
        self.reported = false;
        Resynced::Again
    }
}
