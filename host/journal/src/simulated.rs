//! A simulated disk. It outlives the journals on it, it fails when a test says so, and its writer writes when a test
//! says so.
//!
//! The disk is for tests of a whole host. On a runtime of one thread whose clock stands still, nothing here depends on
//! the scheduling of threads, so one seed always leads to the same events. A journal on such a disk has no thread of
//! its own and reads on the caller's thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use holdshort_gate::{Call, CallId, CallNumber, Counter, CreatedRun, Digest, JournalId, RunId, Total};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::error::ReadError;
use crate::journal::Journal;
use crate::memory::Memory;
use crate::rows::StoredRun;
use crate::rows::{JournalEntry, Position};
use crate::secret::Identity;
use crate::store::{Batch, Head, Load, Reader, Store, WriteError};
use crate::submit::Task;
use crate::writer::Writer;

/// The outcome of a transaction, as a test chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The transaction is committed.
    None,
    /// The disk is full: nothing is written, and the writer knows it.
    Full,
    /// COMMIT fails, so the writer does not know whether the transaction was written.
    Unknown {
        /// Whether the transaction was written.
        written: bool,
    },
}

/// Decides the outcome of a transaction that would write these events. The list is empty if the transaction writes only
/// other data.
type Faults = dyn Fn(&[JournalEntry]) -> Fault + Send + Sync;

/// The disk: what is left when a host dies. The value is a cheap handle.
#[derive(Clone)]
pub struct Disk {
    memory: Memory,
    identity: Identity,
    faults: Arc<Faults>,
}

impl Disk {
    /// An empty disk, with a journal whose name and secret are derived from `seed`.
    pub fn new(seed: u64, faults: impl Fn(&[JournalEntry]) -> Fault + Send + Sync + 'static) -> Self {
        let secret = *Digest::tagged("holdshort/simulated", &seed.to_be_bytes()).bytes();
        let identity = Identity { id: JournalId(format!("{seed:032x}")), secret };
        Self { memory: Memory::default(), identity, faults: Arc::new(faults) }
    }

    /// Every event on the disk after `after`, in the order of commits.
    pub fn entries(&self, after: Position) -> Vec<JournalEntry> {
        self.memory.clone().feed(after, usize::MAX).unwrap_or_default()
    }
}

impl Load for Disk {
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

impl Store for Disk {
    fn head(&mut self) -> Result<Head, ReadError> {
        self.memory.head()
    }

    fn write(&mut self, batch: &Batch) -> Result<(), WriteError> {
        match (self.faults)(&batch.events) {
            Fault::None => self.memory.write(batch),
            Fault::Full => Err(WriteError::NotWritten("no space left on the simulated disk".into())),
            Fault::Unknown { written } => {
                if written {
                    self.memory.write(batch)?;
                }
                Err(WriteError::Unknown("the simulated COMMIT failed".into()))
            }
        }
    }

    fn probe(&mut self) -> Result<(), WriteError> {
        self.memory.probe()
    }
}

/// The writer of a simulated journal. Submitted tasks wait until this writer is told to write, as behind a slow disk.
/// If the writer is dropped, the waiting tasks are lost.
pub struct ManualWriter {
    writer: Writer,
    tasks: Receiver<Task>,
    submitted: Arc<Notify>,
    first: Option<Task>,
}

impl ManualWriter {
    /// Returns once a task waits to be written.
    pub async fn submitted(&mut self) {
        while self.first.is_none() {
            match self.tasks.try_recv() {
                Ok(task) => self.first = Some(task),
                Err(TryRecvError::Empty) => self.submitted.notified().await,
                Err(TryRecvError::Disconnected) => std::future::pending().await,
            }
        }
    }

    /// Writes the waiting tasks in one transaction and answers them; does nothing if no task waits.
    pub fn write(&mut self) {
        if let Some(first) = self.first.take().or_else(|| self.tasks.try_recv().ok()) {
            self.writer.batch(first, &self.tasks);
        }
    }
}

impl Journal {
    /// The journal on a simulated disk, and its writer.
    pub fn simulated(disk: &Disk, clock: Clock) -> Result<(Self, ManualWriter), ReadError> {
        let mut store = disk.clone();
        let head = store.head()?;
        let (identity, readers) = (disk.identity.clone(), Box::new(disk.memory.clone()));
        let (mut inner, writer, tasks) = Self::parts(identity, clock, Box::new(store), readers, head);
        let submitted = Arc::new(Notify::new());
        inner.simulated = Some(submitted.clone());
        Ok((Self(Arc::new(inner)), ManualWriter { writer, tasks, submitted, first: None }))
    }
}
