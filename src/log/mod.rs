//! From a stored object to denials. Independent of the rules.
//!
//! | step | file |
//! |---|---|
//! | Which folder and object, and is it a log? | [`layout`], [`object`] |
//! | Bytes as stored → text | [`inflate`] |
//! | Text in view | `buffer` |
//! | Text → candidate records | `framing` by `lines` or `values`; `needles`, `nesting`, `resync`, `wrapper` |
//! | Envelopes around records | `envelope`, `document` |
//! | Record → denial, from either log | `record`, [`facts`], `cloudtrail`, [`model`], [`text`], [`denial`], [`time`] |

pub(crate) mod buffer;
pub(crate) mod cloudtrail;
pub mod denial;
pub(crate) mod document;
pub(crate) mod envelope;
pub mod facts;
pub(crate) mod framing;
pub mod inflate;
pub mod layout;
pub(crate) mod lines;
pub mod model;
pub(crate) mod needles;
pub(crate) mod nesting;
pub mod object;
pub(crate) mod record;
pub(crate) mod resync;
pub mod text;
pub mod time;
pub(crate) mod values;
pub(crate) mod wrapper;
