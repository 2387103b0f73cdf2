//! Kill points: places where a test can kill the host. The journal's writer has more around every
//! commit ([`holdshort_journal::kill`]).
//!
//! `tests/nothing_lost` kills the real binary at each point, starts it again, and checks that
//! nothing was lost or done twice. Release builds have no kill points.

pub(crate) use holdshort_journal::kill::point;
pub use holdshort_journal::kill::{BLOB, NOTE, VARIABLE};

/// The kill points in the host's own code. Performing, looking up, answering an agent and answering
/// a request each happen at one place.
pub const POINTS: [&str; 7] = [
    "before-perform",
    "after-perform",
    "before-lookup",
    "after-lookup",
    "before-wake",
    "before-answer",
    "after-answer",
];

/// Before the reply to a request that may have changed something, followed by its route:
/// `before-reply /v1/runs`.
pub const REPLY: &str = "before-reply ";
