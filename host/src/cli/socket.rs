//! The socket in the state folder, through which the folder's commands reach their host.
//!
//! Any program can take a free port on loopback, and would receive the local operator's token while
//! the host is down. This socket's folder belongs to the user alone, so only a program of that user
//! can listen here.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The socket's file name.
const FILE: &str = "socket";
/// The maximum length of a socket's path (`sun_path`), without the final zero.
const PATH_BYTES_MAX: usize = 107;

/// The file of a socket that listens. Dropping this value removes the file.
#[derive(Debug)]
pub(super) struct Bound(PathBuf);

impl Drop for Bound {
    fn drop(&mut self) {
        // If the file stays, nobody answers at it, and the next host replaces it.
        let _ = fs::remove_file(&self.0);
    }
}

/// Listens in the state folder of a host with an open journal. It removes an earlier host's socket.
pub(super) fn bind(state: &Path) -> io::Result<(UnixListener, Bound)> {
    let path = state.join(FILE);
    match fs::symlink_metadata(&path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(&path)?,
        Ok(_) => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("`{}` is not a socket", path.display())));
        }
        Err(_) => {}
    }
    let listener = at(state, |path| UnixListener::bind(path))?;
    let bound = Bound(path);
    fs::set_permissions(&bound.0, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok((listener, bound))
}

/// Connects to the host of the state folder.
pub(super) fn connect(state: &Path) -> io::Result<UnixStream> {
    at(state, |path| UnixStream::connect(path))
}

/// The socket beside a token's file, for a printed `curl` command. `None` for a host under TLS,
/// without such a socket, or if the path is too long for `curl`.
pub(super) fn beside(token_file: &Path, base: &str) -> Option<PathBuf> {
    let path = token_file.with_file_name(FILE);
    let usable = base.starts_with("http://") && path.as_os_str().len() <= PATH_BYTES_MAX && path.exists();
    usable.then_some(path)
}

/// Uses the folder through its file descriptor, because the folder's path may be longer than a
/// socket's path may be.
fn at<T>(state: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = state.join(FILE);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return act(&path);
    }
    let folder = File::open(state)?;
    act(&PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(FILE))
}
