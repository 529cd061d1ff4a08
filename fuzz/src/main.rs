//! Calls the target that `FUZZ_TARGET` names with inputs that libFuzzer invents.
//!
//! The events are built from their sources, as the rest of the Lambda would bring the AWS SDK with it.
#![no_main]
#![allow(dead_code, reason = "the sources serve the Lambda too")]

use std::env;
use std::sync::LazyLock;

use bedrock_denial_watch::{call, source};

use libfuzzer_sys::fuzz_target;

#[path = "../../src/lambda/event/mod.rs"]
mod event;
#[path = "../../tests/fuzz_targets/events.rs"]
mod events;
#[path = "../../tests/fuzz_targets/mod.rs"]
mod fuzz_targets;

static TARGET: LazyLock<fuzz_targets::Target> = LazyLock::new(|| {
    let name = env::var("FUZZ_TARGET").unwrap_or_default();
    let targets = fuzz_targets::DOMAIN.into_iter().chain([("events", events::check as fuzz_targets::Target)]);
    let found = targets.clone().find(|(known, _)| *known == name);
    found.map(|(_, target)| target).unwrap_or_else(|| {
        let known: Vec<&str> = targets.map(|(known, _)| known).collect();
        panic!("FUZZ_TARGET={name}: expected one of {}", known.join(", "))
    })
});

fuzz_target!(|input: &[u8]| TARGET(input));
