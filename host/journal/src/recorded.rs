//! Read-only access to a journal, which another process may be writing at the same time.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use holdshort_gate::{RunId, Seq};

use crate::error::{OpenError, ReadError};
use crate::rows::{Events, RunFilter, RunRow};
use crate::secret::Identity;
use crate::sqlite;
use crate::store::Reader;

/// The recorded runs of a journal. It has no lock, no writer and no handle of a role, so nothing can be changed, and a
/// host may use the journal meanwhile. Its methods block.
pub struct Recorded {
    identity: Identity,
    reader: Mutex<Box<dyn Reader>>,
}

impl Recorded {
    /// Opens the journal at `path`, which must have this program's version.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let (identity, reader) = sqlite::open_recorded(path)?;
        Ok(Self { identity, reader: Mutex::new(reader) })
    }

    /// The runs, newest first.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>, ReadError> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).runs(filter)
    }

    /// A chunk of a run's events after `after`, oldest first.
    pub fn events(&self, run: &RunId, after: Seq, limit: usize) -> Result<Events, ReadError> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).events(run, after, limit)
    }

    /// The seed of a run's random numbers.
    pub fn seed(&self, run: &RunId) -> [u8; 32] {
        self.identity.seed(run)
    }
}
