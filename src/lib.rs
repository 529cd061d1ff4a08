//! Alerts a security team when someone keeps calling Amazon Bedrock models they
//! are denied.
//!
//! The map. Data flows from top to bottom, and each station knows only those above it:
//!
//! | station | what it does |
//! |---|---|
//! | [`source`] | a stored object → text → pieces of JSON |
//! | [`call`] | a piece of JSON → a call |
//! | [`rule`] | what to look for |
//! | [`count`] | denials → counters → what is hot → which alerts are due |
//! | [`alert`] | what to say, and to whom |
//! | [`reader`] | one object in: its bytes → a tally |
//! | [`deliver`] | one delivery through: tally → counters → alerts |
//! | [`report`] | what was counted, to look at: a page, an explanation |
//! | `lambda` | behind the feature `aws`: the Lambda, and S3, DynamoDB and SNS |

// The release aborts on a panic, and whoever writes an id or a log must not bring one about.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unwrap_used
    )
)]

pub mod alert;
pub mod call;
pub mod count;
pub mod deliver;
#[cfg(feature = "aws")]
pub mod lambda;
pub mod reader;
pub mod report;
pub mod rule;
pub mod source;
