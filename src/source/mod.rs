//! From a stored object to pieces of JSON. Independent of what they contain.
//!
//! | step | file |
//! |---|---|
//! | Which folder and object, and is it a log? | [`layout`], [`object`] |
//! | Bytes as stored → text | [`inflate`] |
//! | Text in view | `buffer` |
//! | Text → candidate records | `framing` by `lines` or `values`; `needles`, `nesting`, `resync`, `wrapper` |
//! | Envelopes around records | `envelope` |
//! | What every stage works with | [`text`], [`time`] |

pub(crate) mod buffer;
pub(crate) mod envelope;
pub(crate) mod framing;
pub mod inflate;
pub mod layout;
pub(crate) mod lines;
pub(crate) mod needles;
pub(crate) mod nesting;
pub mod object;
pub(crate) mod resync;
pub mod text;
pub mod time;
pub(crate) mod values;
pub(crate) mod wrapper;
