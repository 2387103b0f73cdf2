//! The life of a run: one execution of an agent with one task.

use serde::{Deserialize, Serialize};

use crate::call::{Call, Inconsistent};
use crate::event::Event;
use crate::ids::{CallNumber, Digest, Time};

/// What a run may use; written with the run, so that a changed default changes no run that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLimits {
    /// The agent's own CPU time in milliseconds; waiting and replay are not charged.
    pub cpu_ms: u64,
    /// Bytes of linear memory.
    pub memory_bytes: u64,
    /// Calls that may be held in the whole run.
    pub held_calls: u32,
    /// Host calls of any kind in the whole run.
    pub calls: u32,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunPhase {
    /// It runs, or would if the host drove it: the answer to its last call is there.
    Ready,
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
    /// The name that the API and the pages use.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ready => "running",
            Self::Waiting(_) => "waiting",
            Self::Sleeping { .. } => "sleeping",
            Self::Finished(Ok(_)) => "finished",
            Self::Finished(Err(_)) => "failed",
            Self::Trapped(_) => "trapped",
            Self::Cancelled => "cancelled",
            Self::Diverged(_) => "diverged",
        }
    }

    /// Whether the run can never go on.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Ready | Self::Waiting(_) | Self::Sleeping { .. } => false,
            Self::Finished(_) | Self::Trapped(_) | Self::Cancelled | Self::Diverged(_) => true,
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
            Event::RoutineReturned { call, .. } => self.calls = *call,
            Event::CallCleared { call, .. } | Event::CallHeld { call, .. } | Event::CallRefused { call, .. } => {
                self.calls = *call;
                self.last_consequential = Some(*call);
                self.held += u32::from(matches!(event, Event::CallHeld { .. }));
            }
            Event::DecisionMade { .. }
            | Event::CallRevised { .. }
            | Event::CallReheld { .. }
            | Event::CallAnswered { .. }
            | Event::CallExpired { .. }
            | Event::CallCancelled { .. }
            | Event::EffectStarted { .. }
            | Event::EffectSucceeded { .. }
            | Event::EffectFailed { .. }
            | Event::EffectInDoubt { .. }
            | Event::EffectLookedUp { .. }
            | Event::EffectResolved { .. } => {}
            Event::TimerSet { timer, until } => {
                self.timers = *timer;
                self.phase = RunPhase::Sleeping { timer: *timer, until: *until };
            }
            Event::TimerFired { .. } => self.phase = RunPhase::Ready,
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
