//! T33: attempts of a hostile check to break out. The test also runs attempts without the sandbox, where they must
//! succeed. An honest check gets what it needs.
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
