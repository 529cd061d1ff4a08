//! The callers whose successful calls are counted, because they were denied in an alert: one small document for all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::count::caller::{Caller, digest};
use crate::count::document::DocumentId;
use crate::count::key::Key;
use crate::rule::definition::Severity;
use crate::rule::identity::Identity;
use crate::source::time::EventTime;

/// How long after the beginning of an incident its caller's calls count.
pub const WATCHED: Duration = Duration::from_secs(24 * 3600);
/// How long an entry stays after it was written: late objects are read by then.
const KEPT: Duration = Duration::from_secs(30 * 3600);
/// The most that the list takes as JSON. Each delivery reads it.
const MAX_BYTES: usize = 16 << 10;
/// The most pairs of a model and a region that an entry remembers as denied.
const MAX_DENIED: usize = 16;
/// The longest ARN that is searched for. One that was cut when it was read stands in no log.
const MAX_ARN_BYTES: usize = 256;

/// The watched callers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct WatchList {
    /// One entry for each incident: the highest severity first, then the newest.
    #[serde(default)]
    pub callers: Vec<Watched>,
}

/// A caller with an incident.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Watched {
    /// The caller's account.
    pub account: Option<String>,
    /// The caller's ARN: [`Identity::caller`].
    pub arn: String,
    /// The beginning of the incident.
    pub begin: EventTime,
    /// Its first denial, as known when the entry was written. It never changes: what an object adds depends on it.
    pub first: EventTime,
    /// The highest severity of its alerts.
    pub severity: Severity,
    /// An invocation log, which records successful calls too, has shown an alert of it.
    #[serde(default)]
    pub log: bool,
    /// The object in which the incident began could not be read once more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unread: bool,
    /// When the entry was written, in epoch seconds.
    pub written_at: u64,
    /// The models that its alerts name, by [`pair`].
    #[serde(default)]
    pub denied: BTreeMap<String, Denied>,
}

/// The end of the denials of one model in one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Denied {
    /// The newest denial of an alert; of several alerts, the earliest of these.
    pub last: EventTime,
    /// All causes of all these alerts are of class `setup`.
    pub setup: bool,
}

/// A model in a region, in few bytes.
#[must_use]
pub fn pair(model: &str, region: Option<&str>) -> String {
    let mut digest = digest(&[model, region.unwrap_or_default()]);
    digest.truncate(16);
    digest
}

/// Where the list is kept. No rule can have this id.
#[must_use]
pub fn document() -> DocumentId {
    DocumentId { partition: Key { rule: "#watch", values: Vec::new() }, sort: "callers".to_owned() }
}

/// Whether the records of `caller` can be searched for: its ARN stands in them as it is.
#[must_use]
pub fn is_watchable(arn: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    !arn.is_empty() && arn.len() <= MAX_ARN_BYTES && arn.bytes().all(is_plain)
}

impl Watched {
    /// The last time at which a call counts.
    #[must_use]
    pub fn until(&self) -> EventTime {
        self.begin.plus(WATCHED)
    }

    /// Whether a call of `caller` at `at` counts.
    #[must_use]
    pub fn covers(&self, account: Option<&str>, at: EventTime) -> bool {
        self.account.as_deref() == account && self.first <= at && at <= self.until()
    }

    /// The denials that a successful call at `at` shows to be over. Many people share the ARN of federated users.
    #[must_use]
    pub fn over(&self, model: &str, region: Option<&str>, at: EventTime) -> Option<Denied> {
        let denied = self.denied.get(&pair(model, region)).filter(|denied| denied.last < at);
        denied.filter(|_| !Identity::is_federated(&self.arn)).copied()
    }

    /// Whether it is the entry of that incident.
    #[must_use]
    pub fn is_about(&self, caller: &Caller, begin: EventTime) -> bool {
        self.begin == begin
            && self.account == caller.account
            && Some(self.arn.as_str()) == caller.arn.as_deref()
    }

    /// Takes in what another version of the entry knows.
    fn merge(&mut self, other: &Self) {
        self.severity = self.severity.max(other.severity);
        self.log |= other.log;
        self.unread |= other.unread;
        for (pair, denied) in &other.denied {
            let is_room = self.denied.len() < MAX_DENIED;
            if let Some(known) = self.denied.get_mut(pair) {
                // The earliest, so that a call that has counted counts in a retry, too, whatever became known meanwhile.
                known.last = known.last.min(denied.last);
                known.setup &= denied.setup;
            } else if is_room {
                self.denied.insert(pair.clone(), *denied);
            }
        }
    }
}

impl WatchList {
    /// The entry of an incident.
    #[must_use]
    pub fn get(&self, caller: &Caller, begin: EventTime) -> Option<&Watched> {
        self.callers.iter().find(|one| one.is_about(caller, begin))
    }

    /// The entry of an incident, or else the newest that covers its beginning.
    #[must_use]
    pub fn about(&self, caller: &Caller, begin: EventTime) -> Option<&Watched> {
        let same = |one: &&Watched| Some(one.arn.as_str()) == caller.arn.as_deref();
        let covers = |one: &&Watched| one.covers(caller.account.as_deref(), begin);
        let covering = self.callers.iter().filter(same).filter(covers);
        self.get(caller, begin).or_else(|| covering.max_by_key(|one| one.begin))
    }

    /// The denials that a successful call of `arn` shows to be over; of several, one that more than setup explains.
    #[must_use]
    pub fn over(&self, arn: &str, call: &Call<'_>) -> Option<Denied> {
        let model = call.model.as_deref()?;
        let covering = |one: &&Watched| one.arn == arn && one.covers(call.account.as_deref(), call.at);
        let over = self.callers.iter().filter(covering);
        over.filter_map(|one| one.over(model, call.region.as_deref(), call.at)).min_by_key(|one| one.setup)
    }

    /// The ARNs of the callers, of which every record of theirs contains one.
    #[must_use]
    pub fn arns(&self) -> Vec<String> {
        self.callers.iter().map(|one| one.arn.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Takes in entries at `now`, in epoch seconds; returns whether that changes anything.
    pub fn add(&mut self, entries: &[Watched], now: u64) -> bool {
        let mut list = self.clone();
        for new in entries {
            let same = |one: &&mut Watched| {
                one.begin == new.begin && one.account == new.account && one.arn == new.arn
            };
            if let Some(known) = list.callers.iter_mut().find(same) {
                known.merge(new);
            } else {
                let mut entry = Watched { denied: BTreeMap::new(), ..new.clone() };
                entry.merge(new);
                list.callers.push(entry);
            }
        }
        if list == *self {
            return false;
        }
        list.callers.retain(|one| now < one.written_at.saturating_add(KEPT.as_secs()));
        list.callers.sort_by(|one, other| one.rank().cmp(&other.rank()));
        let mut bytes = 0_usize;
        let fits = |one: &&Watched| {
            bytes = bytes.saturating_add(
                serde_json::to_string(one).map_or(MAX_BYTES, |text| text.len().saturating_add(1)),
            );
            bytes <= MAX_BYTES
        };
        let kept = list.callers.iter().take_while(fits).count();
        list.callers.truncate(kept);
        let changed = list != *self;
        *self = list;
        changed
    }
}

impl Watched {
    fn rank(&self) -> (Reverse<Severity>, Reverse<EventTime>, Option<&str>, &str) {
        (Reverse(self.severity), Reverse(self.begin), self.account.as_deref(), &self.arn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(at: i64) -> EventTime {
        EventTime::from_epoch_ms(at * 60_000)
    }

    fn entry(name: &str, begin: i64, severity: Severity) -> Watched {
        Watched {
            account: Some("1".to_owned()),
            arn: format!("arn:aws:iam::1:user/{name}"),
            begin: minute(begin),
            first: minute(begin - 1),
            severity,
            log: false,
            unread: false,
            written_at: 1_000_000,
            denied: BTreeMap::new(),
        }
    }

    fn denied(entry: Watched, model: &str, last: i64) -> Watched {
        let denied = Denied { last: minute(last), setup: false };
        Watched { denied: [(pair(model, Some("r")), denied)].into(), ..entry }
    }

    #[test]
    fn an_entry_is_added_once_and_keeps_its_first_denial() {
        let mut list = WatchList::default();
        let eve = denied(entry("eve", 0, Severity::Medium), "m", 0);
        assert!(list.add(std::slice::from_ref(&eve), 1_000_000));
        assert!(!list.add(std::slice::from_ref(&eve), 2_000_000), "what is known changes nothing");
        let later = Watched { first: minute(-9), written_at: 7, severity: Severity::High, ..eve.clone() };
        assert!(list.add(&[denied(later, "m", -1), denied(eve.clone(), "m", 5)], 1_000_000));
        let [kept] = &list.callers[..] else { panic!("{list:?}") };
        assert_eq!((kept.first, kept.written_at, kept.severity), (eve.first, 1_000_000, Severity::High));
        assert_eq!(kept.denied.values().next().map(|denied| denied.last), Some(minute(-1)));
    }

    #[test]
    fn an_entry_leaves_thirty_hours_after_it_was_written() {
        for (hours, expected) in [(29, 2), (30, 1)] {
            let mut list = WatchList::default();
            list.add(&[entry("old", 0, Severity::High)], 1_000_000);
            let now = 1_000_000 + hours * 3600;
            list.add(&[Watched { written_at: now, ..entry("new", 9, Severity::High) }], now);
            assert_eq!(list.callers.len(), expected, "{hours}");
        }
    }

    #[test]
    fn the_highest_severity_stays_then_the_newest_and_the_list_is_small() {
        let mut list = WatchList::default();
        for number in 0..300 {
            let severity = if number % 100 == 0 { Severity::High } else { Severity::Low };
            list.add(&[entry(&format!("user-{number:03}"), number, severity)], 1_000_000);
        }
        assert!(serde_json::to_string(&list).expect("JSON").len() <= MAX_BYTES + 20);
        let begins: Vec<i64> = list.callers.iter().map(|one| one.begin.epoch_ms() / 60_000).collect();
        assert_eq!(begins[..5], [200, 100, 0, 299, 298]);
        assert!(begins.len() > 50, "{}", begins.len());
    }

    #[test]
    fn a_call_counts_from_the_first_denial_for_a_day_after_the_beginning() {
        let eve = entry("eve", 10, Severity::High);
        let day = 24 * 60;
        for (account, at, expected) in
            [("1", 8, false), ("1", 9, true), ("2", 9, false), ("1", 10 + day, true), ("1", 11 + day, false)]
        {
            assert_eq!(eve.covers(Some(account), minute(at)), expected, "{account} {at}");
        }
    }

    #[test]
    fn denials_are_over_when_a_later_call_of_that_model_and_region_succeeds() {
        let eve = denied(entry("eve", 0, Severity::High), "m", 5);
        assert!(eve.over("m", Some("r"), minute(6)).is_some());
        assert!(eve.over("m", Some("r"), minute(5)).is_none(), "at the same time");
        assert!(eve.over("n", Some("r"), minute(6)).is_none(), "another model");
        assert!(eve.over("m", Some("s"), minute(6)).is_none(), "another region");
        for (arn, expected) in
            [("arn:aws:sts::1:federated-user", false), ("arn:aws:sts::1:assumed-role/App", true)]
        {
            let one = Watched { arn: arn.to_owned(), ..eve.clone() };
            assert_eq!(one.over("m", Some("r"), minute(6)).is_some(), expected, "{arn}");
        }
    }

    #[test]
    fn what_json_writes_otherwise_or_was_cut_cannot_be_searched_for() {
        for (arn, expected) in [
            ("arn:aws:sts::1:assumed-role/App".to_owned(), true),
            ("arn:aws:iam::1:user/a\"b".to_owned(), false),
            ("arn:aws:iam::1:user/é".to_owned(), false),
            ("x".repeat(MAX_ARN_BYTES + 1), false),
            (String::new(), false),
        ] {
            assert_eq!(is_watchable(&arn), expected, "{arn}");
        }
    }
}
