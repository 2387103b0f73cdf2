//! `/live`: tells a page that something has changed. What has changed the page reads anew; nothing of it is in the stream.
//!
//! **Invariant:** A page that nobody sees keeps no stream. A browser makes six connections to a host, so a seventh tab would wait for ever. A
//! page reads what it missed when it is seen again.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{StreamExt, stream};
use tokio::sync::broadcast::error::RecvError;

use super::frame::{Answer, Signed};
use crate::api::Api;
use crate::api::events::Listener;
use crate::api::server::Busy;

/// Streams the ids of runs in which something happened, once it is on disk; `*` if some were missed. The stream ends with the session, and says so
/// before it ends because newer pages of the session have the places that there are.
pub(super) async fn stream(State(api): State<Api>, signed: Signed, busy: Option<Extension<Arc<Busy>>>) -> Answer {
    let listener = Listener::new(&api, busy, signed.0.reviewer())?;
    let hints = api.journal().hints();
    let events = stream::unfold(Some((hints, listener, signed.0.stream())), |held| async {
        let (mut hints, listener, own) = held?;
        let hint = tokio::select! {
            hint = hints.recv() => hint,
            () = own.displaced() => {
                let last = Event::default().event("displaced").data("newer pages of this session are live");
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
