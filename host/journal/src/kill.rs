//! Places where a test can have the host killed as by `kill -9`: nothing is flushed, nothing is dropped, nobody is told.
//!
//! The writer has one before and one after each commit, for every kind of event in it: `before-call-held`, `after-call-held` and so on.
//! So every write has them, on every path. A release build has no kill points.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The environment variable that names the point to die at; `2*before-blob-kept` is the second time that the host gets there.
pub const VARIABLE: &str = "HOLDSHORT_KILL_AT";

/// The name of a commit of evidence, or of a component's bytes, at its kill points.
pub const BLOB: &str = "blob-kept";

/// The name of a commit of notification cursors at its kill points.
pub const NOTE: &str = "note-kept";

/// Dies here if the environment says so.
pub fn point(name: &str) {
    if due().is_some_and(|(_, due)| due == name) {
        reached();
    }
}

/// Dies here if the environment names `when` with one of these things, as `before-run-created`.
pub(crate) fn points<'a>(when: &str, mut what: impl Iterator<Item = &'a str>) {
    let named = due().and_then(|(_, due)| due.strip_prefix(when)?.strip_prefix('-'));
    if named.is_some_and(|named| what.any(|what| what == named)) {
        reached();
    }
}

/// How many times the point is passed before the host dies there, and its name.
fn due() -> Option<(u32, &'static str)> {
    static AT: OnceLock<Option<String>> = OnceLock::new();
    let at =
        if cfg!(debug_assertions) { AT.get_or_init(|| std::env::var(VARIABLE).ok()).as_deref()? } else { return None };
    let counted = at.split_once('*').and_then(|(times, name)| Some((times.parse().ok()?, name)));
    Some(counted.map_or((0, at), |(times, name): (u32, _)| (times.saturating_sub(1), name)))
}

/// The point is reached: it is the end, unless it is to be passed a few times.
fn reached() {
    static PASSED: AtomicU32 = AtomicU32::new(0);
    if due().is_none_or(|(times, _)| PASSED.fetch_add(1, Ordering::Relaxed) < times) {
        return;
    }
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // The signal needs no help, but nothing may be done while it is on its way.
    loop {
        std::thread::park();
    }
}
