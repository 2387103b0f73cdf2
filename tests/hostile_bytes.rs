//! Bytes that are made to crash their reader: components and policies, in a real host.
//!
//! Each input is refused within its limits with a text of bounded length, or is harmless. Meanwhile the host answers,
//! does not grow, and runs honest agents.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "support/mod.rs"]
mod support;

#[path = "hostile_bytes/beside.rs"]
mod beside;
#[path = "hostile_bytes/code.rs"]
mod code;
#[path = "hostile_bytes/components.rs"]
mod components;
#[path = "hostile_bytes/encode.rs"]
mod encode;
#[path = "hostile_bytes/loading.rs"]
mod loading;
#[path = "hostile_bytes/policies.rs"]
mod policies;
#[path = "hostile_bytes/types.rs"]
mod types;

use support::evidence;
