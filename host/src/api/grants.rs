//! Standing grants: what one would be, those that there are, and taking one back. One is made with a decision, by its `grant`.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::command::Revoke;
use holdshort_gate::grant::NotGranted;
use holdshort_gate::{Call, CallId, CallNumber, Capability, Digest, Grant, Refused, RunId, Time, Total};
use holdshort_journal::{Fence, GrantFilter, GrantRow};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::auth::Reviewer;
use super::json::{Json, whole, whole_by_name};
use super::limits::{Input, Path, Query, asked, page};
use super::openapi::{Posted, Refusals};
use super::problem::{Details, Kind, Problem};
use super::shapes::{ApprovalIdShape, CapabilityShape, DigestShape, Moment, PlaceShape, SumsShape, TotalShape};
use super::{Answer, Api, approvals, ids, place};
use crate::policy::grants;

/// What a reviewer wants cleared beside the call that they decide on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Terms {
    /// How many calls, after this one.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 1000)]
    pub(crate) calls: u64,
    /// For how long, in milliseconds: 30 days at most.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 2_592_000_000_i64)]
    pub(crate) lasts_ms: u64,
    /// How much money in all of them, in minor units by currency; needed for what moves money.
    #[serde(default, deserialize_with = "whole_by_name")]
    #[schema(value_type = SumsShape)]
    pub(crate) sums: BTreeMap<String, u64>,
    /// Which parts of the arguments may differ from this call's, as JSON pointers; all others must be the same. What the agent claims may, and the
    /// amount of money, which `sums` bounds.
    #[serde(default)]
    pub(crate) may_differ: Vec<String>,
}

/// A grant that would be made.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantDraft {
    /// What to send as `grant` of the decision, exactly.
    #[schema(value_type = GrantShape)]
    pub(crate) grant: Grant,
    /// The same as a Cedar policy, for whoever confirms it.
    pub(crate) policy: String,
}

/// What a grant clears.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Grant)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantShape {
    /// For which agent.
    agent: String,
    /// For exactly this code of it.
    #[schema(value_type = DigestShape)]
    component: Digest,
    #[schema(value_type = CapabilityShape)]
    capability: Capability,
    /// What must stand where in the arguments: JSON pointers with values.
    #[schema(value_type = Object)]
    like: BTreeMap<String, Value>,
    /// How many calls at most.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 1000)]
    calls: u64,
    /// How much money at most in all of them, in minor units by currency.
    #[serde(deserialize_with = "whole_by_name")]
    #[schema(value_type = SumsShape)]
    sums: BTreeMap<String, u64>,
    /// Until when, in microseconds since 1970.
    #[serde(deserialize_with = "whole")]
    until: u64,
}

impl From<GrantShape> for Grant {
    fn from(GrantShape { agent, component, capability, like, calls, sums, until }: GrantShape) -> Self {
        Self { agent, component, capability, like, calls, sums, until: Time(until) }
    }
}

/// Says what a grant would be; nothing is made.
#[utoipa::path(post, path = "/v1/approvals/{id}/grant", operation_id = "draft-grant", tag = "grants", request_body = Terms,
    params(("id" = ApprovalIdShape, Path)), responses(Refusals, Posted,
    (status = 200, body = GrantDraft),
    (status = 404, body = Details, content_type = "application/problem+json"),
    (status = 409, body = Details, content_type = "application/problem+json", description = "It does not wait for a decision."),
    (status = 422, body = Details, content_type = "application/problem+json", description = "A grant cannot be that.")))]
pub(super) async fn draft(
    State(api): State<Api>,
    Path(id): Path<String>,
    reviewer: Reviewer,
    Input(terms): Input<Terms>,
) -> Answer {
    Ok(Json(drafted(&api, &id, &reviewer, &terms).await?).into_response())
}

/// What a grant would be, if this reviewer could make it with a decision on this call.
pub(crate) async fn drafted(api: &Api, id: &str, reviewer: &Reviewer, terms: &Terms) -> Result<GrantDraft, Problem> {
    let (run, number) = ids::approval(id)?;
    let (subject, call) = approvals::load(api, &run, number).await?;
    let run = subject.run.as_ref().ok_or(Refused::NoSuchRun)?;
    let Some(proposal) = call.proposal().filter(|_| call.phase.name() == "held") else {
        return Err(Refused::WrongPhase(call.phase.name()).into());
    };
    let function = api.driver().function(&call).await?;
    let wrong = |detail: String| Problem::new(Kind::WrongType, detail);
    let now = api.journal().now();
    let grant = Grant {
        agent: run.agent.clone(),
        component: proposal.action.component(),
        capability: proposal.action.capability().clone(),
        like: grants::like(&function, proposal.action.arguments(), &terms.may_differ).map_err(wrong)?,
        calls: terms.calls,
        sums: terms.sums.clone(),
        until: now.plus_ms(terms.lasts_ms),
    };
    let (who, maker) = ((&*run.agent, &*run.started_by), (reviewer.name(), call.edited_by.as_deref()));
    grant.may_be_made(who, maker, proposal, now).map_err(Refused::from)?;
    currencies(&grant)?;
    let policy = grants::text(None, &grant, &function).map_err(wrong)?;
    Ok(GrantDraft { grant, policy })
}

/// Whether a grant that somebody sends is one that can be shown as what it is: nobody makes one that the others cannot read.
pub(crate) async fn check(api: &Api, run: &RunId, number: CallNumber, grant: &Grant) -> Result<(), Problem> {
    let (_, call) = approvals::load(api, run, number).await?;
    let function = api.driver().function(&call).await?;
    let wrong = |detail: String| Problem::new(Kind::WrongType, detail);
    let places = grants::places(&function, call.action().arguments());
    if let Some(place) = grant.like.keys().find(|like| places.iter().all(|place| place.pointer != **like)) {
        return Err(wrong(format!("`{}` is no place that a grant can go by", super::shortened(place))));
    }
    currencies(grant)?;
    grants::text(None, grant, &function).map(drop).map_err(wrong)
}

/// Sums are by currency, and a code has three capitals.
fn currencies(grant: &Grant) -> Result<(), Problem> {
    let is_code = |code: &&String| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    grant.sums.keys().find(|code| !is_code(code)).map_or(Ok(()), |code| {
        Err(Problem::new(Kind::WrongType, format!("`{}` is no code of a currency", super::shortened(code))))
    })
}

/// Which grants.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// `true`: only those that are neither over, used up nor taken back.
    standing: Option<bool>,
    /// Only those for the agent of this name.
    agent: Option<String>,
    /// How many at most; without it 50.
    #[param(minimum = 1, maximum = 200)]
    #[serde(default, deserialize_with = "asked")]
    limit: Option<u32>,
    /// Only those before this cursor, which the page before gave as `next`.
    #[param(value_type = Option<PlaceShape>)]
    before: Option<String>,
}

/// A page of grants, those of the newest calls first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantPage {
    grants: Vec<GrantView>,
    /// Where the next page begins; null on the last one.
    #[schema(required = true, value_type = Option<PlaceShape>)]
    next: Option<String>,
}

/// A standing grant.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StandingGrant)]
pub(super) struct GrantView {
    /// The approval that it was made with, which names it.
    #[schema(value_type = ApprovalIdShape)]
    id: String,
    by: String,
    at: Moment,
    /// Whether it can clear anything: its time is not over, it was not taken back, and there are calls left.
    standing: bool,
    /// Who took it back; null if nobody did.
    #[schema(required = true)]
    revoked_by: Option<String>,
    #[schema(value_type = GrantShape)]
    grant: Grant,
    /// What it has cleared so far, without what certainly did not happen.
    #[schema(value_type = TotalShape)]
    used: Total,
}

impl GrantView {
    /// A row as it is answered.
    fn new(row: GrantRow, now: Time) -> Self {
        let standing = stands(&row, now);
        let GrantRow { id, granted, used, .. } = row;
        let (by, at) = (granted.by, Moment(granted.at));
        let revoked_by = granted.revoked.map(|(by, _)| by);
        Self { id: id.to_string(), by, at, standing, revoked_by, grant: granted.grant, used }
    }
}

/// Whether a grant can clear anything.
pub(crate) fn stands(GrantRow { granted, used, .. }: &GrantRow, now: Time) -> bool {
    granted.revoked.is_none() && now < granted.grant.until && used.count < granted.grant.calls
}

/// Lists standing grants.
#[utoipa::path(get, path = "/v1/grants", operation_id = "list-grants", tag = "grants", params(ListQuery), responses(Refusals,
    (status = 200, body = GrantPage)))]
pub(super) async fn list(State(api): State<Api>, Query(query): Query<ListQuery>) -> Answer {
    let (now, limit) = (api.journal().now(), page(query.limit, 50, 200)?);
    let filter = GrantFilter {
        standing_at: query.standing.unwrap_or(false).then_some(now),
        agent: query.agent,
        capability: None,
        before: query.before.as_deref().map(place).transpose()?,
        limit,
    };
    let rows = api.journal().grants(filter).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|row| row.position.0.to_string());
    let wanted = |row: &GrantRow| !query.standing.unwrap_or(false) || stands(row, now);
    let grants = rows.into_iter().filter(wanted).map(|row| GrantView::new(row, now)).collect();
    Ok(Json(GrantPage { grants, next }).into_response())
}

/// What a grant is, as it was shown when it was made.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantDetails {
    by: String,
    #[schema(value_type = GrantShape)]
    grant: Grant,
    /// The same as a Cedar policy.
    policy: String,
}

/// Shows one.
#[utoipa::path(get, path = "/v1/grants/{id}", operation_id = "show-grant", tag = "grants",
    params(("id" = ApprovalIdShape, Path, description = "The approval that it was made with")), responses(Refusals,
    (status = 200, body = GrantDetails),
    (status = 404, body = Details, content_type = "application/problem+json")))]
pub(super) async fn show(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let (id, call) = load(&api, &id).await?;
    let policy = policy(&api, &id, &call).await?;
    let granted = call.granted.ok_or(NotGranted::NoSuchGrant).map_err(Refused::from)?;
    Ok(Json(GrantDetails { by: granted.by, grant: granted.grant, policy }).into_response())
}

/// The call that an id names.
async fn load(api: &Api, id: &str) -> Result<(CallId, Call), Problem> {
    let (run, number) = ids::approval(id)?;
    let (_, call) = approvals::load(api, &run, number).await?;
    Ok((CallId { run, call: number }, call))
}

/// The text of the grant that was made with a call.
pub(crate) async fn policy(api: &Api, id: &CallId, call: &Call) -> Result<String, Problem> {
    let granted = call.granted.as_ref().ok_or(NotGranted::NoSuchGrant).map_err(Refused::from)?;
    let function = api.driver().function(call).await?;
    let text = grants::text(Some((id, &granted.by)), &granted.grant, &function);
    text.map_err(|detail| Problem::new(Kind::WrongType, detail))
}

/// Takes one back: it clears nothing from now on. Any reviewer may, because nothing becomes possible by it.
#[utoipa::path(post, path = "/v1/grants/{id}/revocation", operation_id = "revoke-grant", tag = "grants", request_body = NoTerms,
    params(("id" = ApprovalIdShape, Path, description = "The approval that it was made with")), responses(Refusals, Posted,
    (status = 200, body = Revoked),
    (status = 404, body = Details, content_type = "application/problem+json")))]
pub(super) async fn revoke(
    State(api): State<Api>,
    Path(id): Path<String>,
    reviewer: Reviewer,
    Input(NoTerms {}): Input<NoTerms>,
) -> Answer {
    let id = revoked(&api, &id, &reviewer).await?;
    Ok(Json(Revoked { id: id.to_string() }).into_response())
}

/// Nothing more is said.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoTerms {}

/// What was taken back.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Revoked {
    #[schema(value_type = ApprovalIdShape)]
    id: String,
}

/// Writes that a grant is taken back, whichever way it came.
pub(crate) async fn revoked(api: &Api, id: &str, reviewer: &Reviewer) -> Result<CallId, Problem> {
    let (run, call) = ids::approval(id)?;
    let revoke = Revoke { by: reviewer.name().into() };
    let _on_disk = api.journal().submit(&run, Some(call), Fence::None, revoke).await?;
    Ok(CallId { run, call })
}
