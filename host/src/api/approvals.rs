//! `/v1/approvals/{id}`: everything that a decision rests on. The list of approvals is in `inbox`.

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::call::CallContent;
use holdshort_gate::{
    Action, AgentName, Call, CallId, CallState, Decision, Digest, JournalId, OpenDemand, Phase, Proposal,
    RefusalReason, ReviewerName, RunId, Subject, Vote,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::json::Json;
use super::limits::{Path, Query};
use super::problem::{Details, Problem};
use super::refusals::Refusals;
use super::shapes::{ApprovalIdShape, DecisionStateShape, EffectStateShape, Lenient, Moment};
use super::views::{AgUiEvent, LangchainRequest, View};
use super::{Api, ApiResult, ids};

/// The states of the decision on a call.
pub(super) const DECISION_STATES: [CallState; 8] = [
    CallState::Refused,
    CallState::Cleared,
    CallState::Held,
    CallState::Approved,
    CallState::Rejected,
    CallState::Answered,
    CallState::Expired,
    CallState::Cancelled,
];
/// The states of a call's effect.
pub(super) const EFFECT_STATES: [CallState; 5] =
    [CallState::Started, CallState::InDoubt, CallState::Succeeded, CallState::Failed, CallState::Unresolved];
const _: () =
    assert!(DECISION_STATES.len() + EFFECT_STATES.len() == CallState::ALL.len(), "every state is on one side");

/// An approval: the action, the decisions, and the effect.
#[derive(Deserialize, Serialize, ToSchema)]
pub struct Approval {
    #[schema(value_type = ApprovalIdShape)]
    pub(crate) id: String,
    pub(crate) journal: JournalId,
    pub(crate) run: RunId,
    pub(crate) call: u32,
    pub(crate) agent: String,
    /// The task of the run.
    pub(crate) task: String,
    /// The reviewer who started the run.
    pub(crate) started_by: String,
    #[schema(value_type = DecisionStateShape)]
    pub(crate) state: Lenient<CallState>,
    /// The state of the effect; null before the first attempt.
    #[schema(required = true)]
    pub(crate) effect: Option<Effect>,
    /// The number of attempts so far.
    #[serde(default)]
    #[schema(required = true)]
    pub(crate) attempts: u32,
    /// The last attempt, if it certainly did not happen and will be repeated under the same
    /// clearance.
    #[schema(required = true)]
    pub(crate) put_off: Option<PutOff>,
    /// The ids of other waiting calls with the same action; at most the oldest 33.
    #[serde(default)]
    #[schema(required = true)]
    pub(crate) same_waiting: Vec<String>,
    /// The revision, from 1. Each edit and each change of a material fact adds one.
    pub(crate) revision: u32,
    /// The digest that a decision must name; null if the call was refused without a reviewer.
    #[schema(required = true)]
    pub(crate) digest: Option<Digest>,
    pub(crate) action_digest: Digest,
    /// The content that `digest` covers, together with journal, run, call and revision; null if the
    /// call was refused without a reviewer. The bytes of its exhibits are under
    /// `/v1/approvals/{id}/exhibits/{digest}`.
    #[schema(required = true, value_type = Option<Proposal>)]
    pub(crate) proposal: Option<Lenient<Box<Proposal>>>,
    /// One sentence: how the host would look up the outcome of the effect if the outcome were unknown (`proposal.class`
    /// says how such an effect could be resolved); null if no connector of this host would perform the action.
    #[schema(required = true)]
    pub(crate) if_lost: Option<String>,
    /// The refused action and the reason, if the call was refused without a reviewer.
    #[schema(required = true)]
    pub(crate) refused: Option<RefusedCall>,
    /// The approvals of the current digest.
    pub(crate) votes: Vec<CastVote>,
    /// The rejections of the current digest.
    #[serde(default)]
    #[schema(required = true)]
    pub(crate) rejections: Vec<CastVote>,
    /// How many more reviewers must reject the call to stop it; 0 if the call is not held.
    #[serde(default)]
    #[schema(required = true)]
    pub(crate) rejections_needed: u32,
    /// Who must still decide: the open demands of the current stage; empty if the call is not held.
    #[serde(default)]
    #[schema(required = true)]
    pub(crate) waiting_for: Vec<OpenDemand>,
    /// The number of escalations so far.
    #[serde(default)]
    #[schema(required = true)]
    pub(crate) level: usize,
    /// Why the call is held, in the operator's words.
    #[serde(default)]
    #[schema(required = true)]
    pub(crate) reasons: Vec<String>,
    /// All decisions on the call, oldest first.
    pub(crate) decisions: Vec<PastDecision>,
    /// The changed facts, if the call was held again because of them.
    #[schema(required = true)]
    pub(crate) reheld: Option<String>,
    /// The reviewer who edited the current revision.
    #[schema(required = true)]
    pub(crate) edited_by: Option<String>,
    /// How many more reviewers must approve.
    pub(crate) still_needed: u32,
    pub(crate) proposed_at: Moment,
    /// When the approval expires; null if never.
    #[schema(required = true)]
    pub(crate) deadline: Option<Moment>,
}

/// An attempt that certainly did not happen.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct PutOff {
    /// The reason.
    pub(crate) reason: String,
    /// The earliest time of the next attempt.
    pub(crate) until: Moment,
}

/// The state of the effect.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct Effect {
    #[schema(value_type = EffectStateShape)]
    pub(crate) state: Lenient<CallState>,
    /// The number of attempts so far.
    pub(crate) attempts: u32,
    /// The start of the last attempt.
    #[schema(required = true)]
    pub(crate) started_at: Option<Moment>,
    /// Why the effect failed, what was observed when its outcome became unknown, or how a reviewer resolved it.
    #[schema(required = true)]
    pub(crate) reason: Option<String>,
    /// The receipt, of the function's `ok` type.
    #[schema(required = true)]
    pub(crate) receipt: Option<Value>,
    /// The result of the lookup of the current attempt; null if there was none. A reviewer who resolves an effect in
    /// doubt reads this first.
    #[schema(required = true)]
    pub(crate) evidence: Option<Evidence>,
}

/// The result of a lookup.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct Evidence {
    /// When the result was recorded. A later lookup with the same result is not recorded.
    pub(crate) at: Moment,
    /// What the lookup checked and what it found, or why it was not possible.
    pub(crate) text: String,
}

/// A call that was refused without a reviewer.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct RefusedCall {
    pub(crate) action: Box<Action>,
    pub(crate) reason: RefusalReason,
}

/// One reviewer's approval or rejection.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct CastVote {
    pub(crate) reviewer: String,
    /// The absent reviewer for whom the vote was made, if any.
    #[schema(required = true)]
    pub(crate) stands_for: Option<String>,
    pub(crate) at: Moment,
    /// The stage for which the vote counts, from 1.
    #[serde(default)]
    #[schema(required = true)]
    pub(crate) stage: usize,
}

impl From<Vote> for CastVote {
    fn from(Vote { reviewer, stands_for, at, stage }: Vote) -> Self {
        let stands_for = stands_for.map(String::from);
        Self { reviewer: reviewer.into(), stands_for, at: Moment(at), stage: stage + 1 }
    }
}

/// A recorded decision.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct PastDecision {
    pub(crate) at: Moment,
    pub(crate) decision: Decision,
}

/// The form of an approval.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ShowQuery {
    /// Another system's form of a waiting approval: `langchain` or `ag-ui`.
    #[param(inline)]
    view: Option<View>,
}

/// Shows an approval.
#[utoipa::path(get, path = "/v1/approvals/{id}", operation_id = "show-approval", tag = "approvals",
    params(("id" = ApprovalIdShape, Path), ShowQuery), responses(Refusals,
    (status = 200, body = AnyShape),
    (status = 404, body = Details, content_type = "application/problem+json"),
    (status = 409, body = Details, content_type = "application/problem+json", description = "A view was requested, and the approval does not wait for a decision.")))]
pub(super) async fn show(State(api): State<Api>, Path(id): Path<String>, Query(query): Query<ShowQuery>) -> ApiResult {
    let (run, number) = ids::approval(&id)?;
    let (subject, call) = load(&api, &run, number).await?;
    if let Some(view) = query.view {
        let agent = subject.run.map(|run| run.agent).unwrap_or_default();
        let function = api.driver().function(&call).await?;
        return Ok(Json(view.of(&run, &agent, &call, &function)?).into_response());
    }
    let task = super::runs::row(&api, &run).await?.task;
    let started_by = subject.run.as_ref().map(|run| run.started_by.clone()).unwrap_or_default();
    let agent = subject.run.map(|run| run.agent).unwrap_or_default();
    let if_lost = api.driver().if_lost(&call);
    let same = api.journal().same_waiting(&CallId { run: run.clone(), call: number }).await?;
    let same_waiting = same.iter().map(ToString::to_string).collect();
    Ok(Json(Approval { if_lost, same_waiting, ..approval(subject.journal, run, agent, task, started_by, call) })
        .into_response())
}

/// The possible answers.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ApprovalOrView)]
#[expect(dead_code, reason = "it is a description")]
pub(super) enum AnyShape {
    /// The answer without `view`.
    Whole(Box<Approval>),
    /// The answer with `view=langchain`.
    Langchain(LangchainRequest),
    /// The answer with `view=ag-ui`.
    AgUi(AgUiEvent),
}

/// Loads the run and the consequential call of an id.
pub(crate) async fn load(api: &Api, run: &RunId, number: u32) -> Result<(Subject, Call), Problem> {
    let missing = || Problem::not_found(format_args!("approval `{run}.{number}`"));
    let mut subject = api.journal().subject(run, Some(number)).await?.ok_or_else(missing)?;
    let call = subject.call.take().ok_or_else(missing)?;
    Ok((subject, call))
}

/// The complete approval for a client. Everything that the digest covers is included.
fn approval(
    journal: JournalId,
    run: RunId,
    agent: AgentName,
    task: String,
    started_by: ReviewerName,
    call: Call,
) -> Approval {
    let (still_needed, waiting_for) = (call.still_needed(), call.waiting_for(&started_by));
    let rejections_needed = if call.phase == Phase::Held { call.rejections_needed() } else { 0 };
    let (state, effect, deadline) = (decision_state(&call), effect(&call), call.deadline().map(Moment));
    let action_digest = call.action().digest();
    let reasons = call.proposal().map(|proposal| proposal.policy.reasons.clone()).unwrap_or_default();
    let (proposal, refused) = match (call.content, call.phase) {
        (CallContent::Proposed(proposal), _) => (Some(proposal.into()), None),
        (CallContent::Refused(action), Phase::Refused(reason)) => (None, Some(RefusedCall { action, reason })),
        (CallContent::Refused(_), _) => (None, None),
    };
    Approval {
        id: format!("{run}.{}", call.number),
        journal,
        run,
        call: call.number,
        agent: agent.into(),
        task,
        started_by: started_by.into(),
        state: state.into(),
        effect,
        attempts: call.attempts,
        put_off: call.postponed.map(|put_off| PutOff { reason: put_off.reason, until: Moment(put_off.until) }),
        same_waiting: Vec::new(),
        revision: call.revision,
        digest: call.clearance,
        action_digest,
        proposal,
        if_lost: None,
        refused,
        votes: call.votes.into_iter().map(CastVote::from).collect(),
        rejections: call.rejections.into_iter().map(CastVote::from).collect(),
        rejections_needed,
        waiting_for,
        level: call.level,
        reasons,
        decisions: call
            .decisions
            .into_iter()
            .map(|made| PastDecision { at: Moment(made.at), decision: made.decision })
            .collect(),
        reheld: call.reheld,
        edited_by: call.edited_by.map(String::from),
        still_needed,
        proposed_at: Moment(call.proposed_at),
        deadline,
    }
}

/// The state of the decision. After the effect has started, this state still says who cleared the call: reviewers or
/// policy.
fn decision_state(call: &Call) -> CallState {
    match &call.phase {
        Phase::Started
        | Phase::Succeeded { .. }
        | Phase::Failed { .. }
        | Phase::InDoubt { .. }
        | Phase::Unresolved { .. } => {
            if call.votes.is_empty() {
                CallState::Cleared
            } else {
                CallState::Approved
            }
        }
        Phase::Refused(_)
        | Phase::Cleared { .. }
        | Phase::Held
        | Phase::Approved { .. }
        | Phase::Rejected { .. }
        | Phase::Answered { .. }
        | Phase::Expired
        | Phase::Cancelled => call.phase.state(),
    }
}

/// The state of the effect; `None` before the first attempt.
fn effect(call: &Call) -> Option<Effect> {
    let (reason, receipt) = match &call.phase {
        Phase::Started => (None, None),
        Phase::Succeeded { receipt } => (None, Some(receipt.clone())),
        Phase::Failed { reason } | Phase::InDoubt { reason } | Phase::Unresolved { reason } => {
            (Some(reason.clone()), None)
        }
        Phase::Refused(_)
        | Phase::Cleared { .. }
        | Phase::Held
        | Phase::Approved { .. }
        | Phase::Rejected { .. }
        | Phase::Answered { .. }
        | Phase::Expired
        | Phase::Cancelled => return None,
    };
    let (attempts, started_at) = (call.attempts, call.started_at.map(Moment));
    let evidence = call.looked_up.as_ref();
    let evidence = evidence.map(|found| Evidence { at: Moment(found.at), text: found.evidence.clone() });
    Some(Effect { state: call.phase.state().into(), attempts, started_at, reason, receipt, evidence })
}
