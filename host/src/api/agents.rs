//! `/v1/agents`: what can be started here, and what each may ask for.

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::Digest;
use serde::Serialize;
use utoipa::ToSchema;

use super::driver::{AgentInfo, AgentState, OfferedCapability};
use super::json::Json;
use super::openapi::Refusals;
use super::shapes::DigestShape;
use super::{Answer, Api};

/// The configured agents.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentList {
    agents: Vec<Agent>,
}

/// An agent.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Agent {
    name: String,
    state: AgentStateName,
    /// Why it cannot be started, if it has failed.
    #[schema(required = true)]
    problem: Option<String>,
    /// The component that a new run would execute; null unless it is ready.
    #[schema(required = true, value_type = Option<DigestShape>)]
    component: Option<Digest>,
    /// What it asks for; empty while that is not known.
    capabilities: Vec<AgentCapability>,
}

/// Whether a run of an agent can begin.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AgentStateName {
    /// Its file is being read and compiled; a run that is started meanwhile waits for that.
    Loading,
    /// It can.
    Ready,
    /// It cannot.
    Failed,
}

/// A function that an agent asks for.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentCapability {
    /// `package:name/interface@version#function`.
    capability: String,
    class: CapabilityClass,
}

/// Whether calls can hold short.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CapabilityClass {
    /// Answered at once; changes nothing outside.
    Routine,
    /// Cleared, held or refused.
    Consequential,
}

/// Lists the configured agents.
#[utoipa::path(get, path = "/v1/agents", operation_id = "list-agents", tag = "agents", responses(Refusals, (status = 200, body = AgentList)))]
pub(super) async fn list(State(api): State<Api>) -> Answer {
    let class = |consequential| if consequential { CapabilityClass::Consequential } else { CapabilityClass::Routine };
    let offered = |offered: &OfferedCapability| AgentCapability {
        capability: offered.capability.to_string(),
        class: class(offered.consequential),
    };
    let agent = |agent: AgentInfo| {
        let capabilities = agent.capabilities().iter().map(offered).collect();
        let (state, component, problem) = match agent.state {
            AgentState::Loading => (AgentStateName::Loading, None, None),
            AgentState::Ready { component, .. } => (AgentStateName::Ready, Some(component), None),
            AgentState::Failed(why) => (AgentStateName::Failed, None, Some(why)),
        };
        Agent { name: agent.name, state, problem, component, capabilities }
    };
    let agents = api.driver().agents().into_iter().map(agent).collect();
    Ok(Json(AgentList { agents }).into_response())
}
