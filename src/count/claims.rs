//! Which alerts are due: hot denials that no alert covers, and alerts whose publisher has died.
//!
//! Pure functions over the alerts of one key. The wall clock (`now`) is an argument; it matters to
//! leases only, never to the rule.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::count::incident::SPAN;
use crate::count::step;
use crate::log::time::EventTime;

/// The state of an alert.
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
    /// Its state.
    pub state: State,
    /// The delivery that claimed it.
    pub owner: String,
    /// When the owner's lease ends, in epoch seconds. Until then others leave it alone.
    pub leased_until: u64,
    /// Its number in the incident, if a delivery recorded it there but could not send the notice:
    /// the next delivery must not count it again.
    pub number: Option<u64>,
}

/// The alerts of one key, by the time of the hot denial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertLog {
    /// Incremented by every write; 0 before the first.
    pub version: u64,
    /// The pending and recent ones; at most one per instant.
    pub alerts: BTreeMap<EventTime, AlertRecord>,
    /// The time of the newest archived alert; `None` if there are none.
    pub archived_to: Option<EventTime>,
    /// Archived alerts that have been read, all published. They are not written back with the log.
    pub archived: BTreeSet<EventTime>,
}

/// Who claims, when and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    /// The delivery's name; a retry keeps it.
    pub owner: &'a str,
    /// Wall clock at the start of the delivery, in epoch seconds.
    pub now: u64,
    /// How long the claim holds: longer than the delivery can run.
    pub lease: Duration,
}

impl Claimant<'_> {
    pub(super) fn leased_until(&self) -> u64 {
        self.now.saturating_add(self.lease.as_secs())
    }
}

/// The most pending alerts of one key. While nothing can be published, no more are claimed, so the item
/// stays far below DynamoDB's 400 KB: a record takes about 150 bytes, and a log holds at most this many
/// plus [`MAX_PUBLISHED`] records when it is written.
pub const MAX_PENDING: usize = 500;
/// The most published alerts that stay in the log; beyond it, all but the newest half are archived.
pub const MAX_PUBLISHED: usize = 200;
/// The most alerts claimed in one write.
pub const MAX_CLAIMS: usize = 100;

/// What a claimant has to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The alerts to publish: new ones, its own from an earlier attempt, and abandoned ones.
    pub mine: Vec<EventTime>,
    /// How many of the hot denials are settled; the rest follow once these are published.
    pub done: usize,
    /// The log has changed and must be written first.
    pub changed: bool,
}

/// Claims in `log` the alerts that `hot` (in order of time) makes due, at most [`MAX_CLAIMS`] new ones,
/// and takes over abandoned ones. [`AlertLog::archived`] must cover the cooldown on either side of
/// `hot`.
pub fn claim(
    log: &mut AlertLog,
    hot: &[EventTime],
    cooldown: Duration,
    claimant: &Claimant<'_>,
    id: impl Fn(EventTime) -> String,
) -> Claims {
    let mut claims = Claims::default();
    let leased_until = claimant.leased_until();
    step(log.alerts.len());
    for (at, alert) in &mut log.alerts {
        let own = alert.owner == claimant.owner;
        if alert.state == State::Published || (!own && alert.leased_until >= claimant.now) {
            continue;
        }
        claims.mine.push(*at);
        // Its own claim too: a retry that is still publishing must not lose it to another.
        if !own || alert.leased_until < leased_until {
            claimant.owner.clone_into(&mut alert.owner);
            alert.leased_until = leased_until;
            claims.changed = true;
        }
    }
    let pending = log.alerts.values().filter(|alert| alert.state == State::Pending).count();
    let mut room = MAX_PENDING.saturating_sub(pending).min(MAX_CLAIMS);
    for at in hot {
        step(1);
        if !covered(log, *at, cooldown) {
            if room == 0 {
                break;
            }
            room -= 1;
            let owner = claimant.owner.to_owned();
            log.alerts.insert(
                *at,
                AlertRecord { id: id(*at), state: State::Pending, owner, leased_until, number: None },
            );
            claims.mine.push(*at);
            claims.changed = true;
        }
        claims.done += 1;
    }
    claims.mine.sort_unstable();
    claims
}

/// Removes the older published alerts from a log that has too many; archive them before you write the
/// log.
pub fn archive(log: &mut AlertLog) -> Vec<EventTime> {
    step(log.alerts.len());
    let published = log.alerts.iter().filter(|(_, alert)| alert.state == State::Published);
    let published: Vec<EventTime> = published.map(|(at, _)| *at).collect();
    if published.len() <= MAX_PUBLISHED {
        return Vec::new();
    }
    let older = &published[..published.len() - MAX_PUBLISHED / 2];
    for at in older {
        log.alerts.remove(at);
    }
    log.archived.extend(older);
    log.archived_to = log.archived_to.max(older.last().copied());
    older.to_vec()
}

/// The outcome of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was recorded, and reported if a notice was due.
    Published,
    /// Its notice could not be sent. Holds its number in the incident, if it was recorded.
    Failed(Option<u64>),
    /// The same, but its notice could not be freed for the next delivery: the alert stays with its owner too,
    /// or another would publish it while nobody is told.
    Kept(u64),
}

/// Marks published alerts and releases `owner`'s lease on the rest, so the next delivery need not wait
/// for it. Returns whether anything changed.
pub fn settle(log: &mut AlertLog, fates: &[(EventTime, Fate)], owner: &str) -> bool {
    let mut changed = false;
    for (at, fate) in fates {
        step(1);
        let Some(alert) = log.alerts.get_mut(at).filter(|alert| alert.state == State::Pending) else {
            continue;
        };
        match fate {
            Fate::Published => {
                alert.state = State::Published;
                changed = true;
            }
            Fate::Failed(number) if alert.owner == owner => {
                let before = (alert.leased_until, alert.number);
                alert.leased_until = 0;
                alert.number = number.or(alert.number);
                changed |= before != (alert.leased_until, alert.number);
            }
            Fate::Kept(number) if alert.owner == owner => {
                changed |= alert.number.replace(*number) != Some(*number);
            }
            Fate::Failed(_) | Fate::Kept(_) => {}
        }
    }
    changed
}

/// Whether no alert of the key but `at` can belong to its incident: it is the first of the claimed
/// ones, `mine`, and no other is near it.
#[must_use]
pub fn is_alone(log: &AlertLog, mine: &[EventTime], at: EventTime) -> bool {
    let near = log.alerts.range(at.minus(2 * SPAN)..=at.plus(2 * SPAN));
    near.map(|(other, _)| *other).all(|other| other == at || (other > at && mine.contains(&other)))
        && log.archived.range(at.minus(2 * SPAN)..=at.plus(2 * SPAN)).next().is_none()
}

fn covered(log: &AlertLog, at: EventTime, cooldown: Duration) -> bool {
    let around = at.minus(cooldown)..=at.plus(cooldown);
    log.alerts.range(around.clone()).next().is_some() || log.archived.range(around).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(at: i64) -> EventTime {
        EventTime::from_epoch_ms(at * 1000)
    }

    /// `log` is written as `<second><state>` with `p` for a pending alert of another, live
    /// owner, `x` for one whose lease has run out, `m` for one of ours, `d` for a published one.
    #[track_caller]
    fn check(log: &str, hot: &[i64], expected_mine: &[i64], expected_log: &str) {
        let claimant = Claimant { owner: "me", now: 100, lease: Duration::from_secs(60) };
        let mut parsed = AlertLog::default();
        for word in log.split_whitespace() {
            let (at, state) = word.split_at(word.len() - 1);
            let (state, owner, leased_until) = match state {
                "p" => (State::Pending, "other", 100),
                "x" => (State::Pending, "other", 99),
                "m" => (State::Pending, "me", 99),
                _ => (State::Published, "other", 99),
            };
            let alert =
                AlertRecord { id: at.to_owned(), state, owner: owner.to_owned(), leased_until, number: None };
            parsed.alerts.insert(second(at.parse().expect("a number")), alert);
        }
        let before = parsed.clone();
        let hot: Vec<EventTime> = hot.iter().map(|at| second(*at)).collect();
        let id = |at: EventTime| (at.epoch_ms() / 1000).to_string();
        let Claims { mine, changed, .. } = claim(&mut parsed, &hot, Duration::from_secs(10), &claimant, id);
        let mine: Vec<i64> = mine.iter().map(|at| at.epoch_ms() / 1000).collect();
        assert_eq!(mine, expected_mine, "mine");
        let shown: Vec<String> = parsed
            .alerts
            .iter()
            .map(|(at, alert)| {
                let state = match (alert.state, alert.owner.as_str()) {
                    (State::Published, _) => "d",
                    (State::Pending, "me") => "m",
                    _ => "p",
                };
                format!("{}{state}", at.epoch_ms() / 1000)
            })
            .collect();
        assert_eq!(shown.join(" "), expected_log, "log");
        assert_eq!(changed, parsed != before, "changed");
    }

    #[test]
    fn a_hot_denial_is_claimed_unless_an_alert_lies_within_the_cooldown_on_either_side() {
        check("", &[5], &[5], "5m");
        check("", &[5, 6, 15, 16, 27], &[5, 16, 27], "5m 16m 27m");
        check("5d", &[15, 16], &[16], "5d 16m");
        check("20d", &[9, 10], &[9], "9m 20d");
        check("20d", &[10, 30], &[], "20d");
    }

    #[test]
    fn pending_alerts_are_published_by_their_owner_or_after_their_lease() {
        check("5p", &[5], &[], "5p");
        check("5m", &[5], &[5], "5m");
        check("5x", &[5], &[5], "5m");
        check("5x 50m 90p", &[90], &[5, 50], "5m 50m 90p");
    }

    #[test]
    fn what_was_not_published_is_free_for_the_next_one() {
        let mut log = AlertLog::default();
        let claimant = Claimant { owner: "me", now: 100, lease: Duration::from_secs(60) };
        let hot = [second(0), second(11)];
        let claims = claim(&mut log, &hot, Duration::from_secs(10), &claimant, |_| String::new());
        let fates = [(hot[0], Fate::Published), (hot[1], Fate::Failed(Some(7)))];
        assert_eq!(claims.mine, hot);
        assert!(settle(&mut log, &fates, "me"));
        assert!(!settle(&mut log, &fates, "me"));
        let next = Claimant { owner: "you", ..claimant };
        let claims = claim(&mut log, &hot, Duration::from_secs(10), &next, |_| String::new());
        assert_eq!(claims.mine, hot[1..]);
        assert_eq!(log.alerts[&hot[1]].number, Some(7), "recorded, not told");
        // A lease that another has taken over meanwhile is not released.
        assert!(!settle(&mut log, &[(hot[1], Fate::Failed(None))], "me"));
    }

    #[test]
    fn an_alert_whose_notice_could_not_be_freed_stays_with_its_owner() {
        let mut log = AlertLog::default();
        let claimant = Claimant { owner: "me", now: 100, lease: Duration::from_secs(60) };
        let hot = [second(0)];
        claim(&mut log, &hot, Duration::from_secs(10), &claimant, |_| String::new());
        assert!(settle(&mut log, &[(hot[0], Fate::Kept(7))], "me"));
        assert!(!settle(&mut log, &[(hot[0], Fate::Kept(7))], "me"));
        let next = Claimant { owner: "you", ..claimant };
        assert!(claim(&mut log, &hot, Duration::from_secs(10), &next, |_| String::new()).mine.is_empty());
        let mine = claim(&mut log, &hot, Duration::from_secs(10), &claimant, |_| String::new()).mine;
        assert_eq!(
            (mine.as_slice(), log.alerts[&hot[0]].number),
            (&hot[..], Some(7)),
            "its own retry goes on"
        );
    }

    #[test]
    fn of_the_alerts_of_one_key_the_first_near_each_other_is_alone() {
        let at = |number: i64| second(number * 3600);
        let mut log = AlertLog::default();
        let record = AlertRecord {
            id: String::new(),
            state: State::Published,
            owner: String::new(),
            leased_until: 0,
            number: None,
        };
        log.alerts.extend([0, 3, 4, 10].map(|hour| (at(hour), record.clone())));
        let alone = |mine: &[i64], hour: i64| {
            let mine: Vec<EventTime> = mine.iter().map(|hour| at(*hour)).collect();
            is_alone(&log, &mine, at(hour))
        };
        assert!(alone(&[0, 3, 4, 10], 0) && alone(&[0, 3, 4, 10], 3) && alone(&[10], 10));
        assert!(!alone(&[0, 3, 4, 10], 4), "3 was claimed with it");
        assert!(!alone(&[3], 3), "4 was claimed before");
    }

    #[test]
    fn claims_come_in_batches() {
        let hot: Vec<EventTime> = (0..250).map(|number| second(number * 11)).collect();
        let claimant = Claimant { owner: "me", now: 0, lease: Duration::ZERO };
        let mut log = AlertLog::default();
        let claims = claim(&mut log, &hot, Duration::from_secs(10), &claimant, |_| String::new());
        assert_eq!((claims.mine.as_slice(), claims.done), (&hot[..MAX_CLAIMS], MAX_CLAIMS));
        // Alerts taken over do not count against the limit on new ones.
        let later = Claimant { owner: "you", now: 1, lease: Duration::ZERO };
        let claims = claim(&mut log, &hot, Duration::from_secs(10), &later, |_| String::new());
        assert_eq!((claims.mine.len(), claims.done), (2 * MAX_CLAIMS, 2 * MAX_CLAIMS));
    }

    #[test]
    fn older_published_alerts_are_archived_and_no_pending_one() {
        let mut log = AlertLog::default();
        let claimant = Claimant { owner: "me", now: 0, lease: Duration::ZERO };
        let mut archived = Vec::new();
        for number in 0..i64::try_from(3 * MAX_PUBLISHED).expect("small") {
            let at = second(number * 11);
            claim(&mut log, &[at], Duration::from_secs(10), &claimant, |_| String::new());
            if number > 2 {
                settle(&mut log, &[(at, Fate::Published)], "me");
            }
            archived.extend(archive(&mut log));
            assert!(log.alerts.len() <= MAX_PUBLISHED + 3);
            assert_eq!(log.archived_to, archived.last().copied());
        }
        let kept: Vec<EventTime> = log.alerts.keys().copied().chain(archived.clone()).collect();
        assert_eq!(kept.len(), 3 * MAX_PUBLISHED, "every alert is in one of the two places");
        assert_eq!((archived[0], log.alerts.keys().next()), (second(33), Some(&second(0))));
        // Archived alerts still cover.
        let before = log.clone();
        let claims = claim(&mut log, &archived, Duration::from_secs(10), &claimant, |_| String::new());
        assert_eq!((claims.mine.len(), claims.done), (3, archived.len()), "only those still pending");
        assert_eq!(log, before);
    }

    #[test]
    fn while_nothing_can_be_published_no_more_is_claimed() {
        let hot: Vec<EventTime> = (0..5_000).map(|number| second(number * 11)).collect();
        let mut log = AlertLog::default();
        for now in 1..100 {
            let owner = now.to_string();
            let claimant = Claimant { owner: &owner, now, lease: Duration::from_secs(60) };
            let claims = claim(&mut log, &hot, Duration::from_secs(10), &claimant, |_| String::new());
            assert_eq!(claims.done, claims.mine.len());
            let fates: Vec<_> = claims.mine.iter().map(|at| (*at, Fate::Failed(None))).collect();
            settle(&mut log, &fates, &owner);
        }
        assert_eq!(log.alerts.len(), MAX_PENDING);
        // Under others' live leases there is nothing to do but come back later.
        let all: Vec<EventTime> = log.alerts.keys().copied().collect();
        for alert in log.alerts.values_mut() {
            alert.leased_until = 1_000;
        }
        let claimant = Claimant { owner: "me", now: 1_000, lease: Duration::ZERO };
        let claims =
            claim(&mut log, &hot[all.len()..], Duration::from_secs(10), &claimant, |_| String::new());
        assert_eq!(claims, Claims::default());
    }
}
