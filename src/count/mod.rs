//! Denials → counters → what is hot → who claims the alert. Knows [`crate::log`] and [`crate::rule`].
//!
//! | step | file |
//! |---|---|
//! | Which counter? | [`key`] |
//! | What one slot of a key holds | [`counter`], [`value`], [`evidence`] |
//! | One object's denials, summed up by key and slot | [`tally`], `samples` |
//! | Where counters and alerts are kept: the port, and the store in memory | [`store`], [`embedded`], [`compact`] |
//! | Which denials are hot, and the figures of their alerts | [`window`], `sliding`, `bound`, `sums` |
//! | Which alerts are due, and who publishes them | [`claims`] |
//! | Who is behind a key | [`caller`] |
//! | Which alerts of a caller belong together, and when a notice is due | [`incident`] |
//! | When too many callers come at once | [`flood`] |
//! | Who sends a notice; what is forgotten | [`pending`], [`recent`] |

mod bound;
pub mod caller;
#[allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "to be checked once its new form is merged"
)]
pub mod claims;
pub mod compact;
pub mod counter;
#[allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "to be checked once its new form is merged"
)]
pub mod embedded;
pub mod evidence;
#[allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "to be checked once its new form is merged"
)]
pub mod flood;
#[allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "to be checked once its new form is merged"
)]
pub mod incident;
pub mod key;
pub mod pending;
pub mod recent;
mod samples;
mod sliding;
#[allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "to be checked once its new form is merged"
)]
pub mod store;
mod sums;
pub mod tally;
pub mod value;
pub mod window;

/// Counts a step of work, for the tests of how work grows with its input; nothing anywhere else.
#[inline]
fn step(steps: usize) {
    #[cfg(test)]
    growth::STEPS.set(growth::STEPS.get() + steps);
    #[cfg(not(test))]
    let _ = steps;
}

#[cfg(test)]
mod growth;
