//! Why one key fired, or did not: the rule's arithmetic in words.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use glob::Pattern;

use crate::alert;
use crate::alert::sanitize::{DOCUMENT_BYTES, plain};
use crate::alert::terminal::whole;
use crate::alert::words::{clock, minutes, plural, utc};
use crate::count::caller::Caller;
use crate::count::counter::Counter;
use crate::count::incident;
use crate::count::key::Key;
use crate::count::store::CallerState;
use crate::count::window::Window;
use crate::rule::catalogue::ALL;
use crate::rule::definition::{Rule, Weight};
use crate::rule::field::{Field, MISSING};
use crate::rule::identity::Identity;
use crate::source::time::EventTime;

/// The most denials listed one by one.
const MAX_LISTED: usize = 20;
/// The most keys explained; a caller can invent any number.
const MAX_KEYS: usize = 10;

/// Explains the keys that `asked` is about, those nearest to their threshold first. Where nothing was
/// counted, says why that may be, by the `rules` that counted and the users exempt from all of them.
#[must_use]
pub fn answer(asked: &str, rules: &[Rule], exempt_users: &[Pattern], states: &[KeyState<'_>]) -> String {
    let mut found: Vec<_> = states.iter().filter(|state| state.is_about(asked)).collect();
    if found.is_empty() {
        return nothing(asked, rules, exempt_users);
    }
    found.sort_by_cached_key(|state| Reverse(state.nearness()));
    let shown: Vec<String> =
        found.iter().take(MAX_KEYS).map(|state| state.explain().join("\n") + "\n").collect();
    let mut text = shown.join("\n");
    if let Some(more) = found.len().checked_sub(MAX_KEYS).filter(|more| *more > 0) {
        let _ = writeln!(text, "\n{more} more keys match; name the user and the model more exactly.");
    }
    text
}

fn nothing(asked: &str, rules: &[Rule], exempt_users: &[Pattern]) -> String {
    let on: Vec<&str> = rules.iter().map(|rule| rule.id).collect();
    let off: Vec<&str> = ALL.iter().map(|rule| rule.id).filter(|id| !on.contains(id)).collect();
    let everywhere = exempt_users.iter().any(|glob| glob.matches(asked));
    let exempts = |rule: &&Rule| everywhere || rule.exempts(Some(asked));
    let exempt: Vec<&str> = rules.iter().filter(exempts).map(|rule| rule.id).collect();
    let mut text =
        format!("Nothing counted by {} is about {}.\n", on.join(", "), plain(asked, DOCUMENT_BYTES));
    if exempt.is_empty() {
        text += "Denials of exempt users are not counted, and old ones are forgotten.\n";
    } else {
        let _ = writeln!(text, "It is exempt from {}.", exempt.join(", "));
    }
    if !off.is_empty() {
        let _ = writeln!(text, "Rules not looked at: {}.", off.join(", "));
    }
    text
}

/// The state of one key, as any store keeps it.
#[derive(Clone, Copy, Debug)]
pub struct KeyState<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The key.
    pub key: &'a Key,
    /// Its counters, sorted by slot.
    pub counters: &'a [Counter],
    /// The times of its alerts.
    pub alerts: &'a BTreeSet<EventTime>,
    /// Its caller's incidents; `None` if the caller has none.
    pub caller: Option<&'a CallerState>,
    /// It comes from a replay, which sends nothing.
    pub is_replayed: bool,
}

impl KeyState<'_> {
    /// Whether it is what someone asks about: `asked` is the id of one of its alerts, part of one of
    /// its values, or a user whom its caller includes.
    #[must_use]
    pub fn is_about(&self, asked: &str) -> bool {
        self.key.values.iter().flatten().any(|value| value.contains(asked))
            || self.key.identity(self.rule) == Some(Identity::of(asked).caller)
            || self.alerts.iter().any(|at| alert::id(self.key, *at) == asked)
    }

    /// How near the key came to its threshold, in thousandths; above 1,000 it fires.
    #[must_use]
    pub fn nearness(&self) -> u64 {
        let peak = Window::new(self.rule, self.counters).peak().map_or(0, |peak| peak.count);
        peak.saturating_mul(1_000)
            .checked_div(self.rule.threshold as u64)
            .unwrap_or(peak.saturating_mul(1_000))
    }

    /// The explanation, in lines. Without denials there is nothing but the key.
    #[must_use]
    pub fn explain(&self) -> Vec<String> {
        let mut lines = vec![self.heading()];
        let window = Window::new(self.rule, self.counters);
        let Some(all) = window.all() else { return lines };
        let noun = self.rule.wording.noun;
        lines.push(format!(
            "  Known: {}{}, {}.",
            if all.is_lower_bound { "at least " } else { "" },
            counted(all.total, noun),
            span(all.first_seen, all.last_seen)
        ));
        lines.push(format!(
            "  The rule fires above {} within {}.",
            self.rule.threshold,
            minutes(self.rule.window.as_secs() / 60)
        ));
        for at in self.alerts {
            lines.extend(self.fired(&window, *at));
        }
        if self.alerts.is_empty() {
            lines.extend(self.quiet(&window));
        }
        lines.extend(listed(&window, self.rule));
        lines
    }

    fn heading(&self) -> String {
        let named = |field: &Field| {
            format!("{} {}", field.label().to_lowercase(), whole(self.key.get(self.rule, *field)))
        };
        let values: Vec<_> = self.rule.group_by.iter().map(named).collect();
        format!("{}: {}", self.rule.id, values.join(", "))
    }

    fn fired(&self, window: &Window<'_>, at: EventTime) -> Vec<String> {
        let (rule, noun) = (self.rule, self.rule.wording.noun);
        let mut lines = vec![format!("  Alert {}, at {}:", alert::id(self.key, at), utc(at))];
        let next = at.plus(rule.cooldown);
        match window.ending(at) {
            Some((first, count)) if count > rule.threshold as u64 => lines.push(format!(
                "    {} {}, which is above {}.",
                counted(count, noun),
                span(first, at),
                rule.threshold
            )),
            _ => lines.push("    The denials it fired for are no longer known.".to_owned()),
        }
        let after = window.samples().iter().filter(|(time, _)| *time > at && *time <= next).count();
        let follow = match after {
            0 => String::new(),
            1 => "; 1 more denial until then belongs to this one".to_owned(),
            after => format!("; {after} more denials until then belong to this one"),
        };
        lines.push(format!("    No other alert of this key before {}{follow}.", utc(next)));
        if let Some(line) = self.incident(at) {
            lines.push(line);
        }
        lines
    }

    /// The incident that an alert at `at` belongs to.
    fn incident(&self, at: EventTime) -> Option<String> {
        let caller = Caller::of(self.rule, self.key);
        let state = self.caller?;
        let begin = state.log.nearest(at)?;
        let incident = state.log.incidents.get(&begin)?;
        let (id, alerts) = (incident::id(&caller, begin), incident.alerts);
        let (one, many) = if self.is_replayed {
            ("would have been sent", "would have been sent")
        } else {
            ("was sent", "were sent")
        };
        let notices = match incident.notices {
            0 => format!("no notification {one}"),
            1 => format!("one notification {one}, about {}", incident.told),
            number => format!("{number} notifications {many}, the last about {}", incident.told),
        };
        let all = plural(alerts, "alert");
        let served = state.served.get(&begin).map(|served| format!("\n    {}.", alert::served::line(served)));
        Some(format!(
            "    It belongs to incident {id} of {}: {all}, {notices}.{}",
            whole(caller.arn.as_deref()),
            served.unwrap_or_default()
        ))
    }

    fn quiet(&self, window: &Window<'_>) -> Vec<String> {
        let (threshold, noun) = (self.rule.threshold as u64, self.rule.wording.noun);
        let Some(peak) = window.peak() else { return Vec::new() };
        let Some((first, _)) = window.ending(peak.at) else { return Vec::new() };
        if peak.count > threshold {
            return vec![format!(
                "  It should have fired at {}: {} is above {threshold}. Other settings counted them, or a delivery has not ended.",
                utc(peak.at),
                counted(peak.count, noun)
            )];
        }
        let missing = threshold.saturating_add(1).saturating_sub(peak.count);
        let more = if self.rule.weight == Weight::Tokens {
            format!("{missing} more {noun} would have fired")
        } else {
            format!("{missing} more within the window would have fired")
        };
        vec![format!(
            "  It did not fire: the busiest window holds {}, {}; {more}.",
            counted(peak.count, noun),
            span(first, peak.at)
        )]
    }
}

/// `1 model`, `3 models`.
fn counted(number: u64, noun: &str) -> String {
    let noun = if number == 1 { noun.strip_suffix('s').unwrap_or(noun) } else { noun };
    format!("{number} {noun}")
}

fn span(first: EventTime, last: EventTime) -> String {
    if first == last {
        format!("at {}", utc(first))
    } else {
        format!("from {} to {}", clock(first), utc(last))
    }
}

/// The known denials, oldest first.
fn listed(window: &Window<'_>, rule: &Rule) -> Vec<String> {
    let samples = window.samples();
    let mut lines =
        vec![format!("  Known {}:", if rule.weight == Weight::Tokens { "calls" } else { "denials" })];
    for (at, value) in samples.iter().take(MAX_LISTED) {
        let value = value.with_text(|value| whole(Some(value).filter(|value| *value != MISSING)));
        let label = rule.distinct.label().to_lowercase();
        lines.push(format!("    {}  {label} {value}", utc(*at)));
    }
    if samples.len() > MAX_LISTED {
        lines.push(format!("    and {} more", samples.len().saturating_sub(MAX_LISTED)));
    }
    lines
}
