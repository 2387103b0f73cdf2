//! One attempt at a request, and its answer as a value.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdshort_common::outbound::Attempt;
use serde_json::{Value, json};
use tracing::subscriber::NoSubscriber;
use ureq::http;

use super::Host;
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

/// Sends a request once.
pub(super) async fn send(request: &Request, host: &Host) -> Result<Value, NoAnswer> {
    let attempt = Attempt::new(&host.addresses, host.time_out);
    let made = made(request).map_err(|error| NoAnswer::NotSent(error.to_string()))?;
    let (answer_bytes_max, (reply, answer)) = (host.answer_bytes_max, tokio::sync::oneshot::channel());
    // A separate thread: a stopping host does not wait for a silent system.
    let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
        // The library would log the whole request.
        let _quiet = tracing::subscriber::set_default(NoSubscriber::default());
        drop(reply.send(exchange(&attempt, made, answer_bytes_max)));
    });
    thread.map_err(|error| NoAnswer::NotSent(error.to_string()))?;
    answer.await.unwrap_or_else(|_| Err(NoAnswer::Lost("the attempt was interrupted".into())))
}

/// The request in the library's form. The host asks for an answer without compression, which people can read.
fn made(request: &Request) -> http::Result<http::Request<Vec<u8>>> {
    let mut made = http::Request::builder().method(request.method()).uri(request.uri());
    let others = request.headers().iter().filter(|(name, _)| name != "accept-encoding");
    for (name, value) in others {
        made = made.header(name, value);
    }
    made.header("accept-encoding", "identity").body(request.body().to_vec())
}

fn exchange(attempt: &Attempt, request: http::Request<Vec<u8>>, answer_bytes_max: u64) -> Result<Value, NoAnswer> {
    let failed = |why: String| match (attempt.refused(), attempt.connected()) {
        (Some(refused), _) => NoAnswer::Refused(refused),
        (None, false) => NoAnswer::NotSent(why),
        (None, true) => NoAnswer::Lost(why),
    };
    let sent = match request.body().is_empty() {
        true => attempt.agent.run(request.map(drop)),
        false => attempt.agent.run(request),
    };
    let mut response = sent.map_err(|error| failed(error.to_string()))?;
    let status = response.status().as_u16();
    let headers = response.headers().iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
    let headers = headers.filter_map(|(name, value)| Some(json!([name.as_str(), value.to_str().ok()?])));
    let headers: Vec<Value> = headers.collect();
    let mut body = Vec::new();
    let read = response.body_mut().as_reader().take(answer_bytes_max.saturating_add(1)).read_to_end(&mut body);
    read.map_err(|error| failed(format!("the answer {status} broke off: {error}")))?;
    Ok(json!({ "status": status, "headers": headers, "body": content(body, answer_bytes_max) }))
}

/// A body as a value of the function's type.
fn content(body: Vec<u8>, bytes_max: u64) -> Value {
    if body.len() as u64 > bytes_max {
        return json!({ "too-large": bytes_max.to_string() });
    }
    if body.is_empty() {
        return json!({ "empty": null });
    }
    match String::from_utf8(body) {
        Ok(text) => json!({ "text": text }),
        Err(error) => json!({ "bytes": STANDARD.encode(error.as_bytes()) }),
    }
}
