//! Denials → counters → what is hot → which alerts are due. Knows [`crate::log`] and [`crate::rule`].
//!
//! | step | file |
//! |---|---|
//! | Which counter? | [`key`] |
//! | What one slot of a key holds | [`counter`], [`value`], [`evidence`] |
//! | One object's denials, summed up by key and slot | [`tally`], `samples` |
//! | Where counters and alerts are kept: the port, and the store in memory | [`store`], [`memory`], [`compact`] |
//! | Which denials are hot, and the figures of their alerts | [`window`], `figures`, `sums` |
//! | Which alerts are due | [`alerts`] |
//! | Who is behind a key | [`caller`] |
//! | Whose successful calls are counted, and what they were served | [`watch`], [`served`] |
//! | Which alerts of a caller belong together, and when a notice is due | [`incident`] |
//! | When too many callers come at once | [`crowd`] |
//! | What many deliveries change, and who sends a notice | [`document`], [`lease`] |
//! | Why the store failed | `error` |

pub mod alerts;
pub mod caller;
pub mod compact;
pub mod counter;
pub mod crowd;
pub mod document;
mod error;
pub mod evidence;
mod figures;
pub mod incident;
pub mod key;
pub mod lease;
pub mod memory;
mod samples;
pub mod served;
pub mod severity;
pub mod store;
mod sums;
pub mod tally;
pub mod value;
pub mod watch;
pub mod window;
