//! One invocation: resolve its event, then read and commit object by object.
//!
//! Objects are taken one after the other. They share the delivery's owner, and two at once
//! could both publish an alert that the owner holds as pending.

use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use lambda_runtime::Diagnostic;
use lambda_runtime::tracing::{debug, error, warn};
use serde_json::Value;

use crate::alert::sink::AlertSink;
use crate::count::claims::Claimant;
use crate::count::store::CounterStore;
use crate::lambda::aws::{S3Source, SourceError};
use crate::lambda::event::{self, EventError, Message, Request, Resolved};
use crate::lambda::metrics::Metrics;
use crate::log::inflate::Damage;
use crate::log::object::{Object, Skip, skip_by_name};
use crate::pipeline::{Delivery, Failure, Pipeline};
use crate::reader::{Finished, Read};

/// Added to the time an invocation has left: how long its claims hold. By then Lambda has
/// stopped it, even by a clock that differs a little from this one.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// The Lambda, but for its clock and its output.
pub struct Handler<S, K> {
    /// The detector.
    pub pipeline: Pipeline<S, K>,
    /// Where objects are read from.
    pub source: S3Source,
}

/// One invocation by the Lambda service.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    /// The request id; an asynchronous retry keeps it.
    pub request_id: &'a str,
    /// Wall clock at its start, in epoch milliseconds.
    pub now_ms: u64,
    /// When Lambda will stop it, in epoch milliseconds.
    pub deadline_ms: u64,
}

impl<'a> Invocation<'a> {
    fn claimant(self, owner: &'a str) -> Claimant<'a> {
        let left = Duration::from_millis(self.deadline_ms.saturating_sub(self.now_ms));
        Claimant { owner, now: self.now_ms / 1000, lease: left + LEASE_MARGIN }
    }
}

/// What became of one invocation.
#[derive(Debug)]
pub struct Delivered {
    /// The messages of an SQS batch that failed; `None` for every other event that succeeded.
    pub answer: Result<Option<SqsBatchResponse>, DeliveryError>,
    /// Its figures.
    pub metrics: Metrics,
}

/// Part of an event that fails as a whole failed; what could be done was done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failed} of {all} failed: {causes}")]
pub struct DeliveryError {
    /// Objects or records that failed.
    pub failed: usize,
    /// Objects and records of the event.
    pub all: usize,
    /// Each failed object and its cause, of bounded length.
    pub causes: String,
}

/// What on-failure records and logs name the error; `lambda_runtime` would take a Rust type's name.
impl From<DeliveryError> for Diagnostic {
    fn from(error: DeliveryError) -> Self {
        Self { error_type: "DeliveryFailed".to_owned(), error_message: error.to_string() }
    }
}

/// Why an object failed.
#[derive(Debug, thiserror::Error)]
enum ObjectError {
    #[error(transparent)]
    Event(#[from] EventError),
    #[error(transparent)]
    Source(#[from] SourceError),
    /// All that could be read was committed.
    #[error("{object}: {}", join(.causes))]
    Commit { object: String, causes: Vec<Cause> },
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Damage(#[from] Damage),
    #[error(transparent)]
    Pipeline(#[from] Failure),
}

fn join(causes: &[Cause]) -> String {
    let causes: Vec<String> = causes.iter().map(ToString::to_string).collect();
    causes.join("; ")
}

impl<S: CounterStore, K: AlertSink> Handler<S, K> {
    /// Does all that the event asks for. Logs each fault and failure once.
    pub async fn deliver(&self, payload: &Value, invocation: Invocation<'_>) -> Delivered {
        let mut metrics = Metrics::default();
        let answer = match event::resolve(payload) {
            Request::Whole(objects) => {
                let claimant = invocation.claimant(invocation.request_id);
                let failures = self.objects(&objects, claimant, &mut metrics).await;
                whole(&failures, objects.len()).map(|()| None)
            }
            Request::Batch(messages) => Ok(Some(self.batch(&messages, invocation, &mut metrics).await)),
        };
        Delivered { answer, metrics }
    }

    /// The event source mapping must ask for `ReportBatchItemFailures`, or Lambda takes this
    /// answer for a success of all; and the queue's visibility time-out must be longer than the
    /// function's, or one message is worked on twice at once under the same owner.
    ///
    /// Source: "Handling errors for an SQS event source" in the AWS Lambda developer guide.
    async fn batch(
        &self,
        messages: &[Message],
        invocation: Invocation<'_>,
        metrics: &mut Metrics,
    ) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        for message in messages {
            // A message that comes back is another invocation, but keeps its id.
            let claimant = invocation.claimant(&message.id);
            let failures = self.objects(&message.objects, claimant, metrics).await;
            if !failures.is_empty() {
                response.add_failure(&message.id);
            }
        }
        response
    }

    async fn objects(
        &self,
        objects: &[Resolved],
        claimant: Claimant<'_>,
        metrics: &mut Metrics,
    ) -> Vec<ObjectError> {
        let mut failures = Vec::new();
        for object in objects {
            let result = match object {
                Ok(object) => self.object(object, claimant, metrics).await,
                Err(error) => Err(error.clone().into()),
            };
            if let Err(failure) = result {
                error!("{failure}");
                metrics.failures += 1;
                failures.push(failure);
            }
        }
        failures
    }

    async fn object(
        &self,
        object: &Object,
        claimant: Claimant<'_>,
        metrics: &mut Metrics,
    ) -> Result<(), ObjectError> {
        let name = object.to_string();
        let empty = (object.size == Some(0)).then_some(Skip::Empty);
        if let Some(skip) = skip_by_name(&object.key).or(empty) {
            debug!(object = name, "skipped: {skip}");
            metrics.skipped += 1;
            return Ok(());
        }
        let mut reader = self.pipeline.read(&name);
        let Read { tally, statistics, faults, damage, .. } = loop {
            self.source.read(object, &mut reader).await?;
            match reader.finish() {
                Finished::Read(read) => break read,
                Finished::Again(thorough) => reader = thorough,
            }
        };
        for fault in faults {
            warn!(object = name, offset = fault.offset, "{}", fault.kind.advice());
        }
        if statistics.bytes == 0 {
            metrics.skipped += 1;
            return Ok(());
        }
        metrics.add(&statistics);
        let delivery = Delivery { object: &name, claimant };
        let outcome = self.pipeline.commit(tally, delivery).await;
        metrics.alerts += outcome.published.len() as u64;
        let alerted = outcome.published.iter().map(|alert| alert.at);
        metrics.alerted.extend(alerted);
        let damage = damage.map(Cause::from);
        let failures = outcome.failures.into_iter().map(Cause::from);
        let causes: Vec<Cause> = damage.into_iter().chain(failures).collect();
        if causes.is_empty() { Ok(()) } else { Err(ObjectError::Commit { object: name, causes }) }
    }
}

/// The text of an error that Lambda is handed, in bytes: it goes into the on-failure record,
/// whose queue takes 256 KB with the event beside it.
const MAX_CAUSES_BYTES: usize = 16 * 1024;

fn whole(failures: &[ObjectError], all: usize) -> Result<(), DeliveryError> {
    if failures.is_empty() {
        return Ok(());
    }
    let mut causes = String::new();
    for (number, failure) in failures.iter().enumerate() {
        let mut failure = failure.to_string();
        failure.truncate(failure.floor_char_boundary(MAX_CAUSES_BYTES));
        if causes.len() + failure.len() > MAX_CAUSES_BYTES {
            let more = failures.len() - number;
            causes = format!("{causes}; and {more} more, see the log");
            break;
        }
        if number > 0 {
            causes += "; ";
        }
        causes += &failure;
    }
    Err(DeliveryError { failed: failures.len(), all, causes })
}
