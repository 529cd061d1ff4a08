//! Where every caller stands at one moment: keys near their threshold, open incidents, mutes.

use std::cmp::Reverse;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::alert::sanitize::plain;
use crate::alert::served;
use crate::alert::shorten::resource;
use crate::alert::terminal::{fitted, whole};
use crate::alert::words::{clock, plural};
use crate::count::caller::Caller;
use crate::count::incident::{self, SPAN};
use crate::count::store::{CallerState, Mute};
use crate::count::window::Window;
use crate::report::explain::KeyState;
use crate::rule::definition::{Rule, Severity};
use crate::rule::feed::Feed;
use crate::rule::field::Field;
use crate::source::text::MAX_KEPT_BYTES;
use crate::source::time::EventTime;

/// The most keys shown; a caller can invent any number.
const MAX_KEYS: usize = 20;

/// What the counters hold at one moment.
#[derive(Serialize)]
pub struct Status {
    at: EventTime,
    /// Keys with denials in the window that ends now, the nearest to their threshold first.
    keys: Vec<KeyRow>,
    /// How many of them are left out.
    more_keys: usize,
    incidents: Vec<IncidentRow>,
    mutes: Vec<MuteRow>,
    /// Rules that are on and that nothing which is connected can show.
    unseen: Vec<UnseenRow>,
}

#[derive(Serialize)]
struct UnseenRow {
    rule: &'static str,
    /// What would show it.
    needs: Vec<&'static str>,
}

#[derive(Serialize)]
struct KeyRow {
    rule: &'static str,
    account: Option<String>,
    user: Option<String>,
    model: Option<String>,
    counted: u64,
    noun: &'static str,
    threshold: usize,
    window_minutes: u64,
    last_seen: EventTime,
    alerts: usize,
}

#[derive(Serialize)]
struct IncidentRow {
    id: String,
    account: Option<String>,
    caller: Option<String>,
    severity: Option<&'static str>,
    begin: EventTime,
    last_seen: EventTime,
    alerts: u64,
    /// Notices sent, and how many alerts the last one reported.
    notices: u64,
    told: u64,
    muted: bool,
    /// What the caller was served since its first denial; `null` if unknown.
    served: Value,
    #[serde(skip)]
    served_words: Option<String>,
}

#[derive(Serialize)]
struct MuteRow {
    account: Option<String>,
    caller: Option<String>,
    /// Epoch seconds.
    until: u64,
    why: String,
}

impl Status {
    /// The state at `at`, by event time for counters and incidents and by the clock for mutes.
    #[must_use]
    pub fn new(keys: &[KeyState<'_>], callers: &[(Caller, CallerState)], at: EventTime) -> Self {
        let mut rows: Vec<(u64, KeyRow)> = keys.iter().filter_map(|state| row(state, at)).collect();
        rows.sort_by_key(|(share, row)| (Reverse(*share), Reverse(row.last_seen)));
        let more_keys = rows.len().saturating_sub(MAX_KEYS);
        let keys = rows.into_iter().take(MAX_KEYS).map(|(_, row)| row).collect();
        let now = at.epoch_seconds();
        let mut incidents: Vec<IncidentRow> = callers
            .iter()
            .flat_map(|(caller, state)| {
                open(caller, state, at, state.mute.as_ref().is_some_and(|mute| mute.is_on(now)))
            })
            .collect();
        incidents.sort_by_key(|one| Reverse(one.begin));
        let muted = |(caller, state): &(Caller, CallerState)| {
            let Mute { until, why } = state.mute.clone().filter(|mute| mute.is_on(now))?;
            Some(MuteRow {
                account: kept(caller.account.as_deref()),
                caller: kept(caller.arn.as_deref()),
                until,
                why: plain(&why, MAX_KEPT_BYTES),
            })
        };
        let mutes = callers.iter().filter_map(muted).collect();
        Self { at, keys, more_keys, incidents, mutes, unseen: Vec::new() }
    }

    /// Looks for the rules that none of the `connected` feeds can show.
    #[must_use]
    pub fn with_unseen(mut self, rules: &[Rule], connected: &[Feed]) -> Self {
        let unseen = rules.iter().filter(|rule| !connected.iter().any(|feed| feed.shows(rule)));
        let row = |rule: &Rule| UnseenRow {
            rule: rule.id,
            needs: Feed::ALL.into_iter().filter(|feed| feed.shows(rule)).map(Feed::label).collect(),
        };
        self.unseen = unseen.map(row).collect();
        self
    }

    /// One JSON document.
    ///
    /// # Panics
    /// Never: texts, numbers and lists always serialise.
    #[must_use]
    #[expect(clippy::expect_used, reason = "texts, numbers and lists always serialise")]
    pub fn document(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and lists always serialise")
    }

    /// For people, in so many columns.
    #[must_use]
    pub fn text(&self, columns: usize) -> String {
        let named = |id: &Option<String>| resource(&whole(id.as_deref())).to_owned();
        let rules = self.keys.iter().map(|key| key.rule.len()).max().unwrap_or(0);
        let mut keys: Vec<String> = Vec::new();
        for key in &self.keys {
            let counts = format!("{} of >{}", key.counted, key.threshold);
            let fired = if key.alerts > 0 { "  alerted" } else { "" };
            keys.push(format!("{counts:<9} {:<rules$}  last {}{fired}", key.rule, clock(key.last_seen)));
            let model = key.model.as_ref().map(|_| format!("  {}", named(&key.model))).unwrap_or_default();
            keys.push(format!("          {}{model}", named(&key.user)));
        }
        keys.extend((self.more_keys > 0).then(|| format!("and {} more", self.more_keys)));
        let incidents = self.incidents.iter().map(|one| {
            let severity = one.severity.unwrap_or("none").to_uppercase();
            let muted = if one.muted { ", muted" } else { "" };
            let lines = [
                format!("{severity:<9} {}  account {}", named(&one.caller), named(&one.account)),
                format!(
                    "          {} since {}, {}, the last about {}{muted}",
                    plural(one.alerts, "alert"),
                    clock(one.begin),
                    plural(one.notices, "notification"),
                    one.told
                ),
            ];
            let served = one.served_words.as_ref().map(|words| format!("          served: {words}"));
            lines.into_iter().chain(served).collect::<Vec<_>>()
        });
        let mutes = self.mutes.iter().map(|mute| {
            let until = EventTime::from_epoch_seconds(mute.until);
            format!("{} until {}: {}", named(&mute.caller), clock(until), mute.why)
        });
        let mut text = format!("At {} UTC\n", clock(self.at));
        if !self.unseen.is_empty() {
            text.push_str("\nRules that are on, and that nothing connected can show\n");
        }
        for UnseenRow { rule, needs } in &self.unseen {
            let line = format!("{rule}: connect {}", needs.join(" or "));
            let _ = writeln!(text, "  {}", fitted(&line, columns.saturating_sub(2)));
        }
        for (heading, lines) in [
            ("Keys with denials, the nearest to their threshold first", keys),
            ("Open incidents", incidents.flatten().collect()),
            ("Muted callers", mutes.collect()),
        ] {
            let _ = writeln!(text, "\n{heading}");
            let lines = if lines.is_empty() { vec!["none".to_owned()] } else { lines };
            for line in lines {
                let _ = writeln!(text, "  {}", fitted(&line, columns.saturating_sub(2)));
            }
        }
        text
    }
}

/// A key with denials in the window that ends at `at`, and how near it is to its threshold.
fn row(state: &KeyState<'_>, at: EventTime) -> Option<(u64, KeyRow)> {
    let rule = state.rule;
    let window = Window::new(rule, state.counters);
    let (last_seen, _) =
        *window.samples().iter().rfind(|(time, _)| *time <= at && *time >= at.minus(rule.window))?;
    let counted = window.within(at);
    let window_minutes = rule.window.as_secs() / 60;
    let row = KeyRow {
        rule: rule.id,
        account: kept(state.key.get(rule, Field::Account)),
        user: kept(state.key.identity(rule)),
        model: kept(state.key.get(rule, Field::Model)),
        counted,
        noun: rule.wording.noun,
        threshold: rule.threshold,
        window_minutes,
        last_seen,
        alerts: state.alerts.range(at.minus(rule.window)..=at).count(),
    };
    Some((super::share(counted, rule.threshold), row))
}

/// The incidents of a caller that an alert at `at` could still belong to.
fn open<'c>(
    caller: &'c Caller,
    state: &'c CallerState,
    at: EventTime,
    muted: bool,
) -> impl Iterator<Item = IncidentRow> + 'c {
    let open = state.log.incidents.range(at.minus(SPAN)..=at.plus(SPAN));
    open.map(move |(begin, one)| IncidentRow {
        id: incident::id(caller, *begin),
        account: kept(caller.account.as_deref()),
        caller: kept(caller.arn.as_deref()),
        severity: one.highest.map(Severity::name),
        begin: *begin,
        last_seen: one.last_seen,
        alerts: one.alerts,
        notices: one.notices,
        told: one.told,
        muted,
        served: served::json(state.served.get(begin)),
        served_words: state.served.get(begin).map(served::beside_label),
    })
}

fn kept(text: Option<&str>) -> Option<String> {
    text.map(|text| plain(text, MAX_KEPT_BYTES))
}
