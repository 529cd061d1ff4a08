//! The built `replay`.

mod cli;
mod explain;
mod golden;
#[cfg(target_os = "linux")]
mod hostile;
mod terminal;
