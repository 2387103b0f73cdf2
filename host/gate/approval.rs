//! Who must decide, and whether those who did are enough.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::Time;
use crate::planted;

/// Who may decide on a held call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reviewers {
    /// Everyone whom the host knows as a reviewer.
    Any,
    /// These, by name.
    Named(Vec<String>),
}

/// What it takes to clear a held call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// Who may decide.
    pub reviewers: Reviewers,
    /// How many different people must approve; at least 1.
    pub quorum: u32,
    /// Whether the person who started the run, or edited the action, is barred from approving it.
    pub four_eyes: bool,
    /// When the approval lapses; never, if absent.
    pub expires_at: Option<Time>,
    /// How long after it was cleared the effect may still start, in milliseconds.
    pub start_within_ms: u64,
}

/// One reviewer's approval of one clearance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who.
    pub reviewer: String,
    /// When.
    pub at: Time,
}

/// Why a person may not decide on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEligible {
    /// Not among the named reviewers.
    #[error("this call is for other reviewers")]
    NotNamed,
    /// Four-eyes: started the run.
    #[error("who started the run cannot approve its calls (four-eyes)")]
    StartedTheRun,
    /// Four-eyes: edited the action.
    #[error("who edited the action cannot approve it (four-eyes)")]
    EditedIt,
}

impl Requirement {
    /// Whether `reviewer` may decide at all.
    pub fn admits(&self, reviewer: &str) -> Result<(), NotEligible> {
        match &self.reviewers {
            Reviewers::Any => Ok(()),
            Reviewers::Named(names) if names.iter().any(|name| name == reviewer) => Ok(()),
            Reviewers::Named(_) => Err(NotEligible::NotNamed),
        }
    }

    /// Whether `reviewer` may approve: admitted, and not barred by four-eyes.
    pub fn admits_approval(
        &self,
        reviewer: &str,
        started_by: &str,
        edited_by: Option<&str>,
    ) -> Result<(), NotEligible> {
        self.admits(reviewer)?;
        if self.four_eyes && reviewer == started_by {
            return Err(NotEligible::StartedTheRun);
        }
        if self.four_eyes && edited_by == Some(reviewer) {
            return Err(NotEligible::EditedIt);
        }
        Ok(())
    }

    /// How many different people are still needed; a person counts once however often they vote.
    pub fn still_needed(&self, votes: &[Vote]) -> u32 {
        let people: BTreeSet<&str> = votes.iter().map(|vote| vote.reviewer.as_str()).collect();
        let people = if planted::is("reviewer-counts-twice") { votes.len() } else { people.len() };
        self.quorum.max(1).saturating_sub(u32::try_from(people).unwrap_or(u32::MAX))
    }

    /// Whether the approval has lapsed.
    pub fn has_expired(&self, now: Time) -> bool {
        self.expires_at.is_some_and(|expires_at| now >= expires_at) && !planted::is("expired-approval-runs")
    }

    /// The stricter of two requirements in each part: an edit cannot loosen what the original asked for.
    pub fn strictest(&self, other: &Self) -> Self {
        let reviewers = match (&self.reviewers, &other.reviewers) {
            (Reviewers::Any, named) | (named, Reviewers::Any) => named.clone(),
            (Reviewers::Named(ours), Reviewers::Named(theirs)) => {
                Reviewers::Named(ours.iter().filter(|name| theirs.contains(name)).cloned().collect())
            }
        };
        Self {
            reviewers,
            quorum: self.quorum.max(other.quorum),
            four_eyes: self.four_eyes || other.four_eyes,
            expires_at: match (self.expires_at, other.expires_at) {
                (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
                (one, None) | (None, one) => one,
            },
            start_within_ms: self.start_within_ms.min(other.start_within_ms),
        }
    }
}
