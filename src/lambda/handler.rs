//! One invocation: resolve its event, then read and commit one object or record after the other.
//!
//! Never two at once: they share the delivery's owner, and both could publish an alert that this
//! owner holds as pending.

use std::fmt;
use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use lambda_runtime::tracing::{debug, error, warn};
use serde::Serialize;

use crate::alert::sink::AlertSink;
use crate::count::caller::digest;
use crate::count::claims::Claimant;
use crate::count::store::CounterStore;
use crate::lambda::aws::{Meter, S3Source};
use crate::lambda::event::batch_operations::{Job, JobAnswer, ResultCode, TaskResult};
use crate::lambda::event::{self, Item, Message, Record, Request, Resolved};
use crate::lambda::failure::{Cause, DeliveryError, Failure};
use crate::lambda::metrics::Metrics;
use crate::log::object::{Object, Skip, skip_by_name};
use crate::pipeline::{Delivery, Pipeline};
use crate::reader::{Read, UNRECOGNISED};

/// Added to the time an invocation has left: how long its claims hold. By then Lambda has
/// stopped it, even by a clock that differs a little from this one.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// The Lambda without its clock and its output.
pub struct Handler<S, K> {
    /// The detector.
    pub pipeline: Pipeline<S, K>,
    /// Where objects are read from.
    pub source: S3Source,
    /// Counts the requests of store, sink and source.
    pub meter: Meter,
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

/// The result of one invocation.
#[derive(Debug)]
pub struct Delivered {
    /// The answer that Lambda returns to the caller.
    pub answer: Result<Answer, DeliveryError>,
    /// Its figures.
    pub metrics: Metrics,
}

/// An answer in the format that the event's sender expects.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Everything succeeded; nobody waits for more.
    Done,
    /// The messages of an SQS batch that failed, to be delivered again; the others are deleted. The
    /// event source mapping must ask for `ReportBatchItemFailures`, or Lambda takes every answer as
    /// a success of all; a pipe always looks at it.
    Batch(SqsBatchResponse),
    /// The result of each task of an S3 Batch Operations job.
    Job(JobAnswer),
}

/// The result of one object or record that did not fail.
enum Outcome {
    Skipped(Skip),
    OtherCall,
    Read { records: u64, denials: u64, alerts: usize },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped(skip) => write!(f, "skipped: {skip}"),
            Self::OtherCall => f.write_str("skipped: a call that uses no model"),
            Self::Read { records, denials, alerts } => {
                write!(f, "records: {records}, denials: {denials}, alerts: {alerts}")
            }
        }
    }
}

impl<S: CounterStore, K: AlertSink> Handler<S, K> {
    /// Does everything that the event asks for. Logs each fault and failure once.
    ///
    /// `payload` is JSON, as Lambda guarantees; other text is an unknown event.
    pub async fn deliver(&self, payload: &str, invocation: Invocation<'_>) -> Delivered {
        let mut metrics = Metrics::default();
        let answer = match event::resolve(payload) {
            Request::Whole(items) => {
                let claimant = invocation.claimant(invocation.request_id);
                let failures = self.items(&items, claimant, &mut metrics).await;
                DeliveryError::new(&failures, items.len()).map_or(Ok(Answer::Done), Err)
            }
            Request::Batch(messages) => {
                Ok(Answer::Batch(self.batch(&messages, invocation, &mut metrics).await))
            }
            Request::Job(job) => Ok(Answer::Job(self.job(&job, invocation, &mut metrics).await)),
        };
        metrics.usage = self.meter.take();
        Delivered { answer, metrics }
    }

    /// The queue's visibility time-out must be longer than the function's, or one message is processed twice
    /// at once under the same owner.
    ///
    /// Source: "Handling errors for an SQS event source" in the AWS Lambda developer guide.
    async fn batch(
        &self,
        messages: &[Message],
        invocation: Invocation<'_>,
        metrics: &mut Metrics,
    ) -> SqsBatchResponse {
        let mut answer = SqsBatchResponse::default();
        for message in messages {
            // A message that comes back is another invocation, but keeps its id.
            let claimant = invocation.claimant(&message.id);
            let failures = self.items(&message.items, claimant, metrics).await;
            if !failures.is_empty() {
                answer.add_failure(message.id.clone());
            }
        }
        answer
    }

    async fn job(&self, job: &Job, invocation: Invocation<'_>, metrics: &mut Metrics) -> JobAnswer {
        let mut results = Vec::new();
        for task in &job.tasks {
            // A task that is tried again is another invocation, but the same object.
            let owner = match &task.item {
                Ok(Item::Object(object)) => digest(&["batch operations", &object.to_string()]),
                _ => invocation.request_id.to_owned(),
            };
            let claimant = invocation.claimant(&owner);
            let (code, text) = match self.item(&task.item, claimant, metrics).await {
                Ok(outcome) => (ResultCode::Succeeded, outcome.to_string()),
                Err(failure) if failure.is_temporary() => (ResultCode::TemporaryFailure, failure.to_string()),
                Err(failure) => (ResultCode::PermanentFailure, failure.to_string()),
            };
            results.push(TaskResult::new(task, code, &text));
        }
        JobAnswer::new(job, results)
    }

    async fn items(&self, items: &[Resolved], claimant: Claimant<'_>, metrics: &mut Metrics) -> Vec<Failure> {
        let mut failures = Vec::new();
        for item in items {
            failures.extend(self.item(item, claimant, metrics).await.err());
        }
        failures
    }

    async fn item(
        &self,
        item: &Resolved,
        claimant: Claimant<'_>,
        metrics: &mut Metrics,
    ) -> Result<Outcome, Failure> {
        let result = match item {
            Ok(Item::Object(object)) => self.object(object, claimant, metrics).await,
            Ok(Item::Record(record)) => self.record(record, claimant, metrics).await,
            Ok(Item::OtherCall) => {
                metrics.other_calls += 1;
                Ok(Outcome::OtherCall)
            }
            Err(error) => Err(error.clone().into()),
        };
        if let Err(failure) = &result {
            error!("{failure}");
            metrics.failures += 1;
        }
        result
    }

    async fn object(
        &self,
        object: &Object,
        claimant: Claimant<'_>,
        metrics: &mut Metrics,
    ) -> Result<Outcome, Failure> {
        let name = object.to_string();
        let empty = (object.size == Some(0)).then_some(Skip::Empty);
        if let Some(skip) = skip_by_name(&object.key).or(empty) {
            debug!(object = name, "skipped: {skip}");
            metrics.skipped += 1;
            return Ok(Outcome::Skipped(skip));
        }
        let mut reader = self.pipeline.read(&name);
        self.source.read(object, &mut reader).await?;
        let read = reader.finish();
        if read.statistics.bytes == 0 {
            metrics.skipped += 1;
            return Ok(Outcome::Skipped(Skip::Empty));
        }
        metrics.objects += 1;
        self.commit(&name, read, claimant, metrics).await
    }

    async fn record(
        &self,
        record: &Record,
        claimant: Claimant<'_>,
        metrics: &mut Metrics,
    ) -> Result<Outcome, Failure> {
        let mut reader = self.pipeline.read(&record.name);
        reader.push(record.json.as_bytes());
        let read = reader.finish();
        metrics.event_records += 1;
        self.commit(&record.name, read, claimant, metrics).await
    }

    async fn commit(
        &self,
        name: &str,
        read: Read,
        claimant: Claimant<'_>,
        metrics: &mut Metrics,
    ) -> Result<Outcome, Failure> {
        let Read { tally, statistics, faults, damage, .. } = read;
        for fault in faults {
            warn!(object = name, offset = fault.offset, "{}", fault.kind.advice());
        }
        if statistics.stray > 0 {
            warn!(object = name, "{UNRECOGNISED}");
        }
        metrics.add(&statistics);
        let outcome = self.pipeline.commit(tally, Delivery { object: name, claimant }).await;
        let alerts = outcome.published.len();
        metrics.alerts += alerts as u64;
        metrics.incidents += outcome.incidents;
        metrics.notices += outcome.notices;
        let told = outcome.published.iter().filter(|alert| alert.told);
        metrics.told.extend(told.map(|alert| alert.at));
        let damage = damage.map(Cause::from);
        let more = outcome.failed.saturating_sub(outcome.failures.len());
        let more = (more > 0).then_some(Cause::More(more));
        let failures = outcome.failures.into_iter().map(Cause::from);
        let causes: Vec<Cause> = damage.into_iter().chain(failures).chain(more).collect();
        if causes.is_empty() {
            Ok(Outcome::Read { records: statistics.records, denials: statistics.denials, alerts })
        } else {
            Err(Failure::Commit { name: name.to_owned(), causes })
        }
    }
}
