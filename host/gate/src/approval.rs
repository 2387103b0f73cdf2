//! Who must decide, and whether those who did are enough.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::Time;

/// Some of the people whom the host knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reviewers {
    /// Everyone whom the host knows as a reviewer.
    Any,
    /// These, by name.
    Named(Vec<String>),
}

impl Reviewers {
    /// Whether this person is among them.
    pub fn include(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Named(names) => names.iter().any(|named| named == name),
        }
    }

    /// Whether everyone of `self` is one of `other`.
    pub fn are_within(&self, other: &Self) -> bool {
        match self {
            Self::Any => *other == Self::Any,
            Self::Named(names) => names.iter().all(|name| other.include(name)),
        }
    }

    /// Those who are among both.
    #[must_use]
    pub fn both(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Any, some) | (some, Self::Any) => some.clone(),
            (Self::Named(names), _) => Self::Named(names.iter().filter(|name| other.include(name)).cloned().collect()),
        }
    }

    /// Those of both.
    #[must_use]
    pub fn and(&self, more: &Self) -> Self {
        let (Self::Named(ours), Self::Named(theirs)) = (self, more) else { return Self::Any };
        let new = theirs.iter().filter(|name| !ours.contains(name));
        Self::Named(ours.iter().chain(new).cloned().collect())
    }
}

/// So many of these must approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// The people whose approval counts for it.
    pub reviewers: Reviewers,
    /// How many different people; at least 1.
    pub quorum: u32,
}

impl Demand {
    /// Whether approvals that meet `self` always meet `other` too.
    pub fn covers(&self, other: &Self) -> bool {
        self.quorum >= other.quorum && self.reviewers.are_within(&other.reviewers)
    }
}

/// Further people who may decide when nobody has decided in time, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// The people whose approval counts for every demand from then on.
    pub reviewers: Reviewers,
    /// How long after the escalation the approval lapses, or escalates again, in milliseconds.
    pub within_ms: u64,
}

/// What it takes to clear a held call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The stages in order; all demands of a stage must be met before the next begins. There is at least one stage, with at least one demand.
    pub stages: Vec<Vec<Demand>>,
    /// Whether the person who started the run, or edited the action, is barred from approving it.
    pub four_eyes: bool,
    /// How many different people must reject it before it is rejected. With 1, each has a veto.
    pub rejections: u32,
    /// When the approval lapses, or is escalated for the first time; never, if absent.
    pub expires_at: Option<Time>,
    /// What happens then, in order; after the last of them it lapses.
    pub escalations: Vec<Escalation>,
    /// The people who may make a standing grant with their approval, if they can clear the call alone.
    pub grantors: Reviewers,
    /// The largest time between the reviewer's sign-in and the approval, in milliseconds.
    pub sign_in_within_ms: Option<u64>,
    /// How long after it was cleared the effect may still start, in milliseconds.
    pub start_within_ms: u64,
}

/// One reviewer's approval or rejection of one clearance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Who.
    pub reviewer: String,
    /// The absent reviewer, if the vote was by delegation.
    pub stands_for: Option<String>,
    /// When.
    pub at: Time,
    /// The stage for which it counts, from 0.
    pub stage: usize,
}

impl Vote {
    /// The person whose right to decide it used: the absent reviewer, or the reviewer.
    pub fn right_of(&self) -> &str {
        self.stands_for.as_deref().unwrap_or(&self.reviewer)
    }

    /// Whether this person voted or was represented: neither may vote again.
    pub fn is_of(&self, name: &str) -> bool {
        self.reviewer == name || self.stands_for.as_deref() == Some(name)
    }
}

/// Why a person may not decide on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEligible {
    /// Not among the named reviewers.
    #[error("other reviewers decide on this call: its requirement does not name you")]
    NotNamed,
    /// Among those of a later stage.
    #[error("an earlier stage must be approved before yours")]
    NotYet,
    /// Among those of an earlier stage, which is done.
    #[error("your stage is approved already: other reviewers must approve this call now")]
    NotAnyMore,
    /// A deputy whose own approval is needed in a later stage.
    #[error("a later stage needs your own approval: you cannot approve this stage as a delegate")]
    NeededLater,
    /// A deputy of a person who has said the opposite.
    #[error("the reviewer you act for has decided otherwise: a delegate cannot overrule them")]
    SaidOtherwise,
    /// Four-eyes: started the run.
    #[error("the person who started the run cannot approve its calls (four-eyes)")]
    StartedTheRun,
    /// Four-eyes: edited the action.
    #[error("the person who edited the action cannot approve it (four-eyes)")]
    EditedIt,
    /// Signed in too long ago.
    #[error("you signed in too long ago to approve this: sign in again")]
    SignInAgain,
}

impl Requirement {
    /// One demand and nothing else: no four-eyes, no time limit, and each reviewer may reject the call alone.
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

    /// Whether `reviewer` is among those of any stage, or of the first `level` escalations.
    pub fn admits(&self, reviewer: &str, level: usize) -> Result<(), NotEligible> {
        let named = (0..self.stages.len()).any(|stage| self.admits_in(reviewer, stage, level));
        if named { Ok(()) } else { Err(NotEligible::NotNamed) }
    }

    /// Whether `reviewer` is among those of this stage, or of the first `level` escalations.
    pub fn admits_in(&self, reviewer: &str, stage: usize, level: usize) -> bool {
        let demands = self.stages.get(stage).into_iter().flatten();
        demands.map(|demand| &demand.reviewers).chain(self.escalated(level)).any(|of| of.include(reviewer))
    }

    /// Those whom the first `level` escalations admit.
    pub fn escalated(&self, level: usize) -> impl Iterator<Item = &Reviewers> {
        self.escalations.iter().take(level).map(|escalation| &escalation.reviewers)
    }

    /// Whether four-eyes bars `reviewer` from approving.
    pub fn bars(&self, reviewer: &str, started_by: &str, edited_by: Option<&str>) -> Result<(), NotEligible> {
        if self.four_eyes && reviewer == started_by {
            return Err(NotEligible::StartedTheRun);
        }
        if self.four_eyes && edited_by == Some(reviewer) {
            return Err(NotEligible::EditedIt);
        }
        Ok(())
    }

    /// Whether a standing grant of `by` is enough: `by` alone could clear the call, and is one of the grantors.
    pub fn may_be_granted_by(&self, by: &str, started_by: &str, edited_by: Option<&str>) -> bool {
        let alone = |demand: &Demand| demand.quorum <= 1 && demand.reviewers.include(by);
        self.stages.len() == 1
            && self.stages.iter().flatten().all(alone)
            && self.bars(by, started_by, edited_by).is_ok()
            && self.sign_in_within_ms.is_none()
            && self.grantors.include(by)
    }

    /// Whether `reviewer` is needed in a later stage. A person counts once, so a deputy in this stage would be missing there.
    pub fn asks_later(&self, reviewer: &str, stage: usize) -> bool {
        (stage + 1..self.stages.len()).any(|later| self.admits_in(reviewer, later, 0))
    }

    /// How many more people each demand of a stage needs, in order.
    pub fn missing(&self, stage: usize, level: usize, votes: &[Vote]) -> Vec<u32> {
        let now = || votes.iter().filter(|vote| vote.stage == stage);
        let counts = |demand: &Demand| {
            let counts = |vote: &&Vote| {
                let right = vote.right_of();
                demand.reviewers.include(right) || self.escalated(level).any(|of| of.include(right))
            };
            let found = people(now().filter(counts)).len();
            demand.quorum.max(1).saturating_sub(u32::try_from(found).unwrap_or(u32::MAX))
        };
        self.stages.get(stage).into_iter().flatten().map(counts).collect()
    }

    /// How many more people must approve at least, from a stage on: one person may count for several demands of a stage, and for one stage only.
    pub fn still_needed(&self, stage: usize, level: usize, votes: &[Vote]) -> u32 {
        let later = (stage + 1..self.stages.len()).map(|later| self.still_missing(later, level, &[]));
        later.fold(self.still_missing(stage, level, votes), u32::saturating_add)
    }

    /// The same in one stage.
    pub(crate) fn still_missing(&self, stage: usize, level: usize, votes: &[Vote]) -> u32 {
        self.missing(stage, level, votes).into_iter().max().unwrap_or(0)
    }

    /// The requirement of an edit for which policy asks `new`: the stricter of both, after `level` escalations.
    /// People of an escalation count for the earlier demands, also where policy asks for the same demand again.
    #[must_use]
    pub fn for_an_edit(&self, new: &Self, level: usize, expires_at: Option<Time>) -> Self {
        let mut more = new.clone();
        for (demands, old) in more.stages.iter_mut().zip(&self.stages) {
            demands.retain(|demand| !old.iter().any(|old| old.covers(demand)));
        }
        self.once_escalated(level, expires_at).strictest(&more)
    }

    /// The requirement of a new revision after `level` escalations, which lapses at `expires_at`. People of an escalation stay.
    #[must_use]
    pub fn once_escalated(&self, level: usize, expires_at: Option<Time>) -> Self {
        let mut now = self.clone();
        for demand in now.stages.iter_mut().flatten() {
            demand.reviewers = self.escalated(level).fold(demand.reviewers.clone(), |all, more| all.and(more));
        }
        now.escalations.drain(..level.min(self.escalations.len()));
        now.expires_at = expires_at;
        now
    }

    /// The stricter of two requirements in each part, so that neither loosens the other. The demands of both stand beside each other in a stage,
    /// unless one covers the other. The requirement with the shorter time also says what happens when that time is over.
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
            grantors: self.grantors.both(&other.grantors),
            sign_in_within_ms: least(self.sign_in_within_ms, other.sign_in_within_ms),
            start_within_ms: self.start_within_ms.min(other.start_within_ms),
        }
    }
}

/// The demands without those that others cover.
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

/// The people who voted, each counted once.
pub(crate) fn people<'a>(votes: impl Iterator<Item = &'a Vote>) -> BTreeSet<&'a str> {
    votes.map(Vote::right_of).collect()
}
