//! Each notice as an OCSF finding to an event bus, from where rules take it further.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use lambda_runtime::tracing::error;

use super::cause::cause;
use super::meter::Meter;
use super::{retries, timeouts};
use crate::alert::notice::Notice;
use crate::alert::sink::SinkError;

const ATTEMPT: Duration = Duration::from_secs(5);
const OPERATION: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 5;
/// What rules on the bus match.
const SOURCE: &str = "bedrock-denial-watch";
const DETAIL_TYPE: &str = "Detection Finding";

/// A bus that takes findings.
pub struct EventBus {
    client: Client,
    arn: String,
    meter: Meter,
}

impl EventBus {
    /// Region, credentials and endpoint are those of `config`; `meter` counts its requests.
    #[must_use]
    pub fn new(config: &SdkConfig, arn: String, meter: &Meter) -> Self {
        let config = aws_sdk_eventbridge::config::Builder::from(config)
            .timeout_config(timeouts(ATTEMPT, OPERATION))
            .retry_config(retries(ATTEMPTS))
            .interceptor(meter.clone())
            .build();
        Self { client: Client::from_conf(config), arn, meter: meter.clone() }
    }

    /// Puts one notice on the bus. One that the bus does not take is logged and counted, and lost: to try it again
    /// would send people the same message each time, for as long as a bus is gone.
    pub async fn put(&self, notice: &Notice<'_>) {
        if let Err(error) = self.try_put(notice).await {
            error!("a finding is lost: {error}");
            self.meter.lose_finding();
        }
    }

    async fn try_put(&self, notice: &Notice<'_>) -> Result<(), SinkError> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.arn)
            .source(SOURCE)
            .detail_type(DETAIL_TYPE)
            .detail(notice.ocsf())
            .build();
        let answer = self.client.put_events().entries(entry).send().await;
        let answer = answer.map_err(|error| self.failed(cause(&error)))?;
        // A request that succeeds may hold an entry that did not.
        match answer.entries().iter().find_map(|entry| Some((entry.error_code()?, entry.error_message()))) {
            Some((code, message)) => {
                Err(self.failed(format!("{code}: {}", message.unwrap_or("no reason given"))))
            }
            None if answer.failed_entry_count() > 0 => {
                Err(self.failed("the entry failed, for no given reason".to_owned()))
            }
            None => Ok(()),
        }
    }

    fn failed(&self, cause: String) -> SinkError {
        SinkError { operation: format!("EventBridge PutEvents to {}", self.arn), cause: cause.into() }
    }
}
