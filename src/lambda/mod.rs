//! The Lambda around the detector: the only part that knows AWS.
//!
//! | step | file |
//! |---|---|
//! | Environment → settings | [`config`] |
//! | Lambda payload → objects | [`event`] |
//! | One invocation, all its objects | [`handler`] |
//! | Its figures as one log line | [`metrics`] |
//! | S3 source, DynamoDB store, SNS sink | [`aws`] |

pub mod aws;
pub mod config;
pub mod event;
pub mod handler;
pub mod metrics;
