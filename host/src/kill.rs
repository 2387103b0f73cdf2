//! Kill points: places where a test can kill the host. The journal's writer has further kill points
//! around every commit ([`holdshort_journal::kill`]).
//!
//! `tests/nothing_lost` kills the real binary at each point, starts it again, and checks that
//! nothing was lost or done twice. Release builds have no kill points.

pub(crate) use holdshort_journal::kill::point;
pub use holdshort_journal::kill::{BLOB, NOTE, VARIABLE};

/// The kill points in the host's own code, besides [`REPLY`]. Each is at one place in the code.
pub const POINTS: [&str; 7] = [
    "before-perform",
    "after-perform",
    "before-lookup",
    "after-lookup",
    "before-wake",
    "before-answer",
    "after-answer",
];

/// The beginning of the names of the kill points before the reply to a `POST` request. The route follows: `before-reply
/// /v1/runs`.
pub const REPLY: &str = "before-reply ";
