//! Which denials of one object represent it in one slot of one key, in little memory.

use std::cell::OnceCell;
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;

use foldhash::HashSet;
use sha2::{Digest as _, Sha256};

use crate::count::counter::{Digest, Sample};
use crate::count::step;
use crate::count::value::Value;
use crate::source::time::EventTime;

/// Distinct values of one object that are told apart, where slots hold more than they sample (about
/// 10 MiB of hashes). Beyond it a slot's figure is a lower bound and says so; detection, which rests
/// on samples, stays exact.
pub const MAX_DISTINCT: usize = 900_000;

/// What an allocation costs beside its bytes, roughly.
pub(super) const ALLOCATION: usize = 16;
/// What a text that is shared costs beside its bytes, too: it counts who shares it. Each sample is charged as if
/// it were alone.
pub(super) const SHARED: usize = ALLOCATION + 16;

/// A value that one denial adds, whatever rules count it. Parsed and hashed once for all of them.
pub struct Counted {
    value: Value,
    hash: OnceCell<u128>,
}

impl Counted {
    /// `text` as a sample keeps it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { value: Value::new(text), hash: OnceCell::new() }
    }

    fn hash(&self) -> u128 {
        *self.hash.get_or_init(|| self.value.with_text(hash))
    }

    fn sample(&self, at: EventTime) -> Sample {
        Sample { at, value: self.value.clone() }
    }
}

/// What a sample takes beside its place in a vector, in bytes.
fn beside(sample: &Sample) -> isize {
    match &sample.value {
        Value::Uuid(_) => 0,
        Value::Text(text) => text.len().saturating_add(SHARED).cast_signed(),
    }
}

/// What a vector of this capacity takes.
fn room(capacity: usize) -> isize {
    capacity.saturating_mul(size_of::<Sample>()).cast_signed()
}

/// Tells values apart beyond those that are sampled, across all slots of one object.
#[derive(Default)]
pub struct Distinct(HashSet<u64>);

impl Distinct {
    /// Whether a value is new in its place; `None` where no more can be told apart.
    fn insert(&mut self, hash: u128, place: u64) -> Option<bool> {
        let placed = u64::try_from(hash >> 64).unwrap_or_default().wrapping_add(place);
        if self.0.len() < MAX_DISTINCT {
            Some(self.0.insert(placed))
        } else {
            self.0.contains(&placed).then_some(false)
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
pub struct Added {
    /// By how many bytes of memory the samples have grown.
    pub bytes: isize,
    /// Its value was not there before.
    pub new: bool,
}

/// The samples of one object in one slot of one key.
pub enum Samples {
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
    /// Sum of the distinct values' hashes: the same in any order.
    hash: u128,
}

impl Default for Samples {
    fn default() -> Self {
        Self::All(All::default())
    }
}

impl Samples {
    /// Adds that `value` was denied at `at`. `place` identifies the slot and key.
    pub fn add(
        &mut self,
        at: EventTime,
        counted: &Counted,
        sampling: Sampling,
        place: u64,
        distinct: &mut Distinct,
    ) -> Added {
        if let Self::All(All(all)) = self {
            step(all.len());
        }
        let value = &counted.value;
        match self {
            Self::All(All(all)) if all.iter().any(|seen| seen.at == at && seen.value == *value) => {
                Added { bytes: 0, new: false }
            }
            Self::All(All(all)) if all.len() < sampling.limit.saturating_mul(2) => {
                let new = all.iter().all(|other| other.value != *value);
                let before = room(all.capacity());
                // Most slots hold one denial, for which a vector would reserve room for four.
                if all.len() == all.capacity() {
                    all.reserve_exact(all.len().max(1));
                }
                let seen = counted.sample(at);
                let bytes = beside(&seen);
                all.push(seen);
                Added { bytes: bytes.saturating_add(room(all.capacity())).saturating_sub(before), new }
            }
            Self::All(All(all)) => {
                let before = room(all.capacity()).saturating_add(all.iter().map(beside).sum::<isize>());
                let (mut ends, grown) = Ends::new(all, sampling.limit, place, distinct);
                let Added { bytes, new } = ends.add(at, counted, sampling, place, distinct);
                *self = Self::Ends(Box::new(ends));
                Added { bytes: grown.saturating_add(bytes).saturating_sub(before), new }
            }
            Self::Ends(ends) => ends.add(at, counted, sampling, place, distinct),
        }
    }

    /// The earliest and the latest time.
    #[must_use]
    pub fn span(&self) -> Option<(EventTime, EventTime)> {
        match self {
            Self::All(All(all)) => {
                let times = || all.iter().map(|seen| seen.at);
                Some((times().min()?, times().max()?))
            }
            Self::Ends(ends) => Some((ends.earliest.front()?.at, ends.latest.front()?.at)),
        }
    }

    /// What is stored of them.
    #[must_use]
    pub fn stored(&self, sampling: Sampling) -> (Digest, BTreeSet<Sample>) {
        let (samples, distinct, hash, at_least): (BTreeSet<Sample>, _, _, _) = match self {
            Self::All(All(all)) => {
                let values: HashSet<&Value> = all.iter().map(|seen| &seen.value).collect();
                let hash = values.iter().map(|value| value.with_text(hash)).fold(0, u128::wrapping_add);
                let samples = if sampling.recurs {
                    all.iter().cloned().collect()
                } else {
                    let mut ends = Ends::default();
                    for seen in all {
                        ends.keep((seen.at, &seen.value), false, None, sampling.limit);
                    }
                    ends.samples()
                };
                (samples, values.len() as u64, hash, false)
            }
            Self::Ends(ends) => (ends.samples(), ends.distinct, ends.hash, ends.at_least),
        };
        // Times as well as values, or a value that comes again at another time would be taken
        // for a redelivery, and forgotten.
        let mut text = String::new();
        let spelled = |sample: &Sample| {
            text.clear();
            // A string takes whatever is written.
            let _ = write!(text, "{sample}");
            self::hash(&text)
        };
        let times = samples.iter().map(spelled).fold(0, u128::wrapping_add);
        let sampled = samples.iter().map(|sample| &sample.value).collect::<HashSet<_>>().len() as u64;
        let digest = Digest {
            hash: format!("{:032x}", hash.wrapping_add(times)),
            denials: distinct,
            sampled,
            at_least,
            span: None,
        };
        (digest, samples)
    }
}

impl Ends {
    /// Tells how many bytes of memory they take, too.
    fn new(all: &[Sample], limit: usize, place: u64, distinct: &mut Distinct) -> (Self, isize) {
        let mut ends = Self::default();
        let values: HashSet<&Value> = all.iter().map(|seen| &seen.value).collect();
        for value in values {
            let hash = value.with_text(hash);
            ends.distinct = ends.distinct.saturating_add(1);
            ends.hash = ends.hash.wrapping_add(hash);
            // Where there is no room for it, a repetition of it makes the figure a lower bound.
            distinct.insert(hash, place);
        }
        let bytes: isize = all.iter().map(|seen| ends.keep((seen.at, &seen.value), false, None, limit)).sum();
        (ends, bytes.saturating_add(size_of::<Self>().cast_signed()))
    }

    fn add(
        &mut self,
        at: EventTime,
        counted: &Counted,
        sampling: Sampling,
        place: u64,
        distinct: &mut Distinct,
    ) -> Added {
        // Looking is cheaper than hashing only where a value is likely to be there.
        let known = if sampling.recurs { position(&self.latest, &counted.value) } else { None };
        let new = if known.is_some() { Some(false) } else { distinct.insert(counted.hash(), place) };
        match new {
            Some(true) => {
                self.distinct = self.distinct.saturating_add(1);
                self.hash = self.hash.wrapping_add(counted.hash());
            }
            Some(false) => {}
            None => self.at_least = true,
        }
        let new = new == Some(true);
        Added { bytes: self.keep((at, &counted.value), new, known, sampling.limit), new }
    }

    /// `new` says that the value is surely none of those that are kept; `known` is its place among the latest.
    fn keep(&mut self, seen: Place<'_>, new: bool, known: Option<usize>, limit: usize) -> isize {
        let look = |kept: &VecDeque<Sample>| if new { None } else { position(kept, seen.1) };
        let is_later = |last: &Sample| last.at <= seen.0;
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

type Place<'a> = (EventTime, &'a Value);

fn position(kept: &VecDeque<Sample>, value: &Value) -> Option<usize> {
    step(kept.len());
    kept.iter().position(|seen| seen.value == *value)
}

/// Keeps in `kept`, sorted by `before`, the first `limit` distinct values, each at its first place; `look` tells
/// where one is. Tells by how many bytes it has grown. In order of time, each goes to the front of the latest.
fn keep(
    kept: &mut VecDeque<Sample>,
    (at, value): Place<'_>,
    look: impl FnOnce(&VecDeque<Sample>) -> Option<usize>,
    limit: usize,
    before: impl Fn(Place<'_>, Place<'_>) -> bool,
) -> isize {
    let is_before = |other: &Sample| before((at, value), (other.at, &other.value));
    if kept.len() == limit && kept.back().is_none_or(|last| !is_before(last)) {
        return 0;
    }
    let room_before = room(kept.capacity());
    let (seen, bytes) = match look(kept) {
        Some(known) if kept.get(known).is_none_or(|kept| !is_before(kept)) => return 0,
        Some(known) => (kept.remove(known).map(|seen| Sample { at, ..seen }), 0),
        None => {
            let gone = if kept.len() == limit { kept.pop_back() } else { None };
            let seen = Sample { at, value: value.clone() };
            let bytes = beside(&seen).saturating_sub(gone.map_or(0, |gone| beside(&gone)));
            (Some(seen), bytes)
        }
    };
    let Some(seen) = seen else { return 0 };
    if kept.front().is_none_or(&is_before) {
        kept.push_front(seen);
    } else {
        let place = kept.partition_point(|other| before((other.at, &other.value), (at, value)));
        kept.insert(place, seen);
    }
    room(kept.capacity()).saturating_sub(room_before).saturating_add(bytes)
}

fn hash(value: &str) -> u128 {
    let digest = Sha256::digest(value.as_bytes());
    digest.iter().take(16).fold(0, |hash, byte| hash << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest of what an object adds, as stored, for `second:value …`.
    #[track_caller]
    fn check(sampling: Sampling, added: &str, expected: &str) {
        let (mut samples, mut distinct) = (Samples::default(), Distinct::default());
        for one in added.split(' ') {
            let (second, value) = one.split_once(':').expect("a time and a value");
            let at = EventTime::from_epoch_ms(second.parse::<i64>().expect("a number") * 1000);
            samples.add(at, &Counted::new(value), sampling, 7, &mut distinct);
        }
        assert_eq!(samples.stored(sampling).0.to_string(), expected);
    }

    /// Items of older versions hold them: with another digest, a redelivery after an upgrade would count again.
    #[test]
    fn digests_are_those_of_older_versions() {
        const A: &str = "0f8b1f2e-6f0b-4f3a-9c3d-1a2b3c4d5e6f";
        const C: &str = "c0ffee00-6f0b-4f3a-9c3d-1a2b3c4d5e6f";
        let unique = Sampling { limit: 2, recurs: false };
        let recurring = Sampling { limit: 2, recurs: true };
        check(unique, &format!("1:{A} 2:b 1:0F8B"), "cba77fe2e034287caa1a471156fec5ea:3:3");
        // More than are kept, at one time.
        let many = format!("5:x 5:{C} 5:aws 5:{A} 5:b 5:Z 5:0F8B");
        check(unique, &many, "ee856256c0ec4fb1f90d64ecc2a64d73:7:4");
        check(recurring, &many, "ee856256c0ec4fb1f90d64ecc2a64d73:7:4");
        check(recurring, &format!("1:{A} 2:{A} 3:b 3:{A}"), "1180db76237a76da24c0e7db17d3c1a0:2:2");
    }
}
