//! The whole table at once, for operators. A delivery never scans.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::dynamodb::DynamoDbStore;
use super::item::{self, Item};
use crate::count::alerts::{self, AlertLog};
use crate::count::caller::Caller;
use crate::count::counter::Counter;
use crate::count::incident;
use crate::count::key::Key;
use crate::count::store::{CallerState, StoreError};
use crate::count::watch::{self, WatchList};
use crate::report::find::{self, FoundId};
use crate::rule::definition::Rule;
use crate::source::time::EventTime;

/// What a table holds of some rules.
#[derive(Default)]
pub struct Contents {
    /// Every key with counters.
    pub keys: Vec<KeyContents>,
    /// Every caller with incidents or a mute.
    pub callers: Vec<(Caller, CallerState)>,
}

/// What a table holds of one key.
pub struct KeyContents {
    /// Which of the rules it belongs to.
    pub rule: usize,
    /// The key. A part that is stored as its hash is as readable as its counters keep it.
    pub key: Key,
    /// Its counters, by slot.
    pub counters: Vec<Counter>,
    /// The times of its pending and recent alerts.
    pub alerts: BTreeSet<EventTime>,
}

impl DynamoDbStore {
    /// Reads the whole table, strongly consistent: half a read unit for every kilobyte, and memory for
    /// everything that belongs to `rules` in slots from `since` on.
    ///
    /// # Errors
    /// When the table cannot be read, or holds something malformed.
    pub async fn contents(&self, rules: &[Rule], since: EventTime) -> Result<Contents, StoreError> {
        let first = item::first_sort_key(since);
        let mut partitions: BTreeMap<String, BTreeMap<String, Item>> = BTreeMap::new();
        self.scan(|item| {
            let name = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
            let (Some(pk), Some(sk)) = (name("pk"), name("sk")) else { return };
            if !sk.starts_with("count#") || sk >= first {
                partitions.entry(pk).or_default().insert(sk, item);
            }
        })
        .await?;
        let mut contents = Contents::default();
        let watched = watch::document();
        let list = partitions.get(&watched.partition.text()).and_then(|items| items.get(&watched.sort));
        let list = list.and_then(|item| item::to_document(item).ok());
        // As in a delivery, a list that cannot be understood is none.
        let list = list.and_then(|(sort, list)| list.read::<WatchList>(&sort).ok()).unwrap_or_default().value;
        for (pk, items) in &partitions {
            let parts: Vec<Value> = serde_json::from_str(pk)
                .map_err(|error| self.refused("Scan", format!("pk {pk:?}: {error}")))?;
            let malformed = |cause: String| self.refused("Scan", format!("{pk}: {cause}"));
            match parts.first().and_then(Value::as_str) {
                Some("#caller") => {
                    let text = |at: usize| parts.get(at).and_then(Value::as_str).map(str::to_owned);
                    let mut state = CallerState::default();
                    for item in items.values() {
                        let (sort, document) = item::to_document(item).map_err(malformed)?;
                        state.merge(&sort, document)?;
                    }
                    let caller = Caller { account: text(1), arn: text(2) };
                    let counted = |rule: &Rule, key: &Key| {
                        let items = partitions.get(&key.text()).into_iter().flatten();
                        counters(rule, items).map_err(malformed)
                    };
                    state.add_served(&caller, &list, counted)?;
                    contents.callers.push((caller, state));
                }
                Some(id) => {
                    let known = rules.iter().enumerate().find(|(_, rule)| rule.id == id);
                    let Some((number, rule)) = known else { continue };
                    let values = parts.get(1..).unwrap_or_default();
                    contents.keys.extend(key(number, rule, values, items).map_err(malformed)?);
                }
                None => {}
            }
        }
        Ok(contents)
    }
}

impl DynamoDbStore {
    /// What the table holds of an id, or of the beginning of one. The table has no index of ids: it is read until the
    /// whole id is found, or else to its end, at most [`MAX_PAGES`].
    ///
    /// # Errors
    /// When the table cannot be read, or is too large to look through.
    pub async fn find(&self, id: &str) -> Result<Vec<FoundId>, StoreError> {
        let mut found = Vec::new();
        self.scan_until([incident::SORT_KEY, alerts::SORT_KEY], MAX_PAGES, |item| {
            let partition = item.get("pk").and_then(|value| value.as_s().ok());
            if let (Some(partition), Ok((sort, document))) = (partition, item::to_document(&item)) {
                found.extend(find::named(partition, &sort, document, id));
            }
            found.is_empty() || id.len() < find::ID_CHARACTERS
        })
        .await?;
        Ok(find::distinct(found))
    }
}

/// Of 1 MB each, which costs 128 read units.
const MAX_PAGES: usize = 1_000;

/// `None` for a key without counters of these settings.
fn key(
    number: usize,
    rule: &Rule,
    parts: &[Value],
    items: &BTreeMap<String, Item>,
) -> Result<Option<KeyContents>, String> {
    let (counters, mut alerts) = (counters(rule, items)?, BTreeSet::new());
    if let Some(item) = items.get(alerts::SORT_KEY) {
        let (sort, document) = item::to_document(item)?;
        let log = document.read::<AlertLog>(&sort).map_err(|error| error.to_string())?;
        alerts.extend(log.value.alerts.into_keys());
    }
    let Some((_, beside)) = items.iter().find(is_counter).filter(|_| !counters.is_empty()) else {
        return Ok(None);
    };
    let value = |(part, field): (&Value, &crate::rule::field::Field)| match part {
        Value::String(text) => Some(text.as_str().into()),
        Value::Null => None,
        _ => item::read_readable(beside, *field).map(Into::into),
    };
    let values = parts.iter().zip(rule.group_by).map(value).collect();
    Ok(Some(KeyContents { rule: number, key: Key { rule: rule.id, values }, counters, alerts }))
}

fn is_counter((sort_key, _): &(&String, &Item)) -> bool {
    sort_key.starts_with("count#")
}

/// The counters among the items of one key, by slot.
fn counters<'i>(
    rule: &Rule,
    items: impl IntoIterator<Item = (&'i String, &'i Item)>,
) -> Result<Vec<Counter>, String> {
    let mut counters = Vec::new();
    for (_, item) in items.into_iter().filter(is_counter) {
        item::merge_counter(&mut counters, rule.slot_minutes(), item)?;
    }
    Ok(counters)
}
