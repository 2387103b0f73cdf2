//! Grants: drafts, lists, shows and revokes them. The `grant` of a decision creates one.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::command::Revoke;
use holdshort_gate::grant::NotGranted;
use holdshort_gate::schema::Sums;
use holdshort_gate::{
    AgentName, Call, CallId, CallNumber, Capability, Digest, Grant, Phase, Refused, RunId, Time, Total,
};
use holdshort_journal::{GrantFilter, GrantRow};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::auth::Reviewer;
use super::json::{Json, whole, whole_by_name};
use super::limits::{Input, Path, Query, asked, page};
use super::problem::{Details, Kind, Problem};
use super::refusals::{Posted, Refusals};
use super::shapes::{ApprovalIdShape, Lenient, Moment, PlaceShape};
use super::{Api, ApiResult, approvals, ids, position};
use crate::policy::grants;

/// The terms of a grant beside a decision.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Terms {
    /// The number of further calls.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 1000)]
    pub(crate) calls: u64,
    /// The duration in milliseconds, at most 30 days.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 2_592_000_000_i64)]
    pub(crate) lasts_ms: u64,
    /// The total money in minor units by currency; required for calls that move money.
    #[serde(default, deserialize_with = "whole_by_name")]
    #[schema(value_type = Sums)]
    pub(crate) sums: BTreeMap<String, u64>,
    /// The arguments that may vary, as JSON pointers. All other arguments must equal those of this call, except the
    /// agent's claims and the amount of money, which `sums` limits.
    #[serde(default)]
    pub(crate) may_differ: Vec<String>,
}

/// A grant that could be created.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct GrantDraft {
    /// The exact value for the decision's `grant`.
    #[schema(value_type = Grant)]
    pub(crate) grant: Lenient<Grant>,
    /// The same grant as a Cedar policy, to be read before it is confirmed.
    pub(crate) policy: String,
}

/// A grant in a request.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct SentGrant(#[serde(with = "GrantInput")] pub(super) Grant);

/// The form of a grant in a request. Unlike the gate's type, it accepts a whole number with a decimal point, which JSON
/// allows. If its members differ from those of the gate's type, this does not compile.
#[derive(Deserialize)]
#[serde(remote = "Grant", deny_unknown_fields)]
struct GrantInput {
    agent: AgentName,
    component: Digest,
    capability: Capability,
    like: BTreeMap<String, Value>,
    #[serde(deserialize_with = "whole")]
    calls: u64,
    #[serde(deserialize_with = "whole_by_name")]
    sums: BTreeMap<String, u64>,
    #[serde(deserialize_with = "whole_time")]
    until: Time,
}

fn whole_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
    whole(deserializer).map(Time)
}

/// Drafts a grant without creating it.
#[utoipa::path(post, path = "/v1/approvals/{id}/grant", operation_id = "draft-grant", tag = "grants", request_body = Terms,
    params(("id" = ApprovalIdShape, Path)), responses(Refusals, Posted,
    (status = 200, body = GrantDraft),
    (status = 404, body = Details, content_type = "application/problem+json"),
    (status = 409, body = Details, content_type = "application/problem+json", description = "The call does not wait for a decision."),
    (status = 422, body = Details, content_type = "application/problem+json", description = "A grant with these terms is not possible.")))]
pub(super) async fn draft(
    State(api): State<Api>,
    Path(id): Path<String>,
    reviewer: Reviewer,
    Input(terms): Input<Terms>,
) -> ApiResult {
    Ok(Json(drafted(&api, &id, &reviewer, &terms).await?).into_response())
}

/// The draft of a grant, if this reviewer could create it with a decision on this call now.
pub(crate) async fn drafted(api: &Api, id: &str, reviewer: &Reviewer, terms: &Terms) -> Result<GrantDraft, Problem> {
    let (run, number) = ids::approval(id)?;
    let (subject, call) = approvals::load(api, &run, number).await?;
    let run = subject.run.as_ref().ok_or(Refused::NoSuchRun)?;
    let Some(proposal) = call.proposal().filter(|_| call.phase == Phase::Held) else {
        return Err(Refused::WrongPhase(call.phase.state()).into());
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
    let (who, maker) = ((&run.agent, &run.started_by), (reviewer.name(), call.edited_by.as_ref()));
    grant.may_be_made(who, maker, proposal, now).map_err(Refused::from)?;
    currencies(&grant)?;
    let policy = grants::text(None, &grant, &function).map_err(wrong)?;
    Ok(GrantDraft { grant: grant.into(), policy })
}

/// Checks that a submitted grant can be shown as a policy, so that the other reviewers can read it.
pub(crate) async fn check(api: &Api, run: &RunId, number: CallNumber, grant: &Grant) -> Result<(), Problem> {
    let (_, call) = approvals::load(api, run, number).await?;
    let function = api.driver().function(&call).await?;
    let wrong = |detail: String| Problem::new(Kind::WrongType, detail);
    let places = grants::comparable_parts(&function, call.action().arguments());
    if let Some(place) = grant.like.keys().find(|like| places.iter().all(|place| place.pointer != **like)) {
        return Err(wrong(format!(
            "a grant cannot compare `{}`, because this is not a path in the call's arguments",
            super::shortened(place)
        )));
    }
    currencies(grant)?;
    grants::text(None, grant, &function).map(drop).map_err(wrong)
}

/// Checks that sums have currency codes of three capital letters.
fn currencies(grant: &Grant) -> Result<(), Problem> {
    let is_code = |code: &&String| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    grant.sums.keys().find(|code| !is_code(code)).map_or(Ok(()), |code| {
        Err(Problem::new(Kind::WrongType, format!("`{}` is not a currency code", super::shortened(code))))
    })
}

/// The filter of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// `true`: only grants that are neither expired, used up nor revoked.
    standing: Option<bool>,
    /// Only grants for this agent.
    agent: Option<String>,
    /// The maximum number; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    #[serde(default, deserialize_with = "asked")]
    limit: Option<u32>,
    /// Only grants before this cursor, the `next` of the page before.
    #[param(value_type = Option<PlaceShape>)]
    before: Option<String>,
}

/// A page of grants, newest first.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct GrantPage {
    pub(crate) grants: Vec<GrantView>,
    /// The cursor of the next page; null on the last one.
    #[schema(required = true, value_type = Option<PlaceShape>)]
    pub(crate) next: Option<String>,
}

/// A grant.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = StandingGrant)]
pub(crate) struct GrantView {
    /// The id of the grant, which is the id of the approval that the grant was made with.
    #[schema(value_type = ApprovalIdShape)]
    pub(crate) id: String,
    pub(crate) by: String,
    pub(crate) at: Moment,
    /// Whether the grant can clear calls: it is not expired, not revoked, and not used up.
    pub(crate) standing: bool,
    /// Who revoked the grant; null if nobody did.
    #[schema(required = true)]
    pub(crate) revoked_by: Option<String>,
    pub(crate) grant: Grant,
    /// The number and sums of the calls that the grant has cleared, without effects that certainly did not happen.
    pub(crate) used: Total,
}

impl GrantView {
    /// Converts a row of the journal to an answer.
    fn new(row: GrantRow, now: Time) -> Self {
        let standing = is_active(&row, now);
        let GrantRow { id, granted, used, .. } = row;
        let (by, at) = (granted.by.into(), Moment(granted.at));
        let revoked_by = granted.revoked.map(|(by, _)| by.into());
        Self { id: id.to_string(), by, at, standing, revoked_by, grant: granted.grant, used }
    }
}

/// Whether a grant can still clear calls.
pub(crate) fn is_active(GrantRow { granted, used, .. }: &GrantRow, now: Time) -> bool {
    granted.revoked.is_none() && now < granted.grant.until && used.count < granted.grant.calls
}

/// Lists grants.
#[utoipa::path(get, path = "/v1/grants", operation_id = "list-grants", tag = "grants", params(ListQuery), responses(Refusals,
    (status = 200, body = GrantPage)))]
pub(super) async fn list(State(api): State<Api>, Query(query): Query<ListQuery>) -> ApiResult {
    let (now, limit) = (api.journal().now(), page(query.limit, 50, 200)?);
    let filter = GrantFilter {
        standing_at: query.standing.unwrap_or(false).then_some(now),
        agent: query.agent.map(AgentName::new),
        capability: None,
        before: query.before.as_deref().map(position).transpose()?,
        limit,
    };
    let rows = api.journal().grants(filter).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|row| row.position.0.to_string());
    let wanted = |row: &GrantRow| !query.standing.unwrap_or(false) || is_active(row, now);
    let grants = rows.into_iter().filter(wanted).map(|row| GrantView::new(row, now)).collect();
    Ok(Json(GrantPage { grants, next }).into_response())
}

/// A grant as it was shown at its creation.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct GrantDetails {
    pub(crate) by: String,
    #[schema(value_type = Grant)]
    pub(crate) grant: Lenient<Grant>,
    /// The grant as a Cedar policy.
    pub(crate) policy: String,
}

/// Shows a grant.
#[utoipa::path(get, path = "/v1/grants/{id}", operation_id = "show-grant", tag = "grants",
    params(("id" = ApprovalIdShape, Path, description = "The approval that the grant was made with")), responses(Refusals,
    (status = 200, body = GrantDetails),
    (status = 404, body = Details, content_type = "application/problem+json")))]
pub(super) async fn show(State(api): State<Api>, Path(id): Path<String>) -> ApiResult {
    let (id, call) = load(&api, &id).await?;
    let policy = policy(&api, &id, &call).await?;
    let granted = call.granted.ok_or(NotGranted::NoSuchGrant).map_err(Refused::from)?;
    Ok(Json(GrantDetails { by: granted.by.into(), grant: granted.grant.into(), policy }).into_response())
}

/// Loads the call of an id.
async fn load(api: &Api, id: &str) -> Result<(CallId, Call), Problem> {
    let (run, number) = ids::approval(id)?;
    let (_, call) = approvals::load(api, &run, number).await?;
    Ok((CallId { run, call: number }, call))
}

/// The policy text of the grant created with a call.
pub(crate) async fn policy(api: &Api, id: &CallId, call: &Call) -> Result<String, Problem> {
    let granted = call.granted.as_ref().ok_or(NotGranted::NoSuchGrant).map_err(Refused::from)?;
    let function = api.driver().function(call).await?;
    let text = grants::text(Some((id, &granted.by)), &granted.grant, &function);
    text.map_err(|detail| Problem::new(Kind::WrongType, detail))
}

/// Revokes a grant. The grant clears nothing from now on. Any reviewer may revoke a grant, because revoking permits
/// nothing.
#[utoipa::path(post, path = "/v1/grants/{id}/revocation", operation_id = "revoke-grant", tag = "grants", request_body = NoTerms,
    params(("id" = ApprovalIdShape, Path, description = "The approval that the grant was made with")), responses(Refusals, Posted,
    (status = 200, body = Revoked),
    (status = 404, body = Details, content_type = "application/problem+json")))]
pub(super) async fn revoke(
    State(api): State<Api>,
    Path(id): Path<String>,
    reviewer: Reviewer,
    Input(NoTerms {}): Input<NoTerms>,
) -> ApiResult {
    let id = revoked(&api, &id, &reviewer).await?;
    Ok(Json(Revoked { id: id.to_string() }).into_response())
}

/// An empty request.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoTerms {}

/// A revoked grant.
#[derive(Serialize, ToSchema)]
pub(super) struct Revoked {
    #[schema(value_type = ApprovalIdShape)]
    id: String,
}

/// Records a revocation from any form.
pub(crate) async fn revoked(api: &Api, id: &str, reviewer: &Reviewer) -> Result<CallId, Problem> {
    let (run, call) = ids::approval(id)?;
    let id = CallId { run, call };
    let _on_disk = api.desk().submit(&id, Revoke { by: reviewer.name().clone() }).await?;
    Ok(id)
}
