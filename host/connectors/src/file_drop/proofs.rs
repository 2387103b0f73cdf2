//! The proofs of file drops, which are kept in the operator's folder itself.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use holdshort_gate::EffectKey;
use rustix::fs::{AtFlags, Mode, OFlags, linkat, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::key;
use crate::relative::open;

/// The folder of proofs in the operator's folder: its id, drafts and marks.
pub(super) const PROOFS: &str = ".holdshort-files";
/// The file with the id of a folder of proofs. No key has this name, because a key is longer.
const ID: &str = "id";
/// The file with the id while it is being written.
const ID_DRAFT: &str = "id.draft";
/// The length of an id: 128 random bits as hexadecimal digits.
const ID_LENGTH: usize = 32;

/// The operator's folder and the folder of proofs in it, both open.
pub(super) struct Folders {
    pub(super) top: OwnedFd,
    pub(super) proofs: OwnedFd,
    /// The id of the folder of proofs.
    pub(super) id: String,
}

/// The state of an effect, as the folder shows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    NotBegun,
    Done,
    /// There is a draft, but the file's name does not lead to the same file.
    Unclear,
}

pub(super) fn draft(key: &EffectKey) -> String {
    format!("{}.draft", key::plain(key))
}

pub(super) fn exists(folder: &OwnedFd, name: &str) -> io::Result<bool> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

impl Folders {
    /// Makes the folder of proofs if it is missing. Its id is linked into place. So a file system without hard links
    /// fails when the host starts, and not only at the first effect.
    pub(super) fn make(path: &Path) -> io::Result<()> {
        let top = open_folder(path)?;
        match mkdirat(&top, PROOFS, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => rustix::fs::fsync(&top)?,
            Err(errno) => return Err(errno.into()),
        }
        let proofs = open_proofs(&top)?;
        if !exists(&proofs, ID)? {
            let mut id = [0; ID_LENGTH / 2];
            getrandom::fill(&mut id).map_err(io::Error::other)?;
            let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            unlink(&proofs, ID_DRAFT)?;
            fill(create(&proofs, ID_DRAFT)?, &proofs, id.as_bytes())?;
            linkat(&proofs, ID_DRAFT, &proofs, ID, AtFlags::empty())?;
            rustix::fs::fsync(&proofs)?;
            unlink(&proofs, ID_DRAFT)?;
        }
        Self::open(path).map(drop)
    }

    /// Opens the operator's folder at `path` and the folder of proofs in it. Below `path` no link is followed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let top = open_folder(path)?;
        let proofs = open_proofs(&top)?;
        let mut id = String::new();
        File::from(open(&proofs, ID)?).take(ID_LENGTH as u64 + 1).read_to_string(&mut id)?;
        if id.len() != ID_LENGTH {
            return Err(io::Error::other(format!("`{PROOFS}/{ID}` is damaged: restore it from a backup")));
        }
        Ok(Self { top, proofs, id })
    }

    /// The state of the effect that puts the file `name` into the folder.
    pub(super) fn state(&self, name: &str, key: &EffectKey) -> io::Result<State> {
        // The draft is looked up before the mark, because an attempt makes the mark before it removes the draft. So an
        // attempt that ends between the two steps is found by its mark.
        let draft = statat(&self.proofs, draft(key), AtFlags::SYMLINK_NOFOLLOW);
        match (draft, exists(&self.proofs, &key::plain(key))?) {
            (_, true) => Ok(State::Done),
            (Ok(draft), false) => match statat(&self.top, name, AtFlags::SYMLINK_NOFOLLOW) {
                // Only the file's own name counts. A link to the draft under another name proves nothing, because other
                // programs make links too.
                Ok(file) if (file.st_dev, file.st_ino) == (draft.st_dev, draft.st_ino) => Ok(State::Done),
                Ok(_) | Err(Errno::NOENT) => Ok(State::Unclear),
                Err(errno) => Err(errno.into()),
            },
            (Err(Errno::NOENT), false) => Ok(State::NotBegun),
            (Err(errno), false) => Err(errno.into()),
        }
    }
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Opens the folder of proofs. It must be closed to other users, because they could make an effect look done,
/// or not done.
fn open_proofs(top: &OwnedFd) -> io::Result<OwnedFd> {
    let proofs = open(top, PROOFS)?;
    let found = rustix::fs::fstat(&proofs)?;
    if !rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    if found.st_uid != rustix::process::geteuid().as_raw() || found.st_mode & 0o077 != 0 {
        let why = format!("its subfolder `{PROOFS}` must belong to the host's user, with mode 0700");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(proofs)
}

/// Makes a new file.
pub(super) fn create(folder: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::from_raw_mode(0o644))?.into())
}

/// Writes a new file. Its content and its name are on disk when this returns.
pub(super) fn fill(mut file: File, folder: &OwnedFd, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.sync_all()?;
    Ok(rustix::fs::fsync(folder)?)
}

/// Removes the draft of an effect.
pub(super) fn remove(proofs: &OwnedFd, key: &EffectKey) {
    if let Err(error) = unlink(proofs, &draft(key)) {
        tracing::warn!(%error, "the draft of a file could not be removed");
    }
}

/// Removes a file, if it is there.
fn unlink(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
