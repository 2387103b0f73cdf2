//! The host's failures while driving a run. The agent is not at fault: the run is unchanged and is
//! driven again later.

use holdshort_gate::{Capability, Mismatch};
use holdshort_journal::{ReadError, SubmitError};
use holdshort_words::Sentence;

use super::agents::AgentError;
use super::cursor::CannotReplay;
use super::propose::CannotPropose;

/// The reason why the host could not drive a run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Journal(#[from] SubmitError),
    #[error(transparent)]
    Replay(#[from] CannotReplay),
    #[error(transparent)]
    Propose(#[from] CannotPropose),
    #[error("this host no longer offers `{0}`: add the section of the capability to holdshort.toml again")]
    NotOffered(Capability),
    #[error(
        "`{0}` was consequential at the time of the call, and is not now: set `class = \"consequential\"` in holdshort.toml again"
    )]
    Reclassified(Capability),
    #[error("a connector did not answer: {0}")]
    Connector(Sentence),
    #[error("a value does not have the function's type: {0}")]
    Value(#[from] Mismatch),
    #[error(transparent)]
    Threads(#[from] crate::agent::Panicked),
    #[error("{0}")]
    Host(String),
}
