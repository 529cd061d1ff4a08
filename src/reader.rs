//! One object's bytes, pushed in any pieces → its denials, tallied.
//!
//! Nothing is committed here: the caller learns the whole result at [`Reader::finish`]. An object is read in one
//! pass, whatever it contains.

mod findings;
mod records;

use crate::call::filter::RecordFilter;
use crate::call::{Call, Source};
use crate::count::tally::Tally;
pub use crate::reader::findings::{Fault, FaultKind, MAX_REPORTED_FAULTS, Statistics, UNRECOGNISED};
use crate::reader::records::{Counts, Records};
use crate::source::buffer::Buffer;
use crate::source::framing::Framer;
use crate::source::inflate::{Damage, Inflate};

/// What one object may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A longer record is skipped. Bedrock moves bodies of more than 100 KB out of the log, so
    /// no legitimate record comes near the default of 16 MiB.
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
    /// one vCPU inflates within seconds; legitimate log files hold megabytes.
    pub text_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_bytes: 16 << 20,
            block_bytes: 256 << 10,
            pairs: 200_000,
            tally_bytes: 186 << 20,
            text_bytes: 4 << 30,
        }
    }
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
    /// `object` replaces a missing request id; denials go to `tally`.
    #[must_use]
    pub fn new(object: &'o str, tally: Tally, limits: Limits) -> Self {
        let filter = records::filter(object, &tally);
        let framer = Framer::new(&filter.words(), limits.record_bytes);
        Self::of(Records::new(object, tally, filter), framer, limits)
    }

    /// Hands every call that `filter` selects to `take`, and counts nothing.
    #[must_use]
    pub fn of_calls(
        object: &'o str,
        limits: Limits,
        mut filter: RecordFilter,
        take: impl FnMut(&Call<'_>) + Send + 'o,
    ) -> Self {
        filter.markers = Source::markers(object);
        let framer = Framer::new(&filter.words(), limits.record_bytes);
        let tally = Tally::new(Vec::new(), Vec::new());
        Self::of(Records::new(object, tally, filter).shown_to(Box::new(take)), framer, limits)
    }

    /// Hands each call that is read to `take`, too.
    #[must_use]
    pub fn shown_to(self, take: impl FnMut(&Call<'_>) + Send + 'o) -> Self {
        Self { records: self.records.shown_to(Box::new(take)), ..self }
    }

    fn of(records: Records<'o>, framer: Framer, limits: Limits) -> Self {
        Self {
            limits,
            inflate: Inflate::default(),
            text: Buffer::new(limits.block_bytes),
            framer,
            records,
            text_bytes: 0,
            damage: None,
        }
    }

    /// Takes the next bytes of the object. `false` means that no more are needed, since the
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
        let records = self.framer.records();
        let Counts { tally, statistics, faults } = self.records.finish(records);
        Read {
            statistics: Statistics {
                bytes: self.inflate.consumed(),
                text_bytes: self.text_bytes,
                records,
                // Of a damaged one it is unknown.
                without_records: if damage.is_some() { 0 } else { statistics.without_records },
                ..statistics
            },
            damage,
            tally,
            faults,
        }
    }
}
