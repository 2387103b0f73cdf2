//! Notifications: real receivers get the events of the journal, signed, in order, at least once, and only at addresses
//! that the operator allows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "notify/deliveries.rs"]
mod deliveries;
#[path = "notify/letters.rs"]
mod letters;
#[path = "support/outside.rs"]
mod outside;
#[path = "notify/receiver.rs"]
mod receiver;
#[path = "notify/ssrf.rs"]
mod ssrf;
#[path = "support/mod.rs"]
mod support;

use support::evidence;
