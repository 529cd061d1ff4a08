//! From a stored object to pieces of JSON. Independent of what they contain.
//!
//! | step | file |
//! |---|---|
//! | Which folder and object, and is it a log? | [`layout`], [`object`] |
//! | Bytes as stored → text | [`inflate`] |
//! | Text in view | `buffer` |
//! | Text → pieces of JSON | `framing`; `lines`, `nesting`, `words`, `family` |
//! | What they have in common | `piece`, [`text`], [`time`] |

pub(crate) mod buffer;
pub(crate) mod family;
pub(crate) mod framing;
pub mod inflate;
pub mod layout;
pub(crate) mod lines;
pub(crate) mod nesting;
pub mod object;
pub(crate) mod piece;
pub mod text;
pub mod time;
pub(crate) mod words;
