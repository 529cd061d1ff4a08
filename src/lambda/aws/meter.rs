//! Counts what deliveries ask of AWS: requests by service and operation, and DynamoDB's units. Lets no request
//! outlive its invocation.
//!
//! One interceptor in every client sees each request before it begins, each attempt on its way out, also those
//! that the SDK repeats, and each answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextRef,
    BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::get_item::GetItemOutput;
use aws_sdk_dynamodb::operation::put_item::PutItemOutput;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsOutput;
use aws_sdk_dynamodb::operation::update_item::UpdateItemOutput;
use aws_sdk_dynamodb::types::ConsumedCapacity;
use aws_smithy_runtime_api::client::orchestrator::Metadata;

/// What was asked of AWS.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Attempts, by service and operation.
    pub requests: BTreeMap<String, BTreeMap<String, u64>>,
    /// Write units as DynamoDB reports them. It charges a write that it refuses by its condition, too,
    /// but reports nothing about it.
    pub write_units: f64,
    /// Read units as DynamoDB reports them.
    pub read_units: f64,
    /// Notices that the event bus did not take.
    pub lost_findings: u64,
}

impl Usage {
    /// The attempts of one operation.
    #[must_use]
    pub fn of(&self, service: &str, operation: &str) -> u64 {
        self.requests.get(service).and_then(|operations| operations.get(operation)).copied().unwrap_or(0)
    }
}

/// Kept from every invocation for its answer and its line of metrics. Both are ready within milliseconds of the last
/// request; a slow processor may need longer.
const ANSWER: Duration = Duration::from_secs(1);

/// A counter and a deadline that all clients of a process share.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<MeterState>>);

#[derive(Debug, Default)]
struct MeterState {
    usage: Usage,
    /// When all requests must have ended.
    end: Option<Instant>,
}

impl Meter {
    /// What was counted since the last time. One delivery is processed at a time, so this is what that one
    /// used.
    #[must_use]
    pub fn take(&self) -> Usage {
        std::mem::take(&mut self.state().usage)
    }

    /// Ends every request in time for an invocation that has `left`; `None` for one that may take for ever. A request
    /// that is cut short counts as not answered, like one that reaches its client's own time-out.
    pub fn end_within(&self, left: Option<Duration>) {
        let end = left.and_then(|left| Instant::now().checked_add(left.saturating_sub(ANSWER)));
        self.state().end = end;
    }

    /// Counts a notice that the event bus did not take.
    pub(super) fn lose_finding(&self) {
        let usage = &mut self.state().usage;
        usage.lost_findings = usage.lost_findings.saturating_add(1);
    }

    fn state(&self) -> MutexGuard<'_, MeterState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a request was not begun.
#[derive(Debug, thiserror::Error)]
#[error("not begun: the invocation has no time left")]
struct NoTimeLeft;

fn units(consumed: Option<&ConsumedCapacity>) -> f64 {
    consumed.and_then(ConsumedCapacity::capacity_units).unwrap_or(0.0)
}

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(end) = self.state().end else { return Ok(()) };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NoTimeLeft.into());
        }
        let own = config.load::<TimeoutConfig>().cloned();
        let limit = own.as_ref().and_then(TimeoutConfig::operation_timeout).map_or(left, |own| own.min(left));
        let own = own.map_or_else(TimeoutConfig::builder, |own| own.to_builder());
        config.interceptor_state().store_put(own.operation_timeout(limit).build());
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(request) = config.load::<Metadata>() {
            let usage = &mut self.state().usage;
            let operations = usage.requests.entry(request.service().to_owned()).or_default();
            let requests = operations.entry(request.name().to_owned()).or_default();
            *requests = requests.saturating_add(1);
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Ok(output) = context.output_or_error() else { return Ok(()) };
        let usage = &mut self.state().usage;
        if let Some(update) = output.downcast_ref::<UpdateItemOutput>() {
            usage.write_units += units(update.consumed_capacity());
        } else if let Some(put) = output.downcast_ref::<PutItemOutput>() {
            usage.write_units += units(put.consumed_capacity());
        } else if let Some(written) = output.downcast_ref::<TransactWriteItemsOutput>() {
            let tables = written.consumed_capacity();
            usage.write_units += tables.iter().map(|table| units(Some(table))).sum::<f64>();
        } else if let Some(query) = output.downcast_ref::<QueryOutput>() {
            usage.read_units += units(query.consumed_capacity());
        } else if let Some(get) = output.downcast_ref::<GetItemOutput>() {
            usage.read_units += units(get.consumed_capacity());
        }
        Ok(())
    }
}
