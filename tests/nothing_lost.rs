//! No acknowledged write is lost, and no effect happens twice: the real program is killed with `kill -9` at every point
//! that matters, and started again.
//!
//! The tests count effects where they arrive: in a Maildir, at a relay, in the log of a bare repository, in the file of
//! a ledger, and in a folder. Kill points exist only in a debug build, so these tests use a debug build.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(clippy::print_stdout, reason = "a case that fails is the one that was named last")]
#![allow(unreachable_pub, reason = "modules of a test")]

#[cfg(debug_assertions)]
#[path = "nothing_lost/browsed.rs"]
mod browsed;
#[cfg(debug_assertions)]
#[path = "nothing_lost/cases.rs"]
mod cases;
#[cfg(debug_assertions)]
#[path = "nothing_lost/child.rs"]
mod child;
#[cfg(debug_assertions)]
#[path = "nothing_lost/decisions.rs"]
mod decisions;
#[cfg(debug_assertions)]
#[path = "nothing_lost/doubt.rs"]
mod doubt;
#[cfg(debug_assertions)]
#[cfg(debug_assertions)]
#[path = "nothing_lost/kept.rs"]
mod kept;
#[cfg(debug_assertions)]
#[path = "nothing_lost/operator.rs"]
mod operator;
#[cfg(debug_assertions)]
#[path = "support/outside.rs"]
mod outside;
#[cfg(debug_assertions)]
#[path = "nothing_lost/points.rs"]
mod points;
#[cfg(debug_assertions)]
#[path = "nothing_lost/replay.rs"]
mod replay;
#[cfg(debug_assertions)]
#[path = "nothing_lost/states.rs"]
mod states;
#[cfg(debug_assertions)]
#[path = "nothing_lost/storm.rs"]
mod storm;
#[cfg(debug_assertions)]
#[path = "support/mod.rs"]
mod support;
#[cfg(debug_assertions)]
#[path = "nothing_lost/time.rs"]
mod time;

#[cfg(not(debug_assertions))]
#[path = "support/skipped.rs"]
mod skipped;

use support::evidence;

#[cfg(not(debug_assertions))]
#[test]
fn nothing_lost() {
    skipped::skipped(
        "all of tests/nothing_lost: a release build cannot be told where to die; run it without `--release`",
    );
}
