//! Who is about to send a notice, so that two deliveries at once do not both send it.

use serde::{Deserialize, Serialize};

use crate::count::claims::Claimant;

/// A delivery's hold on something that it is about to send. It ends later than the delivery can live.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Lease {
    /// The delivery; a retry keeps the name and goes on with the lease.
    pub owner: String,
    /// When it ends, in epoch seconds.
    pub until: u64,
}

impl Lease {
    /// The claimant's own.
    #[must_use]
    pub fn of(claimant: &Claimant<'_>) -> Self {
        Self { owner: claimant.owner.to_owned(), until: claimant.leased_until() }
    }

    /// Whether another delivery, which may be at work, holds it.
    #[must_use]
    pub fn is_held_by_other(&self, claimant: &Claimant<'_>) -> bool {
        self.owner != claimant.owner && self.until >= claimant.now
    }
}

/// Ends `owner`'s lease, so that whoever comes next need not wait for it. Returns whether there was one.
pub fn release(lease: &mut Option<Lease>, owner: &str) -> bool {
    lease.take_if(|held| held.owner == owner).is_some()
}
