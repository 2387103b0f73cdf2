//! The events. The journal is its events in order; all other state is made from the events.
//!
//! **Invariant:** An event's tag stands beside its content (`{"type": …, "data": …}`), because a replay must read
//! events fast. If the tag were a member of the content, every read would have to buffer the event first.
//!
//! **Invariant:** The event of a routine call has the time at which the agent got the result (`answered_at`), because
//! the agent gets the result before the event is on disk. In a replay the guest's clock follows this time.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{Action, Capability};
use crate::clearance::{PolicyRecord, Proposal};
use crate::decision::{Decision, RefusalReason, Resolution};
use crate::grant::Grant;
use crate::ids::{CallNumber, Digest, Time};
use crate::name::{AgentName, ReviewerName};

mod names;
mod run;

pub use run::{Delayed, Request, RunLimits};

/// The version of the events' JSON form; stored with every event.
pub const EVENT_FORMAT: u32 = 5;

/// Something that happened to a run or to one of its calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Event {
    /// A run was created.
    RunCreated {
        /// The agent's configured name.
        agent: AgentName,
        /// The component that runs. Its bytes are stored under this digest.
        component: Digest,
        /// The run's task.
        task: String,
        /// The reviewer who started the run.
        started_by: ReviewerName,
        /// The limits of the run.
        limits: RunLimits,
        /// SHA-256 of the secret seed of the run's randomness.
        seed: Digest,
        /// The request that created the run, if the sender gave the request a key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        request: Option<Request>,
    },
    /// A routine call was answered.
    RoutineReturned {
        /// The call.
        call: CallNumber,
        /// The function that the agent called.
        capability: Capability,
        /// The arguments, in normal form.
        #[cfg_attr(feature = "schema", schema(value_type = Object))]
        arguments: Value,
        /// The action's digest. Replay compares it with the digest of the agent's action.
        action: Digest,
        /// The function's result, in normal form.
        result: Value,
        /// When the agent got the result, before the event is on disk. The guest's clock follows this time.
        answered_at: Time,
    },
    /// Policy cleared a call; no reviewer is needed.
    CallCleared {
        /// The call.
        call: CallNumber,
        /// The cleared proposal.
        proposal: Box<Proposal>,
        /// The clearance digest.
        clearance: Digest,
    },
    /// A call is held.
    CallHeld {
        /// The call.
        call: CallNumber,
        /// The held proposal.
        proposal: Box<Proposal>,
        /// The digest that a decision must name.
        clearance: Digest,
    },
    /// A call was refused without asking a reviewer.
    CallRefused {
        /// The call.
        call: CallNumber,
        /// The refused action.
        action: Box<Action>,
        /// Why it was refused.
        refusal: RefusalReason,
        /// Policy's reasons, if policy refused the call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
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
        /// The editor.
        by: ReviewerName,
        /// The new action with its evidence and requirement.
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
        /// The changed facts, with both values.
        reason: String,
        /// The same action with the facts as they are now.
        proposal: Box<Proposal>,
        /// The digest that a decision must now name.
        clearance: Digest,
    },
    /// The deadline passed without a decision: further reviewers may decide from now on. Earlier votes and the
    /// clearance stay valid.
    CallEscalated {
        /// The call.
        call: CallNumber,
        /// The number of the escalation, from 1.
        level: usize,
    },
    /// The reviewer who approved the call made a grant.
    GrantMade {
        /// The call.
        call: CallNumber,
        /// The grantor.
        by: ReviewerName,
        /// The grant.
        grant: Box<Grant>,
    },
    /// The grant that was made with the call was revoked.
    GrantRevoked {
        /// The call.
        call: CallNumber,
        /// The reviewer who revoked the grant.
        by: ReviewerName,
    },
    /// A question was answered.
    CallAnswered {
        /// The call.
        call: CallNumber,
        /// The answer, of the function's `ok` type.
        answer: Value,
    },
    /// The call was not decided in time, or the cleared effect did not start in time.
    CallExpired {
        /// The call.
        call: CallNumber,
    },
    /// The run was cancelled or ended while the call waited.
    CallCancelled {
        /// The call.
        call: CallNumber,
    },
    /// An attempt is about to begin: from here on the effect may have happened.
    EffectStarted {
        /// The call.
        call: CallNumber,
        /// The number of the attempt: 1, and one more after each postponed attempt and each "send again".
        attempt: u32,
        /// The clearance that the attempt rests on.
        clearance: Digest,
    },
    /// The attempt certainly did not happen. The clearance allows another attempt until the deadline for the start.
    EffectPostponed {
        /// The call.
        call: CallNumber,
        /// The attempt.
        attempt: u32,
        /// Why the attempt did not happen.
        reason: String,
        /// The next attempt starts at this time at the earliest.
        until: Time,
    },
    /// The effect happened.
    EffectSucceeded {
        /// The call.
        call: CallNumber,
        /// The attempt.
        attempt: u32,
        /// The receipt, of the function's `ok` type.
        receipt: Value,
        /// How the host knows the outcome, if not from the attempt's own reply.
        #[cfg_attr(feature = "schema", schema(required = true))]
        evidence: Option<String>,
        /// The allowed changes of facts since they were shown. Each text names one fact, with both values.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changed: Vec<String>,
    },
    /// The effect did not happen.
    EffectFailed {
        /// The call.
        call: CallNumber,
        /// The attempt.
        attempt: u32,
        /// Why the effect did not happen, for the agent and the reviewer.
        reason: String,
        /// How the host knows the outcome, if not from the attempt's own reply.
        #[cfg_attr(feature = "schema", schema(required = true))]
        evidence: Option<String>,
    },
    /// The attempt started and its outcome is unknown.
    EffectInDoubt {
        /// The call.
        call: CallNumber,
        /// The attempt.
        attempt: u32,
        /// Why the outcome is unknown, as the host observed it.
        reason: String,
    },
    /// A lookup could not tell the outcome of an attempt in doubt. A reviewer's resolution starts from this finding.
    EffectLookedUp {
        /// The call.
        call: CallNumber,
        /// The attempt.
        attempt: u32,
        /// The checks of the lookup and their results, or why there was nothing to check.
        evidence: String,
    },
    /// A reviewer resolved an effect that was in doubt.
    EffectResolved {
        /// The call.
        call: CallNumber,
        /// The attempt.
        attempt: u32,
        /// The reviewer.
        by: ReviewerName,
        /// The resolution.
        resolution: Resolution,
        /// The reviewer's message.
        #[cfg_attr(feature = "schema", schema(required = true))]
        message: Option<String>,
    },
    /// The run sleeps.
    TimerSet {
        /// The number of the timer within the run, from 1.
        timer: u32,
        /// The end of the sleep, by the guest's clock.
        until: Time,
    },
    /// The timer fired, and the run wakes.
    TimerFired {
        /// The timer.
        timer: u32,
    },
    /// The host could not bring the run forward and tries again. The event is written when the delay begins, when its
    /// reason changes, and in between at growing intervals.
    RunDelayed {
        /// Since when the run is delayed, and why.
        #[serde(flatten)]
        #[cfg_attr(feature = "schema", schema(schema_with = <Delayed as utoipa::PartialSchema>::schema))]
        delayed: Delayed,
        /// Whether people get a notification about this event. They get one for each new delay.
        told: bool,
    },
    /// The agent returned.
    RunFinished {
        /// The agent's result.
        #[cfg_attr(feature = "schema", schema(value_type = crate::schema::Returned))]
        result: Result<String, String>,
    },
    /// The agent trapped or exceeded a limit.
    RunTrapped {
        /// The trap, or the exceeded limit.
        reason: String,
    },
    /// A reviewer cancelled the run.
    RunCancelled {
        by: ReviewerName,
        /// The reason, if the reviewer gave one.
        #[cfg_attr(feature = "schema", schema(required = true))]
        reason: Option<String>,
    },
    /// In a replay the agent took another step than the recorded one.
    RunDiverged {
        /// The place, such as `call 3` or `timer 1`.
        place: String,
        /// The step that the journal recorded.
        recorded: String,
        /// The step that the agent took.
        found: String,
    },
}
