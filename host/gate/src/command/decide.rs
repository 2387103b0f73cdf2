//! A reviewer's decision, checked on the state inside the transaction.

use serde_json::Value;

use super::edit::edit;
use super::{Command, Refused, RequiredState, Sealed, Subject};
use crate::approval::NotEligible;
use crate::call::Call;
use crate::clearance::Proposal;
use crate::decision::{Decision, RecordedChoice};
use crate::event::Event;
use crate::grant::{Grant, NotGranted};
use crate::ids::{CallId, Digest, Time};
use crate::name::ReviewerName;
use crate::phase::{CallState, Phase};
use crate::run::Run;

/// The largest number of decisions by one reviewer on one call; after that, the reviewer's last decision stands. The
/// numbers of decisions and of revisions have bounds, because every decision reads all earlier decisions and revisions
/// of the call. The bound is per reviewer, so that no reviewer can use up the decisions of another.
pub const DECISIONS_MAX: usize = 64;
/// The largest number of revisions of a call, by all reviewers together, because each revision may be as long as an
/// action. After that the call can no longer be edited.
pub const REVISIONS_MAX: u32 = 32;

/// A reviewer's choice, with the grant or the new action.
#[derive(Clone, Debug)]
pub enum Choice {
    /// Perform the action.
    Approve,
    /// Perform the action, and clear further calls like it.
    Grant(Box<Grant>),
    /// Do not perform the action. The message is guidance for the agent.
    Reject,
    /// The answer to a question, checked against the function's type.
    Respond(Value),
    /// Perform this action instead.
    Edit(Box<Revision>),
}

/// The new action of an edit. The caller has checked the action against the WIT type and the connector, and policy has
/// not refused the action.
#[derive(Clone, Debug)]
pub struct Revision {
    /// The new action with its own evidence and requirement.
    pub proposal: Proposal,
}

/// One reviewer's decision on one clearance.
#[derive(Clone, Debug)]
pub struct Decide {
    /// The reviewer who decides.
    pub reviewer: ReviewerName,
    /// The absent reviewer, if the decision is by delegation. The caller has checked the delegation.
    pub stands_for: Option<ReviewerName>,
    /// When the reviewer last signed in.
    pub signed_in_at: Time,
    /// The clearance digest that the reviewer was shown.
    pub clearance: Digest,
    /// The reviewer's choice.
    pub choice: Choice,
    /// The reviewer's message.
    pub message: Option<String>,
}

/// The result of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionOutcome {
    /// The state of the call after the decision.
    pub state: CallState,
    /// How many more reviewers must approve; 0 once the call is decided.
    pub still_needed: u32,
    /// The current clearance digest. An edit changes it.
    pub clearance: Digest,
    /// Whether this decision repeats an earlier one, so that nothing was written.
    pub repeated: bool,
}

impl Sealed for Decide {}
impl Command for Decide {
    type About = CallId;
    type Output = DecisionOutcome;

    /// For an edit: the calls that are similar to the edited action, because reviewers are shown these calls.
    fn required_state(&self) -> RequiredState {
        let Choice::Edit(revision) = &self.choice else { return RequiredState::default() };
        RequiredState { similar_to: Some(revision.proposal.similarity()), ..RequiredState::default() }
    }

    fn decide(self, subject: &Subject, now: Time) -> Result<(Vec<Event>, DecisionOutcome), Refused> {
        let (run, call) = subject.call()?;
        let decision = self.record();
        if self.still_counts(call) && self.is_last_word(call, &decision) && self.is_granted(call) {
            return Ok((Vec::new(), outcome(call, true)?));
        }
        let proposal = self.open(run, call, now)?;
        if matches!(self.choice, Choice::Approve) && self.has_voted(call) {
            return Ok((Vec::new(), outcome(call, true)?));
        }
        self.within_bounds(call)?;
        let events = match self.choice {
            Choice::Approve | Choice::Reject => vec![Event::DecisionMade { call: call.number, decision }],
            Choice::Grant(grant) => {
                let (who, editor) = ((&run.agent, &run.started_by), call.edited_by.as_ref());
                // A grant cannot be made by delegation. Below, `may_be_made` also refuses a reviewer whom only an
                // escalation names.
                if decision.stands_for.is_some() {
                    return Err(NotGranted::NotAlone.into());
                }
                // A call can have one grant only, because the call's id names the grant and its total.
                if call.granted.is_some() {
                    return Err(NotGranted::Another.into());
                }
                grant.may_be_made(who, (&decision.reviewer, editor), proposal, now)?;
                let made = Event::GrantMade { call: call.number, by: decision.reviewer.clone(), grant };
                vec![Event::DecisionMade { call: call.number, decision }, made]
            }
            Choice::Respond(answer) => vec![
                Event::DecisionMade { call: call.number, decision },
                Event::CallAnswered { call: call.number, answer },
            ],
            Choice::Edit(revision) => edit(subject, call, proposal, decision, revision.proposal, now)?,
        };
        let mut after = call.clone();
        for event in &events {
            after.apply(event, now).map_err(|_| Refused::WrongPhase(call.phase.state()))?;
        }
        // A grant is made only by a vote that approves the call: not if the vote did not count, and not if further
        // votes are needed.
        if after.granted != call.granted && !matches!(after.phase, Phase::Approved { .. }) {
            return Err(NotGranted::NotAlone.into());
        }
        let outcome = outcome(&after, false)?;
        Ok((events, outcome))
    }
}

impl Decide {
    fn record(&self) -> Decision {
        let verdict = match &self.choice {
            Choice::Approve | Choice::Grant(_) => RecordedChoice::Approve,
            Choice::Reject => RecordedChoice::Reject,
            Choice::Respond(answer) => RecordedChoice::Respond(answer.clone()),
            Choice::Edit(revision) => RecordedChoice::Edit(revision.proposal.action.digest()),
        };
        Decision {
            reviewer: self.reviewer.clone(),
            stands_for: self.stands_for.clone(),
            clearance: self.clearance,
            verdict,
            message: self.message.clone(),
        }
    }

    /// Whether an earlier decision that equals this one would still count, so that this decision is only a repetition.
    /// If facts have changed since, the earlier decision no longer counts, and the sender must be told. An earlier edit
    /// still counts if the call still has the edited action.
    fn still_counts(&self, call: &Call) -> bool {
        match self.choice {
            Choice::Edit(ref revision) => {
                call.action().digest() == revision.proposal.action.digest() && call.reheld.is_none()
            }
            Choice::Approve | Choice::Grant(_) | Choice::Reject | Choice::Respond(_) => {
                call.clearance == Some(self.clearance)
            }
        }
    }

    /// Whether this decision equals the last decision that was made by or for the same reviewer. Decisions before the
    /// last one do not count: if a reviewer approves, rejects and approves again, the second approval is no repetition.
    fn is_last_word(&self, call: &Call, decision: &Decision) -> bool {
        let of_right = |said: &Decision| said.stands_for.as_ref().unwrap_or(&said.reviewer) == self.on_behalf_of();
        let mut said = call.decisions.iter().rev().map(|made| &made.decision);
        match self.choice {
            // After an edit, the editor's own vote may be the last decision. So an edit is compared with every
            // decision.
            Choice::Edit(_) => said.any(|said| said == decision),
            Choice::Approve | Choice::Grant(_) | Choice::Reject | Choice::Respond(_) => {
                said.find(|said| of_right(said)).is_some_and(|last| last == decision)
            }
        }
    }

    /// Whether the grant of this decision has been made before; true for a decision without a grant.
    fn is_granted(&self, call: &Call) -> bool {
        let made = call.granted.as_ref().map(|granted| &granted.grant);
        !matches!(&self.choice, Choice::Grant(grant) if made != Some(&**grant))
    }

    /// The reviewer for whom the decision counts: the absent reviewer of a delegation, or else the reviewer who
    /// decides.
    fn on_behalf_of(&self) -> &ReviewerName {
        self.stands_for.as_ref().unwrap_or(&self.reviewer)
    }

    /// Whether the reviewer or the absent reviewer has approved in any stage and has not rejected since. A person
    /// counts once.
    fn has_voted(&self, call: &Call) -> bool {
        let voted = call.has_vote_of(&self.reviewer) || call.has_vote_of(self.on_behalf_of());
        let rejected = call.rejections.iter().any(|said| said.is_of(self.on_behalf_of()) || said.is_of(&self.reviewer));
        voted && !rejected
    }

    /// Whether the call accepts another decision by this reviewer, and another revision if the decision is an edit.
    fn within_bounds(&self, call: &Call) -> Result<(), Refused> {
        let own = call.decisions.iter().filter(|made| made.decision.reviewer == self.reviewer).count();
        if own >= DECISIONS_MAX {
            return Err(Refused::TooManyDecisions);
        }
        if matches!(self.choice, Choice::Edit(_)) && call.revision >= REVISIONS_MAX {
            return Err(Refused::TooManyRevisions);
        }
        Ok(())
    }

    /// Checks everything that is the same for all kinds of decisions, and returns the proposal.
    fn open<'a>(&self, run: &Run, call: &'a Call, now: Time) -> Result<&'a Proposal, Refused> {
        let proposal = call.proposal().ok_or(Refused::WrongPhase(call.phase.state()))?;
        let requirement = &proposal.requirement;
        call.admits(self.on_behalf_of())?;
        undecided(call)?;
        let current = call.clearance.ok_or(Refused::ClearanceMismatch)?;
        if self.clearance != current {
            return Err(Refused::Stale { current, reheld: call.reheld.clone() });
        }
        if call.has_expired(now) {
            return Err(Refused::Expired);
        }
        if self.stands_for.is_some() && call.has_decided_otherwise(self.on_behalf_of(), &self.choice) {
            return Err(NotEligible::SaidOtherwise.into());
        }
        match (&self.choice, call.is_question()) {
            (Choice::Approve | Choice::Grant(_) | Choice::Edit(_), true) => {
                return Err(Refused::WrongKind("this call is a question: answer it (`respond`) or reject it"));
            }
            (Choice::Respond(_), false) => {
                return Err(Refused::WrongKind("this call is not a question: approve, edit or reject it"));
            }
            (Choice::Approve | Choice::Grant(_), false) => {
                // Four-eyes bars the delegate as well as the absent reviewer.
                requirement.bars(&self.reviewer, &run.started_by, call.edited_by.as_ref())?;
                if let Err(why) = call.admits_approval(self.on_behalf_of(), &run.started_by)
                    && !call.has_vote_of(self.on_behalf_of())
                {
                    return Err(why.into());
                }
                if self.stands_for.is_some() && requirement.decides_in_later_stage(&self.reviewer, call.stage) {
                    return Err(NotEligible::NeededLater.into());
                }
                let since = now.0.saturating_sub(self.signed_in_at.0) / 1_000;
                if requirement.sign_in_within_ms.is_some_and(|within| since > within) {
                    return Err(NotEligible::SignInAgain.into());
                }
            }
            (Choice::Reject | Choice::Edit(_), false) | (Choice::Reject | Choice::Respond(_), true) => {}
        }
        Ok(proposal)
    }
}

/// Succeeds if the call still waits for a decision; the error says who decided, or how the call ended.
fn undecided(call: &Call) -> Result<(), Refused> {
    match &call.phase {
        Phase::Held => Ok(()),
        Phase::Expired => Err(Refused::Expired),
        Phase::Refused(_)
        | Phase::Cleared { .. }
        | Phase::Approved { .. }
        | Phase::Started
        | Phase::Succeeded { .. }
        | Phase::Failed { .. }
        | Phase::InDoubt { .. }
        | Phase::Unresolved { .. }
        | Phase::Rejected { .. }
        | Phase::Answered { .. }
        | Phase::Cancelled => {
            // A cancellation is not a decision on the call, even if a reviewer voted before.
            let decided = call.phase != Phase::Cancelled;
            let last = call.decisions.last().filter(|_| decided);
            let winner = last.map(|made| Box::new(made.decision.clone()));
            Err(Refused::AlreadyDecided { winner, state: call.phase.state() })
        }
    }
}

fn outcome(call: &Call, repeated: bool) -> Result<DecisionOutcome, Refused> {
    let clearance = call.clearance.ok_or(Refused::ClearanceMismatch)?;
    Ok(DecisionOutcome { state: call.phase.state(), still_needed: call.still_needed(), clearance, repeated })
}
