//! Blocks of text → candidate records.
//!
//! Nearly every log holds one JSON object a line, and nearly no record is a denial. So the fast
//! path (`Lines`) never looks at a line: it sweeps whole blocks for a needle and cuts out
//! the line around a hit. Everything else (pretty-printed, concatenated, one array, faulty)
//! is cut by following strings and brackets (`Values`), which needs no line ends.
//! Framing starts with `Values`; a record that has a line to itself switches to `Lines`, and a
//! hit that is no whole line switches back.

use aho_corasick::AhoCorasick;
use memchr::{memchr, memchr_iter, memchr3, memrchr};

/// Bytes that a block adds to what is still open. 256 KB is the knee: 32 KB costs 16 % more
/// time, larger blocks fall out of the second-level cache.
pub const BLOCK_BYTES: usize = 256 * 1024;
/// After a fault, framing goes back to the line behind the faulty record's first. This many
/// bytes of an object may be walked again for it, which bounds the work on hostile input.
const REWALK_BYTES: usize = 64 * 1024 * 1024;

/// What framing found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A piece that contains a needle and looks like one record.
    Candidate(&'a [u8]),
    /// A piece that contains a needle and is no record.
    Broken,
    /// A record longer than the limit; it was skipped to its end.
    Oversized,
}

/// The receiver's verdict on a candidate: is it valid JSON?
pub type IsJson = bool;

/// Cuts a stream of text into records and hands on those that contain a needle.
pub struct Framer {
    needles: AhoCorasick,
    max_record_bytes: usize,
    records: u64,
    /// Stream offset of `buffer[0]`.
    base: u64,
    buffer: Vec<u8>,
    /// The filled part of `buffer`.
    end: usize,
    /// Nothing before this is needed any more.
    start: usize,
    /// Everything before this has been examined.
    cursor: usize,
    mode: Mode,
    nesting: Nesting,
    line: Line,
    rewalk_left: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// One record a line. `open` tells that the line at `start` holds a record not yet handed on.
    Lines { open: bool },
    /// Between records or inside one, by strings and brackets.
    Values { inside: bool },
    /// Inside an over-long record of which nothing is kept.
    Skipping,
    /// Behind a fault, up to the next line that can begin a record.
    Resync { reported: bool },
}

/// What is known of the line that the current record began on.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// White space before the record that began last.
    indent: usize,
    /// White space so far on the line being walked.
    blank: usize,
    /// Nothing but white space so far on the line being walked.
    clean: bool,
    /// The current record was the first thing on its line.
    alone: bool,
}

enum Step {
    Again,
    NeedMore,
}

type Receiver<'r> = &'r mut dyn FnMut(u64, Found<'_>) -> IsJson;

impl Framer {
    /// Hands on what contains one of `needles`; a record longer than `max_record_bytes` is skipped.
    #[must_use]
    ///
    /// # Panics
    /// When the needles are more than a search automaton can hold, megabytes of them.
    pub fn new(needles: &[&str], max_record_bytes: usize) -> Self {
        Self {
            needles: AhoCorasick::new(needles).expect("a few short needles"),
            max_record_bytes,
            records: 0,
            base: 0,
            buffer: vec![0; BLOCK_BYTES],
            end: 0,
            start: 0,
            cursor: 0,
            mode: Mode::Values { inside: false },
            nesting: Nesting::default(),
            line: Line { indent: usize::MAX, blank: 0, clean: true, alone: false },
            rewalk_left: REWALK_BYTES,
        }
    }

    /// How many records have begun so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Where to write the next bytes of the stream; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.buffer[self.end..]
    }

    /// Says that `count` bytes were written to [`Self::space`], and examines the block once full.
    pub fn filled(&mut self, count: usize, receive: Receiver<'_>) {
        self.end += count;
        if self.end == self.buffer.len() {
            self.examine(false, receive);
            self.make_room();
        }
    }

    /// Says that the stream has ended.
    pub fn finish(&mut self, receive: Receiver<'_>) {
        self.examine(true, receive);
    }

    fn examine(&mut self, last: bool, receive: Receiver<'_>) {
        loop {
            let step = match self.mode {
                Mode::Lines { open } => self.lines(open, last, receive),
                Mode::Values { inside: false } => self.between(last, receive),
                Mode::Values { inside: true } => self.inside(last, receive),
                Mode::Skipping => self.skip(last),
                Mode::Resync { reported } => self.resync(reported, last, receive),
            };
            if matches!(step, Step::NeedMore) {
                return;
            }
        }
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.base += self.start as u64;
            self.end -= self.start;
            self.cursor -= self.start;
            self.start = 0;
        }
        let size = self.end + BLOCK_BYTES;
        self.buffer.resize(size, 0);
    }

    fn offset(&self, position: usize) -> u64 {
        self.base + position as u64
    }

    fn contains_needle(&self, from: usize, to: usize) -> bool {
        self.needles.is_match(&self.buffer[from..to])
    }

    // Lines ------------------------------------------------------------------------------

    fn lines(&mut self, open: bool, last: bool, receive: Receiver<'_>) -> Step {
        let hit = self.needles.find(&self.buffer[self.cursor..self.end]).map(|hit| self.cursor + hit.start());
        let overlap = self.needles.max_pattern_len().saturating_sub(1);
        let swept = hit.unwrap_or_else(|| self.end.saturating_sub(overlap).max(self.cursor));
        let upto = if last && hit.is_none() { self.end } else { swept };
        let Some(open) = self.pass_lines(open, upto, last, receive) else {
            return self.as_values(self.start, true);
        };
        self.mode = Mode::Lines { open };
        let Some(hit) = hit else {
            if self.end - self.start > self.max_record_bytes {
                return self.as_values(self.start, open);
            }
            return Step::NeedMore;
        };
        let line_start = memrchr(b'\n', &self.buffer[self.start..hit]).map(|at| self.start + at + 1);
        if !open || line_start.is_some() {
            return self.as_values(self.start, open);
        }
        let line_end = match memchr(b'\n', &self.buffer[hit..self.end]) {
            Some(at) => hit + at,
            None if last => self.end,
            None if self.end - self.start > self.max_record_bytes => {
                return self.as_values(self.start, open);
            }
            None => return Step::NeedMore,
        };
        let line = &self.buffer[self.start..line_end];
        if line.len() <= self.max_record_bytes && receive(self.offset(self.start), Found::Candidate(line)) {
            self.start = line_end;
            self.cursor = line_end;
            self.mode = Mode::Lines { open: false };
            return Step::Again;
        }
        self.as_values(self.start, open)
    }

    /// Moves `start` to the last line before `upto` that begins a record; tells whether the
    /// line at `start` holds a record not yet handed on. `None` if the line at `start` is no
    /// whole record.
    fn pass_lines(&mut self, mut open: bool, upto: usize, last: bool, receive: Receiver<'_>) -> Option<bool> {
        let from = self.cursor;
        self.cursor = upto;
        for newline in memchr_iter(b'\n', &self.buffer[from..upto]) {
            let newline = from + newline;
            let line = newline + 1;
            if line + self.line.indent >= self.end && !last {
                self.cursor = newline;
                break;
            }
            if open {
                let line = self.buffer[self.start..newline].trim_ascii_end();
                if !line.ends_with(b"}") {
                    return None;
                }
                if line.len() > self.max_record_bytes {
                    receive(self.offset(self.start), Found::Oversized);
                }
                self.start = newline;
                open = false;
            }
            if self.begins_record(line) {
                self.start = line;
                self.records += 1;
                open = true;
            }
        }
        Some(open)
    }

    /// True when the line at `line` is indented no deeper than the records so far and begins
    /// an object. Deeper ones are parts of a pretty-printed record.
    fn begins_record(&self, line: usize) -> bool {
        let most = self.end.min(line.saturating_add(self.line.indent).saturating_add(1));
        self.buffer[line.min(most)..most].iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r'))
            == Some(&b'{')
    }

    fn as_values(&mut self, from: usize, open: bool) -> Step {
        // `Values` counts it again.
        self.records -= u64::from(open);
        self.between_from(from);
        Step::Again
    }

    // Values -----------------------------------------------------------------------------

    fn between_from(&mut self, line: usize) {
        self.mode = Mode::Values { inside: false };
        self.start = line;
        self.cursor = line;
        self.line.blank = 0;
        self.line.clean = true;
    }

    fn between(&mut self, last: bool, receive: Receiver<'_>) -> Step {
        while self.cursor < self.end {
            let at = self.cursor;
            match self.buffer[at] {
                b'\n' => {
                    self.line.clean = true;
                    self.line.blank = 0;
                }
                b' ' | b'\t' | b'\r' => self.line.blank += usize::from(self.line.clean),
                b',' | b'[' | b']' => self.line.clean = false,
                // A byte-order mark.
                0xef | 0xbb | 0xbf if self.offset(at) < 3 => {}
                b'{' => {
                    self.records += 1;
                    self.start = at;
                    self.line.alone = self.line.clean;
                    self.line.indent = self.line.blank;
                    self.line.clean = false;
                    self.nesting = Nesting::default();
                    self.mode = Mode::Values { inside: true };
                    return Step::Again;
                }
                _ => {
                    self.start = at;
                    self.mode = Mode::Resync { reported: false };
                    return self.resync(false, last, receive);
                }
            }
            self.cursor += 1;
        }
        self.start = self.end;
        Step::NeedMore
    }

    fn inside(&mut self, last: bool, receive: Receiver<'_>) -> Step {
        match self.nesting.walk(&self.buffer[self.cursor..self.end]) {
            Walk::Closed(length) => {
                let (start, end) = (self.start, self.cursor + length);
                let record = &self.buffer[start..end];
                if record.len() > self.max_record_bytes {
                    receive(self.offset(start), Found::Oversized);
                } else if self.needles.is_match(record)
                    && !receive(self.offset(start), Found::Candidate(record))
                {
                    receive(self.offset(start), Found::Broken);
                }
                self.start = end;
                self.cursor = end;
                self.mode = if self.line.alone && !self.nesting.many_lines && self.line_ends_at(end) {
                    Mode::Lines { open: false }
                } else {
                    Mode::Values { inside: false }
                };
                Step::Again
            }
            Walk::Fault(at) => self.fault(self.cursor + at, receive),
            Walk::Open if last => self.fault(self.end, receive),
            Walk::Open => {
                self.cursor = self.end;
                if self.end - self.start > self.max_record_bytes {
                    receive(self.offset(self.start), Found::Oversized);
                    self.start = self.end;
                    self.mode = Mode::Skipping;
                }
                Step::NeedMore
            }
        }
    }

    fn line_ends_at(&self, position: usize) -> bool {
        self.buffer[position..self.end].iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r'))
            == Some(&b'\n')
    }

    fn skip(&mut self, last: bool) -> Step {
        let step = match self.nesting.walk(&self.buffer[self.cursor..self.end]) {
            Walk::Closed(length) => {
                self.cursor += length;
                self.mode = Mode::Values { inside: false };
                Step::Again
            }
            Walk::Fault(at) => {
                self.cursor += at;
                self.mode = Mode::Resync { reported: true };
                Step::Again
            }
            Walk::Open => {
                self.cursor = self.end;
                Step::NeedMore
            }
        };
        self.start = self.cursor;
        if last && matches!(step, Step::NeedMore) {
            self.mode = Mode::Values { inside: false };
        }
        step
    }

    // Faults -----------------------------------------------------------------------------

    /// The record at `start` proved to be none at `at`: report its first line if it is a
    /// candidate, and go on behind it.
    fn fault(&mut self, at: usize, receive: Receiver<'_>) -> Step {
        let first_line_end =
            memchr(b'\n', &self.buffer[self.start..self.end]).map_or(self.end, |length| self.start + length);
        let walked = at - self.start;
        let resume = if walked <= self.rewalk_left {
            self.rewalk_left -= walked;
            first_line_end
        } else {
            memrchr(b'\n', &self.buffer[self.start..at]).map_or(first_line_end, |length| self.start + length)
        };
        if self.contains_needle(self.start, resume) {
            receive(self.offset(self.start), Found::Broken);
        }
        self.start = resume;
        self.cursor = resume;
        self.mode = Mode::Resync { reported: true };
        Step::Again
    }

    /// Passes over the rest of the line at `cursor`, and over every further line that cannot
    /// begin a record, reporting those that are candidates.
    fn resync(&mut self, reported: bool, last: bool, receive: Receiver<'_>) -> Step {
        let newline = memchr(b'\n', &self.buffer[self.cursor..self.end]).map(|at| self.cursor + at);
        let line_end = newline.unwrap_or(self.end);
        let report = !reported && self.contains_needle(self.start, line_end);
        if report {
            receive(self.offset(self.start), Found::Broken);
        }
        let Some(newline) = newline else {
            self.start = self.end;
            self.cursor = self.end;
            self.mode = Mode::Resync { reported: reported || report };
            return Step::NeedMore;
        };
        let line = newline + 1;
        if !last && line.saturating_add(self.line.indent.min(BLOCK_BYTES)) >= self.end {
            // Too little of the next line is known; come back to this line end.
            self.start = newline;
            self.cursor = newline;
            self.mode = Mode::Resync { reported: true };
            return Step::NeedMore;
        }
        if self.begins_record(line) || self.buffer[line..self.end].first() == Some(&b'[') {
            self.between_from(line);
        } else {
            self.start = line;
            self.cursor = line;
            self.mode = Mode::Resync { reported: false };
        }
        Step::Again
    }
}

/// Follows the strings and brackets of one JSON object, without building anything.
#[derive(Default)]
struct Nesting {
    /// The brackets that are open.
    open: Vec<u8>,
    in_string: bool,
    escaped: bool,
    /// The last byte outside strings that is no white space.
    previous: u8,
    many_lines: bool,
}

enum Walk {
    /// The object closed behind this many bytes.
    Closed(usize),
    /// This byte cannot stand here.
    Fault(usize),
    /// The object is still open.
    Open,
}

impl Nesting {
    fn walk(&mut self, bytes: &[u8]) -> Walk {
        let mut at = 0;
        while at < bytes.len() {
            if self.escaped {
                if bytes[at] == b'\n' {
                    return Walk::Fault(at);
                }
                self.escaped = false;
            } else if self.in_string {
                let Some(skip) = memchr3(b'"', b'\\', b'\n', &bytes[at..]) else {
                    return Walk::Open;
                };
                at += skip;
                match bytes[at] {
                    b'"' => self.in_string = false,
                    b'\\' => self.escaped = true,
                    _ => return Walk::Fault(at),
                }
            } else {
                let byte = bytes[at];
                match byte {
                    b'\n' => self.many_lines = true,
                    b' ' | b'\t' | b'\r' => {}
                    b'"' => {
                        self.in_string = true;
                        self.previous = byte;
                    }
                    b'{' | b'[' => {
                        if !self.may_open() {
                            return Walk::Fault(at);
                        }
                        self.open.push(byte);
                        self.previous = byte;
                    }
                    b'}' | b']' => {
                        let opener = if byte == b'}' { b'{' } else { b'[' };
                        if self.open.pop() != Some(opener) {
                            return Walk::Fault(at);
                        }
                        if self.open.is_empty() {
                            return Walk::Closed(at + 1);
                        }
                        self.previous = byte;
                    }
                    _ => self.previous = byte,
                }
            }
            at += 1;
        }
        Walk::Open
    }

    fn may_open(&self) -> bool {
        match self.open.last() {
            None => true,
            Some(b'[') => matches!(self.previous, b'[' | b','),
            Some(_) => self.previous == b':',
        }
    }
}
