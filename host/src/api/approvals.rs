//! `/v1/approvals/{id}`: what a decision rests on. The list of them is in `inbox`.

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::call::Matter;
use holdshort_gate::{
    Action, Call, CallId, Digest, JournalId, Phase, Proposal, RefusalReason, RunId, Subject, Vote, Waiting,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::json::Json;
use super::limits::{Path, Query};
use super::openapi::Refusals;
use super::problem::{Details, Problem};
use super::shapes::{
    ActionShape, ApprovalIdShape, DecisionShape, DecisionStateShape, DigestShape, EffectStateShape, Moment,
    ProposalShape, RefusalShape, RunIdShape, WaitingShape,
};
use super::views::{AgUiEvent, LangchainRequest, View};
use super::{Answer, Api, ids};

/// The decision's side of a call's states.
pub(super) const DECISION_STATES: [&str; 8] =
    ["refused", "cleared", "held", "approved", "rejected", "answered", "expired", "cancelled"];
/// The effect's side.
pub(super) const EFFECT_STATES: [&str; 5] = ["started", "in-doubt", "succeeded", "failed", "unresolved"];
const _: () = assert!(DECISION_STATES.len() + EFFECT_STATES.len() == Phase::NAMES.len(), "every state is on one side");

/// An approval: what would happen, who decided what, and what came of it.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    #[schema(value_type = ApprovalIdShape)]
    id: String,
    journal: String,
    #[schema(value_type = RunIdShape)]
    run: String,
    call: u32,
    agent: String,
    /// What the run was asked to do.
    task: String,
    /// Who asked.
    started_by: String,
    #[schema(value_type = DecisionStateShape)]
    state: &'static str,
    /// The effect's side; null unless an attempt is under way, over, or lost.
    #[schema(required = true)]
    effect: Option<Effect>,
    /// How often the effect was begun.
    attempts: u32,
    /// The last attempt, if it certainly did not happen and is made again under the same clearance.
    #[schema(required = true)]
    put_off: Option<PutOff>,
    /// The ids of the other calls that wait now and would do the very same; the oldest 33 at most.
    same_waiting: Vec<String>,
    /// 1, and one more for each edit and each change of facts.
    revision: u32,
    /// What a decision must name; null if the call was refused before anyone was asked.
    #[schema(required = true, value_type = Option<DigestShape>)]
    digest: Option<Digest>,
    #[schema(value_type = DigestShape)]
    action_digest: Digest,
    /// What `digest` covers, together with journal, run, call and revision; null if the call was refused before anyone was asked.
    #[schema(required = true, value_type = Option<ProposalShape>)]
    proposal: Option<Box<Proposal>>,
    /// In one sentence, what the host would look at if the outcome of the effect were lost (`proposal.class` says how it could be settled then);
    /// null if no connector of this host would perform it.
    #[schema(required = true)]
    if_lost: Option<String>,
    /// What was refused and why, if the call was refused before anyone was asked.
    #[schema(required = true)]
    refused: Option<RefusedCall>,
    /// Approvals of the current digest.
    votes: Vec<CastVote>,
    /// Rejections of the current digest, counted apart.
    rejections: Vec<CastVote>,
    /// How many more people must reject it to stop it; 0 if it is not held.
    rejections_needed: u32,
    /// Who still has to decide: the demands of the stage that is decided on; empty if it is not held.
    #[schema(value_type = Vec<WaitingShape>)]
    waiting_for: Vec<Waiting>,
    /// How often it was escalated because nobody decided in time.
    level: usize,
    /// Why it is held, in the operator's words.
    reasons: Vec<String>,
    /// Every decision ever made on it, oldest first.
    decisions: Vec<PastDecision>,
    /// What changed, if it was held again because the facts changed.
    #[schema(required = true)]
    reheld: Option<String>,
    /// Who edited the current revision.
    #[schema(required = true)]
    edited_by: Option<String>,
    /// How many more people must approve.
    still_needed: u32,
    proposed_at: Moment,
    /// When it lapses by itself; null if never.
    #[schema(required = true)]
    deadline: Option<Moment>,
}

/// An attempt that did not happen.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutOff {
    /// Why.
    reason: String,
    /// When it is made again, at the earliest.
    until: Moment,
}

/// How the effect stands.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Effect {
    #[schema(value_type = EffectStateShape)]
    state: &'static str,
    /// How often it was begun.
    attempts: u32,
    /// When it was begun last.
    #[schema(required = true)]
    started_at: Option<Moment>,
    /// Why it failed, what was seen when its outcome was lost, or how a person closed it.
    #[schema(required = true)]
    reason: Option<String>,
    /// What was done, of the function's `ok` type.
    #[schema(required = true)]
    receipt: Option<Value>,
    /// What the host found when it looked the current attempt up; null if it did not have to. While the effect is in doubt, whoever settles it begins here.
    #[schema(required = true)]
    evidence: Option<Evidence>,
}

/// What a lookup found.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Evidence {
    /// When it was written down; a later lookup that found the same is not.
    at: Moment,
    /// What was looked at and what it showed, or why nothing could be looked at.
    text: String,
}

/// A call that was refused before anyone was asked.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefusedCall {
    #[schema(value_type = ActionShape)]
    action: Box<Action>,
    #[schema(value_type = RefusalShape)]
    reason: RefusalReason,
}

/// One person's approval or rejection.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CastVote {
    reviewer: String,
    /// In whose place, if it was by delegation.
    #[schema(required = true)]
    stands_for: Option<String>,
    at: Moment,
    /// The stage that it counts for, from 1.
    stage: usize,
}

impl From<Vote> for CastVote {
    fn from(Vote { reviewer, stands_for, at, stage }: Vote) -> Self {
        Self { reviewer, stands_for, at: Moment(at), stage: stage + 1 }
    }
}

/// A decision and when it was written.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PastDecision {
    at: Moment,
    #[schema(value_type = DecisionShape)]
    decision: holdshort_gate::Decision,
}

/// How an approval is shown.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ShowQuery {
    /// Another system's shape of it, while it waits: `langchain` or `ag-ui`.
    #[param(inline)]
    view: Option<View>,
}

/// Shows an approval.
#[utoipa::path(get, path = "/v1/approvals/{id}", operation_id = "show-approval", tag = "approvals",
    params(("id" = ApprovalIdShape, Path), ShowQuery), responses(Refusals,
    (status = 200, body = AnyShape),
    (status = 404, body = Details, content_type = "application/problem+json"),
    (status = 409, body = Details, content_type = "application/problem+json", description = "A view was asked for, and it waits for no decision.")))]
pub(super) async fn show(State(api): State<Api>, Path(id): Path<String>, Query(query): Query<ShowQuery>) -> Answer {
    let (run, number) = ids::approval(&id)?;
    let (subject, call) = load(&api, &run, number).await?;
    if let Some(view) = query.view {
        let agent = subject.run.as_ref().map(|run| run.agent.as_str()).unwrap_or_default();
        let function = api.driver().function(&call).await?;
        return Ok(Json(view.of(&run, agent, &call, &function)?).into_response());
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

/// What is answered.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ApprovalOrView)]
#[expect(dead_code, reason = "it is a description")]
pub(super) enum AnyShape {
    /// Without `view`.
    Whole(Box<Approval>),
    /// `view=langchain`.
    Langchain(LangchainRequest),
    /// `view=ag-ui`.
    AgUi(AgUiEvent),
}

/// The run and the consequential call that an id names.
pub(crate) async fn load(api: &Api, run: &RunId, number: u32) -> Result<(Subject, Call), Problem> {
    let missing = || Problem::not_found(format_args!("approval `{run}.{number}`"));
    let mut subject = api.journal().subject(run, Some(number)).await?.ok_or_else(missing)?;
    let call = subject.call.take().ok_or_else(missing)?;
    Ok((subject, call))
}

/// The whole of it for a client: nothing that the digest covers is left out.
fn approval(journal: JournalId, run: RunId, agent: String, task: String, started_by: String, call: Call) -> Approval {
    let (still_needed, waiting_for) = (call.still_needed(), call.waiting_for(&started_by));
    let rejections_needed = if call.phase == Phase::Held { call.rejections_needed() } else { 0 };
    let (state, effect, deadline) = (decision_state(&call), effect(&call), call.deadline().map(Moment));
    let action_digest = call.action().digest();
    let reasons = call.proposal().map(|proposal| proposal.policy.reasons.clone()).unwrap_or_default();
    let (proposal, refused) = match (call.matter, call.phase) {
        (Matter::Proposed(proposal), _) => (Some(proposal), None),
        (Matter::Refused(action), Phase::Refused(reason)) => (None, Some(RefusedCall { action, reason })),
        (Matter::Refused(_), _) => (None, None),
    };
    Approval {
        id: format!("{run}.{}", call.number),
        journal: journal.0,
        run: run.0,
        call: call.number,
        agent,
        task,
        started_by,
        state,
        effect,
        attempts: call.attempts,
        put_off: call.put_off.map(|put_off| PutOff { reason: put_off.reason, until: Moment(put_off.until) }),
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
        edited_by: call.edited_by,
        still_needed,
        proposed_at: Moment(call.proposed_at),
        deadline,
    }
}

/// Where the decision stands. Once the effect has started, what had cleared it stays: people's votes, or policy.
fn decision_state(call: &Call) -> &'static str {
    match &call.phase {
        Phase::Started
        | Phase::Succeeded { .. }
        | Phase::Failed { .. }
        | Phase::InDoubt { .. }
        | Phase::Unresolved { .. } => {
            if call.votes.is_empty() {
                "cleared"
            } else {
                "approved"
            }
        }
        Phase::Refused(_)
        | Phase::Cleared { .. }
        | Phase::Held
        | Phase::Approved { .. }
        | Phase::Rejected { .. }
        | Phase::Answered { .. }
        | Phase::Expired
        | Phase::Cancelled => call.phase.name(),
    }
}

/// The effect's side, which is there once an attempt has begun.
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
    Some(Effect { state: call.phase.name(), attempts, started_at, reason, receipt, evidence })
}
