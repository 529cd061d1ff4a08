//! How much of the past one item keeps: DynamoDB's items end at 400 KB.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::log::time::EventTime;

/// How long after the last change something is remembered, by the wall clock: longer than the
/// longest redrive of a failed delivery, which is 14 days.
pub const KEPT: Duration = Duration::from_secs(15 * 24 * 3600);
/// The most entries of one item. Hours that begin one after the other fill 360 in [`KEPT`].
pub const MAX_ENTRIES: usize = 400;
/// Entries that keep their details. As JSON text a control character takes six bytes, so eleven alerts
/// with the worst ids take 106 KB, and all entries together less than 400 KB.
pub const MAX_DETAILED: usize = 2;

/// An entry of an item, by the time at which it begins.
pub(super) trait Entry {
    /// When it last changed, in epoch seconds.
    fn changed_at(&self) -> u64;
    /// A notice about it is yet to be sent.
    fn is_pending(&self) -> bool;
    /// Drops all but the bare counts, and what a pending notice cannot do without.
    fn strip(&mut self);
}

/// The beginning of the entry that `at` belongs to: within `span` of it, the nearest, then the earlier.
pub(super) fn nearest<T>(
    entries: &BTreeMap<EventTime, T>,
    at: EventTime,
    span: Duration,
) -> Option<EventTime> {
    let within = entries.range(at.minus(span)..=at.plus(span)).map(|(begin, _)| *begin);
    within.min_by_key(|begin| (begin.epoch_ms().abs_diff(at.epoch_ms()), *begin))
}

/// Forgets what changed last long ago, and the details of all but the latest. What is pending stays.
pub(super) fn forget<T: Entry>(entries: &mut BTreeMap<EventTime, T>, now: u64) {
    let horizon = now.saturating_sub(KEPT.as_secs());
    entries.retain(|_, entry| entry.is_pending() || entry.changed_at() >= horizon);
    if entries.len() <= MAX_DETAILED {
        return;
    }
    let mut order: Vec<(u64, EventTime)> =
        entries.iter().map(|(begin, entry)| (entry.changed_at(), *begin)).collect();
    order.sort_unstable();
    let mut excess = entries.len().saturating_sub(MAX_ENTRIES);
    order.truncate(order.len() - MAX_DETAILED);
    for (_, begin) in order {
        let Some(entry) = entries.get_mut(&begin) else { continue };
        entry.strip();
        if excess > 0 && !entry.is_pending() {
            entries.remove(&begin);
            excess -= 1;
        }
    }
}
