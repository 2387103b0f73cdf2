//! What the endpoint answers, read leniently: a field that is missing is empty, one that is new is ignored.
//! What a decision rests on is not read here but in [`verify`](mod@super::verify), and not leniently.

use holdshort_gate::{Action, Decision, Digest, RefusalReason, Waiting};
use serde::Deserialize;
use serde_json::{Value, json};

/// `GET /v1/approvals`
#[derive(Debug, Deserialize)]
pub struct ApprovalPage {
    /// The approvals, in the order that was asked for.
    pub approvals: Vec<ApprovalRow>,
    /// Where the next page begins.
    #[serde(default)]
    pub next: Option<String>,
}

/// One of them.
#[derive(Debug, Deserialize)]
pub struct ApprovalRow {
    pub id: String,
    #[serde(default)]
    pub agent: String,
    #[serde(default)]
    pub summary: String,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub proposed_at: String,
    #[serde(default)]
    pub deadline: Option<String>,
    #[serde(default)]
    pub waiting_for: Vec<Waiting>,
}

/// `GET /v1/approvals/{id}`, beside what is verified.
#[derive(Debug, Deserialize)]
pub struct ApprovalDetail {
    pub id: String,
    #[serde(default)]
    pub agent: String,
    #[serde(default)]
    pub task: String,
    #[serde(default)]
    pub started_by: String,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub effect: Option<Effect>,
    #[serde(default)]
    pub put_off: Option<PutOff>,
    #[serde(default)]
    pub same_waiting: Vec<String>,
    #[serde(default)]
    pub digest: Option<Digest>,
    #[serde(default)]
    pub decisions: Vec<PastDecision>,
    #[serde(default)]
    pub if_lost: Option<String>,
    #[serde(default)]
    pub refused: Option<RefusedCall>,
    #[serde(default)]
    pub reheld: Option<String>,
    #[serde(default)]
    pub edited_by: Option<String>,
    #[serde(default)]
    pub still_needed: u32,
    #[serde(default)]
    pub waiting_for: Vec<Waiting>,
    #[serde(default)]
    pub rejections: Vec<Rejection>,
    #[serde(default)]
    pub rejections_needed: u32,
    #[serde(default)]
    pub level: usize,
    #[serde(default)]
    pub proposed_at: String,
    #[serde(default)]
    pub deadline: Option<String>,
}

/// An attempt that did not happen and is made again.
#[derive(Debug, Deserialize)]
pub struct PutOff {
    pub reason: String,
    pub until: String,
}

/// Somebody's no.
#[derive(Debug, Deserialize)]
pub struct Rejection {
    pub reviewer: String,
}

/// A call that was refused before anyone was asked.
#[derive(Debug, Deserialize)]
pub struct RefusedCall {
    pub action: Action,
    pub reason: RefusalReason,
}

/// How the effect of an approval stands.
#[derive(Debug, Deserialize)]
pub struct Effect {
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub attempts: u32,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub receipt: Option<Value>,
    #[serde(default)]
    pub evidence: Option<Evidence>,
}

/// What a lookup found.
#[derive(Debug, Deserialize)]
pub struct Evidence {
    #[serde(default)]
    pub at: String,
    pub text: String,
}

/// A decision that was made before.
#[derive(Debug, Deserialize)]
pub struct PastDecision {
    #[serde(default)]
    pub at: String,
    pub decision: Decision,
}

/// `POST /v1/approvals/{id}/decisions`
#[derive(Debug, Deserialize)]
pub struct Decided {
    /// Where the call stands now.
    pub state: String,
    /// The current clearance digest: another one after an edit.
    pub digest: Digest,
    /// How many more people must approve.
    #[serde(default)]
    pub still_needed: u32,
    /// Whether this very decision had been recorded before.
    #[serde(default)]
    pub repeated: bool,
}

/// `GET /v1/runs`
#[derive(Debug, Deserialize)]
pub struct RunPage {
    /// The runs, newest first.
    pub runs: Vec<RunRow>,
    /// Where the next page begins.
    #[serde(default)]
    pub next: Option<String>,
}

/// A run.
#[derive(Debug, Deserialize)]
pub struct RunRow {
    pub id: String,
    #[serde(default)]
    pub agent: String,
    #[serde(default)]
    pub task: String,
    #[serde(default)]
    pub started_by: String,
    #[serde(default)]
    pub component: String,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub waiting_for: Option<u32>,
    #[serde(default)]
    pub calls: u32,
    #[serde(default)]
    pub created_at: String,
    #[serde(default)]
    pub updated_at: String,
    #[serde(default)]
    pub result: Option<Value>,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub delayed: Option<Delayed>,
}

/// Since when the host cannot bring a run forward.
#[derive(Debug, Deserialize)]
pub struct Delayed {
    #[serde(default)]
    pub since: String,
    #[serde(default)]
    pub tries: u32,
}

impl RunRow {
    /// Whether the run can never go on.
    pub fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "finished" | "failed" | "trapped" | "cancelled" | "diverged")
    }
}

/// `GET /v1/runs/{id}/events`
#[derive(Debug, Deserialize)]
pub struct EventPage {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Where the next page begins, if there is more.
    #[serde(default)]
    pub next: Option<u64>,
}

/// One of them.
#[derive(Debug, Deserialize)]
pub struct Event {
    pub seq: u64,
    #[serde(default)]
    pub at: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub data: Value,
}

impl Event {
    /// In the gate's own form; none, if the host is newer than this program and knows events that it does not.
    pub fn known(&self) -> Option<holdshort_gate::Event> {
        serde_json::from_value(json!({ "type": self.kind, "data": self.data })).ok()
    }
}

/// `POST /v1/sign-in-links`
#[derive(Debug, Deserialize)]
pub struct SignInLink {
    /// What to open.
    pub url: String,
    /// How long it waits for that, in seconds.
    pub expires_in_s: u64,
}

/// `GET /v1/runs/{id}/logs`
#[derive(Debug, Deserialize)]
pub struct LogPage {
    /// What the agent said, in order.
    pub lines: Vec<LogLine>,
    /// Where the next page begins, if there is more.
    #[serde(default)]
    pub next: Option<u64>,
}

/// One line of it: the agent's own words.
#[derive(Debug, Deserialize)]
pub struct LogLine {
    pub number: u64,
    #[serde(default)]
    pub at: String,
    #[serde(default)]
    pub level: String,
    #[serde(default)]
    pub message: String,
}
