//! The requirement for held calls, and delegations.

use holdshort_gate::{Requirement, ReviewerName, Reviewers, Time};
use serde::Serialize;

/// The requirement for held calls.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Approval {
    /// The reviewers who may decide.
    pub reviewers: Reviewers,
    /// The number of different reviewers who must approve.
    pub quorum: u32,
    /// Whether a reviewer is excluded from approving calls of runs that they started, and actions
    /// that they edited.
    pub four_eyes: bool,
    /// The reviewers who may create a grant if their approval alone clears the call. Policy files,
    /// if any, decide this instead.
    pub grantors: Vec<ReviewerName>,
    /// How long a held call waits for decisions; `None` without a deadline.
    pub expires_after_ms: Option<u64>,
    /// How long after its clearance an effect may still start.
    pub start_within_ms: u64,
}

impl Approval {
    /// The requirement for a call held at `now`.
    pub fn requirement(&self, now: Time) -> Requirement {
        Requirement {
            four_eyes: self.four_eyes,
            expires_at: self.expires_after_ms.map(|ms| now.plus_ms(ms)),
            grantors: Reviewers::Named(self.grantors.clone()),
            ..Requirement::plain(self.reviewers.clone(), self.quorum, self.start_within_ms)
        }
    }
}

/// One reviewer acts for another until a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Delegation {
    /// The absent reviewer.
    pub from: ReviewerName,
    /// The delegate.
    pub to: ReviewerName,
    /// The time at which the delegation ends. At this time it is no longer valid.
    pub until: Time,
}
