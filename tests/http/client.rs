//! A client that can break every rule of HTTP: it writes requests to a socket byte by byte.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than any step here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A request. It is correct until a test changes it.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

pub fn get(target: &str) -> Request {
    let headers = [("Host", "holdshort.test"), ("Authorization", "Bearer token-of-alice"), ("Connection", "close")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Request { method: "GET".into(), target: target.into(), headers, body: Vec::new() }
}

pub fn post(target: &str, body: &Value) -> Request {
    Request { method: "POST".into(), ..get(target) }.with("Content-Type", "application/json").body(body.to_string())
}

impl Request {
    /// Sets this header, in place of any with the same name.
    pub fn with(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    /// Adds this header, beside any with the same name.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
        self
    }

    pub fn by(self, reviewer: &str) -> Self {
        self.with("Authorization", &format!("Bearer token-of-{reviewer}"))
    }

    pub fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.with("Content-Length", &length)
    }

    pub fn head(&self) -> Vec<u8> {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{} {} HTTP/1.1\r\n{headers}\r\n", self.method, self.target).into_bytes()
    }

    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.body.clone()].concat()
    }

    /// The bytes of the request, with each character as one byte. They need not be UTF-8.
    pub fn latin1(&self) -> Vec<u8> {
        let head = String::from_utf8(self.head()).unwrap();
        let head: Vec<u8> = head.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        [head, self.body.clone()].concat()
    }

    pub async fn send(&self, to: SocketAddr) -> Reply {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(&self.bytes()).await.unwrap();
        Reply::read_all(&mut stream, self.method == "HEAD").await.pop().expect("an answer")
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// Reads until the other end closes, and returns the last answer.
    pub async fn read(stream: &mut TcpStream) -> Self {
        Self::read_all(stream, false).await.pop().expect("an answer")
    }

    /// Reads every answer until the other end closes. With `heads` the answers have no bodies.
    pub async fn read_all(stream: &mut TcpStream, heads: bool) -> Vec<Self> {
        let mut bytes = Vec::new();
        // A server that has not read a request to its end resets the connection after the answer.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the host answers");
        let (mut all, mut rest) = (Vec::new(), bytes.as_slice());
        while let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
            let (status, headers) = head(&rest[..end]);
            let body = &rest[end + 4..];
            let length =
                headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.parse().unwrap());
            let length = if heads || status < 200 { 0 } else { length.unwrap_or(body.len()) };
            all.push(Self { status, headers, body: body[..length].to_vec() });
            rest = &body[length..];
        }
        assert!(rest.is_empty(), "after {} answers: {rest:?}", all.len());
        all
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(found, _)| found == name);
        let value = values.next();
        assert!(values.next().is_none(), "`{name}` comes twice");
        value.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The status and the headers, with the names in lower case.
pub fn head(bytes: &[u8]) -> (u16, Vec<(String, String)>) {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    (status, lines.map(|line| header(line).unwrap()).collect())
}
