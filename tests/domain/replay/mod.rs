//! The built `replay`.

mod cli;
mod golden;
