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
    take: impl FnMut(T, Option<Failure>) -> Option<Failure>,
) where
    F: Future<Output = (T, Result<(), Failure>)>,
{
    within(|| true, work.map(|one| ((), one)), outcome, take).await;
}

/// The same, as long as it `may_begin`. Each piece of work has a label; returns those of the pieces that were not begun.
pub(super) async fn within<L, F, T>(
    may_begin: impl Fn() -> bool,
    work: impl Iterator<Item = (L, F)>,
    outcome: &mut Outcome,
    mut take: impl FnMut(T, Option<Failure>) -> Option<Failure>,
) -> Vec<L>
where
    F: Future<Output = (T, Result<(), Failure>)>,
{
    let mut work = work;
    let mut running = FuturesUnordered::new();
    let mut unanswered = 0;
    let mut silent = None;
    loop {
        if unanswered < MAX_UNANSWERED && may_begin() {
            let room = AT_ONCE.saturating_sub(running.len());
            running.extend(work.by_ref().take(room).map(|(_, one)| one));
        }
        // Work in progress is never dropped: an alert could be left published but not marked.
        let Some((done, result)) = running.next().await else { break };
        silent = result.as_ref().err().and_then(Failure::unanswered);
        unanswered = if silent.is_some() { unanswered.saturating_add(1) } else { 0 };
        if let Some(failure) = take(done, result.err()) {
            outcome.fail(failure);
        }
    }
    if let Some(silent) = silent.filter(|_| unanswered >= MAX_UNANSWERED) {
        outcome.failures.push(Failure::Unanswered(silent));
    }
    drop(running);
    let not_begun: Vec<L> = work.map(|(label, _)| label).collect();
    if !not_begun.is_empty() && unanswered < MAX_UNANSWERED {
        outcome.out_of_time(not_begun.len());
    }
    not_begun
}
