//! The denials of one object, summed up by key and slot.
//!
//! One reading serves all rules. Memory does not grow with the denials of a key: a slot keeps the
//! earliest and latest few, and a 64-bit hash tells distinct values apart up to [`MAX_DISTINCT`]
//! an object.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use glob::Pattern;
use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};

use crate::count::counter::{Contribution, Digest, Sample, Slot};
use crate::count::evidence::{self, Evidence};
use crate::count::key::{Key, KeyRef, sample_value};
use crate::log::denial::{Denial, Source};
use crate::log::time::EventTime;
use crate::rule::definition::Rule;
use crate::rule::field::MISSING;

/// Distinct values of one object that are told apart (about 10 MiB of hashes). Beyond it a
/// slot's figure is a lower bound and says so; detection, which rests on samples, stays exact.
pub const MAX_DISTINCT: usize = 900_000;

/// A summary that grows by one denial at a time.
pub struct Tally {
    rules: Vec<Rule>,
    exempt_users: Vec<Pattern>,
    exempted: u64,
    seen: HashSet<u64>,
    keys: IndexMap<Key, KeyTally>,
}

/// What one object holds of one key.
#[derive(Default)]
struct KeyTally {
    /// In order. Most keys have one, for which a map would take ten times the room.
    slots: Vec<(Slot, SlotTally)>,
}

/// The summary of one key, ready to be added to its counters.
#[derive(Debug)]
pub struct Summary {
    /// Whose it is.
    pub key: Key,
    /// What the object adds.
    pub slots: BTreeMap<Slot, Contribution>,
}

impl Tally {
    /// Counts by `rules`; users that match a pattern are only counted.
    #[must_use]
    pub fn new(rules: Vec<Rule>, exempt_users: Vec<Pattern>) -> Self {
        Self { rules, exempt_users, exempted: 0, seen: HashSet::new(), keys: IndexMap::new() }
    }

    /// The error codes that any of its rules is about.
    #[must_use]
    pub fn error_codes(&self) -> Vec<&'static str> {
        let codes: BTreeSet<&str> = self.rules.iter().flat_map(|rule| rule.error_codes).copied().collect();
        codes.into_iter().collect()
    }

    /// Denials so far that any rule left out because the user is exempt.
    #[must_use]
    pub fn exempted(&self) -> u64 {
        self.exempted
    }

    /// Different keys so far.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Takes one denial in.
    pub fn add(&mut self, denial: &Denial<'_>) {
        if denial.user.as_deref().is_some_and(|user| self.exempt_users.iter().any(|glob| glob.matches(user)))
        {
            self.exempted += u64::from(denial.is_refused());
            return;
        }
        let mut exempted = false;
        for rule in self.rules.iter().filter(|rule| rule.counts(denial)) {
            if rule.exempts(denial.user.as_deref()) {
                exempted = true;
                continue;
            }
            let values = rule.group_by.iter().map(|field| field.of(denial)).collect();
            let key = KeyRef { rule: rule.id, values };
            let index = self
                .keys
                .get_index_of(&key)
                .unwrap_or_else(|| self.keys.insert_full(key.to_key(), KeyTally::default()).0);
            let slot = Slot { start: denial.at.slot(rule.slot()), source: denial.source };
            let tally = self.keys[index].slot(slot, rule.distinct.recurs());
            evidence::collect(&mut tally.evidence, denial);
            let value = rule.distinct.of(denial).unwrap_or(MISSING);
            // What stands among the samples has been counted.
            if !tally.sample(denial.at, value, rule.samples()) {
                tally.count(value, (index as u64, slot), &mut self.seen);
            }
        }
        self.exempted += u64::from(exempted && denial.is_refused());
    }

    /// The summaries, in the order in which their keys were first seen; each is made when it is
    /// asked for, since it takes twice the room.
    pub fn into_summaries(self) -> impl Iterator<Item = Summary> {
        let summary = |(key, tally): (Key, KeyTally)| Summary {
            key,
            slots: tally.slots.into_iter().map(|(slot, tally)| (slot, tally.into())).collect(),
        };
        self.keys.into_iter().map(summary)
    }
}

impl KeyTally {
    fn slot(&mut self, slot: Slot, recurs: bool) -> &mut SlotTally {
        let at = self.slots.binary_search_by_key(&slot, |(slot, _)| *slot).unwrap_or_else(|at| {
            // Keys are many and their slots few.
            self.slots.reserve_exact(1);
            self.slots.insert(at, (slot, SlotTally::new(recurs)));
            at
        });
        &mut self.slots[at].1
    }
}

struct SlotTally {
    /// The distinct values seen first, each at its first time, in order.
    earliest: Vec<Sample>,
    /// The distinct values seen last, each at its last time, latest first.
    latest: Vec<Sample>,
    /// Every time of values that recur; `None` when there were too many.
    every: Option<Vec<Sample>>,
    distinct: u64,
    at_least: bool,
    /// Sum of the distinct values' hashes: the same in any order.
    hash: u128,
    evidence: Vec<Evidence>,
}

impl SlotTally {
    fn new(recurs: bool) -> Self {
        Self {
            earliest: Vec::new(),
            latest: Vec::new(),
            every: recurs.then(Vec::new),
            distinct: 0,
            at_least: false,
            hash: 0,
            evidence: Vec::new(),
        }
    }

    /// Tells whether `value` stood among the samples before.
    fn sample(&mut self, at: EventTime, value: &str, limit: usize) -> bool {
        let earlier = |this: (EventTime, &str), that: (EventTime, &str)| this < that;
        let later = |this: (EventTime, &str), that: (EventTime, &str)| this > that;
        if let Some(every) = &mut self.every
            && !every.iter().any(|sample| sample.at == at && sample.value == value)
        {
            // All or none, so that the digest does not depend on the order of the records.
            if every.len() == 2 * limit {
                self.every = None;
            } else {
                every.push(Sample { at, value: value.to_owned() });
            }
        }
        let earliest = keep(&mut self.earliest, at, value, limit, earlier);
        let latest = keep(&mut self.latest, at, value, limit, later);
        earliest || latest
    }

    fn count(&mut self, value: &str, place: (u64, Slot), seen: &mut HashSet<u64>) {
        let hash = hash(value);
        let (key, slot) = place;
        // Mixed so that one value in two slots, or of two keys, is two values.
        let source = u64::from(slot.source == Source::CloudTrail);
        let placed = u64::try_from(hash >> 64)
            .unwrap_or_default()
            .wrapping_add(key.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .wrapping_add(slot.start.epoch_ms().cast_unsigned().wrapping_mul(0xd1b5_4a32_d192_ed03))
            .wrapping_add(source.wrapping_mul(0x8cb9_2ba7_2f3d_8dd7));
        if seen.len() >= MAX_DISTINCT && !seen.contains(&placed) {
            self.at_least = true;
        } else if seen.insert(placed) {
            self.distinct += 1;
            self.hash = self.hash.wrapping_add(hash);
        }
    }
}

/// Keeps in `kept`, sorted by `before`, the first `limit` distinct values, each at its first place;
/// tells whether `value` was found there.
fn keep(
    kept: &mut Vec<Sample>,
    at: EventTime,
    value: &str,
    limit: usize,
    before: impl Fn((EventTime, &str), (EventTime, &str)) -> bool,
) -> bool {
    if kept.len() == limit && kept.last().is_some_and(|last| !before((at, value), (last.at, &last.value))) {
        return false;
    }
    let known = kept.iter().position(|sample| sample.value == value);
    let sample = match known {
        Some(known) if !before((at, value), (kept[known].at, value)) => return true,
        Some(known) => Sample { at, ..kept.remove(known) },
        None => {
            if kept.len() == limit {
                kept.pop();
            }
            Sample { at, value: value.to_owned() }
        }
    };
    let place = kept.partition_point(|sample| before((sample.at, &sample.value), (at, value)));
    kept.insert(place, sample);
    known.is_some()
}

fn hash(value: &str) -> u128 {
    let digest = Sha256::digest(value.as_bytes());
    digest[..16].iter().fold(0, |hash, byte| hash << 8 | u128::from(*byte))
}

impl From<SlotTally> for Contribution {
    fn from(tally: SlotTally) -> Self {
        let both = tally.earliest.into_iter().chain(tally.latest).chain(tally.every.unwrap_or_default());
        let samples: BTreeSet<Sample> =
            both.map(|sample| Sample { value: sample_value(&sample.value), ..sample }).collect();
        // Times as well as values, or a value that comes again at another time would be taken
        // for a redelivery, and forgotten.
        let times = samples.iter().map(|sample| hash(&sample.to_string())).fold(0, u128::wrapping_add);
        let values: HashSet<&String> = samples.iter().map(|sample| &sample.value).collect();
        let sampled = values.len() as u64;
        Self {
            digest: Digest {
                hash: format!("{:032x}", tally.hash.wrapping_add(times)),
                // What was sampled is known even where no more can be told apart.
                denials: tally.distinct.max(sampled),
                sampled,
                at_least: tally.at_least,
            },
            samples,
            evidence: tally.evidence.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::catalogue::DENIED_MODEL;

    fn denial(second: i64, request: &'static str) -> Denial<'static> {
        Denial {
            source: Source::InvocationLog,
            at: EventTime::from_epoch_ms(second * 1000),
            account: None,
            user: Some("u".into()),
            model: None,
            model_called: None,
            region: None,
            request_id: request.into(),
            error_code: "AccessDeniedException".into(),
            source_ip: None,
            user_agent: None,
            access_key_id: None,
            caller_account: None,
            vpc_endpoint: None,
            api_key: None,
            refusal: None,
        }
    }

    /// `second:request …` → per slot `denials [samples]`.
    #[track_caller]
    fn check(threshold: usize, denials: &[(i64, &'static str)], expected: &[&str]) {
        let mut hashes = HashSet::new();
        let mut orders = [denials.to_vec(), denials.to_vec()];
        orders[1].reverse();
        for order in orders {
            let mut tally = Tally::new(vec![Rule { threshold, ..DENIED_MODEL.clone() }], Vec::new());
            for (second, request) in order {
                tally.add(&denial(second, request));
            }
            let summaries: Vec<Summary> = tally.into_summaries().collect();
            let [summary] = &summaries[..] else { panic!("one key") };
            let shown: Vec<String> = summary
                .slots
                .values()
                .map(|slot| {
                    let samples: Vec<String> = slot
                        .samples
                        .iter()
                        .map(|sample| format!("{}{}", sample.at.epoch_ms() / 1000, sample.value))
                        .collect();
                    format!("{}/{} {}", slot.digest.sampled, slot.digest.denials, samples.join(" "))
                })
                .collect();
            assert_eq!(shown, expected);
            hashes.insert(summary.slots.values().map(|slot| slot.digest.hash.clone()).collect::<Vec<_>>());
        }
        assert_eq!(hashes.len(), 1, "the digest depends on the order");
    }

    #[test]
    fn a_slot_keeps_the_earliest_at_their_first_and_the_latest_at_their_last_time() {
        check(1, &[(1, "a"), (2, "b"), (3, "c")], &["3/3 1a 2b 3c"]);
        check(1, &[(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e"), (6, "f")], &["4/6 1a 2b 5e 6f"]);
        check(0, &[(1, "a"), (2, "b"), (3, "a")], &["1/2 1a 3a"]);
        check(1, &[(1, "a"), (2, "a"), (3, "a"), (4, "b")], &["2/2 1a 3a 4b"]);
        check(1, &[(5, "a"), (5, "b"), (5, "c"), (5, "d"), (5, "e")], &["4/5 5a 5b 5d 5e"]);
    }

    #[test]
    fn slots_are_apart() {
        check(3, &[(599, "a"), (600, "a"), (1199, "b")], &["1/1 599a", "2/2 600a 1199b"]);
    }

    #[test]
    fn exempt_users_are_counted_only() {
        let glob = Pattern::new("u*").expect("a glob");
        let mut tally = Tally::new(vec![DENIED_MODEL.clone()], vec![glob]);
        tally.add(&denial(1, "a"));
        tally.add(&Denial { user: None, ..denial(1, "b") });
        assert_eq!(tally.exempted(), 1);
        assert_eq!(tally.into_summaries().count(), 1);
    }
}
