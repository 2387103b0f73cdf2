//! Answers requests while the host starts: the host is alive and not ready.
//!
//! The start reads agents and policies in child processes, which may take long. Without answers, a
//! supervisor could take the host for hung and stop it.

use std::convert::Infallible;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The time limit for a client to send its request line, and to read the answer.
const TIME_MAX: Duration = Duration::from_secs(5);
/// The maximum number of connections. Others wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// The pause after the operating system refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The message to clients while the host starts.
const STARTING: &str = "the host is starting and still reads policies and agents; try again in a second";

/// Answers requests until the future is dropped. Each connection gets one answer.
pub async fn starting(listener: &TcpListener) -> Infallible {
    let mut tasks = JoinSet::new();
    loop {
        if tasks.len() >= CONNECTIONS_MAX {
            tasks.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => drop(tasks.spawn(tokio::time::timeout(TIME_MAX, answer(stream)))),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while tasks.try_join_next().is_some() {}
    }
}

/// Reads the request's head up to a limit, because a client whose bytes stay unread may not see the
/// answer.
async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 8 * 1_024 {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    stream.write_all(reply(&head).as_bytes()).await
}

/// Programs get a problem document, and browsers get a page that reloads itself.
fn reply(head: &[u8]) -> String {
    let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let not_ready = "503 Service Unavailable\r\nRetry-After: 1";
    let (status, kind, body) = if path == b"/healthz" {
        ("200 OK", "text/plain; charset=utf-8", "ok\n".to_owned())
    } else if path.starts_with(b"/v1/") || [&b"/readyz"[..], b"/metrics"].contains(&path) {
        let problem = serde_json::json!({
            "type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": STARTING
        });
        (not_ready, "application/problem+json", problem.to_string())
    } else {
        let page = format!(
            "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=1><title>Holdshort</title><p>{STARTING}\n"
        );
        (not_ready, "text/html; charset=utf-8", page)
    };
    let safe = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'";
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{safe}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
