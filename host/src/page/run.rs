//! The page of one run (`/runs/{id}`): its timeline, its outcome, its log, and the form that
//! cancels it.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use holdshort_gate::{CallState, RunId, RunState, Seq};
use holdshort_journal::{CallFilter, RunRow};
use serde::Deserialize;

use super::frame::{ErrorPage, Frame, PageResult, Seal, ShownTime, Signed, page};
use super::resolve::{Resolving, resolving};
use super::timeline::{EVENTS, TimelinePage};
use crate::api::limits::{Form, Path, Query};
use crate::api::message::Message;
use crate::api::{Api, approvals, ids, runs};
use crate::review::Text;

/// The page shows this many bytes of a long task or outcome, until the reader asks for the whole text.
const WORDS_BYTES: usize = 8 * 1024;
/// The maximum number of log lines on one page. `LOG_BYTES` can end the page earlier.
const LOG_LINES: usize = 100;
const LOG_BYTES: usize = 16 * 1024;
/// The maximum number of effects in doubt with a form on the run's page. The forms of others are on the pages of their
/// approvals.
const IN_DOUBT: usize = 3;

/// The query of the page's address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunQuery {
    /// Only events after this one.
    after: Option<Seq>,
    /// Only log lines after this one.
    log: Option<u64>,
    /// `whole`: the complete task and outcome.
    words: Option<String>,
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    id: Text,
    agent: Text,
    started_by: Text,
    created: ShownTime,
    state: RunState,
    over: bool,
    waiting_for: Option<u32>,
    reason: Option<Text>,
    delayed: Option<(ShownTime, u32)>,
    task: ShownText,
    /// The agent's result, and whether the agent calls it a success.
    outcome: Option<(bool, ShownText)>,
    timeline: TimelinePage,
    after: Seq,
    /// The start of the last page of events; `None` if this page is the last.
    latest: Option<Seq>,
    log: Vec<(ShownTime, Text, Text)>,
    log_opened: bool,
    log_next: Option<u64>,
    in_doubt: Vec<Resolving>,
}

/// A text of an agent or a reviewer. A long text is shown in part.
#[derive(Debug)]
struct ShownText {
    lines: Vec<Text>,
    bytes: usize,
    cut: bool,
}

impl ShownText {
    fn new(text: &str, whole: bool) -> Self {
        let end = if whole { text.len() } else { text.floor_char_boundary(WORDS_BYTES) };
        let shown = text.get(..end).unwrap_or(text);
        Self { lines: Text::lines(shown), bytes: text.len(), cut: end < text.len() }
    }
}

/// Shows the run.
pub(super) async fn show(
    State(api): State<Api>,
    signed: Signed,
    Path(id): Path<String>,
    Query(query): Query<RunQuery>,
) -> PageResult {
    let run = ids::run(&id)?;
    let row = runs::row(&api, &run).await?;
    let now = api.journal().now();
    let after = query.after.unwrap_or(0);
    let timeline = TimelinePage::read(&api, &run, after).await?;
    let (log, log_next) = log(&api, &run, query.log.unwrap_or(0)).await?;
    let whole = query.words.as_deref() == Some("whole");
    let last = row.last_seq.saturating_sub(Seq::try_from(EVENTS).unwrap_or(Seq::MAX));
    page(&RunPage {
        frame: signed.frame("runs"),
        id: Text::line(&row.id.0),
        agent: Text::line(row.agent.as_str()),
        started_by: Text::line(row.started_by.as_str()),
        created: ShownTime::new(row.created_at, now),
        state: row.state,
        over: row.state.is_over(),
        waiting_for: row.waiting_for,
        reason: row.reason.as_deref().map(Text::line),
        delayed: row.delayed.map(|(since, tries)| (ShownTime::new(since, now), tries)),
        task: ShownText::new(&row.task, whole),
        outcome: row.result.as_ref().map(|result| match result {
            Ok(text) => (true, ShownText::new(text, whole)),
            Err(text) => (false, ShownText::new(text, whole)),
        }),
        latest: timeline.more.then_some(last.max(timeline.last)),
        timeline,
        after,
        log,
        log_opened: query.log.is_some(),
        log_next,
        in_doubt: in_doubt(&api, &signed, &run).await?,
    })
}

/// A page of the agent's log, and the start of the next page.
async fn log(api: &Api, run: &RunId, after: u64) -> Result<(Vec<(ShownTime, Text, Text)>, Option<u64>), ErrorPage> {
    let now = api.journal().now();
    let found = api.journal().log_lines(run, after, LOG_LINES).await?;
    let (mut lines, mut bytes, mut last) = (Vec::new(), 0, after);
    for (number, line) in &found {
        if bytes >= LOG_BYTES {
            break;
        }
        let message = Text::line(&line.message);
        (bytes, last) = (bytes + message.to_string().len(), *number);
        lines.push((ShownTime::new(line.at, now), Text::line(&line.level), message));
    }
    let more = lines.len() < found.len() || found.len() == LOG_LINES;
    Ok((lines, more.then_some(last)))
}

/// The forms for the run's effects in doubt, at most `IN_DOUBT`.
async fn in_doubt(api: &Api, signed: &Signed, run: &RunId) -> Result<Vec<Resolving>, ErrorPage> {
    let filter = CallFilter { run: Some(run.clone()), ..CallFilter::in_states(&[CallState::InDoubt], IN_DOUBT) };
    let mut all = Vec::new();
    for row in api.journal().calls(filter).await? {
        let (subject, call) = approvals::load(api, run, row.call).await?;
        all.extend(resolving(api, signed, run, &subject, &call));
    }
    Ok(all)
}

#[derive(Template)]
#[template(path = "cancel.html")]
struct CancelPage {
    frame: Frame,
    id: Text,
    agent: Text,
    state: RunState,
    over: bool,
    waiting_for: Option<u32>,
    seal: Seal,
}

/// The purpose that the seal of a cancellation covers.
fn to_cancel(run: &RunId) -> String {
    format!("cancel {run}")
}

/// Asks for confirmation and a reason before the run is cancelled.
pub(super) async fn ask_cancel(State(api): State<Api>, signed: Signed, Path(id): Path<String>) -> PageResult {
    let run = ids::run(&id)?;
    let RunRow { agent, state, waiting_for, .. } = runs::row(&api, &run).await?;
    let (id, agent, seal) = (Text::line(&id), Text::line(agent.as_str()), signed.seal(&to_cancel(&run)));
    page(&CancelPage { frame: signed.frame("runs"), id, agent, state, over: state.is_over(), waiting_for, seal })
}

/// Cancels the run.
pub(super) async fn cancel(State(api): State<Api>, signed: Signed, Path(id): Path<String>, form: Form) -> PageResult {
    let run = ids::run(&id)?;
    signed.0.check(&to_cancel(&run), form.field("seal").unwrap_or_default())?;
    let reason = Message::of(&form, "reason")?.map(String::from);
    let _written = runs::cancelled(&api, &run, signed.0.reviewer(), reason).await?;
    Ok(Redirect::to(&format!("/runs/{run}")).into_response())
}
