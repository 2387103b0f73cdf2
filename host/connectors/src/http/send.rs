//! One attempt at a request, and its answer as a value.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdshort_common::outbound::Attempt;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tracing::subscriber::NoSubscriber;
use ureq::http::header::{ACCEPT_ENCODING, HeaderName, HeaderValue};
use ureq::{Body, http};

use super::Allowed;
use crate::Sentence;
use crate::secret::Mask;

/// There is no answer, with the reason.
pub(super) enum NoAnswer {
    /// The host has an address that the operator does not allow.
    Refused(String),
    /// There is no token for the request, which was not sent.
    NoToken(Sentence),
    /// No connection was made.
    NotSent(String),
    /// The request, or a part of it, may have arrived.
    Lost(String),
}

/// Headers of an answer that belong to one connection, and cookies: an agent has no place to keep them, and they often
/// are credentials.
const LEFT_OUT: [&str; 7] = ["connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "set-cookie"];

/// How long a request may wait for tokens and for its turn. Then it is not sent, because policy and the facts were checked
/// before.
const START_WITHIN: Duration = Duration::from_secs(20);

/// How many exchanges are made at once, each on a thread of its own. More agents than half of these never wait at once,
/// so a request that was cleared has its turn.
static EXCHANGES: Semaphore = Semaphore::const_new(256);

/// Sends a request once, with the secrets of its credentials, and removes them from the answer.
pub(super) async fn send(allowed: &Allowed<'_>) -> Result<Value, NoAnswer> {
    let (began, mut added) = (Instant::now(), Vec::new());
    for credential in &allowed.credentials {
        added.push(credential.header(&allowed.mask).await.map_err(NoAnswer::NoToken)?);
    }
    let Allowed { host, mask, guarded, .. } = allowed;
    let attempt = Attempt::new(&host.addresses, host.time_out);
    let made = made(allowed, added).map_err(|error| NoAnswer::NotSent(error.to_string()))?;
    let reader = AnswerReader { answer_bytes_max: host.answer_bytes_max, mask: mask.clone(), guarded: *guarded };
    let turn = EXCHANGES.acquire().await.map_err(|error| NoAnswer::NotSent(error.to_string()))?;
    if began.elapsed() > START_WITHIN {
        return Err(NoAnswer::NotSent("the host had waited too long for a token or for its turn".into()));
    }
    let exchanged = apart(move || {
        let _turn = turn;
        exchange(&attempt, made, &reader)
    })
    .await;
    let exchanged = exchanged.map_err(|error| NoAnswer::NotSent(error.to_string()))?;
    exchanged.unwrap_or_else(|| Err(NoAnswer::Lost("the attempt was interrupted".into())))
}

/// Does work on a thread of its own, because a stopping host does not wait for a silent system. `None` if the work was
/// interrupted.
pub(super) async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> std::io::Result<Option<T>> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("http".into()).spawn(move || {
        // The library would log the whole request.
        let _quiet = tracing::subscriber::set_default(NoSubscriber::default());
        drop(reply.send(work()));
    })?;
    Ok(answer.await.ok())
}

/// The request in the library's form, with the headers of the host in place of the agent's. The host asks for an answer
/// without compression, which people can read and from which it can remove secrets.
fn made(allowed: &Allowed<'_>, mut added: Vec<(HeaderName, HeaderValue)>) -> http::Result<http::Request<Vec<u8>>> {
    let request = &allowed.request;
    if let Some((key, idempotency)) = allowed.key.as_ref().zip(allowed.idempotency()) {
        added.push((idempotency.header.clone(), HeaderValue::try_from(&key.0)?));
    }
    added.push((ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    let mut made = http::Request::builder().method(request.method()).uri(request.uri());
    for (name, value) in request.headers() {
        if !added.iter().any(|(added, _)| added.as_str() == name) {
            made = made.header(name, value);
        }
    }
    for (name, value) in added {
        made = made.header(name, value);
    }
    made.body(request.body().to_vec())
}

/// How an answer is read.
struct AnswerReader {
    answer_bytes_max: u64,
    mask: Arc<Mask>,
    guarded: bool,
}

/// Methods whose requests state the length of their body, also of an empty one.
const WITH_BODY: [&str; 3] = ["POST", "PUT", "PATCH"];

fn exchange(attempt: &Attempt, request: http::Request<Vec<u8>>, reader: &AnswerReader) -> Result<Value, NoAnswer> {
    let masked = |text: &str| reader.mask.text(text);
    let failed = |why: String| match (attempt.refused(), attempt.connected()) {
        (Some(refused), _) => NoAnswer::Refused(refused),
        (None, false) => NoAnswer::NotSent(masked(&why)),
        (None, true) => NoAnswer::Lost(masked(&why)),
    };
    let has_body = !request.body().is_empty() || WITH_BODY.contains(&request.method().as_str());
    let sent = if has_body { attempt.agent.run(request) } else { attempt.agent.run(request.map(drop)) };
    let mut response = sent.map_err(|error| failed(error.to_string()))?;
    let status = response.status().as_u16();
    let readable = !reader.guarded || is_plain(&response);
    let kept = response.headers().iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
    let kept = kept.filter_map(|(name, value)| Some([masked(name.as_str()), masked(value.to_str().ok()?)]));
    let mut headers: Vec<[String; 2]> = kept.collect();
    if !readable {
        return Ok(json!({ "status": status, "headers": headers, "body": { "too-large": "0" } }));
    }
    let (mut body, bytes_max) = (Vec::new(), reader.answer_bytes_max);
    let read = response.body_mut().as_reader().take(bytes_max.saturating_add(1)).read_to_end(&mut body);
    read.map_err(|error| failed(format!("the answer {status} broke off: {error}")))?;
    let len = body.len();
    let body = if len as u64 > bytes_max {
        json!({ "too-large": bytes_max.to_string() })
    } else {
        let body = reader.mask.apply(body);
        if body.len() != len {
            headers.retain(|[name, _]| name != "content-length");
        }
        content(body)
    };
    Ok(json!({ "status": status, "headers": headers, "body": body }))
}

/// Whether a body is whole and without an encoding, so that a secret in it can be found.
fn is_plain(response: &http::Response<Body>) -> bool {
    let plain = |name: &str, expected: &str| response.headers().get_all(name).iter().all(|value| value == expected);
    response.status() != http::StatusCode::PARTIAL_CONTENT
        && plain("content-encoding", "identity")
        && plain("transfer-encoding", "chunked")
}

/// A body as a value of the function's type. A control character takes six bytes of JSON, so a body with more than a few
/// of them is no text: as a value, a body takes at most 2¼ times its size.
pub(super) fn content(body: Vec<u8>) -> Value {
    if body.is_empty() {
        return json!({ "empty": null });
    }
    let has_long_form = |byte: &&u8| **byte < b' ' && !b"\n\r\t\x08\x0c".contains(*byte);
    if body.iter().filter(has_long_form).count() > body.len() / 16 {
        return json!({ "bytes": STANDARD.encode(body) });
    }
    match String::from_utf8(body) {
        Ok(text) => json!({ "text": text }),
        Err(error) => json!({ "bytes": STANDARD.encode(error.as_bytes()) }),
    }
}
