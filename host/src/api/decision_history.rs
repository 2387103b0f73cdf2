//! `/v1/decisions`: past decisions with reviewer, time and evidence.

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::{AgentName, Digest, ExhibitRef, ReviewerName, RunId, Time};
use holdshort_journal::{DecisionFilter, DecisionKind, DecisionRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::inbox::{ApprovalRow, CallStateGroup, states};
use super::json::Json;
use super::limits::{Query, asked, page};
use super::problem::{Details, Kind, Problem};
use super::refusals::Refusals;
use super::shapes::{CallStateWordShape, InstantShape, Moment, PlaceShape};
use super::{Api, ApiResult, ids};

/// The filter of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only decisions of this reviewer.
    by: Option<String>,
    /// Only decisions of this kind; all by default.
    #[param(value_type = Option<DecisionKind>)]
    kind: Option<String>,
    /// Only decisions on calls in this state now, as for approvals; `all` by default.
    #[param(value_type = Option<CallStateWordShape>)]
    state: Option<String>,
    /// Only decisions on calls of this agent.
    agent: Option<String>,
    /// Only decisions on calls of this capability, written `package:name/interface@version#function`.
    capability: Option<String>,
    /// Only decisions on calls of this run.
    #[param(value_type = Option<RunId>)]
    run: Option<String>,
    /// Only decisions at this time (RFC 3339) or later.
    #[param(value_type = Option<InstantShape>)]
    from: Option<String>,
    /// Only decisions before this time (RFC 3339).
    #[param(value_type = Option<InstantShape>)]
    until: Option<String>,
    /// Words to search for. Only decisions on finished calls are listed. For each of these words, the call's summary,
    /// agent, capability, task or reviewers must contain a word that begins with it.
    search: Option<String>,
    /// The maximum number; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    #[serde(default, deserialize_with = "asked")]
    limit: Option<u32>,
    /// Only decisions before this cursor, the `next` of the page before.
    #[param(value_type = Option<PlaceShape>)]
    before: Option<String>,
}

/// A page of decisions, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct DecisionPage {
    decisions: Vec<PastDecision>,
    /// The cursor of the next page; null on the last one.
    #[schema(required = true, value_type = Option<PlaceShape>)]
    next: Option<String>,
}

/// A decision on a call.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedDecision)]
pub(super) struct PastDecision {
    at: Moment,
    /// The reviewer; null if policy, a deadline or the end of the run decided.
    #[schema(required = true)]
    by: Option<String>,
    kind: DecisionKind,
    /// The reviewer's message.
    #[schema(required = true)]
    message: Option<String>,
    /// The digest that the decision was about; null if the call was refused without a reviewer.
    #[schema(required = true)]
    digest: Option<Digest>,
    /// The revision that the decision was about.
    revision: u32,
    /// The summary of the action at the time of the decision.
    summary: String,
    /// The evidence at the time of the decision.
    exhibits: Vec<ExhibitRef>,
    /// The present state of the approval.
    approval: ApprovalRow,
}

/// Lists decisions.
#[utoipa::path(get, path = "/v1/decisions", operation_id = "list-decisions", tag = "approvals", params(ListQuery), responses(Refusals,
    (status = 200, body = DecisionPage),
    (status = 400, body = Details, content_type = "application/problem+json")))]
pub(super) async fn list(State(api): State<Api>, Query(query): Query<ListQuery>) -> ApiResult {
    let limit = page(query.limit, 50, 200)?;
    let filter = DecisionFilter {
        by: query.by.map(ReviewerName::new),
        kinds: query.kind.as_deref().map(kind).transpose()?.into_iter().collect(),
        states: states(query.state.as_deref(), CallStateGroup::All.into())?,
        run: query.run.as_deref().map(ids::asked).transpose()?,
        agent: query.agent.map(AgentName::new),
        capability: query.capability,
        from: query.from.as_deref().map(time).transpose()?,
        until: query.until.as_deref().map(time).transpose()?,
        search: query.search,
        before: query.before.as_deref().map(super::position).transpose()?,
        limit,
    };
    let rows = api.journal().decisions(filter).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|row| row.position.0.to_string());
    Ok(Json(DecisionPage { decisions: rows.into_iter().map(PastDecision::from).collect(), next }).into_response())
}

fn kind(word: &str) -> Result<DecisionKind, Problem> {
    word.parse().map_err(|_| {
        let detail = format!("`{}` is not a kind of decision", super::shortened(word));
        Problem::new(Kind::BadRequest, detail).known(DecisionKind::ALL.map(|kind| kind.to_string()).to_vec())
    })
}

/// Parses a time. An earlier time than 1970 becomes 1970, because no decision is older. A time
/// after the library's maximum, a day before the end of the year 9999, becomes that maximum.
pub(super) fn time(text: &str) -> Result<Time, Problem> {
    let is_late = || text.get(..TO_THE_SECOND.len()).is_some_and(|text| text.parse::<jiff::civil::DateTime>().is_ok());
    let at = text.parse::<jiff::Timestamp>().ok().or_else(|| is_late().then_some(jiff::Timestamp::MAX));
    let at = at.filter(|_| is_rfc_3339(text)).ok_or_else(|| {
        let detail = format!("`{}` is not a time; write a time like `2026-01-31T08:00:00Z`", super::shortened(text));
        Problem::new(Kind::BadRequest, detail)
    })?;
    Ok(Time(u64::try_from(at.as_microsecond()).unwrap_or(0)))
}

/// The form of a time to the second, without a zone.
const TO_THE_SECOND: &str = "0000-00-00T00:00:00";

/// Whether a text has the form of RFC 3339. The library accepts more forms, which no schema
/// describes.
fn is_rfc_3339(text: &str) -> bool {
    let like = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                form => byte.eq_ignore_ascii_case(&form),
            })
    };
    let Some((to_the_second, rest)) = text.split_at_checked(TO_THE_SECOND.len()) else { return false };
    let zone = rest.strip_prefix('.').map_or(Some(rest), |rest| {
        let zone = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        (zone.len() < rest.len()).then_some(zone)
    });
    like(to_the_second, TO_THE_SECOND)
        && zone.is_some_and(|zone| ["Z", "+00:00", "-00:00"].iter().any(|form| like(zone, form)))
}

impl From<DecisionRow> for PastDecision {
    fn from(row: DecisionRow) -> Self {
        let DecisionRow { position: _, at, by, kind, message, clearance, revision, summary, exhibits, call } = row;
        let (at, digest, approval) = (Moment(at), clearance, call.into());
        Self { at, by: by.map(String::from), kind, message, digest, revision, summary, exhibits, approval }
    }
}
