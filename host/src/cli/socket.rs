//! The socket in the state folder, by which the commands of a folder reach the host that works in it.
//!
//! A port on loopback is anybody's who is there first, and the local operator's token would go to them while the host is down. Whoever listens here
//! could make a file in a folder that is this user's alone, so it is this user.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Its name.
const FILE: &str = "socket";
/// The longest path that a socket can have (`sun_path`), without the zero at its end.
const PATH_BYTES_MAX: usize = 107;

/// A socket that is listened at. Its file goes with it.
#[derive(Debug)]
pub(super) struct Bound(PathBuf);

impl Drop for Bound {
    fn drop(&mut self) {
        // Left behind it answers nobody, and the next host puts its own in its place.
        let _ = fs::remove_file(&self.0);
    }
}

/// Listens in the state folder of a host that has its journal. What an earlier one left is removed, if it is a socket.
pub(super) fn bind(state: &Path) -> io::Result<(UnixListener, Bound)> {
    let path = state.join(FILE);
    match fs::symlink_metadata(&path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(&path)?,
        Ok(_) => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("`{}` is no socket", path.display())));
        }
        Err(_) => {}
    }
    let listener = at(state, |path| UnixListener::bind(path))?;
    let bound = Bound(path);
    fs::set_permissions(&bound.0, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok((listener, bound))
}

/// A connection to the host that works in the state folder.
pub(super) fn connect(state: &Path) -> io::Result<UnixStream> {
    at(state, |path| UnixStream::connect(path))
}

/// A folder's own path may be longer than a socket's may be; the open folder has a short one.
fn at<T>(state: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = state.join(FILE);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return act(&path);
    }
    let folder = File::open(state)?;
    act(&PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(FILE))
}
