//! Tells open pages that a run changed (`/live`). The stream carries only ids: the page then loads
//! its content again.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{StreamExt, stream};
use tokio::sync::broadcast::error::RecvError;

use super::frame::{PageResult, Signed};
use crate::api::Api;
use crate::api::events::Listener;
use crate::api::server::Busy;

/// Streams the id of each run with a durable change, or `*` if some ids were missed. The stream ends with the session.
/// If newer pages of the session need its connection, it sends the event `displaced` and ends.
pub(super) async fn stream(State(api): State<Api>, signed: Signed, busy: Option<Extension<Arc<Busy>>>) -> PageResult {
    let listener = Listener::new(&api, busy, signed.0.reviewer())?;
    let hints = api.journal().hints();
    let events = stream::unfold(Some((hints, listener, signed.0.stream())), |held| async {
        let (mut hints, listener, own) = held?;
        let hint = tokio::select! {
            hint = hints.recv() => hint,
            () = own.displaced() => {
                let last = Event::default().event("displaced").data("newer pages of this session are live instead of this page");
                return Some((Ok::<_, Infallible>(last), None));
            }
        };
        let run = match hint {
            Ok(hint) => hint.run.0,
            Err(RecvError::Lagged(_)) => "*".into(),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(Event::default().event("change").data(run)), Some((hints, listener, own))))
    });
    let events = events.take_until(Listener::closing(&api)).take_until(Box::pin(signed.0.over()));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Listener::heartbeat(&api))).into_response())
}
