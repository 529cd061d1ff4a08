//! Many log objects in, for a program at a terminal: found, several read at once, and what is said meanwhile.
//!
//! | step | file |
//! |---|---|
//! | What there is to read, in its order | `input` |
//! | Files of this machine | [`disk`] |
//! | Objects in S3, with the feature `aws` | `s3` |
//! | Several at once, taken in their order, until a signal | [`parallel`], [`interrupt`] |
//! | The progress bar, and lines above it | [`progress`] |
//! | What is said of each input | [`notes`] |
//! | How it went | [`summary`] |
//! | The report, as a file | [`page`] |
//! | One caller's calls, from all of them | [`caller`] |

pub mod caller;
pub mod disk;
mod input;
pub mod interrupt;
pub mod notes;
pub mod page;
pub mod parallel;
pub mod progress;
#[cfg(feature = "aws")]
pub mod s3;
pub mod summary;

pub use self::input::{Input, Inputs, is_s3, sort};
