//! What the driver writes: a run begins, calls are proposed, timers pass, the run ends.

use serde_json::Value;

use super::effect::still_in_doubt;
use super::{Command, Refused, Sealed, Subject};
use crate::action::Action;
use crate::clearance::{PolicyRecord, Proposal};
use crate::decision::RefusalReason;
use crate::event::Event;
use crate::ids::{CallNumber, Digest, RunId, Time};
use crate::phase::Phase;
use crate::planted;
use crate::run::{Run, RunLimits, RunPhase};
use crate::totals::Counter;

/// Brings a run to life.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are those of `Event::RunCreated`")]
pub struct CreateRun {
    pub agent: String,
    pub component: Digest,
    pub task: String,
    pub started_by: String,
    pub limits: RunLimits,
    pub seed: Digest,
}

impl Sealed for CreateRun {}
impl Command for CreateRun {
    /// The run's id.
    type Out = RunId;

    fn decide(self, subject: &Subject, _now: Time) -> Result<(Vec<Event>, RunId), Refused> {
        if subject.run.is_some() {
            return Err(Refused::RunExists);
        }
        let Self { agent, component, task, started_by, limits, seed } = self;
        Ok((vec![Event::RunCreated { agent, component, task, started_by, limits, seed }], subject.id.clone()))
    }
}

/// A run that waits, sleeps or is over does nothing: who submits a step for it drives something that the journal has left behind.
fn ready(subject: &Subject) -> Result<&Run, Refused> {
    let run = subject.run()?;
    match run.phase {
        RunPhase::Ready => Ok(run),
        RunPhase::Waiting(_)
        | RunPhase::Sleeping { .. }
        | RunPhase::Finished(_)
        | RunPhase::Trapped(_)
        | RunPhase::Cancelled
        | RunPhase::Diverged(_) => Err(Refused::RunNotReady(run.phase.name())),
    }
}

/// Calls are numbered without gaps. A gap would be a call that the agent made and the journal lacks, and replay could never get past it.
fn next_call(subject: &Subject, call: CallNumber) -> Result<&Run, Refused> {
    let run = ready(subject)?;
    if call == run.calls + 1 { Ok(run) } else { Err(Refused::OutOfOrder { last: run.calls, found: call }) }
}

/// Writes the answer to a routine call.
#[derive(Clone, Debug)]
pub struct RecordRoutine {
    /// The call, the run's next.
    pub call: CallNumber,
    /// What was asked for.
    pub action: Action,
    /// The function's result, in normal form.
    pub result: Value,
    /// When it was handed to the agent.
    pub answered_at: Time,
}

impl Sealed for RecordRoutine {}
impl Command for RecordRoutine {
    type Out = ();

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

/// What becomes of a consequential call at once.
#[derive(Clone, Debug)]
pub enum Proposed {
    /// Policy clears it. What policy had no reason for, or could not say without an error, is held instead.
    Clear(Box<Proposal>),
    /// It holds short.
    Hold(Box<Proposal>),
    /// It is refused before anyone is asked.
    Refuse(Box<Action>, RefusalReason, Option<Box<PolicyRecord>>),
}

/// Puts a consequential call into the journal.
#[derive(Clone, Debug)]
pub struct Propose {
    /// The call, the run's next.
    pub call: CallNumber,
    /// The one verdict.
    pub proposed: Proposed,
}

impl Sealed for Propose {}
impl Command for Propose {
    /// The phase the call begins in.
    type Out = Phase;

    fn rests_on(&self) -> Vec<Counter> {
        let record = match &self.proposed {
            Proposed::Clear(proposal) | Proposed::Hold(proposal) => Some(&proposal.policy),
            Proposed::Refuse(_, _, record) => record.as_deref(),
        };
        let totals = record.map(|record| &record.totals[..]).unwrap_or_default();
        totals.iter().map(|counted| counted.counter.clone()).collect()
    }

    fn decide(self, subject: &Subject, now: Time) -> Result<(Vec<Event>, Phase), Refused> {
        let call = self.call;
        let run = next_call(subject, call)?;
        let proposed = match self.proposed {
            Proposed::Clear(proposal) if !proposal.policy.may_clear() => Proposed::Hold(proposal),
            proposed @ (Proposed::Clear(_) | Proposed::Hold(_) | Proposed::Refuse(..)) => proposed,
        };
        let record = match &proposed {
            Proposed::Clear(proposal) | Proposed::Hold(proposal) => Some(&proposal.policy),
            Proposed::Refuse(_, _, record) => record.as_deref(),
        };
        if record.is_some_and(|record| record.totals != subject.totals) && !planted::is("stale-totals-clear") {
            return Err(Refused::TotalsChanged);
        }
        let event = match proposed {
            Proposed::Hold(proposal) => match run.limits.refuse_to_hold(run.held) {
                Some(refusal) => Event::CallRefused { call, action: Box::new(proposal.action), refusal, policy: None },
                None => Event::CallHeld { call, clearance: subject.clearance(call, 1, &proposal), proposal },
            },
            Proposed::Clear(proposal) => {
                Event::CallCleared { call, clearance: subject.clearance(call, 1, &proposal), proposal }
            }
            Proposed::Refuse(action, refusal, policy) => Event::CallRefused { call, action, refusal, policy },
        };
        let phase = crate::call::Call::open(&event, now).ok_or(Refused::NoSuchCall)?.phase;
        Ok((vec![event], phase))
    }
}

/// Puts a run to sleep.
#[derive(Clone, Copy, Debug)]
pub struct SetTimer {
    /// The run's next timer.
    pub timer: u32,
    /// Until when, by the guest's clock.
    pub until: Time,
}

impl Sealed for SetTimer {}
impl Command for SetTimer {
    type Out = ();

    fn decide(self, subject: &Subject, _now: Time) -> Result<(Vec<Event>, ()), Refused> {
        let run = ready(subject)?;
        if self.timer != run.timers + 1 {
            return Err(Refused::OutOfOrder { last: run.timers, found: self.timer });
        }
        Ok((vec![Event::TimerSet { timer: self.timer, until: self.until }], ()))
    }
}

/// Wakes a sleeping run whose time has come.
#[derive(Clone, Copy, Debug)]
pub struct FireTimer {
    /// The timer it sleeps on.
    pub timer: u32,
}

impl Sealed for FireTimer {}
impl Command for FireTimer {
    /// When it fired, which the guest's clock follows.
    type Out = Time;

    fn decide(self, subject: &Subject, now: Time) -> Result<(Vec<Event>, Time), Refused> {
        let run = subject.run()?;
        match run.phase {
            RunPhase::Sleeping { timer, until } if timer == self.timer && until <= now => {
                Ok((vec![Event::TimerFired { timer }], now))
            }
            RunPhase::Sleeping { .. } => Err(Refused::NotDue),
            RunPhase::Ready
            | RunPhase::Waiting(_)
            | RunPhase::Finished(_)
            | RunPhase::Trapped(_)
            | RunPhase::Cancelled
            | RunPhase::Diverged(_) => Err(Refused::RunNotReady(run.phase.name())),
        }
    }
}

/// How a run ended by itself.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are those of the events")]
pub enum End {
    Finished(Result<String, String>),
    Trapped(String),
    Diverged { place: String, recorded: String, found: String },
}

/// Writes how a run ended by itself.
#[derive(Clone, Debug)]
pub struct EndRun(pub End);

impl Sealed for EndRun {}
impl Command for EndRun {
    type Out = ();

    fn decide(self, subject: &Subject, _now: Time) -> Result<(Vec<Event>, ()), Refused> {
        let run = subject.run()?;
        if run.phase.is_over() {
            return Err(Refused::RunNotReady(run.phase.name()));
        }
        let event = match self.0 {
            End::Finished(result) => Event::RunFinished { result },
            End::Trapped(reason) => Event::RunTrapped { reason },
            End::Diverged { place, recorded, found } => Event::RunDiverged { place, recorded, found },
        };
        let mut events = vec![event];
        events.extend(withdraw(subject));
        Ok((events, ()))
    }
}

/// Ends a run because a person says so. An effect that has started is not stopped; its outcome is still written.
#[derive(Clone, Debug)]
pub struct CancelRun {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

impl Sealed for CancelRun {}
impl Command for CancelRun {
    type Out = ();

    fn decide(self, subject: &Subject, _now: Time) -> Result<(Vec<Event>, ()), Refused> {
        let run = subject.run()?;
        match &run.phase {
            // Asking twice is no error.
            RunPhase::Cancelled => return Ok((Vec::new(), ())),
            phase if phase.is_over() => return Err(Refused::RunNotReady(phase.name())),
            RunPhase::Ready
            | RunPhase::Waiting(_)
            | RunPhase::Sleeping { .. }
            | RunPhase::Finished(_)
            | RunPhase::Trapped(_)
            | RunPhase::Diverged(_) => {}
        }
        let mut events = vec![Event::RunCancelled { by: self.by, reason: self.reason }];
        events.extend(withdraw(subject));
        Ok((events, ()))
    }
}

/// A run that is over leaves no call behind that could still start.
fn withdraw(subject: &Subject) -> Option<Event> {
    let call = subject.call.as_ref()?;
    match call.phase {
        Phase::Approved { .. } if call.sent_again => {
            Some(still_in_doubt(call, "the run ended before it was sent again"))
        }
        Phase::Held | Phase::Cleared { .. } | Phase::Approved { .. } => {
            Some(Event::CallCancelled { call: call.number })
        }
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
