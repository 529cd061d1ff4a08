//! An account's flood: many callers at once, of which only the first get notices of their own.
//! Federated users choose their names freely, so one key can pose as any number of callers.
//!
//! Pure functions over the floods of one account, like those over a caller's incidents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::count::caller::{account_key, digest};
use crate::count::claims::Claimant;
use crate::count::incident::{Admission, SPAN, Sent};
use crate::count::pending::{self, Pending};
use crate::count::recent::{self, Entry};
use crate::log::time::EventTime;
use crate::rule::definition::Severity;

/// How many incidents of an account that begin within an hour get notices of their own.
pub const MAX_SINGLE: u64 = 10;
/// Beyond those, a notice is due at this many callers and each time they quadruple.
const FIRST_LEVEL: u64 = 16;
const GROWTH: u64 = 4;
/// How many callers a notice names.
pub const MAX_NAMED: usize = 10;

/// The floods of one account, by their beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FloodLog {
    /// Incremented by every write; 0 before the first.
    pub version: u64,
    /// The delivery that wrote this version.
    pub writer: String,
    /// At most one per instant.
    pub floods: BTreeMap<EventTime, Flood>,
}

/// The incidents of one account that begin within [`SPAN`] of the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Flood {
    /// How many incidents, each of a different caller.
    pub callers: u64,
    /// The ids of those with notices of their own, so that a retry counts none twice.
    pub single: Vec<String>,
    /// How many callers the last notice reported.
    pub told: u64,
    /// The highest severity of those beyond the first.
    pub severity: Option<Severity>,
    /// The highest severity that any notice reported.
    pub told_severity: Option<Severity>,
    /// Notices sent about the flood itself.
    pub notices: u64,
    /// The latest callers beyond the first.
    pub latest: Vec<Option<String>>,
    /// The next notice, if one is under way.
    pub pending: Option<Pending>,
    /// When it last changed, in epoch seconds.
    pub changed_at: u64,
}

/// An incident that asks which notices it gets.
#[derive(Clone, Debug)]
pub struct Newcomer<'a> {
    /// Its beginning.
    pub begin: EventTime,
    /// Its id.
    pub id: String,
    /// The caller.
    pub arn: Option<&'a str>,
    /// The highest severity of its alerts.
    pub severity: Severity,
    /// It was counted before; only its severity has risen.
    pub counted: bool,
}

/// The answer for one newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The flood's beginning.
    pub flood: EventTime,
    /// Which notices the incident gets.
    pub admission: Admission,
}

/// The id of the flood of `account` that begins at `begin`.
#[must_use]
pub fn id(account: Option<&str>, begin: EventTime) -> String {
    digest(&[&account_key(account).text(), &begin.epoch_ms().to_string()])
}

/// Admits incidents to the account's floods, in the order given, and claims the notices that this makes
/// due or that were abandoned. Returns the answers, and the floods whose next notice the claimant has to
/// send.
pub fn admit(
    log: &mut FloodLog,
    newcomers: &[Newcomer<'_>],
    claimant: &Claimant<'_>,
) -> (Vec<Admitted>, Vec<EventTime>) {
    claimant.owner.clone_into(&mut log.writer);
    let admit = |newcomer: &Newcomer<'_>| {
        let begin = recent::nearest(&log.floods, newcomer.begin, SPAN).unwrap_or(newcomer.begin);
        let flood = log.floods.entry(begin).or_default();
        flood.changed_at = claimant.now;
        Admitted { flood: begin, admission: flood.admit(newcomer) }
    };
    let admitted: Vec<Admitted> = newcomers.iter().map(admit).collect();
    let mut held = Vec::new();
    for Admitted { flood: begin, .. } in admitted.iter().filter(|one| one.admission == Admission::Flooded) {
        let mine = !held.contains(begin) && log.floods.get_mut(begin).is_some_and(|one| one.claim(claimant));
        held.extend(mine.then_some(*begin));
    }
    recent::forget(&mut log.floods, claimant.now);
    (admitted, held)
}

/// Records the outcome of the claimant's notice and looks again. Returns whether the claimant now holds
/// the next one.
pub fn mark(log: &mut FloodLog, begin: EventTime, sent: Sent, claimant: &Claimant<'_>) -> bool {
    claimant.owner.clone_into(&mut log.writer);
    let Some(flood) = log.floods.get_mut(&begin) else { return false };
    flood.changed_at = claimant.now;
    let Sent::Notice(told) = sent else {
        pending::release(&mut flood.pending, claimant.owner);
        return false;
    };
    flood.notices = flood.notices.max(told.number);
    flood.told = flood.told.max(told.count);
    flood.told_severity = flood.told_severity.max(Some(told.severity));
    pending::sent(&mut flood.pending, told.number);
    flood.claim(claimant)
}

impl Flood {
    fn admit(&mut self, newcomer: &Newcomer<'_>) -> Admission {
        let single = self.single.contains(&newcomer.id);
        if !single && (!newcomer.counted || self.callers == 0) {
            self.callers += 1;
        }
        if single || (!newcomer.counted && self.callers <= MAX_SINGLE) {
            if !single {
                self.single.push(newcomer.id.clone());
            }
            self.told_severity = self.told_severity.max(Some(newcomer.severity));
            return Admission::Single;
        }
        self.severity = self.severity.max(Some(newcomer.severity));
        if !newcomer.counted {
            self.latest.truncate(MAX_NAMED - 1);
            self.latest.insert(0, newcomer.arn.map(str::to_owned));
        }
        Admission::Flooded
    }

    fn is_due(&self) -> bool {
        let mut level = FIRST_LEVEL;
        while level <= self.told && level < u64::MAX {
            level = level.saturating_mul(GROWTH);
        }
        self.callers >= level || self.severity > self.told_severity
    }

    fn claim(&mut self, claimant: &Claimant<'_>) -> bool {
        let due = self.is_due();
        pending::claim(&mut self.pending, self.notices, due, claimant)
    }
}

impl Entry for Flood {
    fn changed_at(&self) -> u64 {
        self.changed_at
    }

    fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    fn strip(&mut self) {
        self.single.clear();
        self.latest.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::count::incident::Told;

    const MINE: Claimant<'_> = Claimant { owner: "me", now: 100, lease: Duration::from_secs(60) };

    fn minute(at: i64) -> EventTime {
        EventTime::from_epoch_ms(at * 60_000)
    }

    fn newcomers(numbers: std::ops::Range<i64>, severity: Severity) -> Vec<Newcomer<'static>> {
        let one = |number: i64| Newcomer {
            begin: minute(number % 60),
            id: number.to_string(),
            arn: Some(if number == 299 { "the last one" } else { "one of many" }),
            severity,
            counted: false,
        };
        numbers.map(one).collect()
    }

    /// Admits, and sends what is held: how many get their own notices, and how many callers each
    /// notice of the flood reports.
    fn run(log: &mut FloodLog, newcomers: &[Newcomer<'_>]) -> (usize, Vec<u64>) {
        let (admitted, held) = admit(log, newcomers, &MINE);
        let single = admitted.iter().filter(|one| one.admission == Admission::Single).count();
        let mut told = Vec::new();
        for begin in held {
            let mut again = true;
            while again {
                let flood = &log.floods[&begin];
                let number = flood.pending.as_ref().expect("held").number;
                let severity = flood.severity.expect("one beyond the first");
                told.push(flood.callers);
                let sent = Sent::Notice(Told { number, count: flood.callers, severity });
                again = mark(log, begin, sent, &MINE);
            }
        }
        (single, told)
    }

    #[test]
    fn ten_are_told_one_by_one_and_then_the_16th_the_64th_and_the_256th() {
        let mut log = FloodLog::default();
        let mut single = 0;
        let mut told = Vec::new();
        for newcomer in newcomers(0..300, Severity::High) {
            let (one, notices) = run(&mut log, &[newcomer]);
            single += one;
            told.extend(notices);
        }
        assert_eq!((single, told), (10, vec![16, 64, 256]));
        assert_eq!(log.floods.len(), 1);
        let latest = &log.floods[&minute(0)].latest;
        assert_eq!((latest.len(), latest[0].as_deref()), (MAX_NAMED, Some("the last one")));
    }

    #[test]
    fn all_at_once_are_one_notice_and_the_next_one_waits_for_the_level_above() {
        let mut log = FloodLog::default();
        assert_eq!(run(&mut log, &newcomers(0..300, Severity::High)), (10, vec![300]));
        assert_eq!(run(&mut log, &newcomers(300..1023, Severity::High)), (0, vec![]));
        assert_eq!(run(&mut log, &newcomers(1023..1024, Severity::High)), (0, vec![1024]));
    }

    #[test]
    fn a_severity_that_was_told_of_nobody_is_told() {
        let mut log = FloodLog::default();
        assert_eq!(run(&mut log, &newcomers(0..11, Severity::Medium)), (10, vec![]));
        assert_eq!(run(&mut log, &newcomers(11..12, Severity::High)), (0, vec![12]));
        assert_eq!(run(&mut log, &newcomers(12..15, Severity::High)), (0, vec![]));
        // One that was counted already and has risen.
        let risen = Newcomer { counted: true, ..newcomers(14..15, Severity::Critical).remove(0) };
        assert_eq!(run(&mut log, &[risen]), (0, vec![15]));
    }

    #[test]
    fn a_retry_of_the_first_ten_counts_none_twice() {
        let mut log = FloodLog::default();
        let ten = newcomers(0..10, Severity::High);
        for _ in 0..3 {
            assert_eq!(run(&mut log, &ten), (10, vec![]));
        }
        assert_eq!(log.floods[&minute(0)].callers, 10);
    }

    #[test]
    fn another_hour_is_another_flood() {
        let mut log = FloodLog::default();
        run(&mut log, &newcomers(0..10, Severity::High));
        let mut later = newcomers(100..101, Severity::High);
        later[0].begin = minute(61);
        assert_eq!(run(&mut log, &later), (1, vec![]));
    }

    #[test]
    fn the_notice_of_a_flood_is_left_to_its_owner_until_its_lease_runs_out() {
        let mut log = FloodLog::default();
        let (_, held) = admit(&mut log, &newcomers(0..16, Severity::High), &MINE);
        assert_eq!(held, [minute(0)]);
        let other = Claimant { owner: "other", ..MINE };
        let (admitted, held) = admit(&mut log, &newcomers(16..17, Severity::High), &other);
        assert_eq!((admitted[0].admission, held), (Admission::Flooded, vec![]));
        let late = Claimant { now: 161, ..other };
        let (_, held) = admit(&mut log, &newcomers(17..18, Severity::High), &late);
        assert_eq!(held, [minute(0)]);
        assert!(!mark(&mut log, minute(0), Sent::Not, &late));
        let (_, held) = admit(&mut log, &newcomers(18..19, Severity::High), &MINE);
        assert_eq!(held, [minute(0)]);
    }
}
