//! `/v1/stats`, and what `/metrics` tells of the same: how much people are asked, and how long they take.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::{Run, Time};
use holdshort_journal::{Entry, Position, ReadError};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use super::json::Json;
use super::limits::Query;
use super::metrics::header;
use super::openapi::Refusals;
use super::past::time;
use super::problem::{Details, Kind, Problem};
use super::shapes::{InstantShape, Moment};
use super::{Answer, Api};
use crate::burden::tally::{End, Tally};
use crate::burden::times::{COARSE_S, Times};
use crate::burden::{Burden, Known, Lacks, Report, Window};
use crate::review::visible;

/// Events that are read at a time. They are whole: a proposal with its arguments, and with up to 32 others that wait beside it.
const CHUNK: usize = 64;
/// How far back it is told without being asked: 30 days, in microseconds.
const LATELY_US: u64 = 30 * 86_400_000_000;
/// How long a scrape waits for the news. The first of a host has the whole journal to read, and leaves the figures out until that is done.
const SCRAPE_TIME_MAX: Duration = Duration::from_millis(500);

/// How many may ask for a report at once, of whom one is served.
const ASKING_MAX: usize = 8;

/// The figures that go on, and who reckons others.
pub(super) struct Standing {
    known: Arc<Known>,
    live: tokio::sync::Mutex<Live>,
    /// The text of the last time that all was read; nothing before the first.
    told: Mutex<Option<String>>,
    /// One report at a time: each reads the journal.
    turn: Semaphore,
    /// Who reads it or waits for their turn, so that reports keep no more than a few of the connections.
    asking: Semaphore,
}

/// The fold that `/metrics` goes on with, and how far it has got.
struct Live {
    fold: Burden,
    after: Position,
}

impl Standing {
    pub(super) fn new(known: Known) -> Self {
        // For the figures that go on nothing is suggested, so nothing is remembered for it.
        let groups = Known { groups: known.groups.clone(), ..Known::default() };
        Self {
            known: Arc::new(known),
            live: tokio::sync::Mutex::new(Live {
                fold: Burden::new(Arc::new(groups), Window::EVER),
                after: Position(0),
            }),
            told: Mutex::default(),
            turn: Semaphore::new(1),
            asking: Semaphore::new(ASKING_MAX),
        }
    }
}

/// Which time.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StatsQuery {
    /// Only what happened at this time (RFC 3339) or later; without it the last 30 days.
    #[param(value_type = Option<InstantShape>)]
    since: Option<String>,
    /// Only what happened before this time (RFC 3339); without it until now.
    #[param(value_type = Option<InstantShape>)]
    until: Option<String>,
}

/// The figures of a time.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StatsOfTime)]
pub(super) struct StatsAnswer {
    since: Moment,
    until: Moment,
    stats: Report,
}

/// Tells how much people are asked, how long they take, and what could go without them.
#[utoipa::path(get, path = "/v1/stats", operation_id = "show-stats", tag = "host", params(StatsQuery), responses(Refusals,
    (status = 200, body = StatsAnswer),
    (status = 400, body = Details, content_type = "application/problem+json"),
    (status = 422, body = Details, content_type = "application/problem+json", description = "`since` is not before `until`.")))]
pub(super) async fn show(State(api): State<Api>, Query(query): Query<StatsQuery>) -> Answer {
    let since = query.since.as_deref().map(time).transpose()?;
    let window = api.window(since, query.until.as_deref().map(time).transpose()?)?;
    let Window { since, until } = window;
    Ok(Json(StatsAnswer { since: Moment(since), until: Moment(until), stats: api.stats(window).await? })
        .into_response())
}

impl Api {
    /// The time that is asked for: of the last 30 days and until now, if nothing else is said.
    pub(crate) fn window(&self, since: Option<Time>, until: Option<Time>) -> Result<Window, Problem> {
        // What is written at this very moment is in it.
        let until = until.unwrap_or(Time(self.journal().now().0.saturating_add(1)));
        let since = since.unwrap_or(Time(until.0.saturating_sub(LATELY_US)));
        if since >= until {
            return Err(Problem::new(Kind::Contradictory, "`since` must be before `until`"));
        }
        Ok(Window { since, until })
    }

    /// The figures of a time. All that came before is read too: what was decided then may have been held long before.
    pub(crate) async fn stats(&self, window: Window) -> Result<Report, Problem> {
        let Standing { known, turn, asking, .. } = &self.0.burden;
        let _asking = asking.try_acquire().map_err(|_| {
            let detail =
                format!("{ASKING_MAX} reports are being made or waited for; try again when one of them is done");
            Problem::new(Kind::TooMany, detail).retry_after_s(5)
        })?;
        let _turn = turn.acquire().await.map_err(|_| Problem::new(Kind::Internal, "the host is shutting down"))?;
        let mut fold = Burden::new(known.clone(), window);
        let mut after = Position(0);
        while self.read_on(&mut fold, &mut after, window.until).await? {}
        if *self.0.closing.borrow() {
            return Err(Problem::new(Kind::Unavailable, "the host is shutting down"));
        }
        Ok(fold.report())
    }

    /// Follows the next events; whether there are more.
    async fn read_on(&self, fold: &mut Burden, after: &mut Position, until: Time) -> Result<bool, ReadError> {
        let entries = self.journal().feed(*after, CHUNK).await?;
        for entry in &entries {
            // Time never goes back in a journal.
            if entry.recorded.at >= until {
                return Ok(false);
            }
            self.tell(fold, entry).await?;
            fold.follow(&entry.run, entry.recorded.at, &entry.recorded.event);
            *after = entry.position;
        }
        // A chunk may be short because its events are large.
        Ok(!entries.is_empty() && !*self.0.closing.borrow())
    }

    /// Tells the fold what it has let go and needs again.
    async fn tell(&self, fold: &mut Burden, Entry { run, recorded, .. }: &Entry) -> Result<(), ReadError> {
        let Some(lacks) = fold.lacks(run, &recorded.event) else { return Ok(()) };
        let Some(subject) = self.journal().subject(run, None).await? else { return Ok(()) };
        let Some(Run { agent, held, .. }) = subject.run else { return Ok(()) };
        match lacks {
            Lacks::Run => fold.tell_run(run.clone(), agent, held.into()),
            Lacks::Call(call) => {
                let events = self.journal().call_events(run, call, recorded.seq).await?;
                fold.tell_call(run.clone(), agent, &events);
            }
        }
        Ok(())
    }

    /// Brings the figures that go on up to date, unless somebody is at it. It goes on when nobody waits for it any more.
    async fn catch_up(self) -> Result<(), ReadError> {
        let Standing { live, told, .. } = &self.0.burden;
        let Ok(mut live) = live.try_lock() else { return Ok(()) };
        let Live { fold, after } = &mut *live;
        while self.read_on(fold, after, Time(u64::MAX)).await? {}
        if !*self.0.closing.borrow() {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(text(fold));
        }
        Ok(())
    }

    /// Writes the figures for Prometheus, as far as they are known by now: a scrape must not hold up.
    pub(super) async fn write_burden(&self, text: &mut String) {
        let work = tokio::spawn(self.clone().catch_up());
        if let Ok(Ok(Err(error))) = tokio::time::timeout(SCRAPE_TIME_MAX, work).await {
            tracing::warn!(%error, "the figures are not up to date: the journal could not be read");
        }
        let told = self.0.burden.told.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(told.as_deref().unwrap_or_default());
    }
}

/// The figures since the beginning of the journal. Names are few: each table has a limit.
fn text(fold: &Burden) -> String {
    let mut text = String::new();
    let judged =
        |tally: &Tally| [("cleared", tally.cleared), ("held", tally.held), ("refused", tally.refused)].to_vec();
    let ends = |tally: &Tally| End::ALL.map(|end| (end.name(), tally.ends(end))).to_vec();
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
    counter(&mut text, "calls_judged", "Calls by what policy made of them.", "verdict", capabilities(), judged);
    counter(&mut text, "holds", "How calls that waited for people went on.", "outcome", capabilities(), both);
    counter(
        &mut text,
        "policy_calls_judged",
        "Calls by the policies that determined it.",
        "verdict",
        policies(),
        judged,
    );
    counter(&mut text, "policy_holds", "How those went on.", "outcome", policies(), both);
    counter(&mut text, "policy_hasty_approvals", "Approvals faster than reading.", "", policies(), hasty);
    counter(&mut text, "decisions", "Decisions by the groups that who decided is in.", "decision", groups(), made);
    counter(&mut text, "hasty_approvals", "Approvals faster than what was new can be read.", "", groups(), hasty);
    seconds(&mut text, groups());
    for (name, help, value) in [
        ("holdshort_runs_ended_total", "Runs that ended.", fold.ended.runs),
        ("holdshort_runs_ended_held_calls_total", "Calls that were held in them.", fold.ended.held),
    ] {
        header(&mut text, name, "counter", help);
        let _ = writeln!(text, "{name} {value}");
    }
    text
}

/// One counter: for each name the values of its kinds.
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

/// How long decisions took.
fn seconds<'a>(text: &mut String, tallies: impl Iterator<Item = (String, &'a Tally)>) {
    let name = "holdshort_decision_seconds";
    header(
        text,
        name,
        "histogram",
        "From when somebody was first asked to the decision that ended a hold, or a stage of it.",
    );
    for (labels, Tally { times, .. }) in tallies {
        let counts = COARSE_S.iter().map(ToString::to_string).zip(times.coarse().iter().copied());
        for (bound, count) in counts.chain([("+Inf".to_owned(), Times::count(times))]) {
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(text, "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {}", times.sum_s(), times.count());
    }
}

/// A label. Policies have any name; what cannot be seen in one is written so that it can.
fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{}\"", visible::line(value).replace('\\', "\\\\").replace('"', "\\\""))
}
