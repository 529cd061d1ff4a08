//! How much history one item keeps: DynamoDB limits an item to 400 KB.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::log::time::EventTime;

/// How long an entry is kept after its last change, by the wall clock: longer than the longest redrive
/// of a failed delivery, 14 days.
pub const KEPT: Duration = Duration::from_secs(15 * 24 * 3600);
/// The most entries of one item. One entry an hour makes 360 in [`KEPT`].
pub const MAX_ENTRIES: usize = 400;
/// How many entries keep their details. In JSON a control character takes six bytes, so eleven alerts
/// with the worst ids take 106 KB, and all entries together stay under 400 KB.
pub const MAX_DETAILED: usize = 2;

/// An entry of an item, keyed by its beginning.
pub(super) trait Entry {
    /// When it last changed, in epoch seconds.
    fn changed_at(&self) -> u64;
    /// Whether a notice about it still has to be sent.
    fn is_pending(&self) -> bool;
    /// Drops everything but the counts and what a pending notice needs.
    fn strip(&mut self);
}

/// The beginning of the entry that `at` belongs to: the nearest within `span`, the earlier of two.
pub(super) fn nearest<T>(
    entries: &BTreeMap<EventTime, T>,
    at: EventTime,
    span: Duration,
) -> Option<EventTime> {
    let within = entries.range(at.minus(span)..=at.plus(span)).map(|(begin, _)| *begin);
    within.min_by_key(|begin| (begin.epoch_ms().abs_diff(at.epoch_ms()), *begin))
}

/// Drops entries that have not changed for long, and the details of all but the newest. Pending ones stay.
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
    order.truncate(order.len().saturating_sub(MAX_DETAILED));
    for (_, begin) in order {
        let Some(entry) = entries.get_mut(&begin) else { continue };
        entry.strip();
        if excess > 0 && !entry.is_pending() {
            entries.remove(&begin);
            excess = excess.saturating_sub(1);
        }
    }
}
