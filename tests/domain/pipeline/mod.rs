//! Deliveries through store and sink.

mod faults;
mod hostile;
mod invariants;
mod spellings;
