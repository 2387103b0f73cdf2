//! `/v1/runs`: starts, shows and cancels runs.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use holdshort_gate::command::CancelRun;
use holdshort_gate::{AgentName, Digest, Refused, RunId, RunState};
use holdshort_journal::{Flushed, RunFilter, RunRow, SubmitError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Reviewer;
use super::idempotency::IdempotencyKey;
use super::json::Json;
use super::limits::{Input, Path, Query, asked, page};
use super::message::Message;
use super::problem::{Details, Kind, Problem};
use super::refusals::{Posted, Refusals};
use super::shapes::{IdempotencyKeyShape, Lenient, Moment, RunStateWordShape};
use super::{Api, ApiResult, ids};

/// The filter of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// A state of a run, or `all` (the default).
    #[param(value_type = Option<RunStateWordShape>)]
    state: Option<String>,
    /// The maximum number; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    #[serde(default, deserialize_with = "asked")]
    limit: Option<u32>,
    /// Only runs older than this one; the `next` of the page before.
    #[param(value_type = Option<RunId>)]
    before: Option<String>,
}

/// A page of runs, newest first.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct RunPage {
    pub(crate) runs: Vec<Run>,
    /// The cursor of the next page; null on the last one.
    #[schema(required = true)]
    pub(crate) next: Option<RunId>,
}

/// A run.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) agent: String,
    /// The task of the run.
    pub(crate) task: String,
    /// The reviewer who started the run.
    pub(crate) started_by: String,
    /// The component that runs.
    pub(crate) component: Digest,
    #[schema(value_type = RunState)]
    pub(crate) state: Lenient<RunState>,
    /// The call that the run waits for.
    #[schema(required = true)]
    pub(crate) waiting_for: Option<u32>,
    /// The number of the run's host calls so far.
    pub(crate) calls: u32,
    pub(crate) created_at: Moment,
    pub(crate) updated_at: Moment,
    /// The agent's result.
    #[schema(required = true)]
    pub(crate) result: Option<AgentResult>,
    /// Why the run trapped or diverged, or why the host cannot continue it.
    #[schema(required = true)]
    pub(crate) reason: Option<String>,
    /// For the state `delayed`: the host repeatedly failed to continue the run. The host tries again by itself; `reason`
    /// says what to fix.
    #[schema(required = true)]
    pub(crate) delayed: Option<Delayed>,
    /// The number of the run's last event.
    pub(crate) last_event: u64,
}

/// The time since which the host has failed to continue the run.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = RunDelay)]
pub(crate) struct Delayed {
    pub(crate) since: Moment,
    /// The number of failed tries in a row, when the delay was last recorded.
    pub(crate) tries: u32,
}

/// An agent's result, in the JSON form of a WIT result.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AgentResult {
    /// The agent completed its task.
    Ok(String),
    /// The agent reports that it failed.
    Err(String),
}

impl Run {
    /// Whether the run has ended.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, Lenient::Known(state) if state.is_over())
    }
}

impl From<RunRow> for Run {
    fn from(row: RunRow) -> Self {
        Self {
            id: row.id,
            agent: row.agent.into(),
            task: row.task,
            started_by: row.started_by.into(),
            component: row.component,
            state: row.state.into(),
            waiting_for: row.waiting_for,
            calls: row.calls,
            created_at: Moment(row.created_at),
            updated_at: Moment(row.updated_at),
            result: row.result.map(|result| result.map_or_else(AgentResult::Err, AgentResult::Ok)),
            reason: row.reason,
            delayed: row.delayed.map(|(since, tries)| Delayed { since: Moment(since), tries }),
            last_event: row.last_seq,
        }
    }
}

/// A run to start.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunRequest {
    /// The configured agent's name.
    agent: String,
    /// The task for the agent.
    task: String,
}

/// A started run.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct RunStarted {
    pub(crate) id: RunId,
    pub(crate) agent: String,
    pub(crate) started_by: String,
}

/// Starts a run. The start is on disk when the answer comes.
///
/// A client that lost the answer repeats the request with the same `Idempotency-Key` and gets the
/// same run.
#[utoipa::path(post, path = "/v1/runs", operation_id = "start-run", tag = "runs", request_body = RunRequest,
    params(("Idempotency-Key" = Option<IdempotencyKeyShape>, Header, description = "A name for this request. The same key with the same body gets the same answer and starts one run, as long as the journal exists; the same key with another body is refused. Each caller has its own keys")),
    responses(Refusals, Posted,
    (status = 201, body = RunStarted, description = "The run, which was started now or by the same request earlier.", headers(("Location" = String, description = "The address of the run"))),
    (status = 422, body = Details, content_type = "application/problem+json", description = "There is no such agent, the agent cannot run here, or the key was sent before with another body.")))]
pub(super) async fn create(
    State(api): State<Api>,
    reviewer: Reviewer,
    key: IdempotencyKey,
    Input(request): Input<RunRequest>,
) -> ApiResult {
    let RunRequest { agent, task } = request;
    let agent = AgentName::new(agent);
    let request = key.of_run(reviewer.name(), &agent, &task);
    let id: Flushed<RunId> = api.driver().start(&agent, &task, reviewer.name(), request).await?;
    let location = [(header::LOCATION, format!("/v1/runs/{}", *id))];
    let started = RunStarted { id: id.clone(), agent: agent.into(), started_by: reviewer.name().to_string() };
    Ok((StatusCode::CREATED, location, Json(started)).into_response())
}

/// Lists runs.
#[utoipa::path(get, path = "/v1/runs", operation_id = "list-runs", tag = "runs", params(ListQuery), responses(Refusals,
    (status = 200, body = RunPage),
    (status = 400, body = Details, content_type = "application/problem+json"),
    (status = 404, body = Details, content_type = "application/problem+json", description = "There is no run with the id `before`.")))]
pub(super) async fn list(State(api): State<Api>, Query(query): Query<ListQuery>) -> ApiResult {
    let limit = page(query.limit, 50, 200)?;
    // The run must exist: with an unknown id, an empty page could be taken for the end of the list.
    let before = match query.before {
        Some(text) => Some(row(&api, &ids::run(&text).map_err(|_| super::no_cursor(&text))?).await?.id),
        None => None,
    };
    let rows = api.journal().runs(RunFilter { states: state_filter(query.state.as_deref())?, before, limit }).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|row| row.id.clone());
    Ok(Json(RunPage { runs: rows.into_iter().map(Run::from).collect(), next }).into_response())
}

/// The word that stands for all states.
const ALL: &str = "all";

/// The words that the list accepts as `state`.
pub(super) fn states() -> impl Iterator<Item = &'static str> {
    RunState::ALL.into_iter().map(RunState::as_str).chain([ALL])
}

fn state_filter(state: Option<&str>) -> Result<Vec<RunState>, Problem> {
    match state {
        None | Some(ALL) => Ok(Vec::new()),
        Some(state) => state.parse().map(|state| vec![state]).map_err(|_| {
            let detail = format!("`{}` is not a state of a run", super::shortened(state));
            Problem::new(Kind::BadRequest, detail).known(states().map(str::to_owned).collect())
        }),
    }
}

/// Shows a run.
#[utoipa::path(get, path = "/v1/runs/{id}", operation_id = "show-run", tag = "runs", params(("id" = RunId, Path)), responses(Refusals,
    (status = 200, body = Run),
    (status = 404, body = Details, content_type = "application/problem+json")))]
pub(super) async fn show(State(api): State<Api>, Path(id): Path<String>) -> ApiResult {
    Ok(Json(Run::from(row(&api, &ids::run(&id)?).await?)).into_response())
}

/// The row of a run.
pub(crate) async fn row(api: &Api, id: &RunId) -> Result<RunRow, Problem> {
    // Ids consist of letters, digits and `-`, and `-` sorts first. So no id lies between `id` and
    // `{id}-`, and the first row before `{id}-` is this run, if it exists.
    let before = Some(RunId(format!("{id}-")));
    let rows = api.journal().runs(RunFilter { states: Vec::new(), before, limit: 1 }).await?;
    rows.into_iter().find(|row| row.id == *id).ok_or_else(|| ids::no_run(&id.0))
}

/// The reason for a cancellation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CancelRequest {
    /// A message for the journal.
    reason: Option<Message>,
}

/// A cancelled run.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct RunCancelled {
    pub(crate) id: RunId,
    pub(crate) state: RunState,
}

/// Cancels a run. A started effect is not stopped, and its outcome is still recorded. Cancelling a
/// cancelled run is no error.
#[utoipa::path(post, path = "/v1/runs/{id}/cancel", operation_id = "cancel-run", tag = "runs", request_body = CancelRequest,
    params(("id" = RunId, Path)), responses(Refusals, Posted,
    (status = 200, body = RunCancelled),
    (status = 404, body = Details, content_type = "application/problem+json"),
    (status = 409, body = Details, content_type = "application/problem+json", description = "The run is already over.")))]
pub(super) async fn cancel(
    State(api): State<Api>,
    Path(id): Path<String>,
    reviewer: Reviewer,
    Input(request): Input<CancelRequest>,
) -> ApiResult {
    let id = ids::run(&id)?;
    let _written = cancelled(&api, &id, &reviewer, request.reason.map(String::from)).await?;
    Ok(Json(RunCancelled { id, state: RunState::Cancelled }).into_response())
}

/// Cancels a run for a reviewer. Cancelling a cancelled run is no error.
pub(crate) async fn cancelled(
    api: &Api,
    run: &RunId,
    reviewer: &Reviewer,
    reason: Option<String>,
) -> Result<Flushed<()>, Problem> {
    match api.desk().submit(run, CancelRun { by: reviewer.name().clone(), reason }).await {
        Err(SubmitError::Refused(Refused::NoSuchRun)) => Err(ids::no_run(&run.0)),
        cancelled => Ok(cancelled?),
    }
}
