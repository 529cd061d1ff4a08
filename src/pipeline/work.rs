//! Bounded concurrency.

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::{Failure, MAX_UNANSWERED, Outcome};

/// How many keys or callers of one object are processed at once.
pub(super) const AT_ONCE: usize = 32;

/// Does all of `work`, some of it concurrently, as long as the store answers. Passes each result to
/// `take`, which returns a failure that has to be reported.
pub(super) async fn all<F, T>(
    work: impl Iterator<Item = F>,
    outcome: &mut Outcome,
    mut take: impl FnMut(T, Option<Failure>) -> Option<Failure>,
) where
    F: Future<Output = (T, Result<(), Failure>)>,
{
    let mut work = work;
    let mut running = FuturesUnordered::new();
    let mut unanswered = 0;
    let mut silent = None;
    loop {
        if unanswered < MAX_UNANSWERED {
            running.extend(work.by_ref().take(AT_ONCE - running.len()));
        }
        // Work in progress is never dropped: an alert could be left published but not marked.
        let Some((done, result)) = running.next().await else { break };
        silent = result.as_ref().err().and_then(Failure::unanswered);
        unanswered = if silent.is_some() { unanswered + 1 } else { 0 };
        if let Some(failure) = take(done, result.err()) {
            outcome.fail(failure);
        }
    }
    if let Some(silent) = silent.filter(|_| unanswered >= MAX_UNANSWERED) {
        outcome.failures.push(Failure::Unanswered(silent));
    }
}
