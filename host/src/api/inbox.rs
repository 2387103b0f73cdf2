//! `/v1/approvals`: waiting approvals, for whom they wait, and their order.

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::{Consequence, Digest, Phase, Waiting};
use holdshort_journal::{CallFilter, CallOrder, CallRow, Position, Rank};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Reviewer;
use super::json::Json;
use super::limits::{Query, asked, page};
use super::openapi::Refusals;
use super::problem::{Details, Kind, Problem};
use super::shapes::{
    ApprovalIdShape, CallStateShape, CallStateWordShape, CapabilityShape, ConsequenceShape, DigestShape, Moment,
    RankedPlaceShape, RunIdShape, WaitingShape,
};
use super::{Answer, Api, ids, number};

/// `state=open`: every state that can still change.
const OPEN: [&str; 5] = ["held", "approved", "cleared", "started", "in-doubt"];
/// The words for several states.
pub(super) const MORE_STATES: [&str; 3] = ["waiting", "open", "all"];
/// `state=waiting`: the states that need a reviewer.
const WAITING: [&str; 2] = ["held", "in-doubt"];

/// The filter of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// `held` (the default), any other state of a call, `waiting` for held or in doubt, `open` for
    /// every call that can still change, or `all`.
    #[param(value_type = Option<CallStateWordShape>)]
    state: Option<String>,
    /// `waiting` (the default): the oldest first. `rank`: in doubt first, then by consequence, by
    /// deadline, and by age.
    #[param(inline)]
    order: Option<Order>,
    /// Only approvals that wait for you or for reviewers you act for: held ones on which your vote
    /// is open, and effects in doubt that you may resolve.
    mine: Option<bool>,
    /// Only calls of this agent.
    agent: Option<String>,
    /// Only calls of this capability, written `package:name/interface@version#function`.
    capability: Option<String>,
    /// Only calls of this run.
    #[param(value_type = Option<RunIdShape>)]
    run: Option<String>,
    /// The maximum number; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    #[serde(default, deserialize_with = "asked")]
    limit: Option<u32>,
    /// Only approvals after this cursor, the `next` of the page before.
    #[param(value_type = Option<RankedPlaceShape>)]
    after: Option<String>,
}

/// The order of the list.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    /// The oldest first.
    #[default]
    Waiting,
    /// The most urgent first.
    Rank,
}

/// A page of approvals in the requested order.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApprovalPage {
    approvals: Vec<ApprovalRow>,
    /// The cursor of the next page; null on the last one.
    #[schema(required = true, value_type = Option<RankedPlaceShape>)]
    next: Option<String>,
}

/// An approval in a list.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApprovalRow {
    #[schema(value_type = ApprovalIdShape)]
    id: String,
    #[schema(value_type = RunIdShape)]
    run: String,
    call: u32,
    agent: String,
    /// Who started the run.
    started_by: String,
    #[schema(value_type = CapabilityShape)]
    capability: String,
    /// One line that describes the action, written by the host.
    summary: String,
    /// The value at stake; null if the connector did not say, which counts as `high`.
    #[schema(required = true, value_type = Option<ConsequenceShape>)]
    consequence: Option<Consequence>,
    /// The state in one word. The approval itself shows decision and effect separately.
    #[schema(value_type = CallStateShape)]
    state: &'static str,
    proposed_at: Moment,
    /// When it expires; null if never.
    #[schema(required = true)]
    deadline: Option<Moment>,
    /// The digest that a decision must name; null if the call was refused without a reviewer.
    #[schema(required = true, value_type = Option<DigestShape>)]
    digest: Option<Digest>,
    /// The reviewers who approved the content that the digest covers.
    approved_by: Vec<String>,
    /// The reviewers still to decide: the open demands of the current stage; empty if it is not
    /// held.
    #[schema(value_type = Vec<WaitingShape>)]
    waiting_for: Vec<Waiting>,
    /// How many more reviewers must approve; 0 if it is not held.
    still_needed: u32,
    /// The number of attempts so far.
    attempts: u32,
    /// The revision, from 1. Each edit and each change of a material fact adds one.
    revision: u32,
}

/// Lists approvals.
#[utoipa::path(get, path = "/v1/approvals", operation_id = "list-approvals", tag = "approvals", params(ListQuery), responses(Refusals,
    (status = 200, body = ApprovalPage),
    (status = 400, body = Details, content_type = "application/problem+json")))]
pub(super) async fn list(State(api): State<Api>, reviewer: Reviewer, Query(query): Query<ListQuery>) -> Answer {
    let order = query.order.unwrap_or_default();
    let limit = page(query.limit, 50, 200)?;
    let filter = CallFilter {
        phases: phases(query.state.as_deref().unwrap_or("held"))?,
        run: query.run.as_deref().map(ids::asked).transpose()?,
        agent: query.agent,
        capability: query.capability,
        waiting_for: if query.mine.unwrap_or_default() { reviewer.seats(api.journal().now()) } else { Vec::new() },
        order: order.after(query.after.as_deref())?,
        limit,
    };
    let rows = api.journal().calls(filter).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(cursor);
    Ok(Json(ApprovalPage { approvals: rows.into_iter().map(ApprovalRow::from).collect(), next }).into_response())
}

/// The states for a word of the query. An unknown word is answered with the known ones.
pub(super) fn phases(state: &str) -> Result<Vec<&'static str>, Problem> {
    match state {
        "all" => Ok(Vec::new()),
        "open" => Ok(OPEN.to_vec()),
        "waiting" => Ok(WAITING.to_vec()),
        other => match Phase::NAMES.into_iter().find(|name| *name == other) {
            Some(name) => Ok(vec![name]),
            None => {
                let known = Phase::NAMES.into_iter().chain(MORE_STATES).map(str::to_owned).collect();
                let detail = format!("`{}` is not a state of an approval", super::shortened(other));
                Err(Problem::new(Kind::BadRequest, detail).known(known))
            }
        },
    }
}

impl Order {
    /// The order after a cursor that [`cursor`] wrote.
    fn after(self, cursor: Option<&str>) -> Result<CallOrder, Problem> {
        let parse = |text: &str| {
            let (rank, position) = text.split_once('-')?;
            Some((Rank(number(rank)?), Position(number(position)?)))
        };
        let parse = |text: &str| parse(text).ok_or_else(|| super::no_cursor(text));
        let after = cursor.map(parse).transpose()?;
        Ok(match self {
            Self::Waiting => CallOrder::Proposed(after.map(|(_, position)| position)),
            Self::Rank => CallOrder::Ranked(after),
        })
    }
}

/// The cursor of the next page. It works for both orders: a client that changes the order continues
/// after the same call.
fn cursor(row: &CallRow) -> String {
    format!("{}-{}", row.rank.0, row.position.0)
}

impl From<CallRow> for ApprovalRow {
    fn from(row: CallRow) -> Self {
        Self {
            id: format!("{}.{}", row.run, row.call),
            run: row.run.0,
            call: row.call,
            agent: row.agent,
            started_by: row.started_by,
            capability: row.capability.to_string(),
            summary: row.summary,
            consequence: row.consequence,
            state: row.phase,
            proposed_at: Moment(row.proposed_at),
            deadline: row.deadline.map(Moment),
            digest: row.clearance,
            approved_by: row.approved_by,
            waiting_for: row.waiting_for,
            still_needed: row.still_needed,
            attempts: row.attempts,
            revision: row.revision,
        }
    }
}
