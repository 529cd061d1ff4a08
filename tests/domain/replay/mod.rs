//! The built `replay`.

mod cli;
mod golden;
#[cfg(target_os = "linux")]
mod hostile;
mod terminal;
