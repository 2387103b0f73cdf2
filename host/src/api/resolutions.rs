//! `/v1/runs/{id}/calls/{n}/resolution`: a reviewer resolves an effect in doubt.

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::command::Resolve;
use holdshort_gate::{CallId, CallNumber, CallState, Resolution, RunId};
use holdshort_journal::Flushed;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::Reviewer;
use super::json::{Json, present, typed, whole};
use super::limits::{Input, Path};
use super::message::Message;
use super::problem::{Details, Kind, Problem};
use super::refusals::{Posted, Refusals};
use super::shapes::{ApprovalIdShape, Lenient};
use super::{Api, ApiResult, approvals, ids};

/// A resolution from any form.
pub(crate) struct ResolutionRequest {
    pub(crate) kind: ResolutionType,
    /// The attempt that the reviewer checked. If another attempt is current, the resolution is
    /// refused.
    pub(crate) attempt: u32,
    /// Only for `done`: the receipt for the agent.
    pub(crate) receipt: Option<Value>,
    pub(crate) message: Option<Message>,
}

/// The kinds of resolutions.
#[derive(Clone, Copy)]
pub(crate) enum ResolutionType {
    /// The effect happened.
    Done,
    /// The effect did not happen.
    NotDone,
    /// The outcome stays unknown.
    Abandon,
    /// The effect is tried again with the same idempotency key; only for idempotent effects.
    SendAgain,
}

/// The effect happened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DoneRequest {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: DoneWord,
    /// The attempt that was checked. If another attempt is current, the resolution is refused.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 4_294_967_295_i64)]
    attempt: u32,
    /// The receipt for the agent, of the function's `ok` type. Without it, the connector makes the receipt, if the receipt
    /// follows from the call alone.
    #[serde(default, deserialize_with = "present")]
    receipt: Option<Value>,
    /// How the reviewer knows, for the journal.
    message: Option<Message>,
}

/// The effect did not happen, its outcome stays unknown, or it is sent again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OtherRequest {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: OtherWord,
    /// The attempt that was checked. If another attempt is current, the resolution is refused.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 4_294_967_295_i64)]
    attempt: u32,
    /// How the reviewer knows. With `not-done` and `abandon` the agent reads it.
    message: Option<Message>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum DoneWord {
    Done,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum OtherWord {
    /// The effect did not happen.
    NotDone,
    /// The outcome stays unknown.
    Abandon,
    /// The effect is tried again with the same idempotency key; only for idempotent effects.
    SendAgain,
}

/// A resolution for the OpenAPI document.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = ResolutionRequest)]
#[expect(dead_code, reason = "each form is read by itself, so that an error is about the one that was meant")]
enum ResolutionShape {
    Done(DoneRequest),
    Other(OtherRequest),
}

impl<'de> Deserialize<'de> for ResolutionRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let body = Value::deserialize(deserializer)?;
        let read = if body.get("type").is_some_and(|word| word == "done") {
            typed(body).map(|DoneRequest { kind: DoneWord::Done, attempt, receipt, message }| Self {
                kind: ResolutionType::Done,
                attempt,
                receipt,
                message,
            })
        } else {
            typed(body).map(|OtherRequest { kind, attempt, message }| {
                let kind = match kind {
                    OtherWord::NotDone => ResolutionType::NotDone,
                    OtherWord::Abandon => ResolutionType::Abandon,
                    OtherWord::SendAgain => ResolutionType::SendAgain,
                };
                Self { kind, attempt, receipt: None, message }
            })
        };
        read.map_err(D::Error::custom)
    }
}

/// The result of a resolution.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct ResolutionAnswer {
    #[schema(value_type = ApprovalIdShape)]
    pub(crate) id: String,
    /// The state of the call now.
    #[schema(value_type = CallState)]
    pub(crate) state: Lenient<CallState>,
}

/// Resolves an effect in doubt. Only a reviewer who may decide on the call may resolve it.
#[utoipa::path(post, path = "/v1/runs/{id}/calls/{n}/resolution", operation_id = "resolve-call", tag = "runs", request_body = ResolutionShape,
    params(("id" = RunId, Path), ("n" = u32, Path, description = "The call's number", minimum = 1, maximum = 4_294_967_295_i64)), responses(Refusals, Posted,
    (status = 200, body = ResolutionAnswer),
    (status = 404, body = Details, content_type = "application/problem+json"),
    (status = 409, body = Details, content_type = "application/problem+json", description = "The effect is not in doubt, or the attempt is not the current attempt."),
    (status = 422, body = Details, content_type = "application/problem+json", description = "A receipt is needed or does not fit, or the effect cannot be sent again.")))]
pub(super) async fn create(
    State(api): State<Api>,
    Path((id, number)): Path<(String, String)>,
    reviewer: Reviewer,
    Input(request): Input<ResolutionRequest>,
) -> ApiResult {
    let run = ids::run(&id)?;
    let number = ids::call(&run, &number)?;
    let state = resolve(&api, &run, number, &reviewer, request).await?;
    Ok(Json(ResolutionAnswer { id: format!("{run}.{number}"), state: (*state).into() }).into_response())
}

/// Records a resolution from any form.
pub(crate) async fn resolve(
    api: &Api,
    run: &RunId,
    number: CallNumber,
    reviewer: &Reviewer,
    request: ResolutionRequest,
) -> Result<Flushed<CallState>, Problem> {
    let ResolutionRequest { kind, attempt, receipt, message } = request;
    if receipt.is_some() && !matches!(kind, ResolutionType::Done) {
        return Err(Problem::new(Kind::BadRequest, "`receipt` is allowed only with `done`"));
    }
    let resolution = match kind {
        ResolutionType::Done => Resolution::Done(checked(api, run, number, receipt).await?),
        ResolutionType::NotDone => Resolution::NotDone,
        ResolutionType::Abandon => Resolution::Abandon,
        ResolutionType::SendAgain => Resolution::SendAgain,
    };
    let message = message.map(String::from);
    let resolve = Resolve { attempt, by: reviewer.name().clone(), resolution, message };
    Ok(api.desk().submit(&CallId { run: run.clone(), call: number }, resolve).await?)
}

/// The given receipt, if it has the right type. Without one, the receipt that the connector makes
/// from the call.
async fn checked(api: &Api, run: &RunId, number: CallNumber, receipt: Option<Value>) -> Result<Value, Problem> {
    let (_, call) = approvals::load(api, run, number).await?;
    match receipt {
        Some(receipt) => Ok(api.driver().check_ok_value(&call, &receipt).await?),
        None => api.driver().default_receipt(run, &call).ok_or_else(|| {
            let detail =
                "the host cannot make the receipt for this call: give `receipt`, a value of the function's `ok` type";
            Problem::new(Kind::NoReceipt, detail)
        }),
    }
}
