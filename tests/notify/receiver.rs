//! A receiver of webhooks on a real port. It answers as the test says and keeps everything that it was sent.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::until;

/// One request to the receiver.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Delivery {
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The `type` and, for an event of a call, the call's number.
    pub fn what(&self) -> String {
        let json = self.json();
        let call = json["data"]["call"].as_u64().map(|call| format!(" {call}"));
        format!("{}{}", json["type"].as_str().unwrap(), call.unwrap_or_default())
    }
}

/// What the receiver does with a delivery.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers with this status.
    Status(u16),
    /// Answers with this status and this `Retry-After`.
    Later(u16, String),
    /// Answers with a redirect to this address.
    Moved(String),
    /// Closes the connection without an answer.
    Nothing,
}

type Script = dyn Fn(usize, &Delivery) -> Reply + Send + Sync;

pub struct Receiver {
    pub port: u16,
    got: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    /// A receiver that accepts everything.
    pub fn start() -> Self {
        Self::answering(|_, _| Reply::Status(204))
    }

    /// A receiver that answers the first, second, … delivery as `script` says.
    pub fn answering(script: impl Fn(usize, &Delivery) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, got) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let (kept, script): (_, Arc<Script>) = (got.clone(), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, script) = (kept.clone(), script.clone());
                thread::spawn(move || serve(stream, &kept, &*script));
            }
        });
        Self { port, got }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks/marked-path", self.port)
    }

    pub fn got(&self) -> Vec<Delivery> {
        self.got.lock().unwrap().clone()
    }

    /// Waits until there are `count` deliveries, and returns all of them.
    pub fn wait(&self, count: usize) -> Vec<Delivery> {
        until(&format!("{count} deliveries, but {:?}", self.got().len()), || {
            Some(self.got()).filter(|got| got.len() >= count)
        })
    }

    /// Waits for a delivery of this `type`, and returns the first.
    pub fn wait_for(&self, kind: &str) -> Delivery {
        until(kind, || self.got().into_iter().find(|delivery| delivery.json()["type"] == kind))
    }
}

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Delivery>>, script: &Script) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let delivery = Delivery { path, headers, body: String::from_utf8(body).unwrap() };
    let reply = {
        let mut kept = kept.lock().unwrap();
        let reply = script(kept.len(), &delivery);
        kept.push(delivery);
        reply
    };
    let head = match reply {
        Reply::Status(status) => format!("HTTP/1.1 {status} X\r\n"),
        Reply::Later(status, when) => format!("HTTP/1.1 {status} X\r\nRetry-After: {when}\r\n"),
        Reply::Moved(to) => format!("HTTP/1.1 307 X\r\nLocation: {to}\r\n"),
        Reply::Nothing => return,
    };
    // The sender may be gone.
    drop(stream.write_all(format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes()));
}

/// A secret made from this text, padded to the length that the standard requires.
pub fn secret(text: &str) -> String {
    format!("whsec_{}", STANDARD.encode(format!("{text:-<32}")))
}
