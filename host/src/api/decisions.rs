//! `/v1/approvals/{id}/decisions`: records a reviewer's decision. The client gets the answer when
//! the decision is on disk.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use holdshort_gate::call::RecordedDecision;
use holdshort_gate::command::{Choice, Command, Decide, DecisionOutcome, Revision};
use holdshort_gate::{
    Call, CallId, CallNumber, CallState, Digest, Grant, Phase, RecordedChoice, Refused, ReviewerName, RunId, Subject,
    Time,
};
use holdshort_journal::Flushed;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::Reviewer;
use super::forms::{AnyForm, AnyFormShape};
use super::json::Json;
use super::limits::{Input, Path, parse};
use super::message::Message;
use super::problem::{Details, Kind, Problem};
use super::refusals::{Posted, Refusals};
use super::shapes::{ApprovalIdShape, Lenient};
use super::{Api, ApiResult, approvals, grants, ids};
use crate::policy::{JudgedCall, Policy};

/// A decision in any of the accepted forms.
pub(crate) struct DecisionRequest {
    pub(crate) kind: DecisionType,
    /// The digest of the content that the reviewer saw. If it is outdated, the decision is refused.
    pub(crate) digest: Digest,
    /// The complete new arguments of an `edit`.
    pub(crate) arguments: Option<Value>,
    /// The note, the guidance or the answer in words.
    pub(crate) message: Option<Message>,
    /// The absent reviewer to act for, if the request names one.
    pub(crate) stands_for: Option<String>,
    /// The answer of a `respond`, of the function's `ok` type.
    pub(crate) answer: Option<Value>,
    /// The grant that an `approve` creates.
    pub(crate) grant: Option<Box<Grant>>,
    /// The capability of an `edit`, in forms that name it.
    pub(crate) capability: Option<String>,
}

impl DecisionRequest {
    /// A decision with this type and digest, and no other member.
    pub(crate) fn new(kind: DecisionType, digest: Digest) -> Self {
        let (arguments, message, stands_for, answer, grant, capability) = (None, None, None, None, None, None);
        Self { kind, digest, arguments, message, stands_for, answer, grant, capability }
    }
}

/// The types of decisions.
#[derive(Clone, Copy)]
pub(crate) enum DecisionType {
    /// Approves the action.
    Approve,
    /// Replaces the arguments.
    Edit,
    /// Rejects the action.
    Reject,
    /// Answers a question.
    Respond,
}

/// The message of a rejection without guidance, for the agent and the journal.
const NO_REASON: &str = "no reason was given";

/// The result of a decision.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct DecisionAnswer {
    /// The state of the call now.
    #[schema(value_type = CallState)]
    pub(crate) state: Lenient<CallState>,
    /// The current digest. An edit changes it.
    pub(crate) digest: Digest,
    /// How many more reviewers must approve.
    pub(crate) still_needed: u32,
    /// Whether the same decision was recorded before. It counts once.
    pub(crate) repeated: bool,
}

/// Records a decision.
///
/// A client that lost the answer may send the same decision again, and gets the same answer.
#[utoipa::path(post, path = "/v1/approvals/{id}/decisions", operation_id = "decide", tag = "approvals", request_body = AnyFormShape,
    params(("id" = ApprovalIdShape, Path)), responses(Refusals, Posted,
    (status = 200, body = DecisionAnswer, description = "Decided."),
    (status = 202, body = DecisionAnswer, description = "Recorded; more approvals are needed. After an edit, the editor's own approval counts only if the new revision has no new evidence."),
    (status = 404, body = Details, content_type = "application/problem+json"),
    (status = 409, body = Details, content_type = "application/problem+json", description = "The digest is not the current digest, the call is already decided, the reviewer has made as many decisions on the call as one reviewer may, or the call has as many revisions as it may have."),
    (status = 410, body = Details, content_type = "application/problem+json", description = "The approval has expired."),
    (status = 422, body = Details, content_type = "application/problem+json", description = "The decision or its value does not fit the approval.")))]
pub(super) async fn create(
    State(api): State<Api>,
    Path(id): Path<String>,
    reviewer: Reviewer,
    Input(form): Input<AnyForm>,
) -> ApiResult {
    let (run, number) = ids::approval(&id)?;
    Ok(answered(&decide(&api, &run, number, &reviewer, form.about(&id)?).await?))
}

/// Records a reviewer's decision from any form.
pub(crate) async fn decide(
    api: &Api,
    run: &RunId,
    number: CallNumber,
    reviewer: &Reviewer,
    request: DecisionRequest,
) -> Result<Flushed<DecisionOutcome>, Problem> {
    let DecisionRequest { kind, digest, arguments, message, stands_for, answer, grant, capability } = request;
    let message = message.map(String::from);
    let words = message.clone().map(Value::String);
    let (name, signed_in_at) = (reviewer.name().clone(), reviewer.signed_in_at(api.journal().now()));
    let stands_for = absent_reviewer(api, run, number, reviewer, digest, stands_for).await?;
    let pending = PendingDecision { run, number, reviewer: name, stands_for, signed_in_at, clearance: digest, message };
    match kind {
        DecisionType::Approve => match grant {
            Some(grant) => {
                grants::check(api, run, number, &grant).await?;
                at_this_time(api, run, number, digest).await?;
                pending.submit(api, Choice::Grant(grant)).await
            }
            // An approval without a grant is the frequent case. It needs one write and, unless a policy depends on the
            // time, no read, because the gate judges inside the journal's transaction.
            None => {
                at_this_time(api, run, number, digest).await?;
                pending.submit(api, Choice::Approve).await
            }
        },
        DecisionType::Reject => {
            let said = pending.message.clone().filter(|words| !words.trim().is_empty());
            let message = Some(said.unwrap_or_else(|| NO_REASON.into()));
            PendingDecision { message, ..pending }.submit(api, Choice::Reject).await
        }
        DecisionType::Edit => edit(api, pending, capability, arguments.unwrap_or_default()).await,
        DecisionType::Respond => respond(api, pending, answer.or(words).unwrap_or_default()).await,
    }
}

/// Refuses to approve a call that policy forbids at this time, because its effect could not start either. The call
/// keeps waiting and may be approved at another time. If no policy depends on the time, nothing is read.
async fn at_this_time(api: &Api, run: &RunId, number: CallNumber, digest: Digest) -> Result<(), Problem> {
    let Some(policy) = api.policy_setup().present.as_ref().filter(|policy| policy.depends_on_time()) else {
        return Ok(());
    };
    let (subject, call) = approvals::load(api, run, number).await?;
    let waits = call.phase == Phase::Held && call.clearance == Some(digest);
    let Some((proposal, started)) = call.proposal().zip(subject.run.as_ref()).filter(|_| waits) else { return Ok(()) };
    let (started_by, agent) = (&started.started_by, &started.agent);
    let judged = JudgedCall { started_by, agent, run, proposal, by_policy: false };
    match policy.forbidden_now(&judged, api.journal().now()) {
        Some(why) => {
            Err(Problem::new(Kind::NotNow, format!("{why}; approve the call at another time")).state(CallState::Held))
        }
        None => Ok(()),
    }
}

/// The absent reviewer for whom the decision is made; `None` if the decision is the reviewer's own. If the reviewer is
/// nobody's delegate, the call is not read.
async fn absent_reviewer(
    api: &Api,
    run: &RunId,
    number: CallNumber,
    reviewer: &Reviewer,
    digest: Digest,
    named: Option<String>,
) -> Result<Option<ReviewerName>, Problem> {
    let now = api.journal().now();
    if named.as_deref() == Some(reviewer.name().as_str()) {
        return Ok(None);
    }
    if let Some(named) = named {
        let absent = reviewer.absent_reviewers(now).find(|name| name.as_str() == named);
        let detail = || format!("you are not a delegate of `{}`", super::shortened(&named));
        return Ok(Some(absent.ok_or_else(|| Problem::new(Kind::NotEligible, detail()))?.clone()));
    }
    if reviewer.absent_reviewers(now).next().is_none() {
        return Ok(None);
    }
    let (subject, call) = approvals::load(api, run, number).await?;
    let said =
        |made: &&RecordedDecision| made.decision.reviewer == *reviewer.name() && made.decision.clearance == digest;
    let still = |place: &Option<ReviewerName>| {
        place.as_ref().is_none_or(|of| reviewer.absent_reviewers(now).any(|name| name == of))
    };
    // A decision that is sent again is made for the same absent reviewer as before, while the
    // delegation lasts.
    let before = call.decisions.iter().rev().find(said).map(|made| made.decision.stands_for.clone());
    if let Some(place) = before.filter(still) {
        return Ok(place);
    }
    let started_by = subject.run.map(|run| run.started_by).unwrap_or_default();
    Ok(reviewer.acting_for(&call, &started_by, now).cloned())
}

/// Validates a decision without a journal: whether `id` can be an approval's id, and `body` a
/// decision.
pub fn check(id: &str, body: &[u8]) -> Result<(), Problem> {
    ids::approval(id)?;
    parse::<AnyForm>(body)?.about(id).map(drop)
}

/// Answers a recorded decision. Its type `Flushed` proves that the decision is on disk.
fn answered(outcome: &Flushed<DecisionOutcome>) -> Response {
    let DecisionOutcome { state, still_needed, clearance, repeated } = **outcome;
    let status = if state == CallState::Held { StatusCode::ACCEPTED } else { StatusCode::OK };
    (status, Json(DecisionAnswer { state: state.into(), digest: clearance, still_needed, repeated })).into_response()
}

/// Everything of a decision except the choice: approve, edit, reject or answer.
#[derive(Clone)]
struct PendingDecision<'a> {
    run: &'a RunId,
    number: CallNumber,
    reviewer: ReviewerName,
    stands_for: Option<ReviewerName>,
    signed_in_at: Time,
    clearance: Digest,
    message: Option<String>,
}

impl PendingDecision<'_> {
    /// The decision as the gate's command.
    fn decide(self, choice: Choice) -> Decide {
        let Self { reviewer, stands_for, signed_in_at, clearance, message, .. } = self;
        Decide { reviewer, stands_for, signed_in_at, clearance, choice, message }
    }

    /// Records the decision. The gate judges it on the state that is then in the journal.
    async fn submit(self, api: &Api, choice: Choice) -> Result<Flushed<DecisionOutcome>, Problem> {
        let id = CallId { run: self.run.clone(), call: self.number };
        Ok(api.desk().submit(&id, self.decide(choice)).await?)
    }

    /// Checks whether the gate would accept this kind of decision, whatever its value. This check
    /// comes before the value is examined: a reviewer who may not decide, or is too late, causes no
    /// work and gets only that answer. Returns the outcome for the placeholder `stand_in`.
    fn may(&self, api: &Api, subject: Subject, call: &Call, stand_in: Choice) -> Result<DecisionOutcome, Problem> {
        let subject = Subject { call: Some(call.clone()), ..subject };
        let (_, outcome) = self.clone().decide(stand_in).decide(&subject, api.journal().now())?;
        Ok(outcome)
    }
}

/// Edits a call. The driver makes the new revision before the journal's transaction. Inside the transaction the gate
/// judges whether the revision may replace the current one.
async fn edit(
    api: &Api,
    pending: PendingDecision<'_>,
    capability: Option<String>,
    arguments: Value,
) -> Result<Flushed<DecisionOutcome>, Problem> {
    let (subject, call) = approvals::load(api, pending.run, pending.number).await?;
    let arguments = &call.action().edited(arguments);
    let Some(proposal) = call.proposal().cloned() else {
        return Err(Refused::WrongPhase(call.phase.state()).into());
    };
    let current = Choice::Edit(Box::new(Revision { proposal }));
    let calls = call.action().capability().to_string();
    let other = capability.filter(|name| *name != calls);
    if other.is_none() && is_repeated(&pending, &call, arguments) {
        // The connector is not asked for this edit again, because it could find by now that the
        // effect of the edited call has been performed.
        return pending.submit(api, current).await;
    }
    pending.may(api, subject, &call, current)?;
    if let Some(other) = other {
        let detail =
            format!("an edit cannot change the capability: found `{}`, expected `{calls}`", super::shortened(&other));
        return Err(Problem::new(Kind::WrongType, detail));
    }
    let revision = api.driver().revise(pending.run, &call, &pending.reviewer, arguments).await?;
    pending.submit(api, Choice::Edit(Box::new(revision))).await
}

/// The call, and the outcome that an edit to `revision` would have. Without `revision` the edit changes nothing.
/// Without `digest` the edit is about the current revision. Nothing is written.
pub(crate) async fn preview_decision(
    api: &Api,
    run: &RunId,
    number: CallNumber,
    reviewer: &Reviewer,
    digest: Option<Digest>,
    revision: Option<Revision>,
) -> Result<(Call, DecisionOutcome), Problem> {
    let (subject, call) = approvals::load(api, run, number).await?;
    let started_by = subject.run.as_ref().map(|run| run.started_by.clone()).unwrap_or_default();
    let wrong_phase = || Refused::WrongPhase(call.phase.state());
    let clearance = digest.or(call.clearance).ok_or_else(wrong_phase)?;
    let current = || call.proposal().cloned().map(|proposal| Revision { proposal });
    let revision = revision.or_else(current).ok_or_else(wrong_phase)?;
    let (name, signed_in_at) = (reviewer.name().clone(), reviewer.signed_in_at(api.journal().now()));
    let stands_for = reviewer.acting_for(&call, &started_by, api.journal().now()).cloned();
    let pending = PendingDecision { run, number, reviewer: name, stands_for, signed_in_at, clearance, message: None };
    let outcome = pending.may(api, subject, &call, Choice::Edit(Box::new(revision)))?;
    Ok((call, outcome))
}

/// Whether this reviewer already made the same edit.
fn is_repeated(pending: &PendingDecision<'_>, call: &Call, arguments: &Value) -> bool {
    let action = call.action();
    action.arguments() == arguments
        && call.decisions.iter().any(|made| {
            let decision = &made.decision;
            decision.reviewer == pending.reviewer
                && decision.clearance == pending.clearance
                && decision.verdict == RecordedChoice::Edit(action.digest())
        })
}

/// Checks the answer against the function's type, because the agent gets it as the function's
/// result.
async fn respond(api: &Api, pending: PendingDecision<'_>, answer: Value) -> Result<Flushed<DecisionOutcome>, Problem> {
    let (subject, call) = approvals::load(api, pending.run, pending.number).await?;
    pending.may(api, subject, &call, Choice::Respond(answer.clone()))?;
    let answer = api.driver().check_ok_value(&call, &answer).await?;
    pending.submit(api, Choice::Respond(answer)).await
}
