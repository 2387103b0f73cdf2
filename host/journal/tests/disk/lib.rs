//! Records, in order, the requests of this process to the file system beneath a folder: files and folders that are
//! created, written, resized, removed and flushed.
//!
//! The C library's functions are replaced within the test's executable. So neither SQLite nor the tested code is
//! changed, and every call is recorded: a VFS of SQLite would not see the folders and files that the journal creates
//! without SQLite. Flushes are recorded and not performed, because a test that makes up its own disk does not need the
//! bytes on the real one.
#![cfg(target_os = "linux")]

mod calls;
mod connections;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The number of a file. It stays the same as long as the file is in use, even if the file gets another name.
pub type File = u64;

/// One request to the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A file that existed before the recording was opened.
    Found {
        /// The name of the file.
        path: PathBuf,
        /// The number of the file from here on.
        file: File,
    },
    /// A new file, empty.
    Make {
        /// The name of the file.
        path: PathBuf,
        /// The number of the file from here on.
        file: File,
    },
    /// Bytes were written.
    Write {
        /// The file.
        file: File,
        /// The place of the first byte.
        at: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The file was shortened, or was extended by zeros.
    Resize {
        /// The file.
        file: File,
        /// The size of the file from here on.
        len: u64,
    },
    /// `fsync` of a file returned.
    Sync {
        /// The file.
        file: File,
    },
    /// A new folder.
    MakeFolder {
        /// The name of the folder.
        path: PathBuf,
    },
    /// `fsync` of a folder returned.
    SyncFolder {
        /// The name of the folder.
        path: PathBuf,
    },
    /// A name was removed.
    Remove {
        /// The name.
        path: PathBuf,
    },
    /// A file was given another name.
    Rename {
        /// The old name.
        from: PathBuf,
        /// The new name.
        to: PathBuf,
    },
    /// A mark of the test: the journal gave an acknowledgement, which the test numbers.
    Mark(u64),
}

/// A watched folder. Dropping the value ends the watch.
#[derive(Debug)]
pub struct Disk(PathBuf);

/// The record of one watched folder.
struct Watched {
    root: PathBuf,
    /// SQL that each new SQLite connection to a file beneath the folder runs first.
    connections: Option<String>,
    ops: Vec<Op>,
    names: HashMap<PathBuf, File>,
}

/// The file or folder of an open descriptor.
#[derive(Clone)]
enum Opened {
    File(File),
    Folder(PathBuf),
}

#[derive(Default)]
struct All {
    watched: Vec<Watched>,
    descriptors: HashMap<i32, (PathBuf, Opened)>,
}

static LAST_FILE: AtomicU64 = AtomicU64::new(0);
static ALL: Mutex<Option<All>> = Mutex::new(None);

fn all() -> MutexGuard<'static, Option<All>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// Records what happens beneath `root` from now on.
    ///
    /// With `synchronous`, such as `OFF`, each SQLite connection to a file there begins with that setting, and the
    /// connection's own setting is ignored: the tested code runs unchanged, only without its flushes.
    /// `checkpoint_pages` is the length of SQLite's log at which the log is copied back.
    pub fn watch(root: &Path, synchronous: Option<&str>, checkpoint_pages: Option<u32>) -> Self {
        calls::stand_in();
        connections::stand_in();
        let root = root.canonicalize().unwrap_or_else(|_| root.into());
        let mut sql = synchronous.map(|level| format!("PRAGMA synchronous = {level};"));
        if let Some(pages) = checkpoint_pages {
            sql.get_or_insert_default().push_str(&format!("PRAGMA wal_autocheckpoint = {pages};"));
        }
        let watched = Watched { root: root.clone(), connections: sql, ops: Vec::new(), names: HashMap::new() };
        all().get_or_insert_default().watched.push(watched);
        Self(root)
    }

    /// The watched folder, with links resolved.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Records a mark: the journal gave the acknowledgement with this number.
    pub fn mark(&self, number: u64) {
        if let Some(watched) = all().as_mut().and_then(|all| all.above(&self.0)) {
            watched.ops.push(Op::Mark(number));
        }
    }

    /// Ends the watch and returns the recorded requests.
    pub fn ops(self) -> Vec<Op> {
        all().as_mut().and_then(|all| all.above(&self.0)).map_or_else(Vec::new, |it| std::mem::take(&mut it.ops))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(all) = &mut *all() {
            all.watched.retain(|watched| watched.root != self.0);
            all.descriptors.retain(|_, (root, _)| *root != self.0);
        }
    }
}

impl All {
    /// The watched folder that contains `path`.
    fn above(&mut self, path: &Path) -> Option<&mut Watched> {
        self.watched.iter_mut().find(|watched| path.starts_with(&watched.root))
    }

    /// Adds the request that `op` makes for the file or folder of `descriptor` to the record of its watched folder.
    fn on(&mut self, descriptor: i32, op: impl FnOnce(&Opened) -> Option<Op>) {
        if let Some((root, opened)) = self.descriptors.get(&descriptor)
            && let Some(watched) = self.watched.iter_mut().find(|watched| watched.root == *root)
        {
            watched.ops.extend(op(opened));
        }
    }
}

impl Watched {
    /// The number of the file at `path`, and whether the file was known; an unknown file gets a new number.
    fn file(&mut self, path: &Path) -> (File, bool) {
        if let Some(file) = self.names.get(path) {
            return (*file, true);
        }
        let file = LAST_FILE.fetch_add(1, Ordering::Relaxed) + 1;
        self.names.insert(path.into(), file);
        (file, false)
    }
}
