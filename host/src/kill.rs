//! Places where a test can have the host killed, besides those around every commit, which the journal's writer has ([`holdshort_journal::kill`]).
//!
//! `tests/nothing_lost` kills the real binary at every one of them, starts it again, and looks for what was lost or done twice.
//! A release build has none of this.

pub(crate) use holdshort_journal::kill::point;
pub use holdshort_journal::kill::{BLOB, NOTE, VARIABLE};

/// The points in the host's own code. An effect is performed and looked up in one place each, an agent is answered in one, and a request in one.
pub const POINTS: [&str; 7] = [
    "before-perform",
    "after-perform",
    "before-lookup",
    "after-lookup",
    "before-wake",
    "before-answer",
    "after-answer",
];

/// Before the reply to a request that may have changed something, by its route: `before-reply /v1/runs`.
pub const REPLY: &str = "before-reply ";
