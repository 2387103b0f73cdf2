//! A model's server on a real port that says what the test wrote, and a server that nobody here wrote.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::skipped::skipped;
use crate::support::{Folder, until};

/// One request.
#[derive(Clone, Debug)]
pub struct Got {
    pub path: String,
    /// The headers, one a line, with names in lower case.
    pub headers: String,
    pub body: Value,
}

/// One answer.
#[derive(Clone)]
pub struct Says {
    pub status: u16,
    pub headers: String,
    pub body: String,
    pub after: Duration,
}

impl Says {
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        let headers = "content-type: application/json\r\n".into();
        Self { status, headers, body: body.into(), after: Duration::ZERO }
    }
}

/// An answer with this text, in OpenAI's form.
pub fn text(text: &str) -> Says {
    completion(json!({ "role": "assistant", "content": text }), "stop", Value::Null)
}

/// The same with log-probabilities.
pub fn text_with(text: &str, logprobs: Value) -> Says {
    completion(json!({ "role": "assistant", "content": text }), "stop", logprobs)
}

/// An answer with this message.
pub fn says(message: Value, finish: &str) -> Says {
    completion(message, finish, Value::Null)
}

/// An answer that asks for a tool, in OpenAI's form.
pub fn tool(name: &str, arguments: &str) -> Says {
    tool_with(name, arguments, Value::Null)
}

/// The same with log-probabilities.
pub fn tool_with(name: &str, arguments: &str, logprobs: Value) -> Says {
    let call = json!({ "id": "c1", "type": "function", "function": { "name": name, "arguments": arguments } });
    completion(json!({ "role": "assistant", "content": null, "tool_calls": [call] }), "tool_calls", logprobs)
}

fn completion(message: Value, finish: &str, logprobs: Value) -> Says {
    let choice = json!({ "index": 0, "message": message, "finish_reason": finish, "logprobs": logprobs });
    let usage = json!({ "prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200 });
    Says::new(200, json!({ "model": "scripted-1", "choices": [choice], "usage": usage }).to_string())
}

/// A server that gives these answers one after the other, and the last one again and again.
pub struct Endpoint {
    pub port: u16,
    got: Arc<Mutex<Vec<Got>>>,
    says: Arc<Mutex<VecDeque<Says>>>,
}

impl Endpoint {
    pub fn start(says: impl IntoIterator<Item = Says>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let says: VecDeque<Says> = says.into_iter().collect();
        let (got, says) = (Arc::<Mutex<Vec<Got>>>::default(), Arc::new(Mutex::new(says)));
        let (kept, next) = (Arc::clone(&got), says.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, next) = (kept.clone(), next.clone());
                thread::spawn(move || serve(stream, &kept, &next));
            }
        });
        Self { port, got, says }
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Says these from now on.
    pub fn says(&self, says: impl IntoIterator<Item = Says>) {
        *self.says.lock().unwrap() = says.into_iter().collect();
    }

    /// A section for it.
    pub fn section(&self, name: &str, api: &str, more: &str) -> String {
        section(name, api, self.port, more)
    }
}

/// A section for a model on this machine.
pub fn section(name: &str, api: &str, port: u16, more: &str) -> String {
    format!("[models.{name}]\napi = \"{api}\"\nurl = \"http://127.0.0.1:{port}/v1\"\nmodel = \"mock-1\"\n{more}\n")
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<Got>>, next: &Mutex<VecDeque<Says>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let path = line()?.split(' ').nth(1)?.to_owned();
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
    let mut body = vec![0; length?];
    reader.read_exact(&mut body).ok()?;
    let says = {
        let mut next = next.lock().unwrap();
        kept.lock().unwrap().push(Got { path, headers, body: serde_json::from_slice(&body).unwrap() });
        if next.len() > 1 { next.pop_front() } else { next.front().cloned() }
    }?;
    thread::sleep(says.after);
    let Says { status, headers, body, .. } = says;
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
    (&stream).write_all(&[head.as_bytes(), body.as_bytes()].concat()).ok()
}

/// `fakellm`, a server of PyPI that has both forms.
pub struct FakeLlm {
    child: Child,
    pub port: u16,
}

impl Drop for FakeLlm {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl FakeLlm {
    /// Starts it with these rules. Without the program it returns `None` and notes that the test was skipped.
    pub fn start(folder: &Folder, rules: &str) -> Option<Self> {
        let Some(program) = std::env::var_os("HOLDSHORT_FAKELLM") else {
            skipped("no fakellm; tests/run installs it, or name the program in HOLDSHORT_FAKELLM");
            return None;
        };
        let rules = folder.write("fakellm.yaml", rules);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(["serve", "--port", &port.to_string(), "--config", rules.to_str().unwrap()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("fakellm", || TcpStream::connect(("127.0.0.1", port)).ok());
        Some(Self { child, port })
    }

    /// How many requests it got.
    pub fn requests(&self) -> u64 {
        let mut answer = ureq::get(format!("http://127.0.0.1:{}/_fakellm/stats", self.port)).call().unwrap();
        let stats: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        stats["total_requests"].as_u64().unwrap()
    }
}
