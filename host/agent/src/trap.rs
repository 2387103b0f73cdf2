//! How a guest may end without returning.
//!
//! **Invariant:** An error before the agent's entry function is called belongs to the agent, unless the system refused something: a component's
//! code may run, and call the host, while it is instantiated. If the error counted as the host's, an impossible call from there would be tried
//! again for ever.

use wasmtime::{OutOfMemory, PoolConcurrencyLimitError};
use wasmtime_wasi::I32Exit;

use super::limits::Stopped;
use super::wasi::RESOURCES_MAX;

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
    #[error(
        "the agent used up its {limit_ms} ms of CPU time; if it needs more, raise `cpu-ms` in the section `[limits]` for new runs"
    )]
    CpuLimit {
        /// The limit.
        limit_ms: u64,
    },
    /// It asked for more memory than it may have, and ended because it got none.
    #[error(
        "the agent needs more than its {limit_bytes} bytes of memory; if it should have more, raise `memory-mib` in the section `[limits]` for new runs"
    )]
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

    /// What the engine's error means.
    pub(super) fn of(error: &wasmtime::Error, circumstances: &Circumstances) -> Self {
        let text = || error.root_cause().to_string();
        if let Some(stopped) = error.downcast_ref::<Stopped>() {
            return match stopped {
                Stopped::Cpu { limit_ms } => Self::CpuLimit { limit_ms: *limit_ms },
                Stopped::Replay | Stopped::NoMemory => Self::Host(stopped.to_string()),
            };
        }
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return Self::Exit(exit.0);
        }
        if error.is::<PoolConcurrencyLimitError>() || error.is::<OutOfMemory>() {
            return Self::Host(text());
        }
        let starved = Self::MemoryLimit { limit_bytes: circumstances.memory_bytes };
        match error.downcast_ref::<wasmtime::Trap>() {
            Some(_) if circumstances.starved => starved,
            Some(wasmtime::Trap::UnreachableCodeReached) => Self::Unreachable,
            Some(wasmtime::Trap::StackOverflow) => Self::StackOverflow,
            Some(trap) => Self::Guest(trap.to_string()),
            None if circumstances.starved && !circumstances.started => starved,
            // Its imports were linked and its types checked when it was compiled. What the system refused while it was made is the machine's;
            // anything else is its own, for a component may have code that runs, and calls, before anybody calls it.
            None if !circumstances.started && is_the_systems(error) => Self::Host(text()),
            None => Self::HostCall(in_our_words(text(), circumstances.arguments_max_bytes)),
        }
    }
}

fn is_the_systems(error: &wasmtime::Error) -> bool {
    error.is::<std::io::Error>() || error.is::<rustix::io::Errno>()
}

/// What else is known when a guest ends by an error.
pub(super) struct Circumstances {
    /// Its memory limit.
    pub(super) memory_bytes: u64,
    /// How much one call may carry.
    pub(super) arguments_max_bytes: usize,
    /// Whether it was refused memory.
    pub(super) starved: bool,
    /// Whether it got as far as running its own code.
    pub(super) started: bool,
}

/// The engine speaks of fuel where it means the bytes of one call, and of keys and handles where it means resources; not all its errors have a public
/// type.
fn in_our_words(text: String, bytes: usize) -> String {
    if text.contains("fuel allocated for hostcalls") {
        format!("what it passes at once is more than {bytes} bytes; pass a path and a digest instead of contents")
    } else if text.contains("resource table has no free keys") || text.contains("store handle limit exceeded") {
        format!(
            "it holds more resources at once, such as pollables, than the {RESOURCES_MAX} places there are; drop what is not needed"
        )
    } else {
        text
    }
}
