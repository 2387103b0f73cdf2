//! The phases of a call, and what the agent is told when the call is over.

use serde_json::Value;

use crate::decision::RefusalReason;
use crate::ids::Time;

/// The phase of a call, with its values.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// The call was refused without asking a reviewer.
    Refused(RefusalReason),
    /// Policy or a grant cleared the call. The effect may start until `start_by`.
    Cleared {
        /// The last moment at which the effect may start.
        start_by: Time,
    },
    /// The call waits for decisions.
    Held,
    /// The required reviewers approved. The effect may start until `start_by`.
    Approved {
        /// The last moment at which the effect may start.
        start_by: Time,
    },
    /// An attempt began, and its outcome is not written yet.
    Started,
    /// The effect happened.
    Succeeded {
        /// The receipt.
        receipt: Value,
    },
    /// The effect did not happen.
    Failed {
        /// Why the effect did not happen.
        reason: String,
    },
    /// An attempt began, and its outcome is unknown.
    InDoubt {
        /// Why the outcome is unknown, as the host observed it.
        reason: String,
    },
    /// A reviewer gave up on an effect in doubt: its outcome stays unknown.
    Unresolved {
        /// The reviewer's words.
        reason: String,
    },
    /// Enough reviewers rejected the call.
    Rejected {
        /// The guidance for the agent.
        guidance: String,
    },
    /// A question was answered.
    Answered {
        /// The answer.
        answer: Value,
    },
    /// The call was not decided in time, or its effect did not start in time.
    Expired,
    /// The run was cancelled or ended before the effect started.
    Cancelled,
}

crate::named_enum! {
    /// The state of a call in one word: its phase without the values.
    pub enum CallState {
        /// The call was refused without asking a reviewer.
        Refused = "refused",
        /// Policy or a grant cleared the call.
        Cleared = "cleared",
        /// The call waits for decisions.
        Held = "held",
        /// The required reviewers approved.
        Approved = "approved",
        /// An attempt began, and its outcome is not written yet.
        Started = "started",
        /// An attempt began, and its outcome is unknown.
        InDoubt = "in-doubt",
        /// The effect happened.
        Succeeded = "succeeded",
        /// The effect did not happen.
        Failed = "failed",
        /// A reviewer gave up on an effect in doubt: its outcome stays unknown.
        Unresolved = "unresolved",
        /// Enough reviewers rejected the call.
        Rejected = "rejected",
        /// A question was answered.
        Answered = "answered",
        /// The call was not decided in time, or its effect did not start in time.
        Expired = "expired",
        /// The run was cancelled or ended before the effect started.
        Cancelled = "cancelled",
    }
}

impl CallState {
    /// The states from which an effect may start.
    pub const STARTABLE: [Self; 2] = [Self::Cleared, Self::Approved];
    /// The states in which an attempt has begun and its outcome is not written.
    pub const ATTEMPTED: [Self; 2] = [Self::Started, Self::InDoubt];
    /// The states in which a call waits for a reviewer.
    pub const WAITING: [Self; 2] = [Self::Held, Self::InDoubt];
    /// The states that can still change.
    pub const OPEN: [Self; 5] = [Self::Held, Self::Approved, Self::Cleared, Self::Started, Self::InDoubt];
}

impl Phase {
    /// The phase without its values.
    pub fn state(&self) -> CallState {
        match self {
            Self::Refused(_) => CallState::Refused,
            Self::Cleared { .. } => CallState::Cleared,
            Self::Held => CallState::Held,
            Self::Approved { .. } => CallState::Approved,
            Self::Started => CallState::Started,
            Self::InDoubt { .. } => CallState::InDoubt,
            Self::Succeeded { .. } => CallState::Succeeded,
            Self::Failed { .. } => CallState::Failed,
            Self::Unresolved { .. } => CallState::Unresolved,
            Self::Rejected { .. } => CallState::Rejected,
            Self::Answered { .. } => CallState::Answered,
            Self::Expired => CallState::Expired,
            Self::Cancelled => CallState::Cancelled,
        }
    }

    /// The answer for the agent; `None` while the call is not over.
    pub fn answer(&self) -> Option<Answer> {
        match self {
            Self::Refused(RefusalReason::Forbidden(reason)) => Some(Answer::Forbidden(reason.clone())),
            Self::Refused(RefusalReason::Invalid(reason)) => Some(Answer::Invalid(reason.clone())),
            Self::Succeeded { receipt } => Some(Answer::Ok(receipt.clone())),
            Self::Answered { answer } => Some(Answer::Ok(answer.clone())),
            Self::Failed { reason } => Some(Answer::Failed(reason.clone())),
            Self::Unresolved { reason } => Some(Answer::Unresolved(reason.clone())),
            Self::Rejected { guidance } => Some(Answer::Rejected(guidance.clone())),
            Self::Expired => Some(Answer::Expired),
            Self::Cancelled => Some(Answer::Cancelled),
            Self::Cleared { .. } | Self::Held | Self::Approved { .. } | Self::Started | Self::InDoubt { .. } => None,
        }
    }
}

/// The answer that the agent gets when the call is over.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A receipt or an answer, of the function's `ok` type.
    Ok(Value),
    Rejected(String),
    Expired,
    Cancelled,
    Forbidden(String),
    Invalid(String),
    Failed(String),
    Unresolved(String),
}
