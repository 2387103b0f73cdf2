//! An operator whose host dies again and again: the operator starts it again and sends each request again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::unix::process::ExitStatusExt;

use holdshort::kill::VARIABLE;
use serde_json::{Value, json};

use crate::kept::Kept;
use crate::outside::Outside;
use crate::support::{Folder, Host, until};

pub struct Operator<'a> {
    folder: &'a Folder,
    host: Option<Host>,
    /// The points at which the next hosts die. When the list is empty, a host lives.
    kills: VecDeque<String>,
    /// How many hosts have died.
    pub deaths: usize,
    /// The state of each call on the disk after the last death.
    pub left: Vec<String>,
    /// The route after whose reply the current host is killed.
    after_reply: Option<String>,
    /// The place where the effects arrive, if it is checked after each death.
    outside: Option<&'a dyn Outside>,
    /// The key of the request that is being sent.
    key: Option<String>,
}

/// Prefix of a kill point: the host is killed when the client has received the reply to a request of this route.
pub const AFTER_REPLY: &str = "after-reply ";

/// The event that the journal must hold when a request of this route has been answered.
fn acknowledged(route: &str) -> &'static str {
    match route {
        "/v1/runs" => "run-created",
        "/v1/runs/{id}/cancel" => "run-cancelled",
        "/v1/runs/{id}/calls/{n}/resolution" => "effect-resolved",
        "/v1/approvals/{id}/decisions" => "decision-made",
        "/v1/grants/{id}/revocation" => "grant-revoked",
        // A draft writes nothing. The call that it is made for is on disk.
        "/v1/approvals/{id}/grant" => "call-held",
        other => panic!("say here what is on disk once `{other}` is answered"),
    }
}

/// Whether a path belongs to a route.
fn is_of(path: &str, route: &str) -> bool {
    let (path, route): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), route.split('/').collect());
    path.len() == route.len() && path.iter().zip(&route).all(|(part, name)| part == name || name.starts_with('{'))
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
            after_reply: None,
            outside: None,
            key: None,
        }
    }

    /// Checks `outside` too after each death.
    pub fn watching(mut self, outside: &'a dyn Outside) -> Self {
        self.outside = Some(outside);
        self
    }

    /// Kills the current host, so that the next one dies at `kill`.
    pub fn next_dies_at(&mut self, kill: &str) {
        self.kill();
        self.kills.push_back(kill.to_owned());
    }

    fn host(&mut self) -> &Host {
        let (folder, kills, after_reply) = (self.folder, &mut self.kills, &mut self.after_reply);
        self.host.get_or_insert_with(|| {
            let kill = kills.pop_front().unwrap_or_default();
            *after_reply = kill.strip_prefix(AFTER_REPLY).map(str::to_owned);
            folder.serve_with(&[(VARIABLE, &kill)])
        })
    }

    /// Sends a request once. Returns `None` if the host died before it answered.
    fn try_ask(&mut self, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let key = self.key.clone();
        let host = self.host();
        if let Ok(answer) = host.try_request_once(&host.token, path, body, key.as_deref()) {
            if let Some(route) = self.after_reply.take_if(|route| body.is_some() && is_of(path, route)) {
                self.kill();
                let kind = acknowledged(&route);
                assert!(self.kept().count(kind) > 0, "`{route}` was answered, and no `{kind}` is on disk");
            }
            return Some(answer);
        }
        self.dies();
        None
    }

    /// Waits until the current host has died at its kill point.
    fn dies(&mut self) {
        let host = self.host.take().unwrap();
        let (said, status) = (host.said(), host.ended());
        self.died();
        assert_eq!(status.signal(), Some(9), "the host was killed, and did not end by itself: {status}: {said}");
    }

    /// Sends a request again and again until there is an answer.
    pub fn ask(&mut self, path: &str, body: Option<&Value>) -> (u16, Value) {
        until(&format!("answer from {path}"), || self.try_ask(path, body))
    }

    pub fn get(&mut self, path: &str) -> Value {
        let (status, answer) = self.ask(path, None);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Starts a run. If the answer is lost, the request is sent again with the same key, so that exactly one run is
    /// started.
    pub fn start(&mut self, agent: &str, task: &str) -> String {
        let request = json!({ "agent": agent, "task": task });
        let before = self.known_runs();
        self.key = Some(format!("start-{before}"));
        let (status, answer) = self.ask("/v1/runs", Some(&request));
        self.key = None;
        assert_eq!(status, 201, "{answer}");
        assert_eq!(self.known_runs(), before + 1, "one run, however often it was asked for");
        answer["id"].as_str().unwrap().to_owned()
    }

    /// How many runs there are, up to the length of one page.
    fn known_runs(&mut self) -> usize {
        self.get("/v1/runs?limit=200")["runs"].as_array().unwrap().len()
    }

    pub fn run(&mut self, run: &str) -> Value {
        self.get(&format!("/v1/runs/{run}"))
    }

    pub fn approval(&mut self, id: &str) -> Value {
        self.get(&format!("/v1/approvals/{id}"))
    }

    /// Waits until the call exists and is held.
    pub fn held(&mut self, id: &str) -> Value {
        until(&format!("held call {id}"), || match self.ask(&format!("/v1/approvals/{id}"), None) {
            (200, approval) => (approval["state"] == "held").then_some(approval),
            (404, _) => None,
            (status, answer) => panic!("{status}: {answer}"),
        })
    }

    /// Decides on the revision that `approval` shows. If the answer is lost, the same decision is sent again, and it
    /// counts once.
    pub fn decide(&mut self, approval: &Value, kind: &str, more: &Value) -> Value {
        let mut decision = json!({ "type": kind, "digest": approval["digest"] });
        decision.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let path = format!("/v1/approvals/{}/decisions", approval["id"].as_str().unwrap());
        let (status, answer) = self.ask(&path, Some(&decision));
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Resolves an attempt of a call. The effect may be resolved already: by a lookup, or by this request if its answer
    /// was lost.
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

    /// The complete events of a run, in order.
    pub fn history(&mut self, run: &str) -> Vec<Value> {
        let page = self.get(&format!("/v1/runs/{run}/events?limit=1000"));
        page["events"].as_array().unwrap().clone()
    }

    /// The kinds of the run's events, in order.
    pub fn events(&mut self, run: &str) -> Vec<String> {
        self.history(run).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    /// What the current host has printed.
    pub fn said(&self) -> String {
        self.host.as_ref().map(Host::said).unwrap_or_default()
    }

    /// Kills the current host, if there is one.
    pub fn kill(&mut self) {
        if let Some(host) = self.host.take() {
            host.kill();
            self.died();
        }
    }

    /// Reads what a dead host left, without changing a byte.
    fn died(&mut self) {
        self.deaths += 1;
        let kept = self.kept();
        kept.is_whole();
        if self.outside.is_some_and(|outside| outside.count() > 0) {
            assert!(kept.count("effect-started") > 0, "an effect happened whose start is not on disk");
        }
        self.left = kept.calls.into_iter().map(|(_, state)| state).collect();
    }

    fn kept(&self) -> Kept {
        Kept::read(&self.folder.journal())
    }
}

/// Checks that no effect starts without a clearance, and that no effect starts a second time, except after the
/// resolution send-again or after the remote system asked for a later attempt.
pub fn in_order(events: &[Value]) {
    let mut leaves: BTreeMap<u64, u32> = BTreeMap::new();
    let mut started: BTreeSet<u64> = BTreeSet::new();
    for event in events {
        let call = event["data"]["call"].as_u64().unwrap_or_default();
        let underway = started.remove(&call);
        match event["type"].as_str().unwrap() {
            "decision-made" | "effect-resolved" => *leaves.entry(call).or_default() += 1,
            "effect-postponed" => {
                assert!(underway, "{event} puts off what had not started: {events:?}");
                *leaves.entry(call).or_default() += 1;
            }
            "effect-started" => {
                let left = leaves.entry(call).or_default();
                *left = left.checked_sub(1).unwrap_or_else(|| panic!("{event} was not cleared: {events:?}"));
                started.insert(call);
            }
            _ => {}
        }
    }
}
