//! One object's bytes, pushed in any pieces → its denials, tallied.
//!
//! Nothing is committed here: the caller learns the whole result at [`Reader::finish`]. An object is read in one
//! pass, whatever it contains.

mod records;

use std::borrow::Cow;

use crate::count::tally::Tally;
use crate::reader::records::{Records, Sums};
use crate::source::buffer::Buffer;
use crate::source::framing::Framer;
use crate::source::inflate::{Damage, Inflate};

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
    /// An object whose denials take more memory than this fails, in bytes. With the default, the function and
    /// `replay`, which keeps the counters besides, stay under 256 MiB. 200,000 pairs fit whose models are
    /// as long as can be.
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

/// The warning about an object with [`Statistics::stray`].
pub const UNRECOGNISED: &str = "it names the error code of a denial outside every record that was recognised; expected \
     records of Bedrock's invocation log or of CloudTrail";

/// How many faults of one object are reported one by one; further ones are only counted.
pub const MAX_REPORTED_FAULTS: usize = 20;

/// A record that could not be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Byte offset of the record in the object's text.
    pub offset: u64,
    /// What was wrong with it.
    pub kind: FaultKind,
}

/// What was wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It names a denial's error code but is no valid JSON object.
    NotJson,
    /// It is a denial without an RFC 3339 `timestamp` or `eventTime`.
    NoTimestamp,
    /// It is longer than [`Limits::record_bytes`].
    Oversized,
    /// It is a model call that failed with this error code, which looks like that of a denial and is not known.
    UnknownCode(String),
}

impl FaultKind {
    /// What was expected instead, for a log line.
    #[must_use]
    pub fn advice(&self) -> Cow<'static, str> {
        match self {
            Self::NotJson => "expected one JSON object; the record was skipped".into(),
            Self::NoTimestamp => {
                "expected an RFC 3339 `timestamp` (`eventTime` in CloudTrail) with an offset; the denial was skipped"
                    .into()
            }
            Self::Oversized => "the record is longer than the limit; it was skipped".into(),
            Self::UnknownCode(code) => {
                format!("a model call failed with the unknown error code {code}; it was not counted").into()
            }
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
    /// Records seen. A line that holds several, and none that a rule looks for, counts as one.
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
    /// Objects that name the error code of a denial outside every record that was recognised, and model calls
    /// with an unknown code of that kind.
    pub unrecognised: u64,
    /// Those of them that name it outside every record.
    pub stray: u64,
    /// Objects in which no record of either log was recognised.
    pub without_records: u64,
    /// Records that name a denial and could not be counted.
    pub uncounted: u64,
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
}

/// Reads one object.
pub struct Reader<'o> {
    limits: Limits,
    inflate: Inflate,
    text: Buffer,
    framer: Framer,
    records: Records<'o>,
    /// Bytes of text so far.
    text_bytes: u64,
    damage: Option<Damage>,
}

impl<'o> Reader<'o> {
    /// `object` stands in for a missing request id; denials go to `tally`.
    #[must_use]
    pub fn new(object: &'o str, tally: Tally, limits: Limits) -> Self {
        let filter = records::filter(&tally);
        Self {
            limits,
            inflate: Inflate::default(),
            text: Buffer::new(limits.block_bytes),
            framer: Framer::new(&filter.words(), limits.record_bytes),
            records: Records::new(object, tally, filter),
            text_bytes: 0,
            damage: None,
        }
    }

    /// Takes the next bytes of the object. `false` means that no more are wanted, since the
    /// object proved damaged; [`Self::finish`] says how.
    pub fn push(&mut self, mut chunk: &[u8]) -> bool {
        while self.damage.is_none() {
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
        self.damage.is_none()
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
        let Self { text, framer, records, .. } = self;
        framer.examine(text, last, &mut |offset, cut| records.take(offset, &cut));
    }

    /// Says that the whole object has been pushed.
    #[must_use]
    pub fn finish(mut self) -> Read {
        self.examine(true);
        // The last block may have gone beyond a limit too.
        let damage = self.damage.take().or_else(|| self.beyond_limits());
        let damage = damage.or_else(|| self.inflate.finish().err());
        let Sums { tally, statistics, faults } = self.records.finish();
        Read {
            statistics: Statistics {
                bytes: self.inflate.consumed(),
                text_bytes: self.text_bytes,
                records: self.framer.records(),
                // Of a damaged one it is not known.
                without_records: if damage.is_some() { 0 } else { statistics.without_records },
                ..statistics
            },
            damage,
            tally,
            faults,
        }
    }
}
