//! A reviewer's decision, judged on the state inside the transaction.

use serde_json::Value;

use super::edit::edit;
use super::{Command, Refused, RestsOn, Sealed, Subject};
use crate::approval::NotEligible;
use crate::call::Call;
use crate::clearance::Proposal;
use crate::decision::{Decision, Verdict};
use crate::event::Event;
use crate::grant::{Grant, NotGranted};
use crate::ids::{Digest, Time};
use crate::phase::Phase;
use crate::run::Run;

/// So many decisions of one person are taken on a call; the last of them stands. What is read of a call, by people and before each decision,
/// is its decisions and revisions, so neither grows without end. The bound is each person's own, so nobody uses up what others need.
pub const DECISIONS_MAX: usize = 64;
/// A call of so many revisions is not edited again, by anybody: each is as long as an action may be. It is approved or rejected as it stands.
pub const REVISIONS_MAX: u32 = 32;

/// What a reviewer decided, with what an edit brings along.
#[derive(Clone, Debug)]
pub enum Choice {
    /// Do it.
    Approve,
    /// Do it, and clear more like it.
    Grant(Box<Grant>),
    /// Do not; the message is guidance.
    Reject,
    /// The answer to a question, checked against the function's type.
    Respond(Value),
    /// Do this instead.
    Edit(Box<Revision>),
}

/// The action that replaces the proposed one. The caller has checked it against the WIT type and the connector, and policy has not refused it.
#[derive(Clone, Debug)]
pub struct Revision {
    /// The new action with its own evidence and requirement.
    pub proposal: Proposal,
}

/// One reviewer's decision on one clearance.
#[derive(Clone, Debug)]
pub struct Decide {
    /// Who.
    pub reviewer: String,
    /// In whose place, by a delegation that the caller has checked.
    pub stands_for: Option<String>,
    /// When they last proved who they are.
    pub signed_in_at: Time,
    /// The clearance digest of what they were shown.
    pub clearance: Digest,
    /// What they decided.
    pub choice: Choice,
    /// In their words.
    pub message: Option<String>,
}

/// What a decision led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionOutcome {
    /// Where the call stands now; see [`Phase::name`].
    pub phase: &'static str,
    /// How many more people must approve; 0 once it is decided.
    pub still_needed: u32,
    /// The current clearance digest: another one after an edit.
    pub clearance: Digest,
    /// Whether this very decision had been recorded before.
    pub repeated: bool,
}

impl Sealed for Decide {}
impl Command for Decide {
    type Out = DecisionOutcome;

    /// An edited action is put to people beside what else waits.
    fn rests_on(&self) -> RestsOn {
        let Choice::Edit(revision) = &self.choice else { return RestsOn::default() };
        RestsOn { like: Some(revision.proposal.likeness()), ..RestsOn::default() }
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
                let (who, editor) = ((run.agent.as_str(), run.started_by.as_str()), call.edited_by.as_deref());
                // A grant is made in one's own name, by who was named for the call from the beginning.
                if decision.stands_for.is_some() {
                    return Err(NotGranted::NotAlone.into());
                }
                // It is named by the call, and so is what it has cleared.
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
            after.apply(event, now).map_err(|_| Refused::WrongPhase(call.phase.name()))?;
        }
        // A vote that did not count, or that others have to follow, makes no grant.
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
            Choice::Approve | Choice::Grant(_) => Verdict::Approve,
            Choice::Reject => Verdict::Reject,
            Choice::Respond(answer) => Verdict::Respond(answer.clone()),
            Choice::Edit(revision) => Verdict::Edit(revision.proposal.action.digest()),
        };
        Decision {
            reviewer: self.reviewer.clone(),
            stands_for: self.stands_for.clone(),
            clearance: self.clearance,
            verdict,
            message: self.message.clone(),
        }
    }

    /// Whether having made this decision before is an answer to making it again. A vote on facts that have changed since has fallen, and whoever
    /// sends it again must be told so; an edit led to the clearance that is current now.
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

    /// Whether this very decision has been made, and nothing else said with the same right since: who changes their mind twice is heard three times.
    fn is_last_word(&self, call: &Call, decision: &Decision) -> bool {
        let of_right = |said: &Decision| said.stands_for.as_ref().unwrap_or(&said.reviewer) == self.right_of();
        let mut said = call.decisions.iter().rev().map(|made| &made.decision);
        match self.choice {
            // The editor's own vote may have followed.
            Choice::Edit(_) => said.any(|said| said == decision),
            Choice::Approve | Choice::Grant(_) | Choice::Reject | Choice::Respond(_) => {
                said.find(|said| of_right(said)).is_some_and(|last| last == decision)
            }
        }
    }

    /// Whether the grant that comes with it, if one does, has been made.
    fn is_granted(&self, call: &Call) -> bool {
        let made = call.granted.as_ref().map(|granted| &granted.grant);
        !matches!(&self.choice, Choice::Grant(grant) if made != Some(&**grant))
    }

    /// Whose right to decide it uses.
    fn right_of(&self) -> &str {
        self.stands_for.as_deref().unwrap_or(&self.reviewer)
    }

    /// Whether whoever decides, or is stood for, has approved already, in whichever stage, and not rejected since. A person counts once.
    fn has_voted(&self, call: &Call) -> bool {
        let voted = call.has_vote_of(&self.reviewer) || call.has_vote_of(self.right_of());
        let rejected = call.rejections.iter().any(|said| said.is_of(self.right_of()) || said.is_of(&self.reviewer));
        voted && !rejected
    }

    /// Whether the call takes another decision of this person, and another revision if it is an edit.
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

    /// Checks everything that does not depend on the kind of decision's effect, and returns what is decided on.
    fn open<'a>(&self, run: &Run, call: &'a Call, now: Time) -> Result<&'a Proposal, Refused> {
        let proposal = call.proposal().ok_or(Refused::WrongPhase(call.phase.name()))?;
        let requirement = &proposal.requirement;
        call.admits(self.right_of())?;
        undecided(call)?;
        let current = call.clearance.ok_or(Refused::ClearanceMismatch)?;
        if self.clearance != current {
            return Err(Refused::Stale { current, reheld: call.reheld.clone() });
        }
        if call.has_lapsed(now) {
            return Err(Refused::Expired);
        }
        if self.stands_for.is_some() && call.has_said_otherwise(self.right_of(), &self.choice) {
            return Err(NotEligible::SaidOtherwise.into());
        }
        match (&self.choice, call.is_question()) {
            (Choice::Approve | Choice::Grant(_) | Choice::Edit(_), true) => {
                return Err(Refused::WrongKind("this call asks a question: respond to it or reject it"));
            }
            (Choice::Respond(_), false) => {
                return Err(Refused::WrongKind("this call is no question: approve, edit or reject it"));
            }
            (Choice::Approve | Choice::Grant(_), false) => {
                // Four-eyes bars whoever acts as well as whoever they stand for.
                requirement.bars(&self.reviewer, &run.started_by, call.edited_by.as_deref())?;
                if let Err(why) = call.admits_approval(self.right_of(), &run.started_by)
                    && !call.has_vote_of(self.right_of())
                {
                    return Err(why.into());
                }
                if self.stands_for.is_some() && requirement.asks_later(&self.reviewer, call.stage) {
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

/// Whether it waits for a decision still; else who decided, or what became of it.
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
            // A cancellation is nobody's decision on the call, whoever voted before.
            let decided = call.phase != Phase::Cancelled;
            let last = call.decisions.last().filter(|_| decided);
            let winner = last.map(|made| Box::new(made.decision.clone()));
            Err(Refused::AlreadyDecided { winner, phase: call.phase.name() })
        }
    }
}

fn outcome(call: &Call, repeated: bool) -> Result<DecisionOutcome, Refused> {
    let clearance = call.clearance.ok_or(Refused::ClearanceMismatch)?;
    Ok(DecisionOutcome { phase: call.phase.name(), still_needed: call.still_needed(), clearance, repeated })
}
