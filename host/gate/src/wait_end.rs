//! How a call stops waiting for reviewers, or for its effect to start.

use crate::call::Call;
use crate::decision::RecordedChoice;
use crate::event::Event;
use crate::phase::Phase;

crate::named_enum! {
    /// How a call stops waiting. Each revision of a call waits separately.
    pub enum WaitEnd {
        /// All required reviewers approved.
        Approved = "approved",
        /// Enough reviewers rejected.
        Rejected = "rejected",
        /// A question was answered.
        Answered = "answered",
        /// A reviewer made another revision.
        Edited = "edited",
        /// The deadline for a decision passed.
        Expired = "expired",
        /// The run was cancelled, or it ended.
        Cancelled = "cancelled",
        /// The call was already cleared, and its effect did not start in time.
        NotStarted = "not-started",
    }
}

impl WaitEnd {
    /// How an event ends the waiting, or `None` if it does not. `call` is the call after the event, and `held` says
    /// whether the call was held before the event.
    ///
    /// With an answer or an edit, the decision itself ends the waiting; the event that follows the decision does not
    /// end it again.
    pub fn of(event: &Event, held: bool, call: &Call) -> Option<Self> {
        if let Event::DecisionMade { decision, .. } = event {
            match decision.verdict {
                RecordedChoice::Respond(_) => return Some(Self::Answered),
                RecordedChoice::Edit(_) => return Some(Self::Edited),
                RecordedChoice::Approve | RecordedChoice::Reject => {}
            }
        }
        match (&call.phase, held) {
            (Phase::Approved { .. }, true) => Some(Self::Approved),
            (Phase::Rejected { .. }, true) => Some(Self::Rejected),
            (Phase::Expired, true) => Some(Self::Expired),
            (Phase::Expired, false) => Some(Self::NotStarted),
            (Phase::Cancelled, true) => Some(Self::Cancelled),
            (
                Phase::Refused(_)
                | Phase::Cleared { .. }
                | Phase::Held
                | Phase::Approved { .. }
                | Phase::Started
                | Phase::Succeeded { .. }
                | Phase::Failed { .. }
                | Phase::InDoubt { .. }
                | Phase::Unresolved { .. }
                | Phase::Rejected { .. }
                | Phase::Answered { .. }
                | Phase::Cancelled,
                _,
            ) => None,
        }
    }
}
