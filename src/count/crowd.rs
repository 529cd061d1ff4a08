//! Many callers of one account at once: only the first ten incidents of an hour and severity are reported one by
//! one, and the others together. Sessions and policies make any number of callers.
//!
//! An incident's admission is decided once, by small documents that are put only where there are none: whoever asks
//! again, at once or two weeks later, finds the same answer.

use serde::{Deserialize, Serialize};

use crate::count::caller::{account_key, digest};
use crate::count::document::DocumentId;
use crate::count::incident::SPAN;
use crate::count::lease::Lease;
use crate::rule::definition::Severity;
use crate::source::time::EventTime;

/// How many incidents of an account, clock hour and severity are reported one by one.
pub const MAX_TICKETS: u8 = 10;
/// How many callers a notice about a crowd names.
pub const MAX_NAMED: usize = 10;
/// Beyond the eleventh caller, a notice is due at this many and each time they quadruple.
const SECOND_LEVEL: u64 = 16;
const GROWTH: u64 = 4;

/// An account's incidents of one severity that begin in one clock hour of event time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CrowdId {
    /// The account as logged.
    pub account: Option<String>,
    /// The start of the hour.
    pub hour: EventTime,
    /// The severity that the incidents reached.
    pub severity: Severity,
}

/// A ticket: its incident is reported individually.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Ticket {
    /// The id of the incident that holds it.
    pub incident: String,
}

/// An incident that the crowd's notices report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct CrowdMember {}

/// The incidents beyond the first [`MAX_TICKETS`], one of each caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Crowd {
    /// How many.
    pub members: u64,
    /// The callers that joined last, the latest first, at most [`MAX_NAMED`].
    pub latest: Vec<Option<String>>,
}

/// A notice about a crowd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct CrowdNotice {
    /// Who is about to send it.
    pub lease: Option<Lease>,
    /// The sink has accepted it.
    pub sent: bool,
}

impl CrowdId {
    /// The crowd for incidents that begin at `begin`.
    #[must_use]
    pub fn new(account: Option<&str>, begin: EventTime, severity: Severity) -> Self {
        Self { account: account.map(str::to_owned), hour: begin.slot(SPAN), severity }
    }

    /// Stable: the same crowd always has the same id.
    #[must_use]
    pub fn id(&self) -> String {
        let account = account_key(self.account.as_deref()).text();
        digest(&[&account, &self.hour.epoch_ms().to_string(), self.severity.name()])
    }

    /// Where one of its tickets is kept.
    #[must_use]
    pub fn ticket(&self, number: u8) -> DocumentId {
        self.document("ticket", &format!("#{number}"))
    }

    /// Where it is kept that an incident is counted.
    #[must_use]
    pub fn member(&self, incident: &str) -> DocumentId {
        self.document("member", &format!("#{incident}"))
    }

    /// Where the members' number is kept.
    #[must_use]
    pub fn crowd(&self) -> DocumentId {
        self.document("crowd", "")
    }

    /// Where the notice about so many callers is kept.
    #[must_use]
    pub fn notice(&self, callers: u64) -> DocumentId {
        self.document("level", &format!("#{callers}"))
    }

    fn document(&self, kind: &str, rest: &str) -> DocumentId {
        let partition = account_key(self.account.as_deref());
        DocumentId { partition, sort: format!("{kind}#{}#{}{rest}", self.hour, self.severity.name()) }
    }
}

impl Crowd {
    /// How many callers there are, those with tickets included.
    #[must_use]
    pub fn callers(&self) -> u64 {
        self.members.saturating_add(u64::from(MAX_TICKETS))
    }

    /// The highest level that the callers have reached; `None` before the eleventh.
    #[must_use]
    pub fn level(&self) -> Option<u64> {
        let first = u64::from(MAX_TICKETS) + 1;
        let levels = std::iter::successors(Some(SECOND_LEVEL), |level| level.checked_mul(GROWTH));
        let reached = levels.take_while(|level| *level <= self.callers()).last();
        reached.or_else(|| (self.callers() >= first).then_some(first))
    }

    /// Counts one more.
    pub fn join(&mut self, caller: Option<&str>) {
        self.members = self.members.saturating_add(1);
        self.latest.truncate(MAX_NAMED - 1);
        self.latest.insert(0, caller.map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(members: u64, expected: Option<u64>) {
        assert_eq!(Crowd { members, ..Crowd::default() }.level(), expected, "{members}");
    }

    #[test]
    fn a_notice_is_due_at_the_11th_caller_the_16th_the_64th_and_the_256th() {
        check(0, None);
        check(1, Some(11));
        check(5, Some(11));
        check(6, Some(16));
        check(53, Some(16));
        check(54, Some(64));
        check(245, Some(64));
        check(246, Some(256));
        check(u64::MAX, Some(1 << 62));
    }

    #[test]
    fn the_latest_ten_are_named() {
        let mut crowd = Crowd::default();
        for number in 0..30 {
            crowd.join(Some(&format!("x{number}")));
        }
        assert_eq!((crowd.members, crowd.latest.len()), (30, MAX_NAMED));
        assert_eq!((crowd.latest[0].as_deref(), crowd.latest[9].as_deref()), (Some("x29"), Some("x20")));
    }

    #[test]
    fn hours_severities_and_accounts_are_crowds_of_their_own() {
        let at = |minute: i64| EventTime::from_epoch_ms(minute * 60_000);
        let one = CrowdId::new(Some("1"), at(59), Severity::High);
        assert_eq!(one, CrowdId::new(Some("1"), at(0), Severity::High));
        for other in [
            CrowdId::new(Some("1"), at(60), Severity::High),
            CrowdId::new(Some("1"), at(59), Severity::Low),
            CrowdId::new(None, at(59), Severity::High),
        ] {
            assert!(
                other.id() != one.id() && other.crowd() != one.crowd() && other.ticket(0) != one.ticket(0)
            );
        }
        assert_eq!(one.crowd().sort, "crowd#1970-01-01T00:00:00Z#high");
        assert_eq!(one.ticket(9).sort, "ticket#1970-01-01T00:00:00Z#high#9");
    }
}
