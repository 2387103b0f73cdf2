//! A web server on a real port. Its paths say what it answers, and it keeps everything that it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One request to the server.
#[derive(Clone, Debug)]
pub struct Got {
    /// The method and the path.
    pub line: String,
    /// The headers, one a line, with names in lower case.
    pub headers: String,
    pub body: Vec<u8>,
}

pub struct Server {
    pub port: u16,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, got) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let kept: Arc<Mutex<Vec<Got>>> = got.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = kept.clone();
                thread::spawn(move || serve(stream, &kept));
            }
        });
        Self { port, got }
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host())
    }

    /// Everything that it was sent.
    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// How often it was sent a request with this method and path.
    pub fn count(&self, line: &str) -> usize {
        self.got().iter().filter(|got| got.line == line).count()
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<Got>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = String::new();
    loop {
        let header = line()?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(": ")?;
        headers += &format!("{}: {value}\n", name.to_lowercase());
    }
    let length = headers.lines().find_map(|header| header.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let line = first.trim_end_matches(" HTTP/1.1").to_owned();
    let path = line.split(' ').nth(1)?.to_owned();
    // A system that tells what it was sent with an earlier request.
    let earlier = || {
        kept.lock().unwrap().iter().rev().map(|got| got.headers.clone()).find(|headers| headers.contains("Bearer MARK"))
    };
    let recalled = if path.contains("/echo-recalled") { earlier() } else { None };
    let echoed = echo(&path, recalled.as_ref().unwrap_or(&headers));
    kept.lock().unwrap().push(Got { line, headers, body: body.clone() });
    let tokens = || kept.lock().unwrap().iter().filter(|got| got.line.starts_with("POST /token/")).count();
    match echoed.or_else(|| token(&path, tokens())).or_else(|| fresh(&path, &kept.lock().unwrap())) {
        Some(echoed) => (&stream).write_all(&echoed).ok(),
        None => answer(stream, &path, &body).ok(),
    }
}

/// The answer of an authorization server. The name of the path says how it answers, or how long a token is good.
fn token(path: &str, number: usize) -> Option<Vec<u8>> {
    let kind = path.strip_prefix("/token/").filter(|kind| !["silent", "slow"].contains(kind))?;
    let good = |token: &str, kind: &str, seconds: &str| {
        serde_json::json!({ "access_token": token, "token_type": kind, "expires_in": seconds }).to_string()
    };
    let marked = format!("{}{number:02}", super::credentials::TOKEN);
    let secret = super::credentials::CLIENT_SECRET;
    let (status, body) = match kind {
        "wrong" => {
            let why = format!("`holdshort:{secret}` is unknown");
            ("401 Unauthorized", serde_json::json!({ "error": "invalid_client", "error_description": why }).to_string())
        }
        "fails" => ("503 Service Unavailable", "busy".into()),
        "moved" => ("302 Found", String::new()),
        "html" => ("200 OK", format!("<html>{marked}")),
        "none" => ("200 OK", "{\"token_type\": \"bearer\"}".into()),
        "large" => ("200 OK", " ".repeat(66_000)),
        "mac" => ("200 OK", good(&marked, "mac", "60")),
        "odd" => ("200 OK", good("two lines\nof a token", "bearer", "60")),
        "form" => ("200 OK", good(&marked, "bearer", "3600")),
        seconds => ("200 OK", good(&marked, "Bearer", seconds)),
    };
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nlocation: /v1/x\r\nconnection: close\r\n\r\n", body.len());
    Some([head, body].concat().into_bytes())
}

/// The answer of a path that accepts only tokens from the one with this number on.
fn fresh(path: &str, kept: &[Got]) -> Option<Vec<u8>> {
    let least: u32 = path.split_once("/fresh-")?.1.parse().ok()?;
    let token = kept.last()?.headers.lines().find_map(|header| header.strip_prefix("authorization: Bearer "))?;
    let number = token.strip_prefix(super::credentials::TOKEN).and_then(|number| number.parse().ok());
    let (status, body) = if number >= Some(least) { ("200 OK", "fresh") } else { ("401 Unauthorized", "stale") };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    Some([head, body.into()].concat().into_bytes())
}

/// The answer of a path that repeats the `authorization` that it got.
fn echo(path: &str, headers: &str) -> Option<Vec<u8>> {
    let form = path.split_once("/echo-")?.1;
    let got = headers.lines().find_map(|header| header.strip_prefix("authorization: ")).unwrap_or_default();
    let (mut more, mut cut) = (String::new(), 0);
    let body = match form {
        "json" => serde_json::json!({ "headers": { "authorization": got } }).to_string(),
        "url" => format!(
            "https://next.test/?auth={}",
            got.replace(' ', "%20").replace('/', "%2F").replace('+', "%2B").replace('=', "%3D")
        ),
        "hex" => got.bytes().map(|byte| format!("{byte:02x}")).collect(),
        "base64" => STANDARD.encode(got),
        "inside-base64" => STANDARD.encode(format!("user:{got}:x")),
        "header" => {
            more = format!("x-got: {got}\r\n");
            String::new()
        }
        "broken" => {
            cut = 100;
            got.to_owned()
        }
        _ => got.to_owned(),
    };
    let length = body.len() + cut;
    Some(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n{more}\r\n{body}").into_bytes())
}

fn answer(mut stream: TcpStream, path: &str, body: &[u8]) -> std::io::Result<()> {
    let whole = |status: &str, more: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{more}\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    match path {
        // Takes the request and says nothing.
        "/silent" | "/token/silent" => Ok(()),
        // Answers far too late.
        "/slow" | "/token/slow" => {
            thread::sleep(Duration::from_secs(20));
            stream.write_all(&whole("200 OK", "", b"late"))
        }
        "/moved" => stream.write_all(&whole("302 Found", "location: /elsewhere\r\n", b"")),
        "/fails" => stream.write_all(&whole("500 Internal Server Error", "", b"broken")),
        "/large" => stream.write_all(&whole("200 OK", "", &vec![b'x'; 65 * 1024])),
        // Promises more than it sends.
        "/short" => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nten bytes.").map(drop),
        // Sends chunks without end.
        "/endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            loop {
                stream.write_all(b"4\r\nmore\r\n")?;
            }
        }
        "/bomb" => stream.write_all(&whole("200 OK", "content-encoding: gzip\r\n", super::attacks::bomb())),
        "/two-lengths" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 10\r\n\r\nten bytes.")
        }
        "/odd-length" => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: -3\r\n\r\nten bytes."),
        "/odd-chunks" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nx")
        }
        "/heads" => stream.write_all(&whole("200 OK", &format!("x-long: {}\r\n", "x".repeat(64 * 1024)), b"")),
        "/drip" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            loop {
                stream.write_all(b"x")?;
                thread::sleep(Duration::from_secs(1));
            }
        }
        // More than it promises.
        "/longer" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nten bytes.HTTP/1.1 200 OK\r\n\r\n")
        }
        "/busy" => stream.write_all(&whole("429 Too Many Requests", "retry-after: 7\r\n", b"busy")),
        _ if path.starts_with("/to/") => {
            let port = path.trim_start_matches("/to/");
            stream.write_all(&whole("307 Temporary Redirect", &format!("location: http://127.0.0.1:{port}/x\r\n"), b""))
        }
        "/no-http" => stream.write_all(b"220 mail.example.org ESMTP\r\n"),
        "/cookie" => stream.write_all(&whole("200 OK", "set-cookie: session=1\r\nx-id: 7\r\n", b"seen")),
        "/bytes" => stream.write_all(&whole("200 OK", "", &[0xff, 0xfe, 0])),
        _ => stream.write_all(&whole("200 OK", "content-type: text/plain\r\n", &[b"got ", body].concat())),
    }
}
