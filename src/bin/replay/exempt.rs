//! Exemptions that match no user: which users there are, and which may be meant.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bedrock_denial_watch::alert::words::first_few;
use bedrock_denial_watch::call::Call;
use bedrock_denial_watch::rule::closest::closest;
use bedrock_denial_watch::rule::settings::{Setting, Settings};
use glob::Pattern;

/// A caller can invent any number of names.
const MAX_USERS: usize = 10_000;
/// Users that a message names.
const MAX_NAMED: usize = 3;

/// The exemptions of a run, and the users seen.
pub struct Exemptions {
    globs: Vec<Exemption>,
    users: Mutex<BTreeSet<String>>,
}

struct Exemption {
    /// As on the command line.
    option: String,
    glob: Pattern,
    matched: AtomicBool,
}

impl Exemptions {
    pub fn of(settings: &Settings) -> Self {
        let everywhere =
            settings.exempt_users.iter().map(|glob| (format!("--exempt-user {glob}"), glob.clone()));
        let by_rule = settings.rules.iter().filter(|rule| rule.on).flat_map(|rule| {
            let option = format!("--set {}.{}=", rule.id, Setting::Exempt.name());
            rule.exempt_users.iter().map(move |glob| (format!("{option}{glob}"), glob.clone()))
        });
        let globs = everywhere.chain(by_rule);
        let globs = globs.map(|(option, glob)| Exemption { option, glob, matched: AtomicBool::new(false) });
        Self { globs: globs.collect(), users: Mutex::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    /// Notes who made a call.
    pub fn see(&self, call: &Call<'_>) {
        let Some(user) = call.user.as_deref() else { return };
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.contains(user) {
            return;
        }
        for one in self.globs.iter().filter(|one| one.glob.matches(user)) {
            one.matched.store(true, Ordering::Relaxed);
        }
        if users.len() < MAX_USERS {
            users.insert(user.to_owned());
        }
    }

    /// A warning for each exemption that matched no one.
    pub fn unmatched(&self) -> Vec<String> {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let unmatched = self.globs.iter().filter(|one| !one.matched.load(Ordering::Relaxed));
        unmatched.map(|one| one.warning(&users)).collect()
    }
}

impl Exemption {
    fn warning(&self, users: &BTreeSet<String>) -> String {
        let Self { option, glob, .. } = self;
        let known: Vec<&str> = users.iter().map(String::as_str).collect();
        let hint = match closest(glob.as_str(), known.iter().copied()).first() {
            Some(user) => {
                format!("it must match the whole ARN; did you mean {}?", whole(glob.as_str(), user))
            }
            None if users.is_empty() => "no call that the rules look for names a user".to_owned(),
            None => format!("it must match the whole ARN; users seen: {}", first_few(&known, MAX_NAMED)),
        };
        format!("{option} matches no user; {hint}")
    }
}

/// `user` or, if its session does not contain what was asked for, all sessions of its role.
fn whole(asked: &str, user: &str) -> String {
    match user.rsplit_once('/') {
        Some((role, session))
            if role.contains(":assumed-role/") && !session.contains(asked.trim_matches('*')) =>
        {
            format!("'{role}/*'")
        }
        _ => user.to_owned(),
    }
}
