//! The bodies of a decision: this host's own, one for each type of decision; LangChain's `decisions`; and the `resume` of the Agent User Interaction
//! Protocol. Each is one type, which is what is read and what the document describes, so that nothing can be given that would be ignored.
//!
//! **Invariant:** A decision and a resolution have one type for each form, which is read strictly; a member that is there twice is refused, at
//! any depth.
//!
//! **Invariant:** `respond` takes an `answer` beside `message`: a message is text, and a question's function may return a value of any type.

mod others;

use holdshort_gate::Digest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::decisions::{DecisionRequest, DecisionType};
use super::grants::GrantShape;
use super::json::{Object, typed};
use super::message::Message;
use super::problem::{Kind, Problem};
use super::shapes::DigestShape;
use others::{LangchainDecisions, ResumeRequest};

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

words! { ApproveWord::Approve, EditWord::Edit, RejectWord::Reject, RespondWord::Respond, }

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
    message: Option<Message>,
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
    /// The new arguments, in the JSON form of WIT values: all of them, but for `rationale`. It is the agent's own words: left out it stays, and another one is refused.
    #[schema(value_type = Object)]
    arguments: Map<String, Value>,
    /// A note for the journal.
    message: Option<Message>,
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
    #[schema(value_type = DigestShape)]
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
    #[schema(value_type = DigestShape)]
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
