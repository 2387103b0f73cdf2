//! The commands with which the driver records calls: the answer to a routine call, or the verdict on a consequential
//! call.

use serde_json::Value;

use super::lifecycle::next_call;
use super::{Command, Refused, RequiredState, Sealed, Subject};
use crate::action::Action;
use crate::clearance::{EffectClass, PolicyRecord, Proposal};
use crate::condition::unchanged;
use crate::decision::RefusalReason;
use crate::event::Event;
use crate::ids::{CallNumber, RunId, Time};
use crate::phase::Phase;
use crate::run::Run;
use crate::totals::{Counter, RecordedTotal, day};

/// Writes the answer to a routine call.
#[derive(Clone, Debug)]
pub struct RecordRoutine {
    /// The call. Its number is the next one of the run.
    pub call: CallNumber,
    /// The action that the agent requested.
    pub action: Action,
    /// The function's result, in normal form.
    pub result: Value,
    /// When the result was given to the agent.
    pub answered_at: Time,
}

impl Sealed for RecordRoutine {}
impl Command for RecordRoutine {
    type About = RunId;
    type Output = ();

    fn decide(self, subject: &Subject, _now: Time) -> Result<(Vec<Event>, ()), Refused> {
        next_call(subject, self.call)?;
        let event = Event::RoutineReturned {
            call: self.call,
            capability: self.action.capability().clone(),
            arguments: self.action.arguments().clone(),
            action: self.action.digest(),
            result: self.result,
            answered_at: self.answered_at,
        };
        Ok((vec![event], ()))
    }
}

/// The first verdict on a consequential call.
#[derive(Clone, Debug)]
pub enum FirstVerdict {
    /// Policy clears the call. Without a determining policy, or with an error, the call is held instead.
    Clear(Box<Proposal>),
    /// The call is held for reviewers.
    Hold(Box<Proposal>),
    /// The call is refused without asking a reviewer.
    Refuse(Box<Action>, RefusalReason, Option<Box<PolicyRecord>>),
}

impl FirstVerdict {
    /// The same proposal, held for reviewers, because the totals that policy used keep changing.
    #[must_use]
    pub fn into_hold(self) -> Self {
        match self {
            Self::Clear(mut proposal) | Self::Hold(mut proposal) => {
                proposal.policy.totals.clear();
                proposal.policy.remove_grant();
                proposal.policy.errors.push("the running totals changed each time while policy was evaluated".into());
                Self::Hold(proposal)
            }
            Self::Refuse(action, reason, _) => Self::Refuse(action, reason, None),
        }
    }

    /// Policy's reasons, if there are any.
    fn record(&self) -> Option<&PolicyRecord> {
        match self {
            Self::Clear(proposal) | Self::Hold(proposal) => Some(&proposal.policy),
            Self::Refuse(_, _, record) => record.as_deref(),
        }
    }
}

/// Writes a consequential call into the journal.
#[derive(Clone, Debug)]
pub struct Propose {
    /// The call. Its number is the next one of the run.
    pub call: CallNumber,
    /// The first verdict on the call.
    pub proposed: FirstVerdict,
}

impl Sealed for Propose {}
impl Command for Propose {
    type About = RunId;
    /// The phase in which the call begins.
    type Output = Phase;

    fn required_state(&self) -> RequiredState {
        let Some(record) = self.proposed.record() else { return RequiredState::default() };
        let totals = record.totals.iter().map(|counted| counted.counter.clone()).collect();
        let similar_to = match &self.proposed {
            FirstVerdict::Clear(proposal) | FirstVerdict::Hold(proposal) => Some(proposal.similarity()),
            FirstVerdict::Refuse(..) => None,
        };
        RequiredState { totals, grant: record.grant.clone(), request: None, similar_to }
    }

    fn decide(self, subject: &Subject, now: Time) -> Result<(Vec<Event>, Phase), Refused> {
        let call = self.call;
        let run = next_call(subject, call)?;
        let proposed = match self.proposed {
            // A question needs a reviewer's answer, so policy cannot clear it.
            FirstVerdict::Clear(proposal)
                if !proposal.policy.may_clear() || proposal.class == EffectClass::Question =>
            {
                FirstVerdict::Hold(proposal)
            }
            proposed @ (FirstVerdict::Clear(_) | FirstVerdict::Hold(_) | FirstVerdict::Refuse(..)) => proposed,
        };
        if proposed.record().is_some_and(|record| !totals_unchanged(record, subject, now)) {
            return Err(Refused::TotalsChanged);
        }
        if let FirstVerdict::Clear(proposal) = &proposed {
            still_granted(subject, run, proposal, now)?;
        }
        let event = match proposed {
            FirstVerdict::Hold(mut proposal) => {
                proposal.similar_calls.clone_from(&subject.similar_calls);
                match run.limits.refuse_to_hold(run.held) {
                    Some(refusal) => {
                        Event::CallRefused { call, action: Box::new(proposal.action), refusal, policy: None }
                    }
                    None => Event::CallHeld { call, clearance: subject.clearance(call, 1, &proposal), proposal },
                }
            }
            FirstVerdict::Clear(mut proposal) => {
                // Policy judged exactly these values, and no reviewer sees the similar calls. So every fact must keep
                // its value.
                proposal.preconditions = unchanged(&proposal.preconditions);
                Event::CallCleared { call, clearance: subject.clearance(call, 1, &proposal), proposal }
            }
            FirstVerdict::Refuse(action, refusal, policy) => Event::CallRefused { call, action, refusal, policy },
        };
        let phase = crate::call::Call::open(&event, now).ok_or(Refused::NoSuchCall)?.phase;
        Ok((vec![event], phase))
    }
}

/// Whether the totals of a verdict still have their recorded values. A total of one day is valid on that day only.
/// Otherwise a call that was judged on yesterday's total would be counted in today's total.
fn totals_unchanged(record: &PolicyRecord, subject: &Subject, now: Time) -> bool {
    let of_another_day = |counted: &RecordedTotal| counted.counter.scope.day().is_some_and(|of| of != day(now));
    let same = record.totals == subject.totals;
    same && !record.totals.iter().any(of_another_day)
}

/// Whether the grant of a proposal, if it has one, still clears the proposal.
fn still_granted(subject: &Subject, run: &Run, proposal: &Proposal, now: Time) -> Result<(), Refused> {
    let Some(grant) = &proposal.policy.grant else { return Ok(()) };
    let counter = Counter::of_grant(grant, proposal.action.capability());
    let used = subject.totals.iter().find(|counted| counted.counter == counter).map(|counted| &counted.total);
    let (Some(granted), Some(used)) = (&subject.granted, used) else { return Err(Refused::TotalsChanged) };
    granted
        .clears((&run.agent, &run.started_by), &proposal.action, &proposal.requirement, used, now)
        .map_err(|_| Refused::TotalsChanged)
}
