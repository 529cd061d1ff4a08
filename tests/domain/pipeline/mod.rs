//! Deliveries through store and sink.

mod faults;
mod hostile;
mod incidents;
mod invariants;
mod spellings;
mod sums;
