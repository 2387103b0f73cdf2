//! The endpoint's answers as this program reads them: a missing field is empty, and an unknown
//! field is ignored. The content of a decision is read strictly, in [`verify`](mod@super::verify).

use std::fmt;

use holdshort_gate::{Action, CallState, Decision, Digest, RefusalReason, RunState, Waiting};
use serde::Deserialize;
use serde_json::{Value, json};

/// A state in an answer; a host that is newer than this program may have states that this program does not know.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Lenient<T> {
    /// A state that this program knows.
    Known(T),
    /// Any other word, as the host wrote it; empty if the host gave none.
    Unknown(String),
}

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self::Unknown(String::new())
    }
}

impl<T: PartialEq> PartialEq<T> for Lenient<T> {
    fn eq(&self, other: &T) -> bool {
        matches!(self, Self::Known(known) if known == other)
    }
}

impl<T: fmt::Display> fmt::Display for Lenient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(known) => known.fmt(f),
            Self::Unknown(word) => word.fmt(f),
        }
    }
}

/// `GET /v1/approvals`
#[derive(Debug, Deserialize)]
pub struct ApprovalPage {
    /// The approvals in the requested order.
    pub approvals: Vec<ApprovalRow>,
    /// The cursor of the next page.
    #[serde(default)]
    pub next: Option<String>,
}

/// An approval in the list.
#[derive(Debug, Deserialize)]
pub struct ApprovalRow {
    pub id: String,
    #[serde(default)]
    pub agent: String,
    #[serde(default)]
    pub summary: String,
    #[serde(default)]
    pub state: Lenient<CallState>,
    #[serde(default)]
    pub proposed_at: String,
    #[serde(default)]
    pub deadline: Option<String>,
    #[serde(default)]
    pub waiting_for: Vec<Waiting>,
}

/// `GET /v1/approvals/{id}`, without the verified parts.
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
    pub state: Lenient<CallState>,
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

/// An attempt that did not happen and will be repeated.
#[derive(Debug, Deserialize)]
pub struct PutOff {
    pub reason: String,
    pub until: String,
}

/// A reviewer's rejection.
#[derive(Debug, Deserialize)]
pub struct Rejection {
    pub reviewer: String,
}

/// A call that was refused without a reviewer.
#[derive(Debug, Deserialize)]
pub struct RefusedCall {
    pub action: Action,
    pub reason: RefusalReason,
}

/// The state of an approval's effect.
#[derive(Debug, Deserialize)]
pub struct Effect {
    #[serde(default)]
    pub state: Lenient<CallState>,
    #[serde(default)]
    pub attempts: u32,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub receipt: Option<Value>,
    #[serde(default)]
    pub evidence: Option<Evidence>,
}

/// The result of a lookup.
#[derive(Debug, Deserialize)]
pub struct Evidence {
    #[serde(default)]
    pub at: String,
    pub text: String,
}

/// An earlier decision.
#[derive(Debug, Deserialize)]
pub struct PastDecision {
    #[serde(default)]
    pub at: String,
    pub decision: Decision,
}

/// `POST /v1/approvals/{id}/decisions`
#[derive(Debug, Deserialize)]
pub struct Decided {
    /// The call's state after the decision.
    pub state: Lenient<CallState>,
    /// The current clearance digest. An edit changes it.
    pub digest: Digest,
    /// The number of further approvals required.
    #[serde(default)]
    pub still_needed: u32,
    /// Whether this decision was recorded before.
    #[serde(default)]
    pub repeated: bool,
}

/// `GET /v1/runs`
#[derive(Debug, Deserialize)]
pub struct RunPage {
    /// The runs, newest first.
    pub runs: Vec<RunRow>,
    /// The cursor of the next page.
    #[serde(default)]
    pub next: Option<String>,
}

/// A run in the list.
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
    pub state: Lenient<RunState>,
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

/// The time since which the host cannot bring the run forward, and why.
#[derive(Debug, Deserialize)]
pub struct Delayed {
    #[serde(default)]
    pub since: String,
    #[serde(default)]
    pub tries: u32,
}

impl RunRow {
    /// Whether the run has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.state, Lenient::Known(state) if state.is_over())
    }
}

/// `GET /v1/runs/{id}/events`
#[derive(Debug, Deserialize)]
pub struct EventPage {
    /// The events in order.
    pub events: Vec<Event>,
    /// The cursor of the next page, if more events exist.
    #[serde(default)]
    pub next: Option<u64>,
}

/// An event as the host sent it.
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
    /// The event in the gate's types; `None` if a newer host sent an event that this program does
    /// not know.
    pub fn known(&self) -> Option<holdshort_gate::Event> {
        serde_json::from_value(json!({ "type": self.kind, "data": self.data })).ok()
    }
}

/// `POST /v1/sign-in-links`
#[derive(Debug, Deserialize)]
pub struct SignInLink {
    /// The link.
    pub url: String,
    /// How long the link is valid, in seconds.
    pub expires_in_s: u64,
}

/// `GET /v1/runs/{id}/logs`
#[derive(Debug, Deserialize)]
pub struct LogPage {
    /// The agent's log lines in order.
    pub lines: Vec<LogLine>,
    /// The cursor of the next page, if more lines exist.
    #[serde(default)]
    pub next: Option<u64>,
}

/// A log line in the agent's own words.
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
