//! The user's settings on top of the rule files, the same for `replay` and the Lambda.

use std::collections::BTreeMap;

use glob::Pattern;

use super::bounds;
use super::closest::did_you_mean;
use super::definition::Rule;
use super::exempt;

/// The settings of a detector.
#[derive(Clone, Debug)]
pub struct Settings {
    /// All rules with their settings, enabled or not.
    pub rules: Vec<Rule>,
    /// Users that no rule alerts on.
    pub exempt_users: Vec<Pattern>,
    /// Where each setting came from: rule and setting → the parameter, such as `--set`. Anything else
    /// comes from the rule's file.
    origins: BTreeMap<(&'static str, Setting), String>,
}

/// A setting of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// Whether it is enabled.
    On,
    /// The number above which it fires.
    Threshold,
    /// Length of the window.
    Window,
    /// At most one alert per key in this span.
    Cooldown,
    /// How much an alert matters; the risk score follows.
    Severity,
    /// A glob on users the rule never alerts on; may be repeated.
    Exempt,
}

impl Setting {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::On, Self::Severity, Self::Threshold, Self::Window, Self::Cooldown, Self::Exempt];

    /// The name after the rule's id and a dot.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Threshold => "threshold",
            Self::Window => "window",
            Self::Cooldown => "cooldown",
            Self::Severity => "severity",
            Self::Exempt => "exempt",
        }
    }
}

impl Settings {
    /// `rules` as in their files.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules, exempt_users: Vec::new(), origins: BTreeMap::new() }
    }

    /// The enabled rules.
    #[must_use]
    pub fn rules_on(&self) -> Vec<Rule> {
        self.rules.iter().filter(|rule| rule.on).cloned().collect()
    }

    /// Checks what no single setting shows: that the enabled rules stay within their cost limit.
    ///
    /// # Errors
    /// As [`Rule::check_cost`].
    pub fn check(&self) -> Result<(), String> {
        self.rules.iter().filter(|rule| rule.on).try_for_each(Rule::check_cost)
    }

    /// What the user should know about settings that are allowed and perhaps not meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let everywhere = self.exempt_users.iter().map(|glob| (String::new(), glob));
        let of_rule = |rule: &Rule| format!("{}.{}=", rule.id, Setting::Exempt.name());
        let by_rule = self
            .rules
            .iter()
            .flat_map(|rule| rule.exempt_users.iter().map(move |glob| (of_rule(rule), glob)));
        let warnings = everywhere.chain(by_rule).filter_map(|(setting, glob)| {
            Some(format!("exempt users: {setting}{glob}: {}", exempt::warning(glob.as_str())?))
        });
        warnings.collect()
    }

    /// Where the setting came from; `None` for the rule's file.
    #[must_use]
    pub fn origin(&self, rule: &Rule, setting: Setting) -> Option<&str> {
        self.origins.get(&(rule.id, setting)).map(String::as_str)
    }

    /// Enables the rules whose ids `text` lists, separated by commas, and disables all others; `all` means
    /// every rule.
    ///
    /// # Errors
    /// What was expected.
    pub fn choose(&mut self, origin: &str, text: &str) -> Result<(), String> {
        let ids: Vec<&str> = text.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
        let known = |id: &str| id == "all" || self.rules.iter().any(|rule| rule.id == id);
        let unknown = ids.iter().copied().find(|id| !known(id));
        if ids.is_empty() || unknown.is_some() {
            let meant = unknown.map(|id| self.meant(id)).unwrap_or_default();
            return Err(format!(
                "expected one or more of {}, separated by commas, or all{meant}",
                self.ids()
            ));
        }
        for rule in &mut self.rules {
            rule.on = ids.contains(&rule.id) || ids.contains(&"all");
            self.origins.insert((rule.id, Setting::On), origin.to_owned());
        }
        Ok(())
    }

    /// Applies settings such as `model-sweep.threshold=5,denied-model.window=30m`, separated by
    /// commas.
    ///
    /// # Errors
    /// The first bad setting: its key, its value and what was expected.
    pub fn apply(&mut self, origin: &str, text: &str) -> Result<(), String> {
        for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            let (key, value) = one.split_once('=').ok_or_else(|| {
                format!("{one:?}: expected <rule>.<setting>=<value>, such as model-sweep.threshold=5")
            })?;
            let (key, value) = (key.trim(), value.trim());
            let bad = |expected: String| format!("{key}={value}: {expected}");
            let (id, name) = key.rsplit_once('.').ok_or_else(|| {
                bad("expected <rule>.<setting> before the =, such as model-sweep.threshold".to_owned())
            })?;
            let setting =
                Setting::ALL.into_iter().find(|setting| setting.name() == name).ok_or_else(|| {
                    let names = Setting::ALL.map(Setting::name).join(", ");
                    let meant = did_you_mean(name, Setting::ALL.map(Setting::name));
                    bad(format!("expected one of the settings {names}{meant}"))
                })?;
            if !self.rules.iter().any(|rule| rule.id == id) {
                return Err(bad(format!("expected one of the rules {}{}", self.ids(), self.meant(id))));
            }
            self.set(origin, id, setting, value).map_err(bad)?;
        }
        Ok(())
    }

    /// Changes one setting of a rule; does nothing if no rule has this id.
    ///
    /// # Errors
    /// What value was expected, or where it was already set.
    pub fn set(&mut self, origin: &str, id: &str, setting: Setting, value: &str) -> Result<(), String> {
        let Some(rule) = self.rules.iter_mut().find(|rule| rule.id == id) else { return Ok(()) };
        // A cooldown without a length of its own follows the window.
        let follows =
            rule.cooldown == rule.window && !self.origins.contains_key(&(rule.id, Setting::Cooldown));
        match setting {
            Setting::On => rule.on = bounds::on(value)?,
            Setting::Threshold => rule.threshold = bounds::threshold(rule.weight, value)?,
            Setting::Window => rule.window = bounds::span(value)?,
            Setting::Cooldown => rule.cooldown = bounds::span(value)?,
            Setting::Severity => {
                rule.severity = bounds::severity(value)?;
                rule.risk_score = rule.severity.risk_score();
            }
            Setting::Exempt => rule.exempt_users.push(bounds::user_glob(value)?),
        }
        if follows && setting == Setting::Window {
            rule.cooldown = rule.window;
        }
        let before = self.origins.insert((rule.id, setting), origin.to_owned());
        match before {
            Some(before) if before == origin && setting != Setting::Exempt => {
                Err(format!("expected to be set once, but {origin} sets it twice"))
            }
            _ => Ok(()),
        }
    }

    fn meant(&self, id: &str) -> String {
        did_you_mean(id, self.rules.iter().map(|rule| rule.id))
    }

    fn ids(&self) -> String {
        self.rules.iter().map(|rule| rule.id).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rule::catalogue::ALL;

    fn settings() -> Settings {
        Settings::new(ALL.clone())
    }

    fn ids_on(settings: &Settings) -> Vec<&'static str> {
        settings.rules_on().iter().map(|rule| rule.id).collect()
    }

    #[track_caller]
    fn check(text: &str, id: &str, shown: &str) {
        let mut settings = settings();
        settings.apply("here", text).expect(text);
        let rule = settings.rules.iter().find(|rule| rule.id == id).expect(id);
        let minutes = |span: Duration| span.as_secs() / 60;
        let Rule { on, threshold, severity, risk_score, .. } = rule;
        let exempt: Vec<&str> = rule.exempt_users.iter().map(Pattern::as_str).collect();
        assert_eq!(
            format!(
                "{on} {threshold} {} {} {} {risk_score} {exempt:?}",
                minutes(rule.window),
                minutes(rule.cooldown),
                severity.name()
            ),
            shown,
            "{text}"
        );
    }

    #[track_caller]
    fn check_refused(text: &str, told: &str) {
        let error = settings().apply("here", text).expect_err(text);
        assert_eq!(error, told);
    }

    #[test]
    fn every_rule_can_be_set() {
        check("", "model-sweep", "true 3 60 60 high 73 []");
        check("model-sweep.threshold=5", "model-sweep", "true 5 60 60 high 73 []");
        check(
            " model-sweep.threshold = 5 ,, model-sweep.on=false ",
            "model-sweep",
            "false 5 60 60 high 73 []",
        );
        check("model-sweep.severity=critical", "model-sweep", "true 3 60 60 critical 99 []");
        check(
            "session-rotation.exempt=arn:aws:sts::*:assumed-role/agent-*,session-rotation.exempt=a=b",
            "session-rotation",
            r#"true 3 60 60 medium 47 ["arn:aws:sts::*:assumed-role/agent-*", "a=b"]"#,
        );
        for rule in ALL.iter() {
            let text = format!(
                "{0}.threshold=7,{0}.window=5m,{0}.cooldown=2h,{0}.on=true,{0}.severity=low",
                rule.id
            );
            check(&text, rule.id, "true 7 5 120 low 21 []");
        }
    }

    #[test]
    fn a_cooldown_follows_the_window_unless_it_has_a_length_of_its_own() {
        check("denied-model.window=30m", "denied-model", "true 3 30 30 high 73 []");
        check("denied-model.window=30m,denied-model.cooldown=2h", "denied-model", "true 3 30 120 high 73 []");
        check("denied-model.cooldown=60m,denied-model.window=30m", "denied-model", "true 3 30 60 high 73 []");
        check("validation-burst.window=2m", "validation-burst", "false 3 2 60 high 73 []");
    }

    #[test]
    fn a_bad_setting_is_refused_with_key_value_and_what_was_expected() {
        check_refused(
            "model-sweep",
            "\"model-sweep\": expected <rule>.<setting>=<value>, such as model-sweep.threshold=5",
        );
        check_refused(
            "threshold=5",
            "threshold=5: expected <rule>.<setting> before the =, such as model-sweep.threshold",
        );
        check_refused(
            "model-sweep.treshold=5",
            "model-sweep.treshold=5: expected one of the settings on, severity, threshold, window, cooldown, exempt; did you mean threshold?",
        );
        let ids = settings().ids();
        check_refused(
            "sweep.threshold=5",
            &format!("sweep.threshold=5: expected one of the rules {ids}; did you mean model-sweep?"),
        );
        check_refused(
            "denied-model.window=2h,model-sweep.threshold=many",
            "model-sweep.threshold=many: expected a whole number from 0 to 1000",
        );
        let minutes = "expected whole minutes from 1m to 24h, such as 60m or 1h";
        check_refused("model-sweep.window=90s", &format!("model-sweep.window=90s: {minutes}"));
        check_refused("model-sweep.cooldown=", &format!("model-sweep.cooldown=: {minutes}"));
        check_refused("model-sweep.on=yes", "model-sweep.on=yes: expected true or false");
        check_refused(
            "model-sweep.severity=5",
            "model-sweep.severity=5: expected low, medium, high or critical",
        );
        check_refused(
            "model-sweep.on=true,model-sweep.on=false",
            "model-sweep.on=false: expected to be set once, but here sets it twice",
        );
    }

    #[test]
    fn rules_are_chosen_by_id_and_turned_on_and_off_one_by_one() {
        let mut settings = settings();
        let by_default = ids_on(&settings);
        assert!(by_default.contains(&"denied-model") && !by_default.contains(&"validation-burst"));
        settings.choose("RULES", " model-sweep ,,denied-model").expect("good");
        assert_eq!(ids_on(&settings), ["denied-model", "model-sweep"]);
        settings.apply("RULE_SETTINGS", "model-sweep.on=false,validation-burst.on=true").expect("good");
        assert_eq!(ids_on(&settings), ["denied-model", "validation-burst"]);
        settings.choose("RULES", "all").expect("good");
        assert_eq!(settings.rules_on().len(), ALL.len());
        for text in ["", ",", "denied_model", "denied-model,sweep"] {
            let error = settings.choose("RULES", text).expect_err(text);
            assert!(error.starts_with("expected one or more of api-key-escape, denied-model, "), "{error}");
        }
    }

    #[test]
    fn an_exemption_that_reaches_too_far_is_warned_about_wherever_it_is_set() {
        let mut settings = settings();
        settings.apply("here", "model-sweep.exempt=arn:aws:sts::*:assumed-role/x/*").expect("good");
        assert!(settings.warnings().is_empty());
        settings.apply("here", "model-sweep.exempt=*:assumed-role/x/*").expect("good");
        settings.exempt_users = vec![Pattern::new("*:assumed-role/y/*").expect("a glob")];
        let warnings = settings.warnings();
        let begin: Vec<&str> = warnings.iter().filter_map(|warning| warning.split(": an ").next()).collect();
        assert_eq!(
            begin,
            ["exempt users: *:assumed-role/y/*", "exempt users: model-sweep.exempt=*:assumed-role/x/*"]
        );
    }

    #[test]
    fn the_origin_of_a_setting_is_known_and_the_later_one_holds() {
        let mut settings = settings();
        settings.set("--threshold", "denied-model", Setting::Threshold, "5").expect("good");
        settings.apply("--set", "denied-model.threshold=6").expect("good");
        let rule = settings.rules.iter().find(|rule| rule.id == "denied-model").expect("there");
        assert_eq!(rule.threshold, 6);
        assert_eq!(settings.origin(rule, Setting::Threshold), Some("--set"));
        assert_eq!(settings.origin(rule, Setting::Window), None);
    }
}
