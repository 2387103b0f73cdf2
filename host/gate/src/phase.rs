//! Where a call stands, and what the agent is told when it is over.

use serde_json::Value;

use crate::decision::RefusalReason;
use crate::ids::Time;

/// Where a call stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Refused before anyone was asked.
    Refused(RefusalReason),
    /// Cleared by policy; its effect may start until then.
    Cleared {
        /// The last moment to start.
        start_by: Time,
    },
    /// Waits for decisions.
    Held,
    /// The required reviewers approved; its effect may start until then.
    Approved {
        /// The last moment to start.
        start_by: Time,
    },
    /// An attempt was begun and nothing more is known.
    Started,
    /// The effect happened.
    Succeeded {
        /// What was done.
        receipt: Value,
    },
    /// The effect did not happen.
    Failed {
        /// Why.
        reason: String,
    },
    /// An attempt was begun and its outcome is unknown.
    InDoubt {
        /// What was seen.
        reason: String,
    },
    /// A person closed an effect that was in doubt, without an answer.
    Unresolved {
        /// In their words.
        reason: String,
    },
    /// A reviewer said no.
    Rejected {
        /// What the agent is told.
        guidance: String,
    },
    /// A question was answered.
    Answered {
        /// The answer.
        answer: Value,
    },
    /// Nobody decided, or the effect did not start, in time.
    Expired,
    /// The run was cancelled first.
    Cancelled,
}

/// Gives every state, or kind, its name: a match, which does not compile while a variant is missing, and the list of what it can say.
macro_rules! names {
    ($($variant:pat => $name:literal,)+) => {
        /// The name that the API and the pages use.
        pub fn name(&self) -> &'static str {
            match self {
                $($variant => $name,)+
            }
        }

        /// Every name, in the order of a life; a test that must cover every state iterates over this.
        pub const NAMES: [&'static str; [$($name),+].len()] = [$($name),+];
    };
}
pub(crate) use names;

impl Phase {
    names! {
        Self::Refused(_) => "refused",
        Self::Cleared { .. } => "cleared",
        Self::Held => "held",
        Self::Approved { .. } => "approved",
        Self::Started => "started",
        Self::InDoubt { .. } => "in-doubt",
        Self::Succeeded { .. } => "succeeded",
        Self::Failed { .. } => "failed",
        Self::Unresolved { .. } => "unresolved",
        Self::Rejected { .. } => "rejected",
        Self::Answered { .. } => "answered",
        Self::Expired => "expired",
        Self::Cancelled => "cancelled",
    }

    /// What the agent is told, once the call is over.
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

/// What the agent is told when the call is over.
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
