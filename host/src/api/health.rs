//! `/healthz`, `/readyz` and `/metrics`: the state of the host and its counters.

use holdshort_gate::{CallState, RunState};
use std::fmt::Write;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use holdshort_journal::{CallFilter, Health};

use super::driver::Figures;
use super::metrics::header as metric;
use super::problem::{Details, Kind, Problem};
use super::refusals::Refusals;
use super::{Api, ApiResult};

const PLAIN: &str = "text/plain; charset=utf-8";

/// Says that the host is running. It uses no journal and needs no token.
#[utoipa::path(get, path = "/healthz", operation_id = "is-alive", tag = "host", security(()),
    responses((status = 200, body = String, content_type = "text/plain; charset=utf-8")))]
pub(super) async fn alive() -> ApiResult {
    Ok(([(header::CONTENT_TYPE, PLAIN)], "ok\n").into_response())
}

/// Says whether the host can write, and in a second line whether checks run unconfined. It needs no
/// token.
#[utoipa::path(get, path = "/readyz", operation_id = "is-ready", tag = "host", security(()), responses(
    (status = 200, body = String, content_type = "text/plain; charset=utf-8"),
    (status = 503, body = Details, content_type = "application/problem+json", description = "The journal cannot be written.")))]
pub(super) async fn ready(State(api): State<Api>) -> ApiResult {
    match api.journal().health() {
        Health::Ok => {
            let text = if api.0.unconfined { "ready\nchecks: unconfined\n" } else { "ready\n" };
            Ok(([(header::CONTENT_TYPE, PLAIN)], text).into_response())
        }
        // The cause may name files, and the client is not authenticated, so the cause is only
        // logged.
        Health::Failing { .. } => Err(Problem::new(Kind::Unavailable, "the journal cannot be written now")),
    }
}

/// The calls or runs in one state are counted up to this number. Counting reads only an index and takes some
/// milliseconds at most.
const COUNTED_MAX: usize = 100_000;

/// Counters for Prometheus.
#[utoipa::path(get, path = "/metrics", operation_id = "show-metrics", tag = "host", responses(Refusals,
    (status = 200, body = String, content_type = "text/plain; version=0.0.4; charset=utf-8")))]
pub(super) async fn metrics(State(api): State<Api>) -> ApiResult {
    let mut text = String::new();
    api.0.metrics.write(api.0.secrets.failures(), &mut text);
    let streams = api.limits().streams_max.saturating_sub(api.0.streams.available_permits());
    let Figures { live_runs, instances_started, events_replayed, events_recalled } = api.driver().figures();
    let up = usize::from(matches!(api.journal().health(), Health::Ok));
    let gauges = [
        ("holdshort_journal_up", "Whether the journal can be written.", up),
        ("holdshort_http_connections", "Open connections.", api.0.connections.load(Ordering::Relaxed)),
        ("holdshort_http_event_streams", "Open event streams.", streams),
        ("holdshort_live_runs", "Runs in memory; parked runs do not count.", live_runs),
    ];
    for (name, help, value) in gauges {
        metric(&mut text, name, "gauge", help);
        let _ = writeln!(text, "{name} {value}");
    }
    let counters = [
        ("holdshort_journal_commits_total", "Commits of the journal, each with one flush.", api.journal().commits()),
        ("holdshort_instances_started_total", "Runs brought into memory, to start or to continue.", instances_started),
        ("holdshort_events_replayed_total", "Events read for the replay of runs.", events_replayed),
        ("holdshort_events_recalled_total", "Events read for the history of a run before a call.", events_recalled),
    ];
    for (name, help, value) in counters {
        metric(&mut text, name, "counter", help);
        let _ = writeln!(text, "{name} {value}");
    }
    metric(
        &mut text,
        "holdshort_calls",
        "gauge",
        &format!("Calls that are not over, by state; each count stops at {COUNTED_MAX}."),
    );
    for state in CallState::OPEN {
        let count = api.journal().count_calls(CallFilter::in_states(&[state], COUNTED_MAX)).await?;
        let _ = writeln!(text, "holdshort_calls{{state=\"{state}\"}} {count}");
    }
    metric(
        &mut text,
        "holdshort_runs",
        "gauge",
        &format!("Runs that are not over, by state; each count stops at {COUNTED_MAX}."),
    );
    for state in RunState::OPEN {
        let count = api.journal().count_runs(state, COUNTED_MAX).await?;
        let _ = writeln!(text, "holdshort_runs{{state=\"{state}\"}} {count}");
    }
    metric(
        &mut text,
        "holdshort_notify_target_gone",
        "gauge",
        "Targets that answered 410 and get no more notifications.",
    );
    for target in api.0.targets_gone.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ = writeln!(text, "holdshort_notify_target_gone{{target=\"{target}\"}} 1");
    }
    api.write_review_load(&mut text).await;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
