//! A reviewer's decision, judged on the state inside the transaction.

use serde_json::Value;

use super::{Command, Refused, Sealed, Subject};
use crate::call::Call;
use crate::clearance::Proposal;
use crate::decision::{Decision, Verdict};
use crate::event::Event;
use crate::ids::{Digest, Time};
use crate::phase::Phase;
use crate::planted;
use crate::run::Run;

/// What a reviewer decided, with what an edit brings along.
#[derive(Clone, Debug)]
pub enum Choice {
    /// Do it.
    Approve,
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

    fn decide(self, subject: &Subject, now: Time) -> Result<(Vec<Event>, DecisionOutcome), Refused> {
        let (run, call) = subject.call()?;
        let decision = self.record();
        if self.still_counts(call) && call.decisions.iter().any(|made| made.decision == decision) {
            return Ok((Vec::new(), outcome(call, true)?));
        }
        let proposal = self.open(run, call, now)?;
        let events = match self.choice {
            Choice::Approve if already_voted(call, &self.reviewer) => return Ok((Vec::new(), outcome(call, true)?)),
            Choice::Approve | Choice::Reject => vec![Event::DecisionMade { call: call.number, decision }],
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
        let outcome = outcome(&after, false)?;
        Ok((events, outcome))
    }
}

impl Decide {
    fn record(&self) -> Decision {
        let verdict = match &self.choice {
            Choice::Approve => Verdict::Approve,
            Choice::Reject => Verdict::Reject,
            Choice::Respond(answer) => Verdict::Respond(answer.clone()),
            Choice::Edit(revision) => Verdict::Edit(revision.proposal.action.digest()),
        };
        Decision { reviewer: self.reviewer.clone(), clearance: self.clearance, verdict, message: self.message.clone() }
    }

    /// Whether having made this decision before is an answer to making it again. A vote on facts that have changed since has fallen, and whoever
    /// sends it again must be told so; an edit led to the clearance that is current now.
    fn still_counts(&self, call: &Call) -> bool {
        match self.choice {
            Choice::Edit(ref revision) => {
                call.action().digest() == revision.proposal.action.digest() && call.reheld.is_none()
            }
            Choice::Approve | Choice::Reject | Choice::Respond(_) => call.clearance == Some(self.clearance),
        }
    }

    /// Checks everything that does not depend on the kind of decision's effect, and returns what is decided on.
    fn open<'a>(&self, run: &Run, call: &'a Call, now: Time) -> Result<&'a Proposal, Refused> {
        let proposal = call.proposal().ok_or(Refused::WrongPhase(call.phase.name()))?;
        let requirement = &proposal.requirement;
        requirement.admits(&self.reviewer)?;
        match &call.phase {
            Phase::Held => {}
            Phase::Expired => return Err(Refused::Expired),
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
                return Err(Refused::AlreadyDecided { winner, phase: call.phase.name() });
            }
        }
        let current = call.clearance.ok_or(Refused::ClearanceMismatch)?;
        if self.clearance != current && !planted::is("approval-ignores-the-digest") {
            return Err(Refused::Stale { current });
        }
        if requirement.has_expired(now) {
            return Err(Refused::Expired);
        }
        match (&self.choice, call.is_question()) {
            (Choice::Approve | Choice::Edit(_), true) => {
                return Err(Refused::WrongKind("this call asks a question: respond to it or reject it"));
            }
            (Choice::Respond(_), false) => {
                return Err(Refused::WrongKind("this call is no question: approve, edit or reject it"));
            }
            (Choice::Approve, false) => {
                requirement.admits_approval(&self.reviewer, &run.started_by, call.edited_by.as_deref())?;
            }
            (Choice::Reject | Choice::Edit(_), false) | (Choice::Reject | Choice::Respond(_), true) => {}
        }
        Ok(proposal)
    }
}

fn already_voted(call: &Call, reviewer: &str) -> bool {
    call.votes.iter().any(|vote| vote.reviewer == reviewer) && !planted::is("reviewer-counts-twice")
}

/// A new revision under the stricter requirement. The editor's own approval follows, unless four-eyes forbids it or the new action rests on something
/// that the editor has not been shown: a vote is for what was seen.
fn edit(
    subject: &Subject,
    call: &Call,
    old: &Proposal,
    decision: Decision,
    mut new: Proposal,
    now: Time,
) -> Result<Vec<Event>, Refused> {
    if new.action.capability() != old.action.capability() || new.action.component() != old.action.component() {
        return Err(Refused::AnotherCapability);
    }
    new.requirement = old.requirement.strictest(&new.requirement);
    // Its time is reckoned from when policy was asked about it, which may be long before it is written. The editor's vote would be one that is too late.
    if new.requirement.has_expired(now) {
        return Err(Refused::WrongKind(
            "the edited action's own time was over before the edit was written: edit it again",
        ));
    }
    let (number, revision, by) = (call.number, call.revision + 1, decision.reviewer.clone());
    let clearance = subject.clearance(number, revision, &new);
    let started_by = &subject.run()?.started_by;
    let own_vote = shows_nothing_new(old, &new) && new.requirement.admits_approval(&by, started_by, Some(&by)).is_ok();
    let vote = Decision { reviewer: by.clone(), clearance, verdict: Verdict::Approve, message: None };
    let mut events = vec![
        Event::DecisionMade { call: number, decision },
        Event::CallRevised { call: number, revision, by, proposal: Box::new(new), clearance },
    ];
    if own_vote {
        events.push(Event::DecisionMade { call: number, decision: vote });
    }
    Ok(events)
}

/// Whether whoever was shown `old` has seen all that the host found out about `new`.
fn shows_nothing_new(old: &Proposal, new: &Proposal) -> bool {
    let facts = |proposal: &Proposal| {
        let Proposal { preconditions, facts, connector, class, .. } = proposal;
        (preconditions.clone(), facts.clone(), connector.clone(), *class)
    };
    facts(old) == facts(new) && new.exhibits.iter().all(|exhibit| old.exhibits.contains(exhibit))
}

fn outcome(call: &Call, repeated: bool) -> Result<DecisionOutcome, Refused> {
    let held = call.requirement().filter(|_| call.phase == Phase::Held);
    let still_needed = held.map_or(0, |requirement| requirement.still_needed(&call.votes));
    let clearance = call.clearance.ok_or(Refused::ClearanceMismatch)?;
    Ok(DecisionOutcome { phase: call.phase.name(), still_needed, clearance, repeated })
}
