//! S3 Batch Operations: a job passes in a few objects at a time and wants a result for each. This is how
//! you back-fill a bucket of any size.
//!
//! Source: "Invoke AWS Lambda function" in the Amazon S3 user guide.

use serde::Serialize;

use super::fields::Fields;
use super::s3::form_decoded;
use super::{EventError, EventItem, Resolved, incomplete};
use crate::source::object::Object;

const SHAPE: &str = "S3 Batch Operations";

/// One invocation by a job.
#[derive(Debug, PartialEq, Eq)]
pub struct Job {
    /// The job's own id; empty if the event has none. It stays the same when a task is tried again.
    pub id: String,
    /// `1.0` or `2.0`; it only matters to the job.
    pub schema_version: String,
    /// The id to answer with.
    pub invocation_id: String,
    /// What to read.
    pub tasks: Vec<Task>,
}

/// One object of a job.
#[derive(Debug, PartialEq, Eq)]
pub struct Task {
    /// The id to answer with.
    pub id: String,
    /// The object.
    pub item: Resolved,
}

/// The calling job; `None` for anything else.
pub(super) fn job(fields: &Fields<'_>) -> Option<Result<Job, EventError>> {
    let schema_version = fields.text("invocationSchemaVersion")?;
    let id = fields.object("job").and_then(|job| job.text("id")).unwrap_or_default();
    let tasks = fields.list("tasks").filter(|tasks| !tasks.is_empty());
    let task = |json| {
        let task = Fields::read(json)?;
        Some(Task { id: task.text("taskId")?, item: object(&task) })
    };
    let tasks = tasks.and_then(|tasks| tasks.into_iter().map(task).collect());
    Some(match (fields.text("invocationId"), tasks) {
        (Some(invocation_id), Some(tasks)) => Ok(Job { id, schema_version, invocation_id, tasks }),
        _ => Err(incomplete(SHAPE, "invocationId, and tasks, each with a taskId")),
    })
}

fn object(task: &Fields<'_>) -> Resolved {
    let given = |name| task.text(name).filter(|text| !text.is_empty());
    let arn = given("s3BucketArn");
    let bucket = given("s3Bucket").or_else(|| arn.map(bucket_name));
    match bucket.zip(given("s3Key")).map(|(bucket, key)| (bucket, form_decoded(&key))) {
        Some((bucket, Some(key))) => {
            Ok(EventItem::Object(Object { bucket, key, version_id: given("s3VersionId"), size: None }))
        }
        Some((_, None)) => Err(incomplete(SHAPE, "s3Key, form-encoded UTF-8")),
        None => Err(incomplete(SHAPE, "s3Key, and s3BucketArn or s3Bucket")),
    }
}

/// An access point has no shorter name than its ARN.
fn bucket_name(arn: String) -> String {
    match arn.rsplit_once(':') {
        Some((_, name)) if !name.is_empty() && !name.contains('/') => name.to_owned(),
        _ => arn,
    }
}

/// The answer to a job.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobAnswer {
    invocation_schema_version: String,
    /// How the job treats tasks missing from the answer; none is.
    treat_missing_keys_as: ResultCode,
    invocation_id: String,
    results: Vec<TaskResult>,
}

impl JobAnswer {
    /// Answers `job` with one result for each of its tasks.
    #[must_use]
    pub fn new(job: &Job, results: Vec<TaskResult>) -> Self {
        Self {
            invocation_schema_version: job.schema_version.clone(),
            treat_missing_keys_as: ResultCode::PermanentFailure,
            invocation_id: job.invocation_id.clone(),
            results,
        }
    }
}

/// The result of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ResultCode {
    /// The object was read, or is not a log.
    Succeeded,
    /// The job tries the task again before it ends.
    TemporaryFailure,
    /// The job does not try the task again.
    PermanentFailure,
}

/// One line of the job's report.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskResult {
    task_id: String,
    result_code: ResultCode,
    result_string: String,
}

/// The longest text of a result, in characters. A report is a table, and an error may quote a key of
/// 1,024 bytes.
const MAX_RESULT_CHARS: usize = 1024;

impl TaskResult {
    /// `text` goes into the job's report, cut if too long.
    #[must_use]
    pub fn new(task: &Task, result_code: ResultCode, text: &str) -> Self {
        let result_string = text.chars().take(MAX_RESULT_CHARS).collect();
        Self { task_id: task.id.clone(), result_code, result_string }
    }
}
