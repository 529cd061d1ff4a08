//! The thorough framer: follows strings and brackets, and so needs no line ends.

use memchr::memrchr;

use crate::log::buffer::Buffer;
use crate::log::framing::{Found, Receiver, Scope, Step};
use crate::log::nesting::{Nesting, Walk};
use crate::log::resync::{Resync, Resynced};
use crate::log::wrapper::{WRAPPER_BYTES, Wrapper, wrapper};

/// After a fault, framing goes back to the line behind the faulty record's first. This many
/// bytes of an object may be walked again for it, which bounds the work on hostile input.
const REWALK_BYTES: usize = 64 * 1024 * 1024;

/// Records wherever their brackets open and close.
pub struct Values {
    place: Place,
    nesting: Nesting,
    line: Line,
    rewalk_left: usize,
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

impl Default for Values {
    fn default() -> Self {
        Self {
            place: Place::Between,
            nesting: Nesting::default(),
            line: Line { indent: 0, blank: 0, clean: true, alone: false },
            rewalk_left: REWALK_BYTES,
            wrappers: 0,
        }
    }
}

impl Values {
    /// Begins between records, at the begin of a line.
    pub fn begin(&mut self, text: &mut Buffer) {
        self.place = Place::Between;
        text.cursor = text.start;
        self.line.blank = 0;
        self.line.clean = true;
    }

    pub fn step(&mut self, scope: &mut Scope, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        match &mut self.place {
            Place::Between => self.between(scope, text, last),
            Place::Inside => self.inside(scope, text, last, receive),
            Place::Skipping => self.skip(text, last),
            Place::Lost(resync) => match resync.step(scope, text, last, receive) {
                Resynced::NeedMore => Step::NeedMore,
                Resynced::Again => Step::Again,
                Resynced::Found => {
                    self.begin(text);
                    Step::Again
                }
            },
        }
    }

    fn between(&mut self, scope: &mut Scope, text: &mut Buffer, last: bool) -> Step {
        while let Some(byte) = text.rest(text.cursor).first() {
            let at = text.cursor;
            match byte {
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
                0xef | 0xbb | 0xbf if text.offset(at) < 3 => {}
                b'{' => {
                    let begin = text.text(at, text.end.min(at + WRAPPER_BYTES));
                    match wrapper(begin) {
                        Wrapper::Opens(length) => {
                            self.wrappers += 1;
                            self.line.clean = false;
                            text.cursor += length;
                            continue;
                        }
                        Wrapper::Unknown if !last && begin.len() < WRAPPER_BYTES => {
                            text.start = at;
                            return Step::NeedMore;
                        }
                        Wrapper::Unknown | Wrapper::None => {}
                    }
                    scope.records += 1;
                    text.start = at;
                    self.line.alone = self.line.clean;
                    self.line.indent = self.line.blank;
                    self.line.clean = false;
                    self.nesting = Nesting::default();
                    self.place = Place::Inside;
                    return Step::Again;
                }
                _ => {
                    text.start = at;
                    self.place = Place::Lost(Resync::behind(false, usize::MAX));
                    return Step::Again;
                }
            }
            text.cursor += 1;
        }
        text.start = text.end;
        Step::NeedMore
    }

    fn inside(&mut self, scope: &Scope, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        match self.nesting.walk(text.rest(text.cursor)) {
            Walk::Closed(length) => {
                let (start, end) = (text.start, text.cursor + length);
                let record = text.text(start, end);
                if record.len() > scope.max_record_bytes {
                    receive(text.offset(start), Found::Oversized);
                } else if scope.needles.is_match(record)
                    && !receive(text.offset(start), Found::Candidate(record))
                {
                    receive(text.offset(start), Found::Broken);
                }
                text.restart(end);
                self.place = Place::Between;
                let has_line = self.line.alone && !self.nesting.many_lines && line_ends(text.rest(end));
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

    fn skip(&mut self, text: &mut Buffer, last: bool) -> Step {
        let from = text.cursor;
        let step = match self.nesting.walk(text.rest(from)) {
            Walk::Closed(length) => {
                text.cursor += length;
                self.place = Place::Between;
                Step::Again
            }
            Walk::Fault(at) => {
                let line_end = memrchr(b'\n', text.text(from, from + at));
                text.cursor += line_end.unwrap_or(at);
                self.place = Place::Lost(Resync::behind(true, self.indent()));
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

    /// The record at the buffer's start proved to be none at `at`: go on behind its first line, or,
    /// when too much has been walked twice, behind its last.
    fn fault(&mut self, text: &mut Buffer, at: usize) -> Step {
        let walked = at - text.start;
        text.cursor = text.start;
        if walked <= self.rewalk_left {
            self.rewalk_left -= walked;
        } else if let Some(line_end) = memrchr(b'\n', text.text(text.start, at)) {
            text.cursor += line_end;
        }
        self.place = Place::Lost(Resync::behind(false, self.indent()));
        Step::Again
    }

    /// Inside a faulty record of many lines, an object that is indented deeper is a part of it.
    fn indent(&self) -> usize {
        if self.nesting.many_lines { self.line.indent } else { usize::MAX }
    }
}

fn line_ends(rest: &[u8]) -> bool {
    rest.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r')) == Some(&b'\n')
}
