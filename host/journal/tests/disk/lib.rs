//! Writes down, in order, what this process asks of the file system beneath a folder: what is written, cut, made, removed and flushed.
//!
//! The C library's own functions are replaced within the test's executable, so that nothing is changed in SQLite or in the code that is tested,
//! and nothing that they do gets past: a VFS of SQLite's would not see the folders and files that the journal makes by itself.
//! Flushes are written down and not done: whether the real disk has the bytes does not matter to a test that makes up its own.
#![cfg(target_os = "linux")]

mod calls;
mod connections;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A file as long as anybody has it, whatever its name.
pub type File = u64;

/// One thing that was asked of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A file that was there before the recording was opened.
    Found {
        /// Its name.
        path: PathBuf,
        /// What it is called from here on.
        file: File,
    },
    /// A new file, empty.
    Make {
        /// Its name.
        path: PathBuf,
        /// What it is called from here on.
        file: File,
    },
    /// Bytes were written.
    Write {
        /// Into this file.
        file: File,
        /// From this byte on.
        at: u64,
        /// These.
        bytes: Vec<u8>,
    },
    /// The file was cut, or grew by zeros.
    Resize {
        /// This file.
        file: File,
        /// Its bytes from now on.
        len: u64,
    },
    /// `fsync` of a file returned.
    Sync {
        /// This file.
        file: File,
    },
    /// A new folder.
    MakeFolder {
        /// Its name.
        path: PathBuf,
    },
    /// `fsync` of a folder returned.
    SyncFolder {
        /// Its name.
        path: PathBuf,
    },
    /// A name was removed.
    Remove {
        /// This one.
        path: PathBuf,
    },
    /// A file was given another name.
    Rename {
        /// What it was called.
        from: PathBuf,
        /// What it is called now.
        to: PathBuf,
    },
    /// The test says that something has been acknowledged.
    Mark(u64),
}

/// A folder that is watched until this goes.
#[derive(Debug)]
pub struct Disk(PathBuf);

/// What is known of one watched folder.
struct Watched {
    root: PathBuf,
    /// SQL that each new SQLite connection to a file beneath the folder begins with.
    connections: Option<String>,
    ops: Vec<Op>,
    names: HashMap<PathBuf, File>,
}

/// What an open descriptor stands for.
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
    /// Writes down what happens beneath `root` from now on.
    ///
    /// With `synchronous`, such as `OFF`, each SQLite connection to a file there begins with that setting, and what it asks for itself is passed over:
    /// so the tested code runs as it is, only without its flushes. `checkpoint_pages` is how long SQLite's log grows before it is copied back.
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

    /// The watched folder, without links on the way.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Writes down that what goes by this number has been acknowledged by now.
    pub fn mark(&self, number: u64) {
        if let Some(watched) = all().as_mut().and_then(|all| all.above(&self.0)) {
            watched.ops.push(Op::Mark(number));
        }
    }

    /// Stops watching, and hands over what was asked.
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
    /// What is watched and holds `path`.
    fn above(&mut self, path: &Path) -> Option<&mut Watched> {
        self.watched.iter_mut().find(|watched| path.starts_with(&watched.root))
    }

    /// Notes what `op` makes of the file or folder that `descriptor` stands for, before anybody else can note anything.
    fn on(&mut self, descriptor: i32, op: impl FnOnce(&Opened) -> Option<Op>) {
        if let Some((root, opened)) = self.descriptors.get(&descriptor)
            && let Some(watched) = self.watched.iter_mut().find(|watched| watched.root == *root)
        {
            watched.ops.extend(op(opened));
        }
    }
}

impl Watched {
    /// The number of the file at `path`, and whether it was known; else it is a new one.
    fn file(&mut self, path: &Path) -> (File, bool) {
        if let Some(file) = self.names.get(path) {
            return (*file, true);
        }
        let file = LAST_FILE.fetch_add(1, Ordering::Relaxed) + 1;
        self.names.insert(path.into(), file);
        (file, false)
    }
}
