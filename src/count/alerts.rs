//! Which alerts are due: hot denials that no alert covers.
//!
//! Pure functions over the alerts of one key. The wall clock (`now`) is an argument; it matters to
//! leases only, never to the rule.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::count::document::{Body, DocumentId, Versioned};
use crate::count::error::StoreError;
use crate::count::incident::{IncidentSlot, SPAN};
use crate::count::key::Key;
use crate::count::lease::Lease;
use crate::rule::definition::Severity;
use crate::source::time::EventTime;

/// The state of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Whoever finds it handles its incident.
    Pending,
    /// Reported, or counted in an incident that needs no notice.
    Published,
}

/// One alert of a key as the store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRecord {
    /// The alert's id.
    pub id: String,
    /// Its state.
    pub state: AlertState,
    /// Its severity, where it was recorded with one that is not its rule's.
    pub severity: Option<Severity>,
    /// Its place in an incident; `None` before it is recorded there.
    pub place: Option<IncidentSlot>,
    /// The delivery that sends it as its own message, where programs want those.
    pub lease: Option<Lease>,
}

impl AlertRecord {
    /// A pending alert that is in no incident yet.
    #[must_use]
    pub const fn new(id: String) -> Self {
        Self { id, state: AlertState::Pending, severity: None, place: None, lease: None }
    }
}

/// The alerts of one key, by the time of the hot denial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "StoredLog", into = "StoredLog")]
pub struct AlertLog {
    /// The pending and recent ones; at most one per instant.
    pub alerts: BTreeMap<EventTime, AlertRecord>,
    /// The time of the newest archived alert; `None` if there are none.
    pub archived_to: Option<EventTime>,
    /// Archived alerts that have been read, all published. They are not written back with the log.
    pub archived: BTreeSet<EventTime>,
}

/// The most pending alerts of one key. While nothing can be published, no more are added, so the item
/// stays under 100 KB: a record takes about 200 bytes, and a log holds at most this many
/// plus [`MAX_PUBLISHED`] records when it is written.
pub const MAX_PENDING: usize = 300;
/// The most published alerts that stay in the log; beyond it, all but the newest half are archived.
pub const MAX_PUBLISHED: usize = 100;
/// The most alerts added in one round.
pub const MAX_DUE: usize = 100;

/// Where the alerts of `key` are kept.
#[must_use]
pub fn document(key: &Key) -> DocumentId {
    DocumentId { partition: key.clone(), sort: SORT_KEY.to_owned() }
}

/// Their place among the key's documents.
pub const SORT_KEY: &str = "alerts";

/// The archived alerts of one day of event time: at most 1,440, since alerts are more than a cooldown apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ArchivedDay {
    /// Their times in epoch milliseconds.
    pub published: BTreeSet<i64>,
}

/// Where the archived alerts of the day that holds `at` are kept.
#[must_use]
pub fn archive_document(key: &Key, at: EventTime) -> DocumentId {
    DocumentId { partition: key.clone(), sort: format!("{SORT_KEY}#{}", at.slot(DAY)) }
}

/// Reads the archived alerts of one day; `sort` names the document.
///
/// # Errors
/// When it holds something malformed.
pub fn archived(sort: &str, document: Versioned<Body>) -> Result<BTreeSet<EventTime>, StoreError> {
    let day: Versioned<ArchivedDay> = document.read(sort)?;
    Ok(day.value.published.into_iter().map(EventTime::from_epoch_ms).collect())
}

/// The length of a day.
pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// Adds to `log` the alerts that `hot` (in order of time) makes due, at most [`MAX_DUE`]. Returns how many of the
/// hot denials are settled; the rest follow once the pending alerts are published. [`AlertLog::archived`] must cover
/// the cooldown on either side of `hot`.
pub fn add_due(
    log: &mut AlertLog,
    hot: &[EventTime],
    cooldown: Duration,
    id: impl Fn(EventTime) -> String,
) -> usize {
    let mut room = MAX_PENDING.saturating_sub(log.pending().count()).min(MAX_DUE);
    for (done, at) in hot.iter().enumerate() {
        if !covered(log, *at, cooldown) {
            if room == 0 {
                return done;
            }
            room = room.saturating_sub(1);
            let alert = AlertRecord::new(id(*at));
            log.alerts.insert(*at, alert);
        }
    }
    hot.len()
}

impl AlertLog {
    /// The alerts that are still to be published.
    pub fn pending(&self) -> impl Iterator<Item = (EventTime, &AlertRecord)> {
        let pending = |(_, alert): &(&EventTime, &AlertRecord)| alert.state == AlertState::Pending;
        self.alerts.iter().filter(pending).map(|(at, alert)| (*at, alert))
    }

    /// Those that are in no incident yet.
    pub fn unrecorded(&self) -> impl Iterator<Item = EventTime> {
        self.pending().filter(|(_, alert)| alert.place.is_none()).map(|(at, _)| at)
    }
}

/// Removes the older published alerts from a log that has too many; archive them before you write the
/// log.
pub fn archive(log: &mut AlertLog) -> Vec<EventTime> {
    let published = log.alerts.iter().filter(|(_, alert)| alert.state == AlertState::Published);
    let published: Vec<EventTime> = published.map(|(at, _)| *at).collect();
    if published.len() <= MAX_PUBLISHED {
        return Vec::new();
    }
    let older = published.len().saturating_sub(MAX_PUBLISHED / 2);
    let (older, _) = published.split_at_checked(older).unwrap_or_default();
    for at in older {
        log.alerts.remove(at);
    }
    log.archived.extend(older);
    log.archived_to = log.archived_to.max(older.last().copied());
    older.to_vec()
}

/// Marks pending alerts as published. Returns those that were not.
pub fn publish(log: &mut AlertLog, alerts: &[EventTime]) -> Vec<EventTime> {
    let mut changed = Vec::new();
    for at in alerts {
        if let Some(alert) = log.alerts.get_mut(at).filter(|alert| alert.state == AlertState::Pending) {
            alert.state = AlertState::Published;
            alert.lease = None;
            changed.push(*at);
        }
    }
    changed
}

/// Whether no alert of the key but `at` can belong to its incident: it is the first of the `new` ones, and no other
/// is near it.
#[must_use]
pub fn is_alone(log: &AlertLog, new: &[EventTime], at: EventTime) -> bool {
    let near = log.alerts.range(at.minus(SPAN.saturating_mul(2))..=at.plus(SPAN.saturating_mul(2)));
    near.map(|(other, _)| *other).all(|other| other == at || (other > at && new.contains(&other)))
        && log
            .archived
            .range(at.minus(SPAN.saturating_mul(2))..=at.plus(SPAN.saturating_mul(2)))
            .next()
            .is_none()
}

fn covered(log: &AlertLog, at: EventTime, cooldown: Duration) -> bool {
    let around = at.minus(cooldown)..=at.plus(cooldown);
    log.alerts.range(around.clone()).next().is_some() || log.archived.range(around).next().is_some()
}

/// A log as a document holds it.
#[derive(Deserialize, Serialize)]
struct StoredLog {
    alerts: Vec<StoredAlert>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    archived_to: Option<EventTime>,
}

#[derive(Deserialize, Serialize)]
struct StoredAlert {
    id: String,
    at: EventTime,
    state: AlertState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    severity: Option<Severity>,
    /// The beginning of its incident. Versions before tickets knew none, and counted alerts after adding them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    incident: Option<EventTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leased_until: Option<u64>,
}

impl From<AlertLog> for StoredLog {
    fn from(log: AlertLog) -> Self {
        let stored = |(at, alert): (EventTime, AlertRecord)| {
            let (owner, leased_until) = alert.lease.map(|lease| (lease.owner, lease.until)).unzip();
            StoredAlert {
                id: alert.id,
                at,
                state: alert.state,
                severity: alert.severity,
                incident: alert.place.map(|place| place.begin),
                number: alert.place.map(|place| place.number),
                owner,
                leased_until,
            }
        };
        Self { alerts: log.alerts.into_iter().map(stored).collect(), archived_to: log.archived_to }
    }
}

impl From<StoredLog> for AlertLog {
    fn from(stored: StoredLog) -> Self {
        let alert = |one: StoredAlert| {
            let place = one.incident.zip(one.number).map(|(begin, number)| IncidentSlot { begin, number });
            let lease = one.owner.zip(one.leased_until).map(|(owner, until)| Lease { owner, until });
            (one.at, AlertRecord { id: one.id, state: one.state, severity: one.severity, place, lease })
        };
        let alerts = stored.alerts.into_iter().map(alert).collect();
        Self { alerts, archived_to: stored.archived_to, archived: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(10);

    fn second(at: i64) -> EventTime {
        EventTime::from_epoch_ms(at * 1000)
    }

    fn record(state: AlertState) -> AlertRecord {
        AlertRecord { state, ..AlertRecord::new(String::new()) }
    }

    /// `log` is written as `<second><state>` with `p` for a pending alert and `d` for a published one.
    #[track_caller]
    fn check(log: &str, hot: &[i64], expected: &str) {
        let mut parsed = AlertLog::default();
        for word in log.split_whitespace() {
            let (at, state) = word.split_at(word.len() - 1);
            let state = if state == "p" { AlertState::Pending } else { AlertState::Published };
            parsed.alerts.insert(second(at.parse().expect("a number")), record(state));
        }
        let hot: Vec<EventTime> = hot.iter().map(|at| second(*at)).collect();
        assert_eq!(add_due(&mut parsed, &hot, COOLDOWN, |_| String::new()), hot.len());
        let shown = parsed.alerts.iter().map(|(at, alert)| {
            let state = if alert.state == AlertState::Published { "d" } else { "p" };
            format!("{}{state}", at.epoch_ms() / 1000)
        });
        assert_eq!(shown.collect::<Vec<_>>().join(" "), expected, "log");
    }

    #[test]
    fn a_hot_denial_is_due_unless_an_alert_lies_within_the_cooldown_on_either_side() {
        check("", &[5], "5p");
        check("", &[5, 6, 15, 16, 27], "5p 16p 27p");
        check("5d", &[15, 16], "5d 16p");
        check("20d", &[9, 10], "9p 20d");
        check("20p", &[10, 30], "20p");
    }

    #[test]
    fn an_alert_is_published_once() {
        let mut log = AlertLog::default();
        let hot = [second(0), second(11)];
        add_due(&mut log, &hot, COOLDOWN, |_| String::new());
        assert_eq!(publish(&mut log, &hot[..1]), hot[..1]);
        assert_eq!(publish(&mut log, &hot), hot[1..]);
        assert_eq!(publish(&mut log, &[second(0), second(99)]), []);
    }

    #[test]
    fn of_the_alerts_of_one_key_the_first_near_each_other_is_alone() {
        let at = |number: i64| second(number * 3600);
        let mut log = AlertLog::default();
        log.alerts.extend([0, 3, 4, 10].map(|hour| (at(hour), record(AlertState::Published))));
        let alone = |new: &[i64], hour: i64| {
            let new: Vec<EventTime> = new.iter().map(|hour| at(*hour)).collect();
            is_alone(&log, &new, at(hour))
        };
        assert!(alone(&[0, 3, 4, 10], 0) && alone(&[0, 3, 4, 10], 3) && alone(&[10], 10));
        assert!(!alone(&[0, 3, 4, 10], 4), "3 was found with it");
        assert!(!alone(&[3], 3), "4 was found before");
    }

    #[test]
    fn older_published_alerts_are_archived_and_no_pending_one() {
        let mut log = AlertLog::default();
        let mut archived = Vec::new();
        for number in 0..i64::try_from(3 * MAX_PUBLISHED).expect("small") {
            let at = second(number * 11);
            add_due(&mut log, &[at], COOLDOWN, |_| String::new());
            if number > 2 {
                publish(&mut log, &[at]);
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
        assert_eq!(add_due(&mut log, &archived, COOLDOWN, |_| String::new()), archived.len());
        assert_eq!(log, before);
    }

    #[test]
    fn while_nothing_can_be_published_no_more_is_added() {
        let hot: Vec<EventTime> = (0..5_000).map(|number| second(number * 11)).collect();
        let mut log = AlertLog::default();
        let done: Vec<usize> = (0..6).map(|_| add_due(&mut log, &hot, COOLDOWN, |_| String::new())).collect();
        assert_eq!(done, [100, 200, 300, 300, 300, 300]);
        assert_eq!(log.alerts.len(), MAX_PENDING);
    }

    #[test]
    fn a_log_comes_back_and_one_of_an_earlier_version_is_read() {
        let mut log = AlertLog { archived_to: Some(second(1)), ..AlertLog::default() };
        let place = Some(IncidentSlot { begin: second(4), number: 7 });
        let lease = Some(Lease { owner: "o".to_owned(), until: 9 });
        log.alerts.insert(
            second(5),
            AlertRecord { severity: Some(Severity::Medium), place, lease, ..record(AlertState::Pending) },
        );
        log.alerts.insert(second(50), record(AlertState::Published));
        let json = serde_json::to_string(&log).expect("JSON");
        assert_eq!(serde_json::from_str::<AlertLog>(&json).expect("a log"), log);
        let earlier = r#"{"alerts":[{"id":"i","at":"1970-01-01T00:00:05Z","state":"pending","owner":"o","leased_until":9,"number":3}]}"#;
        let read: AlertLog = serde_json::from_str(earlier).expect("a log");
        assert_eq!(read.unrecorded().collect::<Vec<_>>(), [second(5)], "it names no incident");
    }
}
