//! The size of an incident in a few words.

use super::Notice;
use crate::alert::display::short;
use crate::rule::definition::Rule;
use crate::rule::field::Field;

/// Never above the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scale {
    /// Different models.
    pub models: u64,
    /// Refused calls.
    pub denials: u64,
    /// Both may be higher.
    pub at_least: bool,
}

/// Whether the rule counts refused calls, rather than invalid or guarded ones.
fn counts_denials(rule: &Rule) -> bool {
    rule.distinct == Field::RequestId && rule.wording.noun == "denials"
}

impl Notice<'_> {
    pub(super) fn scale(&self) -> Scale {
        let mut scale = Scale::default();
        let mut models_denied = 0;
        let known = |id: &str| self.rules.iter().find(|rule| rule.id == id);
        for (id, figures) in &self.incident.rules {
            let Some(rule) = known(id) else { continue };
            let models = if rule.distinct == Field::Model { figures.most } else { figures.models };
            scale.models = scale.models.max(models);
            if counts_denials(rule) {
                scale.denials = scale.denials.max(figures.total);
                models_denied = models_denied.max(figures.models);
            }
        }
        // The worst alert's figures were just read again.
        let worst = &self.worst;
        if worst.rule.distinct == Field::Model {
            scale.models = scale.models.max(worst.figures.total);
        } else if counts_denials(worst.rule) {
            scale.denials = scale.denials.max(worst.figures.total);
        }
        // Each model was refused at least once.
        scale.denials = scale.denials.max(scale.models);
        // Alerts of earlier deliveries keep the figures of that time, and models below a rule's
        // threshold have none.
        let lower_bounds = self.incident.top.iter().any(|one| one.at_least) || worst.figures.at_least;
        scale.at_least = self.incident.notices > 0 || lower_bounds || models_denied < scale.models;
        scale
    }

    /// What happened to the caller: `denied 23 models, 140 times`, with `was` in front if it has to be a
    /// sentence; `short` shows ids.
    pub(super) fn deed(&self, was: &str, short: impl Fn(Option<&str>) -> String) -> String {
        let Scale { models, denials, at_least } = self.scale();
        let was = format!("{was}denied {}", if at_least { "at least " } else { "" });
        match (models, denials) {
            (0, 0) => self.alerts_by_rule(),
            (0 | 1, _) if self.worst.model().is_some() => {
                format!("{was}{denials} times for {}", short(self.worst.model()))
            }
            (0 | 1, _) => format!("{was}{denials} times"),
            _ if denials == models => format!("{was}{models} models"),
            _ => format!("{was}{models} models, {denials} times"),
        }
    }

    /// `raised 12 alerts of guardrail-topic, guardrail-word`.
    fn alerts_by_rule(&self) -> String {
        let rules: Vec<&str> = self.incident.rules.keys().map(String::as_str).collect();
        let (alerts, plural) = (self.incident.alerts, if self.incident.alerts == 1 { "" } else { "s" });
        format!("raised {alerts} alert{plural} of {}", rules.join(", "))
    }

    /// The name people know the caller by.
    pub(super) fn who(&self) -> String {
        short(self.caller.arn.as_deref())
    }
}
