//! The names of the events, and the call that each event belongs to.

use super::Event;
use crate::ids::CallNumber;

/// Defines the names of the events: a `match` over the variants, which does not compile if a variant has no name, and a
/// list of all names.
macro_rules! names {
    ($($variant:pat => $name:literal,)+) => {
        /// The name that the API and the pages use.
        pub fn name(&self) -> &'static str {
            match self {
                $($variant => $name,)+
            }
        }

        /// Every name, in the order of the enum. A test that must cover every kind of event iterates over this list.
        pub const NAMES: [&'static str; [$($name),+].len()] = [$($name),+];
    };
}

impl Event {
    names! {
        Self::RunCreated { .. } => "run-created",
        Self::RoutineReturned { .. } => "routine-returned",
        Self::CallCleared { .. } => "call-cleared",
        Self::CallHeld { .. } => "call-held",
        Self::CallRefused { .. } => "call-refused",
        Self::DecisionMade { .. } => "decision-made",
        Self::CallRevised { .. } => "call-revised",
        Self::CallReheld { .. } => "call-reheld",
        Self::CallEscalated { .. } => "call-escalated",
        Self::GrantMade { .. } => "grant-made",
        Self::GrantRevoked { .. } => "grant-revoked",
        Self::CallAnswered { .. } => "call-answered",
        Self::CallExpired { .. } => "call-expired",
        Self::CallCancelled { .. } => "call-cancelled",
        Self::EffectStarted { .. } => "effect-started",
        Self::EffectPostponed { .. } => "effect-postponed",
        Self::EffectSucceeded { .. } => "effect-succeeded",
        Self::EffectFailed { .. } => "effect-failed",
        Self::EffectInDoubt { .. } => "effect-in-doubt",
        Self::EffectLookedUp { .. } => "effect-looked-up",
        Self::EffectResolved { .. } => "effect-resolved",
        Self::TimerSet { .. } => "timer-set",
        Self::TimerFired { .. } => "timer-fired",
        Self::RunDelayed { .. } => "run-delayed",
        Self::RunFinished { .. } => "run-finished",
        Self::RunTrapped { .. } => "run-trapped",
        Self::RunCancelled { .. } => "run-cancelled",
        Self::RunDiverged { .. } => "run-diverged",
    }

    /// The call that the event belongs to, if it belongs to one.
    pub fn call(&self) -> Option<CallNumber> {
        match self {
            Self::RoutineReturned { call, .. }
            | Self::CallCleared { call, .. }
            | Self::CallHeld { call, .. }
            | Self::CallRefused { call, .. }
            | Self::DecisionMade { call, .. }
            | Self::CallRevised { call, .. }
            | Self::CallReheld { call, .. }
            | Self::CallEscalated { call, .. }
            | Self::GrantMade { call, .. }
            | Self::GrantRevoked { call, .. }
            | Self::CallAnswered { call, .. }
            | Self::CallExpired { call, .. }
            | Self::CallCancelled { call, .. }
            | Self::EffectStarted { call, .. }
            | Self::EffectPostponed { call, .. }
            | Self::EffectSucceeded { call, .. }
            | Self::EffectFailed { call, .. }
            | Self::EffectInDoubt { call, .. }
            | Self::EffectLookedUp { call, .. }
            | Self::EffectResolved { call, .. } => Some(*call),
            Self::RunCreated { .. }
            | Self::TimerSet { .. }
            | Self::TimerFired { .. }
            | Self::RunDelayed { .. }
            | Self::RunFinished { .. }
            | Self::RunTrapped { .. }
            | Self::RunCancelled { .. }
            | Self::RunDiverged { .. } => None,
        }
    }
}
