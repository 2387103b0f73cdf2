//! The requirement of a call: who must decide, and whether the decisions so far are enough.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::Time;
use crate::name::ReviewerName;
use crate::votes::Vote;

/// A set of the reviewers that the host knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = WhoDecides))]
pub enum Reviewers {
    /// Every reviewer that the host knows.
    Any,
    Named(Vec<ReviewerName>),
}

impl Reviewers {
    /// Whether the set includes the reviewer with this name.
    pub fn includes(&self, name: &ReviewerName) -> bool {
        match self {
            Self::Any => true,
            Self::Named(names) => names.contains(name),
        }
    }

    /// Whether every reviewer of `self` is also in `other`.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        match self {
            Self::Any => *other == Self::Any,
            Self::Named(names) => names.iter().all(|name| other.includes(name)),
        }
    }

    /// The reviewers that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Any, some) | (some, Self::Any) => some.clone(),
            (Self::Named(names), _) => Self::Named(names.iter().filter(|name| other.includes(name)).cloned().collect()),
        }
    }

    /// The reviewers of either set.
    #[must_use]
    pub fn union(&self, more: &Self) -> Self {
        let (Self::Named(ours), Self::Named(theirs)) = (self, more) else { return Self::Any };
        let new = theirs.iter().filter(|name| !ours.contains(name));
        Self::Named(ours.iter().chain(new).cloned().collect())
    }
}

/// A group of reviewers, and how many of them must approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Demand {
    /// The reviewers whose approval counts for the demand.
    pub reviewers: Reviewers,
    /// How many different reviewers must approve; at least 1.
    pub quorum: u32,
}

impl Demand {
    /// Whether approvals that meet `self` always meet `other` too.
    pub fn covers(&self, other: &Self) -> bool {
        self.quorum >= other.quorum && self.reviewers.is_subset_of(&other.reviewers)
    }
}

/// Further reviewers who may decide if a deadline passes without a decision, and the time that they get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Escalation {
    /// The reviewers whose approval counts for every demand after the escalation.
    pub reviewers: Reviewers,
    /// How long after the escalation the approval expires, or escalates again, in milliseconds.
    pub within_ms: u64,
}

/// The requirement of a held call: who must approve it, and within which limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The stages in order: at least one, each with a demand. A stage begins once the demands before it are met.
    pub stages: Vec<Vec<Demand>>,
    /// Whether four-eyes applies: the person who started the run or edited the action may not approve the action.
    pub four_eyes: bool,
    /// How many different reviewers must reject the call before it is rejected. With 1, each reviewer has a veto.
    pub rejections: u32,
    /// When the approval expires or first escalates. If absent, the approval never expires.
    pub expires_at: Option<Time>,
    /// The escalations in order. The approval expires at the deadline after the last escalation.
    pub escalations: Vec<Escalation>,
    /// The reviewers who may make a grant with their approval, if the call needs no other approval.
    pub grantors: Reviewers,
    /// The largest time between the reviewer's sign-in and the approval, in milliseconds.
    pub sign_in_within_ms: Option<u64>,
    /// How long after the clearance the effect may still start, in milliseconds.
    pub start_within_ms: u64,
}

/// Why a reviewer may not decide on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEligible {
    /// The requirement does not name the reviewer.
    #[error("the requirement of this call names other reviewers, not you")]
    NotNamed,
    /// The requirement names the reviewer for a later stage.
    #[error("an earlier stage must be approved before your stage")]
    NotYet,
    /// The requirement names the reviewer for an earlier stage only, which is approved already.
    #[error("your stage is already approved: the reviewers of a later stage decide on this call now")]
    NotAnyMore,
    /// The delegate's own approval is needed in a later stage.
    #[error("you cannot approve this stage as a delegate, because a later stage needs your own approval")]
    NeededLater,
    /// The absent reviewer has decided the opposite in their own name.
    #[error("the reviewer you act for has made the opposite decision: a delegate cannot overrule this reviewer")]
    SaidOtherwise,
    #[error("the person who started the run cannot approve its calls (four-eyes)")]
    StartedTheRun,
    #[error("the person who edited the action cannot approve it (four-eyes)")]
    EditedIt,
    #[error("your sign-in is too old to approve this call: sign in again")]
    SignInAgain,
}

impl Requirement {
    /// A requirement with one demand: no four-eyes, no deadline, and one rejection is enough to reject the call.
    pub fn plain(reviewers: Reviewers, quorum: u32, start_within_ms: u64) -> Self {
        Self {
            stages: vec![vec![Demand { reviewers, quorum }]],
            four_eyes: false,
            rejections: 1,
            expires_at: None,
            escalations: Vec::new(),
            grantors: Reviewers::Named(Vec::new()),
            sign_in_within_ms: None,
            start_within_ms,
        }
    }

    /// Whether a stage or one of the first `level` escalations names `reviewer`.
    pub fn admits(&self, reviewer: &ReviewerName, level: usize) -> Result<(), NotEligible> {
        let named = (0..self.stages.len()).any(|stage| self.admits_in(reviewer, stage, level));
        if named { Ok(()) } else { Err(NotEligible::NotNamed) }
    }

    /// Whether this stage or one of the first `level` escalations names `reviewer`.
    pub fn admits_in(&self, reviewer: &ReviewerName, stage: usize, level: usize) -> bool {
        let demands = self.stages.get(stage).into_iter().flatten();
        demands.map(|demand| &demand.reviewers).chain(self.escalated(level)).any(|of| of.includes(reviewer))
    }

    /// The reviewers of the first `level` escalations.
    pub fn escalated(&self, level: usize) -> impl Iterator<Item = &Reviewers> {
        self.escalations.iter().take(level).map(|escalation| &escalation.reviewers)
    }

    /// Whether four-eyes bars `reviewer` from approving.
    pub fn bars(
        &self,
        reviewer: &ReviewerName,
        started_by: &ReviewerName,
        edited_by: Option<&ReviewerName>,
    ) -> Result<(), NotEligible> {
        if self.four_eyes && reviewer == started_by {
            return Err(NotEligible::StartedTheRun);
        }
        if self.four_eyes && edited_by == Some(reviewer) {
            return Err(NotEligible::EditedIt);
        }
        Ok(())
    }

    /// Whether `by` may make a grant: the call needs no approval besides that of `by`, and `by` is one of the grantors.
    pub fn may_be_granted_by(
        &self,
        by: &ReviewerName,
        started_by: &ReviewerName,
        edited_by: Option<&ReviewerName>,
    ) -> bool {
        let alone = |demand: &Demand| demand.quorum <= 1 && demand.reviewers.includes(by);
        self.stages.len() == 1
            && self.stages.iter().flatten().all(alone)
            && self.bars(by, started_by, edited_by).is_ok()
            && self.sign_in_within_ms.is_none()
            && self.grantors.includes(by)
    }

    /// Whether a later stage names `reviewer`. If so, the reviewer may not approve now as a delegate: a person has one
    /// vote, and the later stage needs it.
    pub fn decides_in_later_stage(&self, reviewer: &ReviewerName, stage: usize) -> bool {
        (stage + 1..self.stages.len()).any(|later| self.admits_in(reviewer, later, 0))
    }

    /// How many more reviewers each demand of a stage needs, in the order of the demands.
    pub fn missing(&self, stage: usize, level: usize, votes: &[Vote]) -> Vec<u32> {
        let now = || votes.iter().filter(|vote| vote.stage == stage);
        let counts = |demand: &Demand| {
            let counts = |vote: &&Vote| {
                let right = vote.on_behalf_of();
                demand.reviewers.includes(right) || self.escalated(level).any(|of| of.includes(right))
            };
            let found = people(now().filter(counts)).len();
            demand.quorum.max(1).saturating_sub(u32::try_from(found).unwrap_or(u32::MAX))
        };
        self.stages.get(stage).into_iter().flatten().map(counts).collect()
    }

    /// The smallest number of reviewers who must still approve, in this stage and all later stages. A reviewer counts
    /// for one stage only.
    pub fn still_needed(&self, stage: usize, level: usize, votes: &[Vote]) -> u32 {
        let later = (stage + 1..self.stages.len()).map(|later| self.still_missing(later, level, &[]));
        later.fold(self.still_missing(stage, level, votes), u32::saturating_add)
    }

    /// The smallest number of reviewers who must still approve in one stage.
    pub(crate) fn still_missing(&self, stage: usize, level: usize, votes: &[Vote]) -> u32 {
        self.missing(stage, level, votes).into_iter().max().unwrap_or(0)
    }

    /// The requirement of an edit after `level` escalations: the stricter parts of this requirement and of policy's
    /// requirement `new`. Reviewers of an escalation also count for a demand that is in both requirements.
    #[must_use]
    pub fn after_edit(&self, new: &Self, level: usize, expires_at: Option<Time>) -> Self {
        let mut more = new.clone();
        for (demands, old) in more.stages.iter_mut().zip(&self.stages) {
            demands.retain(|demand| !old.iter().any(|old| old.covers(demand)));
        }
        self.after_escalation(level, expires_at).strictest(&more)
    }

    /// The requirement of a new revision after `level` escalations. It keeps the reviewers of these escalations.
    #[must_use]
    pub fn after_escalation(&self, level: usize, expires_at: Option<Time>) -> Self {
        let mut now = self.clone();
        for demand in now.stages.iter_mut().flatten() {
            demand.reviewers = self.escalated(level).fold(demand.reviewers.clone(), |all, more| all.union(more));
        }
        now.escalations.drain(..level.min(self.escalations.len()));
        now.expires_at = expires_at;
        now
    }

    /// Joins two requirements: of each part, the stricter version is taken. A stage has the demands of both, except
    /// those that another demand covers. The deadline and the escalations are those of the requirement with the earlier
    /// deadline.
    #[must_use]
    pub fn strictest(&self, other: &Self) -> Self {
        let mut stages = Vec::new();
        for stage in 0..self.stages.len().max(other.stages.len()) {
            let both = [self, other].into_iter().filter_map(|one| one.stages.get(stage)).flatten();
            stages.push(distinct(both.cloned().collect()));
        }
        let least = |ours: Option<u64>, theirs: Option<u64>| ours.into_iter().chain(theirs).min();
        let time = |one: &Self| (one.expires_at.map_or(u64::MAX, |Time(at)| at), one.escalations.len());
        let sooner = if time(self) <= time(other) { self } else { other };
        Self {
            stages,
            four_eyes: self.four_eyes || other.four_eyes,
            rejections: self.rejections.min(other.rejections),
            expires_at: sooner.expires_at,
            escalations: sooner.escalations.clone(),
            grantors: self.grantors.intersection(&other.grantors),
            sign_in_within_ms: least(self.sign_in_within_ms, other.sign_in_within_ms),
            start_within_ms: self.start_within_ms.min(other.start_within_ms),
        }
    }
}

/// The demands, without those that another demand covers.
fn distinct(demands: Vec<Demand>) -> Vec<Demand> {
    let mut kept: Vec<Demand> = Vec::new();
    for demand in demands {
        if !kept.iter().any(|other| other.covers(&demand)) {
            kept.retain(|other| !demand.covers(other));
            kept.push(demand);
        }
    }
    kept
}

/// The reviewers for whom the votes count, each once. A delegate's vote counts for the absent reviewer.
pub(crate) fn people<'a>(votes: impl Iterator<Item = &'a Vote>) -> BTreeSet<&'a ReviewerName> {
    votes.map(Vote::on_behalf_of).collect()
}
