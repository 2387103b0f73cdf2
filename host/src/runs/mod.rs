//! The driver: starts runs, replays them, parks and wakes them, and drives them again after the host has restarted.
//!
//! A waiting run is only rows in the journal. A task exists for a run only while its agent computes or waits in memory.
//! The host reads which runs need a task from the journal at start-up, and gets hints after each commit.

mod agents;
mod catalogue;
mod cursor;
mod delays;
mod display_limit;
mod driver;
mod exhibits;
mod failure;
mod live;
mod look;
mod propose;
mod refresh;
mod refusal;
mod signal;
mod slots;
mod tally;
mod timers;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdshort_gate::command::{CreateRun, CreateRunOnce, FindRun, Revision};
use holdshort_gate::{
    AgentName, Call, Digest, FunctionType, Refused, Request, ReviewerName, RunId, RunLimits, RunState, Time, WitType,
};
use holdshort_journal::{Driver, Flushed, Hint, ReadError, RunFilter, SubmitError};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

pub use agents::{AgentError, AgentInfo, AgentState, LoadedAgent, manifest};
pub use catalogue::{
    BindError, Bindings, Bound, BoundOffer, Catalogue, Offer, OfferedFunction, RequiredType, Servable,
};
pub use display_limit::DisplayLimit;
pub use propose::{CannotPropose, NoHistory, ReviseError};
pub use refusal::{CannotRefuse, RefusalForm};

use crate::agent::{Engine, Import};
use crate::kill;
use crate::policy::Policy;
use delays::Delays;
use driver::{Drive, DriveEnd};
use propose::{Caller, Proposer, RunHistory};
use signal::{Listener, Signal};
use slots::InstanceSlots;

/// The driver's settings.
#[derive(Clone, Debug)]
pub struct DriverSettings {
    /// The limits of a new run.
    pub limits: RunLimits,
    /// How long a waiting instance stays in memory for a fast answer.
    pub linger: Duration,
    /// The maximum number of instances in memory. Beyond it, a waiting instance is dropped when another run needs its
    /// slot. The engine limits how many instances compute at once.
    pub instances_max: usize,
    /// The maximum bytes of a task.
    pub task_bytes_max: usize,
    /// The maximum bytes of a host call's arguments.
    pub arguments_max_bytes: usize,
    /// The display limit for consequential calls.
    pub display_limit: DisplayLimit,
    /// The number of consecutive failures after which reviewers are notified that a run is delayed.
    pub told_after_tries: u32,
    /// The configured agents and their files.
    pub agents: BTreeMap<AgentName, PathBuf>,
}

/// Drives runs. Cheap to clone.
#[derive(Clone)]
pub struct Runs(Arc<Inner>);

struct Inner {
    journal: Driver,
    agents: agents::Agents,
    catalogue: Arc<Catalogue>,
    proposer: Proposer,
    settings: DriverSettings,
    /// The runs that a task drives now, with the signal to the task.
    live: Mutex<HashMap<RunId, Signal>>,
    slots: InstanceSlots,
    instances_started: AtomicU64,
    events_replayed: Arc<AtomicU64>,
    events_recalled: AtomicU64,
}

/// Counters since the host's start, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The runs that a task drives now, without parked runs.
    pub live_runs: usize,
    /// The number of times a run was brought into memory, to begin or to go on.
    pub instances_started: u64,
    /// The number of events read for replay.
    pub events_replayed: u64,
    /// The number of events read to know a run's history before a consequential call.
    pub events_recalled: u64,
}

/// The reason why a run was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The agent cannot be run.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The task is too long.
    #[error(
        "the task is {bytes} bytes; at most {bytes_max} are allowed: put the rest into a file of the agent's workspace"
    )]
    TaskTooLong { bytes: usize, bytes_max: usize },
    /// The journal did not accept the write.
    #[error(transparent)]
    Journal(#[from] SubmitError),
    /// The operating system gave no random numbers for the run's id.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// The first pause before a failed drive is repeated.
const BACK_OFF_FIRST: Duration = Duration::from_millis(200);
/// The longest pause before a failed drive is repeated.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);

/// How long the start of a run waits for its agent to be compiled, before the client is told to try again.
const LOADING_TIME_MAX: Duration = Duration::from_secs(30);

/// The number of runs that one read of a scan returns.
const SCAN_CHUNK: usize = 256;

impl Runs {
    /// A driver over `journal`. Until [`run`](Self::run) is called, it records new runs and drives none.
    pub fn new(
        journal: Driver,
        engine: Engine,
        catalogue: Catalogue,
        policy: Arc<dyn Policy>,
        settings: DriverSettings,
    ) -> Self {
        let catalogue = Arc::new(catalogue);
        Self(Arc::new(Inner {
            agents: agents::Agents::new(engine, catalogue.clone(), settings.agents.clone()),
            proposer: Proposer { journal: journal.clone(), policy, display_limit: settings.display_limit },
            slots: InstanceSlots::new(settings.instances_max),
            live: Mutex::default(),
            instances_started: AtomicU64::new(0),
            events_replayed: Arc::default(),
            events_recalled: AtomicU64::new(0),
            journal,
            catalogue,
            settings,
        }))
    }

    /// Drives every run that can go on, and wakes runs that become ready, until the journal closes.
    pub async fn run(self) -> Result<(), ReadError> {
        let mut hints = self.0.journal.hints();
        tokio::spawn(timers::run(self.0.clone()));
        self.wake_ready().await?;
        loop {
            match hints.recv().await {
                Ok(Hint { run, run_state: RunState::Running, .. }) => self.wake(&run),
                Ok(Hint { run_state: RunState::Waiting | RunState::Sleeping | RunState::Delayed, .. }) => {}
                Ok(Hint { run, .. }) => self.0.hint(&run, true),
                Err(RecvError::Lagged(_)) => {
                    self.0.live().values().for_each(|signal| signal.hint(false));
                    self.wake_ready().await?;
                }
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    /// Starts a run of a configured agent. A repeated `request` gets the first run's id. The run is on disk when this
    /// returns.
    pub async fn start(
        &self,
        agent: &AgentName,
        task: &str,
        started_by: &ReviewerName,
        request: Option<Request>,
    ) -> Result<Flushed<RunId>, StartError> {
        let id = new_run_id(self.0.journal.now()).map_err(StartError::Random)?;
        // The journal is asked first: a repeated request gets the same answer even if the agent cannot start now.
        if let Some(request) = request {
            match self.0.journal.submit(&id, FindRun(request)).await {
                Err(SubmitError::Refused(Refused::NoSuchRun)) => {}
                found => return Ok(found?),
            }
        }
        let bytes_max = self.0.settings.task_bytes_max;
        if task.len() > bytes_max {
            return Err(StartError::TaskTooLong { bytes: task.len(), bytes_max });
        }
        let loaded = tokio::time::timeout(LOADING_TIME_MAX, self.load(agent)).await;
        let loaded = loaded.map_err(|_| AgentError::Loading(agent.clone()))??;
        let create = CreateRun {
            agent: agent.clone(),
            component: loaded.manifest.digest,
            task: task.into(),
            started_by: started_by.clone(),
            limits: self.0.settings.limits.clone(),
            seed: Digest::of(&self.0.journal.seed(&id)),
        };
        Ok(match request {
            Some(request) => self.0.journal.submit(&id, CreateRunOnce { request, create }).await?,
            None => self.0.journal.submit(&id, create).await?,
        })
    }

    /// Makes the proposal for an edit of a held call. It stores the new exhibits, and records no event.
    pub async fn revise(
        &self,
        id: &RunId,
        call: &Call,
        editor: &ReviewerName,
        arguments: &Value,
    ) -> Result<Revision, ReviseError> {
        let unavailable = |error: &dyn std::fmt::Display| ReviseError::Unavailable(error.to_string());
        let subject = self.0.journal.subject(id, None).await.map_err(|error| unavailable(&error))?;
        let Some(run) = subject.and_then(|subject| subject.run) else {
            return Err(ReviseError::Unavailable("there is no such run".into()));
        };
        let Bound { ty, offer } = self.bound(call).await?;
        let Some((preview, _)) = offer.consequential() else {
            let capability = call.action().capability();
            return Err(unavailable(&format!("`{capability}` is no longer consequential on this host")));
        };
        let mut followed = RunHistory::default();
        let before = followed.up_to(&self.0.journal, id, call.number).await.map_err(|error| unavailable(&error))?;
        let caller = Caller { run: id, agent: &run.agent, started_by: &run.started_by, before };
        self.0.proposer.revise(caller, &**preview, &ty, (call, editor), arguments).await
    }

    /// The type of a call's function, if it is still offered.
    pub async fn function(&self, call: &Call) -> Result<FunctionType, ReviseError> {
        Ok((*self.bound(call).await?.ty).clone())
    }

    /// Checks that `value` has the function's `ok` type, and returns it in normal form. The value is a reviewer's
    /// answer to a question, or a reviewer's receipt.
    pub async fn check_ok_value(&self, call: &Call, value: &Value) -> Result<Value, ReviseError> {
        let ty = self.import(call).await?.ty.result;
        if let Some(WitType::Result { ok: Some(ok), .. }) = ty {
            // The value is checked without a result around it, so that an error names a position in the value.
            return Ok(ok.normalise(value)?);
        }
        let normal = ty.map(|ty| ty.normalise(&serde_json::json!({ "ok": value }))).transpose()?;
        Ok(normal.and_then(|result| result.get("ok").cloned()).unwrap_or(Value::Null))
    }

    /// A call's function as the agent imports it, bound to what this host offers for it now.
    async fn bound(&self, call: &Call) -> Result<Bound, ReviseError> {
        let bound = self.0.catalogue.bind_one(&self.import(call).await?);
        bound.map_err(|error| ReviseError::Unavailable(error.to_string()))
    }

    /// A call's function as the agent imports it.
    async fn import(&self, call: &Call) -> Result<Import, ReviseError> {
        let (component, capability) = (call.action().component(), call.action().capability());
        let manifest = self.0.agents.manifest(&self.0.journal, &component).await;
        let manifest = manifest.map_err(|error| ReviseError::Unavailable(error.to_string()))?;
        let import = manifest.imports.iter().find(|import| import.capability == *capability);
        import.cloned().ok_or_else(|| ReviseError::Unavailable(format!("{component} does not import `{capability}`")))
    }

    /// The configured agents.
    pub fn agents(&self) -> Vec<AgentInfo> {
        self.0.agents.list()
    }

    /// Loads a configured agent, so that its errors show before a run is started.
    pub async fn load(&self, agent: &AgentName) -> Result<Arc<LoadedAgent>, AgentError> {
        self.0.agents.by_name(&self.0.journal, agent).await
    }

    /// How the connector would look up a lost outcome of a call; `None` if this connector is no longer configured.
    pub fn if_lost(&self, call: &Call) -> Option<String> {
        let effect = self.0.catalogue.preview(call.action().capability())?.effect_of(call.action());
        (effect.connector == call.proposal()?.connector).then(|| effect.evidence.to_owned())
    }

    /// The counters so far.
    pub fn figures(&self) -> Figures {
        Figures {
            live_runs: self.0.live().len(),
            instances_started: self.0.instances_started.load(Ordering::Relaxed),
            events_replayed: self.0.events_replayed.load(Ordering::Relaxed),
            events_recalled: self.0.events_recalled.load(Ordering::Relaxed),
        }
    }

    /// Wakes, in pages, every run that is ready according to the journal: at start-up, and after missed hints.
    async fn wake_ready(&self) -> Result<(), ReadError> {
        let mut before = None;
        loop {
            let rows =
                self.0.journal.runs(RunFilter { states: RunState::READY.to_vec(), before, limit: SCAN_CHUNK }).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            before = Some(last.id.clone());
            rows.iter().for_each(|row| self.wake(&row.id));
        }
    }

    /// Starts a Tokio task that drives the run, or sends a hint to the one that it has already.
    fn wake(&self, run: &RunId) {
        kill::point("before-wake");
        let listener = {
            let mut live = self.0.live();
            if let Some(signal) = live.get(run) {
                return signal.hint(false);
            }
            let (signal, listener) = signal::channel();
            live.insert(run.clone(), signal);
            listener
        };
        tokio::spawn(self.clone().drive(run.clone(), listener));
    }

    /// Drives a run until it ends or is parked. After a failure of the host, the run is driven again after a pause.
    async fn drive(self, run: RunId, mut listener: Listener) {
        let (mut back_off, mut displaced) = (BACK_OFF_FIRST, Duration::ZERO);
        let mut delays = Delays::new(self.0.settings.told_after_tries);
        loop {
            match self.0.drive_once(&run, &mut listener, displaced).await {
                Ok(DriveEnd::Displaced(cost)) => {
                    displaced = displaced.saturating_add(cost);
                    continue;
                }
                Ok(left @ (DriveEnd::Over | DriveEnd::Parked)) => {
                    self.0.live().remove(&run);
                    // The hint of an answer that came before the removal went to this task, which ends now.
                    if left == DriveEnd::Parked && self.0.is_ready(&run).await {
                        self.wake(&run);
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(%run, %error, retry_in = ?back_off, "the host could not drive a run; the run is unchanged");
                    // A run that waits or has ended is not delayed.
                    if let Some(delay) = delays.failed(&error)
                        && self.0.journal.submit(&run, delay.clone()).await.is_ok()
                    {
                        delays.recorded(delay);
                    }
                }
            }
            // Pauses also if the run has ended but its end could not be read: the next read would probably fail too.
            tokio::time::sleep(back_off).await;
            back_off = (back_off * 2).min(BACK_OFF_MAX);
        }
    }
}

impl Inner {
    async fn drive_once(
        &self,
        run: &RunId,
        listener: &mut Listener,
        displaced: Duration,
    ) -> Result<DriveEnd, failure::Failure> {
        match Drive::open(self, run, listener, displaced).await? {
            Some(drive) => drive.go().await,
            None => Ok(DriveEnd::Over),
        }
    }

    async fn is_ready(&self, run: &RunId) -> bool {
        let subject = self.journal.subject(run, None).await;
        // If the journal cannot be read now, driving the run finds that out and pauses.
        subject.map_or(true, |subject| subject.and_then(|subject| subject.run).is_some_and(|run| run.phase.is_ready()))
    }

    /// Hints the task of a run, if there is one. Without a task nobody needs the hint.
    fn hint(&self, run: &RunId, over: bool) {
        if let Some(signal) = self.live().get(run) {
            signal.hint(over);
        }
    }

    fn live(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Signal>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sixteen characters that sort by time: 48 bits of milliseconds and 32 random bits. They are few, so that a person can
/// read them aloud.
fn new_run_id(now: Time) -> Result<RunId, getrandom::Error> {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let number = u128::from(now.0 / 1_000) << 32 | u128::from(getrandom::u32()?);
    let digit = |place: u32| DIGITS.get((number >> (5 * place) & 31) as usize).map_or('0', |digit| char::from(*digit));
    Ok(RunId((0..16).rev().map(digit).collect()))
}
