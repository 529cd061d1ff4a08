//! One input, and all of them in their order.

use std::path::{Path, PathBuf};

use crate::source::object::{self, Skip};

/// One file or S3 object, or standard input.
pub struct Input {
    /// As given, or below the folder as given; `-` for standard input, `s3://bucket/key` for an object.
    pub path: PathBuf,
    /// The same as text.
    pub name: String,
    /// Its size, 0 where unknown.
    pub bytes: u64,
    /// Why it is skipped.
    pub skip: Option<Skip>,
    /// Whether it was named itself, rather than found in a folder.
    pub explicit: bool,
}

impl Input {
    /// Whether it can be read only once.
    #[must_use]
    pub fn is_stdin(&self) -> bool {
        is_stdin(&self.path)
    }
}

/// What there is to read.
#[derive(Default)]
pub struct Inputs {
    /// In no order before [`sort`].
    pub inputs: Vec<Input>,
    /// What could not be found, by name and reason.
    pub missing: Vec<(String, String)>,
    /// What you may not have expected.
    pub notes: Vec<String>,
}

/// Sorts in delivery order: by the time stamp in the name of a file that AWS wrote, then the others by path.
pub fn sort(inputs: &mut [Input]) {
    inputs.sort_by_cached_key(|input| {
        let stamp = object::delivery_stamp(&input.name).map(str::to_owned);
        (stamp.is_none(), stamp, input.name.clone())
    });
}

/// Whether it is an object in S3 rather than a file.
#[must_use]
pub fn is_s3(path: &Path) -> bool {
    path.to_string_lossy().starts_with("s3://")
}

pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}
