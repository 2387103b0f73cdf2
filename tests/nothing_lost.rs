//! What was acknowledged is on disk, and no effect happens twice: the real program is killed with `kill -9` wherever it matters, and started again.
//!
//! Effects are counted where they arrive, which is nothing of the host's: in a Maildir, at a relay, in a bare repository's log.
#![cfg(debug_assertions)] // A release build cannot be told where to die.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(clippy::print_stdout, reason = "a case that fails is the one that was named last")]
#![allow(missing_docs, unreachable_pub, reason = "modules of a test")]

#[path = "nothing_lost/child.rs"]
mod child;
#[path = "nothing_lost/decisions.rs"]
mod decisions;
#[path = "nothing_lost/doubt.rs"]
mod doubt;
#[path = "nothing_lost/operator.rs"]
mod operator;
#[path = "support/outside.rs"]
mod outside;
#[path = "nothing_lost/points.rs"]
mod points;
#[path = "nothing_lost/replay.rs"]
mod replay;
#[path = "nothing_lost/states.rs"]
mod states;
#[path = "nothing_lost/storm.rs"]
mod storm;
#[path = "support/mod.rs"]
mod support;
#[path = "nothing_lost/time.rs"]
mod time;
