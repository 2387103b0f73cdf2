//! Values that events record about a run: its limits, the request that created it, and why it does not go on.

use serde::{Deserialize, Serialize};

use crate::decision::{LIMIT, RefusalReason};
use crate::ids::{Digest, Time};

/// The limits of a run. They are written with the run, so that a changed default does not change existing runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RunLimits {
    /// The agent's CPU time in the whole run, in milliseconds; the time of waiting is not counted.
    pub cpu_ms: u64,
    /// Bytes of linear memory.
    pub memory_bytes: u64,
    /// The largest number of held calls in the whole run.
    pub held_calls: u32,
    /// The largest number of host calls of any kind in the whole run; a sleep counts as one.
    pub calls: u32,
    /// The largest number of bytes, approximately, that the arguments and results of all host calls take in the
    /// journal. A run of an older journal has no such limit.
    #[serde(default = "unlimited")]
    #[cfg_attr(feature = "schema", schema(required = true))]
    pub journal_bytes: u64,
}

fn unlimited() -> u64 {
    u64::MAX
}

impl RunLimits {
    /// The reason to refuse a call that would be held; `None` while `held` is below the limit.
    pub fn refuse_to_hold(&self, held: u32) -> Option<RefusalReason> {
        (held >= self.held_calls).then(|| {
            RefusalReason::Forbidden(format!(
                "{LIMIT}: this run has had {} held calls, and no more are allowed: continue without held calls, or ask the operator to raise `held-calls`",
                self.held_calls
            ))
        })
    }
}

/// A request with a key that its sender chose. If the answer was lost and the sender sends the request again, the host
/// recognises the request by the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = RequestMark))]
pub struct Request {
    /// The digest of the key, its sender and the kind of thing that the request creates.
    pub key: Digest,
    /// The digest of the content of the request.
    pub asks: Digest,
}

/// Since when and why the host cannot bring a run forward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Delayed {
    /// When the delay was first written.
    pub since: Time,
    /// The reason, in one line.
    pub reason: String,
    /// How many times the host had tried when the delay was written.
    pub tries: u32,
}
