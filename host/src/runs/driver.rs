//! Drives one run: instantiates its agent, replays, goes on, waits, and parks.
//!
//! The agent is a [`LiveAgent`] on its own threads. This module does the host's work between the agent's steps and does
//! not compute for the agent, so waiting here delays no other agent. A run that waits longer than the linger time is
//! parked: the function returns, the instance is gone, and only rows in the journal remain.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holdshort_gate::command::{EndRun, FirstVerdict, Propose, RecordRoutine, RunEnd};
use holdshort_gate::{Action, CallNumber, Phase, RefusalReason, Refused, Run, RunId};
use holdshort_journal::{Blob, Lease, LogLine, SubmitError, Submitted};

use super::Inner;
use super::agents::{AgentError, LoadedAgent};
use super::catalogue::Bound;
use super::cursor::Cursor;
use super::failure::Failure;
use super::live::{AgentLogLine, LiveAgent, Need, Reply};
use super::propose::{Caller, RunHistory};
use super::signal::Listener;
use super::slots::WaitReason;
use super::tally::{Tally, too_often, weight};
use crate::agent::{GuestStart, Kept, Meter};
use crate::connectors::RoutineCall;

mod waiting;

/// How a drive ended without failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DriveEnd {
    /// The run has ended.
    Over,
    /// The run waits, or may be able to go on again. Nothing of it is in memory.
    Parked,
    /// Another run took the slot of this run while it slept or a connector worked. This run goes on when a slot is
    /// free; bringing it back costs this much CPU time.
    Displaced(Duration),
}

/// The reply with which the agent goes on, or the end of the drive.
type Flow = std::ops::ControlFlow<DriveEnd, Reply>;

/// The maximum number of routine results on their way to disk before the agent must wait.
const UNFLUSHED_MAX: usize = 64;

/// The maximum bytes of these results.
const UNFLUSHED_BYTES_MAX: u64 = 1 << 20;

/// The number of times that a connector that cannot answer is asked again before the drive fails.
const CONNECTOR_TRIES: u32 = 5;

/// The number of times that policy is asked again because running totals changed. After that, the call is held.
const TOTALS_TRIES: u32 = 16;

/// One run in memory.
pub(super) struct Drive<'a> {
    host: &'a Inner,
    id: &'a RunId,
    listener: &'a mut Listener,
    /// The run at its creation: its limits and its starter.
    run: Run,
    loaded: Arc<LoadedAgent>,
    lease: Lease,
    /// `None` after another run took the slot.
    agent: Option<Kept<LiveAgent>>,
    meter: Meter,
    /// The CPU time for bringing the run back after each displacement.
    displaced: Duration,
    /// The run's history before its next consequential call.
    before: RunHistory,
    unflushed: VecDeque<Submitted<()>>,
    unflushed_bytes: u64,
}

impl<'a> Drive<'a> {
    /// Brings the run into memory, if it can go on. `displaced` is the CPU time spent so far on bringing it back after
    /// it lost its slot.
    pub(super) async fn open(
        host: &'a Inner,
        id: &'a RunId,
        listener: &'a mut Listener,
        displaced: Duration,
    ) -> Result<Option<Self>, Failure> {
        let mut slot = host.slots.take().await.ok_or(AgentError::ShuttingDown)?;
        let lease = host.journal.lease(id);
        let opened = Cursor::open(&host.journal, id, &host.events_replayed).await?;
        let Some((cursor, run, task)) = opened else { return Ok(None) };
        let (loaded, program) = match host.agents.in_memory(&run.component) {
            Some(in_memory) => in_memory,
            None => {
                // Reading a component may take all the time that its limits allow, and other runs need the slot
                // meanwhile.
                drop(slot);
                let loaded = host.agents.by_digest(&host.journal, &run.component).await?;
                slot = host.slots.take().await.ok_or(AgentError::ShuttingDown)?;
                loaded
            }
        };
        let start = GuestStart {
            task,
            limits: run.limits.clone(),
            seed: host.journal.seed(id),
            created_at: run.created_at,
            arguments_max_bytes: host.settings.arguments_max_bytes,
        };
        let guest = program.start(start);
        host.instances_started.fetch_add(1, Ordering::Relaxed);
        let tally = Tally::new(run.limits.clone());
        let agent = LiveAgent::new(&run, loaded.clone(), (guest, cursor), tally, host.settings.linger, slot);
        let (meter, agent) = (agent.meter(), Some(host.agents.take_to_threads(agent)));
        let (before, unflushed, unflushed_bytes) = (RunHistory::default(), VecDeque::new(), 0);
        let drive = Self {
            host,
            id,
            listener,
            run,
            loaded,
            lease,
            agent,
            meter,
            displaced,
            before,
            unflushed,
            unflushed_bytes,
        };
        Ok(Some(drive))
    }

    /// Drives the run until it ends or is parked. An `Err` is the host's failure: the run stays as recorded, and is
    /// driven again later.
    pub(super) async fn go(mut self) -> Result<DriveEnd, Failure> {
        let mut reply = Reply::Nothing;
        loop {
            let Some(agent) = &mut self.agent else { return Ok(DriveEnd::Parked) };
            let (lines, need) = tokio::select! {
                biased;
                () = self.listener.over() => return Ok(DriveEnd::Over),
                done = agent.with(move |agent| agent.go_on(reply)) => done??,
            };
            lines.into_iter().for_each(|line| self.log(line));
            let flow = match need {
                Need::Nothing => Flow::Continue(Reply::Nothing),
                Need::Routine(call, action) => self.routine(call, action).await?,
                Need::Consequential(call, action, full) => self.consequential(call, action, full).await?,
                Need::Answer(call) => self.answer(call).await?,
                Need::Time(sleep) => self.sleep(sleep).await?,
                Need::End(end) => self.end(end).await?,
                Need::Over => Flow::Break(DriveEnd::Over),
            };
            match flow {
                Flow::Continue(next) => reply = next,
                Flow::Break(left) => return Ok(left),
            }
        }
    }

    /// The offer of the host for the function of a call. The agent's import was bound to this offer at load.
    fn bound(&self, action: &Action) -> Result<&Bound, Failure> {
        let bound = self.loaded.bindings.get(action.capability());
        bound.ok_or_else(|| Failure::NotOffered(action.capability().clone()))
    }

    async fn routine(&mut self, call: CallNumber, action: Action) -> Result<Flow, Failure> {
        let Some(routine) = self.bound(&action)?.offer.routine(&action) else {
            return Err(Failure::Reclassified(action.capability().clone()));
        };
        let (routine, agent) = (routine.clone(), self.run.agent.clone());
        if routine.reads_the_journal() {
            self.flush(0).await?;
        }
        let asked = async {
            let mut tries = 0;
            loop {
                match routine.answer(RoutineCall { agent: &agent, run: self.id, action: &action }).await {
                    Ok(result) => return Ok(result),
                    Err(error) if tries >= CONNECTOR_TRIES => return Err(Failure::Connector(error.0)),
                    Err(_) => tries = pause(tries).await,
                }
            }
        };
        let result = tokio::select! {
            biased;
            () = self.listener.over() => return Ok(Flow::Break(DriveEnd::Over)),
            asked = aside(self.host, &mut self.agent, WaitReason::Connector, asked) => asked?,
        };
        let answered_at = self.host.journal.now();
        let command = RecordRoutine { call, action, result: result.clone(), answered_at };
        self.unflushed.push_back(self.lease.submit(command));
        self.unflushed_bytes += weight(&result);
        if self.agent.is_none() {
            return self.displaced().await;
        }
        self.flush(if self.unflushed_bytes > UNFLUSHED_BYTES_MAX { 0 } else { UNFLUSHED_MAX }).await?;
        Ok(Flow::Continue(Reply::Result(result, answered_at)))
    }

    /// Ends the drive of a run whose slot was taken. The result for which the run waited is first written to disk,
    /// where replay finds it. A run that computes much and waits often would keep the host busy with replays. So the
    /// CPU time of these replays has the same limit as that of replays after long sleeps.
    async fn displaced(&mut self) -> Result<Flow, Failure> {
        self.flush(0).await?;
        let used = self.meter.used();
        match too_often(&self.run.limits, self.displaced.saturating_add(used)) {
            Some(end) => self.end(end).await,
            None => Ok(Flow::Break(DriveEnd::Displaced(used))),
        }
    }

    async fn consequential(
        &mut self,
        call: CallNumber,
        action: Action,
        full: Option<RefusalReason>,
    ) -> Result<Flow, Failure> {
        self.flush(0).await?;
        let mut tries = 0;
        let written = loop {
            let (mut proposed, blobs) = self.proposed(call, &action, full.as_ref()).await?;
            if tries >= TOTALS_TRIES {
                // The totals keep changing, so a reviewer decides.
                proposed = self.host.proposer.held(proposed);
            }
            let evidence = evidence_bytes(&proposed);
            let command = Propose { call, proposed };
            match self.lease.submit_with(command, blobs).await {
                Err(SubmitError::Refused(Refused::TotalsChanged)) => tries += 1,
                written => break written.map(|phase| (phase, evidence)),
            }
        };
        let (phase, evidence) = match written {
            Ok(written) => written,
            Err(error) => return self.unwritten(error.into()).await,
        };
        let held = matches!(*phase, Phase::Held);
        let Some(agent) = &mut self.agent else { return Ok(Flow::Break(DriveEnd::Parked)) };
        agent.with(move |agent| Box::pin(async move { agent.proposed(held, evidence) })).await?;
        // A refused call is already answered, so the run does not wait.
        if matches!(*phase, Phase::Refused(_))
            && let Some(flow) = self.look_for_answer(call).await?
        {
            return Ok(flow);
        }
        self.wait_for_answer(call).await
    }

    /// Gets policy's verdict on a call, and the evidence to write with it.
    async fn proposed(
        &mut self,
        call: CallNumber,
        action: &Action,
        full: Option<&RefusalReason>,
    ) -> Result<(FirstVerdict, Vec<Blob>), Failure> {
        let Bound { ty, offer } = self.bound(action)?;
        let Some((preview, _)) = offer.consequential() else {
            return Err(Failure::Reclassified(action.capability().clone()));
        };
        let (preview, ty) = (preview.clone(), ty.clone());
        let Self { host, id: run, run: Run { agent, started_by, .. }, before, .. } = self;
        let asked = async {
            let mut tries = 0;
            loop {
                let read = before.read;
                let proposed = match before.up_to(&host.journal, run, call).await {
                    Ok(before) => {
                        let caller = Caller { run, agent, started_by, before };
                        host.proposer.propose(caller, &*preview, &ty, action.clone(), full).await
                    }
                    Err(error) => Err(error.into()),
                };
                host.events_recalled.fetch_add(before.read - read, Ordering::Relaxed);
                match proposed {
                    Ok(proposed) => return Ok(proposed),
                    Err(error) if tries >= CONNECTOR_TRIES => return Err(error.into()),
                    Err(_) => tries = pause(tries).await,
                }
            }
        };
        aside(self.host, &mut self.agent, WaitReason::Connector, asked).await
    }

    /// Records how the run ended.
    async fn end(&mut self, end: RunEnd) -> Result<Flow, Failure> {
        self.flush(0).await?;
        match self.lease.submit(EndRun(end)).await {
            Ok(_) => Ok(Flow::Break(DriveEnd::Over)),
            Err(error) => self.unwritten(error.into()).await,
        }
    }

    fn log(&self, AgentLogLine { level, text }: AgentLogLine) {
        self.host.journal.log(self.id, LogLine { at: self.host.journal.now(), level, message: text });
    }

    /// Waits until at most `max` routine results are not yet on disk.
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

    /// Handles a step that was not written. If the run has ended meanwhile, the drive is over; otherwise it fails.
    async fn unwritten(&mut self, failure: Failure) -> Result<Flow, Failure> {
        if let Failure::Journal(SubmitError::Refused(Refused::RunNotReady(_))) = &failure {
            let subject = self.host.journal.subject(self.id, None).await?;
            if subject.and_then(|subject| subject.run).is_none_or(|run| run.phase.is_over()) {
                return Ok(Flow::Break(DriveEnd::Over));
            }
        }
        Err(failure)
    }
}

/// The bytes of evidence that the journal stores for a proposal.
fn evidence_bytes(proposed: &FirstVerdict) -> u64 {
    match proposed {
        FirstVerdict::Hold(proposal) | FirstVerdict::Clear(proposal) => proposal.evidence_bytes(),
        FirstVerdict::Refuse(..) => 0,
    }
}

/// Waits for work on an agent's behalf. If another run needs the slot meanwhile, the agent is dropped and the work goes
/// on.
async fn aside<T>(
    host: &Inner,
    agent: &mut Option<Kept<LiveAgent>>,
    what: WaitReason,
    work: impl Future<Output = T>,
) -> T {
    tokio::pin!(work);
    {
        let wait = host.slots.wait(what);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = wait.taken() => {}
        }
    }
    *agent = None;
    work.await
}

async fn pause(tries: u32) -> u32 {
    tokio::time::sleep(Duration::from_millis(50 << tries.min(6))).await;
    tries + 1
}
