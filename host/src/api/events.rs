//! `/v1/events`: all events of the journal as server-sent events.
//!
//! An event is sent after it is on disk, in commit order. Its id is its position in that order. A
//! client that sends the last id as `Last-Event-ID` misses no event and gets none twice.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::{StreamExt, stream};
use holdshort_gate::RunId;
use holdshort_journal::{Hint, Journal, JournalEntry, Position, ReadError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

use super::auth::Reviewer;
use super::history::{RunEvent, unwritable};
use super::json;
use super::limits::{Query, asked};
use super::problem::{Details, Kind, Problem};
use super::refusals::Refusals;
use super::server::{Busy, closed};
use super::shapes::Moment;
use super::shares::Share;
use super::{Api, ApiResult};

/// Events per read of the journal.
const CHUNK: usize = 64;

/// The start of the stream.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamQuery {
    /// Only events after this position; 0 for all. Without this parameter and without `Last-Event-ID`, only new events.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    #[serde(default, deserialize_with = "asked")]
    after: Option<u64>,
}

/// The `data` of an event in the stream. [`journaled`](super::journaled) makes its schema.
#[derive(Serialize)]
pub(super) struct FeedEvent {
    /// The position among the events of all runs; also the field `id` of the server-sent event.
    position: u64,
    run: RunId,
    /// The number within the run, from 1.
    seq: u64,
    at: Moment,
    /// The kind, such as `call-held`; also the field `event` of the server-sent event.
    #[serde(rename = "type")]
    kind: String,
    /// The event as recorded in the journal.
    data: Value,
}

/// Streams events.
///
/// A comment is sent after a while without events. The host ends the stream when it shuts down or
/// its journal fails. Clients of server-sent events reconnect by themselves with `Last-Event-ID`.
#[utoipa::path(get, path = "/v1/events", operation_id = "stream-events", tag = "host",
    params(StreamQuery, ("Last-Event-ID" = Option<u64>, Header, minimum = 0, maximum = 9_223_372_036_854_775_807_i64, description = "The last position that the client has seen; it has priority over `after`")),
    responses(Refusals,
    (status = 200, body = FeedEvent, content_type = "text/event-stream", description = "The `data` of each event is an object of this type."),
    (status = 400, body = Details, content_type = "application/problem+json")))]
pub(super) async fn stream(
    State(api): State<Api>,
    busy: Option<Extension<Arc<Busy>>>,
    reviewer: Reviewer,
    headers: HeaderMap,
    Query(query): Query<StreamQuery>,
) -> ApiResult {
    let held = Listener::new(&api, busy, &reviewer)?;
    // The stream subscribes before its first read, so that it misses no commit.
    let hints = api.journal().hints();
    let after = match last_seen(&headers)?.or(query.after) {
        Some(after) => Position(after),
        None => api.journal().last_position().await?,
    };
    let feed = Feed { journal: api.journal().clone(), hints, after, ready: VecDeque::new(), _held: held };
    let events =
        stream::unfold(feed, |mut feed| async { feed.next().await.map(|event| (Ok::<_, Infallible>(event), feed)) });
    let events = events.take_until(Listener::closing(&api));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Listener::heartbeat(&api))).into_response())
}

/// The resources of one stream: one of the host's streams, one of the reviewer's streams, and a connection that the
/// host does not close to make room.
pub(crate) struct Listener {
    _held: (OwnedSemaphorePermit, Share, Option<Arc<Busy>>),
}

impl Listener {
    /// Reserves a stream, if one is free.
    pub(crate) fn new(api: &Api, busy: Option<Extension<Arc<Busy>>>, reviewer: &Reviewer) -> Result<Self, Problem> {
        let full = |most: usize, whose: &str| {
            let detail = format!("{most} event streams{whose} are open, and no more are allowed: close one of them");
            Problem::new(Kind::TooMany, detail).max(most).retry_after_s(10)
        };
        let own = api.limits().streams_of_one();
        let share = api.0.listening.take(reviewer, own).ok_or_else(|| full(own, " of yours"))?;
        let permit = api.0.streams.clone().try_acquire_owned().map_err(|_| full(api.limits().streams_max, ""))?;
        // The request counts as in progress until the stream ends, not only until the head of the answer is sent.
        Ok(Self { _held: (permit, share, busy.map(|Extension(busy)| busy)) })
    }

    /// Completes when the host shuts down, so that the stream ends.
    pub(crate) fn closing(api: &Api) -> impl Future<Output = ()> + use<> {
        let mut closing = api.0.closing.subscribe();
        async move { closed(&mut closing).await }
    }

    /// The interval between two comments, which show that the stream is alive.
    pub(crate) fn heartbeat(api: &Api) -> Duration {
        api.limits().heartbeat
    }
}

fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(super::number);
    let wrong = || Problem::new(Kind::BadRequest, "`Last-Event-ID` is not the id of an event of this stream");
    number.map(Some).ok_or_else(wrong)
}

/// Reads the journal as fast as the client accepts events, and no faster.
struct Feed {
    journal: Journal,
    hints: Receiver<Hint>,
    after: Position,
    ready: VecDeque<JournalEntry>,
    _held: Listener,
}

impl Feed {
    /// The next event; `None` if the journal is no longer readable.
    async fn next(&mut self) -> Option<sse::Event> {
        while self.ready.is_empty() {
            match self.read().await {
                Ok(()) if self.ready.is_empty() => self.hinted().await?,
                Ok(()) => {}
                Err(error) => {
                    tracing::error!(%error, "an event stream ends: the journal could not be read");
                    return None;
                }
            }
        }
        event(self.ready.pop_front()?).ok()
    }

    async fn read(&mut self) -> Result<(), ReadError> {
        self.ready = self.journal.feed(self.after, CHUNK).await?.into();
        if let Some(last) = self.ready.back() {
            self.after = last.position;
        }
        Ok(())
    }

    /// Waits until there may be new events.
    async fn hinted(&mut self) -> Option<()> {
        match self.hints.recv().await {
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
        // One read covers all hints so far.
        while matches!(self.hints.try_recv(), Ok(_) | Err(tokio::sync::broadcast::error::TryRecvError::Lagged(_))) {}
        Some(())
    }
}

fn event(JournalEntry { position, run, recorded }: JournalEntry) -> Result<sse::Event, Problem> {
    let RunEvent { seq, at, kind, data } = RunEvent::new(&recorded)?;
    let named = sse::Event::default().id(position.0.to_string()).event(&kind);
    let data = FeedEvent { position: position.0, run, seq, at, kind, data };
    Ok(named.data(json::text(&data).map_err(unwritable)?))
}
