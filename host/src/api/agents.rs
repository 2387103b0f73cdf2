//! `/v1/agents`: the configured agents and their capabilities.

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::{Capability, Digest};
use serde::Serialize;
use utoipa::ToSchema;

use super::driver::{AgentInfo, AgentState, OfferedCapability};
use super::json::Json;
use super::refusals::Refusals;
use super::{Api, ApiResult};

/// The configured agents.
#[derive(Serialize, ToSchema)]
pub(super) struct AgentList {
    agents: Vec<Agent>,
}

/// A configured agent.
#[derive(Serialize, ToSchema)]
pub(super) struct Agent {
    name: String,
    state: AgentStateName,
    /// Why the agent cannot be started; null unless its state is `failed`.
    #[schema(required = true)]
    problem: Option<String>,
    /// The component that a new run would execute; null unless the state is `ready`.
    #[schema(required = true)]
    component: Option<Digest>,
    /// The capabilities that the agent imports; empty while unknown.
    capabilities: Vec<AgentCapability>,
}

/// Whether a run of the agent can start.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AgentStateName {
    /// The component is being read and compiled. A run started now waits until this is done.
    Loading,
    /// A run can start.
    Ready,
    /// A run cannot start.
    Failed,
}

/// A function that an agent imports.
#[derive(Serialize, ToSchema)]
pub(super) struct AgentCapability {
    capability: Capability,
    class: CapabilityClass,
}

/// Whether calls of the function can be held.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CapabilityClass {
    /// Calls are answered at once and change nothing outside.
    Routine,
    /// Calls are cleared, held or refused.
    Consequential,
}

/// Lists the configured agents.
#[utoipa::path(get, path = "/v1/agents", operation_id = "list-agents", tag = "agents", responses(Refusals, (status = 200, body = AgentList)))]
pub(super) async fn list(State(api): State<Api>) -> ApiResult {
    let class = |consequential| if consequential { CapabilityClass::Consequential } else { CapabilityClass::Routine };
    let offered = |offered: &OfferedCapability| AgentCapability {
        capability: offered.capability.clone(),
        class: class(offered.consequential),
    };
    let agent = |agent: AgentInfo| {
        let capabilities = agent.capabilities().iter().map(offered).collect();
        let (state, component, problem) = match agent.state {
            AgentState::Loading => (AgentStateName::Loading, None, None),
            AgentState::Ready { component, .. } => (AgentStateName::Ready, Some(component), None),
            AgentState::Failed(why) => (AgentStateName::Failed, None, Some(why)),
        };
        Agent { name: agent.name.into(), state, problem, component, capabilities }
    };
    let agents = api.driver().agents().into_iter().map(agent).collect();
    Ok(Json(AgentList { agents }).into_response())
}
