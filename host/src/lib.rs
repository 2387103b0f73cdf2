//! Holdshort: runs AI agents as sandboxed WebAssembly components and holds every consequential call until a person has cleared exactly those bytes.
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

pub mod agent;
pub mod api;
mod aside;
pub mod burden;
pub mod cli;
pub mod config;
pub mod connectors;
pub mod effects;
pub mod isolate;
pub mod kill;
mod money;
pub mod notify;
mod once;
pub mod own;
pub mod page;
pub mod policy;
pub mod reference;
pub mod review;
pub mod runs;
