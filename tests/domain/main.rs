//! The domain and `replay`, from outside, by station of the data flow. No AWS.

mod alert;
mod harmless;
mod log;
mod notice;
mod pipeline;
mod replay;
mod rule;
mod structure;
mod support;
