//! Modules that several packages need. No module depends on another module or on another package of the project.
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

pub mod aside;
pub mod isolate;
pub mod money;
pub mod once;
pub mod outbound;
pub mod reference;
