//! An approval in the shapes that inboxes of other systems read, and decisions in the shape that they write.
//!
//! `langchain` is what LangChain's human-in-the-loop middleware hands out (`action_requests`, `review_configs`) and takes back (`decisions`).
//! `ag-ui` is the event with which a run ends that waits for a person, by the Agent User Interaction Protocol.
//! Neither has a place for evidence: what a person is told there says how much of it there is and where, and that the whole is at `/v1/approvals/{id}`.

use holdshort_gate::{Call, Digest, EffectClass, Grant, Phase, Proposal, RunId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::decisions::{DecisionRequest, DecisionType, present};
use super::problem::{Kind, Problem};
use super::shapes::{DigestShape, Moment};
use crate::review::visible;

/// In which shape an approval is shown.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum View {
    /// A request of LangChain's human-in-the-loop middleware.
    Langchain,
    /// An event of the Agent User Interaction Protocol.
    AgUi,
}

impl View {
    /// A call that waits, in this shape. Neither shape has a way to say that nothing is waited for any more.
    pub(super) fn of(self, run: &RunId, agent: &str, call: &Call) -> Result<Shown, Problem> {
        let (Some(proposal), Some(digest), Phase::Held) = (call.proposal(), call.clearance, &call.phase) else {
            let detail = format!("a view is of what waits for a decision, and this is {}", call.phase.name());
            return Err(Problem::new(Kind::NotNow, detail).state(call.phase.name()));
        };
        let id = format!("{run}.{}", call.number);
        let (name, args) = (proposal.action.capability().to_string(), proposal.action.arguments().clone());
        let message = message(agent, &id, proposal);
        let asks = proposal.class == EffectClass::Question;
        Ok(match self {
            Self::Langchain => Shown::Langchain(LangchainRequest {
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
                    response_schema: if asks { answer_schema() } else { approval_schema() },
                    metadata: Metadata { holdshort: About { name, args, digest } },
                    id,
                };
                let outcome = Outcome { kind: "interrupt", interrupts: vec![interrupt] };
                let run = run.to_string();
                Shown::AgUi(AgUiEvent { kind: "RUN_FINISHED", thread_id: run.clone(), run_id: run, outcome })
            }
        })
    }
}

/// An approval in another shape.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Shown {
    /// LangChain's.
    Langchain(LangchainRequest),
    /// The Agent User Interaction Protocol's.
    AgUi(AgUiEvent),
}

/// What LangChain's middleware asks a person, with the digest that the answer must name.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LangchainRequest {
    #[schema(min_items = 1, max_items = 1)]
    action_requests: Vec<ActionRequest>,
    #[schema(min_items = 1, max_items = 1)]
    review_configs: Vec<ReviewConfig>,
    /// The run, a dot and the call's number.
    id: String,
    #[schema(value_type = DigestShape)]
    digest: Digest,
}

/// The call.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ActionRequest {
    /// The capability.
    name: String,
    /// Its arguments, in the JSON form of WIT values.
    args: Value,
    /// One line for a person.
    description: String,
}

/// What may be decided.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReviewConfig {
    action_name: String,
    allowed_decisions: &'static [&'static str],
}

/// The event with which a run ends, for that protocol, when it waits for a person.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AgUiEvent {
    #[serde(rename = "type")]
    kind: &'static str,
    thread_id: String,
    run_id: String,
    outcome: Outcome,
}

/// How it ends.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AgUiOutcome)]
pub(super) struct Outcome {
    #[serde(rename = "type")]
    kind: &'static str,
    #[schema(min_items = 1, max_items = 1)]
    interrupts: Vec<Interrupt>,
}

/// What is asked.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = AgUiInterrupt)]
pub(super) struct Interrupt {
    /// The run, a dot and the call's number.
    id: String,
    /// `tool_call`, or `input_required` for a question.
    reason: &'static str,
    /// One line for a person.
    message: String,
    tool_call_id: String,
    /// When it lapses by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Moment>,
    /// A JSON schema of the answer, as that protocol recommends it.
    #[schema(value_type = Object)]
    response_schema: Value,
    metadata: Metadata,
}

/// What is ours.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AgUiMetadata)]
pub(super) struct Metadata {
    holdshort: About,
}

/// The call, and the digest that a decision must name.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AgUiCall)]
pub(super) struct About {
    /// The capability.
    name: String,
    /// Its arguments, in the JSON form of WIT values.
    args: Value,
    #[schema(value_type = DigestShape)]
    digest: Digest,
}

const DECISIONS: &[&str] = &["approve", "edit", "reject"];
const ANSWERS: &[&str] = &["respond", "reject"];

/// What a person is told there, for their eyes: the host's line, who asks, and what they do not see there.
fn message(agent: &str, id: &str, proposal: &Proposal) -> String {
    let evidence = match proposal.exhibits.len() {
        0 => String::new(),
        1 => "; the host has 1 piece of evidence".into(),
        more => format!("; the host has {more} pieces of evidence"),
    };
    let summary = visible::line(&proposal.summary);
    format!("{summary} (asked by {}{evidence}; all of it: /v1/approvals/{id})", visible::line(agent))
}

/// What the protocol recommends for the approval of a tool's call.
fn approval_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "approved": { "type": "boolean" },
            "editedArgs": { "type": "object", "description": "All arguments, not only those that differ." },
            "message": { "type": "string", "description": "With `approved: false`, the guidance that the agent reads." },
        },
        "required": ["approved"],
    })
}

fn answer_schema() -> Value {
    json!({ "type": "object", "properties": { "answer": {} }, "required": ["answer"] })
}

/// A decision in one form or the other: `type` or `decisions` says which.
#[derive(Deserialize)]
#[serde(try_from = "Members")]
pub(super) struct EitherForm(pub(super) DecisionRequest);

/// The two forms, for the schema.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Decision)]
#[expect(dead_code, clippy::large_enum_variant, reason = "it is a description")]
pub(super) enum EitherShape {
    /// This host's own.
    Own(DecisionRequest),
    /// LangChain's.
    Langchain(LangchainDecisions),
}

/// Decisions as LangChain's inboxes write them, with the digest of what was shown.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LangchainDecisions {
    /// Exactly one: an approval is about one call.
    #[schema(min_items = 1, max_items = 1)]
    decisions: Vec<LangchainDecision>,
    /// The digest of what was shown; if it is not the current one, nothing happens.
    #[schema(value_type = DigestShape)]
    digest: Digest,
}

/// What stands in either form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    #[serde(rename = "type")]
    kind: Option<DecisionType>,
    digest: Digest,
    #[serde(default, deserialize_with = "present")]
    arguments: Option<Value>,
    message: Option<String>,
    #[serde(default, deserialize_with = "present")]
    answer: Option<Value>,
    grant: Option<Box<Grant>>,
    stands_for: Option<String>,
    decisions: Option<Vec<LangchainDecision>>,
}

impl TryFrom<Members> for EitherForm {
    type Error = String;

    fn try_from(members: Members) -> Result<Self, String> {
        let Members { kind, digest, arguments, message, answer, grant, stands_for, decisions } = members;
        match (kind, decisions) {
            (Some(kind), None) => Ok(Self(DecisionRequest {
                kind,
                digest,
                arguments,
                message,
                stands_for,
                answer,
                grant,
                capability: None,
            })),
            (None, None) => Err("missing field `type`".into()),
            (Some(_), Some(_)) => Err("`type` or `decisions`, not both".into()),
            (None, Some(_)) if arguments.is_some() || message.is_some() || answer.is_some() || grant.is_some() => {
                Err("beside `decisions` there is only `digest`".into())
            }
            (None, Some(decisions)) => {
                let given = decisions.len();
                let one: [LangchainDecision; 1] = decisions
                    .try_into()
                    .map_err(|_| format!("an approval is about one call and takes one decision, not {given}"))?;
                let [LangchainDecision { kind, edited_action, message }] = one;
                let (capability, arguments) = edited_action.map(|edited| (edited.name, edited.args)).unzip();
                Ok(Self(DecisionRequest {
                    kind,
                    digest,
                    arguments,
                    message,
                    stands_for,
                    answer: None,
                    grant: None,
                    capability,
                }))
            }
        }
    }
}

/// One of them.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LangchainDecision {
    #[serde(rename = "type")]
    kind: DecisionType,
    /// `edit` only.
    edited_action: Option<EditedAction>,
    /// With `reject` the guidance that the agent reads, with `respond` the answer.
    message: Option<String>,
}

/// What to do instead.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditedAction {
    /// The capability, which an edit cannot change.
    name: String,
    /// All arguments, in the JSON form of WIT values.
    args: Value,
}
