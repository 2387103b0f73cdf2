//! The port: the interface through which the rest of the host uses the journal.

use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use holdshort_gate::command::Subject;
use holdshort_gate::similar::LISTED_MAX;
use holdshort_gate::{
    Call, CallId, CallNumber, Command, Counter, Digest, EffectKey, JournalId, RecordedEvent, RecordedTotal, Run, RunId,
    RunState, Seq, Similarity, Time,
};
use tokio::sync::{Notify, Semaphore, broadcast};

use crate::blobs::Blob;
use crate::broadcast::Broadcast;
use crate::clock::{Clock, JournalClock};
use crate::error::{OpenError, ReadError};
use crate::fence::{Fence, Leases};
use crate::lists::{CallFilter, CallRow, DecisionFilter, DecisionRow, GrantFilter, GrantRow};
use crate::memory::Memory;
use crate::rows::{Deadline, Events, Health, Hint, JournalEntry, LogLine, Position, RunFilter, RunRow};
use crate::secret::Identity;
use crate::sqlite::{self, Presence};
use crate::staged::{self, Staged};
use crate::store::{Head, Reader, Readers, Store};
use crate::submit::{Submitted, Task, TypedSubmission};
use crate::writer::Writer;

/// How many reads run at the same time, and how many idle readers are kept for later reads.
const READS_MAX: usize = 8;

/// A handle that reads a journal. The handles of the roles write, see [`Opened`](crate::Opened). A handle is cheap to
/// clone; dropping the last handle closes the journal.
#[derive(Clone)]
pub struct Journal(pub(crate) Arc<Inner>);

/// The parts that all handles of one journal share: the queue to the writer thread, the readers, and the broadcasts.
pub(crate) struct Inner {
    identity: Identity,
    clock: Arc<JournalClock>,
    /// Bytes of log lines that are not on disk yet.
    pub(crate) logs_waiting: Arc<AtomicUsize>,
    /// The queue to the writer; `None` once the journal closes.
    tasks: Option<Sender<Task>>,
    writer: Option<JoinHandle<()>>,
    pub(crate) leases: Arc<Leases>,
    broadcast: Arc<Broadcast>,
    readers: Box<dyn Readers>,
    idle: Mutex<Vec<Box<dyn Reader>>>,
    reads: Semaphore,
    /// The claim on the file. It is dropped last.
    presence: Option<Presence>,
    /// `Some` for a simulated journal, which reads on the caller's thread and notifies its writer of each task.
    pub(crate) simulated: Option<Arc<Notify>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The readers are closed first: the last connection copies the log into the database file, and only the
        // writer's connection may do that.
        self.idle.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        self.tasks = None;
        if let Some(writer) = self.writer.take() {
            // An error means that the writer panicked. No handle is left that could wait for an answer.
            drop(writer.join());
        }
    }
}

impl Journal {
    /// Opens the journal at `path`, or creates it: the folder with mode 0700, the files with mode 0600.
    pub fn open(path: &Path, clock: Clock) -> Result<Self, OpenError> {
        let presence = Presence::claim(path)?;
        let opened = sqlite::open(path)?;
        let mut store = opened.store;
        let head = store.head().map_err(|error| OpenError::unreadable(path, error))?;
        Ok(Self::start(opened.identity, clock, Box::new(store), Box::new(opened.readers), head, Some(presence)))
    }

    /// A journal that lives as long as its handles, for tests.
    pub fn in_memory(clock: Clock) -> Result<Self, getrandom::Error> {
        let memory = Memory::default();
        let head = Head { position: 0, at: Time(0) };
        Ok(Self::start(Identity::draw()?, clock, Box::new(memory.clone()), Box::new(memory), head, None))
    }

    fn start(
        identity: Identity,
        clock: Clock,
        store: Box<dyn Store>,
        readers: Box<dyn Readers>,
        head: Head,
        presence: Option<Presence>,
    ) -> Self {
        let (mut inner, writer, tasks) = Self::parts(identity, clock, store, readers, head);
        inner.writer = Some(std::thread::spawn(move || writer.run(&tasks)));
        inner.presence = presence;
        Self(Arc::new(inner))
    }

    /// A journal whose writer does not run yet, the writer, and the writer's queue.
    pub(crate) fn parts(
        identity: Identity,
        clock: Clock,
        store: Box<dyn Store>,
        readers: Box<dyn Readers>,
        head: Head,
    ) -> (Inner, Writer, Receiver<Task>) {
        let (leases, broadcast) = (Arc::new(Leases::default()), Arc::new(Broadcast::new()));
        let (tasks, queue) = mpsc::channel();
        let clock = Arc::new(JournalClock::new(clock, head.at));
        let writer = Writer {
            store,
            staged: Staged::new(identity.clone(), head),
            clock: clock.clone(),
            leases: leases.clone(),
            broadcast: broadcast.clone(),
            stale: false,
            unsure: Vec::new(),
        };
        let inner = Inner {
            identity,
            clock,
            logs_waiting: Arc::default(),
            tasks: Some(tasks),
            writer: None,
            leases,
            broadcast,
            readers,
            idle: Mutex::default(),
            reads: Semaphore::new(READS_MAX),
            presence: None,
            simulated: None,
        };
        (inner, writer, queue)
    }

    /// The journal's name, which never changes.
    pub fn id(&self) -> &JournalId {
        &self.0.identity.id
    }

    /// The time by the journal's clock, but never before the last written time, even if the clock was set back since. A
    /// deadline computed from this time is therefore later than every event.
    pub fn now(&self) -> Time {
        self.0.clock.now().at
    }

    /// Writes the address of this host's API beside the journal, where the command line finds it. The file is removed
    /// when the journal closes.
    pub fn announce(&self, address: &str) -> Result<(), OpenError> {
        self.0.presence.as_ref().map_or(Ok(()), |presence| presence.announce(address))
    }

    /// The secret seed of a run's randomness.
    pub fn seed(&self, run: &RunId) -> [u8; 32] {
        self.0.identity.seed(run)
    }

    /// The idempotency key of a call's effect.
    pub fn effect_key(&self, run: &RunId, call: CallNumber) -> EffectKey {
        self.0.identity.effect_key(run, call)
    }

    /// A run with one of its consequential calls: the call with this number, or the run's last consequential call if
    /// `call` is `None`. The result is `None` if there is no such run.
    pub async fn subject(&self, run: &RunId, call: Option<CallNumber>) -> Result<Option<Subject>, ReadError> {
        let (identity, run) = (self.0.identity.clone(), run.clone());
        self.read(move |reader| staged::load(&identity, reader, &run, call)).await
    }

    /// The waiting calls, in any run, that have the same effect as the call `of`. If there are too many, the oldest are
    /// taken, as many as a proposal lists.
    pub async fn same_waiting(&self, of: &CallId) -> Result<Vec<CallId>, ReadError> {
        let of = of.clone();
        self.read(move |reader| {
            let similarity = |reader: &mut dyn Reader, id: &CallId| -> Result<Option<Similarity>, ReadError> {
                Ok(reader.call(&id.run, id.call)?.and_then(|call| call.similarity()))
            };
            let Some(own) = similarity(reader, &of)? else { return Ok(Vec::new()) };
            let mut same = Vec::new();
            for id in reader.similar_calls(&own.effect_digest, LISTED_MAX + 1)?.into_iter().filter(|id| *id != of) {
                if similarity(reader, &id)?.is_some_and(|other| other.effect_digest == own.effect_digest) {
                    same.push(id);
                }
            }
            same.sort();
            Ok(same)
        })
        .await
    }

    /// The performed call of a kind that was proposed last.
    pub async fn last_performed(&self, kind: Digest) -> Result<Option<(CallId, Call)>, ReadError> {
        self.read(move |reader| {
            let Some(id) = reader.last_performed(&kind)? else { return Ok(None) };
            Ok(reader.call(&id.run, id.call)?.map(|call| (id, call)))
        })
        .await
    }

    /// The values that running totals have now, in the order of `counters`.
    pub async fn totals(&self, counters: Vec<Counter>) -> Result<Vec<RecordedTotal>, ReadError> {
        self.read(move |reader| {
            counters.into_iter().map(|counter| Ok(RecordedTotal { total: reader.total(&counter)?, counter })).collect()
        })
        .await
    }

    /// A chunk of a run's events after `after`, oldest first.
    pub async fn events(&self, run: &RunId, after: Seq, limit: usize) -> Result<Events, ReadError> {
        let run = run.clone();
        self.read(move |reader| reader.events(&run, after, limit)).await
    }

    /// The events of a consequential call with a number below `before` in its run, oldest first. An index finds them,
    /// so the other events of the run are not read.
    pub async fn call_events(
        &self,
        run: &RunId,
        call: CallNumber,
        before: Seq,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let run = run.clone();
        self.read(move |reader| reader.call_events(&run, call, before)).await
    }

    /// Runs, newest first.
    pub async fn runs(&self, filter: RunFilter) -> Result<Vec<RunRow>, ReadError> {
        self.read(move |reader| reader.runs(&filter)).await
    }

    /// Consequential calls, in the order that the filter asks for.
    pub async fn calls(&self, filter: CallFilter) -> Result<Vec<CallRow>, ReadError> {
        self.read(move |reader| reader.calls(&filter)).await
    }

    /// Decisions about calls, newest first.
    pub async fn decisions(&self, filter: DecisionFilter) -> Result<Vec<DecisionRow>, ReadError> {
        self.read(move |reader| reader.decisions(&filter)).await
    }

    /// Grants, those of the newest calls first.
    pub async fn grants(&self, filter: GrantFilter) -> Result<Vec<GrantRow>, ReadError> {
        self.read(move |reader| reader.grants(&filter)).await
    }

    /// How many runs are in a state, counted up to `most` in an index. No run is read.
    pub async fn count_runs(&self, state: RunState, most: usize) -> Result<usize, ReadError> {
        self.read(move |reader| reader.count_runs(state, most)).await
    }

    /// How many consequential calls match a filter, counted from the beginning of the list up to its limit. No event is
    /// read.
    pub async fn count_calls(&self, filter: CallFilter) -> Result<usize, ReadError> {
        self.read(move |reader| reader.count_calls(&filter)).await
    }

    /// A chunk of all runs' events in the order of commits.
    pub async fn feed(&self, after: Position, limit: usize) -> Result<Vec<JournalEntry>, ReadError> {
        self.read(move |reader| reader.feed(after, limit)).await
    }

    /// The position of the last event; 0 if there is none.
    pub async fn last_position(&self) -> Result<Position, ReadError> {
        self.read(|reader| reader.last_position()).await
    }

    /// The earliest deadline of any call or timer.
    pub async fn next_deadline(&self) -> Result<Option<Time>, ReadError> {
        self.read(|reader| reader.next_deadline()).await
    }

    /// The calls and timers whose deadline is at or before `now`, earliest first.
    pub async fn due(&self, now: Time, limit: usize) -> Result<Vec<Deadline>, ReadError> {
        self.read(move |reader| reader.due(now, limit)).await
    }

    /// A run as it is now, and one of its consequential calls as it was after the event at `at`; without a call if
    /// `call` is `None`. The result is `None` if there is no such run.
    pub async fn as_of(
        &self,
        run: &RunId,
        call: Option<CallNumber>,
        at: Position,
    ) -> Result<Option<(Run, Option<Call>)>, ReadError> {
        let run = run.clone();
        self.read(move |reader| {
            let Some(state) = reader.run(&run)? else { return Ok(None) };
            let call = call.map(|call| reader.call_as_of(&run, call, at)).transpose()?;
            Ok(Some((state.run, call.flatten())))
        })
        .await
    }

    /// A chunk of a run's log with the lines' numbers, oldest first.
    pub async fn log_lines(&self, run: &RunId, after: u64, limit: usize) -> Result<Vec<(u64, LogLine)>, ReadError> {
        let run = run.clone();
        self.read(move |reader| reader.log_lines(&run, after, limit)).await
    }

    /// Hints about commits from now on. A listener that falls behind gets an error and must read the journal.
    pub fn hints(&self) -> broadcast::Receiver<Hint> {
        self.0.broadcast.hints()
    }

    /// How many transactions were committed since the journal was opened. Each has one flush.
    pub fn commits(&self) -> u64 {
        self.0.broadcast.commits()
    }

    /// Whether the journal can be written.
    pub fn health(&self) -> Health {
        self.0.broadcast.health()
    }

    /// Queues a command. `evidence` is written in the same transaction.
    pub(crate) fn queue<C: Command>(
        &self,
        (run, call): (&RunId, Option<CallNumber>),
        fence: Fence,
        command: C,
        evidence: Vec<Blob>,
    ) -> Submitted<C::Output> {
        let (reply, submitted) = Submitted::new();
        let work = Box::new(TypedSubmission::new(command, reply));
        self.send(Task::Command { run: run.clone(), call, fence, work, evidence });
        submitted
    }

    pub(crate) fn send(&self, task: Task) {
        if let Some(tasks) = &self.0.tasks {
            // A writer that has ended drops the task with the sender of its answer: the caller then gets "unknown".
            drop(tasks.send(task));
        }
        if let Some(submitted) = &self.0.simulated {
            submitted.notify_one();
        }
    }

    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Reader) -> Result<T, ReadError> + Send + 'static,
    {
        let gone = |_| ReadError::Store("the journal is closed".into());
        let inner = self.0.clone();
        let _permit = self.0.reads.acquire().await.map_err(gone)?;
        let work = move || {
            let idle = inner.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut reader = idle.map_or_else(|| inner.readers.reader(), Ok)?;
            let found = reader.begin().and_then(|()| read(&mut *reader));
            let found = found.and_then(|found| reader.end().map(|()| found));
            // A reader that failed may be in an unknown state; the next read gets a new reader.
            if found.is_ok() {
                inner.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            }
            found
        };
        self.blocking(work).await.map_err(|stopped| ReadError::Store(stopped.to_string()))?
    }

    /// Runs slow work on a thread that serves no requests. With a simulated journal the work runs in place: on another
    /// thread, the end of the work would depend on the machine, and one seed would lead to different results.
    ///
    /// Fails if the work panicked, or if the runtime ends.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        if self.0.simulated.is_some() {
            return Ok(work());
        }
        tokio::task::spawn_blocking(work).await
    }
}
