//! The ways in which a guest ends without returning.
//!
//! **Invariant:** an error before the agent's entry point is called counts as the agent's, unless the system refused
//! something. A component's own code may already run, and call the host, while the component is instantiated. If an
//! error of this code counted as the host's, the run would be retried for ever.

use wasmtime::{OutOfMemory, PoolConcurrencyLimitError};
use wasmtime_wasi::I32Exit;

use super::limits::LimitReached;
use super::wasi::RESOURCES_MAX;

/// The reason why a guest ended without returning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trap {
    /// The guest executed an `unreachable` instruction: it panicked, it aborted, or an allocation failed and it did not
    /// check the failure.
    #[error("the agent panicked or aborted (`unreachable`)")]
    Unreachable,
    /// The guest's function calls were nested too deep.
    #[error("the agent's stack overflowed: its function calls were nested too deep")]
    StackOverflow,
    /// The guest trapped for another reason, which is in the engine's words.
    #[error("the agent trapped: {0}")]
    Guest(String),
    /// The guest exited instead of returning.
    #[error("the agent exited with status {0} instead of returning from `run`")]
    Exit(i32),
    /// The guest used up its CPU time.
    #[error(
        "the agent used up its {limit_ms} ms of CPU time; for more, raise `cpu-ms` in the section `[limits]`; the new limit applies only to new runs"
    )]
    CpuLimit { limit_ms: u64 },
    /// The host refused the guest memory beyond its limit, and the guest trapped after that.
    #[error(
        "the agent needs more than its {limit_bytes} bytes of memory; for more, raise `memory-mib` in the section `[limits]`; the new limit applies only to new runs"
    )]
    MemoryLimit { limit_bytes: u64 },
    /// The guest called the host with arguments that the host does not accept.
    #[error("the agent made an invalid call to the host: {0}")]
    HostCall(String),
    /// The host failed. The run is unchanged, so the host can try again.
    #[error("the host could not run the agent: {0}")]
    Host(String),
}

impl Trap {
    /// Whether the host, and not the agent, caused the end.
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

    /// The trap for an error of the engine.
    pub(super) fn of(error: &wasmtime::Error, circumstances: &Circumstances) -> Self {
        let text = || error.root_cause().to_string();
        if let Some(stopped) = error.downcast_ref::<LimitReached>() {
            return match stopped {
                LimitReached::Cpu { limit_ms } => Self::CpuLimit { limit_ms: *limit_ms },
                LimitReached::Replay | LimitReached::NoMemory => Self::Host(stopped.to_string()),
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
            // An error of the system during instantiation counts as the host's. Any other error counts as the agent's:
            // imports and types were checked at compilation, and the component's own code may already run and call the
            // host during instantiation.
            None if !circumstances.started && is_the_systems(error) => Self::Host(text()),
            None => Self::HostCall(in_our_words(text(), circumstances.call_bytes_max)),
        }
    }
}

fn is_the_systems(error: &wasmtime::Error) -> bool {
    error.is::<std::io::Error>() || error.is::<rustix::io::Errno>()
}

/// What the host knows about a guest at its end, besides the engine's error.
pub(super) struct Circumstances {
    pub(super) memory_bytes: u64,
    /// The maximum size of one call's arguments.
    pub(super) call_bytes_max: usize,
    /// Whether memory was refused.
    pub(super) starved: bool,
    /// Whether the guest had been instantiated, so that its entry point could run.
    pub(super) started: bool,
}

/// The message about a call that passes more than `bytes`.
pub(super) fn too_large(bytes: usize) -> String {
    format!("one call passes more than {bytes} bytes; pass a path and a digest instead of contents")
}

/// Replaces the engine's terms in a message: it says "fuel" for the bytes of one call, and "keys" and "handles" for
/// resources. The messages are recognised by their text, because some of the engine's errors have no public type.
fn in_our_words(text: String, bytes: usize) -> String {
    if text.contains("fuel allocated for hostcalls") {
        too_large(bytes)
    } else if text.contains("resource table has no free keys") || text.contains("store handle limit exceeded") {
        format!("the agent holds more than {RESOURCES_MAX} resources at once, such as pollables; drop unused resources")
    } else {
        text
    }
}
