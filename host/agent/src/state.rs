//! The state of a guest: what it shares with its task, and what its host functions use.

use super::clock::Clock;
use super::handover::Handover;
use super::limits::{Limiter, Meter};
use super::output::Output;
use super::step::GuestStart;
use super::wasi::Wasi;

/// The state that a guest shares with its task.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) handover: Handover,
    pub(super) clock: Clock,
    pub(super) output: Output,
    pub(super) meter: Meter,
}

impl Shared {
    /// The state before the start.
    pub(super) fn new(start: &GuestStart) -> Self {
        Self {
            handover: Handover::default(),
            clock: Clock::starting(start.created_at),
            output: Output::default(),
            meter: Meter::new(start.limits.cpu_ms),
        }
    }
}

/// The state of a guest's host functions.
pub(super) struct State {
    pub(super) shared: Shared,
    pub(super) wasi: Wasi,
    pub(super) limiter: Limiter,
    /// Whether the guest's own code has started.
    pub(super) started: bool,
}
