//! Passes over lines that hold a record each and none of the words, which nearly all are, without following their
//! strings and brackets.

use crate::source::buffer::Buffer;
use crate::source::words::Words;

const BLANK: &[u8] = b" \t\r\n";

/// More white space than this between two lines ends the passing.
const BLANK_BYTES: usize = 1024;

/// Between two records, one a line.
#[derive(Default)]
pub struct Lines {
    /// How the record before them begins: up to the end of its first key. A line that begins otherwise may be an
    /// envelope.
    begin: Vec<u8>,
    /// The line at the buffer's start holds a record.
    open: bool,
    /// Records passed over.
    pub records: u64,
}

/// How far it got.
pub enum Passed {
    /// To the end of the text.
    NeedMore,
    /// To a line, or the end of one, that must be looked at: it begins at the buffer's start.
    Line,
}

/// Longer than any first key.
const BEGIN_BYTES: usize = 64;

impl Lines {
    /// Lines are records of one log while they begin like `record`.
    pub fn begin_like(&mut self, record: &[u8]) {
        let quotes = record.iter().take(BEGIN_BYTES).enumerate().filter(|(_, byte)| **byte == b'"');
        let key_end = quotes.map(|(at, _)| at).nth(1).map_or(1, |at| at.saturating_add(1));
        self.begin.clear();
        self.begin.extend_from_slice(record.get(..key_end).unwrap_or_default());
    }

    /// Goes on from a line's end. A line that is longer than a record may be is left, as it may be an envelope.
    pub fn pass(
        &mut self,
        text: &mut Buffer,
        words: &mut Words,
        max_record_bytes: usize,
        last: bool,
    ) -> Passed {
        let next = words.next(text, text.start);
        let upto = match next {
            Err(_) if last => text.end,
            Ok(at) | Err(at) => at,
        };
        while let Some(newline) = text.find(b'\n', text.cursor.min(upto), upto) {
            let next = text.pass(BLANK, newline);
            if text.end.saturating_sub(next) < self.begin.len() && !last {
                text.cursor = newline;
                // Otherwise every block would rescan the same blanks.
                return if next.saturating_sub(newline) < BLANK_BYTES {
                    Passed::NeedMore
                } else {
                    self.stop(text)
                };
            }
            // In JSON, a `{` follows a `}` only where one record ends and the next begins, at any depth.
            let line = text.text(text.start, newline).trim_ascii_end();
            let whole = !self.open || line.ends_with(b"}");
            let is_long = self.open && line.len() > max_record_bytes;
            if !whole || is_long || (next < text.end && !text.rest(next).starts_with(&self.begin)) {
                return self.stop(text);
            }
            text.restart(next);
            self.open = next < text.end;
            self.records = self.records.saturating_add(u64::from(self.open));
        }
        text.cursor = text.cursor.max(upto);
        if next.is_ok() || text.end.saturating_sub(text.start) > max_record_bytes {
            self.stop(text)
        } else {
            Passed::NeedMore
        }
    }

    /// Whoever looks at the line counts its record.
    fn stop(&mut self, text: &mut Buffer) -> Passed {
        self.records = self.records.saturating_sub(u64::from(self.open));
        self.open = false;
        text.restart(text.start);
        Passed::Line
    }
}
