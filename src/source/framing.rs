//! Blocks of text → pieces that look like one JSON object each.
//!
//! Strings and brackets are followed, which needs no line ends, so that an object is cut out alike in every framing:
//! on a line, in a list, in an envelope around many, pretty-printed. Whether it is a record is for the receiver.
//! Nearly every log holds one object per line, and nearly none is looked for: once a record has been recognised, on
//! its own line, [`Lines`] passes over such lines.

use crate::source::buffer::Buffer;
use crate::source::lines::{Lines, Passed};
use crate::source::nesting::{Nesting, Walk};
use crate::source::piece::{Container, Cut, Receiver, Verdict};
use crate::source::time::export_time;
use crate::source::words::Words;

/// Cuts a stream of text into pieces.
#[expect(clippy::struct_excessive_bools, reason = "what is known of the stream so far, each by itself")]
pub struct Framer {
    words: Words,
    /// A longer record is skipped.
    max_record_bytes: usize,
    lines: Lines,
    /// Records that have begun so far, beside those that `lines` passed over.
    records: u64,
    /// Records come one a line, so a line counts once.
    has_lines: bool,
    /// The object that is being walked was counted as a record.
    is_counted: bool,
    /// A record has been recognised. Until then every object is received.
    recognised: bool,
    state: CutState,
    /// What surrounds the current position.
    within: Container,
    nesting: Nesting,
    /// What is being walked is what follows the array of an envelope.
    is_tail: bool,
    /// What has been seen so far on the line being walked.
    line: LineBegin,
    /// White space before the record that began last.
    indent: usize,
    /// Behind a fault, what is indented deeper begins no record.
    max_indent: usize,
    /// The current record was the first thing on its line.
    alone: bool,
    /// Bytes walked again after faults.
    rewalked: u64,
    /// No more may be walked again: a record that begins before this offset must end on its line.
    lines_until: u64,
}

enum CutState {
    /// Between records.
    Between,
    /// After a record, at the end of its line.
    Lines,
    /// Inside the record, or behind the array, at the buffer's start.
    Inside,
    /// Inside an over-long record, of which nothing is kept, that begins at this offset.
    Skipping(u64),
    /// In a line without a record, at this offset unless it has been received.
    Lost(Option<u64>),
}

/// The text on a line before its first record.
#[derive(Clone, Copy, PartialEq, Eq)]
struct LineBegin {
    /// White space at the beginning of the line.
    blank: usize,
    /// Nothing but white space.
    clean: bool,
    /// The time of a line of an exported log group.
    is_exported: bool,
    /// An object that began the line.
    has_object: bool,
}

/// The beginning of an empty line.
const EMPTY: LineBegin = LineBegin { blank: 0, clean: true, is_exported: false, has_object: false };

/// Whether there is more to do, or all that is there has been examined.
#[derive(PartialEq, Eq)]
enum Step {
    Again,
    NeedMore,
}

impl Framer {
    /// Names the pieces that contain one of `words`; skips records longer than `max_record_bytes`.
    #[must_use]
    pub fn new(words: &[&str], max_record_bytes: usize) -> Self {
        Self {
            words: Words::new(words),
            max_record_bytes,
            lines: Lines::default(),
            records: 0,
            has_lines: false,
            is_counted: false,
            recognised: false,
            state: CutState::Between,
            within: Container::None,
            nesting: Nesting::default(),
            is_tail: false,
            line: EMPTY,
            indent: 0,
            max_indent: usize::MAX,
            alone: false,
            rewalked: 0,
            lines_until: 0,
        }
    }

    /// How many records have begun so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records.saturating_add(self.lines.records)
    }

    /// Examines what is in `text`; `last` says that nothing will follow it.
    pub fn examine(&mut self, text: &mut Buffer, last: bool, receive: Receiver<'_>) {
        while self.step(text, last, receive) == Step::Again {}
    }

    fn step(&mut self, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        match &mut self.state {
            CutState::Between => self.between(text, last, receive),
            CutState::Lines => match self.lines.pass(text, &mut self.words, self.max_record_bytes, last) {
                Passed::NeedMore => Step::NeedMore,
                Passed::Line => self.begin_line(),
            },
            CutState::Inside => self.inside(text, last, receive),
            CutState::Skipping(offset) => {
                let offset = *offset;
                self.skip(offset, text, last, receive)
            }
            CutState::Lost(line) => {
                let line = *line;
                self.pass_line(line, text, last, receive)
            }
        }
    }

    /// Begins at the buffer's start, between records, before which its line is blank.
    fn begin_line(&mut self) -> Step {
        self.state = CutState::Between;
        self.line = EMPTY;
        Step::Again
    }

    fn between(&mut self, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        while let Some(byte) = text.byte(text.cursor) {
            let at = text.cursor;
            match byte {
                b'\n' => self.line = EMPTY,
                b' ' | b'\t' | b'\r' => {
                    self.line.blank = self.line.blank.saturating_add(usize::from(self.line.clean));
                }
                b']' if self.within.is_array() => {
                    text.restart(at.saturating_add(1));
                    self.line.clean = false;
                    self.is_tail = true;
                    self.indent = usize::MAX;
                    self.nesting = Nesting::behind_array(self.max_record_bytes);
                    self.state = CutState::Inside;
                    return Step::Again;
                }
                b'[' if self.line == EMPTY => {
                    self.line.clean = false;
                    self.max_indent = usize::MAX;
                }
                b',' | b'[' | b']' | b'}' => self.line.clean = false,
                // A byte-order mark may stand before any record.
                0xef | 0xbb | 0xbf => {}
                b'{' if self.line.blank <= self.max_indent => return self.open(text, last, receive),
                b'0'..=b'9' if self.line == EMPTY && !self.within.is_array() => {
                    match export_time(text.rest(at)) {
                        Some(0) if !last => {
                            text.start = at;
                            return Step::NeedMore;
                        }
                        Some(length) if length > 0 => {
                            self.line = LineBegin { clean: false, is_exported: true, ..EMPTY };
                            self.max_indent = usize::MAX;
                            text.cursor = at.saturating_add(length).saturating_sub(1);
                        }
                        _ => return self.lost(text, at),
                    }
                }
                _ => return self.lost(text, at),
            }
            text.cursor = text.cursor.saturating_add(1);
        }
        text.start = text.end;
        Step::NeedMore
    }

    /// Begins the object at the cursor.
    fn open(&mut self, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        text.start = text.cursor;
        self.alone = self.line.clean;
        self.indent = self.line.blank;
        self.max_indent = usize::MAX;
        self.line.clean = false;
        self.is_counted = !(self.has_lines && self.line.has_object) || self.within.is_array();
        self.line.has_object |= self.alone;
        self.records = self.records.saturating_add(u64::from(self.is_counted));
        // To read a line is quicker than to follow its brackets first. What is not exactly one object, or an
        // envelope with an array, has no effect.
        let may_be_line =
            self.recognised && self.within == Container::None && (self.alone || self.line.is_exported);
        let newline = if may_be_line { text.find(b'\n', text.start, text.end) } else { None };
        if let Some(end) = newline.or_else(|| (may_be_line && last).then_some(text.end))
            && end.saturating_sub(text.start) <= self.max_record_bytes
            && text.text(text.start, end).trim_ascii_end().ends_with(b"}")
            && self.words.any(text, text.start, end)
            && self.receive_piece(text, end, receive) != Verdict::Broken
        {
            self.begin_lines(text, end);
            text.restart(end);
            return Step::Again;
        }
        self.is_tail = false;
        self.nesting = Nesting::new(self.max_record_bytes);
        self.state = CutState::Inside;
        Step::Again
    }

    /// Follows the record at the buffer's start, or what follows the array of an envelope.
    fn inside(&mut self, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        let in_line = text.offset(text.start) < self.lines_until;
        let line_end = if in_line { text.find(b'\n', text.cursor, text.end) } else { None };
        let to = line_end.unwrap_or(text.end);
        let mut walk = self.nesting.walk(text.text(text.cursor, to), text.offset(text.cursor));
        while let Walk::Array(length) = walk {
            text.cursor = text.cursor.saturating_add(length);
            if self.enter_array(text, receive) {
                return Step::Again;
            }
            walk = self.nesting.walk(text.text(text.cursor, to), text.offset(text.cursor));
        }
        match walk {
            Walk::Closed(length) => {
                self.closed(text, text.cursor.saturating_add(length), receive);
                Step::Again
            }
            Walk::Fault(at) => self.fault(text, text.cursor.saturating_add(at)),
            Walk::Open if line_end.is_some() => self.fault(text, to),
            Walk::Open if last => self.fault(text, text.end),
            Walk::Open | Walk::Array(_) => {
                text.cursor = text.end;
                if text.end.saturating_sub(text.start) > self.max_record_bytes {
                    let offset = text.offset(text.start);
                    self.pass_part(offset, text, receive);
                    self.state = CutState::Skipping(offset);
                }
                Step::NeedMore
            }
        }
    }

    /// Goes on with the elements, if the array that opens before the cursor makes the object an envelope.
    fn enter_array(&mut self, text: &mut Buffer, receive: Receiver<'_>) -> bool {
        let key = text.rest(text.position(self.nesting.string)).split(|byte| *byte == b'"').next();
        let may_be_envelope =
            self.is_tail || !matches!(self.within, Container::LogEvents | Container::LookupEvents);
        let Some(container) = key.and_then(Container::keyed).filter(|_| may_be_envelope) else {
            return false;
        };
        // It is no record itself.
        self.records = self.records.saturating_sub(u64::from(!self.is_tail && self.is_counted));
        receive(text.offset(text.start), Cut::Around(text.text(text.start, text.cursor)));
        self.within = container;
        text.restart(text.cursor);
        self.state = CutState::Between;
        true
    }

    /// What is being walked ends there.
    fn closed(&mut self, text: &mut Buffer, end: usize, receive: Receiver<'_>) {
        let offset = text.offset(text.start);
        let json = text.text(text.start, end);
        if self.is_tail {
            receive(offset, Cut::Around(json));
            self.within = Container::None;
        } else if json.len() > self.max_record_bytes {
            receive(offset, Cut::Part(json));
            receive(offset, Cut::Oversized);
        } else if self.receive_piece(text, end, receive) == Verdict::Broken
            && self.words.any(text, text.start, end)
        {
            receive(offset, Cut::Broken(json));
        }
        let has_line = self.recognised
            && self.within == Container::None
            && self.alone
            && !self.nesting.has_many_lines()
            && text.byte(text.pass(b" \t\r", end)) == Some(b'\n');
        if has_line {
            self.begin_lines(text, end);
        } else {
            self.state = CutState::Between;
        }
        text.restart(end);
    }

    /// Goes on with lines like the record at the buffer's start, which ends there.
    fn begin_lines(&mut self, text: &Buffer, end: usize) {
        self.lines.begin_like(text.text(text.start, end));
        self.has_lines |= self.alone;
        self.state = CutState::Lines;
    }

    fn receive_piece(&mut self, text: &Buffer, end: usize, receive: Receiver<'_>) -> Verdict {
        let within = match self.within {
            Container::None | Container::Unknown if self.line.is_exported => Container::ExportLine,
            within => within,
        };
        let is_named = self.words.any(text, text.start, end);
        let json = text.text(text.start, end);
        let verdict = receive(text.offset(text.start), Cut::Piece { json, within, is_named });
        self.recognised |= verdict == Verdict::Record;
        verdict
    }

    /// Skips a record that is too long.
    fn skip(&mut self, offset: u64, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        let walk = self.nesting.walk(text.rest(text.cursor), text.offset(text.cursor));
        text.cursor = match walk {
            Walk::Closed(length) | Walk::Array(length) => text.cursor.saturating_add(length),
            Walk::Fault(at) => text.cursor.saturating_add(at),
            Walk::Open => text.end,
        };
        self.pass_part(offset, text, receive);
        match walk {
            Walk::Array(_) => return Step::Again,
            Walk::Open if !last => return Step::NeedMore,
            _ => {}
        }
        receive(offset, Cut::Oversized);
        text.start = text.cursor;
        if self.is_tail {
            self.within = Container::None;
        }
        if !matches!(walk, Walk::Fault(_)) {
            self.state = CutState::Between;
            return Step::Again;
        }
        self.within = self.within_behind_fault();
        if self.nesting.is_at_line() {
            return self.begin_line();
        }
        self.max_indent = self.fault_indent();
        self.state = CutState::Lost(None);
        Step::Again
    }

    /// Passes on the text up to the cursor and forgets it, but for what may begin a word.
    fn pass_part(&self, offset: u64, text: &mut Buffer, receive: Receiver<'_>) {
        receive(offset, Cut::Part(text.text(text.start, text.cursor)));
        text.start = text.start.max(text.cursor.saturating_sub(self.words.overlap()));
    }

    /// What is between records at `at` is none.
    fn lost(&mut self, text: &mut Buffer, at: usize) -> Step {
        self.within = self.within_behind_fault();
        text.start = at;
        let blank = if self.line.clean { self.line.blank } else { 0 };
        self.state = CutState::Lost(Some(text.offset(at).saturating_sub(blank as u64)));
        Step::Again
    }

    /// Passes over the rest of a line without a record, and hands it on if it contains a word. Keeps no more text than
    /// a word's length.
    fn pass_line(
        &mut self,
        mut line: Option<u64>,
        text: &mut Buffer,
        last: bool,
        receive: Receiver<'_>,
    ) -> Step {
        let newline = text.find(b'\n', text.cursor, text.end);
        let end = newline.unwrap_or(text.end);
        if let Some(offset) = line
            && self.words.any(text, text.start, end)
        {
            receive(offset, Cut::Broken(text.text(text.start, end)));
            line = None;
        }
        if newline.is_some() {
            text.restart(end);
            return self.begin_line();
        }
        text.cursor = text.end;
        let overlap = if line.is_some() && !last { self.words.overlap() } else { 0 };
        text.start = text.start.max(text.end.saturating_sub(overlap));
        self.state = CutState::Lost(line);
        Step::NeedMore
    }

    /// The record at the buffer's start proved to be none at `at`: go on behind its first line.
    /// But in all, no more than the text so far is walked again, else the work on hostile input would
    /// grow faster than its size: then each of its lines is walked by itself.
    fn fault(&mut self, text: &mut Buffer, at: usize) -> Step {
        self.within = self.within_behind_fault();
        let rewalked = self.rewalked.saturating_add(at.saturating_sub(text.start) as u64);
        text.cursor = text.start;
        if rewalked <= text.offset(at) {
            self.rewalked = rewalked;
        } else {
            self.lines_until = self.lines_until.max(text.offset(at));
        }
        self.max_indent = self.fault_indent();
        self.state = CutState::Lost(Some(text.offset(text.start)));
        Step::Again
    }

    /// Inside a faulty record of many lines, an object indented deeper is part of it.
    fn fault_indent(&self) -> usize {
        if self.nesting.has_many_lines() { self.indent } else { usize::MAX }
    }

    /// A fault may have hidden the end of an envelope.
    fn within_behind_fault(&self) -> Container {
        match self.within {
            Container::None | Container::Records => Container::None,
            _ => Container::Unknown,
        }
    }
}
