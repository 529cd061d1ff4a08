//! Denials → counters → what is hot → who claims the alert. Knows [`crate::log`] and [`crate::rule`].
//!
//! | step | file |
//! |---|---|
//! | Which counter? | [`key`] |
//! | What one slot of a key holds | [`counter`], [`evidence`] |
//! | One object's denials, summed up by key and slot | [`tally`] |
//! | Where counters and alerts are kept: the port, and the store in memory | [`store`], [`embedded`] |
//! | Which denials are hot, and the figures of their alerts | [`window`] |
//! | Which alerts are due, and who publishes them | [`claims`] |

pub mod claims;
pub mod counter;
pub mod embedded;
pub mod evidence;
pub mod key;
pub mod store;
pub mod tally;
pub mod window;
