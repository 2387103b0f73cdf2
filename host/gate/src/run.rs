//! The life of a run: one execution of an agent with one task.

use serde::{Deserialize, Serialize};

use crate::call::{Call, Inconsistent};
use crate::event::{Delayed, Event, RunLimits};
use crate::ids::{CallNumber, Digest, RunId, Time};

/// The run that a request has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The run.
    pub run: RunId,
    /// The digest of what was asked for.
    pub asks: Digest,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunPhase {
    /// It runs, or would if the host drove it: the answer to its last call is there.
    Ready,
    /// It would run, but the host cannot bring it forward just now; it ends with the next thing that the run does.
    Delayed(Delayed),
    /// It waits for this call.
    Waiting(CallNumber),
    /// It sleeps.
    Sleeping {
        /// The timer.
        timer: u32,
        /// Until when, by the guest's clock.
        until: Time,
    },
    /// The agent returned.
    Finished(Result<String, String>),
    /// The agent trapped or passed a limit.
    Trapped(String),
    /// A person ended it.
    Cancelled,
    /// It no longer does what its journal says it did.
    Diverged(String),
}

impl RunPhase {
    /// The state alone.
    pub fn state(&self) -> RunState {
        match self {
            Self::Ready => RunState::Running,
            Self::Delayed(_) => RunState::Delayed,
            Self::Waiting(_) => RunState::Waiting,
            Self::Sleeping { .. } => RunState::Sleeping,
            Self::Finished(Ok(_)) => RunState::Finished,
            Self::Finished(Err(_)) => RunState::Failed,
            Self::Trapped(_) => RunState::Trapped,
            Self::Cancelled => RunState::Cancelled,
            Self::Diverged(_) => RunState::Diverged,
        }
    }

    /// Whether the run goes on as soon as the host drives it.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready | Self::Delayed(_))
    }

    /// Whether the run can never go on.
    pub fn is_over(&self) -> bool {
        self.state().is_over()
    }
}

crate::named! {
    /// Where a run stands, without what its phase carries.
    pub enum RunState {
        /// The run goes on as soon as the host drives it.
        Running = "running",
        /// The host cannot bring the run forward just now.
        Delayed = "delayed",
        /// The run waits for a call.
        Waiting = "waiting",
        /// The run sleeps.
        Sleeping = "sleeping",
        /// The agent returned its result.
        Finished = "finished",
        /// The agent returned an error.
        Failed = "failed",
        /// The agent trapped or passed a limit.
        Trapped = "trapped",
        /// A reviewer cancelled the run.
        Cancelled = "cancelled",
        /// The agent no longer does what its journal says it did.
        Diverged = "diverged",
    }
}

impl RunState {
    /// The states in which a run goes on as soon as the host drives it.
    pub const READY: [Self; 2] = [Self::Running, Self::Delayed];
    /// The states that can still change.
    pub const OPEN: [Self; 4] = [Self::Running, Self::Delayed, Self::Waiting, Self::Sleeping];

    /// Whether the run can never go on.
    pub fn is_over(self) -> bool {
        match self {
            Self::Running | Self::Delayed | Self::Waiting | Self::Sleeping => false,
            Self::Finished | Self::Failed | Self::Trapped | Self::Cancelled | Self::Diverged => true,
        }
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The agent's configured name.
    pub agent: String,
    /// The component that runs.
    pub component: Digest,
    /// Who started it.
    pub started_by: String,
    /// When.
    pub created_at: Time,
    /// What it may use.
    pub limits: RunLimits,
    /// SHA-256 of the secret seed of its randomness.
    pub seed: Digest,
    /// The number of its last host call; 0 before the first.
    pub calls: CallNumber,
    /// How many of them were held.
    pub held: u32,
    /// Its last consequential call, which may still be open.
    pub last_consequential: Option<CallNumber>,
    /// The number of its last timer; 0 before the first.
    pub timers: u32,
    /// Where it stands.
    pub phase: RunPhase,
}

impl Run {
    /// The run that `RunCreated` brings to life.
    pub fn open(event: &Event, at: Time) -> Option<Self> {
        #[allow(clippy::wildcard_enum_match_arm, reason = "only one event opens a run; `apply` is exhaustive")]
        match event {
            Event::RunCreated { agent, component, started_by, limits, seed, .. } => Some(Self {
                agent: agent.clone(),
                component: *component,
                started_by: started_by.clone(),
                created_at: at,
                limits: limits.clone(),
                seed: *seed,
                calls: 0,
                held: 0,
                last_consequential: None,
                timers: 0,
                phase: RunPhase::Ready,
            }),
            _ => None,
        }
    }

    /// Follows one event; `call` is the call that the event belongs to, as it is after the event.
    pub fn apply(&mut self, event: &Event, call: Option<&Call>) -> Result<(), Inconsistent> {
        match event {
            Event::RunCreated { .. } => {
                return Err(Inconsistent { event: "run-created".into(), place: "a run that exists".into() });
            }
            Event::RoutineReturned { call, .. } => {
                self.calls = *call;
                self.phase = RunPhase::Ready;
            }
            Event::CallCleared { call, .. } | Event::CallHeld { call, .. } | Event::CallRefused { call, .. } => {
                self.calls = *call;
                self.last_consequential = Some(*call);
                self.held += u32::from(matches!(event, Event::CallHeld { .. }));
            }
            Event::DecisionMade { .. }
            | Event::CallRevised { .. }
            | Event::CallReheld { .. }
            | Event::CallEscalated { .. }
            | Event::GrantMade { .. }
            | Event::CallAnswered { .. }
            | Event::CallExpired { .. }
            | Event::CallCancelled { .. }
            | Event::EffectStarted { .. }
            | Event::EffectPostponed { .. }
            | Event::EffectSucceeded { .. }
            | Event::EffectFailed { .. }
            | Event::EffectInDoubt { .. }
            | Event::EffectLookedUp { .. }
            | Event::EffectResolved { .. } => {}
            // The revoked grant may belong to any earlier call, so this event does not change what the run waits for.
            Event::GrantRevoked { .. } => return Ok(()),
            Event::TimerSet { timer, until } => {
                self.timers = *timer;
                self.phase = RunPhase::Sleeping { timer: *timer, until: *until };
            }
            Event::TimerFired { .. } => self.phase = RunPhase::Ready,
            Event::RunDelayed { delayed, .. } => self.phase = RunPhase::Delayed(delayed.clone()),
            Event::RunFinished { result } => self.phase = RunPhase::Finished(result.clone()),
            Event::RunTrapped { reason } => self.phase = RunPhase::Trapped(reason.clone()),
            Event::RunCancelled { .. } => self.phase = RunPhase::Cancelled,
            Event::RunDiverged { place, recorded, found } => {
                self.phase =
                    RunPhase::Diverged(format!("at {place}: the journal holds {recorded}, the agent now does {found}"));
            }
        }
        if let Some(call) = call
            && !self.phase.is_over()
        {
            self.phase = if call.answer().is_some() { RunPhase::Ready } else { RunPhase::Waiting(call.number) };
        }
        Ok(())
    }
}
