//! The folders of one confined program, by their paths outside the sandbox.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Files for the sandbox's `/etc`, used instead of the machine's files. They name no account of this machine.
const ETC: [(&str, &str); 4] = [
    (
        "passwd",
        "root:x:0:0::/nonexistent:/bin/false\ncheck:x:1000:1000::/home/check:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n",
    ),
    ("group", "root:x:0:\ncheck:x:1000:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1 localhost check\n::1 localhost\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/// A folder with the working files, a home folder, a folder for temporary files, and files for
/// `/etc`.
#[derive(Clone, Debug)]
pub struct Folders(PathBuf);

impl Folders {
    /// Creates `folder` with its subfolders, which only their owner can enter, and the files for `/etc`.
    pub fn make(folder: PathBuf) -> io::Result<Self> {
        let folders = Self(folder);
        let etc = folders.0.join("etc");
        for folder in [&folders.0, &folders.tree(), &folders.home(), &folders.temporary(), &etc] {
            DirBuilder::new().mode(0o700).create(folder)?;
        }
        for (name, text) in ETC {
            let file = etc.join(name);
            std::fs::write(&file, text)?;
            // The mode is set explicitly: the program may run as another user, who must be able to read the file, and
            // the host's umask may forbid this.
            std::fs::set_permissions(&file, Permissions::from_mode(0o644))?;
        }
        Ok(folders)
    }

    /// The whole folder.
    pub fn all(&self) -> &Path {
        &self.0
    }

    /// The working files.
    pub fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }

    /// The home folder, empty at first.
    pub fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    /// The folder for temporary files. It is removed with the other folders.
    pub fn temporary(&self) -> PathBuf {
        self.0.join("tmp")
    }

    /// The files for `/etc` by name.
    pub(super) fn etc(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        ETC.iter().map(|(name, _)| (*name, self.0.join("etc").join(name)))
    }
}
