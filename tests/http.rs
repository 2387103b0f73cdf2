//! The HTTP endpoint on a real port: `/openapi.json` describes every answer, wrong requests are refused, and slow or
//! many sockets do not keep other clients out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "http/answers.rs"]
mod answers;
#[path = "http/backtests.rs"]
mod backtests;
#[path = "http/client.rs"]
mod client;
#[path = "http/crowd.rs"]
mod crowd;
#[path = "http/decisions.rs"]
mod decisions;
#[path = "http/editing.rs"]
mod editing;
#[path = "support/evidence.rs"]
mod evidence;
#[path = "http/forms.rs"]
mod forms;
#[path = "http/hardening.rs"]
mod hardening;
#[path = "http/long.rs"]
mod long;
#[path = "http/names.rs"]
mod names;
#[path = "http/pages.rs"]
mod pages;
#[path = "http/repeat.rs"]
mod repeat;
#[path = "http/schema.rs"]
mod schema;
#[path = "http/sockets.rs"]
mod sockets;
#[path = "http/stale.rs"]
mod stale;
#[path = "http/stats.rs"]
mod stats;
#[path = "http/stream.rs"]
mod stream;
#[path = "http/table.rs"]
mod table;
#[path = "http/views.rs"]
mod views;
#[path = "http/world.rs"]
mod world;
