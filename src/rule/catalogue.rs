//! The rules: the files of `rules/`, compiled in, and those of a folder.

use std::path::Path;
use std::sync::LazyLock;
use std::{fs, io};

use super::definition::Rule;
use super::file::{self, RuleError};

/// Name and text of each file of `rules/`, by name.
pub const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// All built-in rules, by id.
pub static ALL: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let rules = FILES.iter().map(|(name, text)| file::rule(name, text));
    rules.map(|rule| rule.unwrap_or_else(|error| panic!("a test reads every file: {error}"))).collect()
});

/// The rule whose threshold, window and cooldown have parameters of their own.
pub static DENIED_MODEL: LazyLock<Rule> = LazyLock::new(|| built_in("denied-model").clone());

/// A built-in rule.
///
/// # Panics
/// When no built-in rule has this id.
#[must_use]
pub fn built_in(id: &str) -> &'static Rule {
    ALL.iter().find(|rule| rule.id == id).unwrap_or_else(|| panic!("there is no rules/{id}.toml"))
}

/// Why rule files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder, or a file in it, cannot be read.
    #[error("{path}: {cause}")]
    Unreadable {
        /// Folder or file.
        path: String,
        /// The cause.
        cause: io::Error,
    },
    /// No file's name ends in `.toml`.
    #[error("{0}: expected a folder with rule files, <id>.toml")]
    Empty(String),
    /// A file is not a rule.
    #[error(transparent)]
    Bad(#[from] RuleError),
}

/// Name and text of each rule file in `folder`, by name.
///
/// # Errors
/// When the folder or one of its rule files cannot be read, or it has none.
pub fn files_in(folder: &Path) -> Result<Vec<(String, String)>, LoadError> {
    let unreadable = |path: &Path, cause| LoadError::Unreadable { path: path.display().to_string(), cause };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|cause| unreadable(folder, cause))? {
        let path = entry.map_err(|cause| unreadable(folder, cause))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = fs::read_to_string(&path).map_err(|cause| unreadable(&path, cause))?;
            files.push((path.display().to_string(), text));
        }
    }
    files.sort();
    if files.is_empty() { Err(LoadError::Empty(folder.display().to_string())) } else { Ok(files) }
}

/// The built-in rules and those of `folder`, which replace a built-in one of the same id.
///
/// # Errors
/// When a file of the folder cannot be read or is not a rule.
pub fn with_rules_in(folder: &Path) -> Result<Vec<Rule>, LoadError> {
    let mut rules = ALL.to_vec();
    for (name, text) in files_in(folder)? {
        let (rule, _) = file::rule_and_examples(&name, &text)?;
        match rules.iter_mut().find(|other| other.id == rule.id) {
            Some(other) => *other = rule,
            None => rules.push(rule),
        }
    }
    Ok(rules)
}
