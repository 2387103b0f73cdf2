//! The one writer: it takes commands from the queue, judges them in order, writes their events in batches, and answers
//! after the commit.
//!
//! While one batch waits for the disk, the commands of the next batch gather in the queue. So many commands share a
//! flush, and a command that comes alone is written at once.
//!
//! **Invariant:** After a COMMIT with an unknown result, the writer reads where the journal ends and gives the hints of
//! the events that are in the journal. The submitter may be gone, and without a hint a run that became ready by such an
//! event would sleep until a host starts again.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use holdshort_gate::{CallNumber, Digest, RunId};
use tokio::sync::oneshot;

use crate::broadcast::Broadcast;
use crate::clock::JournalClock;
use crate::error::SubmitError;
use crate::fence::{Fence, Leases};
use crate::flushed::Flushed;
use crate::kill;
use crate::rows::Hint;
use crate::staged::Staged;
use crate::store::{Store, WriteError};
use crate::submit::{Submission, Task};

/// The bounds of a batch: the largest number of tasks after the first task, and the number of bytes of blobs after
/// which the batch ends.
const BATCH_TASKS_MAX: usize = 1_024;
const BATCH_BLOB_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a log line may wait for a batch of commands.
const LOGS_WAIT: Duration = Duration::from_millis(250);
/// How many log lines are enough for a batch of their own.
const LOGS_BATCH: usize = 1_024;
/// How often the writer tries a failing journal again while no command comes.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// A task of the batch whose answer waits for the commit.
enum PendingAnswer {
    Command(Box<dyn Submission>),
    Blob(Digest, oneshot::Sender<Result<Flushed<Digest>, SubmitError>>),
    Note(oneshot::Sender<Result<Flushed<()>, SubmitError>>),
}

/// The writer, on a thread of its own.
pub(crate) struct Writer {
    pub(crate) store: Box<dyn Store>,
    pub(crate) staged: Staged,
    pub(crate) clock: Arc<JournalClock>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) broadcast: Arc<Broadcast>,
    /// Whether the state has to be read again before a command is judged.
    pub(crate) stale: bool,
    /// The hints of a batch whose COMMIT had an unknown result. They are given if the batch turns out to be on disk.
    pub(crate) unsure: Vec<Hint>,
}

impl Writer {
    /// Works until every handle of the journal is gone.
    pub(crate) fn run(mut self, tasks: &Receiver<Task>) {
        loop {
            match self.wait(tasks) {
                Ok(first) => self.batch(first, tasks),
                Err(RecvTimeoutError::Timeout) if self.broadcast.is_failing() => self.probe(),
                Err(RecvTimeoutError::Timeout) => self.write(Vec::new(), Vec::new()),
                Err(RecvTimeoutError::Disconnected) => return self.write(Vec::new(), Vec::new()),
            }
        }
    }

    /// Waits for the next task: for ever, or until a failing store is to be tried again or log lines have waited long
    /// enough.
    fn wait(&mut self, tasks: &Receiver<Task>) -> Result<Task, RecvTimeoutError> {
        if self.broadcast.is_failing() {
            tasks.recv_timeout(PROBE_EVERY)
        } else if self.staged.batch().logs.is_empty() {
            tasks.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            tasks.recv_timeout(LOGS_WAIT)
        }
    }

    /// Judges `first` and the tasks that wait behind it, up to the size of a batch, and writes all their events in one
    /// transaction.
    ///
    /// After a failed write, the state is read again before any task is judged. If reading fails too, `first` is
    /// answered that nothing was written.
    pub(crate) fn batch(&mut self, first: Task, tasks: &Receiver<Task>) {
        if self.stale
            && let Err(cause) = self.read_again()
        {
            return refuse(first, &cause);
        }
        let (mut answers, mut hints) = (Vec::new(), Vec::new());
        let mut blob_bytes = 0;
        let more = tasks.try_iter().take(BATCH_TASKS_MAX);
        for task in std::iter::once(first).chain(more) {
            match task {
                Task::Command { run, call, fence, work, evidence } => {
                    let staged = hints.len();
                    self.judge(&run, call, fence, work, &mut answers, &mut hints);
                    if hints.len() > staged {
                        blob_bytes += evidence.iter().map(|blob| blob.bytes.len()).sum::<usize>();
                        self.staged.batch().blobs.extend(evidence.into_iter().map(|blob| (blob.digest, blob.bytes)));
                    }
                }
                Task::Blob { digest, bytes, reply } => {
                    blob_bytes += bytes.len();
                    self.staged.batch().blobs.push((digest, bytes));
                    answers.push(PendingAnswer::Blob(digest, reply));
                }
                Task::Note(note, reply) => {
                    self.staged.batch().notes.push(note);
                    answers.push(PendingAnswer::Note(reply));
                }
                Task::Log(run, line, waiting) => self.staged.batch().logs.push((run, line, waiting)),
            }
            if blob_bytes > BATCH_BLOB_BYTES_MAX || self.stale {
                break;
            }
        }
        if self.stale {
            return self.give_up(
                answers,
                Vec::new(),
                &WriteError::NotWritten("an event does not fit the state of the journal".into()),
            );
        }
        let batch = self.staged.batch();
        if batch.events.is_empty() && batch.blobs.is_empty() && batch.notes.is_empty() && batch.logs.len() < LOGS_BATCH
        {
            // No event was staged, so nothing is written. Waiting log lines are written with a later batch.
            self.staged.trim(&self.leases.released());
            return answers.into_iter().for_each(|answer| answer.give(Ok(())));
        }
        self.write(answers, hints);
    }

    /// Kill points for tests, one for each kind of event or other data in the batch.
    fn may_die(&mut self, when: &str) {
        let batch = self.staged.batch();
        let blobs = batch.blobs.iter().map(|_| kill::BLOB);
        let notes = batch.notes.iter().map(|_| kill::NOTE);
        kill::points(when, batch.events.iter().map(|entry| entry.recorded.event.name()).chain(blobs).chain(notes));
    }

    /// Judges one command on the state on disk and the events that this batch has staged. The lease is checked here and
    /// not on submission: if another task has taken the lease since then, the command is refused.
    fn judge(
        &mut self,
        run: &RunId,
        call: Option<CallNumber>,
        fence: Fence,
        mut work: Box<dyn Submission>,
        answers: &mut Vec<PendingAnswer>,
        hints: &mut Vec<Hint>,
    ) {
        if !self.leases.permits(run, fence) {
            return work.answer(Err(SubmitError::Fenced));
        }
        let moment = self.clock.now();
        let events = match self.staged.subject(&mut *self.store, run, call, work.required_state()) {
            Ok(subject) => work.decide(subject, moment.at),
            Err(error) => return work.answer(Err(SubmitError::NotWritten(error.to_string()))),
        };
        match events.map(|events| self.staged.stage(&mut *self.store, run, events, moment.at)) {
            Ok(Ok(Some(hint))) => {
                self.clock.written(moment);
                hints.push(hint);
            }
            Ok(Ok(None)) | Err(()) => self.staged.nothing_staged(run),
            Ok(Err(error)) => {
                tracing::error!(%error, "a command's events do not fit the journal; the batch is dropped");
                self.stale = true;
            }
        }
        // A refusal may rest on events staged in this batch, so its answer waits for the commit too.
        answers.push(PendingAnswer::Command(work));
    }

    // INVARIANT: an answer is given only after the store has returned from its COMMIT. Hints come last, so that a
    // listener always finds the events of a hint.
    fn write(&mut self, answers: Vec<PendingAnswer>, hints: Vec<Hint>) {
        self.may_die("before");
        match self.store.write(self.staged.batch()) {
            Ok(()) => {
                self.may_die("after");
                self.broadcast.committed();
                self.staged.committed(&self.leases.released());
                answers.into_iter().for_each(|answer| answer.give(Ok(())));
                hints.into_iter().for_each(|hint| self.broadcast.hint(hint));
            }
            Err(error) => self.give_up(answers, hints, &error),
        }
    }

    /// Tells every task of the batch why the batch is not on disk, also the tasks whose commands were refused: a
    /// refusal may have rested on an event that is lost now. The staged state is dropped, so that the next batch is
    /// judged on what the store holds.
    fn give_up(&mut self, answers: Vec<PendingAnswer>, hints: Vec<Hint>, error: &WriteError) {
        let (cause, error) = match error {
            WriteError::NotWritten(cause) => (cause, SubmitError::NotWritten(cause.clone())),
            WriteError::Unknown(cause) => {
                self.unsure = hints;
                (cause, SubmitError::Unknown(cause.clone()))
            }
        };
        self.broadcast.set_failing(self.clock.now().at, cause);
        self.stale = true;
        answers.into_iter().for_each(|answer| answer.give(Err(error.clone())));
        drop(self.read_again());
    }

    /// Drops the staged state and reads where the journal ends. If events of an unknown COMMIT turn out to be on disk,
    /// their hints are given: their submitter may be gone, and a run that became ready by them would never be woken.
    fn read_again(&mut self) -> Result<(), String> {
        let head = self.store.head().map_err(|error| error.to_string())?;
        self.staged.reset(head);
        self.stale = false;
        let written = std::mem::take(&mut self.unsure).into_iter().filter(|hint| hint.position.0 <= head.position);
        written.for_each(|hint| self.broadcast.hint(hint));
        Ok(())
    }

    /// Finds out whether the store works again. So the reported health, and hints that were held back, do not have to
    /// wait for a command.
    fn probe(&mut self) {
        match self.store.probe() {
            Ok(()) if self.stale && self.read_again().is_err() => {}
            Ok(()) => self.broadcast.set_ok(),
            Err(WriteError::NotWritten(cause) | WriteError::Unknown(cause)) => {
                self.broadcast.set_failing(self.clock.now().at, &cause)
            }
        }
    }
}

impl PendingAnswer {
    /// Gives the answer. If nobody waits for the answer any more, the events stay written nevertheless.
    fn give(self, outcome: Result<(), SubmitError>) {
        match self {
            Self::Command(work) => work.answer(outcome),
            Self::Blob(digest, reply) => drop(reply.send(outcome.map(|()| Flushed::after_commit(digest)))),
            Self::Note(reply) => drop(reply.send(outcome.map(Flushed::after_commit))),
        }
    }
}

/// Answers a task that could not be judged.
fn refuse(task: Task, cause: &str) {
    let error = SubmitError::NotWritten(cause.to_owned());
    match task {
        Task::Command { work, .. } => work.answer(Err(error)),
        Task::Blob { reply, .. } => drop(reply.send(Err(error))),
        Task::Note(_, reply) => drop(reply.send(Err(error))),
        Task::Log(..) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use holdshort_gate::command::{CancelRun, CreateRun};
    use holdshort_gate::{Call, CallId, Command, Counter, CreatedRun, RunLimits, Time, Total};

    use super::*;
    use crate::error::ReadError;
    use crate::memory::Memory;
    use crate::rows::StoredRun;
    use crate::secret::Identity;
    use crate::staged::RUNS_KEPT_MAX;
    use crate::store::{Batch, Head, Load};
    use crate::submit::{Submitted, TypedSubmission};

    fn writer() -> Writer {
        let head = Head { position: 0, at: Time(0) };
        Writer {
            store: Box::new(Memory::default()),
            staged: Staged::new(Identity::draw().unwrap(), head),
            clock: Arc::new(JournalClock::new(Arc::new(|| Time(1)), head.at)),
            leases: Arc::default(),
            broadcast: Arc::new(Broadcast::new()),
            stale: false,
            unsure: Vec::new(),
        }
    }

    fn create() -> CreateRun {
        let (cpu_ms, memory_bytes, held_calls, calls) = (1, 1, 1, 1);
        CreateRun {
            agent: "a".into(),
            component: Digest::of(b""),
            task: String::new(),
            started_by: "olga".into(),
            limits: RunLimits { cpu_ms, memory_bytes, held_calls, calls, journal_bytes: 1 << 20 },
            seed: Digest::of(b"seed"),
        }
    }

    /// Writes one batch with one command about each run of this kind.
    fn ask<C: Command>(writer: &mut Writer, runs: std::ops::Range<usize>, kind: &str, command: impl Fn() -> C) {
        let (tasks, queue) = mpsc::channel();
        for run in runs {
            let work = Box::new(TypedSubmission::new(command(), Submitted::new().0));
            let run = RunId(format!("{kind}-{run}"));
            tasks.send(Task::Command { run, call: None, fence: Fence::None, work, evidence: Vec::new() }).unwrap();
        }
        let first = queue.recv().unwrap();
        writer.batch(first, &queue);
    }

    /// A store whose COMMIT always fails. `writes` says whether the COMMIT writes the batch nevertheless, and `silent`
    /// whether the first attempt to read the journal's end fails too.
    struct Unsure {
        memory: Memory,
        writes: bool,
        silent: bool,
    }

    impl Load for Unsure {
        fn run(&mut self, run: &RunId) -> Result<Option<StoredRun>, ReadError> {
            self.memory.run(run)
        }

        fn call(&mut self, run: &RunId, call: CallNumber) -> Result<Option<Call>, ReadError> {
            self.memory.call(run, call)
        }

        fn total(&mut self, counter: &Counter) -> Result<Total, ReadError> {
            self.memory.total(counter)
        }

        fn created_run(&mut self, key: &Digest) -> Result<Option<CreatedRun>, ReadError> {
            self.memory.created_run(key)
        }

        fn similar_calls(&mut self, digest: &Digest, most: usize) -> Result<Vec<CallId>, ReadError> {
            self.memory.similar_calls(digest, most)
        }
    }

    impl Store for Unsure {
        fn head(&mut self) -> Result<Head, ReadError> {
            if std::mem::take(&mut self.silent) { Err(ReadError::Store("busy".into())) } else { self.memory.head() }
        }

        fn write(&mut self, batch: &Batch) -> Result<(), WriteError> {
            if self.writes {
                self.memory.write(batch)?;
            }
            Err(WriteError::Unknown("who knows".into()))
        }

        fn probe(&mut self) -> Result<(), WriteError> {
            Ok(())
        }
    }

    /// Without the hint, nobody would wake a run that became ready by an event of that commit.
    #[test]
    fn what_turns_out_to_be_written_is_hinted_at() {
        for (writes, silent) in [(true, false), (true, true), (false, false), (false, true)] {
            let mut writer = writer();
            writer.store = Box::new(Unsure { memory: Memory::default(), writes, silent });
            let mut hints = writer.broadcast.hints();
            ask(&mut writer, 0..2, "run", create);
            assert!(!silent || hints.try_recv().is_err(), "it is not known yet");
            // No command is needed: the writer looks by itself while the store fails.
            writer.probe();
            let hinted: Vec<_> = std::iter::from_fn(|| hints.try_recv().ok()).map(|hint| hint.run.0).collect();
            assert_eq!(hinted, if writes { vec!["run-0", "run-1"] } else { vec![] }, "{writes} {silent}");
            assert!(!writer.stale && writer.unsure.is_empty());
        }
    }

    #[test]
    fn what_is_only_asked_about_is_not_kept() {
        let mut writer = writer();
        let cancel = || CancelRun { by: "mallory".into(), reason: None };
        for batch in 0..10 {
            ask(&mut writer, batch * 500..(batch + 1) * 500, "nothing", cancel);
            assert_eq!(writer.staged.kept(), 0, "a run that does not exist");
        }
        for batch in 0..10 {
            ask(&mut writer, batch * 500..(batch + 1) * 500, "run", create);
        }
        assert!((1..=RUNS_KEPT_MAX).contains(&writer.staged.kept()), "what was written is kept, within its bound");
        // The runs exist, and every command is refused: nothing is written, and memory does not grow.
        for batch in 0..10 {
            ask(&mut writer, batch * 500..(batch + 1) * 500, "run", create);
            assert!(writer.staged.kept() <= RUNS_KEPT_MAX, "{} runs", writer.staged.kept());
        }
    }
}
