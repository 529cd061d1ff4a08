//! What was counted, to look at.

mod caller;
