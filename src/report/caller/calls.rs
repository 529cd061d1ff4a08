//! A caller's calls, each once, whichever logs and copies recorded it, and which logs were read at all.
//!
//! A call takes less than a hundred bytes, and names are kept once, so that millions of calls fit into memory.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::fast::RandomState;
use indexmap::map::Entry;
use indexmap::{IndexMap, IndexSet};
use sha2::{Digest, Sha256};

use crate::call::api_key::KEY_USER;
use crate::call::credential::Credential;
use crate::call::filter::{RecordFilter, TrailFilter};
use crate::call::{Call, Cloud, Source, cause};
use crate::count::value::DistinctValue;
use crate::report::caller::asked::Asked;
use crate::report::caller::prices::Tokens;
use crate::rule::identity::Identity;
use crate::source::time::EventTime;

/// The most calls that are kept apart. Records of further calls are only counted: they may be copies.
pub const MAX_CALLS: usize = 2_000_000;
/// The most names of one kind. A caller can invent any number of models, sessions and clients.
pub const MAX_NAMES: usize = 5_000;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// What a name of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// The account that was called.
    Account,
    /// Who is behind the user: a role without its session.
    Caller,
    /// As logged.
    User,
    /// What signed the call.
    Credential,
    /// The id of the access key.
    AccessKey,
    /// The type of the Bedrock API key.
    ApiKey,
    /// Where it came from.
    Address,
    /// By its own account.
    Client,
    /// The VPC endpoint.
    Endpoint,
    /// Of AWS.
    Region,
    /// Whatever its spelling; of model calls alone.
    Model,
    /// As in IAM policies; of other calls alone.
    Operation,
    /// None if it succeeded.
    ErrorCode,
    /// Why it failed, as far as CloudTrail shows.
    Cause,
    /// The policy that denied it.
    Policy,
}

const KINDS: usize = NameKind::Policy as usize + 1;

/// The name of a call that its records lack.
pub const NONE: u16 = u16::MAX;
/// One beyond [`MAX_NAMES`].
pub const OTHER: u16 = u16::MAX - 1;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptOutcome {
    /// It succeeded.
    Served,
    /// A model call that was denied.
    Denied,
    /// It failed otherwise; of other operations, for whatever reason.
    Failed,
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct KeptCall {
    /// When.
    pub at: EventTime,
    /// How it ended.
    pub outcome: KeptOutcome,
    /// Whether it asked a model for something.
    pub is_model_call: bool,
    names: [u16; KINDS],
    tokens: [u32; 4],
    /// How much its source shows: of two records, the one of the higher rank is believed.
    rank: u8,
}

/// A caller's calls.
pub struct KeptCalls {
    /// Whose they are, and of which time.
    pub asked: Asked,
    names: [IndexSet<Box<str>, RandomState>; KINDS],
    by_id: IndexMap<[u8; 16], KeptCall, RandomState>,
    /// Records that were left out, since [`MAX_CALLS`] were kept.
    pub left_out: u64,
    /// What was read, of any caller.
    pub read: ReadLogs,
    /// The clouds that the caller called.
    pub clouds: BTreeSet<Cloud>,
}

/// Which logs were read, by the records of anyone.
#[derive(Default)]
pub struct ReadLogs {
    regions: IndexSet<Box<str>, RandomState>,
    /// The first and the last record of a log and region.
    spans: BTreeMap<(Source, u16), (EventTime, EventTime)>,
    days: BTreeSet<i64>,
}

impl KeptCalls {
    /// None yet of whom is asked for.
    #[must_use]
    pub fn new(asked: Asked) -> Self {
        let (names, by_id) = (Default::default(), IndexMap::default());
        Self { asked, names, by_id, left_out: 0, read: ReadLogs::default(), clouds: BTreeSet::new() }
    }

    /// The records that are needed: all of Bedrock, and whatever the user behind an API key of Bedrock does.
    #[must_use]
    pub fn filter() -> RecordFilter {
        let trail = TrailFilter { bedrock: vec![""], any: vec![KEY_USER] };
        RecordFilter {
            failures: true,
            successes: true,
            trail,
            ..RecordFilter::errors(&[cause::ACCESS_DENIED])
        }
    }

    /// Adds what one record shows.
    pub fn add(&mut self, call: &Call<'_>) {
        if !self.asked.covers(call.at) {
            return;
        }
        self.read.add(call.source, call.region.as_deref(), (call.at, call.at));
        let Some(user) = call.user.as_deref().filter(|user| self.asked.is_about(user)) else { return };
        self.clouds.insert(call.source.cloud());
        let operation = format!(
            "{}:{}",
            call.service.as_deref().unwrap_or_default(),
            call.operation.as_deref().unwrap_or_default()
        );
        let operation = Some(operation.as_str()).filter(|_| !call.is_model_call);
        let credential = call.credential.map(|credential| match credential {
            Credential::ApiKey => "Bedrock API key",
            Credential::LongTerm => "long-term access key",
            Credential::Temporary => "temporary credentials",
        });
        let mut names = [NONE; KINDS];
        for (kind, name) in [
            (NameKind::Account, call.account.as_deref()),
            (NameKind::Caller, Some(Identity::of(user).caller)),
            (NameKind::User, Some(user)),
            (NameKind::Credential, credential),
            (NameKind::AccessKey, call.access_key_id.as_deref()),
            (NameKind::ApiKey, call.api_key),
            (NameKind::Address, call.source_ip.as_deref()),
            (NameKind::Client, call.user_agent.as_deref()),
            (NameKind::Endpoint, call.vpc_endpoint.as_deref()),
            (NameKind::Region, call.region.as_deref()),
            (NameKind::Model, call.model.as_deref().filter(|_| call.is_model_call)),
            (NameKind::Operation, operation),
            (NameKind::ErrorCode, Some(call.error_code.as_ref()).filter(|code| !code.is_empty())),
            (NameKind::Cause, call.cause.map(|cause| cause.name)),
            (NameKind::Policy, call.denying_policy.as_deref()),
        ] {
            let number = name.map_or(NONE, |name| number(self.names.get_mut(kind as usize), name));
            if let Some(place) = names.get_mut(kind as usize) {
                *place = number;
            }
        }
        let facts = &call.facts;
        let tokens =
            [facts.input_tokens, facts.output_tokens, facts.cache_read_tokens, facts.cache_write_tokens];
        let kept = KeptCall {
            at: call.at,
            outcome: match call {
                _ if call.succeeded => KeptOutcome::Served,
                _ if call.is_denied() => KeptOutcome::Denied,
                _ => KeptOutcome::Failed,
            },
            is_model_call: call.is_model_call,
            names,
            tokens: tokens.map(|number| u32::try_from(number).unwrap_or(u32::MAX)),
            rank: call.source.rank(),
        };
        self.keep(id(operation, &call.request_id), kept);
    }

    fn keep(&mut self, id: [u8; 16], call: KeptCall) {
        let is_full = self.by_id.len() >= MAX_CALLS;
        match self.by_id.entry(id) {
            Entry::Occupied(mut known) => {
                let merged = known.get().merged(&call);
                known.insert(merged);
            }
            Entry::Vacant(_) if is_full => self.left_out = self.left_out.saturating_add(1),
            Entry::Vacant(place) => {
                place.insert(call);
            }
        }
    }

    /// Adds the calls of another object, which come after these.
    pub fn absorb(&mut self, other: Self) {
        let Self { names, by_id, left_out, read, clouds, .. } = other;
        self.clouds.extend(clouds);
        self.left_out = self.left_out.saturating_add(left_out);
        self.read.absorb(read);
        let mut renumbered: [Vec<u16>; KINDS] = Default::default();
        for ((own, other), numbers) in self.names.iter_mut().zip(&names).zip(&mut renumbered) {
            *numbers = other.iter().map(|name| number(Some(&mut *own), name)).collect();
        }
        for (id, mut call) in by_id {
            for (name, numbers) in call.names.iter_mut().zip(&renumbered) {
                *name = numbers.get(usize::from(*name)).copied().unwrap_or(*name);
            }
            self.keep(id, call);
        }
    }

    /// The calls, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &KeptCall> {
        self.by_id.values()
    }

    /// The name with this number; `None` for [`NONE`] and [`OTHER`].
    #[must_use]
    pub fn name(&self, kind: NameKind, number: u16) -> Option<&str> {
        self.names.get(kind as usize)?.get_index(usize::from(number)).map(AsRef::as_ref)
    }
}

impl KeptCall {
    /// The number of one of its names.
    #[must_use]
    pub fn get(&self, kind: NameKind) -> u16 {
        self.names.get(kind as usize).copied().unwrap_or(NONE)
    }

    /// Its tokens.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        let [input, output, cache_read, cache_write] = self.tokens.map(u64::from);
        Tokens { input, output, cache_read, cache_write }
    }

    /// What two records of one call show together. Figures are never added: the source that shows more is believed,
    /// and the other adds what it lacks.
    fn merged(&self, other: &Self) -> Self {
        let (more, less) = if other.rank > self.rank { (other, self) } else { (self, other) };
        let mut merged = *more;
        for (name, other) in merged.names.iter_mut().zip(less.names) {
            if *name == NONE {
                *name = other;
            }
        }
        if merged.tokens == [0; 4] {
            merged.tokens = less.tokens;
        }
        merged
    }
}

impl ReadLogs {
    fn add(&mut self, source: Source, region: Option<&str>, (first, last): (EventTime, EventTime)) {
        let region = region.map_or(NONE, |region| number(Some(&mut self.regions), region));
        let span = self.spans.entry((source.log(), region)).or_insert((first, last));
        *span = (span.0.min(first), span.1.max(last));
        for at in [first, last] {
            if self.days.len() < MAX_DAYS {
                self.days.insert(day(at));
            }
        }
    }

    fn absorb(&mut self, other: Self) {
        let Self { regions, spans, days } = other;
        for ((source, region), span) in spans {
            self.add(source, regions.get_index(usize::from(region)).map(AsRef::as_ref), span);
        }
        self.days.extend(days.into_iter().take(MAX_DAYS.saturating_sub(self.days.len())));
    }

    /// The first and the last record of a log, of all regions or of one.
    #[must_use]
    pub fn span(&self, log: Source, region: Option<&str>) -> Option<(EventTime, EventTime)> {
        let wanted = |number: u16| {
            region.is_none_or(|region| {
                self.regions.get_index(usize::from(number)).is_some_and(|name| **name == *region)
            })
        };
        let spans = self.spans.iter().filter(|((source, number), _)| *source == log && wanted(*number));
        spans.map(|(_, span)| *span).reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
    }

    /// The regions of a log of which any record was read, in their order.
    #[must_use]
    pub fn regions(&self, log: Source) -> BTreeSet<&str> {
        let numbers = self.spans.keys().filter(|(source, _)| *source == log).map(|(_, number)| *number);
        numbers.filter_map(|number| self.regions.get_index(usize::from(number)).map(AsRef::as_ref)).collect()
    }

    /// The days of which any record was read.
    #[must_use]
    pub const fn days(&self) -> &BTreeSet<i64> {
        &self.days
    }
}

/// The most days of records that are kept apart: 27 years.
const MAX_DAYS: usize = 10_000;

/// The number of the day, in UTC.
#[must_use]
pub fn day(at: EventTime) -> i64 {
    at.epoch_ms().div_euclid(DAY_MS)
}

/// When the day of this number begins.
#[must_use]
pub fn beginning(day: i64) -> EventTime {
    EventTime::from_epoch_ms(day.saturating_mul(DAY_MS))
}

fn number(names: Option<&mut IndexSet<Box<str>, RandomState>>, name: &str) -> u16 {
    let Some(names) = names else { return OTHER };
    let known = names.get_index_of(name);
    let index = known.or_else(|| (names.len() < MAX_NAMES).then(|| names.insert_full(name.into()).0));
    index.and_then(|index| u16::try_from(index).ok()).unwrap_or(OTHER)
}

/// What distinguishes a call from others in 16 bytes: AWS's request ids are UUIDs. Other operations may share the id of a
/// model call.
fn id(operation: Option<&str>, request_id: &str) -> [u8; 16] {
    if let (None, DistinctValue::Uuid(uuid)) = (operation, DistinctValue::new(request_id)) {
        return uuid.into_bytes();
    }
    let text = format!("{}\n{request_id}", operation.unwrap_or_default());
    Sha256::digest(text).first_chunk().copied().unwrap_or_default()
}
