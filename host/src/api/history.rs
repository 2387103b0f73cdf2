//! `/v1/runs/{id}/events` and `/logs`: the events of a run, and its agent's log.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use holdshort_gate::{Event, RecordedEvent, RunId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::json::{self, Json};
use super::limits::{Path, Query, asked, page};
use super::problem::{Details, Kind, Problem};
use super::refusals::Refusals;
use super::shapes::Moment;
use super::{Api, ApiResult, ids};

/// A page ends after this many bytes, because one event can carry a megabyte.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// The number of events per read. It is small, so that a page of large events is not in memory as a whole.
const CHUNK: usize = 32;

/// The part of the history.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// Only entries after this number; by default from the beginning.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    #[serde(default, deserialize_with = "asked")]
    after: Option<u64>,
    /// The maximum number; 100 by default. A page of large entries may have fewer.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "asked")]
    limit: Option<u32>,
}

/// A page of a run's events, in order.
#[derive(Deserialize, ToSchema)]
pub(crate) struct EventPage {
    pub(crate) events: Vec<RunEvent>,
    /// The value of `after` for the next page; null if there is no more yet.
    #[schema(required = true)]
    pub(crate) next: Option<u64>,
}

/// A recorded event. [`journaled`](super::journaled) makes its schema.
#[derive(Deserialize, Serialize)]
pub(crate) struct RunEvent {
    /// The number within the run, from 1.
    pub(crate) seq: u64,
    pub(crate) at: Moment,
    /// The kind, such as `call-held`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) data: Value,
}

impl RunEvent {
    /// Converts the gate's event, with its time in RFC 3339.
    pub(super) fn new(recorded: &RecordedEvent) -> Result<Self, Problem> {
        let mut event = serde_json::to_value(&recorded.event).map_err(unwritable)?;
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let data = event.get_mut("data").map(Value::take).unwrap_or_default();
        Ok(Self { seq: recorded.seq, at: Moment(recorded.at), kind, data })
    }

    /// The event in the gate's types; `None` if this program does not know the kind, because the host is newer.
    pub(crate) fn known(&self) -> Option<Event> {
        serde_json::from_value(json!({ "type": self.kind, "data": self.data })).ok()
    }
}

/// Lists the events of a run.
#[utoipa::path(get, path = "/v1/runs/{id}/events", operation_id = "list-run-events", tag = "runs", params(("id" = RunId, Path), HistoryQuery), responses(Refusals,
    (status = 200, body = EventPage),
    (status = 400, body = Details, content_type = "application/problem+json"),
    (status = 404, body = Details, content_type = "application/problem+json")))]
pub(super) async fn events(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> ApiResult {
    let (run, mut limit) = (ids::run(&id)?, page(query.limit, 100, 1000)?);
    let (mut after, mut count, mut more) = (query.after.unwrap_or(0), 0, true);
    let mut body = String::from("{\"events\":[");
    while more && count < limit {
        let chunk = CHUNK.min(limit - count);
        let read = api.journal().events(&run, after, chunk).await?;
        more = read.more;
        for recorded in &read.events {
            if body.len() >= PAGE_BYTES {
                (more, limit) = (true, count);
                break;
            }
            body.push_str(if count == 0 { "" } else { "," });
            body.push_str(&json::text(&RunEvent::new(recorded)?).map_err(unwritable)?);
            (after, count) = (recorded.seq, count + 1);
        }
    }
    if count == 0 {
        must_exist(&api, &run).await?;
    }
    let next = if more { after.to_string() } else { "null".into() };
    body.push_str(&format!("],\"next\":{next}}}"));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The error for an event that cannot be written as JSON. Events from a journal can always be written, so this error
/// only stands in for a panic.
pub(super) fn unwritable(error: serde_json::Error) -> Problem {
    tracing::error!(%error, "an event could not be written as JSON");
    Problem::new(Kind::Internal, "the host failed; the host's log has details")
}

async fn must_exist(api: &Api, run: &RunId) -> Result<(), Problem> {
    match api.journal().subject(run, None).await? {
        Some(_) => Ok(()),
        None => Err(ids::no_run(&run.0)),
    }
}

/// A page of an agent's log, in order. Lines may be lost when the host is killed, and the oldest
/// are removed if there are many.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct LogPage {
    pub(crate) lines: Vec<Line>,
    /// The value of `after` for the next page; null if there is no more yet.
    #[schema(required = true)]
    pub(crate) next: Option<u64>,
}

/// A line of the agent's log. Show it as the agent's words, not as the host's.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) at: Moment,
    pub(crate) level: String,
    pub(crate) message: String,
}

/// Lists the agent's log lines.
#[utoipa::path(get, path = "/v1/runs/{id}/logs", operation_id = "list-run-logs", tag = "runs", params(("id" = RunId, Path), HistoryQuery), responses(Refusals,
    (status = 200, body = LogPage),
    (status = 400, body = Details, content_type = "application/problem+json"),
    (status = 404, body = Details, content_type = "application/problem+json")))]
pub(super) async fn logs(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> ApiResult {
    let (run, limit) = (ids::run(&id)?, page(query.limit, 100, 1000)?);
    let found = api.journal().log_lines(&run, query.after.unwrap_or(0), limit).await?;
    if found.is_empty() {
        must_exist(&api, &run).await?;
    }
    let next = found.last().filter(|_| found.len() == limit).map(|(number, _)| *number);
    let line = |(number, line): (u64, holdshort_journal::LogLine)| Line {
        number,
        at: Moment(line.at),
        level: line.level,
        message: line.message,
    };
    Ok(Json(LogPage { lines: found.into_iter().map(line).collect(), next }).into_response())
}
