//! The folders of one confined program, outside.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Files of `/etc` that a program sees in place of the machine's: they name nobody who has an account here.
const ETC: [(&str, &str); 4] = [
    (
        "passwd",
        "root:x:0:0::/nonexistent:/bin/false\ncheck:x:1000:1000::/home/check:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n",
    ),
    ("group", "root:x:0:\ncheck:x:1000:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1 localhost check\n::1 localhost\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/// A folder with a place for files to work on, a home, a place for temporary files, and what stands in `/etc`.
#[derive(Clone, Debug)]
pub struct Folders(PathBuf);

impl Folders {
    /// Makes `folder` and all that belongs into it, each readable by its owner alone.
    pub fn make(folder: PathBuf) -> io::Result<Self> {
        let folders = Self(folder);
        let etc = folders.0.join("etc");
        for folder in [&folders.0, &folders.tree(), &folders.home(), &folders.temporary(), &etc] {
            DirBuilder::new().mode(0o700).create(folder)?;
        }
        for (name, text) in ETC {
            let file = etc.join(name);
            std::fs::write(&file, text)?;
            // The program may be another user, whatever the host's mask is.
            std::fs::set_permissions(&file, Permissions::from_mode(0o644))?;
        }
        Ok(folders)
    }

    /// All of it.
    pub fn all(&self) -> &Path {
        &self.0
    }

    /// What is worked on.
    pub fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }

    /// An empty home folder.
    pub fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    /// For temporary files, so that they go too.
    pub fn temporary(&self) -> PathBuf {
        self.0.join("tmp")
    }

    /// The files of `/etc`, by name.
    pub(super) fn etc(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        ETC.iter().map(|(name, _)| (*name, self.0.join("etc").join(name)))
    }
}
