//! T33: what a hostile check tries, each attempt also without the sandbox, where it succeeds; and what an honest check
//! needs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

#[path = "contained/attempts.rs"]
mod attempts;
#[path = "support/evidence.rs"]
mod evidence;
#[path = "contained/honest.rs"]
mod honest;
#[path = "support/skipped.rs"]
mod skipped;
#[path = "contained/takeover.rs"]
mod takeover;
#[path = "contained/world.rs"]
mod world;
