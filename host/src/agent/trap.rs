//! How a guest may end without returning.

use wasmtime::{OutOfMemory, PoolConcurrencyLimitError};
use wasmtime_wasi::I32Exit;

use super::limits::Stopped;

/// Why a guest ended without returning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trap {
    /// It ran into an instruction that is never to be reached: a panic, an abort, a failed allocation that it did not notice.
    #[error("the agent panicked or aborted (`unreachable`)")]
    Unreachable,
    /// Its calls went too deep.
    #[error("the agent's calls went too deep for its stack")]
    StackOverflow,
    /// Another trap, in the engine's words.
    #[error("the agent trapped: {0}")]
    Guest(String),
    /// It left instead of returning.
    #[error("the agent left with exit status {0} instead of returning from `run`")]
    Exit(i32),
    /// It used up its CPU time.
    #[error("the agent used up its {limit_ms} ms of CPU time; raise `cpu_ms` if it needs more")]
    CpuLimit {
        /// The limit.
        limit_ms: u64,
    },
    /// It asked for more memory than it may have, and ended because it got none.
    #[error("the agent needs more than its {limit_bytes} bytes of memory; raise `memory_bytes` if it should have more")]
    MemoryLimit {
        /// The limit.
        limit_bytes: u64,
    },
    /// It called the host with what the host cannot take.
    #[error("the agent made an impossible call: {0}")]
    HostCall(String),
    /// The host failed it; the run is as it was and can be tried again.
    #[error("the host could not run the agent: {0}")]
    Host(String),
}

impl Trap {
    /// Whether this was the host's failure and not the agent's.
    pub fn is_hosts(&self) -> bool {
        match self {
            Self::Host(_) => true,
            Self::Unreachable
            | Self::StackOverflow
            | Self::Guest(_)
            | Self::Exit(_)
            | Self::CpuLimit { .. }
            | Self::MemoryLimit { .. }
            | Self::HostCall(_) => false,
        }
    }

    /// What the engine's error means. `starved` says that the guest was refused memory; `started`, that it got as far as running.
    pub(super) fn of(error: &wasmtime::Error, memory_bytes: u64, starved: bool, started: bool) -> Self {
        if let Some(stopped) = error.downcast_ref::<Stopped>() {
            return match stopped {
                Stopped::Cpu { limit_ms } => Self::CpuLimit { limit_ms: *limit_ms },
                Stopped::Replay | Stopped::NoMemory => Self::Host(format!("{}: {}", stopped, error.root_cause())),
            };
        }
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return Self::Exit(exit.0);
        }
        if error.is::<PoolConcurrencyLimitError>() || error.is::<OutOfMemory>() {
            return Self::Host(error.root_cause().to_string());
        }
        if starved {
            return Self::MemoryLimit { limit_bytes: memory_bytes };
        }
        match error.downcast_ref::<wasmtime::Trap>() {
            Some(wasmtime::Trap::UnreachableCodeReached) => Self::Unreachable,
            Some(wasmtime::Trap::StackOverflow) => Self::StackOverflow,
            Some(trap) => Self::Guest(trap.to_string()),
            None if started => Self::HostCall(error.root_cause().to_string()),
            // Its imports were linked and its types checked when it was compiled, so what is left is the machine's.
            None => Self::Host(error.root_cause().to_string()),
        }
    }
}
