//! The words of people and limits: refusals, decisions, resolutions.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::Digest;

/// The beginning of a reason when a limit refuses a call, so that an agent can tell a limit from policy: a shorter call would pass.
pub const LIMIT: &str = "over a limit of this host";

/// Why a call was refused before anyone was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalReason {
    /// Policy, a limit or the display budget forbids it.
    Forbidden(String),
    /// It cannot be done as proposed; nothing was tried.
    Invalid(String),
}

/// One reviewer's decision, as written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Who.
    pub reviewer: String,
    /// The absent reviewer, if the decision is by delegation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_for: Option<String>,
    /// The clearance digest that they named.
    pub clearance: Digest,
    /// What they decided.
    pub verdict: Verdict,
    /// In their words; the agent gets it as guidance when the call is rejected.
    pub message: Option<String>,
}

/// What a reviewer decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Do it.
    Approve,
    /// Do not do it. The message is guidance for the agent.
    Reject,
    /// The answer to a question.
    Respond(Value),
    /// Do this instead. The digest is that of the new action.
    Edit(Digest),
}

/// How a person settled an effect in doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// It happened. The value is the receipt for the agent.
    Done(Value),
    /// It did not happen.
    NotDone,
    /// Nobody will find out.
    Abandon,
    /// Try once more with the same key (idempotent effects only).
    SendAgain,
}
