//! The thorough framer: follows strings and brackets, and so needs no line ends.

use crate::log::buffer::Buffer;
use crate::log::envelope::export_time;
use crate::log::framing::{Found, Receiver, Scope, Step, hand_on};
use crate::log::nesting::{Nesting, Walk};
use crate::log::resync::{Begin, EMPTY, Resync, Resynced};
use crate::log::wrapper::{WRAPPER_BYTES, Wrapper, wrapper};

/// Records wherever their brackets open and close.
pub struct Values {
    place: Place,
    nesting: Nesting,
    /// What stands so far on the line being walked.
    line: Begin,
    /// White space before the record that began last.
    indent: usize,
    /// The current record was the first thing on its line.
    alone: bool,
    /// Bytes walked again after faults.
    rewalked: u64,
    /// Wrappers that are open.
    wrappers: usize,
}

enum Place {
    /// Between records.
    Between,
    /// Inside the record at the buffer's start.
    Inside,
    /// Inside an over-long record of which nothing is kept.
    Skipping,
    /// Behind a fault.
    Lost(Resync),
}

impl Default for Values {
    fn default() -> Self {
        Self {
            place: Place::Between,
            nesting: Nesting::default(),
            line: EMPTY,
            indent: 0,
            alone: false,
            rewalked: 0,
            wrappers: 0,
        }
    }
}

impl Values {
    /// Begins at the buffer's start, between records. `line` stands before it on its line.
    pub fn begin(&mut self, line: Begin) {
        self.place = Place::Between;
        self.line = line;
    }

    pub fn step(&mut self, scope: &mut Scope, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        match &mut self.place {
            Place::Between => self.between(scope, text, last),
            Place::Inside => self.inside(scope, text, last, receive),
            Place::Skipping => self.skip(text, last),
            Place::Lost(resync) => match resync.step(scope, text, last, receive) {
                Resynced::NeedMore => Step::NeedMore,
                Resynced::Again => Step::Again,
                Resynced::Found(line) => {
                    self.begin(line);
                    Step::Again
                }
            },
        }
    }

    fn between(&mut self, scope: &mut Scope, text: &mut Buffer, last: bool) -> Step {
        while let Some(byte) = text.byte(text.cursor) {
            let at = text.cursor;
            text.spend(1);
            match byte {
                b'\n' => self.line = EMPTY,
                b' ' | b'\t' | b'\r' => self.line.blank += usize::from(self.line.clean),
                b',' | b'[' | b']' => self.line.clean = false,
                b'}' if self.wrappers > 0 => {
                    self.wrappers -= 1;
                    self.line.clean = false;
                }
                // A byte-order mark.
                0xef | 0xbb | 0xbf if text.offset(at) < 3 => {}
                b'{' => {
                    let begin = text.text(at, text.end.min(at + WRAPPER_BYTES));
                    match wrapper(begin) {
                        Wrapper::Opens(length) => {
                            self.wrappers += 1;
                            self.line.clean = false;
                            text.spend(length);
                            text.cursor += length;
                            continue;
                        }
                        Wrapper::Unknown if !last && begin.len() < WRAPPER_BYTES => {
                            text.spend(begin.len());
                            text.start = at;
                            return Step::NeedMore;
                        }
                        Wrapper::Unknown | Wrapper::None => {}
                    }
                    scope.records += 1;
                    text.start = at;
                    self.alone = self.line.clean;
                    self.indent = self.line.blank;
                    self.line.clean = false;
                    self.nesting = Nesting::default();
                    self.place = Place::Inside;
                    return Step::Again;
                }
                b'0'..=b'9' if self.line.clean && self.line.blank == 0 => {
                    match export_time(text.text(at, text.end.min(at + WRAPPER_BYTES))) {
                        Some(0) if !last => {
                            text.start = at;
                            return Step::NeedMore;
                        }
                        Some(length) if length > 0 => {
                            self.line.clean = false;
                            text.spend(length);
                            text.cursor += length;
                            continue;
                        }
                        _ => return self.lost(text, at),
                    }
                }
                _ => return self.lost(text, at),
            }
            text.cursor += 1;
        }
        text.start = text.end;
        Step::NeedMore
    }

    fn lost(&mut self, text: &mut Buffer, at: usize) -> Step {
        text.start = at;
        self.place = Place::Lost(Resync::behind(Some(text.offset(at)), usize::MAX));
        Step::Again
    }

    fn inside(&mut self, scope: &Scope, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        match self.walk(text) {
            Walk::Closed(length) => {
                let (start, end) = (text.start, text.cursor + length);
                if end - start > scope.max_record_bytes {
                    receive(text.offset(start), Found::Oversized);
                } else if scope.mentions(text, start, end) && !hand_on(text, end, receive) {
                    receive(text.offset(start), Found::Broken);
                }
                text.restart(end);
                self.place = Place::Between;
                let has_line = self.alone
                    && !self.nesting.many_lines
                    && text.byte(text.pass(b" \t\r", end)) == Some(b'\n');
                if has_line { Step::Lines } else { Step::Again }
            }
            Walk::Fault(at) => self.fault(text, text.cursor + at),
            Walk::Open if last => self.fault(text, text.end),
            Walk::Open => {
                text.cursor = text.end;
                if text.end - text.start > scope.max_record_bytes {
                    receive(text.offset(text.start), Found::Oversized);
                    text.start = text.end;
                    self.place = Place::Skipping;
                }
                Step::NeedMore
            }
        }
    }

    fn walk(&mut self, text: &Buffer) -> Walk {
        let walk = self.nesting.walk(text.rest(text.cursor));
        text.spend(match walk {
            Walk::Closed(length) => length,
            Walk::Fault(at) => at,
            Walk::Open => text.end - text.cursor,
        });
        walk
    }

    fn skip(&mut self, text: &mut Buffer, last: bool) -> Step {
        let from = text.cursor;
        let step = match self.walk(text) {
            Walk::Closed(length) => {
                text.cursor += length;
                self.place = Place::Between;
                Step::Again
            }
            Walk::Fault(at) => {
                text.cursor = text.rfind(b'\n', from, from + at).unwrap_or(from + at);
                self.place = Place::Lost(Resync::behind(None, self.fault_indent()));
                Step::Again
            }
            Walk::Open => {
                text.cursor = text.end;
                Step::NeedMore
            }
        };
        text.start = text.cursor;
        if last && matches!(step, Step::NeedMore) {
            self.place = Place::Between;
        }
        step
    }

    /// The record at the buffer's start proved to be none at `at`: go on behind its first line.
    /// But in all, no more than the text so far is walked again, else the work on hostile input would
    /// grow faster than its size: then go on behind the record's last line.
    fn fault(&mut self, text: &mut Buffer, at: usize) -> Step {
        let rewalked = self.rewalked + (at - text.start) as u64;
        text.cursor = text.start;
        if rewalked <= text.offset(at) {
            self.rewalked = rewalked;
        } else if let Some(line_end) = text.rfind(b'\n', text.start, at) {
            text.cursor = line_end;
        }
        self.place = Place::Lost(Resync::behind(Some(text.offset(text.start)), self.fault_indent()));
        Step::Again
    }

    /// Inside a faulty record of many lines, an object that is indented deeper is a part of it.
    fn fault_indent(&self) -> usize {
        if self.nesting.many_lines { self.indent } else { usize::MAX }
    }
}
