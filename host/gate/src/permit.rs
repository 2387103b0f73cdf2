//! What a legal start yields: everything a connector needs, and nothing that it could act on without it.

use serde_json::Value;

use crate::action::Action;
use crate::condition::Mark;
use crate::ids::{CallNumber, Digest, EffectKey, RunId, Time};

/// Leave to attempt one effect once.
///
/// Made only by [`Start`](crate::command::Start); neither cloned nor read back from anywhere.
/// It is not yet an authority: the journal wraps it once the start is on disk.
#[derive(Debug)]
pub struct Permit {
    pub(crate) run: RunId,
    pub(crate) agent: String,
    pub(crate) call: CallNumber,
    pub(crate) attempt: u32,
    pub(crate) clearance: Digest,
    pub(crate) action: Action,
    pub(crate) connector: String,
    pub(crate) preconditions: Value,
    pub(crate) beside: Vec<Mark>,
    pub(crate) key: EffectKey,
    pub(crate) perform_by: Time,
}

impl Permit {
    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The agent that asked, by its configured name.
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// The call.
    pub fn call(&self) -> CallNumber {
        self.call
    }

    /// 1, or more after attempts that certainly did not happen, and after a person's "send again".
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The clearance that it rests on.
    pub fn clearance(&self) -> Digest {
        self.clearance
    }

    /// Exactly what was cleared.
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// The connector that was shown to perform it.
    pub fn connector(&self) -> &str {
        &self.connector
    }

    /// What must still hold, as the connector's preview stated it.
    pub fn preconditions(&self) -> &Value {
        &self.preconditions
    }

    /// The calls that were shown to wait beside it, as a connector recognises their effects.
    pub fn beside(&self) -> &[Mark] {
        &self.beside
    }

    /// The idempotency key: the same for every attempt of this call.
    pub fn key(&self) -> &EffectKey {
        &self.key
    }

    /// After this moment the attempt must not begin any more.
    pub fn perform_by(&self) -> Time {
        self.perform_by
    }
}
