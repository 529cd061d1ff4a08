//! The built `replay`.

mod cli;
mod golden;
mod terminal;
