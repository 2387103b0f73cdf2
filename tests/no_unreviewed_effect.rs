//! No effect happens without a clearance, and a cleared effect happens exactly as cleared: the tests use the real
//! program and real connectors, and count effects where they arrive, outside of the host.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "no_unreviewed_effect/closed.rs"]
mod closed;
#[path = "no_unreviewed_effect/exact.rs"]
mod exact;
#[path = "support/outside.rs"]
mod outside;
#[path = "no_unreviewed_effect/people.rs"]
mod people;
#[path = "no_unreviewed_effect/refused.rs"]
mod refused;
#[path = "no_unreviewed_effect/spoken.rs"]
mod spoken;
#[path = "support/mod.rs"]
mod support;
#[path = "no_unreviewed_effect/world.rs"]
mod world;
