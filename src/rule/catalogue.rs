//! The rules: the files of `rules/`, compiled in, and those of a folder.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::LazyLock;

use super::definition::Rule;
use super::file::{self, RuleError};

/// Name and text of each file of `rules/`, by name.
pub const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// The same as if they were read from a folder.
#[must_use]
pub fn built_in_files() -> Vec<(String, String)> {
    FILES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// All built-in rules, by id.
#[expect(clippy::panic, reason = "the files are part of the program, and a test reads each")]
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
#[expect(clippy::panic, reason = "the ids are part of the program")]
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
            let text = text_of(&path).map_err(|cause| unreadable(&path, cause))?;
            files.push((path.display().to_string(), text));
        }
    }
    files.sort();
    if files.is_empty() { Err(LoadError::Empty(folder.display().to_string())) } else { Ok(files) }
}

/// A rule of ours has 10 KB, with all its examples.
const FILE_BYTES: u64 = 256 * 1024;

/// What a rule file holds. A folder of rules may come from others, with a link to a device in it, or with
/// texts that act on a terminal.
fn text_of(path: &Path) -> io::Result<String> {
    let expected = |what: &str| Err(io::Error::other(format!("expected {what}")));
    if !fs::metadata(path)?.is_file() {
        return expected("a file");
    }
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES {
        return expected(&format!("at most {FILE_BYTES} bytes"));
    }
    // Reading the rule reports what is not TOML, with its line.
    if toml::from_str(&text).is_ok_and(|table| has_control_characters(&toml::Value::Table(table))) {
        return expected("texts without control characters");
    }
    Ok(text)
}

fn has_control_characters(value: &toml::Value) -> bool {
    match value {
        toml::Value::String(text) => text.chars().any(|one| one.is_control() && !matches!(one, '\n' | '\t')),
        toml::Value::Array(values) => values.iter().any(has_control_characters),
        toml::Value::Table(table) => table.values().any(has_control_characters),
        _ => false,
    }
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
