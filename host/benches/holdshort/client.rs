//! A client that uses little CPU time: it keeps its connections open, and reads the host's event stream.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::world::TOKEN;

/// A connection that stays open between requests.
pub struct Connection {
    at: SocketAddr,
    token: String,
    stream: BufReader<TcpStream>,
    line: String,
}

impl Connection {
    pub async fn open(at: SocketAddr) -> Self {
        Self::open_with(at, TOKEN).await
    }

    /// Opens a connection that sends `token` with each request.
    pub async fn open_with(at: SocketAddr, token: &str) -> Self {
        let stream = TcpStream::connect(at).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { at, token: token.to_owned(), stream: BufReader::with_capacity(16 << 10, stream), line: String::new() }
    }

    async fn send(&mut self, method: &str, target: &str, body: &str) -> u16 {
        let typed = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n{typed}Content-Length: {}\r\n\r\n{body}",
            self.at,
            self.token,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).await.unwrap();
        let status = self.line().await;
        status.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{status:?}"))
    }

    async fn line(&mut self) -> &str {
        self.line.clear();
        self.stream.read_line(&mut self.line).await.unwrap();
        self.line.trim_end()
    }

    /// Sends a request, and reads the whole answer. The answer must have the expected status.
    pub async fn ask(&mut self, method: &str, target: &str, body: &str, expected: u16) -> Vec<u8> {
        let status = self.send(method, target, body).await;
        let mut length = 0;
        loop {
            let line = self.line().await;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(status, expected, "{method} {target}: {}", String::from_utf8_lossy(&answer));
        answer
    }

    pub async fn start(&mut self, agent: &str, task: &str) -> String {
        let answer = self.ask("POST", "/v1/runs", &format!(r#"{{"agent":"{agent}","task":"{task}"}}"#), 201).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        answer["id"].as_str().unwrap().to_owned()
    }

    pub async fn decide(&mut self, held: &Held, kind: &str) {
        let target = format!("/v1/approvals/{}.{}/decisions", held.run, held.call);
        let body = format!(r#"{{"type":"{kind}","digest":"{}"}}"#, held.clearance);
        self.ask("POST", &target, &body, 200).await;
    }
}

/// A held call, and the digest that a decision must name.
#[derive(Clone, Debug)]
pub struct Held {
    pub run: String,
    pub call: u32,
    pub clearance: String,
}

/// The events that the bench waits for.
#[derive(Debug)]
pub enum Told {
    Held(Held),
    /// A run has ended, with this result.
    Finished(String, String),
}

#[derive(Deserialize)]
struct Message<'a> {
    run: &'a str,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    call: Option<u32>,
    clearance: Option<String>,
    result: Option<Value>,
}

/// The host's event stream, from the moment it is opened.
pub struct Events(Connection);

impl Events {
    pub async fn open(at: SocketAddr) -> Self {
        let mut connection = Connection::open(at).await;
        assert_eq!(connection.send("GET", "/v1/events", "").await, 200);
        while !connection.line().await.is_empty() {}
        Self(connection)
    }

    /// The next event that the bench waits for. Other events are skipped.
    pub async fn next(&mut self) -> Told {
        // Every message of the stream is one HTTP chunk, so no chunk ends inside a line.
        let mut kind = String::new();
        loop {
            let line = self.0.line().await;
            if let Some(event) = line.strip_prefix("event: ") {
                kind.clear();
                kind.push_str(event);
            } else if let Some(data) = line.strip_prefix("data: ") {
                match &kind[..] {
                    "call-held" => {
                        let Message { run, data } = serde_json::from_str(data).unwrap();
                        let (call, clearance) = (data.call.unwrap(), data.clearance.unwrap());
                        return Told::Held(Held { run: run.into(), call, clearance });
                    }
                    "run-finished" => {
                        let Message { run, data } = serde_json::from_str(data).unwrap();
                        return Told::Finished(run.into(), data.result.unwrap().to_string());
                    }
                    "run-trapped" | "run-diverged" | "effect-failed" | "effect-in-doubt" => panic!("{data}"),
                    _ => {}
                }
            }
        }
    }

    pub async fn held(&mut self) -> Held {
        match self.next().await {
            Told::Held(held) => held,
            Told::Finished(run, result) => panic!("run {run} has ended: {result}"),
        }
    }

    pub async fn finished(&mut self) -> String {
        match self.next().await {
            Told::Finished(_, result) => result,
            Told::Held(held) => panic!("{held:?}"),
        }
    }
}
