//! `/v1/approvals`: waiting approvals, for whom they wait, and their order.

use std::fmt;
use std::str::FromStr;

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::{AgentName, CallState, Capability, Consequence, Digest, OpenDemand, RunId, UnknownName};
use holdshort_journal::{CallFilter, CallOrder, CallRow, Position, Rank};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Reviewer;
use super::json::Json;
use super::limits::{Query, asked, page};
use super::problem::{Details, Kind, Problem};
use super::refusals::Refusals;
use super::shapes::{ApprovalIdShape, CallStateWordShape, Lenient, Moment, RankedPlaceShape};
use super::{Api, ApiResult, ids, number};

holdshort_gate::named_enum! {
    /// Several states of a call under one word.
    pub enum CallStateGroup {
        /// The states in which a call waits for a reviewer.
        Waiting = "waiting",
        /// The states that can still change.
        Open = "open",
        /// Every state.
        All = "all",
    }
}

/// Which states of calls a list is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStateFilter {
    /// One state.
    One(CallState),
    /// Several states.
    Group(CallStateGroup),
}

impl CallStateFilter {
    /// The words of the query.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let groups = CallStateGroup::ALL.into_iter().map(CallStateGroup::as_str);
        CallState::ALL.into_iter().map(CallState::as_str).chain(groups)
    }

    /// The states for a filter of the journal, where an empty list means every state.
    fn states(self) -> Vec<CallState> {
        match self {
            Self::One(state) => vec![state],
            Self::Group(CallStateGroup::Waiting) => CallState::WAITING.to_vec(),
            Self::Group(CallStateGroup::Open) => CallState::OPEN.to_vec(),
            Self::Group(CallStateGroup::All) => Vec::new(),
        }
    }
}

impl From<CallStateGroup> for CallStateFilter {
    fn from(group: CallStateGroup) -> Self {
        Self::Group(group)
    }
}

impl fmt::Display for CallStateFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(state) => state.fmt(f),
            Self::Group(group) => group.fmt(f),
        }
    }
}

impl FromStr for CallStateFilter {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        text.parse().map(Self::One).or_else(|_| text.parse().map(Self::Group))
    }
}

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
    /// Only approvals that wait for you or for reviewers you act for: held calls on which you can still vote, and
    /// effects in doubt that you may resolve.
    mine: Option<bool>,
    /// Only calls of this agent.
    agent: Option<String>,
    /// Only calls of this capability, written `package:name/interface@version#function`.
    capability: Option<String>,
    /// Only calls of this run.
    #[param(value_type = Option<RunId>)]
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
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct ApprovalPage {
    pub(crate) approvals: Vec<ApprovalRow>,
    /// The cursor of the next page; null on the last one.
    #[schema(required = true, value_type = Option<RankedPlaceShape>)]
    pub(crate) next: Option<String>,
}

/// An approval in a list.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct ApprovalRow {
    #[schema(value_type = ApprovalIdShape)]
    pub(crate) id: String,
    pub(crate) run: RunId,
    pub(crate) call: u32,
    pub(crate) agent: String,
    /// The reviewer who started the run.
    pub(crate) started_by: String,
    pub(crate) capability: Capability,
    /// One line that describes the action, written by the host.
    pub(crate) summary: String,
    /// The value at stake; null if the connector did not say, which counts as `high`.
    #[schema(required = true, value_type = Option<Consequence>)]
    pub(crate) consequence: Option<Lenient<Consequence>>,
    /// The state in one word. The approval itself shows decision and effect separately.
    #[schema(value_type = CallState)]
    pub(crate) state: Lenient<CallState>,
    pub(crate) proposed_at: Moment,
    /// When the approval expires; null if never.
    #[schema(required = true)]
    pub(crate) deadline: Option<Moment>,
    /// The digest that a decision must name; null if the call was refused without a reviewer.
    #[schema(required = true)]
    pub(crate) digest: Option<Digest>,
    /// The reviewers who approved the content that the digest covers.
    pub(crate) approved_by: Vec<String>,
    /// Who must still decide: the open demands of the current stage; empty if the call is not held.
    pub(crate) waiting_for: Vec<OpenDemand>,
    /// How many more reviewers must approve; 0 if the call is not held.
    pub(crate) still_needed: u32,
    /// The number of attempts so far.
    pub(crate) attempts: u32,
    /// The revision, from 1. Each edit and each change of a material fact adds one.
    pub(crate) revision: u32,
}

/// Lists approvals.
#[utoipa::path(get, path = "/v1/approvals", operation_id = "list-approvals", tag = "approvals", params(ListQuery), responses(Refusals,
    (status = 200, body = ApprovalPage),
    (status = 400, body = Details, content_type = "application/problem+json")))]
pub(super) async fn list(State(api): State<Api>, reviewer: Reviewer, Query(query): Query<ListQuery>) -> ApiResult {
    let order = query.order.unwrap_or_default();
    let limit = page(query.limit, 50, 200)?;
    let filter = CallFilter {
        states: states(query.state.as_deref(), CallStateFilter::One(CallState::Held))?,
        run: query.run.as_deref().map(ids::asked).transpose()?,
        agent: query.agent.map(AgentName::new),
        capability: query.capability,
        waiting_for: if query.mine.unwrap_or_default() {
            reviewer.may_act_for(api.journal().now())
        } else {
            Vec::new()
        },
        order: order.after(query.after.as_deref())?,
        limit,
    };
    let rows = api.journal().calls(filter).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(cursor);
    Ok(Json(ApprovalPage { approvals: rows.into_iter().map(ApprovalRow::from).collect(), next }).into_response())
}

/// The states for a word of the query. The error for an unknown word lists the known words.
pub(super) fn states(word: Option<&str>, default: CallStateFilter) -> Result<Vec<CallState>, Problem> {
    let Some(word) = word else { return Ok(default.states()) };
    word.parse().map(CallStateFilter::states).map_err(|_| {
        let detail = format!("`{}` is not a state of an approval", super::shortened(word));
        Problem::new(Kind::BadRequest, detail).known(CallStateFilter::names().map(str::to_owned).collect())
    })
}

impl Order {
    /// This order, beginning after the place that the cursor names. [`cursor`] writes such cursors.
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
            run: row.run,
            call: row.call,
            agent: row.agent.into(),
            started_by: row.started_by.into(),
            capability: row.capability,
            summary: row.summary,
            consequence: row.consequence.map(Lenient::Known),
            state: row.state.into(),
            proposed_at: Moment(row.proposed_at),
            deadline: row.deadline.map(Moment),
            digest: row.clearance,
            approved_by: row.approved_by.into_iter().map(String::from).collect(),
            waiting_for: row.waiting_for,
            still_needed: row.still_needed,
            attempts: row.attempts,
            revision: row.revision,
        }
    }
}
