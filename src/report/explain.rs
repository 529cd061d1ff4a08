//! Why one key fired, or did not: the rule's arithmetic in words.

use std::collections::BTreeSet;

use crate::alert;
use crate::alert::display::{clock, minutes, utc};
use crate::alert::terminal::whole;
use crate::count::caller::Caller;
use crate::count::counter::Counter;
use crate::count::incident::{self, IncidentLog, SPAN};
use crate::count::key::Key;
use crate::count::window::Window;
use crate::log::time::EventTime;
use crate::rule::definition::{Rule, Weight};
use crate::rule::field::{Field, MISSING};

/// The most denials listed one by one.
const MAX_LISTED: usize = 20;

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
    /// The incidents of its caller.
    pub incidents: &'a IncidentLog,
}

impl KeyState<'_> {
    /// Whether it is what someone asks about: `asked` is the id of one of its alerts, or part of one of
    /// its values.
    #[must_use]
    pub fn is_about(&self, asked: &str) -> bool {
        self.key.values.iter().flatten().any(|value| value.contains(asked))
            || self.alerts.iter().any(|at| alert::id(self.key, *at) == asked)
    }

    /// How near the key came to its threshold, in thousandths; above 1,000 it fires.
    #[must_use]
    pub fn nearness(&self) -> u64 {
        let peak = Window::new(self.rule, self.counters).peak().map_or(0, |peak| peak.count);
        peak.saturating_mul(1_000) / (self.rule.threshold as u64).max(1)
    }

    /// The explanation, in lines. Without denials there is nothing but the key.
    #[must_use]
    pub fn explain(&self) -> Vec<String> {
        let mut lines = vec![self.heading()];
        let mut window = Window::new(self.rule, self.counters);
        let Some(all) = window.all() else { return lines };
        let noun = self.rule.wording.noun;
        let bound = if all.at_least { "at least " } else { "" };
        lines.push(format!(
            "  Known: {bound}{}, {}.",
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
        let within = |begin: &&EventTime| at >= begin.minus(SPAN) && at <= begin.plus(SPAN);
        let begin = self.incidents.incidents.keys().find(within)?;
        let incident = &self.incidents.incidents[begin];
        let (id, alerts) = (incident::id(&caller, *begin), incident.alerts);
        let notices = match incident.notices {
            0 => "no notice was sent".to_owned(),
            1 => format!("one notice was sent, about {}", incident.told),
            number => format!("{number} notices were sent, the last about {}", incident.told),
        };
        let all = if alerts == 1 { "1 alert".to_owned() } else { format!("{alerts} alerts") };
        Some(format!(
            "    It belongs to incident {id} of {}: {all}, {notices}.",
            whole(caller.arn.as_deref())
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
        let missing = threshold + 1 - peak.count;
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
        let value = Some(*value).filter(|value| *value != MISSING);
        let label = rule.distinct.label().to_lowercase();
        lines.push(format!("    {}  {label} {}", utc(*at), whole(value)));
    }
    if samples.len() > MAX_LISTED {
        lines.push(format!("    and {} more", samples.len() - MAX_LISTED));
    }
    lines
}
