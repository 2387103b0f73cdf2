//! Places where a test can have the host killed as by `kill -9`: nothing is flushed, no value is dropped, and nobody is
//! told.
//!
//! The writer has one kill point before and one after each commit, for every kind of event in the commit:
//! `before-call-held`, `after-call-held` and so on. Every write therefore has kill points, on every path. A release
//! build has none.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The environment variable that names the point at which the host is killed; `2*before-blob-kept` means the second
/// time that the host gets to that point.
pub const VARIABLE: &str = "HOLDSHORT_KILL_AT";

/// The name that kill points use for a commit of evidence or of a component's bytes.
pub const BLOB: &str = "blob-kept";

/// The name that kill points use for a commit of notification cursors.
pub const NOTE: &str = "note-kept";

/// Kills the host here if the environment variable names this point.
pub fn point(name: &str) {
    if due().is_some_and(|(_, due)| due == name) {
        reached();
    }
}

/// Kills the host here if the environment variable names `when` with one of the names in `what`, such as
/// `before-run-created`.
pub(crate) fn points<'a>(when: &str, mut what: impl Iterator<Item = &'a str>) {
    let named = due().and_then(|(_, due)| due.strip_prefix(when)?.strip_prefix('-'));
    if named.is_some_and(|named| what.any(|what| what == named)) {
        reached();
    }
}

/// How many times the host passes the point before it is killed there, and the point's name.
fn due() -> Option<(u32, &'static str)> {
    static AT: OnceLock<Option<String>> = OnceLock::new();
    let at =
        if cfg!(debug_assertions) { AT.get_or_init(|| std::env::var(VARIABLE).ok()).as_deref()? } else { return None };
    let counted = at.split_once('*').and_then(|(times, name)| Some((times.parse().ok()?, name)));
    Some(counted.map_or((0, at), |(times, name): (u32, _)| (times.saturating_sub(1), name)))
}

/// Called when the host has reached its kill point. Kills the host, unless the host has to pass the point a few more
/// times first.
fn reached() {
    static PASSED: AtomicU32 = AtomicU32::new(0);
    if due().is_none_or(|(times, _)| PASSED.fetch_add(1, Ordering::Relaxed) < times) {
        return;
    }
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // The signal kills the host, but until the signal arrives nothing more may be done.
    loop {
        std::thread::park();
    }
}
