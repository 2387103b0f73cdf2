//! What the endpoint asks of the driver: the few things that a request needs and the journal alone cannot give.

use futures_util::future::BoxFuture;
use holdshort_gate::command::Revision;
use holdshort_gate::{Call, Capability, Digest, FunctionType, Request, RunId};
use holdshort_journal::{Flushed, SubmitError};
use serde_json::Value;

pub use crate::runs::{Figures, ReviseError};

/// Starts and ends runs, and knows the types and connectors behind their calls.
///
/// A trait, because the driver is a room of its own that knows the sandbox, and the endpoint must not.
pub trait Driver: Send + Sync + 'static {
    /// Starts a run of a configured agent; it is on disk when this returns. The same `request` has the same run.
    fn start<'a>(
        &'a self,
        agent: &'a str,
        task: &'a str,
        started_by: &'a str,
        request: Option<Request>,
    ) -> BoxFuture<'a, Result<Flushed<RunId>, StartError>>;

    /// Ends a run because a person says so; asking twice is no error.
    fn cancel<'a>(
        &'a self,
        run: &'a RunId,
        by: &'a str,
        reason: Option<String>,
    ) -> BoxFuture<'a, Result<Flushed<()>, SubmitError>>;

    /// The proposal that an edit makes of a held call; nothing is written yet.
    fn revise<'a>(
        &'a self,
        run: &'a RunId,
        call: &'a Call,
        editor: &'a str,
        arguments: &'a Value,
    ) -> BoxFuture<'a, Result<Revision, ReviseError>>;

    /// The type of the function that a call is of: for laying its arguments out, and for the form that edits them.
    fn function<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<FunctionType, ReviseError>>;

    /// `value` in its normal form, if it is of the function's `ok` type: an answer to a question, or a receipt that a person supplies.
    fn check_ok_value<'a>(&'a self, call: &'a Call, value: &'a Value) -> BoxFuture<'a, Result<Value, ReviseError>>;

    /// The receipt of a call that a person says was done, if it follows from the call alone.
    fn default_receipt(&self, run: &RunId, call: &Call) -> Option<Value>;

    /// What the host would look at if the outcome of the call's effect were lost, in the connector's words; nothing if no connector of this host would
    /// perform it, or another one than was shown.
    fn if_lost(&self, call: &Call) -> Option<String>;

    /// The configured agents, by name.
    fn agents(&self) -> Vec<AgentInfo>;

    /// What it has done so far.
    fn figures(&self) -> Figures;
}

/// A configured agent.
#[derive(Clone, Debug)]
pub struct AgentInfo {
    /// Its configured name.
    pub name: String,
    /// Whether a run of it can begin.
    pub state: AgentState,
}

/// Whether a run of an agent can begin.
#[derive(Clone, Debug)]
pub enum AgentState {
    /// Its file is being read.
    Loading,
    /// It can.
    Ready {
        /// The component that a new run would execute.
        component: Digest,
        /// What it asks for.
        capabilities: Vec<OfferedCapability>,
    },
    /// It cannot, for this reason.
    Failed(String),
}

impl AgentInfo {
    /// What it asks for, as far as that is known.
    pub fn capabilities(&self) -> &[OfferedCapability] {
        match &self.state {
            AgentState::Ready { capabilities, .. } => capabilities,
            AgentState::Loading | AgentState::Failed(_) => &[],
        }
    }
}

/// A capability that an agent asks for, and its class.
#[derive(Clone, Debug)]
pub struct OfferedCapability {
    /// The function.
    pub capability: Capability,
    /// Whether its calls can hold short.
    pub consequential: bool,
}

/// Why a run was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No agent of this name is configured.
    #[error("there is no agent `{name}`")]
    UnknownAgent {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The task is too long.
    #[error("the task is {bytes} bytes; at most {bytes_max} are allowed")]
    TaskTooLong {
        /// Bytes.
        bytes: usize,
        /// Bytes allowed.
        bytes_max: usize,
    },
    /// The agent's file cannot be run here.
    #[error("{0}")]
    CannotLoad(String),
    /// The host cannot take another run just now.
    #[error("{0}")]
    Busy(String),
    /// The journal did not take it.
    #[error(transparent)]
    Journal(#[from] SubmitError),
}
