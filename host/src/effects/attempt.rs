//! One effect: starts it, performs it, and records the outcome; or looks up the outcome of an
//! effect in doubt.
//!
//! **Invariant:** the connector is part of the shown content. If the operator has since configured another connector, a
//! cleared call is held again. An attempt of the old connector that is in doubt is not looked up then, because a
//! finding of the new connector says nothing about this attempt.

use std::future::Future;
use std::time::Duration;

use holdshort_gate::command::{AttemptOutcome, Expire, Finish, Start};
use holdshort_gate::{Call, CallId, Capability, Phase, Proposal, Refused, Run, Subject, Time};
use holdshort_journal::{Authorized, SubmitError};
use holdshort_words::{Sentence, say};
use tokio::sync::SemaphorePermit;

use super::{Effects, NoPerformer};
use crate::connectors::{Attempt, Finding, Inquiry};

/// How long after the recorded start an attempt may begin. A host that was suspended must not act
/// on an old clearance.
const PERFORM_WITHIN_MS: u64 = 60_000;

/// The first pause before a failed journal write is repeated.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// The longest pause before a failed journal write is repeated.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// The longest single sleep of a postponed call, so that the task of a cancelled or expired call ends soon.
const WAIT_MAX: Duration = Duration::from_secs(60);

impl Effects {
    /// Starts a cleared call when its connector has a free turn, and performs it. It is no error if the call was
    /// cancelled, has expired or was started by another attempt.
    ///
    /// A call that waits for its turn is not started: it can be cancelled, it expires in time, and
    /// the time for beginning an attempt does not run.
    pub(super) async fn attempt(&self, id: &CallId, capability: &Capability) {
        let CallId { run, call } = id;
        let start = || self.0.journal.submit(id, Start { perform_within_ms: PERFORM_WITHIN_MS });
        loop {
            let turn = self.turn(capability).await;
            match persist(start).await {
                Ok(authorized) => return self.perform(id, authorized, turn).await,
                Err(WriteFailure::Refused(Refused::StartTooLate)) => {
                    let lapsed = persist(|| self.0.journal.submit(id, Expire)).await;
                    return tracing::info!(%run, call, ok = lapsed.is_ok(), "a clearance expired before its effect started");
                }
                // No step of the host leads here, so the journal was changed from outside.
                Err(WriteFailure::Refused(why @ Refused::ClearanceMismatch)) => {
                    return tracing::error!(%run, call, %why, "not started");
                }
                Err(WriteFailure::Refused(Refused::TooEarly { until })) => {
                    drop(turn);
                    self.wait_until(until).await;
                }
                Err(WriteFailure::Refused(why)) => return tracing::debug!(%run, call, %why, "not started"),
                // The start may be on disk although the permit is lost. Then the effect is in doubt although nothing
                // was tried. If the start is not on disk, the call is unchanged and is started now.
                Err(WriteFailure::Unknown) => {
                    drop(turn);
                    tokio::time::sleep(RETRY_FIRST).await;
                    self.look_up_unfinished(id).await;
                }
            }
        }
    }

    /// Waits until the next attempt is due by the journal's clock, at most `WAIT_MAX`. If the call changes meanwhile,
    /// the following `Start` is refused.
    async fn wait_until(&self, until: Time) {
        let left = until.0.saturating_sub(self.0.journal.now().0);
        tokio::time::sleep(Duration::from_micros(left).clamp(RETRY_FIRST, WAIT_MAX)).await;
    }

    /// Performs an attempt with its only permit. Each return records an outcome. An effect that was not started did not
    /// happen. An effect that was started without a clear answer is in doubt, and is looked up at once.
    async fn perform(&self, id: &CallId, authorized: Authorized, turn: Option<SemaphorePermit<'_>>) {
        let (attempt, perform_by) = (authorized.attempt(), authorized.perform_by());
        let performer = match self.performer(authorized.action().capability(), authorized.connector()) {
            Ok(performer) => performer,
            Err(error @ NoPerformer::Missing(_)) => {
                return self.finish(id, attempt, not_done(error.sentence()), None).await;
            }
            Err(error @ NoPerformer::Another { .. }) => {
                let outcome = self.hold_again(id, error.sentence()).await;
                return self.finish(id, attempt, outcome, None).await;
            }
        };
        // Without material facts and time-dependent policies nothing can have changed. Then the journal is not read
        // between a start and its effect.
        if (authorized.has_material_facts() || self.0.refresh.depends_on_time())
            && let Some(outcome) = self.material_change(id).await
        {
            return self.finish(id, attempt, outcome, None).await;
        }
        if self.0.journal.now() > perform_by {
            let reason = say!("the host was delayed after it recorded the start of the effect, and made no attempt");
            return self.finish(id, attempt, not_done(reason), None).await;
        }
        // The connector runs in a task of its own. If it panics, the effect is in doubt and the dispatcher continues.
        let attempted = tokio::spawn(async move { performer.perform(authorized).await }).await;
        let outcome = match attempted {
            Ok(Attempt::Done(receipt)) => AttemptOutcome::Happened(receipt),
            Ok(Attempt::DoneDespite(receipt, changed)) => {
                AttemptOutcome::HappenedDespite(receipt, changed.into_iter().map(Sentence::into_string).collect())
            }
            Ok(Attempt::NotDone(reason)) => not_done(reason),
            Ok(Attempt::Postponed(reason, again_in)) => {
                AttemptOutcome::Postponed(reason.into_string(), u64::try_from(again_in.as_millis()).unwrap_or(u64::MAX))
            }
            Ok(Attempt::FactsChanged(reason)) => self.hold_again(id, reason).await,
            Ok(Attempt::Unknown(reason)) => unknown(reason),
            Err(_) => unknown(say!("the connector failed in the middle of the attempt")),
        };
        // The connector has finished, so another attempt may take its turn now, even if a full disk or a lookup delays
        // the rest of this one.
        drop(turn);
        let is_unknown = matches!(outcome, AttemptOutcome::Unknown(_));
        self.finish(id, attempt, outcome, None).await;
        if is_unknown {
            self.look_up_unfinished(id).await;
        }
    }

    /// The outcome for a call that policy forbids at this time, or whose material facts changed or
    /// cannot be checked; `None` if it may go on.
    async fn material_change(&self, id: &CallId) -> Option<AttemptOutcome> {
        let Some((run, call, proposal)) = self.proposal(id).await else {
            return Some(not_done(say!("the cleared action is not in the journal")));
        };
        if let Some(reason) = self.0.refresh.forbidden_now(&run, id, &call) {
            return Some(self.hold_again(id, reason).await);
        }
        let agent = run.agent;
        if proposal.policy.material.is_empty() {
            return None;
        }
        match self.0.refresh.material_change(&agent, id, &proposal).await {
            Ok(None) => None,
            Ok(Some((reason, now))) => Some(changed(reason, now)),
            Err(why) => Some(not_done(say!("the material facts of the call could not be read again: {}", why))),
        }
    }

    /// The outcome that holds the call again: the same action with the present facts.
    async fn hold_again(&self, id: &CallId, reason: Sentence) -> AttemptOutcome {
        let Some((run, _, proposal)) = self.proposal(id).await else { return not_done(reason) };
        match self.0.refresh.refresh(&run.agent, id, &proposal).await {
            Ok(proposal) => changed(reason, proposal),
            Err(now) => not_done(say!("{}; and the call cannot be held again: {}", reason, now)),
        }
    }

    /// Looks up an attempt without a recorded outcome. It never performs the effect again: only a reviewer decides
    /// that, with the result of the lookup.
    pub(super) async fn look_up_unfinished(&self, id: &CallId) {
        let Some((call, inquiry)) = self.unfinished(id).await else { return };
        if call.phase == Phase::Started {
            let reason = say!("the host stopped between the start of the effect and its outcome");
            self.finish(id, inquiry.attempt, unknown(reason), None).await;
        }
        let shown = call.proposal().map(|proposal| proposal.connector.as_str()).unwrap_or_default();
        let performer = match self.performer(inquiry.action.capability(), shown) {
            Ok(performer) => performer,
            Err(why) => {
                return self.still_in_doubt(id, inquiry.attempt, say!("the lookup was not made: {}", why)).await;
            }
        };
        // Thousands of calls may wait here, so the large data is dropped, and read again when this call has its turn. A
        // reviewer may have resolved the effect by then.
        drop((call, inquiry));
        let Some(_turn) = performer.lookup_turn().await else { return };
        let Some((_, inquiry)) = self.unfinished(id).await else { return };
        let (attempt, asked) = (inquiry.attempt, performer.clone());
        let finding = tokio::spawn(async move { asked.lookup(&inquiry).await }).await;
        match finding {
            Ok(Finding::Happened { receipt, evidence }) => {
                self.finish(id, attempt, AttemptOutcome::Happened(receipt), Some(evidence)).await;
            }
            Ok(Finding::DidNotHappen { evidence }) => {
                self.finish(
                    id,
                    attempt,
                    not_done(say!("the attempt was started, but the effect did not happen")),
                    Some(evidence),
                )
                .await;
            }
            Ok(Finding::Unknown { evidence }) => self.still_in_doubt(id, attempt, evidence).await,
            Err(_) => {
                let evidence = say!("the lookup failed: the connector stopped before it had an answer");
                self.still_in_doubt(id, attempt, evidence).await;
            }
        }
    }

    /// Records the result for the reviewer who resolves the effect. The reviewer may come days later, and a log line is
    /// only for the operator.
    async fn still_in_doubt(&self, id: &CallId, attempt: u32, evidence: Sentence) {
        tracing::warn!(run = %id.run, call = id.call, evidence = evidence.as_str(), "an effect stays in doubt until a reviewer resolves it");
        let reason = say!("a lookup could not find out the outcome");
        self.finish(id, attempt, unknown(reason), Some(evidence)).await;
    }

    /// Retries until the journal has recorded the outcome, or refuses it because the effect is already resolved. So a
    /// full disk does not lose a known outcome.
    async fn finish(&self, id: &CallId, attempt: u32, outcome: AttemptOutcome, evidence: Option<Sentence>) {
        let (CallId { run, call }, evidence) = (id, evidence.map(Sentence::into_string));
        loop {
            let finish = || {
                let command = Finish { attempt, outcome: outcome.clone(), evidence: evidence.clone() };
                self.0.journal.submit(id, command)
            };
            match persist(finish).await {
                Ok(_) => return,
                // The outcome is already recorded, by this task or by a faster reviewer.
                Err(WriteFailure::Refused(why)) => return tracing::debug!(%run, call, %why, "outcome not written"),
                // Recording is safe to repeat, because the attempt's state refuses a second outcome.
                Err(WriteFailure::Unknown) => tokio::time::sleep(RETRY_FIRST).await,
            }
        }
    }

    /// A call with its run and its proposal.
    async fn proposal(&self, id: &CallId) -> Option<(Run, Call, Proposal)> {
        let Subject { run, call, .. } = self.subject(id).await?;
        let proposal = call.as_ref()?.proposal()?.clone();
        Some((run?, call?, proposal))
    }

    /// The call and the connector's inquiry, if an attempt began without a recorded outcome.
    async fn unfinished(&self, id: &CallId) -> Option<(Call, Inquiry)> {
        let call = self.subject(id).await?.call?;
        let unfinished = matches!(call.phase, Phase::Started | Phase::InDoubt { .. });
        let inquiry = unfinished.then(|| self.inquiry(&id.run, &call)).flatten()?;
        Some((call, inquiry))
    }

    /// Retries until the journal can be read. Otherwise a call could stay started for ever.
    async fn subject(&self, id: &CallId) -> Option<Subject> {
        let mut pause = RETRY_FIRST;
        loop {
            match self.0.journal.subject(&id.run, Some(id.call)).await {
                Ok(subject) => return subject,
                Err(error) => tracing::error!(run = %id.run, call = id.call, %error, "the journal cannot be read"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }
}

// An outcome's reason is a sentence of the host. Only these functions convert it to a text of the journal.

fn not_done(reason: Sentence) -> AttemptOutcome {
    AttemptOutcome::DidNotHappen(reason.into_string())
}

fn unknown(reason: Sentence) -> AttemptOutcome {
    AttemptOutcome::Unknown(reason.into_string())
}

fn changed(reason: Sentence, now: Proposal) -> AttemptOutcome {
    AttemptOutcome::FactsChanged { reason: reason.into_string(), proposal: Box::new(now) }
}

/// Why a command was not written, or may not have been written.
enum WriteFailure {
    Refused(Refused),
    Unknown,
}

/// Retries until the journal accepts the command or refuses it: a full disk only delays. A command
/// that may have been written is not submitted again.
async fn persist<T, F: Future<Output = Result<T, SubmitError>>>(submit: impl Fn() -> F) -> Result<T, WriteFailure> {
    let mut pause = RETRY_FIRST;
    loop {
        match submit().await {
            Ok(written) => return Ok(written),
            Err(SubmitError::Refused(why)) => return Err(WriteFailure::Refused(why)),
            Err(SubmitError::Unknown(cause)) => {
                tracing::error!(%cause, "a write may or may not be on disk");
                return Err(WriteFailure::Unknown);
            }
            Err(error @ (SubmitError::NotWritten(_) | SubmitError::Fenced)) => {
                tracing::error!(%error, "not written; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
        }
    }
}
