//! `/v1/agents`: what can be started here, and what each may ask for.

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::Digest;
use serde::Serialize;
use utoipa::ToSchema;

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
    /// The component that a new run would execute; null while its file has not been read, or cannot be.
    #[schema(required = true, value_type = Option<DigestShape>)]
    component: Option<Digest>,
    /// What it asks for; empty while that is not known.
    capabilities: Vec<AgentCapability>,
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
    let agents = api.driver().agents().into_iter().map(|agent| Agent {
        name: agent.name,
        component: agent.component,
        capabilities: agent
            .capabilities
            .into_iter()
            .map(|offered| AgentCapability {
                capability: offered.capability.to_string(),
                class: class(offered.consequential),
            })
            .collect(),
    });
    Ok(Json(AgentList { agents: agents.collect() }).into_response())
}
