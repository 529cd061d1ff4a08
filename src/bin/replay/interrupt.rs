//! Ctrl-C and SIGTERM: reading stops, and what was counted so far is shown. A second signal ends the program at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The signal that arrived; 0 if none did.
static SIGNAL: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// The next signal ends the program.
static IS_LAST: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Watches for signals from now on. Where that fails, they end the program as they always did.
pub fn watch() {
    for signal in [SIGINT, SIGTERM] {
        // Each runs what is registered in this order.
        let _ = flag::register_conditional_default(signal, Arc::clone(&IS_LAST))
            .and_then(|_| flag::register(signal, Arc::clone(&IS_LAST)))
            .and_then(|_| flag::register_usize(signal, Arc::clone(&SIGNAL), number(signal)));
    }
}

/// From now on, a signal ends the program: what was read is being shown.
pub fn release() {
    IS_LAST.store(true, Ordering::Relaxed);
}

fn number(signal: i32) -> usize {
    usize::try_from(signal).unwrap_or_default()
}

/// Whether a signal arrived.
pub fn is_requested() -> bool {
    SIGNAL.load(Ordering::Relaxed) != 0
}

/// The exit status by the shell's custom, 128 and the signal's number, if one arrived.
pub fn exit_status() -> Option<u8> {
    let signal = SIGNAL.load(Ordering::Relaxed);
    u8::try_from(signal.saturating_add(128)).ok().filter(|_| signal != 0)
}
