//! After a fault, finds where the next record may begin.

use crate::source::buffer::Buffer;
use crate::source::piece::{Cut, Receiver};
use crate::source::time::export_time;
use crate::source::words::Words;

/// Skips the rest of a faulty line and every following line that cannot begin a record, and reports
/// those that contain a word. Keeps no more text than a word's length.
pub struct Resync {
    /// Stream offset of the line being skipped; `None` once it has been reported.
    line: Option<u64>,
    /// The deepest indentation at which a record may begin.
    indent: usize,
    state: ResyncState,
}

#[derive(Clone, Copy)]
enum ResyncState {
    InLine,
    /// At the beginning of a line: after white space, and perhaps a comma.
    Before(LineBegin),
}

/// The text on a line before its first record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LineBegin {
    /// White space at the beginning of the line.
    pub blank: usize,
    /// Nothing but white space.
    pub clean: bool,
    /// The time of a line of an exported log group.
    pub is_exported: bool,
}

/// The beginning of an empty line.
pub const EMPTY: LineBegin = LineBegin { blank: 0, clean: true, is_exported: false };

/// How far a search for the next record got.
pub enum Resynced {
    NeedMore,
    Again,
    /// A record, an array or the time of an exported line is at the cursor, after this text.
    Found(LineBegin),
}

impl Resync {
    /// Begins in a line with no record from the buffer's start on. `line` is its offset, unless it has
    /// already been reported.
    pub fn behind(line: Option<u64>, indent: usize) -> Self {
        Self { line, indent, state: ResyncState::InLine }
    }

    /// Begins at the cursor, before which its line is blank.
    pub fn at_line(text: &Buffer) -> Self {
        Self { line: Some(text.offset(text.cursor)), indent: usize::MAX, state: ResyncState::Before(EMPTY) }
    }

    pub fn step(
        &mut self,
        words: &mut Words,
        text: &mut Buffer,
        last: bool,
        receive: Receiver<'_>,
    ) -> Resynced {
        match self.state {
            ResyncState::InLine => self.pass_line(words, text, last, receive),
            ResyncState::Before(begin) => self.try_line(text, begin, last),
        }
    }

    fn pass_line(
        &mut self,
        words: &mut Words,
        text: &mut Buffer,
        last: bool,
        receive: Receiver<'_>,
    ) -> Resynced {
        let newline = text.find(b'\n', text.cursor, text.end);
        let line_end = newline.unwrap_or(text.end);
        if let Some(line) = self.line
            && words.any(text, text.start, line_end)
        {
            receive(line, Cut::Broken(text.text(text.start, line_end)));
            self.line = None;
        }
        if let Some(newline) = newline {
            let next = newline.saturating_add(1);
            text.restart(next);
            self.line = Some(text.offset(next));
            self.state = ResyncState::Before(EMPTY);
            return Resynced::Again;
        }
        text.cursor = text.end;
        let overlap = if self.line.is_some() && !last { words.overlap() } else { 0 };
        text.start = text.start.max(text.end.saturating_sub(overlap));
        Resynced::NeedMore
    }

    fn try_line(&mut self, text: &mut Buffer, mut begin: LineBegin, last: bool) -> Resynced {
        while let Some(byte) = text.byte(text.cursor) {
            let at = text.cursor;
            match byte {
                b'\n' => {
                    begin = EMPTY;
                    self.line = Some(text.offset(at.saturating_add(1)));
                }
                b' ' | b'\t' => begin.blank = begin.blank.saturating_add(usize::from(begin.clean)),
                // A byte-order mark may stand before any record.
                b'\r' | 0xef | 0xbb | 0xbf => {}
                b',' if begin.clean => begin.clean = false,
                b'{' if begin.blank <= self.indent => return found(text, begin),
                b'[' if begin.blank == 0 && begin.clean => return found(text, begin),
                b'0'..=b'9' if begin == EMPTY => match export_time(text.rest(at)) {
                    Some(0) if !last => {
                        text.start = at;
                        self.state = ResyncState::Before(begin);
                        return Resynced::NeedMore;
                    }
                    Some(length) if length > 0 => return found(text, begin),
                    _ => return self.in_line(text, at),
                },
                _ => return self.in_line(text, at),
            }
            text.cursor = text.cursor.saturating_add(1);
        }
        text.start = text.end;
        self.state = ResyncState::Before(begin);
        Resynced::NeedMore
    }

    fn in_line(&mut self, text: &mut Buffer, at: usize) -> Resynced {
        text.start = at;
        self.state = ResyncState::InLine;
        Resynced::Again
    }
}

fn found(text: &mut Buffer, begin: LineBegin) -> Resynced {
    text.restart(text.cursor);
    Resynced::Found(begin)
}
