//! The commands with which the driver records that runs begin, sleep, wake and end.
//!
//! **Invariant:** When a run ends, its open call is withdrawn. An effect that has started is not stopped, and its
//! outcome is still recorded.

use super::resolve::still_in_doubt;
use super::{Command, Refused, RequiredState, Sealed, Subject};
use crate::event::{Delayed, Event, Request, RunLimits};
use crate::ids::{CallNumber, Digest, RunId, Time};
use crate::name::{AgentName, ReviewerName};
use crate::phase::Phase;
use crate::run::{Run, RunPhase};

/// Creates a run.
#[derive(Clone, Debug)]
pub struct CreateRun {
    pub agent: AgentName,
    pub component: Digest,
    pub task: String,
    pub started_by: ReviewerName,
    pub limits: RunLimits,
    pub seed: Digest,
}

impl Sealed for CreateRun {}
impl Command for CreateRun {
    type About = RunId;
    /// The run's id.
    type Output = RunId;

    fn decide(self, subject: &Subject, _now: Time) -> Result<(Vec<Event>, RunId), Refused> {
        if subject.run.is_some() {
            return Err(Refused::RunExists);
        }
        Ok((vec![self.event(None)], subject.id.clone()))
    }
}

impl CreateRun {
    fn event(self, request: Option<Request>) -> Event {
        let Self { agent, component, task, started_by, limits, seed } = self;
        Event::RunCreated { agent, component, task, started_by, limits, seed, request }
    }
}

/// Creates a run unless the same request has created one before.
#[derive(Clone, Debug)]
pub struct CreateRunOnce {
    /// The request.
    pub request: Request,
    /// The run to create, if the request has created none.
    pub create: CreateRun,
}

impl Sealed for CreateRunOnce {}
impl Command for CreateRunOnce {
    type About = RunId;
    /// The id of the run that the request created, now or before.
    type Output = RunId;

    fn required_state(&self) -> RequiredState {
        RequiredState { request: Some(self.request.key), ..RequiredState::default() }
    }

    fn decide(self, subject: &Subject, _now: Time) -> Result<(Vec<Event>, RunId), Refused> {
        match created_run(subject, &self.request)? {
            Some(run) => Ok((Vec::new(), run)),
            None if subject.run.is_some() => Err(Refused::RunExists),
            None => Ok((vec![self.create.event(Some(self.request))], subject.id.clone())),
        }
    }
}

/// Finds the run that a request created, and writes nothing. The command finds the run even if the run could not be
/// created today, because its agent can no longer be started.
#[derive(Clone, Copy, Debug)]
pub struct FindRun(pub Request);

impl Sealed for FindRun {}
impl Command for FindRun {
    type About = RunId;
    /// The run's id.
    type Output = RunId;

    fn required_state(&self) -> RequiredState {
        RequiredState { request: Some(self.0.key), ..RequiredState::default() }
    }

    fn decide(self, subject: &Subject, _now: Time) -> Result<(Vec<Event>, RunId), Refused> {
        Ok((Vec::new(), created_run(subject, &self.0)?.ok_or(Refused::NoSuchRun)?))
    }
}

/// The run that the request created. If another request has used the key, the key is refused. Otherwise the sender
/// would take the run of the other request for their own.
fn created_run(subject: &Subject, request: &Request) -> Result<Option<RunId>, Refused> {
    match &subject.created_run {
        Some(created_run) if created_run.asks == request.asks => Ok(Some(created_run.run.clone())),
        Some(created_run) => Err(Refused::KeyUsed(created_run.run.clone())),
        None => Ok(None),
    }
}

/// The run, if it may take a step. A task that submits a step for a run that waits, sleeps or is over has not seen the
/// newest events.
fn ready(subject: &Subject) -> Result<&Run, Refused> {
    let run = subject.run()?;
    match run.phase {
        RunPhase::Ready | RunPhase::Delayed(_) => Ok(run),
        RunPhase::Waiting(_)
        | RunPhase::Sleeping { .. }
        | RunPhase::Finished(_)
        | RunPhase::Trapped(_)
        | RunPhase::Cancelled
        | RunPhase::Diverged(_) => Err(Refused::RunNotReady(run.phase.state())),
    }
}

/// Checks that a call has the next number. Calls are numbered without gaps: a gap would be a call that the agent made
/// and the journal lacks, and replay would fail there every time.
pub(super) fn next_call(subject: &Subject, call: CallNumber) -> Result<&Run, Refused> {
    let run = ready(subject)?;
    if call == run.calls + 1 { Ok(run) } else { Err(Refused::OutOfOrder { last: run.calls, found: call }) }
}

/// Puts a run to sleep.
#[derive(Clone, Copy, Debug)]
pub struct SetTimer {
    /// The run's next timer.
    pub timer: u32,
    /// The end of the sleep, by the guest's clock.
    pub until: Time,
}

impl Sealed for SetTimer {}
impl Command for SetTimer {
    type About = RunId;
    type Output = ();

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
    /// The timer on which the run sleeps.
    pub timer: u32,
}

impl Sealed for FireTimer {}
impl Command for FireTimer {
    type About = RunId;
    /// When the timer fired. The guest's clock follows this time.
    type Output = Time;

    fn decide(self, subject: &Subject, now: Time) -> Result<(Vec<Event>, Time), Refused> {
        let run = subject.run()?;
        match run.phase {
            RunPhase::Sleeping { timer, until } if timer == self.timer && until <= now => {
                Ok((vec![Event::TimerFired { timer }], now))
            }
            RunPhase::Sleeping { .. } => Err(Refused::NotDue),
            RunPhase::Ready
            | RunPhase::Delayed(_)
            | RunPhase::Waiting(_)
            | RunPhase::Finished(_)
            | RunPhase::Trapped(_)
            | RunPhase::Cancelled
            | RunPhase::Diverged(_) => Err(Refused::RunNotReady(run.phase.state())),
        }
    }
}

/// Records that the host cannot bring a run forward, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    /// The reason, in one line.
    pub reason: String,
    /// How many times in a row the host has tried.
    pub tries: u32,
    /// Whether people get a notification.
    pub told: bool,
}

impl Sealed for Delay {}
impl Command for Delay {
    type About = RunId;
    type Output = ();

    fn decide(self, subject: &Subject, now: Time) -> Result<(Vec<Event>, ()), Refused> {
        let run = ready(subject)?;
        let since = if let RunPhase::Delayed(earlier) = &run.phase { earlier.since } else { now };
        let Self { reason, tries, told } = self;
        Ok((vec![Event::RunDelayed { delayed: Delayed { since, reason, tries }, told }], ()))
    }
}

/// How a run ended without being cancelled.
#[derive(Clone, Debug)]
pub enum RunEnd {
    Finished(Result<String, String>),
    Trapped(String),
    Diverged { place: String, recorded: String, found: String },
}

/// Writes that a run ended without being cancelled, and how.
#[derive(Clone, Debug)]
pub struct EndRun(pub RunEnd);

impl Sealed for EndRun {}
impl Command for EndRun {
    type About = RunId;
    type Output = ();

    fn decide(self, subject: &Subject, _now: Time) -> Result<(Vec<Event>, ()), Refused> {
        let run = subject.run()?;
        if run.phase.is_over() {
            return Err(Refused::RunNotReady(run.phase.state()));
        }
        let event = match self.0 {
            RunEnd::Finished(result) => Event::RunFinished { result },
            RunEnd::Trapped(reason) => Event::RunTrapped { reason },
            RunEnd::Diverged { place, recorded, found } => Event::RunDiverged { place, recorded, found },
        };
        let mut events = vec![event];
        events.extend(withdraw(subject));
        Ok((events, ()))
    }
}

/// Ends a run because a reviewer cancels it. An effect that has started is not stopped; its outcome is still written.
#[derive(Clone, Debug)]
pub struct CancelRun {
    /// The reviewer who cancels the run.
    pub by: ReviewerName,
    /// The reason, if the reviewer gives one.
    pub reason: Option<String>,
}

impl Sealed for CancelRun {}
impl Command for CancelRun {
    type About = RunId;
    type Output = ();

    fn decide(self, subject: &Subject, _now: Time) -> Result<(Vec<Event>, ()), Refused> {
        let run = subject.run()?;
        match &run.phase {
            // Cancelling twice is no error.
            RunPhase::Cancelled => return Ok((Vec::new(), ())),
            phase if phase.is_over() => return Err(Refused::RunNotReady(phase.state())),
            RunPhase::Ready
            | RunPhase::Delayed(_)
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

/// The event that ends the open call of a run that is over, so that the call's effect cannot start.
fn withdraw(subject: &Subject) -> Option<Event> {
    let call = subject.call.as_ref()?;
    match call.phase {
        Phase::Approved { .. } if call.sent_again => {
            Some(still_in_doubt(call, "the run ended before the effect was sent again"))
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
