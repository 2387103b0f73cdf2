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
    match echoed {
        Some(echoed) => (&stream).write_all(&echoed).ok(),
        None => answer(stream, &path, &body).ok(),
    }
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
        "/silent" => Ok(()),
        // Answers far too late.
        "/slow" => {
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
        "/no-http" => stream.write_all(b"220 mail.example.org ESMTP\r\n"),
        "/cookie" => stream.write_all(&whole("200 OK", "set-cookie: session=1\r\nx-id: 7\r\n", b"seen")),
        "/bytes" => stream.write_all(&whole("200 OK", "", &[0xff, 0xfe, 0])),
        _ => stream.write_all(&whole("200 OK", "content-type: text/plain\r\n", &[b"got ", body].concat())),
    }
}
