//! What a reviewer is shown of a request before it is sent.

use std::time::Duration;

use holdshort_common::outbound::Addresses;
use holdshort_gate::{Action, Call, CallId, Consequence, Phase};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use ureq::http::Uri;

use super::request::Request;
use super::{Allowed, Http, SAFE, difference, names};
use crate::{CannotPreview, Exhibit, Previewed, Trusted, quote, quote_start, say};

/// How long a preview waits for the addresses of a host, and how many previews do so at once.
const LOOKUP_TIME_OUT: Duration = Duration::from_secs(5);
static LOOKUPS: Semaphore = Semaphore::const_new(16);

/// A list shows at most this many characters of a URL. The reviewer sees the whole URL in the action.
const SUMMARY_CHARS_MAX: usize = 160;

impl Http {
    pub(super) async fn preview_now(&self, action: &Action) -> Result<Previewed, CannotPreview> {
        let allowed = self.read(action).map_err(CannotPreview::Impossible)?;
        let (preconditions, key) = (allowed.preconditions(), allowed.idempotency());
        let key = key.map(|key| key.exhibit(&allowed.request));
        let Allowed { request, host, credentials, .. } = &allowed;
        let (addresses, uri) = (host.addresses.clone(), request.uri().clone());
        if let Some(why) = refused(addresses, uri).await? {
            // Of the URL it names only the host, which is one of the operator's.
            return Err(CannotPreview::Impossible(say!("{}", Trusted::configured(why))));
        }
        let (method, url, body) = (request.method(), request.url(), request.body());
        let (shown, size) = (quote_start(url, SUMMARY_CHARS_MAX), body.len());
        // The method is one of the operator's.
        let named = Trusted::configured(method);
        let summary =
            if size == 0 { say!("{} {}", named, shown) } else { say!("{} {} with {} bytes", named, shown, size) };
        let secrets = credentials.iter().map(|credential| credential.exhibit(request));
        let exhibits = request.exhibits().into_iter().chain(secrets).chain(key).collect();
        let mut facts = json!({
            "host": request.authority(),
            "method": method,
            "query": request.uri().query().unwrap_or_default(),
            "bytes": size,
            "sha256": request.digest(),
            "credentials": names(credentials),
        });
        // A policy that reads a missing fact fails, and the call is held.
        if let (Some(path), Some(facts)) = (request.plain_path(), facts.as_object_mut()) {
            facts.insert("path".into(), json!(path));
        }
        let consequence = if SAFE.contains(&method) { Consequence::Medium } else { Consequence::High };
        Ok(Previewed { summary, exhibits, preconditions, facts, consequence })
    }
}

/// The reason why a request to this URL would be refused for the address of its host. A name server that is silent for
/// [`LOOKUP_TIME_OUT`] is asked again when the request is sent.
async fn refused(addresses: Addresses, uri: Uri) -> Result<Option<String>, CannotPreview> {
    let unavailable = |why: Trusted| CannotPreview::Unavailable(say!("{}", why));
    let turn = LOOKUPS.acquire().await.map_err(|error| unavailable(Trusted::configured(error)))?;
    let asked = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        addresses.refuse(&uri)
    });
    match tokio::time::timeout(LOOKUP_TIME_OUT, asked).await {
        Ok(refused) => refused.map_err(|error| CannotPreview::Unavailable(quote(error).into())),
        Err(_) => Ok(None),
    }
}

/// What differs from the last request of the same kind that was answered.
pub(super) fn compared(action: &Action, id: &CallId, last: &Call) -> Exhibit {
    let compared =
        Request::read(last.action()).and_then(|last| Ok(difference::differences(&last, &Request::read(action)?)));
    let text = compared.unwrap_or_else(|why| say!("they cannot be compared: {}", why));
    let mut status = None;
    if let Phase::Succeeded { receipt, .. } = &last.phase {
        status = receipt.get("status").and_then(Value::as_u64);
    }
    let title = match status {
        Some(status) => {
            say!("what differs from the last such request, call {}, answered with status {}", id.clone(), status)
        }
        None => say!("what differs from the last such request, call {}", id.clone()),
    };
    Exhibit::text(title, text)
}
