//! Holdshort runs AI agents as sandboxed WebAssembly components and holds every consequential call
//! until policy, a grant or reviewers have cleared exactly those bytes.
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

pub mod api;
pub mod cli;
pub mod effects;
pub mod kill;
pub mod notify;
pub mod own;
pub mod page;
pub mod runs;

pub use holdshort_agent as agent;
pub use holdshort_analysis as analysis;
pub use holdshort_common::{isolate, reference};
pub use holdshort_config as config;
pub use holdshort_connectors as connectors;
pub use holdshort_policy as policy;
pub use holdshort_review as review;
