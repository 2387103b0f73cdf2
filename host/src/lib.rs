//! Holdshort: runs AI agents as sandboxed WebAssembly components and holds every consequential call until a person has cleared exactly those bytes.

pub mod api;
pub mod connectors;
