//! Work on several cores, whose results come in the order of the work.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::interrupt;

/// Results that may wait for an earlier one, for each core: with fewer, a core may idle behind a
/// large item; each may take memory.
const AHEAD: usize = 2;

/// Does `work` on all `items`, on so many cores, and hands each result to `take` in the order of the
/// items. No more than twice as many items as cores are begun and not taken. A signal ends it early: the items that
/// were begun are taken.
pub fn in_order<T: Send, R: Send>(
    items: impl Iterator<Item = T>,
    cores: NonZero<usize>,
    work: impl Fn(T) -> R + Sync,
    mut take: impl FnMut(R),
) {
    let cores = cores.get();
    let mut items = items.take_while(|_| !interrupt::is_requested());
    if cores == 1 {
        return items.for_each(|item| take(work(item)));
    }
    let (begin, begun) = mpsc::channel::<(T, Sender<R>)>();
    let begun = Mutex::new(begun);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some((item, done)) = next(&begun) {
                    // No one waits any more where the main thread has given up.
                    let _ = done.send(work(item));
                }
            });
        }
        let mut waiting: VecDeque<Receiver<R>> = VecDeque::new();
        loop {
            if waiting.len() == AHEAD.saturating_mul(cores)
                && let Some(first) = waiting.pop_front()
            {
                first.into_iter().for_each(&mut take);
            }
            let Some(item) = items.next() else { break };
            let (done, result) = mpsc::channel();
            if begin.send((item, done)).is_ok() {
                waiting.push_back(result);
            }
        }
        drop(begin);
        waiting.into_iter().flatten().for_each(take);
    });
}

/// Waits for the next item; holds up no other core meanwhile than those that wait too.
fn next<T>(begun: &Mutex<Receiver<T>>) -> Option<T> {
    begun.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_come_in_order_and_few_are_begun_ahead() {
        for cores in [1, 2, 5] {
            let (ahead, mut taken) = (AtomicUsize::new(0), Vec::new());
            let begun = (0..200_u32).inspect(|_| {
                let before = ahead.fetch_add(1, Ordering::Relaxed);
                assert!(before < AHEAD.saturating_mul(cores).max(1), "{before} with {cores} cores");
            });
            let spin = |item: u32| {
                let rounds = if item.is_multiple_of(7) { 20_000 } else { 10 };
                (0..rounds).fold(item, |sum, round| std::hint::black_box(sum ^ round));
                item
            };
            in_order(begun, NonZero::new(cores).expect("some"), spin, |item| {
                ahead.fetch_sub(1, Ordering::Relaxed);
                taken.push(item);
            });
            assert!(taken.iter().copied().eq(0..200), "{taken:?}");
        }
    }
}
