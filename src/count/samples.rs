//! Which denials of one object represent it in one slot of one key, in little memory.

use std::collections::{BTreeSet, VecDeque};
use std::hash::BuildHasher as _;

use foldhash::{HashSet, fast::RandomState};
use sha2::{Digest as _, Sha256};

use crate::count::counter::{Digest, Sample, Slot};
use crate::count::value::DistinctValue;
use crate::source::time::EventTime;

/// Distinct values of one object that are distinguished, where slots hold more than they sample (about
/// 10 MiB of hashes). Beyond it a slot's figure is a lower bound and says so; detection, which rests
/// on samples, stays exact.
pub const MAX_DISTINCT: usize = 900_000;

/// What an allocation costs beside its bytes, roughly.
pub(super) const ALLOCATION: usize = 16;
/// What a text that is shared costs beside its bytes, too: it counts who shares it. Each sample is charged as if
/// it were alone.
pub(super) const SHARED: usize = ALLOCATION + 16;

/// A value that one denial adds, whatever rules count it. Parsed and hashed once for all of them.
pub struct HashedValue {
    sample: Sample,
    /// Of the value and its time, as a sample spells them.
    hash: u128,
}

impl HashedValue {
    /// `text` as a sample keeps it, denied at `at`.
    #[must_use]
    pub fn new(at: EventTime, text: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update(at.epoch_ms().to_string());
        digest.update("|");
        digest.update(text);
        let hash = digest.finalize().iter().take(16).fold(0, |hash, byte| hash << 8 | u128::from(*byte));
        Self { sample: Sample { at, value: DistinctValue::new(text) }, hash }
    }
}

/// What a sample takes beside its place in a vector, in bytes.
fn beside(sample: &Sample) -> isize {
    match &sample.value {
        DistinctValue::Uuid(_) => 0,
        DistinctValue::Text(text) => text.len().saturating_add(SHARED).cast_signed(),
    }
}

/// What a vector of this capacity takes.
fn room(capacity: usize) -> isize {
    capacity.saturating_mul(size_of::<Sample>()).cast_signed()
}

/// Distinguishes values beyond those that are sampled, across all slots of one object.
#[derive(Default)]
pub struct Distinct {
    seen: HashSet<u64>,
    state: RandomState,
}

/// A key, by its number, and one of its slots.
pub type PairId = (u32, Slot);

impl Distinct {
    /// Whether a value is new in its place; `None` where no more can be distinguished.
    fn insert(&mut self, value: &DistinctValue, place: PairId) -> Option<bool> {
        let placed = self.state.hash_one((value, place));
        if self.seen.len() < MAX_DISTINCT {
            Some(self.seen.insert(placed))
        } else {
            self.seen.contains(&placed).then_some(false)
        }
    }
}

/// How a rule samples a slot.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// How many of the earliest, and as many of the latest, distinct values are kept.
    pub limit: usize,
    /// Values recur, so every time of each is kept, up to twice the limit.
    pub recurs: bool,
}

/// What taking in one denial did.
pub struct Growth {
    /// By how many bytes of memory the samples have grown.
    pub bytes: isize,
    /// Its value was not there before.
    pub new: bool,
}

/// What one object holds in one slot of one key.
#[derive(Default)]
pub struct Samples {
    kept: KeptSamples,
    /// Sum of the hashes of all values with their times: the same in any order, and whatever is kept of them. In bytes,
    /// since a number of this size would be aligned, and there may be 200,000.
    hash: [u8; 16],
}

/// The samples.
enum KeptSamples {
    /// Every denial with its time, while there are at most twice the limit.
    All(All),
    /// The earliest and latest of more.
    Ends(Box<Ends>),
}

/// Every denial, each time and value once.
#[derive(Default)]
pub struct All(Vec<Sample>);

/// The earliest and latest denials, and how many there are between them.
#[derive(Default)]
pub struct Ends {
    /// The distinct values seen first, each at its first time, in order.
    earliest: VecDeque<Sample>,
    /// The distinct values seen last, each at its last time, latest first.
    latest: VecDeque<Sample>,
    distinct: u64,
    at_least: bool,
}

impl Default for KeptSamples {
    fn default() -> Self {
        Self::All(All::default())
    }
}

impl Samples {
    /// Adds a value.
    pub fn add(
        &mut self,
        value: &HashedValue,
        sampling: Sampling,
        place: PairId,
        distinct: &mut Distinct,
    ) -> Growth {
        self.hash = u128::from_ne_bytes(self.hash).wrapping_add(value.hash).to_ne_bytes();
        self.kept.add(&value.sample, sampling, place, distinct)
    }
}

impl KeptSamples {
    fn add(&mut self, sample: &Sample, sampling: Sampling, place: PairId, distinct: &mut Distinct) -> Growth {
        match self {
            Self::All(All(all)) if all.contains(sample) => Growth { bytes: 0, new: false },
            Self::All(All(all)) if all.len() < sampling.limit.saturating_mul(2) => {
                let new = all.iter().all(|other| other.value != sample.value);
                let before = room(all.capacity());
                // Most slots hold one denial, for which a vector would reserve room for four.
                if all.len() == all.capacity() {
                    all.reserve_exact(all.len().max(1));
                }
                let bytes = beside(sample);
                all.push(sample.clone());
                Growth { bytes: bytes.saturating_add(room(all.capacity())).saturating_sub(before), new }
            }
            Self::All(All(all)) => {
                let before = room(all.capacity()).saturating_add(all.iter().map(beside).sum::<isize>());
                let (mut ends, grown) = Ends::new(all, sampling.limit, place, distinct);
                let Growth { bytes, new } = ends.add(sample, sampling, place, distinct);
                *self = Self::Ends(Box::new(ends));
                Growth { bytes: grown.saturating_add(bytes).saturating_sub(before), new }
            }
            Self::Ends(ends) => ends.add(sample, sampling, place, distinct),
        }
    }
}

impl Samples {
    /// The earliest and the latest time.
    #[must_use]
    pub fn span(&self) -> Option<(EventTime, EventTime)> {
        match &self.kept {
            KeptSamples::All(All(all)) => {
                let times = || all.iter().map(|seen| seen.at);
                Some((times().min()?, times().max()?))
            }
            KeptSamples::Ends(ends) => Some((ends.earliest.front()?.at, ends.latest.front()?.at)),
        }
    }

    /// What is stored of them.
    #[must_use]
    pub fn stored(&self, sampling: Sampling) -> (Digest, BTreeSet<Sample>) {
        let (samples, distinct, at_least): (BTreeSet<Sample>, _, _) = match &self.kept {
            KeptSamples::All(All(all)) => {
                let values: HashSet<&DistinctValue> = all.iter().map(|seen| &seen.value).collect();
                let samples = if sampling.recurs {
                    all.iter().cloned().collect()
                } else {
                    let mut ends = Ends::default();
                    for seen in all {
                        ends.keep(seen, false, None, sampling.limit);
                    }
                    ends.samples()
                };
                (samples, values.len() as u64, false)
            }
            KeptSamples::Ends(ends) => (ends.samples(), ends.distinct, ends.at_least),
        };
        let sampled = samples.iter().map(|sample| &sample.value).collect::<HashSet<_>>().len() as u64;
        let digest = Digest {
            hash: format!("{:032x}", u128::from_ne_bytes(self.hash)),
            amount: distinct,
            sampled,
            at_least,
            span: None,
        };
        (digest, samples)
    }
}

impl Ends {
    /// Returns how many bytes of memory they take, too.
    fn new(all: &[Sample], limit: usize, place: PairId, distinct: &mut Distinct) -> (Self, isize) {
        let mut ends = Self::default();
        let values: HashSet<&DistinctValue> = all.iter().map(|seen| &seen.value).collect();
        for value in values {
            ends.distinct = ends.distinct.saturating_add(1);
            // Where there is no room for it, a repetition of it makes the figure a lower bound.
            distinct.insert(value, place);
        }
        let bytes: isize = all.iter().map(|seen| ends.keep(seen, false, None, limit)).sum();
        (ends, bytes.saturating_add(size_of::<Self>().cast_signed()))
    }

    fn add(&mut self, sample: &Sample, sampling: Sampling, place: PairId, distinct: &mut Distinct) -> Growth {
        // Scanning beats hashing only where the value is probably there.
        let known = if sampling.recurs { position(&self.latest, &sample.value) } else { None };
        let new = if known.is_some() { Some(false) } else { distinct.insert(&sample.value, place) };
        match new {
            Some(true) => self.distinct = self.distinct.saturating_add(1),
            Some(false) => {}
            None => self.at_least = true,
        }
        let new = new == Some(true);
        Growth { bytes: self.keep(sample, new, known, sampling.limit), new }
    }

    /// `new` says that the value is surely none of those that are kept; `known` is its index among the latest.
    fn keep(&mut self, seen: &Sample, new: bool, known: Option<usize>, limit: usize) -> isize {
        let look = |kept: &VecDeque<Sample>| if new { None } else { position(kept, &seen.value) };
        let is_later = |last: &Sample| last.at <= seen.at;
        let earliest = match known {
            // While there is room, the earliest are all there are.
            Some(_) if self.earliest.len() < limit && self.earliest.back().is_some_and(is_later) => 0,
            _ => keep(&mut self.earliest, seen, look, limit, |this, that| this < that),
        };
        let look = |kept: &VecDeque<Sample>| known.or_else(|| look(kept));
        earliest.saturating_add(keep(&mut self.latest, seen, look, limit, |this, that| this > that))
    }

    fn samples(&self) -> BTreeSet<Sample> {
        self.earliest.iter().chain(&self.latest).cloned().collect()
    }
}

fn position(kept: &VecDeque<Sample>, value: &DistinctValue) -> Option<usize> {
    kept.iter().position(|seen| seen.value == *value)
}

/// Keeps in `kept`, sorted by `before`, the first `limit` distinct values, each at its first place; `look` finds one.
/// Returns the growth in bytes. In order of time, each goes to the front of the latest.
fn keep(
    kept: &mut VecDeque<Sample>,
    seen: &Sample,
    look: impl FnOnce(&VecDeque<Sample>) -> Option<usize>,
    limit: usize,
    before: impl Fn(&Sample, &Sample) -> bool,
) -> isize {
    if kept.len() == limit && kept.back().is_none_or(|last| !before(seen, last)) {
        return 0;
    }
    let room_before = room(kept.capacity());
    let bytes = match look(kept) {
        Some(known) if kept.get(known).is_none_or(|kept| !before(seen, kept)) => return 0,
        Some(known) => {
            kept.remove(known);
            0
        }
        None => {
            let gone = if kept.len() == limit { kept.pop_back() } else { None };
            beside(seen).saturating_sub(gone.map_or(0, |gone| beside(&gone)))
        }
    };
    if kept.front().is_none_or(|first| before(seen, first)) {
        kept.push_front(seen.clone());
    } else {
        let at = kept.partition_point(|other| before(other, seen));
        kept.insert(at, seen.clone());
    }
    room(kept.capacity()).saturating_sub(room_before).saturating_add(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Source;

    /// What an object adds, as stored, for `second:value …`.
    fn stored(sampling: Sampling, added: &str) -> Digest {
        let (mut samples, mut distinct) = (Samples::default(), Distinct::default());
        let place = (7, Slot { start: EventTime::from_epoch_ms(0), minutes: 10, source: Source::CloudTrail });
        for one in added.split(' ') {
            let (second, value) = one.split_once(':').expect("a time and a value");
            let at = EventTime::from_epoch_ms(second.parse::<i64>().expect("a number") * 1000);
            samples.add(&HashedValue::new(at, value), sampling, place, &mut distinct);
        }
        samples.stored(sampling).0
    }

    const A: &str = "0f8b1f2e-6f0b-4f3a-9c3d-1a2b3c4d5e6f";

    /// With another digest, a redelivery after an upgrade would count again.
    #[test]
    fn the_digest_is_that_of_older_versions() {
        let digest = stored(Sampling { limit: 2, recurs: false }, &format!("1:{A} 2:b 1:0F8B"));
        assert_eq!(digest.to_string(), "86780bed33854ad1223158189e312046:3:3");
    }

    #[test]
    fn the_digest_covers_every_value_with_its_time_whatever_is_sampled() {
        let many = format!("5:x 5:{A} 5:aws 6:b 7:x 8:y 9:z");
        let hash = |limit, recurs, added: &str| stored(Sampling { limit, recurs }, added).hash;
        let all = hash(100, false, &many);
        for (limit, recurs) in [(1, false), (2, false), (1, true), (16, true)] {
            assert_eq!(hash(limit, recurs, &many), all);
            // One between the samples, at another time.
            assert_ne!(hash(limit, recurs, &many.replace("6:b", "7:b")), all);
            assert_ne!(hash(limit, recurs, &many.replace("7:x ", "")), all);
        }
    }
}
