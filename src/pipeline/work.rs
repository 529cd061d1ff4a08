//! Much to do at once, but not too much.

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::{Failure, Outcome};

/// Keys or callers of one object that are worked on at once.
const AT_ONCE: usize = 32;

/// Does all of `work`, some of it at once, and hands each result to `take`, until too much failed.
pub(super) async fn all<F, T>(work: impl Iterator<Item = F>, outcome: &mut Outcome, mut take: impl FnMut(T))
where
    F: Future<Output = (T, Result<(), Failure>)>,
{
    let mut work = work;
    let mut running = FuturesUnordered::new();
    loop {
        if !outcome.has_given_up() {
            running.extend(work.by_ref().take(AT_ONCE - running.len()));
        }
        // What runs is never dropped: an alert could be left published and not marked.
        let Some((done, result)) = running.next().await else { return };
        take(done);
        outcome.failures.extend(result.err());
    }
}
