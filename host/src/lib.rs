//! Holdshort: runs AI agents as sandboxed WebAssembly components and holds every consequential call until a person has cleared exactly those bytes.

pub mod agent;
pub mod api;
pub mod cli;
pub mod config;
pub mod connectors;
pub mod effects;
pub mod kill;
pub mod policy;
pub mod review;
pub mod runs;
