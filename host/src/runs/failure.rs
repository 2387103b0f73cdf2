//! The host's failures while driving a run. The agent is not at fault: the run is unchanged and is
//! driven again later.

use holdshort_gate::{Capability, Mismatch};
use holdshort_journal::{ReadError, SubmitError};
use holdshort_words::Sentence;

use super::agents::AgentError;
use super::cursor::CannotReplay;
use super::propose::CannotPropose;

/// A run is put back.
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
    #[error("`{0}` is not offered by this host any more: put its section back into holdshort.toml")]
    NotOffered(Capability),
    #[error("`{0}` was consequential when the run called it and is not any more: put its class back in holdshort.toml")]
    Reclassified(Capability),
    #[error("a connector did not answer: {0}")]
    Connector(Sentence),
    #[error("a value is not of the function's type: {0}")]
    Value(#[from] Mismatch),
    #[error(transparent)]
    Threads(#[from] crate::agent::Failed),
    #[error("{0}")]
    Host(String),
}
