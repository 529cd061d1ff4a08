//! Framed pieces → denials in the tally, faults and figures.

use memchr::memmem;

use crate::count::tally::Tally;
use crate::log::denial::{self, MODEL_NOT_FOUND, Reading, Wanted};
use crate::log::document;
use crate::log::framing::{Found, Verdict};
use crate::reader::{Fault, FaultKind, MAX_REPORTED_FAULTS, Statistics};

/// Everything behind the framing of one object.
pub struct Records<'o> {
    object: &'o str,
    wanted: Wanted,
    /// What a refusal's JSON contains. The words of guardrails occur in much that is not a Bedrock log.
    refusals: Vec<String>,
    sums: Sums,
    /// Something that names an error code is not a record of either log.
    unknown: bool,
    /// Something is a record.
    recognised: bool,
}

/// What was found.
pub struct Sums {
    pub tally: Tally,
    pub statistics: Statistics,
    pub faults: Vec<Fault>,
}

impl<'o> Records<'o> {
    /// `object` stands in for a missing request id; denials go to `tally`.
    pub fn new(object: &'o str, tally: Tally) -> Self {
        let wanted = tally.wanted();
        Self {
            object,
            refusals: denial::needles(&wanted.error_codes),
            wanted,
            sums: Sums { tally, statistics: Statistics::default(), faults: Vec::new() },
            unknown: false,
            recognised: false,
        }
    }

    pub fn tally(&self) -> &Tally {
        &self.sums.tally
    }

    /// The object's name and an empty tally, to begin again with.
    pub fn into_emptied(self) -> (&'o str, Tally) {
        (self.object, self.sums.tally.emptied())
    }

    /// What was found in the whole object.
    pub fn finish(self) -> Sums {
        let Sums { tally, statistics, faults } = self.sums;
        let statistics = Statistics {
            exempted: tally.exempted(),
            unrecognised: u64::from(self.unknown && !self.recognised),
            ..statistics
        };
        Sums { tally, statistics, faults }
    }

    /// Whether an object is certainly not a refusal. Anything else must be counted or reported, and so
    /// read thoroughly.
    pub fn acquits(&self, json: &[u8]) -> bool {
        denial::is_unrelated(json)
            || str::from_utf8(json).is_ok_and(|json| {
                matches!(denial::read(json, &self.wanted, String::new), Ok(Reading::Other | Reading::Unknown))
            })
    }

    /// Takes a piece that framing found at a stream offset.
    pub fn take(&mut self, offset: u64, found: &Found<'_>) -> Verdict {
        let Self { object, wanted, refusals, sums, unknown, recognised } = self;
        let is_refusal = |json| refusals.iter().any(|code| memmem::find(json, code.as_bytes()).is_some());
        let verdict = match *found {
            Found::Candidate(json, shape) => {
                let place = || format!("{object}@{offset}");
                document::read(json, shape, wanted, &place, &mut |reading| sums.count(reading, offset))
            }
            Found::Sample(json, shape) => {
                document::read(json, shape, &Wanted::default(), &String::new, &mut |_| {})
            }
            Found::Broken => {
                sums.fault(offset, FaultKind::NotJson);
                Verdict::Unknown
            }
            Found::Stray(_) => Verdict::Unknown,
            Found::Oversized => {
                sums.fault(offset, FaultKind::Oversized);
                Verdict::Broken
            }
        };
        *recognised |= verdict == Verdict::Record;
        *unknown |= verdict == Verdict::Unknown
            && match *found {
                Found::Candidate(json, _) | Found::Stray(json) => is_refusal(json),
                Found::Sample(..) => false,
                Found::Broken | Found::Oversized => true,
            };
        verdict
    }
}

impl Sums {
    fn count(&mut self, reading: Reading<'_>, offset: u64) {
        match reading {
            Reading::Other | Reading::Unknown => {}
            Reading::NoTimestamp => self.fault(offset, FaultKind::NoTimestamp),
            Reading::Denial(denial) => {
                let statistics = &mut self.statistics;
                statistics.denials = statistics.denials.saturating_add(u64::from(denial.is_refused()));
                let not_found = u64::from(denial.error_code == MODEL_NOT_FOUND);
                statistics.not_found = statistics.not_found.saturating_add(not_found);
                self.tally.add(&denial);
            }
        }
    }

    fn fault(&mut self, offset: u64, kind: FaultKind) {
        let number = match kind {
            FaultKind::Oversized => &mut self.statistics.oversized,
            FaultKind::NotJson | FaultKind::NoTimestamp => &mut self.statistics.malformed,
        };
        *number = number.saturating_add(1);
        if self.faults.len() < MAX_REPORTED_FAULTS {
            self.faults.push(Fault { offset, kind });
        }
    }
}
