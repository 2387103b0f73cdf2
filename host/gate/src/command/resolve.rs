//! The ends of a call other than the outcome of an attempt: a reviewer resolves an effect in doubt, or a deadline
//! passes.

use super::{Command, Refused, Sealed, Subject};
use crate::call::Call;
use crate::clearance::EffectClass;
use crate::decision::Resolution;
use crate::event::Event;
use crate::ids::{CallId, Time};
use crate::name::ReviewerName;
use crate::phase::{CallState, Phase};

/// A reviewer resolves an effect that is in doubt.
#[derive(Clone, Debug)]
pub struct Resolve {
    /// The attempt whose effect the reviewer resolves.
    pub attempt: u32,
    /// Who resolves the effect. The call's requirement must name this reviewer.
    pub by: ReviewerName,
    /// The resolution.
    pub resolution: Resolution,
    /// The reviewer's message.
    pub message: Option<String>,
}

impl Sealed for Resolve {}
impl Command for Resolve {
    type About = CallId;
    /// The state of the call after the resolution.
    type Output = CallState;

    fn decide(self, subject: &Subject, now: Time) -> Result<(Vec<Event>, CallState), Refused> {
        let (run, _) = subject.call()?;
        let call = attempted(subject, self.attempt)?;
        let wrong = Refused::WrongPhase(call.phase.state());
        let (Phase::InDoubt { .. }, Some(proposal)) = (&call.phase, call.proposal()) else {
            return Err(wrong);
        };
        call.admits(&self.by)?;
        proposal.requirement.bars(&self.by, &run.started_by, call.edited_by.as_ref())?;
        if self.resolution == Resolution::SendAgain && proposal.class != EffectClass::Idempotent {
            return Err(Refused::WrongKind(
                "this effect cannot be sent again, because another attempt could perform it twice; only idempotent effects can be sent again",
            ));
        }
        let Self { attempt, by, resolution, message } = self;
        let event = Event::EffectResolved { call: call.number, attempt, by, resolution, message };
        let mut after = call.clone();
        after.apply(&event, now).map_err(|_| wrong)?;
        Ok((vec![event], after.phase.state()))
    }
}

/// Applies a deadline that has passed: a held call escalates or expires; a cleared call expires, or fails if its last
/// attempt was postponed. A call that a reviewer resolved with "send again" is in doubt again.
#[derive(Clone, Copy, Debug)]
pub struct Expire;

impl Sealed for Expire {}
impl Command for Expire {
    type About = CallId;
    type Output = ();

    fn decide(self, subject: &Subject, now: Time) -> Result<(Vec<Event>, ()), Refused> {
        let (_, call) = subject.call()?;
        match call.deadline() {
            Some(deadline) if now >= deadline && call.sent_again => {
                Ok((vec![still_in_doubt(call, "the time to send the effect again is over")], ()))
            }
            Some(deadline) if now >= deadline && !call.has_expired(now) && call.phase == Phase::Held => {
                Ok((vec![Event::CallEscalated { call: call.number, level: call.level + 1 }], ()))
            }
            Some(deadline) if now >= deadline && call.postponed.is_some() => Ok((vec![given_up(call)], ())),
            Some(deadline) if now >= deadline => Ok((vec![Event::CallExpired { call: call.number }], ())),
            Some(_) | None => Err(Refused::NotDue),
        }
    }
}

/// The call, if this attempt is its current attempt and the outcome is not written yet.
pub(super) fn attempted(subject: &Subject, attempt: u32) -> Result<&Call, Refused> {
    let (_, call) = subject.call()?;
    match &call.phase {
        Phase::Started | Phase::InDoubt { .. } if call.attempts == attempt => Ok(call),
        Phase::Started | Phase::InDoubt { .. } => Err(Refused::OtherAttempt { found: attempt, current: call.attempts }),
        Phase::Succeeded { .. } | Phase::Failed { .. } | Phase::Unresolved { .. } => {
            Err(Refused::AlreadyDecided { winner: None, state: call.phase.state() })
        }
        Phase::Refused(_)
        | Phase::Cleared { .. }
        | Phase::Held
        | Phase::Approved { .. }
        | Phase::Rejected { .. }
        | Phase::Answered { .. }
        | Phase::Expired
        | Phase::Cancelled => Err(Refused::WrongPhase(call.phase.state())),
    }
}

/// The event for a call that a reviewer resolved with "send again" and that was not sent. An earlier attempt may have
/// happened, so the call stays in doubt.
pub(super) fn still_in_doubt(call: &Call, why: &str) -> Event {
    let reason = format!("{why}; an earlier attempt is still in doubt");
    Event::EffectInDoubt { call: call.number, attempt: call.attempts, reason }
}

/// The event for a call that was postponed and did not start again in time. The event tells the agent why the last
/// attempt did not happen.
fn given_up(call: &Call) -> Event {
    let last = call.postponed.as_ref().map(|postponed| postponed.reason.as_str()).unwrap_or_default();
    let reason = format!("{last}; the deadline for the start passed before the next attempt");
    Event::EffectFailed { call: call.number, attempt: call.attempts, reason, evidence: None }
}
