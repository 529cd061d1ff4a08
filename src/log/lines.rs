//! The fast framer: one record a line, of which only those with a needle are looked at.

use memchr::memchr;

use crate::log::buffer::Buffer;
use crate::log::framing::{Found, Receiver, Scope, Step};
use crate::log::wrapper::{Wrapper, wrapper};

/// Between two records, one a line.
#[derive(Default)]
pub struct Lines {
    /// The line at the buffer's start holds a record that is not yet handed on.
    open: bool,
}

impl Lines {
    /// Begins at the end of a line whose record is dealt with.
    pub fn begin(&mut self) {
        self.open = false;
    }

    pub fn step(&mut self, scope: &mut Scope, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        let hit = scope.needles.find(text.rest(text.cursor)).map(|hit| text.cursor + hit.start());
        let overlap = scope.needles.max_pattern_len().saturating_sub(1);
        let upto = match hit {
            Some(hit) => hit,
            None if last => text.end,
            None => text.end.saturating_sub(overlap).max(text.cursor),
        };
        if !self.pass_lines(scope, text, upto, last, receive) {
            return self.as_values(scope, text);
        }
        let too_long = text.end - text.start > scope.max_record_bytes;
        let Some(hit) = hit else {
            return if too_long { self.as_values(scope, text) } else { Step::NeedMore };
        };
        let line_end = match memchr(b'\n', text.rest(hit)) {
            Some(at) => hit + at,
            None if last => text.end,
            None if too_long => return self.as_values(scope, text),
            None => return Step::NeedMore,
        };
        let line = text.text(text.start, line_end);
        if line.len() <= scope.max_record_bytes && receive(text.offset(text.start), Found::Candidate(line)) {
            text.restart(line_end);
            self.open = false;
            return Step::Again;
        }
        self.as_values(scope, text)
    }

    /// Moves the buffer's start to the last record that begins before `upto`. `false` where a
    /// line end proves to be none between records.
    fn pass_lines(
        &mut self,
        scope: &mut Scope,
        text: &mut Buffer,
        upto: usize,
        last: bool,
        receive: Receiver<'_>,
    ) -> bool {
        while let Some(at) = memchr(b'\n', text.text(text.cursor.min(upto), upto)) {
            let newline = text.cursor + at;
            let blank = text.rest(newline).iter().take_while(|byte| is_blank(**byte)).count();
            let next = newline + blank;
            if next == text.end && !last {
                text.cursor = newline;
                return true;
            }
            // In JSON, nothing but the end of one record and the begin of the next puts a `{`
            // behind a `}`, however deep the two stand.
            let line = text.text(text.start, newline).trim_ascii_end();
            let whole = !self.open || line.ends_with(b"}");
            if !whole || text.rest(next).first().is_some_and(|byte| *byte != b'{') {
                return false;
            }
            if self.open && line.len() > scope.max_record_bytes {
                if matches!(wrapper(line), Wrapper::Opens(_)) {
                    return false;
                }
                receive(text.offset(text.start), Found::Oversized);
            }
            text.restart(next);
            self.open = next < text.end;
            scope.records += u64::from(self.open);
        }
        text.cursor = text.cursor.max(upto);
        true
    }

    /// Walks once more what is not yet handed on; `Values` counts its records again.
    fn as_values(&self, scope: &mut Scope, text: &mut Buffer) -> Step {
        scope.records -= u64::from(self.open);
        text.restart(text.start);
        Step::Values
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
