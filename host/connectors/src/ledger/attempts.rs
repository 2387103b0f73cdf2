//! Finds out whether an attempt is still in progress and may reach the ledger: an attempt of this host, or of another
//! host that is just ending.
//!
//! Each attempt holds a shared lock (`flock`) on a file beside the ledger, from before it is queued until its
//! transaction ends. So the lock ends with the attempt, or at the latest with its process. A lookup takes the exclusive
//! lock: when it has the lock, no earlier attempt can book any more.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The interval for trying a held lock again.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The attempts on one ledger.
#[derive(Debug)]
pub(super) struct Attempts {
    /// The lock file, which is always empty.
    path: PathBuf,
    wait: Duration,
}

/// An attempt in progress, until dropped.
#[derive(Debug)]
pub(super) struct RunningAttempt {
    _lock: File,
}

impl Attempts {
    /// The attempts on the ledger at `ledger`. No wait exceeds `wait`.
    pub(super) fn on(ledger: &Path, wait: Duration) -> Self {
        let mut path = ledger.as_os_str().to_owned();
        path.push(".attempts");
        Self { path: path.into(), wait }
    }

    /// Marks an attempt as in progress.
    pub(super) async fn begin(&self) -> io::Result<RunningAttempt> {
        // This wait is short, because a lookup releases the lock at once.
        Ok(RunningAttempt { _lock: self.lock(File::try_lock_shared).await? })
    }

    /// Waits until all attempts in progress have ended.
    pub(super) async fn over(&self) -> io::Result<()> {
        self.lock(File::try_lock).await.map(drop)
    }

    async fn lock(&self, try_lock: fn(&File) -> Result<(), TryLockError>) -> io::Result<File> {
        let deadline = Instant::now() + self.wait;
        let mut open = OpenOptions::new();
        let file = open.write(true).create(true).truncate(false).mode(0o600).open(&self.path)?;
        loop {
            match try_lock(&file) {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(LOOK_EVERY).await,
                Err(TryLockError::WouldBlock) => {
                    let text = format!("another attempt still holds the lock `{}`", self.path.display());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
            }
        }
    }
}
