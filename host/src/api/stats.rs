//! `/v1/stats`, and its part of `/metrics`: figures on the review load.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::{Run, Time, WaitEnd};
use holdshort_journal::{JournalEntry, Position, ReadError};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use super::decision_history::time;
use super::json::Json;
use super::limits::Query;
use super::metrics::header;
use super::problem::{Details, Kind, Problem};
use super::refusals::Refusals;
use super::shapes::{InstantShape, Moment};
use super::{Api, ApiResult};
use crate::analysis::review_load::tally::Tally;
use crate::analysis::review_load::times::{COARSE_S, Times};
use crate::analysis::review_load::{Directory, LoadReport, MissingState, ReviewLoad, Window};
use crate::review::visible;

/// Events per read. The number is small because events are large: a proposal includes its arguments
/// and up to 32 other waiting calls.
const CHUNK: usize = 64;
/// The default period: 30 days, in microseconds.
const LATELY_US: u64 = 30 * 86_400_000_000;
/// How long a scrape waits for the latest figures. A host's first scrape has to read the whole
/// journal, and omits the figures until that is done.
const SCRAPE_TIME_MAX: Duration = Duration::from_millis(500);

/// The maximum number of concurrent requests for a report. One is served at a time.
const ASKING_MAX: usize = 8;

/// The continuous figures of `/metrics`, and the queue for reports.
pub(super) struct LoadFigures {
    known: Arc<Directory>,
    live: tokio::sync::Mutex<LiveFold>,
    /// The text of the last complete reading; `None` before the first.
    rendered: Mutex<Option<String>>,
    /// One report at a time, because each reads the journal.
    turn: Semaphore,
    /// Limits the requests that read or wait, so that reports occupy few connections.
    asking: Semaphore,
}

/// The figures for `/metrics`, and the position of the last event in them.
struct LiveFold {
    fold: ReviewLoad,
    after: Position,
}

impl LoadFigures {
    pub(super) fn new(known: Directory) -> Self {
        // `/metrics` has no suggestions, so their data is not collected.
        let groups = Directory { groups: known.groups.clone(), ..Directory::default() };
        Self {
            known: Arc::new(known),
            live: tokio::sync::Mutex::new(LiveFold {
                fold: ReviewLoad::new(Arc::new(groups), Window::EVER),
                after: Position(0),
            }),
            rendered: Mutex::default(),
            turn: Semaphore::new(1),
            asking: Semaphore::new(ASKING_MAX),
        }
    }
}

/// The period.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StatsQuery {
    /// Only events at this time (RFC 3339) or later; the last 30 days by default.
    #[param(value_type = Option<InstantShape>)]
    since: Option<String>,
    /// Only events before this time (RFC 3339); until now by default.
    #[param(value_type = Option<InstantShape>)]
    until: Option<String>,
}

/// The figures of a period.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = StatsOfTime)]
pub(crate) struct StatsAnswer {
    pub(crate) since: Moment,
    pub(crate) until: Moment,
    pub(crate) stats: LoadReport,
}

/// Figures on the review load: decisions, their durations, and suggestions that would reduce it.
#[utoipa::path(get, path = "/v1/stats", operation_id = "show-stats", tag = "host", params(StatsQuery), responses(Refusals,
    (status = 200, body = StatsAnswer),
    (status = 400, body = Details, content_type = "application/problem+json"),
    (status = 422, body = Details, content_type = "application/problem+json", description = "`since` is not before `until`.")))]
pub(super) async fn show(State(api): State<Api>, Query(query): Query<StatsQuery>) -> ApiResult {
    let since = query.since.as_deref().map(time).transpose()?;
    let window = api.window(since, query.until.as_deref().map(time).transpose()?)?;
    let Window { since, until } = window;
    Ok(Json(StatsAnswer { since: Moment(since), until: Moment(until), stats: api.stats(window).await? })
        .into_response())
}

impl Api {
    /// The requested period; by default the last 30 days until now.
    pub(crate) fn window(&self, since: Option<Time>, until: Option<Time>) -> Result<Window, Problem> {
        // Events of this very moment are included.
        let until = until.unwrap_or(Time(self.journal().now().0.saturating_add(1)));
        let since = since.unwrap_or(Time(until.0.saturating_sub(LATELY_US)));
        if since >= until {
            return Err(Problem::new(Kind::Contradictory, "`since` must be before `until`"));
        }
        Ok(Window { since, until })
    }

    /// The figures of a period. Earlier events are read too, because a decided call may have been
    /// held long before.
    pub(crate) async fn stats(&self, window: Window) -> Result<LoadReport, Problem> {
        let LoadFigures { known, turn, asking, .. } = &self.0.load_figures;
        let _asking = asking.try_acquire().map_err(|_| {
            let detail = format!("{ASKING_MAX} reports are in progress or waiting; try again later");
            Problem::new(Kind::TooMany, detail).retry_after_s(5)
        })?;
        let _turn = turn.acquire().await.map_err(|_| Problem::new(Kind::Internal, "the host is shutting down"))?;
        let mut fold = ReviewLoad::new(known.clone(), window);
        let mut after = Position(0);
        while self.read_on(&mut fold, &mut after, window.until).await? {}
        if *self.0.closing.borrow() {
            return Err(Problem::new(Kind::Unavailable, "the host is shutting down"));
        }
        Ok(fold.report())
    }

    /// Adds the next events to the figures. Returns whether there may be more.
    async fn read_on(&self, fold: &mut ReviewLoad, after: &mut Position, until: Time) -> Result<bool, ReadError> {
        let entries = self.journal().feed(*after, CHUNK).await?;
        for entry in &entries {
            // Time never runs backwards in a journal.
            if entry.recorded.at >= until {
                return Ok(false);
            }
            self.supply_missing(fold, entry).await?;
            fold.follow(&entry.run, entry.recorded.at, &entry.recorded.event);
            *after = entry.position;
        }
        // A short chunk is not the end, because a chunk of large events is short too.
        Ok(!entries.is_empty() && !*self.0.closing.borrow())
    }

    /// Reads a run or call that the figures dropped from memory and need again for this event.
    async fn supply_missing(
        &self,
        fold: &mut ReviewLoad,
        JournalEntry { run, recorded, .. }: &JournalEntry,
    ) -> Result<(), ReadError> {
        let Some(missing_state) = fold.missing_state(run, &recorded.event) else { return Ok(()) };
        let Some(subject) = self.journal().subject(run, None).await? else { return Ok(()) };
        let Some(Run { agent, held, .. }) = subject.run else { return Ok(()) };
        match missing_state {
            MissingState::Run => fold.supply_run(run.clone(), agent, held.into()),
            MissingState::Call(call) => {
                let events = self.journal().call_events(run, call, recorded.seq).await?;
                fold.supply_call(run.clone(), agent, &events);
            }
        }
        Ok(())
    }

    /// Updates the continuous figures, unless another task does so now. This work continues after
    /// the client has gone.
    async fn catch_up(self) -> Result<(), ReadError> {
        let LoadFigures { live, rendered, .. } = &self.0.load_figures;
        let Ok(mut live) = live.try_lock() else { return Ok(()) };
        let LiveFold { fold, after } = &mut *live;
        while self.read_on(fold, after, Time(u64::MAX)).await? {}
        if !*self.0.closing.borrow() {
            *rendered.lock().unwrap_or_else(PoisonError::into_inner) = Some(text(fold));
        }
        Ok(())
    }

    /// Writes the latest available figures for Prometheus. Waits at most [`SCRAPE_TIME_MAX`] for
    /// newer ones.
    pub(super) async fn write_review_load(&self, text: &mut String) {
        let work = tokio::spawn(self.clone().catch_up());
        if let Ok(Ok(Err(error))) = tokio::time::timeout(SCRAPE_TIME_MAX, work).await {
            tracing::warn!(%error, "the figures are out of date: the journal could not be read");
        }
        let rendered = self.0.load_figures.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(rendered.as_deref().unwrap_or_default());
    }
}

/// The figures since the beginning of the journal as metrics. The number of values of each label is limited.
fn text(fold: &ReviewLoad) -> String {
    let mut text = String::new();
    let judged =
        |tally: &Tally| [("cleared", tally.cleared), ("held", tally.held), ("refused", tally.refused)].to_vec();
    let ends = |tally: &Tally| WaitEnd::ALL.map(|end| (end.as_str(), tally.ends(end))).to_vec();
    let others = |tally: &Tally| vec![("reheld", tally.reheld), ("escalated", tally.escalated)];
    let both = |tally: &Tally| [ends(tally), others(tally)].concat();
    let capabilities = || fold.capabilities.iter().map(|(name, tally)| (label("capability", name), tally));
    let policies = || fold.policies.iter().map(|(name, tally)| (label("policy", name), tally));
    let groups = || {
        fold.groups.iter().map(|((group, of), tally)| (label("group", group) + "," + &label("capability", of), tally))
    };
    let hasty = |tally: &Tally| vec![("", tally.hasty)];
    let made = |tally: &Tally| {
        let Tally { approvals, rejections, edits, answers, .. } = *tally;
        vec![("approve", approvals), ("reject", rejections), ("edit", edits), ("respond", answers)]
    };
    counter(&mut text, "calls_judged", "Calls by policy's verdict.", "verdict", capabilities(), judged);
    counter(&mut text, "holds", "Outcomes of held calls.", "outcome", capabilities(), both);
    counter(
        &mut text,
        "policy_calls_judged",
        "Calls by the policies that determined the verdict.",
        "verdict",
        policies(),
        judged,
    );
    counter(&mut text, "policy_holds", "Outcomes of held calls, by policy.", "outcome", policies(), both);
    counter(
        &mut text,
        "policy_hasty_approvals",
        "Approvals that came faster than the new content can be read.",
        "",
        policies(),
        hasty,
    );
    counter(&mut text, "decisions", "Decisions by the groups of the reviewer.", "decision", groups(), made);
    counter(
        &mut text,
        "hasty_approvals",
        "Approvals that came faster than the new content can be read.",
        "",
        groups(),
        hasty,
    );
    seconds(&mut text, groups());
    for (name, help, value) in [
        ("holdshort_runs_ended_total", "Runs that ended.", fold.ended.runs),
        ("holdshort_runs_ended_held_calls_total", "Calls that were held in ended runs.", fold.ended.held),
    ] {
        header(&mut text, name, "counter", help);
        let _ = writeln!(text, "{name} {value}");
    }
    text
}

/// Writes a counter: for each name the values by kind.
fn counter<'a>(
    text: &mut String,
    name: &str,
    help: &str,
    kind: &str,
    tallies: impl Iterator<Item = (String, &'a Tally)>,
    values: impl Fn(&Tally) -> Vec<(&'static str, u64)>,
) {
    let name = format!("holdshort_{name}_total");
    header(text, &name, "counter", help);
    for (labels, tally) in tallies {
        for (value, count) in values(tally) {
            let kind = if kind.is_empty() { String::new() } else { format!(",{kind}=\"{value}\"") };
            let _ = writeln!(text, "{name}{{{labels}{kind}}} {count}");
        }
    }
}

/// Writes the durations of decisions.
fn seconds<'a>(text: &mut String, tallies: impl Iterator<Item = (String, &'a Tally)>) {
    let name = "holdshort_decision_seconds";
    header(
        text,
        name,
        "histogram",
        "Time from the first request to a reviewer to the decision that ended a hold or a stage of a hold.",
    );
    for (labels, Tally { times, .. }) in tallies {
        let counts = COARSE_S.iter().map(ToString::to_string).zip(times.coarse().iter().copied());
        for (bound, count) in counts.chain([("+Inf".to_owned(), Times::count(times))]) {
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(text, "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {}", times.sum_s(), times.count());
    }
}

/// A label. A policy's name can be any text, so invisible characters are escaped.
fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{}\"", visible::line(value).replace('\\', "\\\\").replace('"', "\\\""))
}
