//! One invocation: resolve its event, then read and commit the records that it carries, all together, and one
//! object after the other.
//!
//! Never two at once: they share the delivery's owner, and both could publish an alert that this
//! owner holds as pending.
//!
//! What finds less time than [`LONGEST_STEP`] is not begun and fails, and no request outlives the invocation. So
//! there is always an answer and a line of metrics.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use futures_util::FutureExt;
use futures_util::future::join;
use lambda_runtime::tracing::{debug, error, warn};
use serde::Serialize;
use tokio::time::timeout;

use crate::alert::sink::AlertSink;
use crate::count::caller::digest;
use crate::count::lease::Claimant;
use crate::count::store::Store;
use crate::count::tally::Tally;
use crate::deliver::{self, Again, Delivery, Pipeline, TimeLeft};
use crate::lambda::aws::{LONGEST_STEP, Meter, S3Source};
use crate::lambda::event::batch_operations::{Job, JobAnswer, ResultCode, TaskResult};
use crate::lambda::event::{self, EventItem, EventRecord, EventRequest, Resolved, SqsMessage};
use crate::lambda::failure::{DeliveryError, FailureCause, ItemFailure};
use crate::lambda::metrics::Metrics;
use crate::reader::{Fault, Read, Statistics, UNRECOGNISED};
use crate::source::object::{Object, Skip, skip_by_name};

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
#[derive(Clone, Copy)]
pub struct Invocation<'a> {
    /// The request id; an asynchronous retry keeps it.
    pub request_id: &'a str,
    /// The wall clock, in epoch milliseconds.
    pub clock: &'a dyn Fn() -> u64,
    /// When Lambda will stop it, in epoch milliseconds. Lambda begins none behind its deadline; what says so is an
    /// emulator without deadlines.
    pub deadline_ms: u64,
}

/// An invocation that has begun.
#[derive(Clone, Copy)]
struct Begun<'a> {
    request_id: &'a str,
    now_ms: u64,
    /// How much time it had at its beginning.
    left: Duration,
    time: TimeLeft<'a>,
}

impl<'a> Begun<'a> {
    fn claimant(self, owner: &'a str) -> Claimant<'a> {
        Claimant { owner, now: self.now_ms / 1000, lease: self.left.saturating_add(LEASE_MARGIN) }
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
    /// Everything succeeded; no one waits for more.
    Done,
    /// The messages of an SQS batch that failed, to be delivered again; the others are deleted. The
    /// event source mapping must ask for `ReportBatchItemFailures`, or Lambda takes every answer as
    /// a success of all; a pipe always looks at it.
    Batch(SqsBatchResponse),
    /// The result of each task of an S3 Batch Operations job.
    Job(JobAnswer),
}

/// The result of one object or record that did not fail.
enum ItemOutcome {
    Skipped(Skip),
    OtherCall,
    Read { records: u64, denials: u64, alerts: usize },
}

impl fmt::Display for ItemOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped(skip) => write!(f, "skipped: {skip}"),
            Self::OtherCall => f.write_str("skipped: a call that no rule may be about"),
            Self::Read { records, denials, alerts } => {
                write!(f, "records: {records}, denials: {denials}, alerts: {alerts}")
            }
        }
    }
}

impl<S: Store, K: AlertSink> Handler<S, K> {
    /// Does everything that the event asks for. Logs each fault and failure once.
    ///
    /// `payload` is JSON, as Lambda guarantees; other text is an unknown event.
    pub async fn deliver(&self, payload: &str, invocation: Invocation<'_>) -> Delivered {
        let mut metrics = Metrics::default();
        let Invocation { request_id, clock, deadline_ms } = invocation;
        let now_ms = clock();
        let left = || Duration::from_millis(deadline_ms.saturating_sub(clock()));
        let ends = deadline_ms > now_ms;
        let time = if ends { TimeLeft::new(&left, LONGEST_STEP) } else { TimeLeft::UNLIMITED };
        self.meter.end_within(ends.then(&left));
        let begun = Begun { request_id, now_ms, left: left(), time };
        let answer = match event::resolve(payload) {
            EventRequest::Whole(items) => {
                let owned: Vec<Owned<'_>> = items.iter().map(|item| (item, request_id)).collect();
                let failed = self.items(&owned, begun, &mut metrics).await;
                DeliveryError::new(&failed.failures, failed.items.len(), items.len())
                    .map_or(Ok(Answer::Done), Err)
            }
            EventRequest::Batch(messages) => {
                Ok(Answer::Batch(self.batch(&messages, begun, &mut metrics).await))
            }
            EventRequest::Job(job) => Ok(Answer::Job(self.job(&job, begun, &mut metrics).await)),
        };
        metrics.usage = self.meter.take();
        Delivered { answer, metrics }
    }

    /// The records that the messages carry are one delivery. A message fails if any part of it does; it comes back in
    /// another invocation, with other messages, and keeps its id.
    ///
    /// The queue's visibility time-out must be longer than the function's, or one message is processed twice
    /// at once.
    ///
    /// Source: "Handling errors for an SQS event source" in the AWS Lambda developer guide.
    async fn batch(
        &self,
        messages: &[SqsMessage],
        begun: Begun<'_>,
        metrics: &mut Metrics,
    ) -> SqsBatchResponse {
        let items = messages.iter().flat_map(|message| message.items.iter().map(move |item| (item, message)));
        let (owned, carriers): (Vec<Owned<'_>>, Vec<&SqsMessage>) =
            items.map(|(item, message)| ((item, message.id.as_str()), message)).unzip();
        let failed = self.items(&owned, begun, metrics).await;
        let mut failing = failed.items.iter().filter_map(|item| carriers.get(*item)).peekable();
        let mut answer = SqsBatchResponse::default();
        while let Some(message) = failing.next() {
            // The items of a message follow each other.
            if failing.peek().is_none_or(|next| !std::ptr::eq(*next, message)) {
                answer.add_failure(message.id.clone());
            }
        }
        answer
    }

    async fn job(&self, job: &Job, begun: Begun<'_>, metrics: &mut Metrics) -> JobAnswer {
        let mut results = Vec::new();
        for task in &job.tasks {
            // A task that is tried again is another invocation of the same job for the same object.
            let owner = match &task.item {
                Ok(EventItem::Object(object)) => digest(&["batch operations", &job.id, &object.to_string()]),
                _ => begun.request_id.to_owned(),
            };
            let (code, text) = match self.item(&task.item, &owner, begun, metrics).await {
                Ok(outcome) => (ResultCode::Succeeded, outcome.to_string()),
                Err(failure) if failure.is_temporary() => (ResultCode::TemporaryFailure, failure.to_string()),
                Err(failure) => (ResultCode::PermanentFailure, failure.to_string()),
            };
            metrics.failures = metrics.failures.saturating_add(u64::from(code != ResultCode::Succeeded));
            results.push(TaskResult::new(task, code, &text));
        }
        JobAnswer::new(job, results)
    }

    /// Does everything: the records together, then one object after the other.
    async fn items(&self, items: &[Owned<'_>], begun: Begun<'_>, metrics: &mut Metrics) -> Failed {
        let mut failed = Failed::default();
        let records = items.iter().enumerate().filter_map(|(number, (item, _))| match item {
            Ok(EventItem::Record(record)) => Some((number, record)),
            _ => None,
        });
        let records: Vec<(usize, &EventRecord)> = records.collect();
        if !records.is_empty() {
            self.records(&records, begun, &mut failed, metrics).await;
        }
        for (number, (item, owner)) in items.iter().enumerate() {
            if !matches!(item, Ok(EventItem::Record(_)))
                && let Err(failure) = self.item(item, owner, begun, metrics).await
            {
                failed.items.insert(number);
                failed.failures.push(failure);
            }
        }
        metrics.failures = metrics.failures.saturating_add(failed.items.len() as u64);
        failed
    }

    /// Anything but a record.
    async fn item(
        &self,
        item: &Resolved,
        owner: &str,
        begun: Begun<'_>,
        metrics: &mut Metrics,
    ) -> Result<ItemOutcome, ItemFailure> {
        let result = match item {
            Ok(EventItem::Object(object)) => self.object(object, owner, begun, metrics).await,
            Ok(EventItem::OtherCall) => {
                metrics.other_calls = metrics.other_calls.saturating_add(1);
                Ok(ItemOutcome::OtherCall)
            }
            // These are read together, by `records`.
            Ok(EventItem::Record(_)) => Ok(ItemOutcome::OtherCall),
            Err(error) => Err(error.clone().into()),
        };
        if let Err(failure) = &result {
            error!("{failure}");
        }
        result
    }

    async fn object(
        &self,
        object: &Object,
        owner: &str,
        begun: Begun<'_>,
        metrics: &mut Metrics,
    ) -> Result<ItemOutcome, ItemFailure> {
        let name = object.to_string();
        let empty = (object.size == Some(0)).then_some(Skip::Empty);
        if let Some(skip) = skip_by_name(&object.key).or(empty) {
            debug!(object = name, "skipped: {skip}");
            metrics.skipped = metrics.skipped.saturating_add(1);
            return Ok(ItemOutcome::Skipped(skip));
        }
        if !begun.time.suffices() {
            return Err(ItemFailure::OutOfTime { name, done: NOT_TRIED });
        }
        // Boxed like [`Self::commit`].
        let reading = async {
            let (opened, list) = join(self.source.open(object), self.pipeline.watch_list()).await;
            let opened = opened?;
            let list = list.map_err(|error| {
                let cause = FailureCause::Pipeline(error.into());
                ItemFailure::Commit { name: name.clone(), causes: vec![cause] }
            })?;
            let mut reader = self.pipeline.read_watching(&name, list);
            opened.read(&mut reader).await?;
            Ok::<Read, ItemFailure>(reader.finish())
        }
        .boxed_local();
        let read = match begun.time.until_short() {
            None => reading.await?,
            // Nothing of it could be counted by then.
            Some(limit) => timeout(limit, reading)
                .await
                .map_err(|_| ItemFailure::OutOfTime { name: name.clone(), done: "not read to its end" })??,
        };
        if read.statistics.bytes == 0 {
            metrics.skipped = metrics.skipped.saturating_add(1);
            return Ok(ItemOutcome::Skipped(Skip::Empty));
        }
        metrics.objects = metrics.objects.saturating_add(1);
        let Read { tally, statistics, faults, damage, .. } = read;
        warn_of(&name, &statistics, &faults);
        metrics.add(&statistics);
        let delivery = Delivery { object: &name, claimant: begun.claimant(owner) };
        let again = |tally: Tally| {
            let name = name.clone();
            let again = async move {
                let mut reader = self.pipeline.reader(&name, tally);
                self.source.read(object, &mut reader).await.ok()?;
                Some(reader.finish())
            };
            again.boxed_local()
        };
        let outcome = self.commit(tally, delivery, begun.time, Some(&again)).await;
        let alerts = outcome.published.len();
        let causes: Vec<FailureCause> =
            damage.map(FailureCause::from).into_iter().chain(settled(outcome, metrics)).collect();
        if causes.is_empty() {
            Ok(ItemOutcome::Read { records: statistics.records, denials: statistics.denials, alerts })
        } else {
            Err(ItemFailure::Commit { name, causes })
        }
    }

    /// Boxed, since the compiler lays out only so many futures within each other.
    async fn commit(
        &self,
        tally: Tally,
        delivery: Delivery<'_>,
        time: TimeLeft<'_>,
        again: Option<Again<'_>>,
    ) -> deliver::Outcome {
        self.pipeline.commit_with(time, tally, delivery, again).boxed_local().await
    }

    /// The records that came in an event, in one delivery.
    async fn records(
        &self,
        records: &[(usize, &EventRecord)],
        begun: Begun<'_>,
        failed: &mut Failed,
        metrics: &mut Metrics,
    ) {
        let numbered = || (0_u32..).zip(records);
        let mut causes = Vec::new();
        let mut failing = BTreeSet::new();
        if begun.time.suffices() {
            // Without the watch list: what comes in events are failed calls.
            let mut tally = self.pipeline.tally();
            for (number, (_, record)) in numbered() {
                let read = self.pipeline.read_record(&record.name, &record.json, number, tally);
                tally = read.tally;
                metrics.event_records = metrics.event_records.saturating_add(1);
                warn_of(&record.name, &read.statistics, &read.faults);
                metrics.add(&read.statistics);
                if let Some(damage) = read.damage {
                    failing.insert(number);
                    causes.push(damage.into());
                }
            }
            // By the request id the function's log says which messages they were.
            let name = match records {
                [(_, only)] => only.name.clone(),
                _ => format!("eventbridge:request/{}", begun.request_id),
            };
            let delivery = Delivery { object: &name, claimant: begun.claimant(begun.request_id) };
            let mut outcome = self.commit(tally, delivery, begun.time, None).await;
            failing.append(&mut outcome.unsettled);
            // A failure that belongs to no record fails all.
            if outcome.failed > 0 && failing.is_empty() {
                failing.extend(numbered().map(|(number, _)| number));
            }
            causes.extend(settled(outcome, metrics));
        } else {
            failing.extend(numbered().map(|(number, _)| number));
        }
        let failing: Vec<&(usize, &EventRecord)> =
            numbered().filter(|(number, _)| failing.contains(number)).map(|(_, record)| record).collect();
        if failing.is_empty() && causes.is_empty() {
            return;
        }
        let names: Vec<&str> = failing.iter().map(|(_, record)| record.name.as_str()).collect();
        let name = names.join(", ");
        let failure = if causes.is_empty() {
            ItemFailure::OutOfTime { name, done: NOT_TRIED }
        } else {
            ItemFailure::Commit { name, causes }
        };
        error!("{failure}");
        failed.items.extend(failing.into_iter().map(|(item, _)| *item));
        failed.failures.push(failure);
    }
}

const NOT_TRIED: &str = "not tried";

/// What an event asks for, and the owner of what is claimed for it if it is an object.
type Owned<'a> = (&'a Resolved, &'a str);

/// What failed of an event.
#[derive(Default)]
struct Failed {
    /// Which items.
    items: BTreeSet<usize>,
    /// Why. Records that fail together have one reason.
    failures: Vec<ItemFailure>,
}

/// Warns of what could not be read.
fn warn_of(name: &str, statistics: &Statistics, faults: &[Fault]) {
    for fault in faults {
        warn!(object = name, offset = fault.offset, "{}", fault.kind.advice());
    }
    if statistics.stray > 0 {
        warn!(object = name, "{UNRECOGNISED}");
    }
}

/// Adds what a delivery did; returns why it failed, if it did.
fn settled(outcome: deliver::Outcome, metrics: &mut Metrics) -> impl Iterator<Item = FailureCause> {
    metrics.alerts = metrics.alerts.saturating_add(outcome.published.len() as u64);
    metrics.incidents = metrics.incidents.saturating_add(outcome.incidents);
    metrics.notices = metrics.notices.saturating_add(outcome.notices);
    let reported = outcome.published.iter().filter(|alert| alert.is_reported);
    metrics.told.extend(reported.map(|alert| alert.at));
    let more = outcome.failed.saturating_sub(outcome.failures.len());
    let more = (more > 0).then_some(FailureCause::More(more));
    outcome.failures.into_iter().map(FailureCause::from).chain(more)
}
