//! Places where a test can have the host killed as by `kill -9`: nothing is flushed, nothing is dropped, nobody is told.
//!
//! `tests/nothing_lost.rs` kills the real binary at every one of [`POINTS`], starts it again, and looks for what was lost or done twice.
//! A release build has none of this.

use std::sync::OnceLock;

/// The environment variable that names the point to die at.
pub const VARIABLE: &str = "HOLDSHORT_KILL_AT";

/// Every point. `before-…` is before the thing is written down or done, `after-…` when it is, and nobody has been told.
pub const POINTS: [&str; 25] = [
    "before-run-created",
    "after-run-created",
    "before-routine-written",
    "before-proposal",
    "after-proposal",
    "before-decision",
    "after-decision",
    "before-start",
    "before-perform",
    "after-perform",
    "after-outcome",
    "before-wake",
    "before-answer",
    "before-run-ended",
    "after-run-ended",
    "after-in-doubt",
    "after-lookup",
    "before-resolution",
    "after-resolution",
    "before-timer",
    "after-timer",
    "before-deadline",
    "after-deadline",
    "before-run-cancelled",
    "after-run-cancelled",
];

/// Dies here if the environment says so.
pub(crate) fn point(name: &str) {
    if cfg!(debug_assertions) && is_due(name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal needs no help, but nothing may be done while it is on its way.
        loop {
            std::thread::park();
        }
    }
}

fn is_due(name: &str) -> bool {
    static AT: OnceLock<Option<String>> = OnceLock::new();
    AT.get_or_init(|| std::env::var(VARIABLE).ok()).as_deref() == Some(name)
}
