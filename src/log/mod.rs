//! From a stored object to denials. Knows nothing of rules.
//!
//! | step | file |
//! |---|---|
//! | Which object, and is it a log? | [`object`] |
//! | Bytes as stored → text | [`inflate`] |
//! | Text → candidate records | `framing`, `nesting`, `sweep` |
//! | Record → denial, from either log | `record`, `cloudtrail`, [`model`], [`text`], [`denial`], [`time`] |

pub(crate) mod cloudtrail;
pub mod denial;
pub(crate) mod framing;
pub mod inflate;
pub mod model;
pub(crate) mod nesting;
pub mod object;
pub(crate) mod record;
pub(crate) mod sweep;
pub mod text;
pub mod time;
