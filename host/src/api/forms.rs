//! The bodies of a decision: this host's own, one for each type of decision; LangChain's `decisions`; and the `resume` of the Agent User Interaction
//! Protocol. Each is one type, which is what is read and what the document describes, so that nothing can be given that would be ignored.

use holdshort_gate::Digest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::decisions::{DecisionRequest, DecisionType};
use super::grants::GrantShape;
use super::json::{Object, typed};
use super::problem::{Kind, Problem};
use super::shapes::{ApprovalIdShape, DigestShape};

/// A decision as it came, and the approval that its body names, if its form has a place for that.
pub(super) struct AnyForm {
    request: DecisionRequest,
    about: Option<String>,
}

impl AnyForm {
    /// The decision, for the approval that the path names.
    pub(super) fn about(self, id: &str) -> Result<DecisionRequest, Problem> {
        match self.about {
            Some(other) if other != id => {
                let detail =
                    format!("`resume[0].interruptId` is `{}`, and the path names `{id}`", super::shortened(&other));
                Err(Problem::new(Kind::WrongType, detail))
            }
            Some(_) | None => Ok(self.request),
        }
    }
}

impl<'de> Deserialize<'de> for AnyForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(Map::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The forms, for the document.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = DecisionRequest)]
#[expect(dead_code, reason = "each form is read by itself, so that an error is about the one that was meant")]
pub(super) enum AnyFormShape {
    Approve(ApproveRequest),
    Edit(EditRequest),
    Reject(RejectRequest),
    Respond(RespondRequest),
    Answer(AnswerRequest),
    Langchain(LangchainDecisions),
    AgUi(ResumeRequest),
}

fn read(members: Map<String, Value>) -> Result<AnyForm, String> {
    let has = |name: &str| members.contains_key(name);
    let answers = has("answer");
    let form = match (members.get("type"), has("decisions"), has("resume")) {
        (Some(word), false, false) => word.as_str().unwrap_or_default().to_owned(),
        (None, true, false) => "decisions".to_owned(),
        (None, false, true) => "resume".to_owned(),
        (None, false, false) => return Err("missing field `type`".into()),
        (_, _, _) => return Err("`type`, `decisions` or `resume`: one of them".into()),
    };
    let body = Value::Object(members);
    let request = match &*form {
        "approve" => typed::<ApproveRequest>(body)?.into(),
        "edit" => typed::<EditRequest>(body)?.into(),
        "reject" => typed::<RejectRequest>(body)?.into(),
        "respond" if answers => typed::<AnswerRequest>(body)?.into(),
        "respond" => typed::<RespondRequest>(body)?.into(),
        "decisions" => typed::<LangchainDecisions>(body)?.try_into()?,
        "resume" => return typed::<ResumeRequest>(body)?.try_into(),
        _ => return Err(TYPES.into()),
    };
    Ok(AnyForm { request, about: None })
}

/// What a type of decision may be.
const TYPES: &str = "`type`: expected `approve`, `edit`, `reject` or `respond`";

/// The one word of a form's `type`, which a reader has told the form by.
macro_rules! words {
    ($($type:ident::$word:ident,)*) => {$(
        #[derive(Clone, Copy, Deserialize, ToSchema)]
        #[serde(rename_all = "kebab-case")]
        pub(super) enum $type { $word }
    )*};
}

words! { ApproveWord::Approve, EditWord::Edit, RejectWord::Reject, RespondWord::Respond, ResolvedWord::Resolved, }

/// Do it, exactly as it was shown.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApproveRequest {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: ApproveWord,
    /// The digest of what was shown; if it is not the current one, nothing happens.
    #[schema(value_type = DigestShape)]
    digest: Digest,
    /// A note for the journal.
    message: Option<String>,
    /// In whose place, by a delegation of the configuration; with one's own name in nobody's. Without it in nobody's while the reviewer's own approval
    /// counts, else in the place of somebody they stand for whose approval does.
    stands_for: Option<String>,
    /// A standing grant for more calls like it; `POST /v1/approvals/{id}/grant` drafts one and shows what it is.
    #[schema(value_type = Option<GrantShape>)]
    grant: Option<Object<GrantShape>>,
}

/// Do this instead.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditRequest {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: EditWord,
    /// As in `ApproveRequest`.
    #[schema(value_type = DigestShape)]
    digest: Digest,
    /// The new arguments, all of them, in the JSON form of WIT values.
    #[schema(value_type = Object)]
    arguments: Map<String, Value>,
    /// A note for the journal.
    message: Option<String>,
    /// As in `ApproveRequest`.
    stands_for: Option<String>,
}

/// Do not.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RejectRequest {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: RejectWord,
    /// As in `ApproveRequest`.
    #[schema(value_type = DigestShape)]
    digest: Digest,
    /// Guidance, which the agent reads; without it the agent is told that no reason was given.
    message: Option<String>,
    /// As in `ApproveRequest`.
    stands_for: Option<String>,
}

/// Answers a question in words.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RespondRequest {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: RespondWord,
    /// As in `ApproveRequest`.
    #[schema(value_type = DigestShape)]
    digest: Digest,
    /// The answer.
    message: String,
    /// As in `ApproveRequest`.
    stands_for: Option<String>,
}

/// Answers a question with a value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerRequest {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: RespondWord,
    /// As in `ApproveRequest`.
    #[schema(value_type = DigestShape)]
    digest: Digest,
    /// The answer, of the function's `ok` type.
    answer: Value,
    /// A note for the journal.
    message: Option<String>,
    /// As in `ApproveRequest`.
    stands_for: Option<String>,
}

impl From<ApproveRequest> for DecisionRequest {
    fn from(ApproveRequest { kind: ApproveWord::Approve, digest, message, stands_for, grant }: ApproveRequest) -> Self {
        let grant = grant.map(|Object(grant)| Box::new(grant.into()));
        Self { message, stands_for, grant, ..Self::new(DecisionType::Approve, digest) }
    }
}

impl From<EditRequest> for DecisionRequest {
    fn from(EditRequest { kind: EditWord::Edit, digest, arguments, message, stands_for }: EditRequest) -> Self {
        let arguments = Some(Value::Object(arguments));
        Self { arguments, message, stands_for, ..Self::new(DecisionType::Edit, digest) }
    }
}

impl From<RejectRequest> for DecisionRequest {
    fn from(RejectRequest { kind: RejectWord::Reject, digest, message, stands_for }: RejectRequest) -> Self {
        Self { message, stands_for, ..Self::new(DecisionType::Reject, digest) }
    }
}

impl From<RespondRequest> for DecisionRequest {
    fn from(RespondRequest { kind: RespondWord::Respond, digest, message, stands_for }: RespondRequest) -> Self {
        Self { message: Some(message), stands_for, ..Self::new(DecisionType::Respond, digest) }
    }
}

impl From<AnswerRequest> for DecisionRequest {
    fn from(AnswerRequest { kind: RespondWord::Respond, digest, answer, message, stands_for }: AnswerRequest) -> Self {
        Self { answer: Some(answer), message, stands_for, ..Self::new(DecisionType::Respond, digest) }
    }
}

/// Decisions as LangChain's inboxes write them, with the digest of what was shown.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LangchainDecisions {
    /// Exactly one: an approval is about one call.
    #[schema(min_items = 1, max_items = 1)]
    decisions: Vec<LangchainDecision>,
    /// As in `ApproveRequest`.
    #[schema(value_type = DigestShape)]
    digest: Digest,
    /// As in `ApproveRequest`.
    stands_for: Option<String>,
}

/// One of them. Which types fit an approval is in `review_configs` of its view.
#[derive(ToSchema)]
#[serde(untagged)]
enum LangchainDecision {
    Approve(LangchainApprove),
    Edit(LangchainEdit),
    Reject(LangchainReject),
    Respond(LangchainRespond),
}

/// Do it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LangchainApprove {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: ApproveWord,
    /// A note for the journal.
    message: Option<String>,
}

/// Do this instead.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LangchainEdit {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: EditWord,
    #[schema(value_type = EditedAction)]
    edited_action: Object<EditedAction>,
    /// A note for the journal.
    message: Option<String>,
}

/// Do not.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LangchainReject {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: RejectWord,
    /// Guidance, which the agent reads.
    message: Option<String>,
}

/// Answers a question.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LangchainRespond {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: RespondWord,
    /// The answer.
    message: String,
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

/// What to do instead.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EditedAction {
    /// The capability, which an edit cannot change.
    name: String,
    /// All arguments, in the JSON form of WIT values.
    #[schema(value_type = Object)]
    args: Map<String, Value>,
}

impl TryFrom<LangchainDecisions> for DecisionRequest {
    type Error = String;

    fn try_from(LangchainDecisions { decisions, digest, stands_for }: LangchainDecisions) -> Result<Self, String> {
        let given = decisions.len();
        let one: [LangchainDecision; 1] = decisions
            .try_into()
            .map_err(|_| format!("`decisions`: an approval is about one call and takes one decision, not {given}"))?;
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

/// How a client of the Agent User Interaction Protocol resumes what an interrupt has stopped.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AgUiResume)]
pub(super) struct ResumeRequest {
    /// Exactly one: an approval is about one call.
    #[schema(min_items = 1, max_items = 1, value_type = Vec<ResumeEntry>)]
    resume: Vec<Object<ResumeEntry>>,
}

/// The answer to one interrupt. A cancelled one answers nothing, so it is not sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = AgUiResumeEntry)]
struct ResumeEntry {
    /// The interrupt's `id`.
    #[schema(value_type = ApprovalIdShape)]
    interrupt_id: String,
    #[schema(inline)]
    status: ResolvedWord,
    /// As the interrupt's `responseSchema` asks for it.
    #[schema(value_type = Payload)]
    payload: Object<Payload>,
}

/// What a person answered, with the digest of what they were shown.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "`approved` (with `editedArgs` if true) or `answer`, beside `digest`")]
#[schema(as = AgUiPayload)]
enum Payload {
    Approval(ApprovalPayload),
    Edit(EditPayload),
    Answer(AnswerPayload),
}

/// Whether it may be done, as it was shown.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = AgUiApproval)]
struct ApprovalPayload {
    approved: bool,
    #[schema(value_type = DigestShape)]
    digest: Digest,
    /// With `approved: false`, the guidance that the agent reads; else a note for the journal.
    message: Option<String>,
}

/// Do it with other arguments.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = AgUiEdit)]
struct EditPayload {
    approved: True,
    #[schema(value_type = DigestShape)]
    digest: Digest,
    /// The new arguments, all of them, in the JSON form of WIT values.
    #[schema(value_type = Object)]
    edited_args: Map<String, Value>,
    /// A note for the journal.
    message: Option<String>,
}

/// `true`.
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
    /// Of the function's `ok` type.
    answer: Value,
    #[schema(value_type = DigestShape)]
    digest: Digest,
}

impl TryFrom<ResumeRequest> for AnyForm {
    type Error = String;

    fn try_from(ResumeRequest { resume }: ResumeRequest) -> Result<Self, String> {
        let given = resume.len();
        let one: [Object<ResumeEntry>; 1] = resume
            .try_into()
            .map_err(|_| format!("`resume`: an approval is about one call and takes one entry, not {given}"))?;
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
