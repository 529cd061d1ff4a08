//! The port that alerts leave by. Implementors: standard output for `replay`, `sns` in the
//! cloud, and a recording one in the tests.

use std::error::Error;

use crate::alert::Alert;

/// The alert was not, or not surely, taken; it stays pending and is published again.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {cause}")]
pub struct SinkError {
    /// Operation and place, such as `SNS Publish to arn:…`.
    pub operation: String,
    /// Why.
    pub cause: Box<dyn Error + Send + Sync>,
}

/// Takes alerts.
pub trait AlertSink {
    /// Hands one alert to those who are to read it.
    ///
    /// # Errors
    /// When it was not surely taken.
    fn publish(&self, alert: &Alert) -> impl Future<Output = Result<(), SinkError>>;
}
