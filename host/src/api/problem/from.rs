//! Converts the errors of the gate, the journal and the driver to problems.

use holdshort_gate::command::{DECISIONS_MAX, REVISIONS_MAX};
use holdshort_gate::grant::NotGranted;
use holdshort_gate::{RATIONALE, Refused};
use holdshort_journal::{ReadError, SubmitError};

use super::{Kind, Problem};
use crate::api::driver::{ReviseError, StartError};

/// Each reason of the gate is listed, so that a new reason does not compile without a status. The
/// gate's text is for people. The members are for programs: the current digest, attempt or state,
/// or the decision that was first.
impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::NoSuchRun | Refused::NoSuchCall => Self::new(Kind::NotFound, detail),
            Refused::RunNotReady(state) => Self::new(Kind::NotNow, detail).state(state),
            Refused::WrongPhase(state) => Self::new(Kind::NotNow, detail).state(state),
            Refused::KeyUsed(_) => Self::new(Kind::KeyUsed, detail),
            Refused::Stale { current, .. } => {
                let mut problem = Self::new(Kind::StaleDigest, detail);
                problem.details.current_digest = Some(current);
                problem
            }
            Refused::AlreadyDecided { winner, state } => {
                let who = winner.as_ref().map_or_else(String::new, |winner| format!(" by `{}`", winner.reviewer));
                let mut problem =
                    Self::new(Kind::AlreadyDecided, format!("the call was already decided{who}; it is now {state}"));
                problem.details.winner = winner;
                problem.state(state)
            }
            Refused::Expired => Self::new(Kind::Expired, detail),
            Refused::NotEligible(_) | Refused::NotGranted(NotGranted::NotAlone) => Self::new(Kind::NotEligible, detail),
            Refused::NotGranted(NotGranted::NoSuchGrant) => Self::new(Kind::NotFound, detail),
            Refused::NotGranted(_) => Self::new(Kind::WrongType, detail),
            Refused::WrongKind(_) | Refused::AnotherCapability => Self::new(Kind::WrongType, detail),
            Refused::OtherReasons => {
                let mut problem = Self::new(Kind::NotAllowed, detail);
                problem.details.path = Some(format!("arguments.{RATIONALE}"));
                problem
            }
            Refused::OtherAttempt { current, .. } => {
                let mut problem = Self::new(Kind::NotNow, detail);
                problem.details.current_attempt = Some(current);
                problem
            }
            Refused::TooManyDecisions => Self::new(Kind::NotNow, detail).max(DECISIONS_MAX),
            Refused::TooManyRevisions => {
                Self::new(Kind::NotNow, detail).max(usize::try_from(REVISIONS_MAX).unwrap_or(usize::MAX))
            }
            Refused::StartTooLate | Refused::TooEarly { .. } | Refused::NotDue | Refused::TotalsChanged => {
                Self::new(Kind::NotNow, detail)
            }
            // No request can cause these refusals. They would mean that the driver mixed up an order or that the
            // journal was edited by hand.
            Refused::RunExists | Refused::OutOfOrder { .. } | Refused::ClearanceMismatch => {
                tracing::error!(%detail, "a request met a state that should not exist");
                Self::new(Kind::Internal, "the host failed; the host's log has details")
            }
        }
    }
}

/// "Not written" and "unknown" are different answers. After "not written" a client may repeat the
/// request. After "unknown" it must first check whether the request took effect.
impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(refused) => refused.into(),
            SubmitError::Fenced => {
                Self::new(Kind::Unavailable, "another task of the host has taken over the run; try again")
            }
            SubmitError::NotWritten(cause) => {
                tracing::error!(%cause, "the journal did not write a request");
                Self::new(Kind::NotWritten, "the journal could not be written, and nothing was changed: try again")
                    .retry_after_s(1)
            }
            SubmitError::Unknown(cause) => {
                tracing::error!(%cause, "the outcome of a write to the journal is unknown");
                let detail = "the disk failed during the write, so the outcome is unknown: read the current state first, then send the same request again";
                Self::new(Kind::OutcomeUnknown, detail).retry_after_s(1)
            }
        }
    }
}

/// A failed read changed nothing. Only the log says which part of the journal failed.
impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        tracing::error!(%error, "the journal could not be read for a request");
        Self::new(Kind::Unavailable, "the journal cannot be read now; the host's log has details").retry_after_s(1)
    }
}

/// After these errors no run was started, with one exception: if a write to the journal has an unknown outcome, the run
/// may have been started.
impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        let detail = error.to_string();
        match error {
            StartError::UnknownAgent { known, .. } => {
                Self::new(Kind::UnknownAgent, detail).known(known.into_iter().map(String::from).collect())
            }
            StartError::TaskTooLong { bytes_max, .. } => Self::new(Kind::TooLarge, detail).max(bytes_max),
            StartError::CannotLoad(_) => Self::new(Kind::CannotRun, detail),
            StartError::Busy(_) => Self::new(Kind::Unavailable, detail).retry_after_s(1),
            StartError::Journal(error) => error.into(),
        }
    }
}

/// After each of these errors the call is unchanged, because an edit is judged completely before
/// anything is written.
impl From<ReviseError> for Problem {
    fn from(error: ReviseError) -> Self {
        let detail = error.to_string();
        match error {
            ReviseError::Mismatch(mismatch) => Self::new(Kind::DoesNotFit, detail).mismatch(mismatch),
            ReviseError::Impossible(_) => Self::new(Kind::NotPossible, detail),
            ReviseError::Forbidden(_) => Self::new(Kind::NotAllowed, detail),
            ReviseError::Unavailable(_) => Self::new(Kind::Unavailable, detail).retry_after_s(1),
        }
    }
}
