//! The interface between the endpoint and the driver of runs.

use futures_util::future::BoxFuture;
use holdshort_gate::command::Revision;
use holdshort_gate::{AgentName, Call, Capability, Digest, FunctionType, Request, ReviewerName, RunId};
use holdshort_journal::{Flushed, SubmitError};
use serde_json::Value;

pub use crate::runs::{Figures, ReviseError};

/// Starts runs, and knows the types and connectors of their calls.
///
/// It is a trait because the endpoint must not import the driver's module, which uses the sandbox.
pub trait Driver: Send + Sync + 'static {
    /// Starts a run of a configured agent. The start is on disk when this returns. The same
    /// `request` always returns the same run.
    fn start<'a>(
        &'a self,
        agent: &'a AgentName,
        task: &'a str,
        started_by: &'a ReviewerName,
        request: Option<Request>,
    ) -> BoxFuture<'a, Result<Flushed<RunId>, StartError>>;

    /// The revision that an edit would make of a held call. Nothing is written.
    fn revise<'a>(
        &'a self,
        run: &'a RunId,
        call: &'a Call,
        editor: &'a ReviewerName,
        arguments: &'a Value,
    ) -> BoxFuture<'a, Result<Revision, ReviseError>>;

    /// The type of a call's function, for displaying its arguments and for the edit form.
    fn function<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<FunctionType, ReviseError>>;

    /// Checks that `value`, an answer to a question or a receipt from a reviewer, has the
    /// function's `ok` type, and returns its normal form.
    fn check_ok_value<'a>(&'a self, call: &'a Call, value: &'a Value) -> BoxFuture<'a, Result<Value, ReviseError>>;

    /// The receipt of a call that a reviewer resolves as done; `None` if the receipt does not
    /// follow from the call alone.
    fn default_receipt(&self, run: &RunId, call: &Call) -> Option<Value>;

    /// How the host would look up the effect of the call if its outcome were unknown, in the connector's words. `None`
    /// if no connector of this host would perform the call, or if reviewers saw another connector.
    fn if_lost(&self, call: &Call) -> Option<String>;

    /// The configured agents by name.
    fn agents(&self) -> Vec<AgentInfo>;

    /// The driver's counters.
    fn figures(&self) -> Figures;
}

/// A configured agent.
#[derive(Clone, Debug)]
pub struct AgentInfo {
    pub name: AgentName,
    pub state: AgentState,
}

/// Whether a run of an agent can start.
#[derive(Clone, Debug)]
pub enum AgentState {
    /// The component is being read.
    Loading,
    /// A run can start.
    Ready {
        /// The component that a new run would execute.
        component: Digest,
        /// The capabilities that the agent imports.
        capabilities: Vec<OfferedCapability>,
    },
    /// A run cannot start, for this reason.
    Failed(String),
}

impl AgentInfo {
    /// The capabilities of the agent, if known.
    pub fn capabilities(&self) -> &[OfferedCapability] {
        match &self.state {
            AgentState::Ready { capabilities, .. } => capabilities,
            AgentState::Loading | AgentState::Failed(_) => &[],
        }
    }
}

/// A capability of an agent, and its class.
#[derive(Clone, Debug)]
pub struct OfferedCapability {
    pub capability: Capability,
    /// Whether calls of this capability can be held.
    pub consequential: bool,
}

/// A run was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No agent of this name is configured.
    #[error("there is no agent `{name}`")]
    UnknownAgent {
        /// The requested name.
        name: AgentName,
        /// The configured names.
        known: Vec<AgentName>,
    },
    /// The task is too long.
    #[error("the task is {bytes} bytes; at most {bytes_max} are allowed")]
    TaskTooLong { bytes: usize, bytes_max: usize },
    /// The agent's component cannot run here.
    #[error("{0}")]
    CannotLoad(String),
    /// The host cannot start another run now.
    #[error("{0}")]
    Busy(String),
    /// The journal did not accept the write.
    #[error(transparent)]
    Journal(#[from] SubmitError),
}
