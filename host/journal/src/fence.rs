//! Leases: of two tasks that drive the same run, only the later one can write.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use holdshort_gate::RunId;

/// The lease that a command must still hold when it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// Nothing: decisions, cancellations, deadlines and effects are judged on the journaled state alone.
    None,
    /// The run's lease of this epoch: what drives a run.
    Epoch(u64),
}

impl From<&Lease> for Fence {
    fn from(lease: &Lease) -> Self {
        Self::Epoch(lease.epoch)
    }
}

/// The right to drive a run. A newer lease of the run ends it. Dropping the lease frees the journal's memory of the run.
///
/// One host has the journal at a time (an OS lock keeps others out), so that epochs need not outlive the process.
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
