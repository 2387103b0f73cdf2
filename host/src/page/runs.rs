//! The list of runs (`/runs`), newest first.

use askama::Template;
use axum::extract::State;
use holdshort_gate::RunState;
use holdshort_journal::{RunFilter, RunRow};
use serde::Deserialize;

use super::frame::{Frame, PageResult, ShownTime, Signed, page};
use crate::api::limits::Query;
use crate::api::problem::{Kind, Problem};
use crate::api::{Api, ids, shortened};
use crate::review::{Text, sentences};

const ROWS: usize = 50;

/// The filter. A form sends an unused field as an empty text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunsQuery {
    state: Option<String>,
    /// The last run of the previous page.
    before: Option<String>,
}

#[derive(Template)]
#[template(path = "runs.html")]
struct RunsPage {
    frame: Frame,
    states: [RunState; RunState::ALL.len()],
    state: Option<RunState>,
    rows: Vec<Row>,
    next: Option<Text>,
}

#[derive(Debug)]
struct Row {
    id: Text,
    agent: Text,
    task: Text,
    started_by: Text,
    state: RunState,
    /// The reason why the host cannot continue the run.
    delayed: Option<Text>,
    waiting_for: Option<u32>,
    created: ShownTime,
}

/// Shows the list.
pub(super) async fn show(State(api): State<Api>, signed: Signed, Query(query): Query<RunsQuery>) -> PageResult {
    let state = match query.state.as_deref().filter(|state| !state.is_empty()) {
        Some(text) => {
            let wrong = |_| Problem::new(Kind::BadRequest, format!("`{}` is not a state of a run", shortened(text)));
            Some(text.parse().map_err(wrong)?)
        }
        None => None,
    };
    let before = query.before.as_deref().filter(|id| !id.is_empty()).map(ids::run).transpose()?;
    let now = api.journal().now();
    let rows = api.journal().runs(RunFilter { states: state.into_iter().collect(), before, limit: ROWS }).await?;
    let next = rows.last().filter(|_| rows.len() == ROWS).map(|row| Text::line(&row.id.0));
    let row = |row: RunRow| Row {
        id: Text::line(&row.id.0),
        agent: Text::line(row.agent.as_str()),
        task: Text::line(&sentences::short(&row.task)),
        started_by: Text::line(row.started_by.as_str()),
        state: row.state,
        delayed: row.delayed.and(row.reason.as_deref()).map(Text::line),
        waiting_for: row.waiting_for,
        created: ShownTime::new(row.created_at, now),
    };
    let rows = rows.into_iter().map(row).collect();
    page(&RunsPage { frame: signed.frame("runs"), states: RunState::ALL, state, rows, next })
}
