//! One host per journal: a lock of the operating system on a file beside the journal. The lock ends with the process,
//! however the process ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::OpenError;

/// How long a host waits for the lock of another host. If a host is killed while it starts a program, the program holds
/// a copy of the host's open files for a moment, the lock among them. Without the wait, a host that is started again at
/// once would find the journal in use.
const WAIT: Duration = Duration::from_secs(2);
const NEXT_TRY: Duration = Duration::from_millis(20);

/// The claim on a journal. Dropping it ends the claim.
pub(crate) struct Presence {
    address: PathBuf,
    /// Holds the lock as long as the file is open.
    _lock: File,
}

impl Presence {
    /// Claims the journal at `path`, and creates its folder if there is none.
    pub(crate) fn claim(path: &Path) -> Result<Self, OpenError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
            let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            created.map_err(|source| OpenError::Io { what: "create the folder", path: folder.into(), source })?;
        }
        let lock_path = beside(path, ".lock");
        let io = |what| move |source| OpenError::Io { what, path: beside(path, ".lock"), source };
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
        let mut lock = open.map_err(io("open the lock file"))?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begun.elapsed() < WAIT => thread::sleep(NEXT_TRY),
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    let read = lock.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
                    return Err(OpenError::Locked { path: path.into(), holder: read.then(|| holder.trim().into()) });
                }
                Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
            }
        }
        lock.set_len(0).map_err(io("write"))?;
        // The process number is for people only; on a full disk the claim is valid without it.
        drop(write!(lock, "process {}", std::process::id()));
        Ok(Self { address: beside(path, ".address"), _lock: lock })
    }

    /// Writes the address of the API beside the journal.
    pub(crate) fn announce(&self, address: &str) -> Result<(), OpenError> {
        let io = |source| OpenError::Io { what: "write", path: self.address.clone(), source };
        let new = beside(&self.address, ".new");
        let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new);
        open.and_then(|mut file| writeln!(file, "{address}")).map_err(io)?;
        fs::rename(new, &self.address).map_err(io)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // If the removal fails, there is no file, or an old file stays. A client that tries the old address gets no
        // answer and so notices that the host is gone.
        drop(fs::remove_file(&self.address));
    }
}

/// The name of a file that belongs to the file at `path`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
