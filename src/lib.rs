//! Tells within seconds when somebody keeps trying Amazon Bedrock models they are denied.
//!
//! The map; data flows from top to bottom, and each file knows only those above it:
//!
//! | step | file |
//! |---|---|
//! | object: which S3 object, and is it a log? | [`object`] |
//! | bytes as stored → text | [`inflate`] |
//! | text → candidate records | [`nesting`], [`sweep`], [`framing`] |
//! | record → denial, of either log | [`record`], [`cloudtrail`], [`time`], [`denial`] |
//! | what is looked for | [`rule`], [`rules`], [`settings`] |
//! | denials → one summary a key and slot | [`tally`], [`key`], [`counter`], [`evidence`] |
//! | all of the above for one object | [`reader`] |
//! | where counters and alerts are kept (port) | [`store`], [`embedded`] |
//! | which denials are hot, and the figures | [`window`] |
//! | which alerts are due | [`decision`] |
//! | what an alert says | [`alert`] |
//! | where alerts go (port) | [`sink`] |
//! | one delivery, all steps | [`pipeline`] |
//!
//! Behind the feature `aws`, and nothing above knows of it:
//!
//! | step | file |
//! |---|---|
//! | environment → settings | `config` |
//! | Lambda payload → objects | `event` |
//! | S3 source, DynamoDB store, SNS sink | `aws` |
//! | one invocation, all its objects | `handler` |
//! | its figures as one line | `metrics` |

pub mod alert;
#[cfg(feature = "aws")]
pub mod aws;
pub mod cloudtrail;
#[cfg(feature = "aws")]
pub mod config;
pub mod counter;
pub mod decision;
pub mod denial;
pub mod embedded;
#[cfg(feature = "aws")]
pub mod event;
pub mod evidence;
pub mod framing;
#[cfg(feature = "aws")]
pub mod handler;
pub mod inflate;
pub mod key;
#[cfg(feature = "aws")]
pub mod metrics;
pub mod nesting;
pub mod object;
pub mod pipeline;
pub mod reader;
pub mod record;
pub mod rule;
pub mod rules;
pub mod settings;
pub mod sink;
pub mod store;
pub mod sweep;
pub mod tally;
pub mod time;
pub mod window;
