//! The Lambda around the detector: the only part that knows AWS.
//!
//! | step | file |
//! |---|---|
//! | Environment → settings | [`config`] |
//! | What it was invoked with → objects and records to read | [`event`] |
//! | One invocation, everything it asks for | [`handler`] |
//! | What failed, and what is reported to Lambda | [`failure`] |
//! | Its figures, as one log line | [`metrics`] |
//! | S3 source, DynamoDB store, SNS sink | [`aws`] |

pub mod aws;
pub mod config;
pub mod event;
pub mod failure;
#[allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "to be checked once its new form is merged"
)]
pub mod handler;
pub mod metrics;
