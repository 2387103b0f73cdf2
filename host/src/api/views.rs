//! An approval in the forms of other systems' inboxes; [`forms`](super::forms) reads their
//! decisions.
//!
//! `langchain` is the form of LangChain's human-in-the-loop middleware: it shows `action_requests`
//! and `review_configs` and accepts `decisions`. `ag-ui` is the event with which a waiting run ends
//! in the Agent User Interaction Protocol, which resumes it with `resume`. Neither form has a place
//! for evidence. So the message in it says how much evidence there is, and that all of it is at
//! `/v1/approvals/{id}`.

use holdshort_gate::{AgentName, Call, Capability, Digest, EffectClass, FunctionType, Phase, Proposal, RunId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::problem::{Kind, Problem};
use super::shapes::{ApprovalIdShape, Moment};
use super::wit_schema;
use crate::review::visible;

/// The form of an approval.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum View {
    /// A request of LangChain's human-in-the-loop middleware.
    Langchain,
    /// An event of the Agent User Interaction Protocol.
    AgUi,
}

impl View {
    /// A waiting call in this form. Neither form can express a call that no longer waits.
    pub(super) fn of(
        self,
        run: &RunId,
        agent: &AgentName,
        call: &Call,
        function: &FunctionType,
    ) -> Result<ApprovalView, Problem> {
        let (Some(proposal), Some(digest), Phase::Held) = (call.proposal(), call.clearance, &call.phase) else {
            let detail = format!(
                "only an approval that waits for a decision has views, but this approval is {}",
                call.phase.state()
            );
            return Err(Problem::new(Kind::NotNow, detail).state(call.phase.state()));
        };
        let id = format!("{run}.{}", call.number);
        let (name, args) = (proposal.action.capability().clone(), proposal.action.arguments().clone());
        let message = message(agent, &id, proposal);
        let asks = proposal.class == EffectClass::Question;
        Ok(match self {
            Self::Langchain => ApprovalView::Langchain(LangchainRequest {
                action_requests: vec![ActionRequest { name: name.clone(), args, description: message }],
                review_configs: vec![ReviewConfig {
                    action_name: name,
                    allowed_decisions: if asks { ANSWERS } else { DECISIONS },
                }],
                id,
                digest,
            }),
            Self::AgUi => {
                let interrupt = Interrupt {
                    reason: if asks { "input_required" } else { "tool_call" },
                    message,
                    tool_call_id: id.clone(),
                    expires_at: call.deadline().map(Moment),
                    response_schema: if asks {
                        answer_schema(function, digest)
                    } else {
                        approval_schema(function, proposal, digest)
                    },
                    metadata: Metadata { holdshort: About { name, args, digest } },
                    id,
                };
                let outcome = Outcome { kind: "interrupt", interrupts: vec![interrupt] };
                ApprovalView::AgUi(AgUiEvent {
                    kind: "RUN_FINISHED",
                    thread_id: run.clone(),
                    run_id: run.clone(),
                    outcome,
                })
            }
        })
    }
}

/// An approval in another form.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum ApprovalView {
    /// The approval in LangChain's form.
    Langchain(LangchainRequest),
    /// The approval in the form of the Agent User Interaction Protocol.
    AgUi(AgUiEvent),
}

/// The request of LangChain's middleware to a person, with the digest that the answer must name.
#[derive(Serialize, ToSchema)]
pub(super) struct LangchainRequest {
    #[schema(min_items = 1, max_items = 1)]
    action_requests: Vec<ActionRequest>,
    #[schema(min_items = 1, max_items = 1)]
    review_configs: Vec<ReviewConfig>,
    #[schema(value_type = ApprovalIdShape)]
    id: String,
    digest: Digest,
}

/// The call.
#[derive(Serialize, ToSchema)]
pub(super) struct ActionRequest {
    name: Capability,
    /// The arguments in the JSON form of WIT values.
    args: Value,
    /// One line for a person.
    description: String,
}

/// The allowed decisions.
#[derive(Serialize, ToSchema)]
pub(super) struct ReviewConfig {
    action_name: Capability,
    allowed_decisions: &'static [&'static str],
}

/// The protocol's event for a run that ends because it waits for a person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgUiEvent {
    #[serde(rename = "type")]
    kind: &'static str,
    thread_id: RunId,
    run_id: RunId,
    outcome: Outcome,
}

/// How the run ends.
#[derive(Serialize, ToSchema)]
#[schema(as = AgUiOutcome)]
pub(super) struct Outcome {
    #[serde(rename = "type")]
    kind: &'static str,
    #[schema(min_items = 1, max_items = 1)]
    interrupts: Vec<Interrupt>,
}

/// The question.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AgUiInterrupt)]
pub(super) struct Interrupt {
    #[schema(value_type = ApprovalIdShape)]
    id: String,
    /// `tool_call`, or `input_required` for a question.
    reason: &'static str,
    /// One line for a person.
    message: String,
    #[schema(value_type = ApprovalIdShape)]
    tool_call_id: String,
    /// When the interrupt expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Moment>,
    /// A JSON schema of the `payload` that resumes the interrupt. Every value that fits it is
    /// accepted.
    #[schema(value_type = Object)]
    response_schema: Value,
    metadata: Metadata,
}

/// Holdshort's own members.
#[derive(Serialize, ToSchema)]
#[schema(as = AgUiMetadata)]
pub(super) struct Metadata {
    holdshort: About,
}

/// The call, and the digest that a decision must name.
#[derive(Serialize, ToSchema)]
#[schema(as = AgUiCall)]
pub(super) struct About {
    name: Capability,
    /// The arguments in the JSON form of WIT values.
    args: Value,
    digest: Digest,
}

const DECISIONS: &[&str] = &["approve", "edit", "reject"];
const ANSWERS: &[&str] = &["respond", "reject"];

/// The message for the person: the summary, the agent, and the evidence that this form omits.
fn message(agent: &AgentName, id: &str, proposal: &Proposal) -> String {
    let evidence = match proposal.exhibits.len() {
        0 => String::new(),
        1 => "; 1 piece of the host's evidence is not shown here".into(),
        more => format!("; {more} pieces of the host's evidence are not shown here"),
    };
    let summary = visible::line(&proposal.summary);
    format!("{summary} (asked by {}{evidence}; the whole approval: /v1/approvals/{id})", visible::line(agent.as_str()))
}

/// The protocol's recommended schema for approving a tool call, with the digest that the answer
/// must repeat.
fn approval_schema(function: &FunctionType, proposal: &Proposal, digest: Digest) -> Value {
    json!({
        "type": "object",
        "properties": {
            "approved": { "type": "boolean" },
            "editedArgs": wit_schema::edited(function, &proposal.action),
            "message": { "type": "string", "description": "With `approved: false`, the guidance for the agent." },
            "digest": { "const": digest },
        },
        "required": ["approved", "digest"],
        "additionalProperties": false,
        // An edit is possible only with an approval.
        "not": { "required": ["editedArgs"], "properties": { "approved": { "const": false } } },
    })
}

/// The schema of a question's answer.
fn answer_schema(function: &FunctionType, digest: Digest) -> Value {
    json!({
        "type": "object",
        "properties": { "answer": wit_schema::answer(function), "digest": { "const": digest } },
        "required": ["answer", "digest"],
        "additionalProperties": false,
    })
}
