//! What the maintainers' commands and the tests that read the sources share.

pub mod figures;
pub mod sources;
