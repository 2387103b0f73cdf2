//! What the events state of a run: its limits, the request that made it, and why it does not go on.

use serde::{Deserialize, Serialize};

use crate::decision::{LIMIT, RefusalReason};
use crate::ids::{Digest, Time};

/// What a run may use; written with the run, so that a changed default changes no run that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLimits {
    /// The agent's own CPU time in milliseconds, from its beginning to its end; waiting is not counted.
    pub cpu_ms: u64,
    /// Bytes of linear memory.
    pub memory_bytes: u64,
    /// Calls that may be held in the whole run.
    pub held_calls: u32,
    /// Host calls of any kind in the whole run; a sleep is one too.
    pub calls: u32,
    /// About how many bytes the arguments and results of all host calls may take, which the journal keeps. A run from before there was this limit has none.
    #[serde(default = "unlimited")]
    pub journal_bytes: u64,
}

fn unlimited() -> u64 {
    u64::MAX
}

impl RunLimits {
    /// Why a call that would be held is refused, once `held` calls were.
    pub fn refuse_to_hold(&self, held: u32) -> Option<RefusalReason> {
        (held >= self.held_calls).then(|| {
            RefusalReason::Forbidden(format!(
                "{LIMIT}: this run has had {} held calls, the most allowed; go on without another, or ask the operator for a larger `held-calls`",
                self.held_calls
            ))
        })
    }
}

/// A request that its sender named with a key of their choice, so that it is known again when its answer was lost and it is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The digest of the key together with who sent it and what kind of thing it makes.
    pub key: Digest,
    /// The digest of what was asked for.
    pub asks: Digest,
}

/// Since when and why the host has not been able to bring a run forward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delayed {
    /// When that was written down first.
    pub since: Time,
    /// In one line.
    pub reason: String,
    /// How often it was tried by then.
    pub tries: u32,
}
