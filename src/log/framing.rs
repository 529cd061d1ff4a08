//! Blocks of text → candidate records.
//!
//! Nearly every log holds one JSON object a line, and nearly no record is a denial. So the fast
//! path (`Lines`) never looks at a line: it sweeps whole blocks for a needle and cuts out
//! the line around a hit. Everything else (pretty-printed, concatenated, one array, faulty)
//! is cut by following strings and brackets (`Values`), which needs no line ends.
//! Framing starts with `Values`; a record that has a line to itself switches to `Lines`, and a
//! line end that is none between records switches back. A blank-separated `}` `{` is the one
//! sure sign: in valid JSON it stands between two top-level objects and nowhere else.
//!
//! A CloudTrail log file is one object, `{"Records":[…]}`, around its records. Where a record may
//! begin, such a wrapper is none: `Values` enters it. A text that begins with one is
//! only swept at first (`Sweep`, see [`crate::log::sweep`]), unless it is to be read thoroughly.

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::{memchr, memrchr};

use crate::log::nesting::{Nesting, Walk};
use crate::log::sweep::{Around, HISTORY_BYTES, MAX_OBJECT_BYTES, OVERLAP_BYTES, Sweep};

/// After a fault, framing goes back to the line behind the faulty record's first. This many
/// bytes of an object may be walked again for it, which bounds the work on hostile input.
const REWALK_BYTES: usize = 64 * 1024 * 1024;

/// A wrapper's begin is looked for in this much; whoever puts more white space there has no wrapper.
const WRAPPER_BYTES: usize = 1024;

/// A sweep may walk this many times its text around error codes, and [`REWALK_BYTES`] more;
/// else the thorough reading is the quicker one. Honest codes cost their own record once.
const SWEEP_WALKS: u64 = 4;

/// Counting the records of a swept text costs as much again as sweeping it. So it is done in this
/// much, which few log files exceed, and in one part of so many of what follows.
const COUNTED_BYTES: u64 = 8 << 20;
const COUNTED_PART: u64 = 16;

/// What framing found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A piece that contains a needle and looks like one record.
    Candidate(&'a [u8]),
    /// A piece that contains a needle and is no record.
    Broken,
    /// A record longer than the limit; it was skipped to its end.
    Oversized,
    /// An object of a text that is only swept; it holds an error code that is looked for.
    Suspect(&'a [u8]),
}

/// The receiver's verdict on a candidate: is it valid JSON? On a suspect: is it surely no refusal?
pub type Verdict = bool;

/// Cuts a stream of text into records and hands on those that contain a needle.
pub struct Framer {
    needles: AhoCorasick,
    sweep: Option<Sweep>,
    max_record_bytes: usize,
    block_bytes: usize,
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
    /// Wrappers that are open.
    wrappers: usize,
    /// In how much text a sweep has counted the records, all before `counted_to`.
    counted: u64,
    counted_to: u64,
    /// Stream offset behind the key of a record that a sweep met last.
    last_record: u64,
    /// Bytes that a sweep has walked around error codes.
    walked: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// One record a line. `open` tells that the line at `start` holds a record not yet handed on.
    Lines { open: bool },
    /// Between records or inside one, by strings and brackets.
    Values { inside: bool },
    /// Inside an over-long record of which nothing is kept.
    Skipping,
    /// Behind a fault, up to the next line that can begin a record: one indented no deeper than
    /// `indent`. `reported` tells that the line at `start` is dealt with.
    Resync { reported: bool, indent: usize },
    /// Looking for what could be a refusal, in a text that begins as a CloudTrail log file.
    Sweep,
    /// A sweep found something: nothing more is read, see [`Framer::wants_thorough_reading`].
    Suspicious,
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

type Receiver<'r> = &'r mut dyn FnMut(u64, Found<'_>) -> Verdict;

impl Framer {
    /// Hands on what contains one of `needles`; a record longer than `max_record_bytes` is skipped.
    /// Looks at `block_bytes` more at a time. With a `sweep`, a CloudTrail log file is only swept.
    ///
    /// # Panics
    /// When the needles are more than a search automaton can hold, megabytes of them.
    #[must_use]
    pub fn new(
        needles: &[String],
        sweep: Option<Sweep>,
        max_record_bytes: usize,
        block_bytes: usize,
    ) -> Self {
        let needles = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(needles);
        Self {
            needles: needles.expect("a few short needles"),
            sweep,
            max_record_bytes,
            block_bytes: block_bytes.max(1),
            records: 0,
            base: 0,
            buffer: vec![0; block_bytes.max(1)],
            end: 0,
            start: 0,
            cursor: 0,
            mode: Mode::Values { inside: false },
            nesting: Nesting::default(),
            line: Line { indent: 0, blank: 0, clean: true, alone: false },
            rewalk_left: REWALK_BYTES,
            wrappers: 0,
            counted: 0,
            counted_to: 0,
            last_record: 0,
            walked: 0,
        }
    }

    /// The sweep cannot rule out a refusal. The text is to be read again from its first byte,
    /// without a sweep; what was handed on so far does not count.
    #[must_use]
    pub fn wants_thorough_reading(&self) -> bool {
        self.mode == Mode::Suspicious
    }

    /// How many records have begun so far; in a sweep, how many keys of one have passed, which
    /// is estimated from a part of a long text.
    #[must_use]
    pub fn records(&self) -> u64 {
        if self.counted < self.counted_to {
            let estimate = u128::from(self.records) * u128::from(self.counted_to) / u128::from(self.counted);
            return u64::try_from(estimate).unwrap_or(u64::MAX);
        }
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
        // Records without the key that they are counted by are counted by the thorough reading.
        if self.mode == Mode::Sweep && self.records == 0 {
            self.mode = Mode::Suspicious;
        }
    }

    fn examine(&mut self, last: bool, receive: Receiver<'_>) {
        loop {
            let step = match self.mode {
                Mode::Lines { open } => self.lines(open, last, receive),
                Mode::Values { inside: false } => self.between(last),
                Mode::Values { inside: true } => self.inside(last, receive),
                Mode::Skipping => self.skip(last),
                Mode::Resync { reported, indent } => self.resync(reported, indent, last, receive),
                Mode::Sweep => self.sweep(last, receive),
                Mode::Suspicious => self.pass_over(),
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
        let size = self.end + self.block_bytes;
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
        let upto = match hit {
            Some(hit) => hit,
            None if last => self.end,
            None => self.end.saturating_sub(overlap).max(self.cursor),
        };
        let open = match self.pass_lines(open, upto, last, receive) {
            Ok(open) => open,
            Err(open) => return self.as_values(open),
        };
        self.mode = Mode::Lines { open };
        let too_long = self.end - self.start > self.max_record_bytes;
        let Some(hit) = hit else {
            return if too_long { self.as_values(open) } else { Step::NeedMore };
        };
        let line_end = match memchr(b'\n', &self.buffer[hit..self.end]) {
            Some(at) => hit + at,
            None if last => self.end,
            None if too_long => return self.as_values(open),
            None => return Step::NeedMore,
        };
        let line = &self.buffer[self.start..line_end];
        if line.len() <= self.max_record_bytes && receive(self.offset(self.start), Found::Candidate(line)) {
            self.start = line_end;
            self.cursor = line_end;
            self.mode = Mode::Lines { open: false };
            return Step::Again;
        }
        self.as_values(open)
    }

    /// Moves `start` to the last record that begins before `upto`; tells whether that one is not
    /// yet handed on. `Err` with the same where a line end proves to be none between records.
    fn pass_lines(
        &mut self,
        mut open: bool,
        upto: usize,
        last: bool,
        receive: Receiver<'_>,
    ) -> Result<bool, bool> {
        while let Some(at) = memchr(b'\n', &self.buffer[self.cursor.min(upto)..upto]) {
            let newline = self.cursor + at;
            let blank = self.buffer[newline..self.end].iter().take_while(|byte| is_blank(**byte)).count();
            let next = newline + blank;
            if next == self.end && !last {
                self.cursor = newline;
                return Ok(open);
            }
            // In JSON, nothing but the end of one record and the begin of the next puts a `{`
            // behind a `}`, however deep the two stand.
            let line = self.buffer[self.start..newline].trim_ascii_end();
            let whole = !open || line.ends_with(b"}");
            if !whole || (next < self.end && self.buffer[next] != b'{') {
                return Err(open);
            }
            if open && line.len() > self.max_record_bytes {
                if matches!(wrapper(line), Wrapper::Opens(_)) {
                    return Err(open);
                }
                receive(self.offset(self.start), Found::Oversized);
            }
            self.start = next;
            self.cursor = next;
            open = next < self.end;
            self.records += u64::from(open);
        }
        self.cursor = self.cursor.max(upto);
        Ok(open)
    }

    /// Walks once more what is not yet handed on; `Values` counts its records again.
    fn as_values(&mut self, open: bool) -> Step {
        self.records -= u64::from(open);
        self.between_from(self.start);
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

    fn between(&mut self, last: bool) -> Step {
        while self.cursor < self.end {
            let at = self.cursor;
            match self.buffer[at] {
                b'\n' => {
                    self.line.clean = true;
                    self.line.blank = 0;
                }
                b' ' | b'\t' | b'\r' => self.line.blank += usize::from(self.line.clean),
                b',' | b'[' | b']' => self.line.clean = false,
                b'}' if self.wrappers > 0 => {
                    self.wrappers -= 1;
                    self.line.clean = false;
                }
                // A byte-order mark.
                0xef | 0xbb | 0xbf if self.offset(at) < 3 => {}
                b'{' => {
                    let begin = &self.buffer[at..self.end.min(at + WRAPPER_BYTES)];
                    match wrapper(begin) {
                        Wrapper::Opens(length) => {
                            self.wrappers += 1;
                            self.line.clean = false;
                            self.cursor += length;
                            if self.sweep.is_some() && self.records == 0 {
                                self.start = self.cursor;
                                self.counted = self.offset(self.cursor);
                                self.counted_to = self.counted;
                                self.last_record = self.counted;
                                self.mode = Mode::Sweep;
                                return Step::Again;
                            }
                            continue;
                        }
                        Wrapper::Unknown if !last && begin.len() < WRAPPER_BYTES => {
                            self.start = at;
                            return Step::NeedMore;
                        }
                        Wrapper::Unknown | Wrapper::None => {}
                    }
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
                    self.mode = Mode::Resync { reported: false, indent: usize::MAX };
                    return Step::Again;
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
            Walk::Fault(at) => self.fault(self.cursor + at),
            Walk::Open if last => self.fault(self.end),
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
        let from = self.cursor;
        let step = match self.nesting.walk(&self.buffer[from..self.end]) {
            Walk::Closed(length) => {
                self.cursor += length;
                self.mode = Mode::Values { inside: false };
                Step::Again
            }
            Walk::Fault(at) => {
                let line_end = memrchr(b'\n', &self.buffer[from..from + at]);
                self.cursor += line_end.unwrap_or(at);
                self.mode = Mode::Resync { reported: true, indent: self.resync_indent() };
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

    // Sweep ------------------------------------------------------------------------------

    fn sweep(&mut self, last: bool, receive: Receiver<'_>) -> Step {
        let Some(sweep) = &self.sweep else {
            return self.suspicious();
        };
        let tail = self.end.saturating_sub(OVERLAP_BYTES);
        let uncounted = usize::try_from(self.counted_to.saturating_sub(self.base)).unwrap_or(self.end);
        let in_part = self.counted.saturating_sub(COUNTED_BYTES);
        if in_part * COUNTED_PART <= self.counted_to.saturating_sub(COUNTED_BYTES) {
            let (records, behind) = sweep.records(&self.buffer[uncounted..self.end]);
            self.records += records;
            let to = tail.max(uncounted);
            self.counted += (to - uncounted) as u64;
            self.counted_to = self.offset(to);
            if records > 0 {
                self.last_record = self.offset(uncounted + behind);
            }
        } else {
            self.counted_to = self.offset(self.end);
        }
        while let Some(at) = sweep.find(&self.buffer[self.cursor..self.end]) {
            let key = self.cursor + at;
            match sweep.around(&self.buffer[self.start..self.end], key - self.start) {
                Around::Nothing => {}
                Around::OpenFrom(_) if last => return self.suspicious(),
                Around::OpenFrom(from) => {
                    self.start = (self.start + from).min(key.saturating_sub(HISTORY_BYTES)).max(self.start);
                    self.cursor = key;
                    let too_long = self.end - self.start > MAX_OBJECT_BYTES;
                    return if too_long { self.suspicious() } else { Step::NeedMore };
                }
                Around::Object(from, to) => {
                    let (from, to) = (self.start + from, self.start + to);
                    self.walked += 2 * (to - from) as u64;
                    let walks = SWEEP_WALKS * self.offset(to) + REWALK_BYTES as u64;
                    let suspect = Found::Suspect(&self.buffer[from..to]);
                    if self.walked > walks || !receive(self.offset(from), suspect) {
                        return self.suspicious();
                    }
                }
                Around::Unknown => return self.suspicious(),
            }
            self.cursor = key + 1;
        }
        self.cursor = self.cursor.max(tail);
        self.start = self.start.max(self.cursor.saturating_sub(HISTORY_BYTES));
        // A record this long is reported by the thorough reading.
        if self.offset(self.end).saturating_sub(self.last_record) > self.max_record_bytes as u64 {
            return self.suspicious();
        }
        Step::NeedMore
    }

    fn suspicious(&mut self) -> Step {
        self.mode = Mode::Suspicious;
        Step::Again
    }

    fn pass_over(&mut self) -> Step {
        self.start = self.end;
        self.cursor = self.end;
        Step::NeedMore
    }

    // Faults -----------------------------------------------------------------------------

    /// The record at `start` proved to be none at `at`: go on behind its first line, or, when
    /// too much has been walked twice, behind its last.
    fn fault(&mut self, at: usize) -> Step {
        let walked = at - self.start;
        self.cursor = self.start;
        if walked <= self.rewalk_left {
            self.rewalk_left -= walked;
        } else if let Some(line_end) = memrchr(b'\n', &self.buffer[self.start..at]) {
            self.cursor += line_end;
        }
        self.mode = Mode::Resync { reported: false, indent: self.resync_indent() };
        Step::Again
    }

    /// Inside a faulty record of many lines, an object that is indented deeper is a part of it.
    fn resync_indent(&self) -> usize {
        if self.nesting.many_lines { self.line.indent } else { usize::MAX }
    }

    /// Passes over the rest of the line at `cursor`, and over every further line that cannot
    /// begin a record, reporting those that are candidates.
    fn resync(&mut self, reported: bool, indent: usize, last: bool, receive: Receiver<'_>) -> Step {
        let newline = memchr(b'\n', &self.buffer[self.cursor..self.end]).map(|at| self.cursor + at);
        if newline.is_none() && !last && !reported && self.end - self.start <= self.max_record_bytes {
            return Step::NeedMore;
        }
        let line_end = newline.unwrap_or(self.end);
        let report = !reported && self.contains_needle(self.start, line_end);
        if report {
            receive(self.offset(self.start), Found::Broken);
        }
        let Some(newline) = newline else {
            self.start = self.end;
            self.cursor = self.end;
            self.mode = Mode::Resync { reported: true, indent };
            return Step::NeedMore;
        };
        let line = newline + 1;
        let rest = &self.buffer[line.min(self.end)..self.end];
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let rest = &rest[blank..];
        let behind_comma = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
        if behind_comma.is_empty() && !last && self.end - newline <= self.max_record_bytes {
            // Too little of the next line is known; come back to this line end.
            self.start = newline;
            self.cursor = newline;
            self.mode = Mode::Resync { reported: true, indent };
            return Step::NeedMore;
        }
        let is_array = blank == 0 && rest.first() == Some(&b'[');
        if is_array || (blank <= indent && behind_comma.first() == Some(&b'{')) {
            self.between_from(line);
        } else {
            self.start = line;
            self.cursor = line;
            self.mode = Mode::Resync { reported: false, indent };
        }
        Step::Again
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether an object is a wrapper around records.
enum Wrapper {
    /// It is; its records begin behind this many bytes.
    Opens(usize),
    /// It is not.
    None,
    /// Too little of it is there.
    Unknown,
}

/// Looks at an object's begin. A wrapper's is `{"Records":[`, with any white space.
///
/// No invocation-log record begins so. Source: "CloudTrail log file examples" in the AWS
/// CloudTrail user guide.
fn wrapper(object: &[u8]) -> Wrapper {
    let mut rest = object;
    for token in [&b"{"[..], b"\"Records\"", b":", b"["] {
        rest = rest.trim_ascii_start();
        match rest.strip_prefix(token) {
            Some(behind) => rest = behind,
            None if token.starts_with(rest) => return Wrapper::Unknown,
            None => return Wrapper::None,
        }
    }
    Wrapper::Opens(object.len() - rest.len())
}
