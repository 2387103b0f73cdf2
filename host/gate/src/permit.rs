//! The permit: everything that a connector gets for one attempt.

use serde_json::Value;

use crate::action::Action;
use crate::condition::EffectMark;
use crate::ids::{CallNumber, Digest, EffectKey, RunId, Time};
use crate::name::AgentName;

/// The permission to attempt one effect once.
///
/// Only [`Start`](crate::command::Start) makes a permit. A permit is neither cloned nor read back from storage. A
/// permit is not yet an authority: the journal wraps the permit into an authority once the start is on disk.
#[derive(Debug)]
pub struct Permit {
    pub(crate) run: RunId,
    pub(crate) agent: AgentName,
    pub(crate) call: CallNumber,
    pub(crate) attempt: u32,
    pub(crate) clearance: Digest,
    pub(crate) action: Action,
    pub(crate) connector: String,
    pub(crate) preconditions: Value,
    pub(crate) material: bool,
    pub(crate) similar_effects: Vec<EffectMark>,
    pub(crate) key: EffectKey,
    pub(crate) perform_by: Time,
}

impl Permit {
    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The agent that made the call.
    pub fn agent(&self) -> &AgentName {
        &self.agent
    }

    /// The call.
    pub fn call(&self) -> CallNumber {
        self.call
    }

    /// The number of the attempt: 1, and one more after each postponed attempt and each "send again".
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The clearance that the attempt rests on.
    pub fn clearance(&self) -> Digest {
        self.clearance
    }

    /// The action, exactly as it was cleared.
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// The connector that the proposal names.
    pub fn connector(&self) -> &str {
        &self.connector
    }

    /// The facts that must still hold, as the connector stated them in the proposal.
    pub fn preconditions(&self) -> &Value {
        &self.preconditions
    }

    /// Whether the operator marked facts of the call as material. If so, the dispatcher compares them again before the
    /// connector acts.
    pub fn has_material_facts(&self) -> bool {
        self.material
    }

    /// The marks of the similar calls that reviewers were shown. The connector recognises the effects of these calls by
    /// the marks.
    pub fn similar_effects(&self) -> &[EffectMark] {
        &self.similar_effects
    }

    /// The idempotency key: the same for every attempt of this call.
    pub fn key(&self) -> &EffectKey {
        &self.key
    }

    /// The attempt must not begin after this moment.
    pub fn perform_by(&self) -> Time {
        self.perform_by
    }
}
