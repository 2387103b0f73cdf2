//! A run that waits, for an answer or for its time: in place for a while, then parked.

use std::time::Duration;

use holdshort_gate::Time;
use holdshort_gate::command::{FireTimer, SetTimer};

use super::{Drive, Flow, GO_ON, Left};
use crate::runs::cursor::{Slept, describe_sleep};
use crate::runs::failure::Failure;
use crate::runs::refusal::RefusalForm;

impl Drive<'_> {
    /// Waits for the answer to the open call: in place for a while, then parked.
    ///
    /// The journal is looked at after a hint, not before: since the caller last wrote or read the call's state nothing has looked at the listener,
    /// so that an answer which came meanwhile has left its hint there.
    pub(super) async fn wait_for_answer(&mut self, form: &RefusalForm) -> Result<Flow, Failure> {
        let linger = tokio::time::sleep(self.host.settings.linger);
        tokio::pin!(linger);
        loop {
            // A place to linger is not waited for: without one the run is parked at once.
            let Ok(_lingering) = self.host.lingering.try_acquire() else { return Ok(Flow::Break(Left::Parked)) };
            self.computing = None;
            tokio::select! {
                biased;
                () = self.listener.hinted() => {}
                () = &mut linger => return Ok(Flow::Break(Left::Parked)),
            }
            self.computing = Some(self.host.compute().await?);
            if let Some(flow) = self.look_for_answer(form).await? {
                return Ok(flow);
            }
        }
    }

    /// Hands the agent the answer to the open call, if the journal has it by now.
    pub(super) async fn look_for_answer(&mut self, form: &RefusalForm) -> Result<Option<Flow>, Failure> {
        let subject = self.host.journal.subject(self.id, Some(self.tally.calls)).await?;
        let (run, call) = subject.map_or((None, None), |subject| (subject.run, subject.call));
        if run.is_none_or(|run| run.phase.is_over()) {
            return Ok(Some(Flow::Break(Left::Over)));
        }
        let answered = call.and_then(|call| Some((call.answer()?, call.changed_at)));
        answered.map(|(answer, at)| self.answer(&form.result(&answer), at)).transpose()
    }

    pub(super) async fn sleep(&mut self, until: Time) -> Result<Flow, Failure> {
        let timer = match self.tally.timer() {
            Ok(timer) => timer,
            Err(end) => return self.end(end).await,
        };
        let slept = match &mut self.cursor {
            Some(cursor) => cursor.sleep(timer, until).await?,
            None => Slept::New,
        };
        match slept {
            Slept::Woken { at, asked_at } => {
                if self.parks(asked_at, until) {
                    self.tally.brought_back(self.guest.cpu_used());
                }
                self.wake(at)
            }
            Slept::Over => Ok(Flow::Break(Left::Over)),
            Slept::Other { recorded } => {
                self.diverged(format!("timer {timer}"), recorded, describe_sleep(timer, until)).await
            }
            Slept::Asleep => self.wait_for_timer(timer, until).await,
            Slept::New => {
                if self.parks(self.host.journal.now(), until)
                    && let Err(end) = self.tally.may_come_back(self.guest.cpu_used())
                {
                    return self.end(end).await;
                }
                self.flush(0).await?;
                let command = SetTimer { timer, until };
                let written = self.host.journal.submit(self.id, None, (&self.lease).into(), command).await;
                match written {
                    Ok(_) => self.wait_for_timer(timer, until).await,
                    Err(error) => self.unwritten(error.into()).await,
                }
            }
        }
    }

    /// Whether a sleep is so long that the instance does not wait for its end.
    fn parks(&self, from: Time, until: Time) -> bool {
        Duration::from_micros(until.0.saturating_sub(from.0)) > self.host.settings.linger
    }

    /// A short sleep is waited for in place; for a long one the run is parked and the timers wake it.
    async fn wait_for_timer(&mut self, timer: u32, until: Time) -> Result<Flow, Failure> {
        let now = self.host.journal.now();
        if self.parks(now, until) {
            return Ok(Flow::Break(Left::Parked));
        }
        let left = Duration::from_micros(until.0.saturating_sub(now.0));
        let Ok(_lingering) = self.host.lingering.try_acquire() else { return Ok(Flow::Break(Left::Parked)) };
        self.computing = None;
        tokio::select! {
            biased;
            () = self.listener.over() => return Ok(Flow::Break(Left::Over)),
            () = tokio::time::sleep(left) => {}
        }
        self.computing = Some(self.host.compute().await?);
        let fire = FireTimer { timer };
        let written = self.host.journal.submit(self.id, None, (&self.lease).into(), fire).await;
        match written {
            Ok(at) => self.wake(*at),
            // It is not due by the journal's clock, or the run was ended: the journal says what to do next.
            Err(_) => Ok(Flow::Break(Left::Parked)),
        }
    }

    fn wake(&mut self, at: Time) -> Result<Flow, Failure> {
        self.now = self.now.max(at);
        self.guest.wake(at);
        Ok(GO_ON)
    }
}
