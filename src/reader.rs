//! One object's bytes, pushed in any pieces → its denials, tallied.
//!
//! Nothing is committed here: the caller learns the whole result at [`Reader::finish`]. A
//! CloudTrail log file is only swept at first; where that cannot rule out a refusal, the object
//! is to be read once more.

use crate::count::tally::Tally;
use crate::log::denial::{self, Reading};
use crate::log::framing::{Found, Framer, Verdict};
use crate::log::inflate::{Damage, Inflate};
use crate::log::sweep::Sweep;

/// What one object may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A longer record is skipped. Bedrock moves bodies of more than 100 KB out of the log, so
    /// no honest record comes near the default of 16 MiB.
    pub record_bytes: usize,
    /// How much text is looked at a time. 256 KB is the knee: 32 KB costs 16 % more time, and
    /// larger blocks fall out of the second-level cache.
    pub block_bytes: usize,
    /// An object with denials in more pairs of a key and a slot than this fails. Callers can invent
    /// any number of model ids, each of which may be a key of two rules.
    pub pairs: usize,
    /// An object whose denials take more memory than this fails, in bytes. With the default and all
    /// else that a delivery needs, the function stays under 256 MB; 200,000 pairs take
    /// half of it unless their ids are longer than AWS's.
    pub tally_bytes: usize,
    /// An object with more text than this fails. The default of 4 GiB is what a function of
    /// one vCPU inflates within seconds; honest log files hold megabytes.
    pub text_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_bytes: 16 << 20,
            block_bytes: 256 << 10,
            pairs: 200_000,
            tally_bytes: 180 << 20,
            text_bytes: 4 << 30,
        }
    }
}

/// Faults of one object that are reported one by one; further ones are only counted.
pub const MAX_REPORTED_FAULTS: usize = 20;

/// A record that could not be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Byte offset of the record in the object's text.
    pub offset: u64,
    /// What was wrong with it.
    pub kind: FaultKind,
}

/// What was wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It names a denial's error code but is no valid JSON object.
    NotJson,
    /// It is a denial without an RFC 3339 `timestamp` or `eventTime`.
    NoTimestamp,
    /// It is longer than [`Limits::record_bytes`].
    Oversized,
}

impl FaultKind {
    /// What was expected instead, for a log line.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NotJson => "expected one JSON object; the record was skipped",
            Self::NoTimestamp => {
                "expected an RFC 3339 `timestamp` (`eventTime` in CloudTrail) with an offset; the denial was skipped"
            }
            Self::Oversized => "the record is longer than the limit; it was skipped",
        }
    }
}

/// What was read from one object.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes of the object as stored.
    pub bytes: u64,
    /// Bytes of its text.
    pub text_bytes: u64,
    /// Records seen. A line that holds several, and none that a rule looks for, counts as one. In
    /// a CloudTrail log file without suspicion of a refusal, how often a string `eventVersion` stands
    /// in it, which is once a record unless what was asked holds one too; beyond 8 MiB of
    /// text it is an estimate from a sixteenth.
    pub records: u64,
    /// Denials among them, of exempt users too.
    pub denials: u64,
    /// Denials of exempt users.
    pub exempted: u64,
    /// Candidates that could not be read.
    pub malformed: u64,
    /// Records over the limit.
    pub oversized: u64,
}

/// The whole result of reading an object.
pub struct Read {
    /// The denials, by key and slot.
    pub tally: Tally,
    /// The figures.
    pub statistics: Statistics,
    /// The first [`MAX_REPORTED_FAULTS`] faults.
    pub faults: Vec<Fault>,
    /// Set when the object could not be read to its end. What was read before counts.
    pub damage: Option<Damage>,
}

/// What [`Reader::finish`] answers.
#[expect(clippy::large_enum_variant, reason = "one at a time, and never stored")]
pub enum Finished<'o> {
    /// The object is read.
    Read(Read),
    /// The object may hold a refusal: push it once more, from its first byte, into this reader.
    Again(Reader<'o>),
}

/// Reads one object.
pub struct Reader<'o> {
    limits: Limits,
    inflate: Inflate,
    framer: Framer,
    records: Records<'o>,
    damage: Option<Damage>,
}

/// The receiving end: everything behind the framing.
struct Records<'o> {
    object: &'o str,
    error_codes: Vec<&'static str>,
    tally: Tally,
    statistics: Statistics,
    faults: Vec<Fault>,
}

impl<'o> Reader<'o> {
    /// `object` names the object where a record has no request id; denials go to `tally`.
    #[must_use]
    pub fn new(object: &'o str, tally: Tally, limits: Limits) -> Self {
        Self {
            limits,
            inflate: Inflate::default(),
            framer: framer(&tally, limits, Thoroughness::Quick),
            records: Records {
                object,
                error_codes: tally.error_codes(),
                tally,
                statistics: Statistics::default(),
                faults: Vec::new(),
            },
            damage: None,
        }
    }

    /// For an object whose bytes cannot be had twice: [`Self::finish`] will not ask for them again.
    #[must_use]
    pub fn thorough(self) -> Self {
        let framer = framer(&self.records.tally, self.limits, Thoroughness::Thorough);
        Self { framer, ..self }
    }

    /// Takes the next bytes of the object. `false` means that no more are wanted, since the
    /// object proved damaged or is to be read again; [`Self::finish`] says which.
    pub fn push(&mut self, mut chunk: &[u8]) -> bool {
        let Self { limits, inflate, framer, records, damage } = self;
        while damage.is_none() && !framer.wants_thorough_reading() {
            let space = framer.space();
            let room = space.len();
            match inflate.decode(&mut chunk, space) {
                Ok(written) => {
                    records.statistics.text_bytes += written as u64;
                    framer.filled(written, &mut |offset, found| records.take(offset, &found));
                    if records.statistics.text_bytes > limits.text_bytes {
                        *damage = Some(Damage::TooLarge { limit: limits.text_bytes });
                    } else if records.tally.pairs() > limits.pairs {
                        *damage = Some(Damage::TooManyPairs { limit: limits.pairs });
                    } else if records.tally.bytes() > limits.tally_bytes {
                        *damage = Some(Damage::TooMuchToKeep { limit: limits.tally_bytes });
                    } else if chunk.is_empty() && written < room {
                        break;
                    }
                }
                Err(found) => *damage = Some(found),
            }
        }
        damage.is_none() && !framer.wants_thorough_reading()
    }

    /// Says that the whole object has been pushed.
    #[must_use]
    pub fn finish(mut self) -> Finished<'o> {
        let records = &mut self.records;
        self.framer.finish(&mut |offset, found| records.take(offset, &found));
        if self.framer.wants_thorough_reading() {
            // A sweep adds nothing to the tally, and begins before anything else does.
            return Finished::Again(
                Self::new(self.records.object, self.records.tally, self.limits).thorough(),
            );
        }
        self.records.statistics.bytes = self.inflate.consumed();
        self.records.statistics.records = self.framer.records();
        self.records.statistics.exempted = self.records.tally.exempted();
        Finished::Read(Read {
            damage: self.damage.or_else(|| self.inflate.finish().err()),
            tally: self.records.tally,
            statistics: self.records.statistics,
            faults: self.records.faults,
        })
    }
}

#[derive(Clone, Copy)]
enum Thoroughness {
    Quick,
    Thorough,
}

fn framer(tally: &Tally, limits: Limits, thoroughness: Thoroughness) -> Framer {
    let codes = &tally.error_codes();
    let sweep = match thoroughness {
        Thoroughness::Quick => Some(Sweep::new(denial::value_starts(codes))),
        Thoroughness::Thorough => None,
    };
    Framer::new(&denial::needles(codes), sweep, limits.record_bytes, limits.block_bytes)
}

impl Records<'_> {
    fn take(&mut self, offset: u64, found: &Found<'_>) -> Verdict {
        match found {
            // Whatever else it is must be counted or reported, and so read thoroughly.
            Found::Suspect(json) => {
                let text = String::from_utf8_lossy(json);
                return denial::is_unrelated(json)
                    || matches!(denial::read(&text, &self.error_codes, String::new), Ok(Reading::Other));
            }
            Found::Candidate(json) => {
                let place = || format!("{}@{offset}", self.object);
                // One bad byte in a text must not hide a denial.
                let text = String::from_utf8_lossy(json);
                match denial::read(&text, &self.error_codes, place) {
                    Err(_) => return false,
                    Ok(Reading::Other) => {}
                    Ok(Reading::NoTimestamp) => self.fault(offset, FaultKind::NoTimestamp),
                    Ok(Reading::Denial(denial)) => {
                        self.statistics.denials += u64::from(denial.is_refused());
                        self.tally.add(&denial);
                    }
                }
            }
            Found::Broken => self.fault(offset, FaultKind::NotJson),
            Found::Oversized => self.fault(offset, FaultKind::Oversized),
        }
        true
    }

    fn fault(&mut self, offset: u64, kind: FaultKind) {
        match kind {
            FaultKind::Oversized => self.statistics.oversized += 1,
            FaultKind::NotJson | FaultKind::NoTimestamp => self.statistics.malformed += 1,
        }
        if self.faults.len() < MAX_REPORTED_FAULTS {
            self.faults.push(Fault { offset, kind });
        }
    }
}
