//! Why a delivery failed, whether a retry may help, and what is reported to Lambda.

use lambda_runtime::Diagnostic;

use crate::deliver;
use crate::lambda::aws::{LONGEST_STEP, SourceError};
use crate::lambda::event::EventError;
use crate::source::inflate::Damage;

/// Why one thing that an event asked for failed. It names no caller: it is logged and reported.
#[derive(Debug, thiserror::Error)]
pub enum ItemFailure {
    /// The event does not say what to read.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The object did not arrive whole; nothing of it was counted.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There was too little time left to begin, or to read an object to its end; nothing of it was counted.
    #[error(
        "{name}: {done} before the invocation's time ran out (nothing begins with less than {} s left); it will be tried again",
        LONGEST_STEP.as_secs()
    )]
    OutOfTime {
        /// The object or records.
        name: String,
        /// What did not happen.
        done: &'static str,
    },
    /// Everything that could be read was counted, but that was not all, or the count failed.
    #[error("{name}: {}", join(.causes))]
    Commit {
        /// The object or record.
        name: String,
        /// At least one.
        causes: Vec<FailureCause>,
    },
}

/// What went wrong once an object had arrived.
#[derive(Debug, thiserror::Error)]
pub enum FailureCause {
    /// The object is damaged or over a limit.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// A key was not counted, or its alert not published.
    #[error(transparent)]
    Pipeline(#[from] deliver::Failure),
    /// Further keys failed, whose causes were not kept.
    #[error("{0} more keys failed")]
    More(usize),
}

impl ItemFailure {
    /// Whether a retry may succeed without anyone changing anything.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Event(_) => false,
            Self::Source(error) => !error.is_permanent(),
            Self::OutOfTime { .. } => true,
            Self::Commit { causes, .. } => {
                causes.iter().any(|cause| matches!(cause, FailureCause::Pipeline(_)))
            }
        }
    }
}

fn join(causes: &[FailureCause]) -> String {
    let causes: Vec<String> = causes.iter().map(ToString::to_string).collect();
    causes.join("; ")
}

/// Part of an event failed that is answered as a whole. Everything else in it was done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failed} of {all} failed: {causes}")]
pub struct DeliveryError {
    /// Objects and records that failed.
    pub failed: usize,
    /// Objects and records of the event.
    pub all: usize,
    /// Each failed object and its cause, of bounded length.
    pub causes: String,
}

/// The error's name in logs and on-failure records; `lambda_runtime` would use the Rust type's.
impl From<DeliveryError> for Diagnostic {
    fn from(error: DeliveryError) -> Self {
        Self { error_type: "DeliveryFailed".to_owned(), error_message: error.to_string() }
    }
}

/// The longest text for Lambda, in bytes. It goes into the on-failure record, whose queue takes 256 KB,
/// event included.
const MAX_CAUSES_BYTES: usize = 16 * 1024;

impl DeliveryError {
    /// `None` if none of `all` failed; `failures` say why `failed` did.
    #[must_use]
    pub fn new(failures: &[ItemFailure], failed: usize, all: usize) -> Option<Self> {
        if failures.is_empty() {
            return None;
        }
        let mut causes = String::new();
        for (number, failure) in failures.iter().enumerate() {
            let mut failure = failure.to_string();
            failure.truncate(failure.floor_char_boundary(MAX_CAUSES_BYTES));
            if causes.len().saturating_add(failure.len()) > MAX_CAUSES_BYTES {
                let more = failures.len().saturating_sub(number);
                causes = format!("{causes}; and {more} more, see the log");
                break;
            }
            if number > 0 {
                causes += "; ";
            }
            causes += &failure;
        }
        Some(Self { failed, all, causes })
    }
}
