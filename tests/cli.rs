//! The command line as its users meet it: the real binary alone, on a pseudo-terminal, and beside a host. The files in
//! `tests/data/errors` fix every word of its errors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "cli/agents.rs"]
mod agents;
#[path = "cli/asking.rs"]
mod asking;
#[path = "cli/counting.rs"]
mod counting;
#[path = "cli/deciding.rs"]
mod deciding;
#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/disk.rs"]
mod disk;
#[path = "cli/hosts.rs"]
mod hosts;
#[path = "cli/hours.rs"]
mod hours;
#[path = "cli/policies.rs"]
mod policies;
#[path = "cli/problems.rs"]
mod problems;
#[path = "cli/projects.rs"]
mod projects;
#[path = "cli/reviewing.rs"]
mod reviewing;
#[path = "cli/running.rs"]
mod running;
#[path = "cli/said.rs"]
mod said;
#[path = "cli/scene.rs"]
mod scene;
#[path = "cli/screen.rs"]
mod screen;
#[path = "support/mod.rs"]
mod support;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/trust.rs"]
mod trust;
#[path = "cli/words.rs"]
mod words;

use support::evidence;
