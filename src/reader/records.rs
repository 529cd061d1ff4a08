//! Framed pieces → denials in the tally, faults and figures.

use memchr::memmem;

use crate::alert::sanitize;
use crate::count::tally::Tally;
use crate::log::denial::{self, ACCESS_DENIED, MODEL_NOT_FOUND, Reading, Wanted};
use crate::log::document;
use crate::log::framing::{Found, Verdict};
use crate::reader::{Fault, FaultKind, MAX_REPORTED_FAULTS, Statistics};

/// What CloudWatch Logs writes to find out whether a destination is there. It holds no record.
const CONTROL_MESSAGE: &[u8] = b"\"CONTROL_MESSAGE\"";

/// Everything behind the framing of one object.
#[expect(clippy::struct_excessive_bools, reason = "independent findings about one object")]
pub struct Records<'o> {
    object: &'o str,
    wanted: Wanted,
    sums: Sums,
    /// The error code of a denial stands outside every record.
    is_stray: bool,
    /// Something that names a denial could not be read.
    is_unread: bool,
    /// Something is a record.
    recognised: bool,
    /// Exempted denials that the tally brought along.
    exempted_before: u64,
    /// There is something that may be a record.
    has_pieces: bool,
    /// There is an envelope around records, perhaps around none.
    has_wrapper: bool,
}

/// What was found.
pub struct Sums {
    pub tally: Tally,
    pub statistics: Statistics,
    pub faults: Vec<Fault>,
}

/// The records that must be seen: those that the rules look for, and denials whatever the rules.
pub fn wanted(tally: &Tally) -> Wanted {
    let mut wanted = tally.wanted();
    if !wanted.error_codes.contains(&ACCESS_DENIED) {
        wanted.error_codes.push(ACCESS_DENIED);
    }
    wanted
}

impl<'o> Records<'o> {
    /// `object` replaces a missing request id; denials go to `tally`.
    pub fn new(object: &'o str, tally: Tally, wanted: Wanted) -> Self {
        Self {
            object,
            wanted,
            exempted_before: tally.exempted(),
            sums: Sums { tally, statistics: Statistics::default(), faults: Vec::new() },
            is_stray: false,
            is_unread: false,
            recognised: false,
            has_pieces: false,
            has_wrapper: false,
        }
    }

    pub fn tally(&self) -> &Tally {
        &self.sums.tally
    }

    /// What was found in the whole object.
    pub fn finish(self) -> Sums {
        let Sums { tally, statistics, faults } = self.sums;
        let names_denial = self.is_stray || (self.is_unread && !self.recognised);
        let is_empty = self.has_wrapper && !self.has_pieces;
        let statistics = Statistics {
            exempted: tally.exempted().saturating_sub(self.exempted_before),
            unrecognised: statistics.unrecognised.saturating_add(u64::from(names_denial)),
            stray: u64::from(names_denial),
            without_records: u64::from(!self.recognised && !is_empty),
            ..statistics
        };
        Sums { tally, statistics, faults }
    }

    /// Takes a piece that framing found at a stream offset.
    pub fn take(&mut self, offset: u64, found: &Found<'_>) -> Verdict {
        let Self { object, wanted, sums, .. } = self;
        let verdict = match *found {
            Found::Candidate(json, shape) => {
                let place = || format!("{object}@{offset}");
                let read =
                    document::read(json, shape, wanted, &place, &mut |reading| sums.count(reading, offset));
                self.is_stray |= read.is_stray;
                read.verdict
            }
            Found::Sample(json, shape) => {
                document::read(json, shape, &Wanted::default(), &String::new, &mut |_| {}).verdict
            }
            Found::Broken(text) => {
                let is_denial = denial::names_denial(text);
                sums.fault(offset, FaultKind::NotJson, is_denial);
                self.is_unread |= is_denial;
                Verdict::Unknown
            }
            Found::Oversized(is_denial) => {
                sums.fault(offset, FaultKind::Oversized, is_denial);
                self.is_unread |= is_denial;
                Verdict::Broken
            }
            Found::Wrapper(begin) => {
                self.has_wrapper = true;
                self.recognised |= memmem::find(begin, CONTROL_MESSAGE).is_some();
                self.is_stray |= denial::names_denial(begin);
                return Verdict::Unknown;
            }
            Found::Stray(text) => {
                self.is_stray |= denial::names_denial(text);
                return Verdict::Unknown;
            }
        };
        self.has_pieces = true;
        self.recognised |= verdict == Verdict::Record;
        verdict
    }
}

impl Sums {
    fn count(&mut self, reading: Reading<'_>, offset: u64) {
        match reading {
            Reading::Other | Reading::Unknown => {}
            Reading::NoTimestamp { is_refused } => self.fault(offset, FaultKind::NoTimestamp, is_refused),
            Reading::UnknownCode(code) => {
                let code = sanitize::plain(&code, MAX_CODE_BYTES);
                self.fault(offset, FaultKind::UnknownCode(code), true);
            }
            Reading::Denial(denial) => {
                let statistics = &mut self.statistics;
                statistics.denials = statistics.denials.saturating_add(u64::from(denial.is_refused()));
                let not_found = u64::from(denial.error_code == MODEL_NOT_FOUND);
                statistics.not_found = statistics.not_found.saturating_add(not_found);
                self.tally.add(&denial);
            }
        }
    }

    /// `is_denial`: the record names one.
    fn fault(&mut self, offset: u64, kind: FaultKind, is_denial: bool) {
        let statistics = &mut self.statistics;
        let number = match kind {
            FaultKind::Oversized => &mut statistics.oversized,
            FaultKind::NotJson | FaultKind::NoTimestamp => &mut statistics.malformed,
            FaultKind::UnknownCode(_) => &mut statistics.unrecognised,
        };
        *number = number.saturating_add(1);
        statistics.uncounted = statistics.uncounted.saturating_add(u64::from(is_denial));
        if self.faults.len() < MAX_REPORTED_FAULTS {
            self.faults.push(Fault { offset, kind });
        }
    }
}

/// How much of an unknown error code is shown. AWS's are shorter.
const MAX_CODE_BYTES: usize = 100;
