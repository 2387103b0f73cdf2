//! Code that the maintainers' commands share with the tests that read the sources.

pub mod figures;
pub mod sources;
