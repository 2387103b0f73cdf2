//! `/`: what waits.

use askama::Template;
use axum::extract::State;
use holdshort_gate::command::DecisionOutcome;
use holdshort_journal::{CallFilter, CallOrder, CallRow, Flushed};
use serde::Deserialize;

use super::approval::{Before, before};
use super::frame::{Answer, Frame, Signed, Trouble, When, page};
use crate::api::Api;
use crate::api::limits::Query;
use crate::review::Text;

/// Rows of a page.
const ROWS: usize = 50;

/// What is shown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InboxQuery {
    /// What was decided just before.
    decided: Option<String>,
}

#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxPage {
    frame: Frame,
    rows: Vec<Row>,
    before: Option<Before>,
}

/// An approval in the list.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: Text,
    pub(super) agent: Text,
    pub(super) capability: Text,
    pub(super) summary: Text,
    pub(super) phase: &'static str,
    pub(super) asked: When,
    pub(super) deadline: Option<When>,
}

/// Shows what waits.
pub(super) async fn show(State(api): State<Api>, signed: Signed, Query(query): Query<InboxQuery>) -> Answer {
    let now = api.journal().now();
    let rows = waiting(&api, ROWS).await?;
    let row = |row: CallRow| Row {
        id: Text::line(&format!("{}.{}", row.run, row.call)),
        agent: Text::line(&row.agent),
        capability: Text::line(&row.capability.to_string()),
        summary: Text::line(&row.summary),
        phase: row.phase,
        asked: When::new(row.proposed_at, now),
        deadline: row.deadline.map(|at| When::new(at, now)),
    };
    let before = before(&api, query.decided.as_deref()).await;
    page(&InboxPage { frame: signed.frame("inbox"), rows: rows.into_iter().map(row).collect(), before })
}

async fn waiting(api: &Api, limit: usize) -> Result<Vec<CallRow>, Trouble> {
    let order = CallOrder::Ranked(None);
    Ok(api.journal().calls(CallFilter { order, ..CallFilter::in_phases(&["in-doubt", "held"], limit) }).await?)
}

/// Where a reviewer goes after a decision that is on disk: to what waits for them next, or back to the inbox.
pub(super) async fn after(
    api: &Api,
    _signed: &Signed,
    decided: &str,
    _written: &Flushed<DecisionOutcome>,
) -> Result<String, Trouble> {
    let waiting = waiting(api, 2).await?;
    let next = waiting.iter().map(|row| format!("{}.{}", row.run, row.call)).find(|id| id != decided);
    Ok(next.map_or_else(|| format!("/?decided={decided}"), |next| format!("/approvals/{next}?decided={decided}")))
}
