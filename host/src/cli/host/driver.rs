//! The endpoint's view of the driver and the dispatcher.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::command::Revision;
use holdshort_gate::{AgentName, Call, FunctionType, Request, ReviewerName, RunId};
use holdshort_journal::Flushed;
use serde_json::Value;

use crate::api::driver::{AgentInfo, AgentState, Driver, Figures, OfferedCapability, ReviseError, StartError};
use crate::effects::Effects;
use crate::runs::{self, AgentError, Runs};

/// The driver and the dispatcher of this host. The endpoint may import neither of their modules, so it uses this
/// interface.
pub(super) struct HostDriver {
    pub(super) runs: Runs,
    pub(super) effects: Effects,
}

// Each function passes its request on to `runs` or `effects`. Operations that the endpoint must not
// use are missing here.
impl Driver for HostDriver {
    fn start<'a>(
        &'a self,
        agent: &'a AgentName,
        task: &'a str,
        started_by: &'a ReviewerName,
        request: Option<Request>,
    ) -> BoxFuture<'a, Result<Flushed<RunId>, StartError>> {
        async move { self.runs.start(agent, task, started_by, request).await.map_err(start_error) }.boxed()
    }

    fn revise<'a>(
        &'a self,
        run: &'a RunId,
        call: &'a Call,
        editor: &'a ReviewerName,
        arguments: &'a Value,
    ) -> BoxFuture<'a, Result<Revision, ReviseError>> {
        self.runs.revise(run, call, editor, arguments).boxed()
    }

    fn function<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<FunctionType, ReviseError>> {
        self.runs.function(call).boxed()
    }

    fn check_ok_value<'a>(&'a self, call: &'a Call, value: &'a Value) -> BoxFuture<'a, Result<Value, ReviseError>> {
        self.runs.check_ok_value(call, value).boxed()
    }

    fn default_receipt(&self, run: &RunId, call: &Call) -> Option<Value> {
        self.effects.receipt(run, call)
    }

    fn if_lost(&self, call: &Call) -> Option<String> {
        self.runs.if_lost(call)
    }

    fn figures(&self) -> Figures {
        self.runs.figures()
    }

    fn agents(&self) -> Vec<AgentInfo> {
        let info = |agent: runs::AgentInfo| {
            let state = match agent.state {
                runs::AgentState::Loading => AgentState::Loading,
                runs::AgentState::Failed(why) => AgentState::Failed(why),
                runs::AgentState::Ready(loaded) => {
                    let offered = |(capability, consequential): (&holdshort_gate::Capability, bool)| {
                        OfferedCapability { capability: capability.clone(), consequential }
                    };
                    let mut capabilities: Vec<_> = loaded.capabilities().map(offered).collect();
                    capabilities.sort_by(|one, other| one.capability.cmp(&other.capability));
                    AgentState::Ready { component: loaded.manifest.digest, capabilities }
                }
            };
            AgentInfo { name: agent.name, state }
        };
        self.runs.agents().into_iter().map(info).collect()
    }
}

/// Sorts start errors by who can fix them: the caller (unknown name, long task), the operator
/// (unusable file), or nobody (try later).
fn start_error(error: runs::StartError) -> StartError {
    match error {
        runs::StartError::Agent(AgentError::Unknown { name, known }) => StartError::UnknownAgent { name, known },
        runs::StartError::Agent(AgentError::Read(error)) => StartError::Busy(error.to_string()),
        runs::StartError::Agent(AgentError::Write(error)) | runs::StartError::Journal(error) => {
            StartError::Journal(error)
        }
        runs::StartError::Agent(error @ AgentError::Loading(_)) => StartError::Busy(error.to_string()),
        runs::StartError::Agent(AgentError::ShuttingDown) => StartError::Busy("the host is shutting down".into()),
        runs::StartError::Agent(
            error @ (AgentError::File { .. }
            | AgentError::Load { .. }
            | AgentError::Imports { .. }
            | AgentError::Missing(_)),
        ) => StartError::CannotLoad(error.to_string()),
        runs::StartError::TaskTooLong { bytes, bytes_max } => StartError::TaskTooLong { bytes, bytes_max },
        error @ runs::StartError::Random(_) => StartError::Busy(error.to_string()),
    }
}
