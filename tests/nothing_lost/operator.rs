//! Somebody at work with a host that dies under their hands: they start it again and ask again.

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
    /// Where the next hosts die; when none is left they live.
    kills: VecDeque<String>,
    /// How many died.
    pub deaths: usize,
    /// What the last that died left on the disk: the state of each call.
    pub left: Vec<String>,
    /// The route after whose reply the host that is there is killed.
    after_reply: Option<String>,
    /// Where its effects arrive, if that is looked at whenever a host has died.
    outside: Option<&'a dyn Outside>,
    /// The key of the request that is being sent.
    key: Option<String>,
}

/// Killed when whoever asked has the reply to a request of this route in hand.
pub const AFTER_REPLY: &str = "after-reply ";

/// What the journal must hold by the time when a request is answered.
fn acknowledged(route: &str) -> &'static str {
    match route {
        "/v1/runs" => "run-created",
        "/v1/runs/{id}/cancel" => "run-cancelled",
        "/v1/runs/{id}/calls/{n}/resolution" => "effect-resolved",
        "/v1/approvals/{id}/decisions" => "decision-made",
        "/v1/grants/{id}/revocation" => "grant-revoked",
        // A draft writes nothing: what it is of is there.
        "/v1/approvals/{id}/grant" => "call-held",
        other => panic!("say here what is on disk once `{other}` is answered"),
    }
}

/// Whether a path is of a route.
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

    /// Looks at `outside` too whenever a host has died.
    pub fn watching(mut self, outside: &'a dyn Outside) -> Self {
        self.outside = Some(outside);
        self
    }

    /// Kills the host that is there, so that the next one dies at `kill`.
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

    /// Asks once; nothing if the host died instead of answering.
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

    /// Starts a run. If the answer is lost they ask again with the same key: whether or not a run was started before, there is one afterwards.
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

    /// How many runs there are, up to a page of them.
    fn known_runs(&mut self) -> usize {
        self.get("/v1/runs?limit=200")["runs"].as_array().unwrap().len()
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

/// No effect starts that nobody has cleared. None starts a second time, unless a person has sent it again or the remote
/// system has put the first attempt off.
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
