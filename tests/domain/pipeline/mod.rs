//! Deliveries through store and sink.

mod faults;
mod invariants;
mod spellings;
