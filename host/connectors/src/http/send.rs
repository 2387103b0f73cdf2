//! One attempt at a request, and its answer as a value.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdshort_common::outbound::Attempt;
use serde_json::{Value, json};
use tracing::subscriber::NoSubscriber;
use ureq::http;

use super::Allowed;
use super::credential::Credential;
use super::request::Request;

/// There is no answer, with the reason.
pub(super) enum NoAnswer {
    /// The host has an address that the operator does not allow.
    Refused(String),
    /// No connection was made.
    NotSent(String),
    /// The request, or a part of it, may have arrived.
    Lost(String),
}

/// Headers of an answer that belong to one connection, and cookies: an agent has no place to keep them, and they often
/// are credentials.
const LEFT_OUT: [&str; 7] = ["connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "set-cookie"];

/// Sends a request once, with the secrets of its credentials, and removes them from the answer.
pub(super) async fn send(allowed: &Allowed<'_>) -> Result<Value, NoAnswer> {
    let Allowed { request, host, credentials } = allowed;
    let attempt = Attempt::new(&host.addresses, host.time_out);
    let made = made(request, credentials).map_err(|error| NoAnswer::NotSent(error.to_string()))?;
    let (answer_bytes_max, (reply, answer)) = (host.answer_bytes_max, tokio::sync::oneshot::channel());
    let credentials = credentials.clone();
    // A separate thread: a stopping host does not wait for a silent system.
    let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
        // The library would log the whole request.
        let _quiet = tracing::subscriber::set_default(NoSubscriber::default());
        drop(reply.send(exchange(&attempt, made, answer_bytes_max, &credentials)));
    });
    thread.map_err(|error| NoAnswer::NotSent(error.to_string()))?;
    answer.await.unwrap_or_else(|_| Err(NoAnswer::Lost("the attempt was interrupted".into())))
}

/// The request in the library's form. The host asks for an answer without compression, which people can read and from
/// which it can remove secrets.
fn made(request: &Request, credentials: &[Credential]) -> http::Result<http::Request<Vec<u8>>> {
    let mut made = http::Request::builder().method(request.method()).uri(request.uri());
    let secrets = || credentials.iter().map(Credential::header);
    let others = request
        .headers()
        .iter()
        .filter(|(name, _)| name != "accept-encoding" && !secrets().any(|(secret, _)| secret.as_str() == name));
    for (name, value) in others {
        made = made.header(name, value);
    }
    for (name, value) in secrets() {
        made = made.header(name, value);
    }
    made.header("accept-encoding", "identity").body(request.body().to_vec())
}

fn exchange(
    attempt: &Attempt,
    request: http::Request<Vec<u8>>,
    answer_bytes_max: u64,
    credentials: &[Credential],
) -> Result<Value, NoAnswer> {
    let masked = |bytes: Vec<u8>| credentials.iter().fold(bytes, |bytes, credential| credential.mask(bytes));
    let masked_text = |text: &str| String::from_utf8_lossy(&masked(text.into())).into_owned();
    let failed = |why: String| match (attempt.refused(), attempt.connected()) {
        (Some(refused), _) => NoAnswer::Refused(refused),
        (None, false) => NoAnswer::NotSent(masked_text(&why)),
        (None, true) => NoAnswer::Lost(masked_text(&why)),
    };
    let sent = match request.body().is_empty() {
        true => attempt.agent.run(request.map(drop)),
        false => attempt.agent.run(request),
    };
    let mut response = sent.map_err(|error| failed(error.to_string()))?;
    let status = response.status().as_u16();
    let headers = response.headers().iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
    let headers = headers
        .filter_map(|(name, value)| Some(json!([masked_text(name.as_str()), masked_text(value.to_str().ok()?)])));
    let headers: Vec<Value> = headers.collect();
    // A secret in a compressed body could not be found.
    let encoding = response.headers().get("content-encoding");
    if !credentials.is_empty() && encoding.is_some_and(|encoding| encoding != "identity") {
        return Ok(json!({ "status": status, "headers": headers, "body": { "too-large": "0" } }));
    }
    let mut body = Vec::new();
    let read = response.body_mut().as_reader().take(answer_bytes_max.saturating_add(1)).read_to_end(&mut body);
    read.map_err(|error| failed(format!("the answer {status} broke off: {error}")))?;
    let is_whole = body.len() as u64 <= answer_bytes_max;
    let body = if is_whole { content(masked(body)) } else { json!({ "too-large": answer_bytes_max.to_string() }) };
    Ok(json!({ "status": status, "headers": headers, "body": body }))
}

/// A body as a value of the function's type.
fn content(body: Vec<u8>) -> Value {
    if body.is_empty() {
        return json!({ "empty": null });
    }
    match String::from_utf8(body) {
        Ok(text) => json!({ "text": text }),
        Err(error) => json!({ "bytes": STANDARD.encode(error.as_bytes()) }),
    }
}
