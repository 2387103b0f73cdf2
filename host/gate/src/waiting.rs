//! The approvals that a call still needs, its deadline, and the totals that count it.

use serde::{Deserialize, Serialize};

use crate::approval::people;
use crate::approval::{Demand, NotEligible, Reviewers};
use crate::call::Call;
use crate::ids::{RunId, Time};
use crate::name::ReviewerName;
use crate::phase::Phase;
use crate::run::Run;
use crate::totals::{Counter, counters};

/// A demand of the current stage, and the approvals that it still needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = Waiting))]
pub struct OpenDemand {
    /// The number of the stage, from 1.
    pub stage: usize,
    /// The number of stages.
    pub stages: usize,
    /// The reviewers whose approval would count now: without those who have approved and those barred by four-eyes.
    pub reviewers: Reviewers,
    /// How many more approvals the demand needs.
    pub more: u32,
}

impl Call {
    /// The demands of the current stage; empty if the call is not held.
    pub fn waiting_for(&self, started_by: &ReviewerName) -> Vec<OpenDemand> {
        let (Phase::Held, Some(requirement)) = (&self.phase, self.requirement()) else { return Vec::new() };
        let missing = requirement.missing(self.stage, self.level, &self.votes);
        let demands = requirement.stages.get(self.stage).into_iter().flatten();
        let open = |name: &ReviewerName| {
            !self.has_vote_of(name) && requirement.bars(name, started_by, self.edited_by.as_ref()).is_ok()
        };
        let waiting = |(demand, more): (&Demand, u32)| {
            let all = requirement.escalated(self.level).fold(demand.reviewers.clone(), |all, more| all.union(more));
            let reviewers = match all {
                Reviewers::Any => Reviewers::Any,
                Reviewers::Named(names) => Reviewers::Named(names.into_iter().filter(open).collect()),
            };
            OpenDemand { stage: self.stage + 1, stages: requirement.stages.len(), reviewers, more }
        };
        demands.zip(missing).map(waiting).collect()
    }

    /// The time at which the call expires or escalates if nobody acts.
    pub fn deadline(&self) -> Option<Time> {
        match &self.phase {
            Phase::Held => match (self.level, self.requirement()) {
                (0, requirement) => requirement.and_then(|requirement| requirement.expires_at),
                (level, requirement) => requirement
                    .and_then(|requirement| requirement.escalations.get(level - 1))
                    .map(|escalation| self.waits_since.plus_ms(escalation.within_ms)),
            },
            Phase::Cleared { start_by } | Phase::Approved { start_by } => Some(*start_by),
            Phase::Refused(_)
            | Phase::Started
            | Phase::Succeeded { .. }
            | Phase::Failed { .. }
            | Phase::InDoubt { .. }
            | Phase::Unresolved { .. }
            | Phase::Rejected { .. }
            | Phase::Answered { .. }
            | Phase::Expired
            | Phase::Cancelled => None,
        }
    }

    /// Whether the time for decisions is over. After a deadline that is followed by an escalation, the time is not
    /// over, because the earlier reviewers may still decide, too.
    pub fn has_expired(&self, now: Time) -> bool {
        let last = self.requirement().is_none_or(|requirement| self.level >= requirement.escalations.len());
        last && self.deadline().is_some_and(|deadline| now >= deadline)
    }

    /// Whether the requirement or a past escalation names `reviewer`.
    pub fn admits(&self, reviewer: &ReviewerName) -> Result<(), NotEligible> {
        self.requirement().ok_or(NotEligible::NotNamed)?.admits(reviewer, self.level)
    }

    /// Whether `reviewer` may approve now: admitted in this stage, and not barred by four-eyes.
    pub fn admits_approval(&self, reviewer: &ReviewerName, started_by: &ReviewerName) -> Result<(), NotEligible> {
        self.admits(reviewer)?;
        let requirement = self.requirement().ok_or(NotEligible::NotNamed)?;
        requirement.bars(reviewer, started_by, self.edited_by.as_ref())?;
        if requirement.admits_in(reviewer, self.stage, self.level) {
            return Ok(());
        }
        let later = (self.stage..requirement.stages.len()).any(|later| requirement.admits_in(reviewer, later, 0));
        Err(if later { NotEligible::NotYet } else { NotEligible::NotAnyMore })
    }

    /// Whether this reviewer has approved the current clearance, personally or through a delegate.
    pub fn has_vote_of(&self, name: &ReviewerName) -> bool {
        self.votes.iter().any(|vote| vote.is_of(name))
    }

    /// The smallest number of reviewers who must still approve.
    pub fn still_needed(&self) -> u32 {
        match (&self.phase, self.requirement()) {
            (Phase::Held, Some(requirement)) => requirement.still_needed(self.stage, self.level, &self.votes),
            _ => 0,
        }
    }

    /// Whether the call has all needed approvals.
    pub(crate) fn is_approved(&self) -> bool {
        let (votes, level) = (&self.votes, self.level);
        self.requirement().is_some_and(|requirement| {
            (0..requirement.stages.len()).all(|stage| requirement.still_missing(stage, level, votes) == 0)
        })
    }

    /// How many more reviewers must reject the call before it is rejected.
    pub fn rejections_needed(&self) -> u32 {
        let needed = self.requirement().map_or(1, |requirement| requirement.rejections.max(1));
        let said = u32::try_from(people(self.rejections.iter()).len()).unwrap_or(u32::MAX);
        needed.saturating_sub(said)
    }

    /// Whether running totals count the call: the call was cleared or approved, and its effect may happen, has happened
    /// or may have happened.
    pub(crate) fn counts(&self) -> bool {
        match &self.phase {
            Phase::Cleared { .. }
            | Phase::Approved { .. }
            | Phase::Started
            | Phase::Succeeded { .. }
            | Phase::InDoubt { .. }
            | Phase::Unresolved { .. } => !self.is_question(),
            Phase::Refused(_)
            | Phase::Held
            | Phase::Failed { .. }
            | Phase::Rejected { .. }
            | Phase::Answered { .. }
            | Phase::Expired
            | Phase::Cancelled => false,
        }
    }

    /// The totals that count the call.
    pub fn counters(&self, id: &RunId, run: &Run) -> Vec<Counter> {
        let (Some(at), capability) = (self.counted_at, self.action().capability()) else { return Vec::new() };
        let granted = self.proposal().and_then(|proposal| proposal.policy.grant.clone());
        let granted = granted.map(|grant| Counter::of_grant(&grant, capability));
        counters(id, &run.agent, capability, at).into_iter().chain(granted).collect()
    }
}
