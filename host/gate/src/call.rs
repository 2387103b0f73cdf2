//! The life of one consequential call: one state, changed by one function, `apply`. Recovery uses the same function.

use crate::action::Action;
use crate::approval::Requirement;
use crate::clearance::{EffectClass, Proposal};
use crate::decision::Decision;
use crate::event::Event;
use crate::grant::{GrantRecord, RevokedBy};
use crate::ids::{CallNumber, Digest, Time};
use crate::name::ReviewerName;
use crate::phase::{Answer, Phase};
use crate::votes::Vote;

/// A decision and the time at which it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedDecision {
    /// When the decision was written.
    pub at: Time,
    /// The decision.
    pub decision: Decision,
}

/// The finding of a lookup, in words, and the time at which the finding was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupResult {
    /// When the finding was written.
    pub at: Time,
    /// The checks of the lookup, and their results.
    pub evidence: String,
}

/// The postponement of an effect: the attempt certainly did not happen, and another attempt is made later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postponement {
    /// The next attempt starts at this time at the earliest.
    pub until: Time,
    /// Why the attempt did not happen.
    pub reason: String,
}

/// The content of a call: a proposal, or only the action if the call was refused at once.
#[derive(Clone, Debug, PartialEq)]
pub enum CallContent {
    /// The proposal, on which policy and reviewers decide.
    Proposed(Box<Proposal>),
    /// The action of a call that was refused.
    Refused(Box<Action>),
}

/// One consequential call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The call's number within the run.
    pub number: CallNumber,
    /// When the call was proposed.
    pub proposed_at: Time,
    /// The content of the current revision.
    pub content: CallContent,
    /// The number of the revision, from 1. Each edit and each change of facts begins another revision.
    pub revision: u32,
    /// The digest that a decision must name now.
    pub clearance: Option<Digest>,
    /// The reviewer who edited the current revision.
    pub edited_by: Option<ReviewerName>,
    /// Approvals of the current clearance.
    pub votes: Vec<Vote>,
    /// Rejections of the current clearance. They are counted separately from the approvals.
    pub rejections: Vec<Vote>,
    /// The stage that needs approvals now; the first stage is 0.
    pub stage: usize,
    /// How often the call was escalated.
    pub level: usize,
    /// When the current revision began.
    pub revised_at: Time,
    /// When the last escalation happened, or else when the revision began. The time for an escalation counts from here.
    pub waits_since: Time,
    /// When the call was cleared or approved, for running totals; absent again once the effect certainly did not
    /// happen.
    pub counted_at: Option<Time>,
    /// The grant that a reviewer made together with the approval of this call.
    pub granted: Option<GrantRecord>,
    /// Every decision ever made on the call, oldest first.
    pub decisions: Vec<RecordedDecision>,
    /// The changed facts, if the call was held again.
    pub reheld: Option<String>,
    /// How many attempts have begun.
    pub attempts: u32,
    /// The phase from which the current attempt started.
    pub started_from: Option<Phase>,
    /// The postponement of the last attempt, until the next attempt begins.
    pub postponed: Option<Postponement>,
    /// Whether a reviewer resolved an earlier attempt with "send again", so that the outcome of that attempt is still
    /// unknown.
    pub sent_again: bool,
    /// When the last attempt began.
    pub started_at: Option<Time>,
    /// The finding of the last lookup of the current attempt, conclusive or not.
    pub looked_up: Option<LookupResult>,
    /// When the last event of the call was written. For a call that is over, this is the time of its end.
    pub changed_at: Time,
    /// The phase of the call.
    pub phase: Phase,
}

/// An event that cannot follow the events before it: the journal was damaged or written by another program.
#[derive(Debug, thiserror::Error)]
#[error("the event `{event}` cannot follow {place}")]
pub struct InconsistentEvent {
    /// The kind of the event.
    pub event: String,
    /// The call or the state that the event cannot follow.
    pub place: String,
}

impl Call {
    /// The call that the event opens; `None` if the event opens no call.
    pub fn open(event: &Event, at: Time) -> Option<Self> {
        let new = |number: &CallNumber, content, clearance: Option<&Digest>, phase| Self {
            number: *number,
            proposed_at: at,
            content,
            revision: 1,
            clearance: clearance.copied(),
            edited_by: None,
            votes: Vec::new(),
            rejections: Vec::new(),
            stage: 0,
            level: 0,
            revised_at: at,
            waits_since: at,
            counted_at: None,
            granted: None,
            decisions: Vec::new(),
            reheld: None,
            attempts: 0,
            started_from: None,
            postponed: None,
            sent_again: false,
            started_at: None,
            looked_up: None,
            changed_at: at,
            phase,
        };
        #[allow(clippy::wildcard_enum_match_arm, reason = "only three events open a call; `apply` is exhaustive")]
        match event {
            Event::CallCleared { call, proposal, clearance } => {
                let start_by = at.plus_ms(proposal.requirement.start_within_ms);
                let cleared =
                    new(call, CallContent::Proposed(proposal.clone()), Some(clearance), Phase::Cleared { start_by });
                Some(Self { counted_at: Some(at), ..cleared })
            }
            Event::CallHeld { call, proposal, clearance } => {
                Some(new(call, CallContent::Proposed(proposal.clone()), Some(clearance), Phase::Held))
            }
            Event::CallRefused { call, action, refusal, .. } => {
                Some(new(call, CallContent::Refused(action.clone()), None, Phase::Refused(refusal.clone())))
            }
            _ => None,
        }
    }

    /// Changes the call as one event of this call says.
    pub fn apply(&mut self, event: &Event, at: Time) -> Result<(), InconsistentEvent> {
        // The revocation of a grant does not change the call, which may have been over for a long time.
        if !matches!(event, Event::GrantRevoked { .. }) {
            self.changed_at = at;
        }
        self.follow(event, at)?;
        self.counted_at = self.counted_at.or(Some(at)).filter(|_| self.counts());
        Ok(())
    }

    fn follow(&mut self, event: &Event, at: Time) -> Result<(), InconsistentEvent> {
        match event {
            Event::DecisionMade { decision, .. } => self.decided(decision, at),
            Event::CallRevised { revision, by, proposal, clearance, .. } => {
                self.revise(*revision, proposal, *clearance, at);
                self.edited_by = Some(by.clone());
            }
            Event::CallReheld { revision, reason, proposal, clearance, .. } => {
                self.revise(*revision, proposal, *clearance, at);
                self.reheld = Some(reason.clone());
            }
            Event::CallEscalated { level, .. } => self.escalate(*level, at),
            Event::GrantMade { by, grant, .. } => self.granted = Some(GrantRecord::new(grant, by, at)),
            Event::GrantRevoked { by, .. } => {
                self.granted
                    .iter_mut()
                    .for_each(|granted| granted.revoked = Some((RevokedBy::Reviewer(by.clone()), at)));
            }
            Event::CallAnswered { answer, .. } => self.phase = Phase::Answered { answer: answer.clone() },
            Event::CallExpired { .. } => self.phase = Phase::Expired,
            Event::CallCancelled { .. } => self.phase = Phase::Cancelled,
            Event::EffectStarted { attempt, .. } => self.started(*attempt, at),
            Event::EffectPostponed { until, reason, .. } => self.postponed(*until, reason),
            Event::EffectSucceeded { receipt, evidence, .. } => {
                self.looked_up(evidence.as_ref(), at);
                self.phase = Phase::Succeeded { receipt: receipt.clone() };
            }
            Event::EffectFailed { reason, evidence, .. } => {
                self.looked_up(evidence.as_ref(), at);
                self.phase = Phase::Failed { reason: reason.clone() };
            }
            Event::EffectInDoubt { reason, .. } => self.phase = Phase::InDoubt { reason: reason.clone() },
            Event::EffectLookedUp { evidence, .. } => self.looked_up(Some(evidence), at),
            Event::EffectResolved { resolution, message, .. } => self.resolved(resolution, message.as_ref(), at),
            Event::RunCreated { .. }
            | Event::RoutineReturned { .. }
            | Event::CallCleared { .. }
            | Event::CallHeld { .. }
            | Event::CallRefused { .. }
            | Event::TimerSet { .. }
            | Event::TimerFired { .. }
            | Event::RunDelayed { .. }
            | Event::RunFinished { .. }
            | Event::RunTrapped { .. }
            | Event::RunCancelled { .. }
            | Event::RunDiverged { .. } => {
                return Err(InconsistentEvent {
                    event: format!("{event:?}").chars().take(40).collect(),
                    place: format!("call {}", self.number),
                });
            }
        }
        Ok(())
    }

    fn escalate(&mut self, level: usize, at: Time) {
        self.level = level;
        self.waits_since = at;
        self.advance(at);
    }

    fn revise(&mut self, revision: u32, proposal: &Proposal, clearance: Digest, at: Time) {
        self.revision = revision;
        self.content = CallContent::Proposed(Box::new(proposal.clone()));
        self.clearance = Some(clearance);
        self.reheld = None;
        self.started_from = None;
        // The approval that made the grant no longer counts, so the grant ends too.
        if let Some(granted) = self.granted.as_mut().filter(|granted| granted.revoked.is_none()) {
            granted.revoked = Some((RevokedBy::ChangedFacts, at));
        }
        self.votes.clear();
        self.rejections.clear();
        self.stage = 0;
        self.level = 0;
        self.revised_at = at;
        self.waits_since = at;
        self.phase = Phase::Held;
    }

    /// The proposal; `None` if the call was refused.
    pub fn proposal(&self) -> Option<&Proposal> {
        match &self.content {
            CallContent::Proposed(proposal) => Some(proposal),
            CallContent::Refused(_) => None,
        }
    }

    /// The requirement of the call; `None` if the call was refused.
    pub fn requirement(&self) -> Option<&Requirement> {
        self.proposal().map(|proposal| &proposal.requirement)
    }

    /// The action of the current revision.
    pub fn action(&self) -> &Action {
        match &self.content {
            CallContent::Proposed(proposal) => &proposal.action,
            CallContent::Refused(action) => action,
        }
    }

    /// Whether the call asks a reviewer a question. A question has no effect to perform.
    pub fn is_question(&self) -> bool {
        self.proposal().is_some_and(|proposal| proposal.class == EffectClass::Question)
    }

    /// The answer for the agent; `None` while the call is not over.
    pub fn answer(&self) -> Option<Answer> {
        self.phase.answer()
    }
}
