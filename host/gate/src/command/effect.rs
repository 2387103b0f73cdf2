//! The effect of a cleared call: its start and its outcome.
//!
//! If facts have changed since reviewers approved a call, the call is held again, and reviewers get as much time for
//! the new decision as they had for the first one.

use serde_json::Value;

use super::resolve::{attempted, still_in_doubt};
use super::{Command, Refused, RequiredState, Sealed, Subject};
use crate::approval::Requirement;
use crate::call::Call;
use crate::clearance::{EffectClass, Proposal};
use crate::event::Event;
use crate::feasible::CannotBeMet;
use crate::ids::{CallId, Time};
use crate::name::ReviewerName;
use crate::permit::Permit;
use crate::phase::{CallState, Phase};
use crate::run::Run;

/// Begins an attempt. The votes, the clearance digest, the deadline for the start and a cancellation are checked here,
/// on the journaled state.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The attempt must begin within this time, in milliseconds.
    pub perform_within_ms: u64,
}

impl Sealed for Start {}
impl Command for Start {
    type About = CallId;
    type Output = Permit;

    fn decide(self, subject: &Subject, now: Time) -> Result<(Vec<Event>, Permit), Refused> {
        let (run, call) = subject.call()?;
        let wrong = Refused::WrongPhase(call.phase.state());
        let proposal = call.proposal().ok_or_else(|| wrong.clone())?;
        let (start_by, votes_count) = match call.phase {
            Phase::Cleared { start_by } => (start_by, false),
            Phase::Approved { start_by } => (start_by, true),
            Phase::Refused(_)
            | Phase::Held
            | Phase::Started
            | Phase::Succeeded { .. }
            | Phase::Failed { .. }
            | Phase::InDoubt { .. }
            | Phase::Unresolved { .. }
            | Phase::Rejected { .. }
            | Phase::Answered { .. }
            | Phase::Expired
            | Phase::Cancelled => return Err(wrong),
        };
        if proposal.class == EffectClass::Question {
            return Err(Refused::WrongKind("a question has no effect to perform"));
        }
        // A call that policy cleared and a reviewer sent again has no votes to check: the reviewer's resolution
        // replaces them.
        if votes_count && !call.sent_again && !call.is_approved() {
            return Err(wrong);
        }
        if now > start_by {
            return Err(Refused::StartTooLate);
        }
        if let Some(postponed) = call.postponed.as_ref().filter(|postponed| now < postponed.until) {
            return Err(Refused::TooEarly { until: postponed.until });
        }
        let clearance = subject.clearance(call.number, call.revision, proposal);
        if call.clearance != Some(clearance) {
            return Err(Refused::ClearanceMismatch);
        }
        let attempt = call.attempts + 1;
        let permit = Permit {
            run: subject.id.clone(),
            agent: run.agent.clone(),
            call: call.number,
            attempt,
            clearance,
            action: proposal.action.clone(),
            connector: proposal.connector.clone(),
            preconditions: proposal.preconditions.clone(),
            material: !proposal.policy.material.is_empty(),
            similar_effects: subject.marks(proposal),
            key: subject.key.clone(),
            perform_by: now.plus_ms(self.perform_within_ms),
        };
        Ok((vec![Event::EffectStarted { call: call.number, attempt, clearance }], permit))
    }
}

/// The outcome of an attempt.
#[derive(Clone, Debug)]
pub enum AttemptOutcome {
    /// The effect happened. The value is the receipt, of the function's `ok` type.
    Happened(Value),
    /// The effect happened although facts had changed: the clearance allows these changes. Each text names one change,
    /// with both values.
    HappenedDespite(Value, Vec<String>),
    /// The effect did not happen, for this reason.
    DidNotHappen(String),
    /// The effect certainly did not happen, for this reason. It may be tried again after this number of milliseconds.
    Postponed(String, u64),
    /// The outcome is unknown, for this reason.
    Unknown(String),
    /// The effect was not performed, because a fact of the clearance had changed. The proposal has the same action with
    /// the facts as they are now.
    FactsChanged {
        /// The changed facts, with both values.
        reason: String,
        /// The proposal that is held again.
        proposal: Box<Proposal>,
    },
}

/// Writes the outcome of an attempt: from the attempt's reply, from a lookup, or as unknown after the host died.
#[derive(Clone, Debug)]
pub struct Finish {
    /// The attempt.
    pub attempt: u32,
    /// The outcome of the attempt.
    pub outcome: AttemptOutcome,
    /// The source of the outcome, if the source is not the attempt's own reply. For an unknown outcome: the finding of
    /// an inconclusive lookup.
    pub evidence: Option<String>,
}

impl Sealed for Finish {}
impl Command for Finish {
    type About = CallId;
    /// The state of the call after the outcome.
    type Output = CallState;

    fn required_state(&self) -> RequiredState {
        let AttemptOutcome::FactsChanged { proposal, .. } = &self.outcome else { return RequiredState::default() };
        RequiredState { similar_to: Some(proposal.similarity()), ..RequiredState::default() }
    }

    fn decide(self, subject: &Subject, now: Time) -> Result<(Vec<Event>, CallState), Refused> {
        let (run, number) = subject.call().map(|(run, call)| (run, call.number))?;
        let call = attempted(subject, self.attempt)?;
        let (attempt, evidence) = (self.attempt, self.evidence);
        let event = match self.outcome {
            AttemptOutcome::Happened(receipt) => {
                Event::EffectSucceeded { call: number, attempt, receipt, evidence, changed: Vec::new() }
            }
            AttemptOutcome::HappenedDespite(receipt, changed) => {
                Event::EffectSucceeded { call: number, attempt, receipt, evidence, changed }
            }
            AttemptOutcome::DidNotHappen(reason) if call.sent_again && evidence.is_none() => {
                still_in_doubt(call, &reason)
            }
            AttemptOutcome::DidNotHappen(reason) => Event::EffectFailed { call: number, attempt, reason, evidence },
            AttemptOutcome::Postponed(reason, _) if call.sent_again => still_in_doubt(call, &reason),
            AttemptOutcome::Postponed(reason, again_in_ms) => match may_be_postponed(run, call, now, again_in_ms) {
                Ok(until) => Event::EffectPostponed { call: number, attempt, reason, until },
                Err(why) => Event::EffectFailed { call: number, attempt, reason: format!("{reason}; {why}"), evidence },
            },
            AttemptOutcome::Unknown(reason) => return Ok((unknown(call, reason, evidence), CallState::InDoubt)),
            // An earlier attempt is still in doubt, and the reply of this attempt says nothing about the earlier one.
            AttemptOutcome::FactsChanged { reason, .. } if call.sent_again => still_in_doubt(call, &reason),
            // The run is over, so nobody waits for the call and reviewers are not asked again.
            AttemptOutcome::FactsChanged { reason, .. } if run.phase.is_over() => {
                Event::EffectFailed { call: number, attempt, reason, evidence }
            }
            // Policy may have cleared a call that no reviewers could approve. If such a call were held now, it would
            // wait for ever, so it fails.
            AttemptOutcome::FactsChanged { reason, proposal }
                if let Err(why) = met_by_somebody(&proposal.requirement, &run.started_by, call) =>
            {
                let reason = format!("{reason}; and the requirement of the call cannot be met now: {why}");
                Event::EffectFailed { call: number, attempt, reason, evidence }
            }
            AttemptOutcome::FactsChanged { reason, mut proposal } => {
                let revision = call.revision + 1;
                // The changed facts made the reviewers' decision void. The time that has passed is added to the
                // deadline, so that reviewers have the same time again.
                let waited = now.0.saturating_sub(call.revised_at.0);
                proposal.requirement.expires_at =
                    proposal.requirement.expires_at.map(|Time(at)| Time(at.saturating_add(waited)));
                proposal.similar_calls.clone_from(&subject.similar_calls);
                // Reviewers decide on the call now, so no grant clears it.
                proposal.policy.remove_grant();
                let clearance = subject.clearance(number, revision, &proposal);
                Event::CallReheld { call: number, revision, reason, proposal, clearance }
            }
        };
        let mut after = call.clone();
        after.apply(&event, now).map_err(|_| Refused::WrongPhase(call.phase.state()))?;
        Ok((vec![event], after.phase.state()))
    }
}

/// The largest number of attempts under one clearance.
pub const ATTEMPTS_MAX: u32 = 20;
/// The shortest wait between two attempts.
const AGAIN_IN_MS_MIN: u64 = 1_000;

/// When another attempt may be made under the same clearance, after an attempt that certainly did not happen; or else
/// why no other attempt may be made.
fn may_be_postponed(run: &Run, call: &Call, now: Time, again_in_ms: u64) -> Result<Time, &'static str> {
    let until = now.plus_ms(again_in_ms.max(AGAIN_IN_MS_MIN));
    match call.started_from {
        Some(Phase::Cleared { start_by } | Phase::Approved { start_by }) if until > start_by => {
            Err("there is no further attempt, because the deadline for the start would pass first")
        }
        Some(Phase::Cleared { .. } | Phase::Approved { .. }) if call.phase != Phase::Started => {
            Err("there is no further attempt, because the effect was in doubt")
        }
        Some(Phase::Cleared { .. } | Phase::Approved { .. }) if run.phase.is_over() => {
            Err("there is no further attempt, because the run is over")
        }
        Some(Phase::Cleared { .. } | Phase::Approved { .. }) if call.attempts >= ATTEMPTS_MAX => {
            Err("there is no further attempt, because all permitted attempts were made")
        }
        Some(Phase::Cleared { .. } | Phase::Approved { .. }) => Ok(until),
        Some(_) | None => {
            Err("there is no further attempt, because the journal does not hold the clearance of the last attempt")
        }
    }
}

/// Whether the reviewers that a requirement names could meet it. A requirement that admits any reviewer passes.
fn met_by_somebody(requirement: &Requirement, started_by: &ReviewerName, call: &Call) -> Result<(), CannotBeMet> {
    let names = requirement.names();
    names.map_or(Ok(()), |names| requirement.can_be_met(&names, started_by, call.edited_by.as_ref()))
}

/// The events for an attempt with an unknown outcome. That the attempt is in doubt is written once. The finding of a
/// lookup is written unless the last lookup found the same: the host looks up again each time it starts, and among many
/// repeated findings a person would overlook a new one.
fn unknown(call: &Call, reason: String, evidence: Option<String>) -> Vec<Event> {
    let (number, attempt) = (call.number, call.attempts);
    let new = !matches!(call.phase, Phase::InDoubt { .. });
    let in_doubt = new.then_some(Event::EffectInDoubt { call: number, attempt, reason });
    let known = call.looked_up.as_ref().map(|last| last.evidence.as_str());
    let evidence = evidence.filter(|found| known != Some(found.as_str()));
    let looked_up = evidence.map(|evidence| Event::EffectLookedUp { call: number, attempt, evidence });
    in_doubt.into_iter().chain(looked_up).collect()
}
