//! What the events know of the logs.

pub use bedrock_denial_watch::log::*;

#[path = "../../src/log/cloudtrail.rs"]
pub mod cloudtrail;
