//! The fast framer: one record per line. It examines only lines that contain a needle.

use crate::source::buffer::Buffer;
use crate::source::framing::{Found, Receiver, Scope, Step, Verdict};
use crate::source::wrapper::{Shape, WRAPPER_BYTES, Wrapper, wrapper};

const BLANK: &[u8] = b" \t\r\n";

/// More white space than this between two lines is for [`Values`](crate::source::values::Values).
const BLANK_BYTES: usize = 1024;

/// Between two records, one a line.
#[derive(Default)]
pub struct Lines {
    /// The line at the buffer's start holds a record that has not been passed on.
    open: bool,
    /// Stream offset of the first unprocessed needle, if one was found.
    hit: Option<u64>,
    /// No other needle begins before this stream offset. `Values` may return the cursor here often,
    /// and this avoids searching the same text again.
    searched: u64,
}

impl Lines {
    /// Begins at the end of a line whose record has been processed.
    pub fn begin(&mut self) {
        self.open = false;
    }

    pub fn step(&mut self, scope: &mut Scope, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        let hit = self.find(scope, text);
        let upto = match hit {
            Some(hit) => hit,
            None if last => text.end,
            None => text.position(self.searched),
        };
        if !self.pass_lines(scope, text, upto, last, receive) {
            return self.as_values(scope, text);
        }
        let too_long = text.end.saturating_sub(text.start) > scope.max_record_bytes;
        let Some(hit) = hit else {
            return if too_long { self.as_values(scope, text) } else { Step::NeedMore };
        };
        let line_end = match text.find(b'\n', text.cursor.max(hit), text.end) {
            Some(newline) => newline,
            None if last => text.end,
            None if too_long => return self.as_values(scope, text),
            None => {
                text.cursor = text.end;
                return Step::NeedMore;
            }
        };
        let line = text.text(text.start, line_end);
        if line.len() <= scope.max_record_bytes
            && !is_wrapper(text, line)
            && scope.candidate(text, line_end, Shape::Document, receive) != Verdict::Broken
        {
            text.restart(line_end);
            self.open = false;
            return Step::Again;
        }
        self.as_values(scope, text)
    }

    /// The first needle on the line at the buffer's start or behind it.
    fn find(&mut self, scope: &Scope, text: &Buffer) -> Option<usize> {
        let start = text.offset(text.start);
        self.hit = self.hit.filter(|hit| *hit >= start);
        if self.hit.is_none() {
            let from = text.position(self.searched).max(text.start);
            let hit = scope.needles.find(text.rest(from));
            text.spend(hit.map_or(text.end.saturating_sub(from), |hit| hit.saturating_add(1)));
            self.hit = hit.map(|hit| text.offset(from.saturating_add(hit)));
            let searched = text.end.saturating_sub(scope.needles.overlap()).max(from);
            self.searched = self.hit.map_or(text.offset(searched), |hit| hit.saturating_add(1));
        }
        self.hit.map(|hit| text.position(hit))
    }

    /// Moves the buffer's start to the last record that begins before `upto`. `false` if a line end
    /// turns out not to separate records.
    fn pass_lines(
        &mut self,
        scope: &mut Scope,
        text: &mut Buffer,
        upto: usize,
        last: bool,
        receive: Receiver<'_>,
    ) -> bool {
        while let Some(newline) = text.find(b'\n', text.cursor.min(upto), upto) {
            let next = text.pass(BLANK, newline);
            if next == text.end && !last {
                text.cursor = newline;
                // Otherwise every block would rescan the same blanks.
                return next.saturating_sub(newline) < BLANK_BYTES;
            }
            // In JSON, a `{` follows a `}` only where one record ends and the next begins, at any
            // depth.
            let line = text.text(text.start, newline).trim_ascii_end();
            text.spend(newline.saturating_sub(text.start).saturating_sub(line.len()));
            let whole = !self.open || line.ends_with(b"}");
            if !whole || text.byte(next).is_some_and(|byte| byte != b'{') {
                return false;
            }
            if self.open && line.len() > scope.max_record_bytes {
                if is_wrapper(text, line) {
                    return false;
                }
                // It ends before the first needle.
                receive(text.offset(text.start), Found::Oversized(false));
            }
            text.restart(next);
            self.open = next < text.end;
            scope.records = scope.records.saturating_add(u64::from(self.open));
        }
        text.cursor = text.cursor.max(upto);
        true
    }

    /// Rewinds to the text not yet passed on; `Values` counts its records again.
    fn as_values(&self, scope: &mut Scope, text: &mut Buffer) -> Step {
        scope.records = scope.records.saturating_sub(u64::from(self.open));
        text.restart(text.start);
        Step::Values
    }
}

/// Whether a line begins an object that wraps records, which are read one by one.
fn is_wrapper(text: &Buffer, line: &[u8]) -> bool {
    let begin = line.get(..WRAPPER_BYTES).unwrap_or(line);
    let (looked_at, is_wrapper) = match wrapper(begin) {
        Wrapper::Opens(length, _) => (length, true),
        Wrapper::None(length) => (length, false),
        Wrapper::Unknown => (begin.len(), false),
    };
    text.spend(looked_at);
    is_wrapper
}
