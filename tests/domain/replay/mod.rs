//! The built `replay`.

mod caller;
mod cli;
mod explain;
mod golden;
#[cfg(target_os = "linux")]
mod hostile;
mod ocsf;
mod terminal;
