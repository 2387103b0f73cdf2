//! What is answered before the host is wired: that it is alive, and not ready.
//!
//! Wiring reads agents and policies, in processes that may take all the time that they are given. A supervisor must not take that for a host that hangs.

use std::convert::Infallible;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How long a client may take to send its request line, and to take the answer.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Connections at a time; others wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// A pause after the operating system refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const ALIVE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
const NOT_READY: &str =
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Answers until this is dropped. Each connection gets one answer.
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

/// Reads the request's head as far as there is room for it, because a client whose bytes stay unread may not see the answer.
async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 8 * 1_024 {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    let alive = head.starts_with(b"GET /healthz ");
    stream.write_all(if alive { ALIVE } else { NOT_READY }.as_bytes()).await
}
