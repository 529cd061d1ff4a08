//! The port that notices and alerts leave by. Implementors: standard output for `replay`, `sns` in
//! the cloud, and a recording one in the tests.

use std::error::Error;

use crate::alert::Alert;
use crate::alert::notice::Notice;

/// The message was not, or not surely, taken; it stays pending and is sent again.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {cause}")]
pub struct SinkError {
    /// Operation and place, such as `SNS Publish to arn:…`.
    pub operation: String,
    /// Why.
    pub cause: Box<dyn Error + Send + Sync>,
}

/// Takes notices, which are for people, and alerts, which are for programs.
pub trait AlertSink {
    /// Hands a notice to those who are to read it.
    ///
    /// # Errors
    /// When it was not surely taken.
    fn notice(&self, notice: &Notice<'_>) -> impl Future<Output = Result<(), SinkError>>;

    /// Somebody wants each alert by itself. Where nobody does, none is made.
    fn wants_alerts(&self) -> bool;

    /// Hands one alert to those who want each.
    ///
    /// # Errors
    /// When it was not surely taken.
    fn alert(&self, alert: &Alert<'_>) -> impl Future<Output = Result<(), SinkError>>;
}
