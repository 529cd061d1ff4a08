//! From a piece of JSON to a call. Independent of the rules.
//!
//! | step | file |
//! |---|---|
//! | Piece → the records in it | `document` |
//! | Record → its members | `fields` |
//! | Record → call, from either log | [`denial`], [`cloudtrail`], [`guardrail`], [`model`] |

pub mod cloudtrail;
pub mod denial;
pub(crate) mod document;
pub(crate) mod fields;
pub mod guardrail;
pub mod model;
