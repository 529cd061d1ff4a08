//! The domain and `replay`, from outside, by station of the data flow. No AWS.

mod alert;
mod breakages;
mod deliver;
mod depth;
#[path = "../fixtures/every_field.rs"]
mod every_field;
mod fuzz;
#[path = "../fuzz_targets/mod.rs"]
mod fuzz_targets;
mod harmless;
#[path = "../fixtures/hostile_ids.rs"]
mod hostile_ids;
mod notice;
#[path = "../oracle/mod.rs"]
mod oracle;
mod pages;
mod privacy;
mod reader;
mod replay;
mod report;
mod rule;
mod structure;
mod support;
