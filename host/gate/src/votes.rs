//! How decisions change a call. Approvals count in the stage in which they were made; rejections are counted
//! separately, over all stages.

use crate::call::{Call, RecordedDecision};
use crate::command::Choice;
use crate::decision::{Decision, RecordedChoice};
use crate::event::Event;
use crate::ids::Time;
use crate::name::ReviewerName;
use crate::phase::Phase;

/// One reviewer's approval or rejection of one clearance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The reviewer who decided.
    pub reviewer: ReviewerName,
    /// The absent reviewer, if the vote was by delegation.
    pub stands_for: Option<ReviewerName>,
    /// When the decision was made.
    pub at: Time,
    /// The stage for which the vote counts, from 0.
    pub stage: usize,
}

impl Vote {
    /// The reviewer for whom the vote counts: the absent reviewer of a delegation, or else the reviewer who voted.
    pub fn on_behalf_of(&self) -> &ReviewerName {
        self.stands_for.as_ref().unwrap_or(&self.reviewer)
    }

    /// Whether this is the one vote that the reviewer has: the reviewer voted, or a delegate voted for the reviewer.
    pub fn is_of(&self, name: &ReviewerName) -> bool {
        self.reviewer == *name || self.stands_for.as_ref() == Some(name)
    }
}

impl Call {
    /// Whether an event is the editor's own approval, which the host writes together with an edit.
    pub fn is_editors_own(&self, event: &Event, at: Time) -> bool {
        let Event::DecisionMade { decision: Decision { reviewer, verdict: RecordedChoice::Approve, .. }, .. } = event
        else {
            return false;
        };
        self.edited_by.as_ref() == Some(reviewer) && self.revised_at == at
    }

    /// Whether this reviewer has rejected the call in their own name.
    pub fn is_rejected_by(&self, name: &ReviewerName) -> bool {
        self.rejections.iter().any(|said| is_own(said, name))
    }

    /// Whether this reviewer has decided the opposite in their own name. Only the reviewer can change that decision; a
    /// delegate cannot.
    pub(crate) fn has_decided_otherwise(&self, name: &ReviewerName, choice: &Choice) -> bool {
        match choice {
            Choice::Approve | Choice::Grant(_) | Choice::Edit(_) => self.is_rejected_by(name),
            Choice::Reject => self.votes.iter().any(|said| is_own(said, name) && said.stage == self.stage),
            Choice::Respond(_) => false,
        }
    }

    /// Changes the call as a decision says.
    pub(crate) fn decided(&mut self, decision: &Decision, at: Time) {
        self.decisions.push(RecordedDecision { at, decision: decision.clone() });
        let Decision { reviewer, stands_for, .. } = decision;
        let vote = Vote { reviewer: reviewer.clone(), stands_for: stands_for.clone(), at, stage: self.stage };
        match &decision.verdict {
            RecordedChoice::Approve => self.approve(vote),
            RecordedChoice::Reject => {
                self.withdraw(&vote);
                // A rejection does not count if the delegate or the absent reviewer has rejected already, because each
                // of them counts once.
                if !self.rejections.iter().any(|said| said.is_of(vote.on_behalf_of()) || said.is_of(&vote.reviewer)) {
                    self.rejections.push(vote);
                }
                if self.rejections_needed() == 0 {
                    self.phase = Phase::Rejected { guidance: decision.message.clone().unwrap_or_default() };
                }
            }
            // An answer or an edit changes the phase by another event of the same transaction.
            RecordedChoice::Respond(_) | RecordedChoice::Edit(_) => {}
        }
    }

    fn approve(&mut self, vote: Vote) {
        let at = vote.at;
        self.withdraw(&vote);
        let twice = self.has_vote_of(vote.on_behalf_of()) || self.has_vote_of(&vote.reviewer);
        if twice {
            return;
        }
        self.votes.push(vote);
        self.advance(at);
    }

    /// Begins the next stage if the current stage has all its approvals; after the last stage the call is approved.
    /// This function runs after each approval, and after each escalation, because an escalation can make an earlier
    /// approval count.
    pub(crate) fn advance(&mut self, at: Time) {
        let Some(requirement) = self.requirement().cloned() else { return };
        if requirement.missing(self.stage, self.level, &self.votes).iter().any(|missing| *missing > 0) {
            return;
        }
        self.stage += 1;
        if self.stage >= requirement.stages.len() {
            self.phase = Phase::Approved { start_by: at.plus_ms(requirement.start_within_ms) };
        }
    }

    /// Removes the reviewer's earlier decision, which the new decision replaces. An approval in a finished stage stays.
    fn withdraw(&mut self, vote: &Vote) {
        let stage = self.stage;
        self.rejections.retain(|said| said.on_behalf_of() != vote.on_behalf_of());
        self.votes.retain(|said| said.on_behalf_of() != vote.on_behalf_of() || said.stage != stage);
    }
}

fn is_own(said: &Vote, name: &ReviewerName) -> bool {
    said.reviewer == *name && said.on_behalf_of() == name
}
