//! One run, driven: instantiate, replay, go on, wait, park.
//!
//! Everything the agent does arrives as a [`Step`]. While the journal still holds what comes next, a step is answered from it; after that the
//! run is live. A run that waits longer than the linger is parked: this function returns, the instance is gone, and only rows remain.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holdshort_gate::command::{End, EndRun, Propose, Proposed, RecordRoutine};
use holdshort_gate::{Action, FunctionType, Phase, Refused, Run, RunId, Time};
use holdshort_journal::{Lease, LogLine, SubmitError, Submitted};
use serde_json::Value;
use tokio::sync::SemaphorePermit;

use super::agents::Loaded;
use super::catalogue::BoundOffer;
use super::cursor::{Cursor, Replayed, describe};
use super::failure::Failure;
use super::propose::Asker;
use super::signal::Listener;
use super::tally::{Tally, weight};
use super::{Inner, refusal::RefusalForm};
use crate::agent::{Guest, HostCall, Start, Step, Trap, log_line};
use crate::connectors::{Preview, Routine, RoutineCall};
use crate::kill;

mod waiting;

/// How a drive ended without failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The run will never go on.
    Over,
    /// It waits, and nothing of it is in memory.
    Parked,
}

/// Go on with the guest, or leave it.
type Flow = std::ops::ControlFlow<Left>;
const GO_ON: Flow = Flow::Continue(());

/// Routine results that may be under way to the disk before the agent has to wait for it.
const UNFLUSHED_MAX: usize = 64;

/// And about how many bytes of them.
const UNFLUSHED_BYTES_MAX: u64 = 1 << 20;

/// How often a connector that cannot answer is asked again before the run is put back.
const CONNECTOR_TRIES: u32 = 5;

/// One run in memory.
pub(super) struct Drive<'a> {
    host: &'a Inner,
    id: &'a RunId,
    listener: &'a mut Listener,
    /// The run as it was created: what it may use, and for whom.
    run: Run,
    loaded: Arc<Loaded>,
    lease: Lease,
    guest: Guest,
    /// Leave to compute; given back while the run lingers. Dropped after the guest, so that whoever gets the place finds room for an instance.
    computing: Option<SemaphorePermit<'a>>,
    /// Gone once the journal is replayed.
    cursor: Option<Cursor<'a>>,
    tally: Tally,
    /// The time of the last result that the agent got.
    now: Time,
    unflushed: VecDeque<Submitted<()>>,
    unflushed_bytes: u64,
}

impl<'a> Drive<'a> {
    /// Brings the run into memory, if there is anything to drive.
    pub(super) async fn open(
        host: &'a Inner,
        id: &'a RunId,
        listener: &'a mut Listener,
    ) -> Result<Option<Self>, Failure> {
        let computing = Some(host.compute().await?);
        let lease = host.journal.lease(id);
        let opened = Cursor::open(&host.journal, id, &host.events_replayed).await?;
        let Some((cursor, run, task)) = opened else { return Ok(None) };
        let loaded = host.agents.by_digest(&host.journal, &run.component).await?;
        let start = Start {
            task,
            limits: run.limits.clone(),
            seed: host.journal.seed(id),
            created_at: run.created_at,
            arguments_max_bytes: host.settings.arguments_max_bytes,
        };
        let guest = loaded.program.start(start);
        host.instances_started.fetch_add(1, Ordering::Relaxed);
        guest.replay(true);
        let now = run.created_at;
        let tally = Tally::new(run.limits.clone());
        Ok(Some(Self {
            host,
            id,
            listener,
            computing,
            run,
            loaded,
            lease,
            guest,
            cursor: Some(cursor),
            tally,
            now,
            unflushed: VecDeque::new(),
            unflushed_bytes: 0,
        }))
    }

    /// Drives the run until it is over or parked. An `Err` is the host's failure: nothing was written, and the run is driven again later.
    pub(super) async fn go(mut self) -> Result<Left, Failure> {
        loop {
            self.go_live().await?;
            let step = tokio::select! {
                biased;
                () = self.listener.over() => return Ok(Left::Over),
                step = self.guest.next() => step,
            };
            let flow = match step {
                Step::Call(call) => self.call(call).await?,
                Step::Sleep { until } => self.sleep(until).await?,
                Step::Output { level, text } => self.log(level, text),
                Step::Finished(result) => self.end(End::Finished(result)).await?,
                Step::Trapped(trap) => self.trapped(trap).await?,
            };
            if let Flow::Break(left) = flow {
                return Ok(left);
            }
        }
    }

    /// Notices that the journal is replayed: from then on the CPU limit holds and log lines count.
    async fn go_live(&mut self) -> Result<(), Failure> {
        if let Some(cursor) = &mut self.cursor
            && cursor.at_end().await?
        {
            self.tally.went_on(cursor.held, cursor.evidence_bytes);
            self.cursor = None;
            self.guest.replay(false);
        }
        Ok(())
    }

    async fn call(&mut self, HostCall { capability, ty, arguments }: HostCall) -> Result<Flow, Failure> {
        let loaded = self.loaded.clone();
        let bound = loaded.bindings.get(&*capability).ok_or_else(|| Failure::NotOffered((*capability).clone()))?;
        if let BoundOffer::Log = bound.offer {
            let text = |name| arguments.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let flow = self.log(&text("level"), log_line(text("message")));
            self.guest.answer(&Value::Null, self.now)?;
            return Ok(flow);
        }
        let number = match self.tally.call(&arguments) {
            Ok(number) => number,
            Err(end) => return self.end(end).await,
        };
        let action = Action::new(self.run.component, (*capability).clone(), &ty, &arguments)?;
        match self.replayed(&action).await? {
            Replayed::Returned(result, at) => self.answer(&result, at),
            Replayed::Over => Ok(Flow::Break(Left::Over)),
            Replayed::Other { recorded } => {
                self.diverged(format!("call {number}"), recorded, describe(number, &action)).await
            }
            Replayed::Answered(answer, at) => match &bound.offer {
                BoundOffer::Consequential(_, form) => self.answer(&form.result(&answer), at),
                BoundOffer::Log | BoundOffer::Routine(_) => Err(Failure::Reclassified((*capability).clone())),
            },
            Replayed::Open => match &bound.offer {
                // The answer may have come since its events were read, and its hint may have been seen on the way here.
                BoundOffer::Consequential(_, form) => match self.look_for_answer(form).await? {
                    Some(flow) => Ok(flow),
                    None => self.wait_for_answer(form).await,
                },
                BoundOffer::Log | BoundOffer::Routine(_) => Err(Failure::Reclassified((*capability).clone())),
            },
            Replayed::New => match &bound.offer {
                BoundOffer::Routine(routine) => self.routine(&**routine, action).await,
                BoundOffer::Consequential(preview, form) => {
                    self.consequential(&**preview, form, &bound.ty, action).await
                }
                BoundOffer::Log => Ok(GO_ON),
            },
        }
    }

    async fn replayed(&mut self, action: &Action) -> Result<Replayed, Failure> {
        match &mut self.cursor {
            Some(cursor) => Ok(cursor.call(self.tally.calls, action).await?),
            None => Ok(Replayed::New),
        }
    }

    fn answer(&mut self, result: &Value, at: Time) -> Result<Flow, Failure> {
        self.now = self.now.max(at);
        self.tally.returned(result);
        kill::point("before-answer");
        self.guest.answer(result, at)?;
        kill::point("after-answer");
        Ok(GO_ON)
    }

    async fn routine(&mut self, routine: &dyn Routine, action: Action) -> Result<Flow, Failure> {
        let call = RoutineCall { agent: &self.run.agent, run: self.id, action: &action };
        let mut tries = 0;
        let result = loop {
            let asked = tokio::select! {
                biased;
                () = self.listener.over() => return Ok(Flow::Break(Left::Over)),
                asked = aside(self.host, &mut self.computing, routine.answer(call)) => asked?,
            };
            match asked {
                Ok(result) => break result,
                Err(error) if tries >= CONNECTOR_TRIES => return Err(Failure::Connector(error.0)),
                Err(_) => tries = pause(tries).await,
            }
        };
        let answered_at = self.host.journal.now();
        let command = RecordRoutine { call: self.tally.calls, action, result: result.clone(), answered_at };
        self.unflushed.push_back(self.host.journal.submit(self.id, None, (&self.lease).into(), command));
        self.unflushed_bytes += weight(&result);
        self.flush(if self.unflushed_bytes > UNFLUSHED_BYTES_MAX { 0 } else { UNFLUSHED_MAX }).await?;
        self.answer(&result, answered_at)
    }

    async fn consequential(
        &mut self,
        preview: &dyn Preview,
        form: &RefusalForm,
        ty: &FunctionType,
        action: Action,
    ) -> Result<Flow, Failure> {
        self.flush(0).await?;
        let mut tries = 0;
        let written = loop {
            let proposed = self.proposed(preview, ty, &action, tries >= TOTALS_TRIES).await?;
            self.tally.shown(evidence_bytes(&proposed));
            let command = Propose { call: self.tally.calls, proposed };
            match self.host.journal.submit(self.id, None, (&self.lease).into(), command).await {
                Err(SubmitError::Refused(Refused::TotalsChanged)) => tries += 1,
                written => break written,
            }
        };
        match written {
            Ok(phase) => {
                self.tally.held += u32::from(matches!(*phase, Phase::Held));
                // A refusal is the answer already: it is not waited for, not even for as long as a hint takes.
                if matches!(*phase, Phase::Refused(_))
                    && let Some(flow) = self.look_for_answer(form).await?
                {
                    return Ok(flow);
                }
                self.wait_for_answer(form).await
            }
            Err(error) => self.unwritten(error.into()).await,
        }
    }

    /// Policy's verdict. `at_last` says that the totals change all the time: then a person decides.
    async fn proposed(
        &mut self,
        preview: &dyn Preview,
        ty: &FunctionType,
        action: &Action,
        at_last: bool,
    ) -> Result<Proposed, Failure> {
        let (agent, started_by) = (&self.run.agent, &self.run.started_by);
        let asker = Asker { run: self.id, call: self.tally.calls, agent, started_by };
        let full = self.tally.refuse_to_hold();
        let mut tries = 0;
        let proposed = loop {
            let propose = self.host.proposer.propose(asker, preview, ty, action.clone(), full.as_ref());
            match aside(self.host, &mut self.computing, propose).await? {
                Ok(proposed) => break proposed,
                Err(error) if tries >= CONNECTOR_TRIES => return Err(error.into()),
                Err(_) => tries = pause(tries).await,
            }
        };
        Ok(if at_last { proposed.at_last() } else { proposed })
    }

    async fn trapped(&mut self, trap: Trap) -> Result<Flow, Failure> {
        if trap.is_hosts() {
            return Err(Failure::Host(trap.to_string()));
        }
        self.end(End::Trapped(trap.to_string())).await
    }

    /// Writes how the run ended, unless the journal says that it went on from here.
    async fn end(&mut self, end: End) -> Result<Flow, Failure> {
        if let Some(cursor) = &mut self.cursor
            && let Some(recorded) = cursor.rest().await?
        {
            let found = match end {
                End::Finished(_) => "nothing more: it returned".to_owned(),
                End::Trapped(reason) => format!("nothing more: {reason}"),
                End::Diverged { found, .. } => found,
            };
            return self.diverged("the end".into(), recorded, found).await;
        }
        self.write_end(end).await
    }

    async fn diverged(&mut self, place: String, recorded: String, found: String) -> Result<Flow, Failure> {
        self.write_end(End::Diverged { place, recorded, found }).await
    }

    async fn write_end(&mut self, end: End) -> Result<Flow, Failure> {
        self.flush(0).await?;
        let written = self.host.journal.submit(self.id, None, (&self.lease).into(), EndRun(end)).await;
        match written {
            Ok(_) => Ok(Flow::Break(Left::Over)),
            Err(error) => self.unwritten(error.into()).await,
        }
    }

    fn log(&mut self, level: &str, message: String) -> Flow {
        if self.cursor.is_none() {
            let line = LogLine { at: self.host.journal.now(), level: level.into(), message };
            self.host.journal.log(self.id, line);
        }
        GO_ON
    }

    /// Waits until at most `max` routine results are not on disk.
    async fn flush(&mut self, max: usize) -> Result<(), Failure> {
        while self.unflushed.len() > max
            && let Some(oldest) = self.unflushed.pop_front()
        {
            drop(oldest.await?);
        }
        if self.unflushed.is_empty() {
            self.unflushed_bytes = 0;
        }
        Ok(())
    }

    /// A step was not written. If that is because the run was ended meanwhile, that is the end of it.
    async fn unwritten(&mut self, failure: Failure) -> Result<Flow, Failure> {
        if let Failure::Journal(holdshort_journal::SubmitError::Refused(Refused::RunNotReady(_))) = &failure {
            let subject = self.host.journal.subject(self.id, None).await?;
            if subject.and_then(|subject| subject.run).is_none_or(|run| run.phase.is_over()) {
                return Ok(Flow::Break(Left::Over));
            }
        }
        Err(failure)
    }
}

/// How often policy is asked again because totals have changed, before a person is asked instead.
const TOTALS_TRIES: u32 = 16;

/// What the journal keeps for a proposal besides its arguments.
fn evidence_bytes(proposed: &Proposed) -> u64 {
    match proposed {
        Proposed::Hold(proposal) | Proposed::Clear(proposal) => proposal.evidence_bytes(),
        Proposed::Refuse(..) => 0,
    }
}

/// Lets another run compute while a connector works for this one, as far as there are places for instances that wait.
async fn aside<'a, T>(
    host: &'a Inner,
    computing: &mut Option<SemaphorePermit<'a>>,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let Ok(_lingering) = host.lingering.try_acquire() else { return Ok(work.await) };
    *computing = None;
    let done = work.await;
    *computing = Some(host.compute().await?);
    Ok(done)
}

async fn pause(tries: u32) -> u32 {
    tokio::time::sleep(Duration::from_millis(50 << tries.min(6))).await;
    tries + 1
}
