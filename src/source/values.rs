//! The thorough framer: follows strings and brackets, so it needs no line ends. It also finds the
//! records inside a wrapper around many.

use crate::call::denial::{self, DENIED};
use crate::source::buffer::Buffer;
use crate::source::envelope::export_time;
use crate::source::framing::{Found, Receiver, Scope, Step, Verdict};
use crate::source::nesting::{Nesting, Walk};
use crate::source::resync::{Begin, EMPTY, Resync, Resynced};
use crate::source::wrapper::{Shape, WRAPPER_BYTES, Wrapper, wrapper};

/// Records wherever their brackets open and close.
pub struct Values {
    place: Place,
    nesting: Nesting,
    /// What has been seen so far on the line being walked.
    line: Begin,
    /// White space before the record that began last.
    indent: usize,
    /// The current record was the first thing on its line.
    alone: bool,
    /// Bytes walked again after faults.
    rewalked: u64,
    /// No more may be walked again: a record that begins before this offset must end on its line.
    lines_until: u64,
    /// How many CloudTrail log files are open around the current position.
    wrappers: usize,
    /// What an object at this place is.
    shape: Shape,
    /// It stands behind the time of a line of an exported log group.
    is_exported: bool,
    /// How much of an object there was when it last was too little to recognise a wrapper.
    too_short: usize,
    /// Stream offset of a needle behind the array of the wrapper that is being left.
    stray: Option<u64>,
}

enum Place {
    /// Between records.
    Between,
    /// Inside the record at the buffer's start.
    Inside,
    /// Inside an over-long record of which nothing is kept.
    Skipping {
        /// Where it begins.
        offset: u64,
        /// It names a denial.
        is_denial: bool,
    },
    /// After a wrapper's array, up to the wrapper's end.
    Closing,
    /// After a fault.
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
            lines_until: 0,
            wrappers: 0,
            shape: Shape::Document,
            is_exported: false,
            too_short: 0,
            stray: None,
        }
    }
}

impl Values {
    /// Begins at the buffer's start, between records. `line` stands before it on its line.
    pub fn begin(&mut self, line: Begin) {
        self.place = Place::Between;
        self.line = line;
        self.is_exported = false;
    }

    pub fn step(&mut self, scope: &mut Scope, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        match &mut self.place {
            Place::Between => self.between(scope, text, last, receive),
            Place::Inside => self.inside(scope, text, last, receive),
            Place::Skipping { offset, is_denial } => {
                let (offset, is_denial) = (*offset, *is_denial);
                self.skip((offset, is_denial), text, last, receive)
            }
            Place::Closing => self.close(scope, text, last, receive),
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

    fn between(&mut self, scope: &mut Scope, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        let in_array = matches!(self.shape, Shape::LogEvent | Shape::LookedUp);
        while let Some(byte) = text.byte(text.cursor) {
            let at = text.cursor;
            text.spend(1);
            match byte {
                b'\n' => {
                    self.line = EMPTY;
                    self.is_exported = false;
                }
                b' ' | b'\t' | b'\r' => {
                    self.line.blank = self.line.blank.saturating_add(usize::from(self.line.clean));
                }
                b']' if in_array => {
                    text.restart(at.saturating_add(1));
                    self.line.clean = false;
                    self.nesting = Nesting::behind_array();
                    self.place = Place::Closing;
                    return Step::Again;
                }
                b',' | b'[' | b']' => self.line.clean = false,
                b'}' if self.wrappers > 0 && !in_array => {
                    self.wrappers = self.wrappers.saturating_sub(1);
                    self.line.clean = false;
                }
                // A byte-order mark.
                0xef | 0xbb | 0xbf if text.offset(at) < 3 => {}
                b'{' => return self.open(scope, text, last, receive),
                b'0'..=b'9' if self.line == EMPTY && !in_array => match export_time(text.rest(at)) {
                    Some(0) if !last => {
                        text.start = at;
                        return Step::NeedMore;
                    }
                    Some(length) if length > 0 => {
                        self.line.clean = false;
                        self.is_exported = true;
                        text.spend(length);
                        text.cursor = at.saturating_add(length).saturating_sub(1);
                    }
                    _ => return self.lost(text, at),
                },
                _ => return self.lost(text, at),
            }
            text.cursor = text.cursor.saturating_add(1);
        }
        text.start = text.end;
        Step::NeedMore
    }

    /// Begins the object at the cursor: a record, or a wrapper around some.
    fn open(&mut self, scope: &mut Scope, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        let at = text.cursor;
        text.start = at;
        if matches!(self.shape, Shape::Document | Shape::Any) {
            let begin = text.text(at, text.end.min(at.saturating_add(WRAPPER_BYTES)));
            let may_grow = !last && begin.len() < WRAPPER_BYTES;
            // Otherwise a beginning that comes in small blocks would be read again with each.
            if may_grow && begin.len() / 2 < self.too_short {
                return Step::NeedMore;
            }
            self.too_short = 0;
            match wrapper(begin) {
                Wrapper::Opens(length, shape) => {
                    let elements = at.saturating_add(length);
                    receive(text.offset(at), Found::Wrapper(text.text(at, elements)));
                    self.wrappers = self.wrappers.saturating_add(usize::from(shape == Shape::Document));
                    self.shape = shape;
                    self.line.clean = false;
                    text.restart(elements);
                    return Step::Again;
                }
                Wrapper::Unknown if may_grow => {
                    text.spend(begin.len());
                    self.too_short = begin.len();
                    return Step::NeedMore;
                }
                Wrapper::Unknown => text.spend(begin.len()),
                Wrapper::None(looked_at) => text.spend(looked_at),
            }
        }
        scope.records = scope.records.saturating_add(1);
        self.alone = self.line.clean;
        self.indent = self.line.blank;
        self.line.clean = false;
        self.nesting = Nesting::default();
        self.place = Place::Inside;
        Step::Again
    }

    fn lost(&mut self, text: &mut Buffer, at: usize) -> Step {
        self.shape = self.shape_behind_fault();
        text.start = at;
        self.place = Place::Lost(Resync::behind(Some(text.offset(at)), usize::MAX));
        Step::Again
    }

    fn inside(&mut self, scope: &mut Scope, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        let in_line = text.offset(text.start) < self.lines_until;
        let line_end = if in_line { text.find(b'\n', text.cursor, text.end) } else { None };
        match self.walk_to(text, line_end.unwrap_or(text.end)) {
            Walk::Closed(length) => {
                let (start, end) = (text.start, text.cursor.saturating_add(length));
                let shape = self.shape_here();
                if end.saturating_sub(start) > scope.max_record_bytes {
                    let is_denial = names_denial(text, start, end);
                    receive(text.offset(start), Found::Oversized(is_denial));
                } else if scope.needle(text, start, end).is_none() {
                    scope.sample(text, end, shape, receive);
                } else if scope.candidate(text, end, shape, receive) == Verdict::Broken {
                    receive(text.offset(start), Found::Broken(text.text(start, end)));
                }
                text.restart(end);
                self.place = Place::Between;
                let has_line = scope.recognised
                    && self.shape == Shape::Document
                    && self.alone
                    && !self.nesting.has_many_lines()
                    && text.byte(text.pass(b" \t\r", end)) == Some(b'\n');
                if has_line { Step::Lines } else { Step::Again }
            }
            Walk::Fault(at) => self.fault(text, text.cursor.saturating_add(at)),
            Walk::Open if line_end.is_some() => self.fault(text, line_end.unwrap_or(text.end)),
            Walk::Open if last => self.fault(text, text.end),
            Walk::Open => {
                text.cursor = text.end;
                if text.end.saturating_sub(text.start) > scope.max_record_bytes {
                    self.place = Place::Skipping {
                        offset: text.offset(text.start),
                        is_denial: names_denial(text, text.start, text.end),
                    };
                    text.start = text.end.saturating_sub(DENIED.len());
                }
                Step::NeedMore
            }
        }
    }

    fn walk(&mut self, text: &Buffer) -> Walk {
        self.walk_to(text, text.end)
    }

    fn walk_to(&mut self, text: &Buffer, to: usize) -> Walk {
        let walk = self.nesting.walk(text.text(text.cursor, to));
        text.spend(match walk {
            Walk::Closed(length) => length,
            Walk::Fault(at) => at,
            Walk::Open => to.saturating_sub(text.cursor),
        });
        walk
    }

    /// Skips a record that is too long, of which this much is known.
    fn skip(
        &mut self,
        (offset, mut is_denial): (u64, bool),
        text: &mut Buffer,
        last: bool,
        receive: Receiver<'_>,
    ) -> Step {
        let walk = self.walk(text);
        let end = match walk {
            Walk::Closed(length) => text.cursor.saturating_add(length),
            Walk::Fault(at) => text.cursor.saturating_add(at),
            Walk::Open => text.end,
        };
        is_denial = is_denial || names_denial(text, text.start, end);
        text.cursor = end;
        if matches!(walk, Walk::Open) && !last {
            text.start = text.start.max(end.saturating_sub(DENIED.len()));
            self.place = Place::Skipping { offset, is_denial };
            return Step::NeedMore;
        }
        receive(offset, Found::Oversized(is_denial));
        text.start = end;
        match walk {
            Walk::Closed(_) => self.place = Place::Between,
            Walk::Fault(_) => {
                self.shape = self.shape_behind_fault();
                self.place = Place::Lost(if self.nesting.is_at_line() {
                    Resync::at_line(text)
                } else {
                    Resync::behind(None, self.fault_indent())
                });
            }
            Walk::Open => {
                self.place = Place::Between;
                return Step::NeedMore;
            }
        }
        Step::Again
    }

    /// Skips what follows a wrapper's array.
    fn close(&mut self, scope: &Scope, text: &mut Buffer, last: bool, receive: Receiver<'_>) -> Step {
        let walk = self.walk(text);
        let end = match walk {
            Walk::Closed(length) => text.cursor.saturating_add(length),
            Walk::Fault(at) => text.cursor.saturating_add(at),
            Walk::Open => text.end,
        };
        if let Some(needle) = scope.needle(text, text.start, end) {
            receive(needle, Found::Stray(text.text(text.start, end)));
            self.stray = self.stray.or(Some(needle));
        }
        text.cursor = end;
        if matches!(walk, Walk::Open) && !last {
            text.start = text.start.max(end.saturating_sub(scope.needles.overlap()));
            return Step::NeedMore;
        }
        if let Some(stray) = self.stray.take()
            && !matches!(walk, Walk::Closed(_))
        {
            // It may have been in a record that was taken for a member of the wrapper.
            receive(stray, Found::Broken(&[]));
        }
        match walk {
            Walk::Open | Walk::Closed(_) => {
                text.start = end;
                self.place = Place::Between;
            }
            Walk::Fault(_) => {
                text.start = end;
                self.place = Place::Lost(if self.nesting.is_at_line() {
                    Resync::at_line(text)
                } else {
                    Resync::behind(Some(text.offset(end)), usize::MAX)
                });
            }
        }
        self.shape = Shape::Document;
        Step::Again
    }

    /// The record at the buffer's start proved to be none at `at`: go on behind its first line.
    /// But in all, no more than the text so far is walked again, else the work on hostile input would
    /// grow faster than its size: then each of its lines is walked by itself.
    fn fault(&mut self, text: &mut Buffer, at: usize) -> Step {
        self.shape = self.shape_behind_fault();
        let rewalked = self.rewalked.saturating_add(at.saturating_sub(text.start) as u64);
        text.cursor = text.start;
        if rewalked <= text.offset(at) {
            self.rewalked = rewalked;
        } else {
            self.lines_until = self.lines_until.max(text.offset(at));
        }
        self.place = Place::Lost(Resync::behind(Some(text.offset(text.start)), self.fault_indent()));
        Step::Again
    }

    /// Inside a faulty record of many lines, an object indented deeper is part of it.
    fn fault_indent(&self) -> usize {
        if self.nesting.has_many_lines() { self.indent } else { usize::MAX }
    }

    /// What the object is that begins here.
    fn shape_here(&self) -> Shape {
        match self.shape {
            Shape::Document | Shape::Any if self.is_exported => Shape::Exported,
            shape => shape,
        }
    }

    /// A fault may have hidden the end of a wrapper.
    fn shape_behind_fault(&self) -> Shape {
        if self.shape == Shape::Document { Shape::Document } else { Shape::Any }
    }
}

/// Whether a denial is named between two positions.
fn names_denial(text: &Buffer, from: usize, to: usize) -> bool {
    text.spend(to.saturating_sub(from));
    denial::names_denial(text.text(from, to))
}
