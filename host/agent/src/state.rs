//! The state of a guest: the part that it shares with the run's task, and the part that its host functions use.

use super::clock::Clock;
use super::handover::Handover;
use super::limits::{Limiter, Meter};
use super::output::Output;
use super::step::GuestStart;
use super::wasi::Wasi;

/// The state that a guest shares with the run's task.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) handover: Handover,
    pub(super) clock: Clock,
    pub(super) output: Output,
    pub(super) meter: Meter,
}

impl Shared {
    /// The state of a guest that has not run yet.
    pub(super) fn new(start: &GuestStart) -> Self {
        Self {
            handover: Handover::default(),
            clock: Clock::starting(start.created_at),
            output: Output::default(),
            meter: Meter::new(start.limits.cpu_ms),
        }
    }
}

/// The state that a guest's host functions use.
pub(super) struct State {
    pub(super) shared: Shared,
    pub(super) wasi: Wasi,
    pub(super) limiter: Limiter,
    /// Whether the guest has been instantiated, so that its entry point is called next.
    pub(super) started: bool,
}
