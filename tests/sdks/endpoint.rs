//! The server of a model: `fakellm`, a program of PyPI that answers by rules. It speaks the protocols of OpenAI and of
//! Anthropic.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::skipped::skipped;
use crate::support::{top, until};

/// The key that the host adds to requests. The rules of the server answer to no other.
pub const KEY: &str = "MARKED-model-key-77";

/// The address of the server for one test. An agent has the address of its model in its code, and a component that was
/// built before is used again: so the address depends on this folder and the test alone.
pub fn address(number: u8) -> String {
    let mut hasher = DefaultHasher::new();
    top().hash(&mut hasher);
    let [one, two, ..] = hasher.finish().to_le_bytes();
    format!("127.{}.{two}.{number}:18080", one.max(1))
}

/// A running `fakellm`, which ends with this value.
pub struct Endpoint {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Endpoint {
    /// Starts the server. `None` without the program, which notes that the test is skipped.
    pub fn start(address: &str, rules: &Value) -> Option<Self> {
        let Some(program) = std::env::var_os("HOLDSHORT_FAKELLM") else {
            skipped("agents with SDKs: no fakellm; `tests/run` installs it, or name it in HOLDSHORT_FAKELLM");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        // JSON is YAML.
        std::fs::write(folder.path().join("fakellm.yaml"), json!({ "version": 1, "rules": rules }).to_string())
            .unwrap();
        let (host, port) = address.split_once(':').unwrap();
        let mut command = Command::new(program);
        command.args(["serve", "--host", host, "--port", port]).current_dir(folder.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { child, address: address.to_owned(), _folder: folder };
        until("model's server", || std::net::TcpStream::connect(address).ok().map(drop));
        Some(server)
    }

    fn stats(&self) -> Value {
        ureq::get(format!("http://{}/_fakellm/stats", self.address)).call().unwrap().body_mut().read_json().unwrap()
    }

    /// How many requests the server has got.
    pub fn requests(&self) -> u64 {
        self.stats()["total_requests"].as_u64().unwrap()
    }

    /// The rules by which the server has answered, in the order of the requests.
    pub fn answered(&self) -> Vec<String> {
        let stats = self.stats();
        let recent = stats["recent"].as_array().unwrap();
        recent.iter().rev().map(|request| request["matched_rule"].as_str().unwrap().to_owned()).collect()
    }
}
