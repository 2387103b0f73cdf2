//! The life of one consequential call: one state, one `apply`; recovery goes through the same function.

use crate::action::Action;
use crate::approval::{Requirement, Vote};
use crate::clearance::{EffectClass, Proposal};
use crate::decision::Decision;
use crate::event::Event;
use crate::grant::Granted;
use crate::ids::{CallNumber, Digest, Time};
use crate::phase::{Answer, Phase};

/// A decision and when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// When.
    pub at: Time,
    /// What.
    pub decision: Decision,
}

/// What a lookup found, in words, and when that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedUp {
    /// When.
    pub at: Time,
    /// What was looked at, and what it showed.
    pub evidence: String,
}

/// An attempt that certainly did not happen and is made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOff {
    /// Not before this time.
    pub until: Time,
    /// Why it did not happen.
    pub reason: String,
}

/// The content of a call: a proposal, or the action alone if the call was refused at once.
#[derive(Clone, Debug, PartialEq)]
pub enum CallContent {
    /// Put to policy and people.
    Proposed(Box<Proposal>),
    /// Refused before that.
    Refused(Box<Action>),
}

/// One consequential call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its number within the run.
    pub number: CallNumber,
    /// When it was proposed.
    pub proposed_at: Time,
    /// What it is about now.
    pub matter: CallContent,
    /// 1, and one more for each edit and change of facts.
    pub revision: u32,
    /// The digest that a decision must name now.
    pub clearance: Option<Digest>,
    /// Who edited the current revision.
    pub edited_by: Option<String>,
    /// Approvals of the current clearance.
    pub votes: Vec<Vote>,
    /// Rejections of the current clearance, counted apart.
    pub rejections: Vec<Vote>,
    /// The stage that is decided on, from 0.
    pub stage: usize,
    /// How often it was escalated.
    pub level: usize,
    /// When the current revision began.
    pub revised_at: Time,
    /// The last escalation, or else the beginning of the revision. The time of an escalation counts from here.
    pub waits_since: Time,
    /// When it was cleared or approved; absent once it certainly did not happen. Running totals count by this time.
    pub counted_at: Option<Time>,
    /// The standing grant that was made with it.
    pub granted: Option<Granted>,
    /// Every decision ever made on it, oldest first.
    pub decisions: Vec<Decided>,
    /// What changed, if it was held again.
    pub reheld: Option<String>,
    /// How many attempts were begun.
    pub attempts: u32,
    /// The phase from which the current attempt started.
    pub started_from: Option<Phase>,
    /// The last attempt, while it is postponed.
    pub put_off: Option<PutOff>,
    /// Whether an earlier attempt is still in doubt, because a person ordered "send again".
    pub sent_again: bool,
    /// When the last attempt was begun.
    pub started_at: Option<Time>,
    /// The finding of the last lookup of the current attempt, conclusive or not.
    pub looked_up: Option<LookedUp>,
    /// When its last event was written. For a call that is over, this is its end.
    pub changed_at: Time,
    /// Where it stands.
    pub phase: Phase,
}

/// The name that stands for "the call had to be decided again" as the revoker of a grant. No reviewer has this name, because names have no space.
const FACTS: &str = "changed facts";

/// An event that cannot follow the events before it: the journal was damaged or written by another program.
#[derive(Debug, thiserror::Error)]
#[error("the event `{event}` cannot follow {place}")]
pub struct Inconsistent {
    /// The event's kind.
    pub event: String,
    /// Where it was met.
    pub place: String,
}

impl Call {
    /// The call that an opening event brings to life, or nothing if the event opens none.
    pub fn open(event: &Event, at: Time) -> Option<Self> {
        let new = |number: &CallNumber, matter, clearance: Option<&Digest>, phase| Self {
            number: *number,
            proposed_at: at,
            matter,
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
            put_off: None,
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

    /// Follows one event of this call.
    pub fn apply(&mut self, event: &Event, at: Time) -> Result<(), Inconsistent> {
        // The life of a grant is no part of the life of its call.
        if !matches!(event, Event::GrantRevoked { .. }) {
            self.changed_at = at;
        }
        self.follow(event, at)?;
        self.counted_at = self.counted_at.or(Some(at)).filter(|_| self.counts());
        Ok(())
    }

    fn follow(&mut self, event: &Event, at: Time) -> Result<(), Inconsistent> {
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
            Event::GrantMade { by, grant, .. } => self.granted = Some(Granted::new(grant, by, at)),
            Event::GrantRevoked { by, .. } => {
                self.granted.iter_mut().for_each(|granted| granted.revoked = Some((by.clone(), at)));
            }
            Event::CallAnswered { answer, .. } => self.phase = Phase::Answered { answer: answer.clone() },
            Event::CallExpired { .. } => self.phase = Phase::Expired,
            Event::CallCancelled { .. } => self.phase = Phase::Cancelled,
            Event::EffectStarted { attempt, .. } => self.started(*attempt, at),
            Event::EffectPostponed { until, reason, .. } => self.put_off(*until, reason),
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
                return Err(Inconsistent {
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
        self.matter = CallContent::Proposed(Box::new(proposal.clone()));
        self.clearance = Some(clearance);
        self.reheld = None;
        self.started_from = None;
        // The approval of the grant has fallen, so the grant has fallen too.
        if let Some(granted) = self.granted.as_mut().filter(|granted| granted.revoked.is_none()) {
            granted.revoked = Some((FACTS.into(), at));
        }
        self.votes.clear();
        self.rejections.clear();
        self.stage = 0;
        self.level = 0;
        self.revised_at = at;
        self.waits_since = at;
        self.phase = Phase::Held;
    }

    /// The proposal, unless the call was refused before there was one.
    pub fn proposal(&self) -> Option<&Proposal> {
        match &self.matter {
            CallContent::Proposed(proposal) => Some(proposal),
            CallContent::Refused(_) => None,
        }
    }

    /// The requirement of the call; none if the call was refused at once.
    pub fn requirement(&self) -> Option<&Requirement> {
        self.proposal().map(|proposal| &proposal.requirement)
    }

    /// The action as it stands now.
    pub fn action(&self) -> &Action {
        match &self.matter {
            CallContent::Proposed(proposal) => &proposal.action,
            CallContent::Refused(action) => action,
        }
    }

    /// Whether the call asks a person a question, so that there is nothing to perform.
    pub fn is_question(&self) -> bool {
        self.proposal().is_some_and(|proposal| proposal.class == EffectClass::Question)
    }

    /// What the agent is told, once the call is over.
    pub fn answer(&self) -> Option<Answer> {
        self.phase.answer()
    }
}
