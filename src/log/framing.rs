//! Blocks of text → candidate records.
//!
//! Nearly every log holds one JSON object a line, and nearly no record is a denial. So the fast
//! path ([`Lines`]) never looks at a line: it searches whole blocks for a needle and cuts out
//! the line around a hit. Everything else (pretty-printed, concatenated, one array, faulty)
//! is cut by following strings and brackets ([`Values`]), which needs no line ends.
//! Framing starts with `Values`; a record that has a line to itself switches to `Lines`, and a
//! line end that is none between records switches back. A blank-separated `}` `{` is the one
//! sure sign: in valid JSON it stands between two top-level objects and nowhere else.

use aho_corasick::{AhoCorasick, MatchKind};

use crate::log::buffer::Buffer;
use crate::log::lines::Lines;
use crate::log::resync::EMPTY;
use crate::log::values::Values;

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
pub type Verdict = bool;

/// Takes what was found at a stream offset.
pub type Receiver<'r> = &'r mut dyn FnMut(u64, Found<'_>) -> Verdict;

/// Cuts a stream of text into records and hands on those that contain a needle.
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
    pub needles: AhoCorasick,
    /// A longer record is skipped.
    pub max_record_bytes: usize,
    /// Records that have begun so far.
    pub records: u64,
}

impl Scope {
    /// Text before this many last bytes is free of needles once it was searched with them.
    pub fn overlap(&self) -> usize {
        self.needles.max_pattern_len().saturating_sub(1)
    }

    /// Whether a needle stands between two positions.
    pub fn mentions(&self, text: &Buffer, from: usize, to: usize) -> bool {
        text.spend(to - from);
        self.needles.is_match(text.text(from, to))
    }
}

/// Hands on what stands between the buffer's start and `to`.
pub fn hand_on(text: &Buffer, to: usize, receive: Receiver<'_>) -> Verdict {
    text.spend(to - text.start);
    receive(text.offset(text.start), Found::Candidate(text.text(text.start, to)))
}

/// What a framer did last.
pub enum Step {
    /// It examined all that is there.
    NeedMore,
    /// It goes on by itself.
    Again,
    /// The line end at the cursor, and what follows, is for [`Lines`].
    Lines,
    /// What begins at the buffer's start, on a line of its own, is for [`Values`].
    Values,
}

impl Framer {
    /// Hands on what contains one of `needles`; a record longer than `max_record_bytes` is skipped.
    ///
    /// # Panics
    /// When the needles are more than a search automaton can hold, megabytes of them.
    #[must_use]
    pub fn new(needles: &[String], max_record_bytes: usize) -> Self {
        let needles = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(needles);
        let needles = needles.expect("a few short needles");
        Self {
            scope: Scope { needles, max_record_bytes, records: 0 },
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
