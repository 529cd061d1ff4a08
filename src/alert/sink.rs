//! The port for outgoing notices and alerts. Implementors: standard output for `replay`, `sns` in the
//! cloud, a recording one in the tests, and [`DiscardSink`].

use std::error::Error;

use crate::alert::Alert;
use crate::alert::notice::Notice;

/// The sink did not accept the message, or no one knows whether it did; it stays pending and is sent
/// again.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {cause}")]
pub struct SinkError {
    /// Operation and place, such as `SNS Publish to arn:…`.
    pub operation: String,
    /// The cause.
    pub cause: Box<dyn Error + Send + Sync>,
}

/// Takes notices, which are for people, and alerts, which are for programs.
pub trait AlertSink {
    /// Sends a notice to people.
    ///
    /// # Errors
    /// When it is not certain that the sink accepted it.
    fn notice(&self, notice: &Notice<'_>) -> impl Future<Output = Result<(), SinkError>>;

    /// Whether each alert is also sent as its own message. If not, none is rendered.
    fn wants_alerts(&self) -> bool;

    /// Sends one alert as its own message, for programs.
    ///
    /// # Errors
    /// When it is not certain that the sink accepted it.
    fn alert(&self, alert: &Alert<'_>) -> impl Future<Output = Result<(), SinkError>>;
}

/// A sink that accepts everything and keeps nothing.
pub struct DiscardSink;

impl AlertSink for DiscardSink {
    async fn notice(&self, _: &Notice<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn wants_alerts(&self) -> bool {
        false
    }

    async fn alert(&self, _: &Alert<'_>) -> Result<(), SinkError> {
        Ok(())
    }
}
