//! The next notice about something, and which delivery is about to send it.

use serde::{Deserialize, Serialize};

use crate::count::claims::Claimant;

/// A notice that is due and not yet known to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Pending {
    /// Which notice it is, counted from 1: whoever sends it gives it the same id.
    pub number: u64,
    /// The delivery that sends it.
    pub owner: String,
    /// Until when the others leave it to its owner, in epoch seconds.
    pub leased_until: u64,
}

/// Claims a notice for `claimant`: the `pending` one, if that is its own or abandoned; else, if one
/// is `due`, the one after the `sent`. Returns whether the claimant now holds it.
pub(super) fn claim(pending: &mut Option<Pending>, sent: u64, due: bool, claimant: &Claimant<'_>) -> bool {
    let number = match pending {
        Some(held) if held.owner != claimant.owner && held.leased_until >= claimant.now => return false,
        Some(held) => held.number,
        None if !due => return false,
        None => sent + 1,
    };
    let owner = claimant.owner.to_owned();
    *pending = Some(Pending { number, owner, leased_until: claimant.leased_until() });
    true
}

/// Gives up the lease of `owner`, so that whoever comes next need not wait for it.
pub(super) fn release(pending: &mut Option<Pending>, owner: &str) {
    if let Some(held) = pending.as_mut().filter(|held| held.owner == owner) {
        held.leased_until = 0;
    }
}

/// Notes that notice `number` was sent, also where another has taken it over meanwhile.
pub(super) fn sent(pending: &mut Option<Pending>, number: u64) {
    if pending.as_ref().is_some_and(|held| held.number <= number) {
        *pending = None;
    }
}
