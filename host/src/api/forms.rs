//! The bodies of decisions: the host's own form for each type of decision, LangChain's `decisions`,
//! and the `resume` of the Agent User Interaction Protocol.
//!
//! Each form is one type, which both reads the body and generates the schema. So the host accepts
//! exactly the members that the schema describes.

mod others;

use holdshort_gate::{Digest, Grant};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::decisions::{DecisionRequest, DecisionType};
use super::grants::SentGrant;
use super::json::{Object, typed};
use super::message::Message;
use super::problem::{Kind, Problem};
use others::{LangchainDecisions, ResumeRequest};

/// A decision as received, and the approval that its body names, if the form names an approval.
pub(super) struct AnyForm {
    request: DecisionRequest,
    about: Option<String>,
}

impl AnyForm {
    /// The decision. It is an error if the body names another approval than the path does.
    pub(super) fn about(self, id: &str) -> Result<DecisionRequest, Problem> {
        match self.about {
            Some(other) if other != id => {
                let detail =
                    format!("`resume[0].interruptId` is `{}`, but the path has `{id}`", super::shortened(&other));
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

/// The forms for the OpenAPI document.
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
        (_, _, _) => return Err("exactly one of `type`, `decisions` and `resume`".into()),
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

/// The allowed types of a decision.
const TYPES: &str = "`type`: expected `approve`, `edit`, `reject` or `respond`";

/// Makes a type with one value: the `type` by which a form is recognised.
macro_rules! words {
    ($($type:ident::$word:ident,)*) => {$(
        #[derive(Clone, Copy, Deserialize, ToSchema)]
        #[serde(rename_all = "kebab-case")]
        pub(super) enum $type { $word }
    )*};
}

words! { ApproveWord::Approve, EditWord::Edit, RejectWord::Reject, RespondWord::Respond, }

/// Approves the action exactly as shown.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApproveRequest {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: ApproveWord,
    /// The digest of the shown content. If it is outdated, nothing happens.
    digest: Digest,
    /// A note for the journal.
    message: Option<Message>,
    /// The absent reviewer to act for, by a configured delegation; your own name means that you
    /// vote for yourself. Without it, your own vote is used if it counts, or else the vote of an
    /// absent reviewer that you act for.
    stands_for: Option<String>,
    /// A grant for more calls like this one. `POST /v1/approvals/{id}/grant` returns a draft
    /// of such a grant.
    #[schema(value_type = Option<Grant>)]
    grant: Option<Object<SentGrant>>,
}

/// Replaces the arguments.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditRequest {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: EditWord,
    /// As in `ApproveRequest`.
    digest: Digest,
    /// The complete new arguments in the JSON form of WIT values, except `rationale`. `rationale`
    /// is the agent's own text: it may be omitted and must not be changed.
    #[schema(value_type = Object)]
    arguments: Map<String, Value>,
    /// A note for the journal.
    message: Option<Message>,
    /// As in `ApproveRequest`.
    stands_for: Option<String>,
}

/// Rejects the action.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RejectRequest {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: RejectWord,
    /// As in `ApproveRequest`.
    digest: Digest,
    /// Guidance for the agent. Without it the agent is told that no reason was given.
    message: Option<Message>,
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
    digest: Digest,
    /// The answer.
    message: Message,
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
    digest: Digest,
    /// The answer, of the function's `ok` type.
    answer: Value,
    /// A note for the journal.
    message: Option<Message>,
    /// As in `ApproveRequest`.
    stands_for: Option<String>,
}

impl From<ApproveRequest> for DecisionRequest {
    fn from(ApproveRequest { kind: ApproveWord::Approve, digest, message, stands_for, grant }: ApproveRequest) -> Self {
        let grant = grant.map(|Object(SentGrant(grant))| Box::new(grant));
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
