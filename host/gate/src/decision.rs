//! Refusals, decisions and resolutions, as events record them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::Digest;
use crate::name::ReviewerName;

/// The text with which a reason begins if a limit of the host refused the call. The text tells the agent that a limit
/// refused the call, and not policy.
pub const LIMIT: &str = "over a limit of this host";

/// The fact of every consequential call for which the host measured how unsure a language model was. No operator's
/// program gives a fact of this name.
pub const MODEL_UNCERTAINTY: &str = "model-uncertainty";

/// Why a call was refused without asking a reviewer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum RefusalReason {
    /// Policy or a limit forbids the call.
    Forbidden(String),
    /// The call cannot be performed as proposed; no attempt was made.
    Invalid(String),
}

/// One reviewer's decision, as events record it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Decision {
    /// The reviewer who decided.
    pub reviewer: ReviewerName,
    /// The absent reviewer, if the decision is by delegation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub stands_for: Option<ReviewerName>,
    /// The clearance digest that the reviewer named.
    pub clearance: Digest,
    /// The reviewer's choice.
    pub verdict: RecordedChoice,
    /// The reviewer's message. If the call is rejected, the agent gets the message as guidance.
    #[cfg_attr(feature = "schema", schema(required = true))]
    pub message: Option<String>,
}

/// A reviewer's choice, as events record it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = Verdict))]
pub enum RecordedChoice {
    /// Perform the action.
    Approve,
    /// Do not perform the action. The message is guidance for the agent.
    Reject,
    /// The answer to a question.
    Respond(Value),
    /// Perform another action instead. The value is the digest of that action.
    Edit(Digest),
}

/// How a reviewer resolved an effect in doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = Settled))]
pub enum Resolution {
    /// The effect happened. The value is the receipt for the agent.
    Done(Value),
    /// The effect did not happen.
    NotDone,
    /// The reviewer gives up: the outcome stays unknown.
    Abandon,
    /// Make another attempt with the same key (idempotent effects only).
    SendAgain,
}
