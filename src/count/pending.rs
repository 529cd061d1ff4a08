//! The next notice of an incident or flood, and the delivery that is about to send it.

use serde::{Deserialize, Serialize};

use crate::count::claims::Claimant;

/// A notice that is due and not known to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Pending {
    /// Its number, from 1: whoever sends it gives it the same id.
    pub number: u64,
    /// The delivery that sends it.
    pub owner: String,
    /// When the owner's lease ends, in epoch seconds. Until then others leave it alone.
    pub leased_until: u64,
}

/// Claims a notice for `claimant`: the `pending` one, if it is its own or abandoned; otherwise, if one is
/// `due`, the one after the `sent` ones. Returns whether the claimant now holds it.
pub(super) fn claim(pending: &mut Option<Pending>, sent: u64, due: bool, claimant: &Claimant<'_>) -> bool {
    let number = match pending {
        Some(held) if held.owner != claimant.owner && held.leased_until >= claimant.now => return false,
        Some(held) => held.number,
        None if !due => return false,
        None => sent.saturating_add(1),
    };
    let owner = claimant.owner.to_owned();
    *pending = Some(Pending { number, owner, leased_until: claimant.leased_until() });
    true
}

/// Releases `owner`'s lease, so whoever comes next need not wait for it.
pub(super) fn release(pending: &mut Option<Pending>, owner: &str) {
    if let Some(held) = pending.as_mut().filter(|held| held.owner == owner) {
        held.leased_until = 0;
    }
}

/// Records that notice `number` was sent, even if another has taken it over meanwhile.
pub(super) fn sent(pending: &mut Option<Pending>, number: u64) {
    if pending.as_ref().is_some_and(|held| held.number <= number) {
        *pending = None;
    }
}
