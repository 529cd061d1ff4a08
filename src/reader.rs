//! One object's bytes, pushed in any pieces → its denials, tallied.
//!
//! Nothing is committed here: the caller learns the whole result at [`Reader::finish`]. A
//! CloudTrail log file is only swept at first, up to what looks like a refusal, and read record by record from
//! there. Where its end does not prove that it was one, the object is to be read once more.

mod records;

use crate::count::tally::Tally;
use crate::log::buffer::Buffer;
use crate::log::denial;
use crate::log::framing::Framer;
use crate::log::inflate::{Damage, Inflate};
use crate::log::screen::{Screen, Screened};
use crate::log::sweep::Sweep;
use crate::log::values::Proof;
use crate::reader::records::{Records, Sums};

/// What one object may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A longer record is skipped. Bedrock moves bodies of more than 100 KB out of the log, so
    /// no honest record comes near the default of 16 MiB.
    pub record_bytes: usize,
    /// How much text is searched at a time. 256 KB is the knee: 32 KB costs 16 % more time, and larger
    /// blocks fall out of the second-level cache.
    pub block_bytes: usize,
    /// An object with denials in more pairs of a key and a slot than this fails. Callers can invent
    /// any number of model ids, each of which may be a key of two rules.
    pub pairs: usize,
    /// An object whose denials take more memory than this fails, in bytes. With the default and everything
    /// else a delivery needs, the function stays under 256 MB; 200,000 pairs take half of it unless
    /// their ids are longer than AWS's.
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
            tally_bytes: 184 << 20,
            text_bytes: 4 << 30,
        }
    }
}

/// The warning about an object that counts as [`Statistics::unrecognised`].
pub const UNRECOGNISED: &str = "it names a refusal's error code, but no log record was recognised in it; expected \
     records of Bedrock's invocation log or of CloudTrail";

/// How many faults of one object are reported one by one; further ones are only counted.
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
    /// Calls of models that the account does not have, if a rule asks for them. Not denials by name, but
    /// this is how Bedrock refuses a legacy model.
    pub not_found: u64,
    /// Denials of exempt users.
    pub exempted: u64,
    /// Candidates that could not be read.
    pub malformed: u64,
    /// Records over the limit.
    pub oversized: u64,
    /// Objects that name a refusal's error code, though no record of either log was recognised in
    /// them.
    pub unrecognised: u64,
}

/// The whole result of reading an object.
pub struct Read {
    /// The denials, by key and slot.
    pub tally: Tally,
    /// The figures.
    pub statistics: Statistics,
    /// The first [`MAX_REPORTED_FAULTS`] faults.
    pub faults: Vec<Fault>,
    /// Set if the object could not be read to its end. What was read before counts.
    pub damage: Option<Damage>,
    /// How many bytes of text were read or moved, repetitions included, over all readings. It is in
    /// proportion to the text's length, however hostile the text.
    pub work: u64,
}

/// The result of [`Reader::finish`].
#[expect(clippy::large_enum_variant, reason = "one at a time, and never stored")]
pub enum Finished<'o> {
    /// The object has been read.
    Read(Read),
    /// The object may hold a refusal: push it once more, from its first byte, into this reader.
    Again(Reader<'o>),
}

/// Reads one object.
pub struct Reader<'o> {
    limits: Limits,
    inflate: Inflate,
    text: Buffer,
    stage: Stage,
    framer: Framer,
    screen: Screen,
    records: Records<'o>,
    /// Bytes of text so far.
    text_bytes: u64,
    damage: Option<Damage>,
    /// What an earlier reading of the object cost.
    work_before: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A CloudTrail log file may prove clean at a glance.
    Screening,
    /// Record by record.
    Framing,
    /// Record by record, from what looks like a refusal. The findings count once the end of the file has
    /// proven that it was one.
    Proving,
    /// The glance was not enough.
    Again,
}

impl<'o> Reader<'o> {
    /// `object` stands in for a missing request id; denials go to `tally`.
    #[must_use]
    pub fn new(object: &'o str, tally: Tally, limits: Limits) -> Self {
        let wanted = tally.wanted();
        Self {
            limits,
            inflate: Inflate::default(),
            text: Buffer::new(limits.block_bytes),
            stage: Stage::Screening,
            framer: Framer::new(&wanted.needles(), limits.record_bytes),
            screen: Screen::new(Sweep::new(denial::value_starts(&wanted.error_codes)), limits.record_bytes),
            records: Records::new(object, tally),
            text_bytes: 0,
            damage: None,
            work_before: 0,
        }
    }

    /// For an object whose bytes cannot be read twice: [`Self::finish`] will not ask for them again.
    #[must_use]
    pub fn thorough(self) -> Self {
        Self { stage: Stage::Framing, ..self }
    }

    /// Takes the next bytes of the object. `false` means that no more are wanted, since the
    /// object proved damaged or is to be read again; [`Self::finish`] says which.
    pub fn push(&mut self, mut chunk: &[u8]) -> bool {
        while self.damage.is_none() && self.stage != Stage::Again {
            let space = self.text.space();
            let room = space.len();
            match self.inflate.decode(&mut chunk, space) {
                Ok(written) => {
                    self.text_bytes = self.text_bytes.saturating_add(written as u64);
                    if self.text.filled(written) {
                        self.examine(false);
                        self.text.make_room();
                    }
                    self.damage = self.beyond_limits();
                    if self.damage.is_none() && chunk.is_empty() && written < room {
                        break;
                    }
                }
                Err(found) => self.damage = Some(found),
            }
        }
        self.damage.is_none() && self.stage != Stage::Again
    }

    fn beyond_limits(&self) -> Option<Damage> {
        let (limits, tally) = (self.limits, self.records.tally());
        if self.text_bytes > limits.text_bytes {
            Some(Damage::TooLarge { limit: limits.text_bytes })
        } else if tally.pairs() > limits.pairs {
            Some(Damage::TooManyPairs { limit: limits.pairs })
        } else if tally.bytes() > limits.tally_bytes {
            Some(Damage::TooMuchToKeep { limit: limits.tally_bytes })
        } else {
            None
        }
    }

    fn examine(&mut self, last: bool) {
        let Self { inflate, text, stage, framer, screen, records, .. } = self;
        if *stage == Stage::Screening {
            match screen.examine(text, last, &mut |json| records.acquits(json)) {
                Screened::Clean => {}
                Screened::NoTrail => *stage = Stage::Framing,
                // Where text is cut, its brackets close elsewhere.
                Screened::Element if !inflate.is_gzip() => *stage = Stage::Again,
                Screened::Element => {
                    framer.begin_element();
                    *stage = Stage::Proving;
                }
                Screened::Thoroughly => *stage = Stage::Again,
            }
        }
        if matches!(*stage, Stage::Framing | Stage::Proving) {
            framer.examine(text, last, &mut |offset, found| records.take(offset, &found));
        }
        if *stage == Stage::Proving && framer.is_element() == Proof::Failed {
            *stage = Stage::Again;
        }
    }

    /// Says that the whole object has been pushed.
    #[must_use]
    pub fn finish(mut self) -> Finished<'o> {
        self.examine(true);
        // The last block may have gone beyond a limit too.
        self.damage = self.damage.take().or_else(|| self.beyond_limits());
        let work = self.work_before.saturating_add(self.text.work());
        let damage = self.damage.or_else(|| self.inflate.finish().err());
        let records = match self.stage {
            Stage::Screening => self.screen.records(),
            Stage::Framing => self.framer.records(),
            Stage::Proving if damage.is_none() && self.framer.is_element() == Proof::Whole => {
                self.screen.records().saturating_add(self.framer.records())
            }
            Stage::Proving | Stage::Again => {
                let (object, tally) = self.records.into_emptied();
                let again = Self::new(object, tally, self.limits);
                return Finished::Again(Self { work_before: work, ..again.thorough() });
            }
        };
        let Sums { tally, statistics, faults } = self.records.finish();
        Finished::Read(Read {
            statistics: Statistics {
                bytes: self.inflate.consumed(),
                text_bytes: self.text_bytes,
                records,
                ..statistics
            },
            damage,
            tally,
            faults,
            work,
        })
    }
}
