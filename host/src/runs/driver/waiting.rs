//! A run that waits for an answer or a time: first in memory, then parked.

use std::time::Duration;

use holdshort_gate::CallNumber;
use holdshort_gate::command::{FireTimer, SetTimer};

use super::{Drive, DriveEnd, Flow, aside};
use crate::runs::failure::Failure;
use crate::runs::live::{Reply, Sleep, is_long};
use crate::runs::slots::WaitReason;

impl Drive<'_> {
    /// Waits for the answer to a recorded call. Looks in the journal first, because the answer may have come after
    /// replay read the call's events, and its hint may already be consumed.
    pub(super) async fn answer(&mut self, call: CallNumber) -> Result<Flow, Failure> {
        match self.look_for_answer(call).await? {
            Some(flow) => Ok(flow),
            None => self.wait_for_answer(call).await,
        }
    }

    /// Waits for the answer to the open call: first in memory, then parked.
    ///
    /// It reads the journal only after a hint. No answer is missed: the caller has just written or read the call's
    /// state, and every answer since then has left a hint that nobody has consumed.
    pub(super) async fn wait_for_answer(&mut self, call: CallNumber) -> Result<Flow, Failure> {
        let linger = tokio::time::sleep(self.host.settings.linger);
        tokio::pin!(linger);
        loop {
            {
                let wait = self.host.slots.wait(WaitReason::Answer);
                tokio::select! {
                    biased;
                    () = self.listener.hinted() => {}
                    () = wait.taken() => return Ok(Flow::Break(DriveEnd::Parked)),
                    () = &mut linger => return Ok(Flow::Break(DriveEnd::Parked)),
                }
            }
            if let Some(flow) = self.look_for_answer(call).await? {
                return Ok(flow);
            }
        }
    }

    /// The answer to the open call, if it is recorded.
    pub(super) async fn look_for_answer(&mut self, call: CallNumber) -> Result<Option<Flow>, Failure> {
        let subject = self.host.journal.subject(self.id, Some(call)).await?;
        let (run, call) = subject.map_or((None, None), |subject| (subject.run, subject.call));
        if run.is_none_or(|run| run.phase.is_over()) {
            return Ok(Some(Flow::Break(DriveEnd::Over)));
        }
        Ok(call.and_then(|call| Some(Flow::Continue(Reply::Answer(call.answer()?, call.changed_at)))))
    }

    pub(super) async fn sleep(&mut self, sleep: Sleep) -> Result<Flow, Failure> {
        let Sleep { timer, until, is_set, too_often } = sleep;
        if !is_set {
            if let Some(end) = too_often
                && is_long(self.host.journal.now(), until, self.host.settings.linger)
            {
                return self.end(end).await;
            }
            self.flush(0).await?;
            let set = SetTimer { timer, until };
            if let Err(error) = self.lease.submit(set).await {
                return self.unwritten(error.into()).await;
            }
        }
        let now = self.host.journal.now();
        // A short sleep is spent in memory. For a long sleep the run is parked, and a timer wakes it.
        if is_long(now, until, self.host.settings.linger) {
            return Ok(Flow::Break(DriveEnd::Parked));
        }
        let asleep = tokio::time::sleep(Duration::from_micros(until.0.saturating_sub(now.0)));
        tokio::select! {
            biased;
            () = self.listener.over() => return Ok(Flow::Break(DriveEnd::Over)),
            () = aside(self.host, &mut self.agent, WaitReason::Answer, asleep) => {}
        }
        match self.lease.submit(FireTimer { timer }).await {
            Ok(_) if self.agent.is_none() => self.displaced().await,
            Ok(at) => Ok(Flow::Continue(Reply::Woken(*at))),
            // The sleep is not over by the journal's clock, or the run ended. The journal decides
            // what is next.
            Err(_) => Ok(Flow::Break(DriveEnd::Parked)),
        }
    }
}
