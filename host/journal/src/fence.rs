//! Leases: if two tasks drive the same run, only the task with the later lease can write.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use holdshort_gate::RunId;

/// The lease that must still be valid when the command is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// No lease: decisions, cancellations, deadlines and effects are judged on the journaled state alone.
    None,
    /// The run's lease of this epoch; for commands of the task that drives the run.
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
#[derive(Debug)]
pub struct Lease {
    leases: Arc<Leases>,
    run: RunId,
    epoch: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.release(&self.run, self.epoch);
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
    pub(crate) fn take(self: &Arc<Self>, run: &RunId) -> Lease {
        let mut epochs = self.lock();
        epochs.last += 1;
        let epoch = epochs.last;
        epochs.current.insert(run.clone(), epoch);
        Lease { leases: self.clone(), run: run.clone(), epoch }
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
