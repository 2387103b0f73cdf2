//! The reasons why an agent cannot be run, with advice for the operator.

use std::path::PathBuf;

use holdshort_gate::{AgentName, Digest};
use holdshort_journal::{ReadError, SubmitError};

use crate::agent::LoadError;

/// An agent cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No agent of this name is configured.
    #[error("there is no agent `{name}`; {}", known_names(.known))]
    Unknown {
        /// The requested name.
        name: AgentName,
        /// The configured names.
        known: Vec<AgentName>,
    },
    /// The file cannot be read.
    #[error("the agent's file `{path}` cannot be read: {source}")]
    File { path: PathBuf, source: std::io::Error },
    /// The file is not an agent.
    #[error("`{path}`: {source}")]
    Load {
        /// The file, or the digest of a component in the journal.
        path: String,
        source: LoadError,
    },
    /// The agent imports functions that it may not have.
    #[error("`{path}` cannot run here:\n{}", bullets(.problems))]
    Imports {
        /// The file, or the digest of a component in the journal.
        path: String,
        /// Each refused import, with advice.
        problems: Vec<String>,
    },
    /// The journal lacks the component of a run.
    #[error("the journal does not hold the component {0}")]
    Missing(Digest),
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The component cannot be stored.
    #[error(transparent)]
    Write(#[from] SubmitError),
    /// The agent is still being read and compiled.
    #[error(
        "the host is still reading and compiling the agent `{0}`, which takes up to half a minute for a large component; try again"
    )]
    Loading(AgentName),
    #[error("the host is shutting down")]
    ShuttingDown,
}

fn known_names(names: &[AgentName]) -> String {
    if names.is_empty() { "no agent is configured".into() } else { format!("known: {}", names.join(", ")) }
}

fn bullets(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("- {problem}")).collect::<Vec<_>>().join("\n")
}
impl From<tokio::task::JoinError> for AgentError {
    fn from(_: tokio::task::JoinError) -> Self {
        Self::ShuttingDown
    }
}
