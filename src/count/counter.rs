//! What one slot of one key holds in the store, and what one object contributes to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::call::Source;
use crate::count::evidence::Evidence;
use crate::count::value::Value;
use crate::source::time::EventTime;

/// A stretch of event time in one source. The sources are counted apart, since all may record the same denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Its start.
    pub start: EventTime,
    /// The source.
    pub source: Source,
}

impl Slot {
    /// The slots of all sources that start within `starts`.
    #[must_use]
    pub fn of_all_sources(starts: RangeInclusive<EventTime>) -> RangeInclusive<Self> {
        let (first, last) = starts.into_inner();
        let [first_source, .., last_source] = Source::ALL;
        Self { start: first, source: first_source }..=Self { start: last, source: last_source }
    }
}

/// One denial that a slot remembers: when, and the distinct value the rule counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sample {
    /// When it was denied.
    pub at: EventTime,
    /// The distinct value that the rule counts, such as the request id.
    pub value: Value,
}

/// As stored: `<epoch ms>|<value>`.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}", self.at.epoch_ms(), self.value)
    }
}

impl FromStr for Sample {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('|');
        let parts = parts.and_then(|(ms, value)| Some((ms.parse().ok()?, Value::new(value))));
        parts
            .map(|(ms, value)| Self { at: EventTime::from_epoch_ms(ms), value })
            .ok_or_else(|| format!("sample {text:?}: expected <epoch ms>|<value>"))
    }
}

/// The digest of what one object holds in one slot: a hash of its distinct values and its
/// samples, how many values they are, and how many of them the samples show. Content, not
/// name: a redelivery and a copy under another name have the same digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest {
    /// Hash of the distinct values and the samples, in hexadecimal.
    pub hash: String,
    /// How many distinct values the object holds in the slot.
    pub denials: u64,
    /// How many of them are among its samples.
    pub sampled: u64,
    /// The object held more values than could be distinguished: `denials` is a lower bound.
    pub at_least: bool,
    /// The times of the first and last value, where a rule sums what came in events: some of these values may
    /// be in another contribution as well, whose span then overlaps. `None` for everything else.
    pub span: Option<(EventTime, EventTime)>,
}

impl Digest {
    /// The shard of the slot that holds the contribution, from 0 to [`SHARDS`] - 1.
    #[must_use]
    pub fn shard(&self) -> u8 {
        Sha256::digest(self.to_string().as_bytes()).first().map_or(0, |byte| byte % SHARDS)
    }
}

/// As stored: `<hash>:<denials>:<sampled>`, with `:<first>..<last>` (epoch ms) for a span, followed by `+` for a
/// lower bound. Older versions pass over the span.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hash, denials, sampled, at_least, span } = self;
        write!(f, "{hash}:{denials}:{sampled}")?;
        if let Some((first, last)) = span {
            write!(f, ":{}..{}", first.epoch_ms(), last.epoch_ms())?;
        }
        f.write_str(if *at_least { "+" } else { "" })
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let exact = text.strip_suffix('+');
        let mut parts = exact.unwrap_or(text).split(':');
        let mut next = || parts.next();
        let digest = (|| {
            Some(Self {
                hash: next()?.to_owned(),
                denials: next()?.parse().ok()?,
                sampled: next()?.parse().ok()?,
                at_least: exact.is_some(),
                span: match next() {
                    Some(span) => Some(times(span)?),
                    None => None,
                },
            })
        })();
        let expected = "<hash>:<denials>:<sampled>[:<first>..<last>]";
        digest.ok_or_else(|| format!("contribution {text:?}: expected {expected}"))
    }
}

/// `<first>..<last>`, in epoch milliseconds.
fn times(span: &str) -> Option<(EventTime, EventTime)> {
    let (first, last) = span.split_once("..")?;
    let time = |text: &str| text.parse().ok().map(EventTime::from_epoch_ms);
    Some((time(first)?, time(last)?))
}

/// What one object adds to one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// Identifies it, so it is added once.
    pub digest: Digest,
    /// Its earliest and latest distinct values.
    pub samples: BTreeSet<Sample>,
    /// The evidence that came with them.
    pub evidence: BTreeSet<Evidence>,
}

/// Shards per slot. A busy slot is spread over this many items, because DynamoDB charges an update by
/// the size of the whole item.
pub const SHARDS: u8 = 16;

/// One slot as the store holds it, by shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Which slot.
    pub slot: Slot,
    /// The shards; one without contributions is missing. Copies share them. Each has a place of its own, because a
    /// tree reserves room for eleven and most slots have one.
    pub shards: BTreeMap<u8, Arc<Shard>>,
}

/// The sum of the contributions that fall into one shard of a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shard {
    /// The contributions that were added; boxed for the same reason.
    pub contributions: BTreeSet<Box<Digest>>,
    /// The samples of all contributions.
    pub samples: BTreeSet<Sample>,
    /// The evidence of all contributions.
    pub evidence: BTreeSet<Evidence>,
}

impl Counter {
    /// An empty slot.
    #[must_use]
    pub fn new(slot: Slot) -> Self {
        Self { slot, shards: BTreeMap::new() }
    }

    /// A shard, to add to it.
    pub fn shard(&mut self, number: u8) -> &mut Shard {
        Arc::make_mut(self.shards.entry(number).or_default())
    }

    /// Adds `contribution` unless it was added before; returns whether it was new.
    pub fn add(&mut self, contribution: &Contribution) -> bool {
        let number = contribution.digest.shard();
        if self.shards.get(&number).is_some_and(|shard| shard.contributions.contains(&contribution.digest)) {
            return false;
        }
        let shard = self.shard(number);
        shard.contributions.insert(Box::new(contribution.digest.clone()));
        shard.samples.extend(contribution.samples.iter().cloned());
        shard.evidence.extend(contribution.evidence.iter().cloned());
        true
    }

    /// The contributions of all shards.
    pub fn contributions(&self) -> impl Iterator<Item = &Digest> {
        self.shards.values().flat_map(|shard| shard.contributions.iter().map(|digest| &**digest))
    }

    /// The samples of all shards; several shards may hold the same one.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.shards.values().flat_map(|shard| &shard.samples)
    }

    /// The evidence of all shards; several shards may hold the same piece.
    pub fn evidence(&self) -> impl Iterator<Item = &Evidence> {
        self.shards.values().flat_map(|shard| &shard.evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_spread_over_all_shards_and_keep_theirs() {
        let digest = |number: u32| Digest {
            hash: format!("{number:032x}"),
            denials: 4,
            sampled: 4,
            at_least: false,
            span: None,
        };
        let mut shards = [0; SHARDS as usize];
        for number in 0..1600 {
            shards[usize::from(digest(number).shard())] += 1;
        }
        assert!(shards.iter().all(|count| (60..140).contains(count)), "{shards:?}");
        // Fixed, or a redelivery after an upgrade would count again.
        assert_eq!(digest(7).shard(), 12);
    }

    #[test]
    fn a_digest_reads_what_it_writes() {
        for text in ["a:1:1", "a:9:4+", "a:9:4:-5..1748772000000", "a:9:4:7..7+"] {
            assert_eq!(text.parse::<Digest>().expect("a digest").to_string(), text);
        }
        for odd in ["a:1", "a:x:1", "a:1:1:", "a:1:1:5", "a:1:1:5..x"] {
            assert!(odd.parse::<Digest>().is_err(), "{odd}");
        }
    }

    #[test]
    fn a_copy_does_not_see_what_is_added_later() {
        let mut counter =
            Counter::new(Slot { start: EventTime::from_epoch_ms(0), source: Source::InvocationLog });
        let mut contribution = Contribution {
            digest: Digest { hash: "a".to_owned(), denials: 1, sampled: 1, at_least: false, span: None },
            samples: BTreeSet::from(["1|r1".parse().expect("a sample")]),
            evidence: BTreeSet::new(),
        };
        assert!(counter.add(&contribution));
        let copy = counter.clone();
        assert!(!counter.add(&contribution));
        assert_eq!(counter, copy);
        let shard = contribution.digest.shard();
        // Another one in the same shard.
        while contribution.digest.hash == "a" || contribution.digest.shard() != shard {
            contribution.digest.hash += "b";
        }
        contribution.samples.insert("2|r2".parse().expect("a sample"));
        assert!(counter.add(&contribution));
        assert_eq!((copy.samples().count(), counter.samples().count()), (1, 2));
    }
}
