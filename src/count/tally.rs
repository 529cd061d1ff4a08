//! The denials of one object, summed up by key and slot.
//!
//! One reading serves all rules. Memory does not grow with the denials of a key in a slot: such a
//! pair keeps the earliest and latest few, and texts that come again are kept once.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use glob::Pattern;
use indexmap::{IndexMap, IndexSet};

use crate::call::cause::Class;
use crate::call::filter::{RecordFilter, TrailFilter};
use crate::call::{Call, Source};
use crate::count::counter::{Contribution, Slot};
use crate::count::evidence::{self, Evidence, Kind};
use crate::count::key::{Key, sample_value};
use crate::count::samples::{ALLOCATION, Distinct, HashedValue, SHARED, Samples, Sampling};
use crate::count::served;
use crate::count::value::DistinctValue;
use crate::count::watch::{WatchList, Watched};
use crate::rule::condition::Condition;
use crate::rule::definition::{Rule, Weight};
use crate::rule::field::{Field, PerField, Values};
use crate::source::time::EventTime;

/// Evidence of one object, in bytes. It is beside the point of an alert, so beyond this much no more
/// is kept; objects of a legitimate size stay far below.
const MAX_EVIDENCE_BYTES: usize = 16 << 20;

/// A summary that grows by one denial at a time.
pub struct Tally {
    rules: Vec<Rule>,
    /// The callers whose successful calls count.
    watched: Arc<WatchList>,
    /// How long a slot of each rule is in minutes, and how it is sampled.
    slots: Vec<(u16, Sampling)>,
    exempt_users: Vec<Pattern>,
    exempted: u64,
    distinct: Distinct,
    texts: SharedTexts,
    /// Which rule, and which text each of its fields has.
    keys: IndexSet<Box<[u32]>, RandomState>,
    pairs: IndexMap<(u32, Slot), Pair, RandomState>,
    /// The number of the record being read, where records came in an event.
    record: Option<u32>,
    /// By key, the numbers of the records that count toward it, in ascending order. Bounded by the 6 MB that an
    /// event may have, so no limit counts it.
    records: Vec<Vec<u32>>,
    /// The key being looked up.
    key: Vec<u32>,
    /// Bytes of samples.
    samples: usize,
    /// Bytes of evidence, without the texts.
    evidence: usize,
    /// Bytes of texts that only evidence has.
    evidence_texts: usize,
}

/// What calls add to that differ in their time and request id only: computed once, since most denials of an attack
/// are alike.
#[derive(Default)]
pub struct Alike {
    source: Source,
    tokens: u64,
    /// Denied, and a rule leaves its user out.
    is_exempt: bool,
    adds: Vec<Added>,
    /// What the rules count other than request ids.
    values: PerField<DistinctValue>,
    shown: Vec<(Kind, u32)>,
}

/// What a call adds to one key.
struct Added {
    key: u32,
    distinct: Field,
    sums: bool,
    minutes: u16,
    sampling: Sampling,
    /// The text that says that setup explains the denials before it.
    setup: Option<u32>,
    /// The slot of the call before, and the number of the pair. Its evidence has been shown there.
    pair: Option<(Slot, usize)>,
}

/// What one object holds of one key in one slot.
#[derive(Default)]
struct Pair {
    samples: Samples,
    /// What its values weigh together, where a rule sums.
    weight: u64,
    evidence: Vec<(Kind, u32)>,
}

/// SharedTexts that occur in many places, each kept once.
#[derive(Default)]
struct SharedTexts {
    all: IndexSet<Arc<str>, RandomState>,
    bytes: usize,
}

/// A value that the record lacks.
const NONE: u32 = u32::MAX;

impl SharedTexts {
    fn number(&mut self, text: &str) -> u32 {
        let known = self.all.get_index_of(text).unwrap_or_else(|| {
            self.bytes = self.bytes.saturating_add(text.len()).saturating_add(TEXT_BYTES);
            self.all.insert_full(text.into()).0
        });
        index(known)
    }

    /// `None` for [`NONE`].
    fn get(&self, number: u32) -> Option<&Arc<str>> {
        self.all.get_index(number as usize)
    }
}

/// What a hash table takes for an entry beside the entry itself, roughly.
const HASHED: usize = 16;
/// What a text takes beside its bytes, a pair beside its samples and evidence, and a key.
const TEXT_BYTES: usize = size_of::<Arc<str>>() + HASHED + SHARED;
const PAIR_BYTES: usize = size_of::<((u32, Slot), Pair)>() + HASHED + 2 * ALLOCATION;
const KEY_BYTES: usize = size_of::<Box<[u32]>>() + HASHED + 2 * ALLOCATION;

/// Far more than memory could hold would be needed to pass this.
fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(NONE)
}

impl Tally {
    /// Counts by `rules`; users that match a pattern are only counted.
    #[must_use]
    pub fn new(rules: Vec<Rule>, exempt_users: Vec<Pattern>) -> Self {
        Self {
            slots: rules.iter().map(|rule| (rule.slot_minutes(), sampling(rule))).collect(),
            rules,
            watched: Arc::default(),
            exempt_users,
            exempted: 0,
            distinct: Distinct::default(),
            texts: SharedTexts::default(),
            keys: IndexSet::default(),
            pairs: IndexMap::default(),
            record: None,
            records: Vec::new(),
            key: Vec::new(),
            samples: 0,
            evidence: 0,
            evidence_texts: 0,
        }
    }

    /// Counts the successful calls of the callers in `list` as well.
    #[must_use]
    pub fn watching(mut self, list: Arc<WatchList>) -> Self {
        self.watched = list;
        self
    }

    /// Whose successful calls it counts.
    #[must_use]
    pub fn watched(&self) -> &Arc<WatchList> {
        &self.watched
    }

    /// Says that what follows is record `number` of the event that carries it. Numbers only grow.
    ///
    /// What such a tally holds may come again in another mix: the queue returns only those messages that failed.
    pub fn begin_record(&mut self, number: u32) {
        self.record = Some(number);
    }

    /// The records that any of its rules is about.
    #[must_use]
    pub fn wanted(&self) -> RecordFilter {
        let sorted = |words: BTreeSet<&'static str>| words.into_iter().collect::<Vec<_>>();
        let of_trail = |rule: &Rule| {
            let is_only = rule.is_only_in_cloudtrail();
            rule.records.iter().map(move |record| (is_only || record.is_only_in_cloudtrail(), record))
        };
        let all = || self.rules.iter().flat_map(of_trail);
        let conditions = || all().filter(|(is_of_trail, _)| !is_of_trail).map(|(_, record)| record);
        let trail = |other_services: bool| {
            let needed = all().filter(|(is_of_trail, record)| *is_of_trail || record.needs_trail());
            let records = needed.filter(|(_, record)| record.is_about_other_services() == other_services);
            let words = records.map(|(_, record)| record.words());
            // A condition without words is about all records.
            words.flat_map(|words| if words.is_empty() { vec![""] } else { words }).collect()
        };
        RecordFilter {
            error_codes: sorted(conditions().flat_map(|record| record.error_codes).copied().collect()),
            failures: conditions().any(Condition::needs_failures),
            interventions: conditions().any(Condition::needs_intervention),
            actions: sorted(conditions().filter_map(Condition::needs_action).collect()),
            successes: conditions().any(Condition::needs_every_record),
            watched: self.watched.arns(),
            trail: TrailFilter { bedrock: sorted(trail(false)), any: sorted(trail(true)) },
            markers: Vec::new(),
        }
    }

    /// Denials so far that any rule left out because the user is exempt.
    #[must_use]
    pub fn exempted(&self) -> u64 {
        self.exempted
    }

    /// Different pairs of a key and a slot so far.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// Roughly how many bytes of memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let tables = [self.pairs.len().saturating_mul(PAIR_BYTES), self.keys.len().saturating_mul(KEY_BYTES)];
        let kept = [self.texts.bytes, self.samples, self.evidence];
        tables.into_iter().chain(kept).fold(0, usize::saturating_add)
    }

    /// Takes one call in.
    pub fn add(&mut self, call: &Call<'_>) {
        let mut alike = self.alike(call);
        self.add_alike(&mut alike, call.at, &call.request_id);
        if self.is_of_watched(call) && !self.is_exempt(call) {
            self.add_served(call);
        }
    }

    /// What a call adds to, whatever its request id and, if it failed, its time. (One that succeeded may be later than a
    /// denial, or earlier.)
    pub fn alike(&mut self, call: &Call<'_>) -> Alike {
        let mut alike = Alike { source: call.source, tokens: call.facts.tokens(), ..Alike::default() };
        if self.is_exempt(call) {
            alike.is_exempt = call.is_denied();
            return alike;
        }
        let values = Values::of(call);
        let caller = values.get(Field::Caller).filter(|_| self.is_of_watched(call));
        let over = caller.and_then(|arn| self.watched.over(arn, call));
        let values = values.after_denial(over.is_some());
        let mut numbers = PerField::default();
        for (number, (rule, (minutes, sampling))) in self.rules.iter().zip(&self.slots).enumerate() {
            if !rule.counts(call, &values) {
                continue;
            }
            if rule.exempts(call.user.as_deref()) {
                alike.is_exempt = call.is_denied();
                continue;
            }
            self.key.clear();
            self.key.push(index(number));
            for field in rule.group_by {
                let number = || values.get(*field).map_or(NONE, |text| self.texts.number(text));
                self.key.push(*numbers.get(*field, number));
            }
            if rule.distinct != Field::RequestId {
                let value = || DistinctValue::new(&sample_value(values.get(rule.distinct)));
                alike.values.get(rule.distinct, value);
            }
            // Why it was denied before.
            let is_setup = rule.is_about_watched() && over.is_some_and(|over| over.setup);
            alike.adds.push(Added {
                key: number_of(&mut self.keys, &self.key),
                distinct: rule.distinct,
                sums: rule.weight == Weight::Tokens,
                minutes: *minutes,
                sampling: *sampling,
                setup: is_setup.then(|| self.texts.number(Class::Setup.name())),
                pair: None,
            });
        }
        for (kind, value) in evidence::shown(call).filter(|_| !alike.adds.is_empty()) {
            if self.evidence.saturating_add(self.evidence_texts) < MAX_EVIDENCE_BYTES {
                let texts = self.texts.bytes;
                alike.shown.push((kind, self.texts.number(&value)));
                let grown = self.texts.bytes.saturating_sub(texts);
                self.evidence_texts = self.evidence_texts.saturating_add(grown);
            }
        }
        alike
    }

    /// Takes in a call that is like another but for its time and request id.
    pub fn add_alike(&mut self, alike: &mut Alike, at: EventTime, request_id: &str) {
        self.exempted = self.exempted.saturating_add(u64::from(alike.is_exempt));
        let Alike { source, tokens, adds, values, shown, .. } = alike;
        let mut hashed = PerField::default();
        for added in adds {
            attribute(&mut self.records, added.key as usize, self.record);
            let place = (added.key, Slot::of(at, added.minutes, *source));
            // Nearly always that of the call before.
            let known = added.pair.filter(|(slot, _)| *slot == place.1).map(|(_, number)| number);
            let number = known.unwrap_or_else(|| {
                let entry = self.pairs.entry(place);
                let number = entry.index();
                entry.or_default();
                number
            });
            let Some((_, pair)) = self.pairs.get_index_mut(number) else { continue };
            let value = || match values.known(added.distinct) {
                Some(value) => HashedValue::of(at, value.clone()),
                None => HashedValue::of(at, DistinctValue::new(&sample_value(Some(request_id)))),
            };
            let grown = pair.samples.add(
                hashed.get(added.distinct, value),
                added.sampling,
                place,
                &mut self.distinct,
            );
            self.samples = self.samples.saturating_add_signed(grown.bytes);
            if grown.new && added.sums {
                pair.weight = pair.weight.saturating_add(*tokens);
            }
            if known.is_some() {
                continue;
            }
            added.pair = Some((place.1, number));
            for (kind, value) in &*shown {
                let kept = self.evidence.saturating_add(self.evidence_texts);
                if kept < MAX_EVIDENCE_BYTES && pair.show(*kind, *value) {
                    self.evidence = self.evidence.saturating_add(size_of::<(Kind, u32)>());
                }
            }
            if let Some(setup) = added.setup {
                pair.show(Kind::Cause, setup);
            }
        }
    }

    fn is_exempt(&self, call: &Call<'_>) -> bool {
        call.user.as_deref().is_some_and(|user| self.exempt_users.iter().any(|glob| glob.matches(user)))
    }

    /// Whether it is a successful call that may be one of a watched caller.
    fn is_of_watched(&self, call: &Call<'_>) -> bool {
        call.succeeded && call.is_model_call && !self.watched.callers.is_empty()
    }

    /// Counts a successful call for each incident of its caller that is watched.
    fn add_served(&mut self, call: &Call<'_>) {
        let values = Values::of(call);
        let Some(arn) = values.get(Field::Caller) else { return };
        let watched = Arc::clone(&self.watched);
        let covering = |one: &&Watched| one.arn == arn && one.covers(call.account.as_deref(), call.at);
        for one in watched.callers.iter().filter(covering) {
            let of_incident = served::values(one);
            for (number, rule) in served::RULES.iter().enumerate() {
                let tokens = call.facts.tokens();
                if rule.weight == Weight::Tokens && tokens == 0 {
                    continue;
                }
                self.key.clear();
                self.key.push(index(self.rules.len().saturating_add(number)));
                for value in &of_incident {
                    let number = value.as_deref().map_or(NONE, |text| self.texts.number(text));
                    self.key.push(number);
                }
                let key = number_of(&mut self.keys, &self.key);
                attribute(&mut self.records, key as usize, self.record);
                let place = (key, Slot::of(call.at, rule.slot_minutes(), call.source));
                let pair = self.pairs.entry(place).or_default();
                let value =
                    HashedValue::of(call.at, DistinctValue::new(&sample_value(Some(&call.request_id))));
                let added = pair.samples.add(&value, sampling(rule), place, &mut self.distinct);
                self.samples = self.samples.saturating_add_signed(added.bytes);
                if added.new && rule.weight == Weight::Tokens {
                    pair.weight = pair.weight.saturating_add(tokens);
                }
                if let Some(model) = call.model.as_deref().filter(|_| rule.weight == Weight::One) {
                    let model = self.texts.number(Kind::ModelCalled.cut(model));
                    if pair.show(Kind::ModelCalled, model) {
                        self.evidence = self.evidence.saturating_add(size_of::<(Kind, u32)>());
                    }
                }
            }
        }
    }

    /// The summaries, in the order in which their keys were first seen; each is made when it is
    /// asked for.
    pub fn into_summaries(mut self) -> impl Iterator<Item = Summary> {
        // Of one key in order of time, whatever the order of the records. The first is at the end, from where it can
        // be taken and its memory given back while the store takes more.
        self.pairs.sort_unstable_by(|one, _, other, _| other.cmp(one));
        let mut pairs = self.pairs;
        let texts = Arc::new(self.texts);
        let is_mix = self.record.is_some();
        std::iter::from_fn(move || {
            if pairs.len() < pairs.capacity() / 2 {
                pairs.shrink_to_fit();
            }
            let ((number, slot), pair) = pairs.pop()?;
            let mut slots = vec![(slot, pair)];
            while pairs.last().is_some_and(|((next, _), _)| *next == number) {
                slots.extend(pairs.pop().map(|((_, slot), pair)| (slot, pair)));
            }
            let (rule, values) = self.keys.get_index(number as usize)?.split_first()?;
            let rule = *rule as usize;
            let internal = || served::RULES.get(rule.checked_sub(self.rules.len())?).copied();
            let rule = self.rules.get(rule).or_else(internal)?;
            let text = |value: &u32| texts.get(*value).cloned();
            Some(Summary {
                key: Key { rule: rule.id, values: values.iter().map(text).collect() },
                sampling: sampling(rule),
                weight: rule.weight,
                slots,
                is_mix,
                records: self.records.get_mut(number as usize).map(std::mem::take).unwrap_or_default(),
                texts: Arc::clone(&texts),
            })
        })
    }
}

fn number_of(keys: &mut IndexSet<Box<[u32]>, RandomState>, key: &[u32]) -> u32 {
    index(keys.get_index_of(key).unwrap_or_else(|| keys.insert_full(key.into()).0))
}

/// Notes that `record` counts toward a key.
fn attribute(records: &mut Vec<Vec<u32>>, key: usize, record: Option<u32>) {
    let Some(record) = record else { return };
    if records.len() <= key {
        records.resize_with(key.saturating_add(1), Vec::new);
    }
    if let Some(records) = records.get_mut(key).filter(|records| records.last() != Some(&record)) {
        records.push(record);
    }
}

fn sampling(rule: &Rule) -> Sampling {
    Sampling { limit: rule.samples(), recurs: rule.distinct.recurs() }
}

impl Pair {
    /// Keeps a piece of evidence unless there is enough of its kind; returns whether it was kept.
    fn show(&mut self, kind: Kind, value: u32) -> bool {
        let same = || self.evidence.iter().filter(|(other, _)| *other == kind);
        let kept = same().all(|(_, other)| *other != value) && same().count() < kind.most();
        if kept {
            self.evidence.push((kind, value));
        }
        kept
    }
}

/// The summary of one key, ready to be added to its counters.
pub struct Summary {
    /// Whose it is.
    pub key: Key,
    sampling: Sampling,
    weight: Weight,
    slots: Vec<(Slot, Pair)>,
    texts: Arc<SharedTexts>,
    /// It may come again in another mix.
    is_mix: bool,
    /// The numbers of the records that count toward the key, if they came in an event.
    pub records: Vec<u32>,
}

impl Summary {
    /// What the object adds, in order of time.
    pub fn contributions(&self) -> impl Iterator<Item = (Slot, Contribution)> {
        self.slots.iter().map(|(slot, pair)| {
            let (mut digest, samples) = pair.samples.stored(self.sampling);
            if self.weight == Weight::Tokens {
                digest.amount = pair.weight;
                digest.span = pair.samples.span().filter(|_| self.is_mix);
            }
            let evidence = pair.evidence.iter().filter_map(|(kind, value)| {
                Some(Evidence { kind: *kind, value: Arc::clone(self.texts.get(*value)?) })
            });
            (*slot, Contribution { digest, samples, evidence: evidence.collect() })
        })
    }

    /// From when to when each slot holds denials, in order of the slots.
    pub fn spans(&self) -> impl Iterator<Item = (EventTime, EventTime)> {
        self.slots.iter().filter_map(|(_, pair)| pair.samples.span())
    }
}

#[cfg(test)]
mod tests;
