//! How much of what is exhaustive runs. `DEPTH=full`, as `make test-all` sets, runs all of it; else a sample runs,
//! the same every time unless `SEED` is set. The tests against AWS share it.
#![allow(dead_code, reason = "each test uses its own part")]

use std::env;
use std::iter::{Skip, StepBy};

use proptest::test_runner::{Config, RngSeed};

use crate::oracle::{Dice, number};

/// `all` at full depth, else `sample`.
pub fn pick<T>(all: T, sample: T) -> T {
    match env::var("DEPTH").as_deref() {
        Ok("full") => all,
        Ok("sample") | Err(_) => sample,
        Ok(other) => panic!("DEPTH={other}: expected full or sample"),
    }
}

/// Says how a test was run, where it fails.
fn show(seed: u64) {
    println!("DEPTH={} SEED={seed}", pick("full", "sample"));
}

/// Picks from what is exhaustive.
pub struct Sample(Dice);

impl Sample {
    pub fn new() -> Self {
        let seed = number("SEED", 20_261_130);
        show(seed);
        Self(Dice(seed))
    }

    /// All of them at full depth, else one in `step`, from another one at each call.
    pub fn one_in<I: Iterator>(&mut self, step: usize, all: I) -> StepBy<Skip<I>> {
        let step = pick(1, step);
        all.skip(self.0.pick(step)).step_by(step)
    }
}

/// `full` cases of a property, or so many in a `sample`: the same ones every time. `PROPTEST_CASES` and `SEED` ask for
/// others.
pub fn cases(full: u32, sample: u32, seed: u64) -> Config {
    let seed = number("SEED", seed);
    show(seed);
    let cases = number("PROPTEST_CASES", pick(full, sample).into());
    let cases = u32::try_from(cases).expect("a number of cases");
    Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() }
}
