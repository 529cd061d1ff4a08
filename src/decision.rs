//! Which alerts are due: hot denials that no alert covers, and alerts whose publisher is gone.
//!
//! Pure functions over the alerts of one key; the wall clock (`now`) is an argument and
//! serves leases only, never the rule.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::EventTime;

/// How far an alert has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Claimed by a delivery that will publish it.
    Pending,
    /// Accepted by the sink.
    Published,
}

/// One alert of a key as the store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRecord {
    /// The alert's id.
    pub id: String,
    /// How far it has come.
    pub state: State,
    /// The delivery that claimed it.
    pub owner: String,
    /// Until when the others leave it to its owner, in epoch seconds.
    pub leased_until: u64,
}

/// The recent alerts of one key, by the time of the hot denial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertLog {
    /// Grows by one with every write; 0 before the first.
    pub version: u64,
    /// At most one alert an instant.
    pub alerts: BTreeMap<EventTime, AlertRecord>,
}

/// Who claims, when, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    /// Names the delivery; a retry of it has the same name.
    pub owner: &'a str,
    /// Wall clock at the start of the delivery, in epoch seconds.
    pub now: u64,
    /// How long the claim holds; longer than the delivery can run.
    pub lease: Duration,
}

impl Claimant<'_> {
    fn leased_until(&self) -> u64 {
        self.now.saturating_add(self.lease.as_secs())
    }
}

/// Alerts of a key that are remembered; 2,000 of about 130 bytes stay well under the 400 KB
/// of a DynamoDB item. The oldest published ones go first. Forgetting one can only cause a
/// second alert for denials delivered after two thousand later alerts, never a lost one.
pub const MAX_ALERTS: usize = 2000;
/// Alerts claimed in one write, so that pending ones never crowd the item.
pub const MAX_CLAIMS: usize = 100;

/// Claims what is due and takes over what is abandoned. Returns the alerts for the claimant to
/// publish, and whether `log` was changed and must be written first.
pub fn claim(
    log: &mut AlertLog,
    hot: &[EventTime],
    cooldown: Duration,
    claimant: &Claimant<'_>,
    id: impl Fn(EventTime) -> String,
) -> (Vec<EventTime>, bool) {
    let mut changed = false;
    let mut mine = Vec::new();
    for (at, alert) in &mut log.alerts {
        if alert.state == State::Published {
            continue;
        }
        if alert.owner == claimant.owner {
            mine.push(*at);
        } else if alert.leased_until < claimant.now {
            claimant.owner.clone_into(&mut alert.owner);
            alert.leased_until = claimant.leased_until();
            mine.push(*at);
            changed = true;
        }
    }
    for at in hot {
        if mine.len() >= MAX_CLAIMS {
            break;
        }
        if covered(log, *at, cooldown) {
            continue;
        }
        let alert = AlertRecord {
            id: id(*at),
            state: State::Pending,
            owner: claimant.owner.to_owned(),
            leased_until: claimant.leased_until(),
        };
        log.alerts.insert(*at, alert);
        mine.push(*at);
        changed = true;
    }
    if changed {
        forget(log);
    }
    (mine, changed)
}

/// Marks alerts as published; tells whether that changed anything.
pub fn mark_published(log: &mut AlertLog, published: &[EventTime]) -> bool {
    let mut changed = false;
    for at in published {
        if let Some(alert) = log.alerts.get_mut(at)
            && alert.state == State::Pending
        {
            alert.state = State::Published;
            changed = true;
        }
    }
    changed
}

fn covered(log: &AlertLog, at: EventTime, cooldown: Duration) -> bool {
    log.alerts
        .range(at.minus(cooldown)..=at.plus(cooldown))
        .next()
        .is_some()
}

fn forget(log: &mut AlertLog) {
    let mut excess = log.alerts.len().saturating_sub(MAX_ALERTS);
    log.alerts.retain(|_, alert| {
        let drop = excess > 0 && alert.state == State::Published;
        excess -= usize::from(drop);
        !drop
    });
}
