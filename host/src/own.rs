//! Whether what is kept on disk is the host's user's alone: one look at owners, permissions and links for everything that a host keeps or reads as a secret.
//!
//! A file is ours if it is a plain file of this user and nobody else may write to it, and if nobody else could put another one in its place: each folder on
//! the way to it, and each link, belongs to this user or to root, and can be changed by nobody else. A folder like `/tmp`, where everybody may make
//! files and nobody may take away another's, is such a folder.

mod acl;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// Links that are followed before they are taken for a circle, as the system does.
const LINKS_MAX: usize = 40;
/// The longest secret.
const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// The user whose files these seem to be where the real one is not known, as in a container.
const UNKNOWN_USER: u32 = 65_534;

/// Why something is not this user's alone.
#[derive(Debug, thiserror::Error)]
pub enum NotOurs {
    /// Somebody else's.
    #[error("`{path}` belongs to the user {uid}, who could change it: remove it, or run this program as that user")]
    Owner {
        /// What.
        path: PathBuf,
        /// Whose.
        uid: u32,
    },
    /// Others may change it.
    #[error("others can write to `{path}` (mode {mode:o}): run `chmod go-w {path}`, if what is in it is still yours")]
    Writable {
        /// What.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is a link, a folder, or nothing that can be read twice.
    #[error("`{0}` is no plain file; put one in its place")]
    NotPlain(PathBuf),
    /// Not a folder.
    #[error("`{0}` is no folder")]
    NotAFolder(PathBuf),
    /// It cannot be looked at.
    #[error("`{path}`: {source}")]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What was closed to others, in a line for people; nothing if it was closed already.
pub type Tightened = Option<String>;

/// Sees to it that a folder is this user's alone: it is made if there is none, and closed to others if it is ours.
///
/// Where others could write to it they may have left something: then all that is in it has to be ours too.
pub fn folder(path: &Path) -> Result<Tightened, NotOurs> {
    let io = |source| NotOurs::Io { path: path.into(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
    let real = way(path)?;
    let metadata = fs::symlink_metadata(&real).map_err(io)?;
    if !metadata.is_dir() {
        return Err(NotOurs::NotAFolder(real));
    }
    owned(&real, &metadata, &[us()])?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(None);
    }
    fs::set_permissions(&real, Permissions::from_mode(0o700)).map_err(io)?;
    if mode & 0o022 != 0
        && let Err(error) = all_within(&real)
    {
        // Left as it was, so that the next one who looks does not take it for ours.
        fs::set_permissions(&real, Permissions::from_mode(mode)).map_err(io)?;
        return Err(error);
    }
    Ok(Some(format!("`{}` was open to others (mode {mode:o}); it is closed to them now", path.display())))
}

/// Whether everything in a folder, if there is one, is this user's and can be changed by nobody else.
pub fn within(path: &Path) -> Result<(), NotOurs> {
    if path.exists() { all_within(path) } else { Ok(()) }
}

/// Whether a folder is this user's, and nobody else can make anything in it.
pub fn is_our_folder(path: &Path) -> Result<(), NotOurs> {
    let real = way(path)?;
    let metadata = fs::symlink_metadata(&real).map_err(|source| NotOurs::Io { path: path.into(), source })?;
    if !metadata.is_dir() {
        return Err(NotOurs::NotAFolder(real));
    }
    owned(&real, &metadata, &[us()])?;
    closed(&real, &metadata)
}

/// Whether a plain file is this user's, and nobody else can change it or put another in its place.
pub fn is_our_file(path: &Path) -> Result<(), NotOurs> {
    let metadata = fs::symlink_metadata(path).map_err(|source| NotOurs::Io { path: path.into(), source })?;
    way(path)?;
    plain(path, &metadata, &[us()])
}

/// Sees to it that a file, if it is there, is this user's alone; one that others can read is closed to them.
pub fn file(path: &Path) -> Result<Tightened, NotOurs> {
    let io = |source| NotOurs::Io { path: path.into(), source };
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(io)?,
    };
    way(path)?;
    plain(path, &metadata, &[us()])?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(None);
    }
    fs::set_permissions(path, Permissions::from_mode(mode & 0o700)).map_err(io)?;
    Ok(Some(format!("`{}` was open to others (mode {mode:o}); it is closed to them now", path.display())))
}

/// A secret that somebody else wrote down for us, and its file's permissions: nobody but this user and root may have written it.
/// It may be a link, as secrets of containers are.
pub fn secret(path: &Path) -> Result<(Vec<u8>, u32), NotOurs> {
    let real = way(path)?;
    let io = |source| NotOurs::Io { path: path.into(), source };
    // Not by a link that was put there meanwhile, and without waiting for whoever writes into a pipe.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(&real).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    plain(path, &metadata, &[us(), 0])?;
    let mut bytes = Vec::new();
    file.take(SECRET_BYTES_MAX).read_to_end(&mut bytes).map_err(io)?;
    Ok((bytes, metadata.mode() & 0o7777))
}

/// Whether a file that names what this program does can be changed by nobody but this user and root.
pub fn unwritable(path: &Path) -> Result<(), NotOurs> {
    let real = way(path)?;
    let metadata = fs::symlink_metadata(&real).map_err(|source| NotOurs::Io { path: path.into(), source })?;
    plain(path, &metadata, &[us(), 0])
}

/// The same of a program that is run, or of a folder that is read: the system's own belong to whoever root is here.
pub fn installed(path: &Path) -> Result<(), NotOurs> {
    let real = way(path)?;
    let metadata = fs::symlink_metadata(&real).map_err(|source| NotOurs::Io { path: path.into(), source })?;
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(NotOurs::NotPlain(real));
    }
    owned(&real, &metadata, &trusted())?;
    closed(&real, &metadata)
}

fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A plain file of one of these users, to which nobody else may write.
fn plain(path: &Path, metadata: &Metadata, users: &[u32]) -> Result<(), NotOurs> {
    if !metadata.is_file() {
        return Err(NotOurs::NotPlain(path.into()));
    }
    owned(path, metadata, users)?;
    closed(path, metadata)
}

fn owned(path: &Path, metadata: &Metadata, users: &[u32]) -> Result<(), NotOurs> {
    if users.contains(&metadata.uid()) {
        return Ok(());
    }
    Err(NotOurs::Owner { path: path.into(), uid: metadata.uid() })
}

/// The group of root, and the one that many systems make for each user and for nobody else, are nobody else's.
///
/// Where there is an access control list the permissions of the group are only the most that it gives, so all of it is read.
fn closed(path: &Path, metadata: &Metadata) -> Result<(), NotOurs> {
    let mode = metadata.mode() & 0o7777;
    let is_ours = |group: u32| group == 0 || group == us();
    let others = acl::writers(path, metadata.gid()).map_err(|source| NotOurs::Io { path: path.into(), source })?;
    let open = match others {
        Some(writers) => {
            writers.users.iter().any(|user| ![0, us()].contains(user)) || !writers.groups.into_iter().all(is_ours)
        }
        None => mode & 0o020 != 0 && !is_ours(metadata.gid()),
    };
    if open || mode & 0o002 != 0 { Err(NotOurs::Writable { path: path.into(), mode }) } else { Ok(()) }
}

/// The path without links. Whoever could change what is found by it is this user or root.
fn way(path: &Path) -> Result<PathBuf, NotOurs> {
    let io = |at: &Path| {
        let path = at.to_owned();
        move |source| NotOurs::Io { path, source }
    };
    let absolute = std::path::absolute(path).map_err(io(path))?;
    let mut left: VecDeque<OsString> = parts(&absolute);
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    passed(&at, &fs::symlink_metadata(&at).map_err(io(&at))?)?;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(part);
        let metadata = fs::symlink_metadata(&next).map_err(io(&next))?;
        if metadata.is_symlink() {
            owned(&next, &metadata, &trusted())?;
            links += 1;
            if links > LINKS_MAX {
                return Err(NotOurs::NotPlain(next));
            }
            let target = fs::read_link(&next).map_err(io(&next))?;
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            parts(&target).into_iter().rev().for_each(|part| left.push_front(part));
            continue;
        }
        if metadata.is_dir() && !left.is_empty() {
            passed(&next, &metadata)?;
        }
        at = next;
    }
    Ok(at)
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().filter_map(part).collect()
}

/// A folder on the way. Where it has the sticky bit nobody takes away or renames what is another's.
fn passed(path: &Path, metadata: &Metadata) -> Result<(), NotOurs> {
    owned(path, metadata, &trusted())?;
    if metadata.mode() & 0o1000 != 0 { Ok(()) } else { closed(path, metadata) }
}

/// Who may change the folders on the way: this user and root, who has no number of its own in a container that does not know it.
fn trusted() -> Vec<u32> {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    if whole { vec![us(), 0] } else { vec![us(), 0, UNKNOWN_USER] }
}

/// Whether everything below is this user's and closed to others. Links are only looked at.
fn all_within(folder: &Path) -> Result<(), NotOurs> {
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        let io = |source| NotOurs::Io { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let metadata = fs::symlink_metadata(&path).map_err(io)?;
            owned(&path, &metadata, &[us()])?;
            if !metadata.is_symlink() {
                closed(&path, &metadata)?;
            }
            if metadata.is_dir() {
                left.push(path);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
