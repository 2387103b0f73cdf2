//! The decision forms of other systems: LangChain, and the Agent User Interaction Protocol.

use holdshort_gate::Digest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::{AnyForm, ApproveWord, EditWord, RejectWord, RespondWord, TYPES};
use crate::api::decisions::{DecisionRequest, DecisionType};
use crate::api::json::{Object, typed};
use crate::api::message::Message;
use crate::api::shapes::ApprovalIdShape;

/// The status of an answered interrupt; there is only one.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum ResolvedWord {
    Resolved,
}

/// Decisions as LangChain's inboxes write them, with the digest of the shown content.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct LangchainDecisions {
    /// Exactly one decision, because an approval is about one call.
    #[schema(min_items = 1, max_items = 1)]
    decisions: Vec<LangchainDecision>,
    /// As in `ApproveRequest`.
    digest: Digest,
    /// As in `ApproveRequest`.
    stands_for: Option<String>,
}

/// One decision. `review_configs` in the view lists the types that fit an approval.
#[derive(ToSchema)]
#[serde(untagged)]
enum LangchainDecision {
    Approve(LangchainApprove),
    Edit(LangchainEdit),
    Reject(LangchainReject),
    Respond(LangchainRespond),
}

/// Approves the action.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LangchainApprove {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: ApproveWord,
    /// A note for the journal.
    message: Option<Message>,
}

/// Replaces the arguments.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LangchainEdit {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: EditWord,
    #[schema(value_type = EditedAction)]
    edited_action: Object<EditedAction>,
    /// A note for the journal.
    message: Option<Message>,
}

/// Rejects the action.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LangchainReject {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: RejectWord,
    /// Guidance for the agent.
    message: Option<Message>,
}

/// Answers a question.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LangchainRespond {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: RespondWord,
    /// The answer.
    message: Message,
}

impl<'de> Deserialize<'de> for LangchainDecision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let body = Value::Object(Map::deserialize(deserializer)?);
        let read = match body.get("type").and_then(Value::as_str) {
            Some("approve") => typed(body).map(Self::Approve),
            Some("edit") => typed(body).map(Self::Edit),
            Some("reject") => typed(body).map(Self::Reject),
            Some("respond") => typed(body).map(Self::Respond),
            Some(_) | None => Err(TYPES.into()),
        };
        read.map_err(D::Error::custom)
    }
}

/// The new arguments.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EditedAction {
    /// The capability, which an edit cannot change.
    name: String,
    /// As in `EditRequest`.
    #[schema(value_type = Object)]
    args: Map<String, Value>,
}

impl TryFrom<LangchainDecisions> for DecisionRequest {
    type Error = String;

    fn try_from(LangchainDecisions { decisions, digest, stands_for }: LangchainDecisions) -> Result<Self, String> {
        let given = decisions.len();
        let one: [LangchainDecision; 1] = decisions
            .try_into()
            .map_err(|_| format!("`decisions`: an approval takes exactly one decision, not {given}"))?;
        let [decision] = one;
        let new = |kind| Self { stands_for, ..Self::new(kind, digest) };
        Ok(match decision {
            LangchainDecision::Approve(LangchainApprove { kind: ApproveWord::Approve, message }) => {
                Self { message, ..new(DecisionType::Approve) }
            }
            LangchainDecision::Edit(LangchainEdit { kind: EditWord::Edit, edited_action, message }) => {
                let Object(EditedAction { name, args }) = edited_action;
                let (capability, arguments) = (Some(name), Some(Value::Object(args)));
                Self { capability, arguments, message, ..new(DecisionType::Edit) }
            }
            LangchainDecision::Reject(LangchainReject { kind: RejectWord::Reject, message }) => {
                Self { message, ..new(DecisionType::Reject) }
            }
            LangchainDecision::Respond(LangchainRespond { kind: RespondWord::Respond, message }) => {
                Self { message: Some(message), ..new(DecisionType::Respond) }
            }
        })
    }
}

/// The resumption of an interrupted run, as a client of the Agent User Interaction Protocol sends
/// it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AgUiResume)]
pub(in crate::api) struct ResumeRequest {
    /// Exactly one entry, because an approval is about one call.
    #[schema(min_items = 1, max_items = 1, value_type = Vec<ResumeEntry>)]
    resume: Vec<Object<ResumeEntry>>,
}

/// The answer to one interrupt. A cancelled interrupt has no answer and is not sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = AgUiResumeEntry)]
struct ResumeEntry {
    /// The interrupt's `id`.
    #[schema(value_type = ApprovalIdShape)]
    interrupt_id: String,
    #[schema(inline)]
    status: ResolvedWord,
    /// The answer, as the interrupt's `responseSchema` describes it.
    #[schema(value_type = Payload)]
    payload: Object<Payload>,
}

/// A person's answer, with the digest of the shown content.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "`approved` (with `editedArgs` if true) or `answer`, beside `digest`")]
#[schema(as = AgUiPayload)]
enum Payload {
    Approval(ApprovalPayload),
    Edit(EditPayload),
    Answer(AnswerPayload),
}

/// Approves or rejects the shown action.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = AgUiApproval)]
struct ApprovalPayload {
    approved: bool,
    digest: Digest,
    /// With `approved: false`, guidance for the agent; otherwise a note for the journal.
    message: Option<Message>,
}

/// Approves with other arguments.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = AgUiEdit)]
struct EditPayload {
    approved: True,
    digest: Digest,
    /// As `arguments` in `EditRequest`.
    #[schema(value_type = Object)]
    edited_args: Map<String, Value>,
    /// A note for the journal.
    message: Option<Message>,
}

/// The JSON value `true`.
#[derive(Deserialize)]
#[serde(try_from = "bool")]
struct True;

impl TryFrom<bool> for True {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, &'static str> {
        value.then_some(Self).ok_or("expected true")
    }
}

impl PartialSchema for True {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true])).into()
    }
}

impl ToSchema for True {
    fn name() -> std::borrow::Cow<'static, str> {
        "True".into()
    }
}

/// The answer to a question.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AgUiAnswer)]
struct AnswerPayload {
    /// A value of the function's `ok` type.
    answer: Value,
    digest: Digest,
}

impl TryFrom<ResumeRequest> for AnyForm {
    type Error = String;

    fn try_from(ResumeRequest { resume }: ResumeRequest) -> Result<Self, String> {
        let given = resume.len();
        let one: [Object<ResumeEntry>; 1] =
            resume.try_into().map_err(|_| format!("`resume`: an approval takes exactly one entry, not {given}"))?;
        let [Object(ResumeEntry { interrupt_id, status: ResolvedWord::Resolved, payload })] = one;
        let Object(payload) = payload;
        let request = match payload {
            Payload::Answer(AnswerPayload { answer, digest }) => {
                DecisionRequest { answer: Some(answer), ..DecisionRequest::new(DecisionType::Respond, digest) }
            }
            Payload::Edit(EditPayload { approved: True, digest, edited_args, message }) => {
                let arguments = Some(Value::Object(edited_args));
                DecisionRequest { arguments, message, ..DecisionRequest::new(DecisionType::Edit, digest) }
            }
            Payload::Approval(ApprovalPayload { approved, digest, message }) => {
                let kind = if approved { DecisionType::Approve } else { DecisionType::Reject };
                DecisionRequest { message, ..DecisionRequest::new(kind, digest) }
            }
        };
        Ok(Self { request, about: Some(interrupt_id) })
    }
}
