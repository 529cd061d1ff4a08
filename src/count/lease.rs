//! Who is about to send a notice, so that two deliveries at once do not both send it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which delivery takes leases, when and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    /// The delivery's name; a retry keeps it.
    pub owner: &'a str,
    /// Wall clock at the start of the delivery, in epoch seconds.
    pub now: u64,
    /// How long a lease holds: longer than the delivery can run.
    pub lease: Duration,
}

impl Claimant<'_> {
    fn leased_until(&self) -> u64 {
        self.now.saturating_add(self.lease.as_secs())
    }
}

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
    fn is_held_by_other(&self, claimant: &Claimant<'_>) -> bool {
        self.owner != claimant.owner && self.until >= claimant.now
    }
}

/// Whether a notice or an alert is for this delivery to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It holds the lease.
    Mine,
    /// Another delivery is about to send it.
    Held,
    /// It is not due, or sent.
    Done,
}

/// Takes a lease for `claimant` unless another holds it. Returns whether that changes it: its own is renewed, too, so
/// that a retry that is still sending does not lose it to another.
pub fn take(lease: &mut Option<Lease>, claimant: &Claimant<'_>) -> (bool, Turn) {
    if lease.as_ref().is_some_and(|lease| lease.is_held_by_other(claimant)) {
        return (false, Turn::Held);
    }
    let mine = Some(Lease::of(claimant));
    (std::mem::replace(lease, mine.clone()) != mine, Turn::Mine)
}

/// Ends `owner`'s lease, so that whoever comes next need not wait for it. Returns whether there was one.
pub fn release(lease: &mut Option<Lease>, owner: &str) -> bool {
    lease.take_if(|held| held.owner == owner).is_some()
}
