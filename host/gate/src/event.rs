//! The events. The journal is its events in order; everything else is made from them.
//!
//! **Invariant:** An event's tag stands beside its content (`{"type": …, "data": …}`). A tag inside the content would make every read buffer the
//! event, and replay is bounded by reading.
//!
//! **Invariant:** A routine result carries the time at which it was handed over (`answered_at`). The guest's clock follows what the guest has
//! seen, and the guest has seen the result before it is on disk.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{Action, Capability};
use crate::clearance::{PolicyRecord, Proposal};
use crate::decision::{Decision, RefusalReason, Resolution};
use crate::grant::Grant;
use crate::ids::{CallNumber, Digest, Time};

mod names;
mod run;

pub use run::{Delayed, Request, RunLimits};

/// The version of the events' JSON form; stored with every event.
pub const EVENT_FORMAT: u32 = 5;

/// Something that happened to a run or to one of its calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub enum Event {
    /// A run exists.
    RunCreated {
        /// The agent's configured name.
        agent: String,
        /// The component that runs; its bytes are kept by digest.
        component: Digest,
        /// Its task.
        task: String,
        /// Who started it.
        started_by: String,
        /// What it may use.
        limits: RunLimits,
        /// SHA-256 of the secret seed of its randomness.
        seed: Digest,
        /// The request that made it, if its sender named it with a key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<Request>,
    },
    /// A routine call was answered.
    RoutineReturned {
        /// The call.
        call: CallNumber,
        /// What the agent requested.
        capability: Capability,
        /// With which arguments, in normal form.
        arguments: Value,
        /// The action's digest, which replay compares.
        action: Digest,
        /// The function's result, in normal form.
        result: Value,
        /// When the agent got the result, which is before the event is on disk. The guest's clock follows this time.
        answered_at: Time,
    },
    /// Policy cleared a call; no person is needed.
    CallCleared {
        /// The call.
        call: CallNumber,
        /// What was cleared.
        proposal: Box<Proposal>,
        /// What the clearance covers.
        clearance: Digest,
    },
    /// A call holds short.
    CallHeld {
        /// The call.
        call: CallNumber,
        /// What waits.
        proposal: Box<Proposal>,
        /// The digest that a decision must name.
        clearance: Digest,
    },
    /// A call was refused before anyone was asked.
    CallRefused {
        /// The call.
        call: CallNumber,
        /// What was refused.
        action: Box<Action>,
        /// Why.
        refusal: RefusalReason,
        /// Policy's reasons, if it was policy that refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<Box<PolicyRecord>>,
    },
    /// A reviewer decided.
    DecisionMade {
        /// The call.
        call: CallNumber,
        /// The decision.
        decision: Decision,
    },
    /// An edit replaced the action. Earlier votes no longer count.
    CallRevised {
        /// The call.
        call: CallNumber,
        /// The new revision.
        revision: u32,
        /// Who edited.
        by: String,
        /// The new action and all that belongs to it.
        proposal: Box<Proposal>,
        /// The digest that a decision must now name.
        clearance: Digest,
    },
    /// Facts that the clearance rested on changed before the effect. Earlier votes no longer count.
    CallReheld {
        /// The call.
        call: CallNumber,
        /// The new revision.
        revision: u32,
        /// What changed, with both values.
        reason: String,
        /// The same action with the present facts.
        proposal: Box<Proposal>,
        /// The digest that a decision must now name.
        clearance: Digest,
    },
    /// Nobody decided in time: others may decide as well from now on. What was decided so far stands, and so does the clearance.
    CallEscalated {
        /// The call.
        call: CallNumber,
        /// 1, and one more for each time.
        level: usize,
    },
    /// Whoever approved the call had more like it cleared.
    GrantMade {
        /// The call.
        call: CallNumber,
        /// Who.
        by: String,
        /// What it clears.
        grant: Box<Grant>,
    },
    /// The grant that was made with the call was taken back.
    GrantRevoked {
        /// The call.
        call: CallNumber,
        /// Who.
        by: String,
    },
    /// A question was answered.
    CallAnswered {
        /// The call.
        call: CallNumber,
        /// The answer, of the function's `ok` type.
        answer: Value,
    },
    /// Nobody decided in time, or the cleared effect did not start in time.
    CallExpired {
        /// The call.
        call: CallNumber,
    },
    /// The run was cancelled while the call waited.
    CallCancelled {
        /// The call.
        call: CallNumber,
    },
    /// An effect is about to be attempted: from here on it may have happened.
    EffectStarted {
        /// The call.
        call: CallNumber,
        /// 1, or more after attempts that were put off and after a person's "send again".
        attempt: u32,
        /// The clearance it rests on.
        clearance: Digest,
    },
    /// The attempt certainly did not happen, and another one may be made under the same clearance while its time to start lasts.
    EffectPostponed {
        /// The call.
        call: CallNumber,
        /// The attempt.
        attempt: u32,
        /// Why it did not happen.
        reason: String,
        /// The next attempt starts at this time at the earliest.
        until: Time,
    },
    /// It happened.
    EffectSucceeded {
        /// The call.
        call: CallNumber,
        /// The attempt.
        attempt: u32,
        /// What was done, of the function's `ok` type.
        receipt: Value,
        /// How the host knows, if not from the attempt's own reply.
        evidence: Option<String>,
        /// The facts that had changed since they were shown, as far as the clearance allowed it; each in words, with both values.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changed: Vec<String>,
    },
    /// It did not happen.
    EffectFailed {
        /// The call.
        call: CallNumber,
        /// The attempt.
        attempt: u32,
        /// Why, for the agent and the reviewer.
        reason: String,
        /// How the host knows, if not from the attempt's own reply.
        evidence: Option<String>,
    },
    /// It started and its outcome is unknown.
    EffectInDoubt {
        /// The call.
        call: CallNumber,
        /// The attempt.
        attempt: u32,
        /// What was seen.
        reason: String,
    },
    /// A lookup could not tell what came of an attempt that is in doubt; whoever settles it begins with this.
    EffectLookedUp {
        /// The call.
        call: CallNumber,
        /// The attempt.
        attempt: u32,
        /// What was looked at and what it showed, or why nothing could be looked at.
        evidence: String,
    },
    /// A person settled an effect that was in doubt.
    EffectResolved {
        /// The call.
        call: CallNumber,
        /// The attempt.
        attempt: u32,
        /// Who.
        by: String,
        /// How.
        resolution: Resolution,
        /// In their words.
        message: Option<String>,
    },
    /// The run sleeps.
    TimerSet {
        /// 1, 2, 3 … within the run.
        timer: u32,
        /// Until when, by the guest's clock.
        until: Time,
    },
    /// Its time came.
    TimerFired {
        /// The timer.
        timer: u32,
    },
    /// The host could not bring the run forward and tries again. Written when that begins, when the reason is another, and ever more seldom between.
    RunDelayed {
        /// Since when, and why.
        #[serde(flatten)]
        delayed: Delayed,
        /// Whether people are told by a message, which they are once.
        told: bool,
    },
    /// The agent returned.
    RunFinished {
        /// Its result.
        result: Result<String, String>,
    },
    /// The agent trapped or passed a limit.
    RunTrapped {
        /// What happened.
        reason: String,
    },
    /// A person ended the run.
    RunCancelled {
        /// Who.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// The agent no longer does what its journal says it did.
    RunDiverged {
        /// Where, as `call 3` or `timer 1`.
        place: String,
        /// What the journal holds.
        recorded: String,
        /// What the agent did.
        found: String,
    },
}
