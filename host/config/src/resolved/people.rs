//! What is asked of people, and who decides in whose place.

use holdshort_gate::{Requirement, Reviewers, Time};
use serde::Serialize;

/// What it takes to clear a held call.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Approval {
    /// Who may decide.
    pub reviewers: Reviewers,
    /// How many different people must approve.
    pub quorum: u32,
    /// Whether who started the run, or edited the action, is barred from approving it.
    pub four_eyes: bool,
    /// Who of those who clear a call alone may have more like it cleared; policy files say it instead, where there are any.
    pub grantors: Vec<String>,
    /// How long a call waits for decisions; for ever, if absent.
    pub expires_after_ms: Option<u64>,
    /// How long after it was cleared the effect may still start.
    pub start_within_ms: u64,
}

impl Approval {
    /// The requirement for a call that is held at `now`.
    pub fn requirement(&self, now: Time) -> Requirement {
        Requirement {
            four_eyes: self.four_eyes,
            expires_at: self.expires_after_ms.map(|ms| now.plus_ms(ms)),
            grantors: Reviewers::Named(self.grantors.clone()),
            ..Requirement::plain(self.reviewers.clone(), self.quorum, self.start_within_ms)
        }
    }
}

/// Somebody decides in somebody's place until a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Delegation {
    /// Whose place.
    pub from: String,
    /// Who decides in it.
    pub to: String,
    /// The first moment at which they do not any more.
    pub until: Time,
}
