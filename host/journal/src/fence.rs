//! Leases: if two tasks drive the same run, only the task with the later lease can write.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use holdshort_gate::RunId;
use holdshort_gate::command::RunCommand;

use crate::blobs::Blob;
use crate::journal::Journal;
use crate::submit::Submitted;

/// Which lease must still be valid when a command is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "simulated"), expect(unreachable_pub, reason = "only tests name it"))]
pub enum Fence {
    /// No lease: decisions, cancellations, deadlines and effects are judged only on the journaled state.
    None,
    /// The run's lease with this number; for commands of the task that drives the run. Each new lease has a higher
    /// number, its epoch.
    Epoch(u64),
}

impl From<&Lease> for Fence {
    fn from(lease: &Lease) -> Self {
        Self::Epoch(lease.epoch)
    }
}

/// The right to drive a run. The right ends when a newer lease of the run is taken. When the lease is dropped, the
/// journal frees its memory of the run.
///
/// Only one host has the journal open at a time (a lock of the operating system keeps other hosts out), so epochs need
/// not outlive the process.
pub struct Lease {
    journal: Journal,
    run: RunId,
    epoch: u64,
}

impl Lease {
    pub(crate) fn new(journal: &Journal, run: &RunId) -> Self {
        Self { journal: journal.clone(), run: run.clone(), epoch: journal.0.leases.take(run) }
    }

    /// Judges a command of the task that drives the run, and writes its events. The commands are judged in the order in
    /// which this method is called.
    pub fn submit<C: RunCommand>(&self, command: C) -> Submitted<C::Output> {
        self.submit_with(command, Vec::new())
    }

    /// Submits a command as [`submit`](Self::submit) does. `evidence` is written in the same transaction, so that the
    /// command's events never name bytes that are not stored. A command without events writes no evidence.
    pub fn submit_with<C: RunCommand>(&self, command: C, evidence: Vec<Blob>) -> Submitted<C::Output> {
        self.journal.queue((&self.run, None), self.into(), command, evidence)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.journal.0.leases.release(&self.run, self.epoch);
    }
}

#[derive(Debug, Default)]
struct Epochs {
    last: u64,
    current: HashMap<RunId, u64>,
    /// Runs whose lease was dropped since the writer last asked.
    released: Vec<RunId>,
}

/// The leases of a journal.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<Epochs>);

impl Leases {
    /// The epoch of a new lease of `run`.
    fn take(&self, run: &RunId) -> u64 {
        let mut epochs = self.lock();
        epochs.last += 1;
        let epoch = epochs.last;
        epochs.current.insert(run.clone(), epoch);
        epoch
    }

    pub(crate) fn permits(&self, run: &RunId, fence: Fence) -> bool {
        match fence {
            Fence::None => true,
            Fence::Epoch(epoch) => self.lock().current.get(run) == Some(&epoch),
        }
    }

    /// The runs whose lease was dropped since the last call.
    pub(crate) fn released(&self) -> Vec<RunId> {
        std::mem::take(&mut self.lock().released)
    }

    fn release(&self, run: &RunId, epoch: u64) {
        let mut epochs = self.lock();
        if epochs.current.get(run) == Some(&epoch) {
            epochs.current.remove(run);
            epochs.released.push(run.clone());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Epochs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
