//! Blocks of text → candidate records.
//!
//! Nearly every log holds one JSON object per line, and nearly no record is a denial. So the fast
//! path ([`Lines`]) never looks at single lines: it searches whole blocks for a needle and cuts out
//! the line around a hit. Everything else (pretty-printed, concatenated, one array, faulty)
//! is cut by following strings and brackets ([`Values`]), which needs no line ends.
//! Framing starts with `Values`. Once a record has been recognised, one on a line of its own switches to
//! `Lines`, and a line end inside a record switches back. A `}` and `{` separated by white space are the
//! one sure sign: in valid JSON they occur only between two top-level objects.

use crate::source::buffer::Buffer;
use crate::source::lines::Lines;
use crate::source::needles::Needles;
use crate::source::resync::EMPTY;
use crate::source::values::Values;
use crate::source::wrapper::Shape;

/// What framing found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A piece that contains a needle and looks like one object.
    Candidate(&'a [u8], Shape),
    /// One that contains none. Passed on only until a record has been recognised.
    Sample(&'a [u8], Shape),
    /// A piece that contains a needle and is not an object. Of a longer one, a part with the needle.
    Broken(&'a [u8]),
    /// An object longer than the limit, which was skipped to its end, and whether it names a denial.
    Oversized(bool),
    /// The beginning of a wrapper, up to its elements.
    Wrapper(&'a [u8]),
    /// A needle in a wrapper, behind its elements.
    Stray(&'a [u8]),
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not a valid JSON object.
    Broken,
    /// An object in which no record is recognised.
    Unknown,
    /// A record, or an envelope with one.
    Record,
}

/// Takes what was found at a stream offset. Only the verdict on an object matters.
pub type Receiver<'r> = &'r mut dyn FnMut(u64, Found<'_>) -> Verdict;

/// Cuts a stream of text into records and passes on those that contain a needle.
pub struct Framer {
    scope: Scope,
    framing: Framing,
    lines: Lines,
    values: Values,
}

#[derive(Clone, Copy)]
enum Framing {
    Lines,
    Values,
}

/// What both framers share.
pub struct Scope {
    /// What makes a piece a candidate.
    pub needles: Needles,
    /// A longer record is skipped.
    pub max_record_bytes: usize,
    /// Records that have begun so far.
    pub records: u64,
    /// A record has been recognised. Until then every object is passed on, because a few candidates do
    /// not show whether the log is readable at all.
    pub recognised: bool,
}

impl Scope {
    /// Stream offset of the first needle between two positions.
    pub fn needle(&self, text: &Buffer, from: usize, to: usize) -> Option<u64> {
        text.spend(to.saturating_sub(from));
        self.needles.find(text.text(from, to)).map(|at| text.offset(from.saturating_add(at)))
    }

    /// Passes on the text from the buffer's start to `to`, which contains a needle.
    pub fn candidate(&mut self, text: &Buffer, to: usize, shape: Shape, receive: Receiver<'_>) -> Verdict {
        self.hand_on(text, to, Found::Candidate(text.text(text.start, to), shape), receive)
    }

    /// Passes on the text there, which contains no needle, if that matters.
    pub fn sample(&mut self, text: &Buffer, to: usize, shape: Shape, receive: Receiver<'_>) {
        if !self.recognised {
            self.hand_on(text, to, Found::Sample(text.text(text.start, to), shape), receive);
        }
    }

    fn hand_on(&mut self, text: &Buffer, to: usize, found: Found<'_>, receive: Receiver<'_>) -> Verdict {
        text.spend(to.saturating_sub(text.start));
        let verdict = receive(text.offset(text.start), found);
        self.recognised |= verdict == Verdict::Record;
        verdict
    }
}

/// What a framer did last.
pub enum Step {
    /// It has examined everything there.
    NeedMore,
    /// It can go on by itself.
    Again,
    /// The line end at the cursor, and what follows, is for [`Lines`].
    Lines,
    /// What begins at the buffer's start, on a line of its own, is for [`Values`].
    Values,
}

impl Framer {
    /// Passes on pieces that contain one of `needles`; skips records longer than `max_record_bytes`.
    #[must_use]
    pub fn new(needles: &[String], max_record_bytes: usize) -> Self {
        Self {
            scope: Scope { needles: Needles::new(needles), max_record_bytes, records: 0, recognised: false },
            framing: Framing::Values,
            lines: Lines::default(),
            values: Values::default(),
        }
    }

    /// How many records have begun so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.scope.records
    }

    /// Examines what is in `text`; `last` says that nothing will follow it.
    pub fn examine(&mut self, text: &mut Buffer, last: bool, receive: Receiver<'_>) {
        let Self { scope, framing, lines, values } = self;
        loop {
            let step = match framing {
                Framing::Lines => lines.step(scope, text, last, receive),
                Framing::Values => values.step(scope, text, last, receive),
            };
            match step {
                Step::NeedMore => return,
                Step::Again => {}
                Step::Lines => {
                    *framing = Framing::Lines;
                    lines.begin();
                }
                Step::Values => {
                    *framing = Framing::Values;
                    values.begin(EMPTY);
                }
            }
        }
    }
}
