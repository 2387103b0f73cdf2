//! Checks that files on disk belong to the host's user alone. All state and secrets go through these checks of owners,
//! permissions and links.
//!
//! A file passes if it is a regular file of this user, and no other user can write to it or replace it. To prevent
//! replacement, each folder and each link on its path must belong to this user or to root, and no other user may be
//! able to change it. A folder with the sticky bit, such as `/tmp`, passes: everybody may create files in it, but
//! nobody can remove another user's file.

mod acl;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// The maximum number of links that are followed on one path; more links count as a circle. Linux has the same limit.
const LINKS_MAX: usize = 40;
/// The maximum length of a secret in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// The user id that Linux shows for an owner who has no id in this container.
const UNKNOWN_USER: u32 = 65_534;

/// The reason why a path does not belong to this user alone.
#[derive(Debug, thiserror::Error)]
pub enum NotOurs {
    /// The path belongs to another user.
    #[error("`{path}` belongs to user {uid}, who could change it: remove `{path}`, or run this program as user {uid}")]
    Owner { path: PathBuf, uid: u32 },
    /// Other users may write to the path.
    #[error(
        "other users can write to `{path}` (mode {mode:o}): check that the content is yours, then run `chmod go-w {path}`"
    )]
    Writable { path: PathBuf, mode: u32 },
    /// The path is a link, a folder or a special file.
    #[error("`{0}` is not a regular file: replace it with a regular file")]
    NotPlain(PathBuf),
    #[error("`{0}` is not a folder")]
    NotAFolder(PathBuf),
    /// The file is too long for a secret.
    #[error("`{0}` is longer than {SECRET_BYTES_MAX} bytes: a file with a secret contains only the secret")]
    TooLong(PathBuf),
    /// The path could not be inspected.
    #[error("`{path}`: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// A message that permissions were tightened; `None` if they were tight already.
pub type TightenedNotice = Option<String>;

/// Makes a folder private to this user: creates it, or tightens its permissions.
///
/// If other users could write to the folder until now, they may have left files in it. Then everything inside must
/// belong to this user too.
pub fn folder(path: &Path) -> Result<TightenedNotice, NotOurs> {
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
        // Restores the permissions, so that the next check does not accept the folder.
        fs::set_permissions(&real, Permissions::from_mode(mode)).map_err(io)?;
        return Err(error);
    }
    Ok(Some(format!("`{}` was open to other users (mode {mode:o}); now it is closed to them", path.display())))
}

/// Checks that everything in a folder belongs to this user alone. A missing folder passes.
pub fn within(path: &Path) -> Result<(), NotOurs> {
    if path.exists() { all_within(path) } else { Ok(()) }
}

/// Checks that a folder belongs to this user and no other user can create files in it.
pub fn is_our_folder(path: &Path) -> Result<(), NotOurs> {
    let real = way(path)?;
    let metadata = fs::symlink_metadata(&real).map_err(|source| NotOurs::Io { path: path.into(), source })?;
    if !metadata.is_dir() {
        return Err(NotOurs::NotAFolder(real));
    }
    owned(&real, &metadata, &[us()])?;
    closed(&real, &metadata)
}

/// Checks that a regular file belongs to this user and no other user can change or replace it.
pub fn is_our_file(path: &Path) -> Result<(), NotOurs> {
    let metadata = fs::symlink_metadata(path).map_err(|source| NotOurs::Io { path: path.into(), source })?;
    way(path)?;
    plain(path, &metadata, &[us()])
}

/// Makes a file private to this user, and closes it to other readers. A missing file passes.
pub fn file(path: &Path) -> Result<TightenedNotice, NotOurs> {
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
    Ok(Some(format!("`{}` was open to other users (mode {mode:o}); now it is closed to them", path.display())))
}

/// Reads a secret, and the permissions of its file. The file must belong to this user or to root, and no other user may
/// be able to change it. The path may be a link, because secrets in containers often are links.
pub fn secret(path: &Path) -> Result<(Vec<u8>, u32), NotOurs> {
    let real = way(path)?;
    let io = |source| NotOurs::Io { path: path.into(), source };
    // `NOFOLLOW` refuses a link that was created after the check. With `NONBLOCK`, opening a pipe does not wait for a
    // writer.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(&real).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    plain(path, &metadata, &[us(), 0])?;
    let mut bytes = Vec::new();
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(NotOurs::TooLong(path.into()));
    }
    Ok((bytes, metadata.mode() & 0o7777))
}

/// Checks that only this user and root can change a file that names programs to run.
pub fn unwritable(path: &Path) -> Result<(), NotOurs> {
    let real = way(path)?;
    let metadata = fs::symlink_metadata(&real).map_err(|source| NotOurs::Io { path: path.into(), source })?;
    plain(path, &metadata, &[us(), 0])
}

/// Like [`unwritable`], for a program that is run or a folder that is read. System files belong to root, or to the user
/// that represents root in a container.
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

/// Checks that a path is a regular file of one of `users`, and that no other user can write to it.
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

/// Checks that no other user can write. The group `root` is accepted, and so is the private group that many systems
/// give each user.
///
/// With an access control list, the group permissions of the mode are only an upper bound, so the complete list is
/// read.
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

/// Resolves all links of a path. Checks that only this user or root can change where the path leads.
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

/// Checks that no other user can replace a file in this folder of a path. A folder with the sticky bit passes, because
/// nobody can remove or rename another user's file in it.
fn passed(path: &Path, metadata: &Metadata) -> Result<(), NotOurs> {
    owned(path, metadata, &trusted())?;
    if metadata.mode() & 0o1000 != 0 { Ok(()) } else { closed(path, metadata) }
}

/// The users who may own the folders on a path: this user and root. In a container, root may appear as the unknown
/// user.
fn trusted() -> Vec<u32> {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    if whole { vec![us(), 0] } else { vec![us(), 0, UNKNOWN_USER] }
}

/// Checks that everything below the folder belongs to this user and is closed to others. Links are not followed.
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
