//! The life of a run: one execution of an agent with one task.

use serde::{Deserialize, Serialize};

use crate::call::{Call, InconsistentEvent};
use crate::event::{Delayed, Event, RunLimits};
use crate::ids::{CallNumber, Digest, RunId, Time};
use crate::name::{AgentName, ReviewerName};

/// The run that a request created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedRun {
    /// The run.
    pub run: RunId,
    /// The digest of the content of the request.
    pub asks: Digest,
}

/// The phase of a run, with its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunPhase {
    /// The run can go on: it waits for no call and no timer.
    Ready,
    /// The run could go on, but the host repeatedly failed to continue it. The next step of the run ends this phase.
    Delayed(Delayed),
    /// The run waits for this call.
    Waiting(CallNumber),
    /// The run sleeps.
    Sleeping {
        /// The timer.
        timer: u32,
        /// The end of the sleep, by the guest's clock.
        until: Time,
    },
    /// The agent returned.
    Finished(Result<String, String>),
    /// The agent trapped or exceeded a limit.
    Trapped(String),
    /// A reviewer cancelled the run.
    Cancelled,
    /// In a replay the agent took another step than the recorded one.
    Diverged(String),
}

impl RunPhase {
    /// The phase without its values.
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

crate::named_enum! {
    /// The state of a run in one word: its phase without the values.
    pub enum RunState {
        /// The run goes on as soon as the host drives it.
        Running = "running",
        /// The host repeatedly failed to continue the run.
        Delayed = "delayed",
        /// The run waits for a call.
        Waiting = "waiting",
        /// The run sleeps.
        Sleeping = "sleeping",
        /// The agent returned its result.
        Finished = "finished",
        /// The agent returned an error.
        Failed = "failed",
        /// The agent trapped or exceeded a limit.
        Trapped = "trapped",
        /// A reviewer cancelled the run.
        Cancelled = "cancelled",
        /// In a replay the agent took another step than the recorded one.
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

/// The state of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub agent: AgentName,
    /// The component that runs.
    pub component: Digest,
    /// The reviewer who started the run.
    pub started_by: ReviewerName,
    /// When the run was created.
    pub created_at: Time,
    /// The limits of the run.
    pub limits: RunLimits,
    /// SHA-256 of the secret seed of the run's randomness.
    pub seed: Digest,
    /// The number of the run's last host call; 0 before the first call.
    pub calls: CallNumber,
    /// How many calls were held.
    pub held: u32,
    /// The run's last consequential call, which may still be open.
    pub last_consequential: Option<CallNumber>,
    /// The number of the run's last timer; 0 before the first timer.
    pub timers: u32,
    /// The phase of the run.
    pub phase: RunPhase,
}

impl Run {
    /// The run that the event `RunCreated` creates; `None` for other events.
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

    /// Changes the run as one event says. `call` is the call that the event belongs to, in its state after the event.
    pub fn apply(&mut self, event: &Event, call: Option<&Call>) -> Result<(), InconsistentEvent> {
        match event {
            Event::RunCreated { .. } => {
                return Err(InconsistentEvent { event: "run-created".into(), place: "a run that exists".into() });
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
