//! Deliveries through store and sink.

mod batches;
mod callers;
mod faults;
mod hostile;
mod incidents;
mod invariants;
mod served;
mod severities;
mod simulation;
mod spellings;
mod sums;
mod times;
mod watching;
