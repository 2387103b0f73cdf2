//! Somebody at work with a host that dies under their hands: they start it again and ask again.

use std::collections::{BTreeMap, VecDeque};
use std::os::unix::process::ExitStatusExt;

use holdshort::kill::VARIABLE;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::support::{Folder, Host, until};

pub struct Operator<'a> {
    folder: &'a Folder,
    host: Option<Host>,
    /// Where the next hosts die; when none is left they live.
    kills: VecDeque<String>,
    /// How many died.
    pub deaths: usize,
    /// What the last that died left on the disk: the state of each call.
    pub left: Vec<String>,
}

impl<'a> Operator<'a> {
    /// The first host dies at the first of `kills`, the second at the second, and so on.
    pub fn new(folder: &'a Folder, kills: &[&str]) -> Self {
        Self {
            folder,
            host: None,
            kills: kills.iter().map(|kill| (*kill).to_owned()).collect(),
            deaths: 0,
            left: Vec::new(),
        }
    }

    fn host(&mut self) -> &Host {
        let (folder, kills) = (self.folder, &mut self.kills);
        self.host.get_or_insert_with(|| match kills.pop_front() {
            Some(kill) => folder.serve_with(&[(VARIABLE, &kill)]),
            None => folder.serve(),
        })
    }

    /// Asks once; nothing if the host died instead of answering.
    fn try_ask(&mut self, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let host = self.host();
        if let Ok(answer) = host.try_request(&host.token, path, body) {
            return Some(answer);
        }
        self.dies();
        None
    }

    /// Waits until the host that is there has died where it was told to.
    fn dies(&mut self) {
        let host = self.host.take().unwrap();
        let (said, status) = (host.said(), host.ended());
        self.died();
        assert_eq!(status.signal(), Some(9), "the host was killed, and did not end by itself: {status}: {said}");
    }

    /// Asks until there is an answer.
    pub fn ask(&mut self, path: &str, body: Option<&Value>) -> (u16, Value) {
        until(&format!("answer from {path}"), || self.try_ask(path, body))
    }

    pub fn get(&mut self, path: &str) -> Value {
        let (status, answer) = self.ask(path, None);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Starts a run. If the answer is lost they look whether there is a run before they start another.
    pub fn start(&mut self, agent: &str, task: &str) -> String {
        let request = json!({ "agent": agent, "task": task });
        until("run", || match self.try_ask("/v1/runs", Some(&request)) {
            Some((201, answer)) => Some(answer["id"].as_str().unwrap().to_owned()),
            Some((status, answer)) => panic!("{status}: {answer}"),
            None => Some(self.get("/v1/runs")["runs"][0]["id"].as_str()?.to_owned()),
        })
    }

    pub fn run(&mut self, run: &str) -> Value {
        self.get(&format!("/v1/runs/{run}"))
    }

    pub fn approval(&mut self, id: &str) -> Value {
        self.get(&format!("/v1/approvals/{id}"))
    }

    /// Waits until the call is there and held.
    pub fn held(&mut self, id: &str) -> Value {
        until(&format!("held call {id}"), || match self.ask(&format!("/v1/approvals/{id}"), None) {
            (200, approval) => (approval["state"] == "held").then_some(approval),
            (404, _) => None,
            (status, answer) => panic!("{status}: {answer}"),
        })
    }

    /// Decides on what `approval` shows, again if the answer is lost: the same decision counts once.
    pub fn decide(&mut self, approval: &Value, kind: &str, more: &Value) -> Value {
        let mut decision = json!({ "type": kind, "digest": approval["digest"] });
        decision.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let path = format!("/v1/approvals/{}/decisions", approval["id"].as_str().unwrap());
        let (status, answer) = self.ask(&path, Some(&decision));
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Settles an attempt of a call. It may have been settled meanwhile: by a look-up, or by this very request, whose answer was lost.
    pub fn resolve(&mut self, id: &str, kind: &str, attempt: u64) {
        let (run, call) = id.split_once('.').unwrap();
        let path = format!("/v1/runs/{run}/calls/{call}/resolution");
        let body = json!({ "type": kind, "attempt": attempt, "message": "I looked." });
        let (status, answer) = self.ask(&path, Some(&body));
        assert!([200, 409].contains(&status), "{kind}: {status}: {answer}");
    }

    /// Waits until the effect is in one of these states.
    pub fn effect(&mut self, id: &str, states: &[&str]) -> Value {
        until(&format!("effect at {id} that is one of {states:?}"), || {
            let approval = self.approval(id);
            let state = approval["effect"]["state"].as_str().unwrap_or("none").to_owned();
            states.contains(&state.as_str()).then_some(approval)
        })
    }

    /// Waits until the run is over.
    pub fn over(&mut self, run: &str) -> Value {
        until("end of the run", || {
            let row = self.run(run);
            let over = ["finished", "failed", "trapped", "cancelled", "diverged"];
            over.contains(&row["state"].as_str().unwrap()).then_some(row)
        })
    }

    /// A run's events whole, in order.
    pub fn history(&mut self, run: &str) -> Vec<Value> {
        let page = self.get(&format!("/v1/runs/{run}/events?limit=1000"));
        page["events"].as_array().unwrap().clone()
    }

    /// The kinds of the run's events, in order.
    pub fn events(&mut self, run: &str) -> Vec<String> {
        self.history(run).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    /// What the host that is there has printed.
    pub fn said(&self) -> String {
        self.host.as_ref().map(Host::said).unwrap_or_default()
    }

    /// Kills the host that is there, if one is.
    pub fn kill(&mut self) {
        if let Some(host) = self.host.take() {
            host.kill();
            self.died();
        }
    }

    /// Looks at what a dead host left, without changing a byte of it.
    fn died(&mut self) {
        self.deaths += 1;
        let journal = Connection::open_with_flags(self.folder.journal(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let mut phases = journal.prepare("SELECT phase FROM calls ORDER BY position").unwrap();
        self.left = phases.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    }
}

/// No effect starts that nobody has cleared, and none a second time that nobody has sent again.
pub fn in_order(events: &[Value]) {
    let mut leaves: BTreeMap<u64, u32> = BTreeMap::new();
    for event in events {
        let call = event["data"]["call"].as_u64().unwrap_or_default();
        match event["type"].as_str().unwrap() {
            "decision-made" | "effect-resolved" => *leaves.entry(call).or_default() += 1,
            "effect-started" => {
                let left = leaves.entry(call).or_default();
                *left = left.checked_sub(1).unwrap_or_else(|| panic!("{event} was not cleared: {events:?}"));
            }
            _ => {}
        }
    }
}
