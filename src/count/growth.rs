//! Nobody's input may cost more than in proportion to its size: work in steps, for n and for 4 n.

use std::cell::Cell;

thread_local! {
    pub static STEPS: Cell<usize> = const { Cell::new(0) };
}
